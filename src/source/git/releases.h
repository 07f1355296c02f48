/*
 * Layout "releases": below source.git.directory
 *
 *     .git                         the repository; the files of a checkout made before may lie beside it
 *     releases/1.2.0/              one worktree for each version (a branch: 12 digits of its commit), never
 *                                  changed once it is complete
 *     current -> releases/1.2.0    what place switches, atomically
 *     shared/                      data and settings that outlive versions; links in each release lead here
 *
 * A release is complete when it is sealed (worktree.h). One that is being made is named in .git/belay-making
 * before it is begun, and may go at any time. Other directories below releases/ are somebody's own and stay. Before the first update there is no `current`, and what is installed is the
 * plain checkout.
 */
#ifndef BELAY_SOURCE_GIT_RELEASES_H
#define BELAY_SOURCE_GIT_RELEASES_H

#include "source/git/repo.h"

/* The slots of the driver; see source.h. */
bool releases_build(
        const SourceContext *context, const Release *to, const SourceBuild *how, Err *err);
bool releases_facts(const SourceContext *context, const Release *to, json_t *facts, Err *err);
bool releases_place(const SourceContext *context, const json_t *facts, Err *err);
bool releases_take_back(const SourceContext *context, const json_t *facts, Err *err);
bool releases_observe(const SourceContext *context, const json_t *facts, SourceTruth *ret,
        char **ret_why, Err *err);
bool releases_cleanup(const SourceContext *context, const char *const *keep, size_t n, Err *err);
bool releases_run_in(const SourceContext *context, char **ret, Err *err);

#endif
