/*
 * Lines in .git/info/exclude (gitignore(5)) for what Belay lays beside the tracked files: without them git status
 * lists it, and git clean removes it while it is in use. They stand between two comments and go when nothing of
 * it is there any more.
 */
#ifndef BELAY_SOURCE_GIT_EXCLUDE_H
#define BELAY_SOURCE_GIT_EXCLUDE_H

#include "source/git/repo.h"

bool exclude_add(const Repo *repo, Err *err);
bool exclude_drop(const Repo *repo, Err *err);

#endif
