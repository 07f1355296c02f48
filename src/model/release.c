#include "model/release.h"

#include <stdlib.h>

#include "base/str.h"

void release_done(Release *release) {
        free(release->tag);
        free(release->version);
        free(release->reference);
        *release = (Release){0};
}

void release_copy(Release *to, const Release *from) {
        *to = (Release){
                .tag = str_copy(from->tag),
                .version = str_copy(from->version),
                .reference = str_copy(from->reference),
        };
}
