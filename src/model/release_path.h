/*
 * The way from one version to another through required stops: which updates, in which order. Pure.
 *
 * Each release marked `stop` between the two is on the way. Where a release names what it may be updated from
 * (`requires_from`) and the version before it on the way is not in that, the newest release that is, and that can
 * itself be reached, comes in between.
 */
#ifndef BELAY_MODEL_RELEASE_PATH_H
#define BELAY_MODEL_RELEASE_PATH_H

#include "base/err.h"
#include "base/str.h"
#include "model/release_data.h"

enum { RELEASE_PATH_MAX = 32 };

/* Whether a version can be gone to at all: the source has it, it did not prove bad. */
typedef bool MayGoTo(void *context, const char *version);

typedef struct ReleasePath {
        Strv hops; /* without `from`, `to` last: at least that one */
        Strv why; /* for each: "a required stop", "1.8.0 must be updated from >=1.6"; "" for the last */
} ReleasePath;
void release_path_done(ReleasePath *path);

typedef struct ReleaseWay {
        const ReleaseData *data;
        const char *from, *to;
        MayGoTo *may; /* NULL: all of them */
        void *context;
} ReleaseWay;

/* ERR_REFUSED with the reason when there is no way. When `from` is no version, or not older, the way is `to` alone. */
bool release_path_find(const ReleaseWay *way, ReleasePath *ret, Err *err);

#endif
