#include "source/git/driver.h"

#include "source/git/artifacts.h"
#include "source/git/build.h"
#include "source/git/look.h"
#include "source/git/place.h"
#include "source/git/preflight.h"
#include "source/git/releases.h"
#include "source/git/tags.h"
#include "source/git/tree.h"

static bool run_in_place(const SourceContext *context, char **ret, Err *err) {
        (void)err;
        *ret = str_copy(context->service->directory);
        return true;
}

static bool always_builds(const SourceContext *context) {
        (void)context;
        return true;
}

/* What both layouts do in the same way. */
/* clang-format off */
#define IN_BOTH                                                                                    \
        .look = look_git, .installed = tags_installed, .list = tags_list, .resolve = tags_resolve, \
        .preflight = preflight_git, .fix = preflight_fix, .alone = fetch_from_itself,              \
        .fetch = stage_fetch, .dated = tree_dated, .tree = tree_paths, .tree_file = tree_read
/* clang-format on */

const Source source_git = {
        IN_BOTH,
        .name = "git",
        .builds = build_wanted,
        .build = artifacts_build,
        .runs_in = run_in_place,
        .place_facts = place_facts,
        .place = place_apply,
        .unplace = place_take_back,
        .observe = place_observe,
        .cleanup = place_cleanup,
};

const Source source_git_releases = {
        IN_BOTH,
        .name = "git-releases",
        .builds = always_builds,
        .build = releases_build,
        .runs_in = releases_run_in,
        .place_facts = releases_facts,
        .place = releases_place,
        .unplace = releases_take_back,
        .observe = releases_observe,
        .cleanup = releases_cleanup,
};
