/* Running what the manifest names under install and build, in a directory with a version's files. */
#ifndef BELAY_SOURCE_GIT_BUILD_H
#define BELAY_SOURCE_GIT_BUILD_H

#include "source/git/repo.h"

/* Both commands, then whether the artifacts are there. Changes nothing but what the commands change. */
bool build_run(
        const Repo *repo, const Release *to, const SourceBuild *how, const char *tree, Err *err);
/* The manifest names a command. */
bool build_wanted(const SourceContext *context);

#endif
