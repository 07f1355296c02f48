/*
 * Laying out beside: below <git dir>/belay/<mark>/ lie, before anything is touched,
 *
 *     old/<path>, new/<path>     each file that differs, as git would write it, with the rights it is to have
 *     index.from, index.to       the index as it is, and as it will be
 *
 * all synced, so that place and unplace are renames on one file system.
 */
#ifndef BELAY_SOURCE_GIT_STAGE_H
#define BELAY_SOURCE_GIT_STAGE_H

#include "source/git/change_list.h"

/* The slot of the driver; see source.h. Without a mark nothing is laid out. */
bool stage_fetch(const SourceContext *context, const Release *to, Err *err);
/* Slots of the driver too (fetch.c): see source.h. */
bool fetch_from_itself(const SourceContext *context, const Release *to, Err *err);
/* Lays `to` out beside what HEAD is. May be called again, also when some of it is placed already. */
bool stage_lay_out(const Repo *repo, const Release *to, Err *err);

char *stage_dir(const Repo *repo, const char *part); /* part may be NULL; owned */
/* Tracked files with changes, as git status sees them, without `allowed`; quoted paths. */
bool stage_local_changes(const Repo *repo, Strv *ret, Err *err);
/* Of the files that are new in the list: those for which something lies there already. */
bool stage_in_the_way(const Repo *repo, const ChangeList *list, Strv *ret, Err *err);
/* Those of the list of which git was told not to look whether they were changed. */
bool stage_hidden(const Repo *repo, const ChangeList *list, Strv *ret, Err *err);
#define STAGE_HIDDEN "the new version changes files of which git was told not to see local changes"
#define STAGE_HIDDEN_HINT                                                                          \
        "`git update-index --no-assume-unchanged --no-skip-worktree FILE` shows them; commit, "    \
        "stash or undo them then."

#endif
