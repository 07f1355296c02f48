/* A version that a source offers, and what is installed. Plain data. */
#ifndef BELAY_MODEL_RELEASE_H
#define BELAY_MODEL_RELEASE_H

#include <stdbool.h>

typedef struct Release {
        char *tag;       /* exactly as in the source: "v1.2.0", or the branch's name */
        char *version;   /* without leading v */
        char *reference; /* immutable: the full commit */
} Release;

void release_done(Release *release);
void release_copy(Release *to, const Release *from); /* `to` must be empty */

#endif
