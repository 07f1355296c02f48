#include "update/path.h"

#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "base/version.h"
#include "model/release_path.h"
#include "update/known.h"

/* Between two runs of one way others may look at the service for a moment. */
enum { NEXT_WAITS_MS = 20000 };

/* -- finding it -- */

typedef struct Ways {
        World *world;
        Offers offers;
        bool asked;
        Err unheard; /* why there was no answer: then nothing is known of what there is */
} Ways;

static const Release *offered(Ways *ways, const char *version) {
        World *world = ways->world;
        if (!ways->asked)
                (void)world->source->list(&world->source_at, &ways->offers, &ways->unheard);
        ways->asked = true;
        for (size_t i = 0; i < ways->offers.n; i++)
                if (version_same(ways->offers.releases[i].version, version) &&
                        !ways->offers.moved[i])
                        return &ways->offers.releases[i];
        return NULL;
}

static bool may_go_to(void *context, const char *version) {
        Ways *ways = context;
        const World *world = ways->world;
        const Release *release = offered(ways, version);
        scoped(free_str) char *bad = NULL;
        if (!release ||
                !bad_find(world->state, world->service->name, release->reference, &bad, NULL))
                return false;
        return !bad || world->options.even_if_bad;
}

static void set_way(World *world, Ways *ways, const ReleasePath *path) {
        size_t n = strv_count(path->hops);
        world->way = NEW_ARRAY(Release, n);
        world->n_way = n;
        world->way_why = strv_copy(path->why);
        for (size_t i = 0; i + 1 < n; i++)
                release_copy(&world->way[i], offered(ways, path->hops[i]));
        release_copy(&world->way[n - 1], &world->to);
}

/* Where no release data says how old they are, their commits do (choose.h), and have to be here for that. One that
 * cannot be brought now is looked at when its turn comes. */
static void bring_dates(const World *world) {
        for (size_t i = 1; world->service->cooldown_ms && i < world->n_way; i++) {
                const ReleaseInfo *info =
                        release_data_find(&world->releases.data, world->way[i].version);
                if (!info || !info->released_ms)
                        (void)world->source->fetch(&world->source_at, &world->way[i], NULL);
        }
}

bool path_choose(World *world, Err *err) {
        Ways ways = {.world = world};
        scoped(release_path_done) ReleasePath path = {0};
        const ReleaseWay way = {
                &world->releases.data, world->from.version, world->to.version, may_go_to, &ways};
        bool found = release_path_find(&way, &path, err);
        if (found)
                set_way(world, &ways, &path);
        else if (ways.unheard.code)
                err_move(err, &ways.unheard);
        err_clear(&ways.unheard);
        offers_done(&ways.offers);
        if (!found || world->n_way == 1)
                return found;
        bring_dates(world);
        release_done(&world->to);
        return world->source->resolve(
                       &world->source_at, world->way[0].version, &world->from, &world->to, err) ||
               err_context(err, "on the way to %s", world->way[world->n_way - 1].version);
}

const Release *path_target(const World *world) {
        return world->n_way ? &world->way[world->n_way - 1] : &world->to;
}

json_t *path_to_json(const World *world) {
        json_t *array = json_array();
        for (size_t i = 0; world->n_way > 1 && i < world->n_way; i++) {
                json_t *object = release_to_json(&world->way[i]);
                if (world->way_why[i][0])
                        js_set_str(object, "why", world->way_why[i]);
                json_array_append_new(array, object);
        }
        return array;
}

json_t *path_to_record(const World *world) {
        if (world->n_way < 2 && !world->after_run)
                return NULL;
        json_t *path = json_object(), *rest = json_array();
        js_set_str(path, "target", path_target(world)->version);
        for (size_t i = 1; i < world->n_way; i++)
                json_array_append_new(rest, json_string(world->way[i].version));
        js_set(path, "rest", rest);
        if (world->after_run)
                js_set_int(path, "after", world->after_run);
        return path;
}

/* -- going on -- */

static const json_t *path_of(const Run *run) {
        bool goes_on = !run->damaged && str_equal(run_kind(run), "update");
        return goes_on ? js_get(run->state.plan, "path") : NULL;
}

static bool is_over(const Run *run) {
        for (size_t i = 0; i < run->records.n; i++)
                if (run->records.records[i].type == RECORD_NOTE &&
                        str_equal(js_str(run->records.records[i].payload, "kind"), "path-ended"))
                        return true;
        return false;
}

const json_t *path_rest(const Run *run) {
        const json_t *path = path_of(run), *rest = path ? js_get(path, "rest") : NULL;
        bool left = run->state.end == RUN_SUCCEEDED && json_array_size(rest) > 0;
        return left && !is_over(run) ? rest : NULL;
}

const char *path_target_of(const Run *run) {
        const json_t *path = path_of(run);
        return path ? js_str(path, "target") : NULL;
}

unsigned path_run_before(const Run *run) {
        const json_t *path = path_of(run);
        return path ? (unsigned)js_int(path, "after", 0) : 0;
}

json_t *path_request(const Run *run) {
        if (!path_rest(run))
                return NULL;
        Options options = options_from_json(js_get(run->state.plan, "options"));
        /* These were about where and when the way began; windows hold for each of its updates. */
        options.reinstall = options.fix = false;
        options.at_ms = 0;
        options.wait_lock_ms =
                options.wait_lock_ms > NEXT_WAITS_MS ? options.wait_lock_ms : NEXT_WAITS_MS;
        json_t *request = json_object();
        js_set_str(request, "do", "update");
        js_set_str(request, "manifest", js_str(run->state.plan, "manifest"));
        js_set_str(request, "version", path_target_of(run));
        js_set_int(request, "after", run->number);
        js_set(request, "options", options_to_json(&options));
        return request;
}

bool path_end(const State *state, const Run *run, const char *why, Err *err) {
        scoped(free_str) char *path = state_run_file(state, run->number, "journal");
        scoped(record_list_done) RecordList records = {0};
        scoped(journal_freep) Journal *journal = NULL;
        if (!journal_open(path, &journal, &records, err))
                return false;
        json_t *note = json_object();
        js_set_str(note, "kind", "path-ended");
        js_set_str(note, "text", why);
        return journal_append(journal, RECORD_NOTE, note, err);
}
