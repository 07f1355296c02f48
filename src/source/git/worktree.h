/*
 * A directory with the files of one commit, which git knows as a linked worktree (gitrepository-layout(5)):
 * what is asked of git in it is answered for that commit. Made beside what runs, for install and build, and
 * kept as a release.
 *
 * All paths are absolute, without links. Nothing here is atomic: what was begun is removed by worktree_remove,
 * which finds all of it, the files first and git's own record of it last.
 */
#ifndef BELAY_SOURCE_GIT_WORKTREE_H
#define BELAY_SOURCE_GIT_WORKTREE_H

#include "source/git/repo.h"

/* Whatever was there under that path is removed first. */
bool worktree_make(const Repo *repo, const char *path, const char *commit, Err *err);
bool worktree_remove(const Repo *repo, const char *path, Err *err);
/* git forgets it; its files stay. */
bool worktree_forget(const Repo *repo, const char *path, Err *err);
/* The paths of those right below `dir` that git has on record, whether they are there or not. */
bool worktree_list(const Repo *repo, const char *dir, Strv *ret, Err *err);

/* A note of Belay's on a worktree, written when it is complete: its commit. *ret is NULL without one. */
bool worktree_seal(const Repo *repo, const char *path, const char *commit, Err *err);
bool worktree_sealed(const Repo *repo, const char *path, char **ret, Err *err);

/* Makes a directory as the owner, as open to others as the checkout itself. */
bool dir_make_open(const Repo *repo, const char *path, Err *err);

#endif
