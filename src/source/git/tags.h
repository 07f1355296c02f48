/* The versions of a checkout: what is installed, what the remote offers, what Belay knows of tags. */
#ifndef BELAY_SOURCE_GIT_TAGS_H
#define BELAY_SOURCE_GIT_TAGS_H

#include "source/git/repo.h"

/* The slots of the driver; see source.h. */
bool tags_installed(const SourceContext *context, Release *ret, Err *err);
bool tags_list(const SourceContext *context, Offers *ret, Err *err);
bool tags_resolve(const SourceContext *context, const char *wanted, const Release *installed,
        Release *ret, Err *err);

/* Remembers durably that `release` is what was chosen: its tag's commit, and which of several tags of
 * one commit is meant. */
bool tags_remember(const SourceContext *context, const Release *release, Err *err);
/* Whether the commit is among the objects of the checkout. */
bool tags_commit_is_here(const Repo *repo, const char *commit, bool *ret, Err *err);
/* Whether a remote of this name can be asked at all. */
bool tags_remote_name_ok(const char *name);

#endif
