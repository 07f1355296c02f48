#include "source/git/driver.h"

#include "source/git/place.h"
#include "source/git/preflight.h"
#include "source/git/tags.h"
#include "source/git/tree.h"

const Source source_git = {
        .name = "git",
        .installed = tags_installed,
        .list = tags_list,
        .resolve = tags_resolve,
        .preflight = preflight_git,
        .fix = preflight_fix,
        .fetch = stage_fetch,
        .place_facts = place_facts,
        .place = place_apply,
        .unplace = place_take_back,
        .observe = place_observe,
        .cleanup = place_cleanup,
        .tree = tree_paths,
        .tree_file = tree_read,
};
