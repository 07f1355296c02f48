/* The files of a version whose objects are here, without placing it. */
#ifndef BELAY_SOURCE_GIT_TREE_H
#define BELAY_SOURCE_GIT_TREE_H

#include "source/git/repo.h"

/* The slots of the driver; see source.h. */
bool tree_paths(const SourceContext *context, const Release *release, Strv *ret_paths, Err *err);
bool tree_read(const SourceContext *context, const Release *release, const char *path, char **ret,
        size_t *ret_bytes, Err *err);
bool tree_dated(const SourceContext *context, const Release *release, int64_t *ret_ms, Err *err);

#endif
