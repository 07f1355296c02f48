#include "update/choose.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "base/version.h"
#include "platform/clock.h"

/* Of so many that are too young the next older one is looked for; then it is given up. */
enum { YOUNG_TRIES_MAX = 16 };

const ReleaseInfo *choose_info(const World *world, const char *version) {
        return release_data_find(&world->releases.data, version);
}

/* What the release data says; else the date of its commit, where that is here. 0: nobody knows. */
static int64_t released_at(const World *world, const Release *release) {
        const ReleaseInfo *info = choose_info(world, release->version);
        int64_t at = 0;
        if (info && info->released_ms)
                return info->released_ms;
        if (!world->source->dated(&world->source_at, release, &at, NULL))
                return 0;
        return at;
}

int64_t choose_lifts_at(const World *world, const Release *release) {
        const ReleaseInfo *info = choose_info(world, release->version);
        int64_t cooldown = world->service->cooldown_ms;
        if (!cooldown || (info && info->security))
                return 0;
        int64_t released = released_at(world, release);
        return released && released + cooldown > clock_wall_ms() ? released + cooldown : 0;
}

char *choose_age_text(const World *world, const Release *release) {
        scoped(free_str) char *cooldown = duration_text(world->service->cooldown_ms);
        int64_t released = released_at(world, release), now = clock_wall_ms();
        scoped(free_str) char *ago = released > now ? time_text(released) : ago_text(released, now);
        return str_format("released %s, cooldown %s", ago, cooldown);
}

/* -- what is not offered -- */

static void remember_waiting(World *world, const Release *release, int64_t lifts_ms) {
        if (world->waiting.version)
                return;
        release_copy(&world->waiting, release);
        world->waiting_until_ms = lifts_ms;
}

/* By what the release data says alone: the commits of what is offered are not here yet. */
static bool is_not_offered(void *context, const Release *release) {
        World *world = context;
        const ReleaseInfo *info = choose_info(world, release->version);
        if (strv_contains(world->young, release->version) || (info && info->prerelease))
                return true;
        if (!info || !info->released_ms)
                return false;
        int64_t lifts = choose_lifts_at(world, release);
        if (lifts)
                remember_waiting(world, release, lifts);
        return lifts != 0;
}

/* Where the data does not know how old it is, its commit is looked at. */
static bool newest_is_young(World *world, bool *ret, Err *err) {
        const ReleaseInfo *info = choose_info(world, world->to.version);
        *ret = false;
        if (!world->service->cooldown_ms || (info && (info->released_ms || info->security)) ||
                str_equal(world->to.reference, world->from.reference))
                return true;
        if (!world->source->fetch(&world->source_at, &world->to, err))
                return false;
        int64_t lifts = choose_lifts_at(world, &world->to);
        if (!lifts)
                return true;
        remember_waiting(world, &world->to, lifts);
        strv_add(&world->young, world->to.version);
        return (*ret = true);
}

static bool resolve(World *world, const char *wanted, Err *err) {
        release_done(&world->to);
        return world->source->resolve(&world->source_at, wanted, &world->from, &world->to, err);
}

static bool resolve_newest(World *world, Err *err) {
        SourceContext *at = &world->source_at;
        bool young = true, good = true;
        at->not_offered = is_not_offered;
        at->not_offered_context = world;
        for (unsigned tries = 0; good && young && tries < YOUNG_TRIES_MAX; tries++)
                good = resolve(world, NULL, err) && newest_is_young(world, &young, err);
        at->not_offered = NULL;
        at->not_offered_context = NULL;
        if (good && young) {
                release_done(&world->to);
                release_copy(&world->to, &world->from);
        }
        return good;
}

/* -- release data -- */

bool choose_load_releases(World *world, ReleasesWhen when, const Release *tree, Err *err) {
        if (!releases_wanted(world->service))
                return true;
        scoped(looking_done) Looking looking = {0};
        scoped(err_clear) Err unread = {0};
        /* The env file may hold the token; that it cannot be read is preflight's to say. */
        (void)looking_open(world, &world->from, &looking, &unread);
        const ReleasesContext context = {
                .service = world->service,
                .state = world->state,
                .env = looking.env,
                .cancel = world->cancel,
                .when = when,
                .source = world->source,
                .source_at = &world->source_at,
                .tree = tree,
        };
        releases_done(&world->releases);
        return releases_load(&context, &world->releases, err);
}

/* `files` are those of the version that is gone to: its commit has to be here. */
static bool load_from_tree(World *world, const char *wanted, ReleasesWhen when, Err *err) {
        return resolve(world, wanted, err) &&
               world->source->fetch(&world->source_at, &world->to, err) &&
               choose_load_releases(world, when, &world->to, err);
}

bool choose_target(World *world, const char *wanted, ReleasesWhen when, Err *err) {
        bool from_tree = world->service->releases.files != NULL;
        release_done(&world->waiting);
        strv_free(TAKE(world->young));
        if (from_tree ? !load_from_tree(world, wanted, when, err)
                      : !choose_load_releases(world, when, NULL, err))
                return false;
        return wanted ? from_tree || resolve(world, wanted, err) : resolve_newest(world, err);
}
