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

const Source source_git = {
        .name = "git",
        .look = look_git,
        .installed = tags_installed,
        .list = tags_list,
        .resolve = tags_resolve,
        .preflight = preflight_git,
        .fix = preflight_fix,
        .alone = fetch_from_itself,
        .fetch = stage_fetch,
        .builds = build_wanted,
        .build = artifacts_build,
        .runs_in = run_in_place,
        .place_facts = place_facts,
        .place = place_apply,
        .unplace = place_take_back,
        .observe = place_observe,
        .cleanup = place_cleanup,
        .dated = tree_dated,
        .tree = tree_paths,
        .tree_file = tree_read,
};

const Source source_git_releases = {
        .name = "git-releases",
        .look = look_git,
        .installed = tags_installed,
        .list = tags_list,
        .resolve = tags_resolve,
        .preflight = preflight_git,
        .fix = preflight_fix,
        .alone = fetch_from_itself,
        .fetch = stage_fetch,
        .builds = always_builds,
        .build = releases_build,
        .runs_in = releases_run_in,
        .place_facts = releases_facts,
        .place = releases_place,
        .unplace = releases_take_back,
        .observe = releases_observe,
        .cleanup = releases_cleanup,
        .tree = tree_paths,
        .tree_file = tree_read,
};
