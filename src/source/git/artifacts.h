/*
 * Artifacts of a checkout in place: what install and build make, one set for each commit.
 *
 *     .belay/<commit>/            while they are made: a worktree with the files of that commit
 *     .belay/<commit> -> ..       afterwards. Absolute paths that a tool wrote into what it made (a Python
 *                                 environment does) lead through here into the checkout, where the artifact
 *                                 of this commit is in place whenever this commit is
 *     .venv.<commit>              the artifact, where it stays
 *     .venv -> .venv.<commit>     what place switches
 *
 * <commit> is 12 digits of it. A directory below .belay/ is half made and may go at any time; a set is whole
 * when each of its artifacts is there and .belay/<commit> is no directory. What lay under an artifact's name
 * before Belay first placed one is kept as that of the commit it belonged to.
 */
#ifndef BELAY_SOURCE_GIT_ARTIFACTS_H
#define BELAY_SOURCE_GIT_ARTIFACTS_H

#include "source/git/repo.h"

/* The slot of the driver; see source.h. */
bool artifacts_build(
        const SourceContext *context, const Release *to, const SourceBuild *how, Err *err);

/* For the facts of place: an array with what each name leads to now and will, NULL with an error. */
json_t *artifacts_facts(const Repo *repo, const char *from, const char *to, Err *err);
/* To the new ones or back; `list` as artifacts_facts made it, or NULL: nothing to do. */
bool artifacts_switch(const Repo *repo, const json_t *list, bool to_new, Err *err);
/* SOURCE_DRIFT: names in *ret_foreign lead somewhere else; PARTLY; APPLIED and NOT_APPLIED both say
 * "either" through ret_either when old and new are the same. */
bool artifacts_observe(const Repo *repo, const json_t *list, SourceTruth *ret, bool *ret_either,
        Strv *ret_foreign, Err *err);
/* Removes the sets of commits that are not in `keep`, nor in place; and what is half made. */
bool artifacts_cleanup(
        const Repo *repo, const char *const *keep, size_t n, const char *head, Err *err);

#endif
