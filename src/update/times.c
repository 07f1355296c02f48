#include "update/times.h"

#include "base/own.h"
#include "base/version.h"
#include "platform/clock.h"
#include "platform/zone_file.h"
#include "update/runs.h"

enum { STAGING_RUNS_MAX = 200 };

/* ---- zones ---- */

typedef struct Zones {
        Zone *items;
        size_t n;
} Zones;

static void zones_done(Zones *zones) {
        for (size_t i = 0; i < zones->n; i++)
                zone_done(&zones->items[i]);
        free(zones->items);
}

static bool add_zone(Zones *zones, const char *name, Err *err) {
        Zone zone = {0};
        scoped(err_clear) Err why = {0};
        if (zone_load(name, &zone, &why)) {
                PUSH(zones->items, zones->n, zone);
                return true;
        }
        err_fail(err, ERR_REFUSED, "no time can be told: %s", why.message);
        return err_hint(err, "%s", why.hint ? why.hint : "Look at `zone` in the manifest.");
}

bool times_look(const Service *service, int64_t at_ms, Opening *ret, Err *err) {
        scoped(zones_done) Zones windows = {0}, freezes = {0};
        for (size_t i = 0; i < service->n_windows; i++)
                if (!add_zone(&windows, service->windows[i].zone, err))
                        return false;
        for (size_t i = 0; i < service->n_freezes; i++)
                if (!add_zone(&freezes, service->freezes[i].zone, err))
                        return false;
        const Timetable timetable = {
                .windows = service->windows,
                .window_zones = windows.items,
                .n_windows = service->n_windows,
                .freezes = service->freezes,
                .freeze_zones = freezes.items,
                .n_freezes = service->n_freezes,
        };
        *ret = timetable_look(&timetable, at_ms / 1000);
        return true;
}

/* ---- words ---- */

char *window_text(const WindowSpec *window) {
        static const char *const names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        scoped(str_done) Str text = {0};
        for (unsigned i = 0; i < COUNT_OF(names); i++)
                if (window->days & 1u << i && window->days != 0x7f)
                        str_addf(&text, "%s%s", text.len ? ", " : "", names[i]);
        str_addf(&text, "%s%02u:%02u to %02u:%02u (%s)", text.len ? " " : "daily ",
                window->from_minute / 60, window->from_minute % 60, window->to_minute / 60,
                window->to_minute % 60, window->zone);
        return str_take(&text);
}

static char *day_text(int64_t day) {
        Calendar date = calendar_of(day * 86400);
        return str_format("%04d-%02d-%02d", (int)date.year, date.month, date.day);
}

static int64_t lifts_at(const Opening *opening) {
        return opening->opens_at == INT64_MAX ? 0 : opening->opens_at * 1000;
}

/* ---- reasons ---- */

void times_obstacle(const World *world, ReasonList *reasons) {
        static const char clear[] = "--in-window waits for it, --any-time updates all the same.";
        const Service *service = world->service;
        scoped(err_clear) Err why = {0};
        Opening opening = {0};
        int64_t at_ms = world->options.at_ms ? world->options.at_ms : clock_wall_ms();
        if (world->options.in_window || (!service->n_windows && !service->n_freezes))
                return;
        if (!times_look(service, at_ms, &opening, &why)) {
                reason_add(reasons, REASON_WINDOW, 0, why.hint, "%s", why.message);
                return;
        }
        if (opening.freeze) {
                scoped(free_str) char *from = day_text(opening.freeze->from_day);
                scoped(free_str) char *to = day_text(opening.freeze->to_day);
                reason_add(reasons, REASON_FREEZE, lifts_at(&opening), clear,
                        "updates of %s are frozen from %s to %s (%s)", service->name, from, to,
                        opening.freeze->zone);
        } else if (!opening.open) {
                scoped(free_str) char *next =
                        opening.window ? window_text(opening.window) : str_copy("none that comes");
                reason_add(reasons, REASON_WINDOW, lifts_at(&opening), clear,
                        "no window of %s is open%s; the next is %s", service->name,
                        world->options.at_ms ? " then" : "", next);
        }
}

/* ---- staging first ---- */

static bool is_same(const json_t *release, const Release *to) {
        const char *version = js_str(release, "version");
        return str_equal(js_str(release, "reference"), to->reference) ||
               (version && version_same(version, to->version));
}

/* What was done on a copy, or to the data alone, or ended before it did anything, did not bring it anywhere. */
static bool went_somewhere(const Run *run) {
        const RunState *state = &run->state;
        if (run->damaged || !state->plan || state->end == RUN_OPEN || state->end == RUN_ABORTED)
                return false;
        return str_equal(run_kind(run), "update") || str_equal(run_kind(run), "rollback");
}

/* The newest that says something of it: one that went there and stayed, or one that went back from there. */
static bool has_succeeded(const Run *runs, size_t n, const Release *to) {
        for (size_t i = 0; i < n; i++) {
                const RunState *state = &runs[i].state;
                if (!went_somewhere(&runs[i]))
                        continue;
                if (is_same(js_get(state->plan, "to"), to))
                        return state->end == RUN_SUCCEEDED;
                if (state->end == RUN_SUCCEEDED && is_same(js_get(state->plan, "from"), to) &&
                        str_equal(run_kind(&runs[i]), "rollback"))
                        return false;
        }
        return false;
}

bool staging_obstacle(const World *world, ReasonList *reasons, Err *err) {
        const char *staging = world->service->succeeded_on;
        Run *runs = NULL;
        size_t n = 0;
        if (!staging)
                return true;
        if (!run_list(world->state, staging, STAGING_RUNS_MAX, &runs, &n, err))
                return false;
        bool succeeded = has_succeeded(runs, n, &world->to);
        run_list_free(runs, n);
        scoped(free_str) char *hint = str_format(
                "`belay update %s %s` first, and see it succeed.", staging, world->to.version);
        if (!succeeded)
                reason_add(reasons, REASON_STAGING_FIRST, 0, hint,
                        "%s has not been updated to %s with success (requires.succeeded_on)",
                        staging, world->to.version);
        return true;
}
