/*
 * Putting what was laid out beside (stage.h) where it runs, and back. While files move, Belay holds
 * <git dir>/index.lock as git itself would, with "belay <mark>" inside: no other git gets in between,
 * and a leftover one can be told from that of another git.
 */
#ifndef BELAY_SOURCE_GIT_PLACE_H
#define BELAY_SOURCE_GIT_PLACE_H

#include "source/git/stage.h"

/* The slots of the driver; see source.h. */
bool place_facts(const SourceContext *context, const Release *to, json_t *facts, Err *err);
bool place_apply(const SourceContext *context, const json_t *facts, Err *err);
bool place_take_back(const SourceContext *context, const json_t *facts, Err *err);
bool place_observe(const SourceContext *context, const json_t *facts, SourceTruth *ret,
        char **ret_why, Err *err);
bool place_cleanup(const SourceContext *context, const char *const *keep, size_t n, Err *err);

/* ---- index.lock ---- */
typedef enum IndexLock { INDEX_FREE, INDEX_OURS, INDEX_FOREIGN } IndexLock;
bool index_lock_look(const Repo *repo, IndexLock *ret, Err *err);
/* *ret_leftover: it was there already, left by a dead one of ours. ERR_REFUSED when another git has it. */
bool index_lock_take(const Repo *repo, bool *ret_leftover, Err *err);
bool index_lock_drop(const Repo *repo, Err *err);
/* "git commit (pid 4121)": who has the file open; NULL when nobody has. Owned. */
char *index_lock_holder(const Repo *repo);

#endif
