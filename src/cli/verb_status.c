/* status, check: what runs, and what there is. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "base/version.h"
#include "cli/table.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"
#include "model/version_range.h"
#include "platform/clock.h"
#include "update/backups.h"
#include "update/boot.h"
#include "update/choose.h"
#include "update/history.h"
#include "update/known.h"
#include "update/preflight.h"
#include "update/runs.h"

/* -- one service's row -- */

typedef struct Row {
        char *service, *version, *health, *update, *last_run, *backup;
        Strv lines; /* below the table: what needs a word */
        json_t *object;
} Row;

static void row_done(Row *row) {
        free(row->service);
        free(row->version);
        free(row->health);
        free(row->update);
        free(row->last_run);
        free(row->backup);
        strv_free(row->lines);
        json_decref(row->object);
}

/* Each check is asked once: what a person wants to know here is how it is at this moment. */
static char *ask_health(const World *world, const RuntimeStatus *now, bool *ret_healthy) {
        *ret_healthy = false;
        if (!now->running)
                return str_copy(now->wanted_running
                                        ? (now->restart_pending ? "crashed, restarting" : "down")
                                        : "stopped");
        scoped(looking_done) Looking looking = {0};
        if (!looking_open(world, &world->from, &looking, NULL))
                return str_copy("unknown");
        size_t right = 0, asked = 0;
        for (size_t i = 0; i < world->service->n_checks; i++) {
                CheckAnswer answer = {0};
                if (world->service->checks[i].kind == CHECK_LOG)
                        continue;
                check_ask(&world->service->checks[i], &looking.check, &answer);
                asked++;
                right += answer.kind == ANSWER_PASS;
        }
        *ret_healthy = right == asked;
        if (asked == 0)
                return str_copy("runs");
        return right == asked ? str_copy("healthy")
                              : str_format("%zu of %zu checks fail", asked - right, asked);
}

static void add_mismatch(Row *row, const World *world, const RuntimeStatus *now) {
        const char *name = world->service->name;
        if (now->running && !now->keeper_present)
                strv_addf(&row->lines,
                        "%s: its keeper is gone; `belay start %s` brings a new one, without a "
                        "restart",
                        name, name);
        if (now->running && now->commit && world->from.reference &&
                !str_equal(now->commit, world->from.reference))
                strv_addf(&row->lines,
                        "%s: runs %s (%.7s), but the checkout is at %s (%.7s): `belay restart %s`, "
                        "or put the "
                        "checkout back",
                        name, now->version ? now->version : "?", now->commit, world->from.version,
                        world->from.reference, name);
        if (now->last_error)
                strv_addf(&row->lines, "%s: %s", name, now->last_error);
}

/* What is at its end of life or near it is worth a line. */
static void add_support(Row *row, const World *world, const json_t *support) {
        const char *version = world->from.version, *status = NULL;
        size_t i;
        json_t *range;
        json_array_foreach(support, i, range) {
                if (!version_range_holds(js_str(range, "versions"), version))
                        continue;
                status = js_str(range, "status");
                break;
        }
        js_set_str(row->object, "support", status);
        if (str_equal(status, "end-of-life"))
                strv_addf(&row->lines, "%s: %s is at its end of life: nobody mends it any more",
                        world->service->name, version);
        else if (str_equal(status, "maintenance"))
                strv_addf(
                        &row->lines, "%s: %s gets maintenance only", world->service->name, version);
}

/* From the last `belay check`: status asks no network. */
static void add_offer(Row *row, World *world) {
        scoped(js_freep) json_t *offers =
                state_load(world->state, world->service->name, OFFERS_FILE, NULL);
        const char *newest = offers ? js_str(offers, "newest") : NULL;
        add_support(row, world, js_get(offers, "support"));
        bool ordered = false;
        if (!newest || !world->from.version) {
                row->update = str_copy(newest ? newest : "–");
                return;
        }
        int order = version_text_compare(newest, world->from.version, &ordered);
        const char *step = version_step(world->from.version, newest);
        if (ordered && order <= 0)
                row->update = str_copy("none");
        else if (js_str(offers, "reference"))
                release_from_json(offers, &world->to);
        if (!row->update)
                row->update = step ? str_format("%s (%s)", newest, step) : str_copy(newest);
}

static void add_open_run(Row *row, const char *name, const Summary *run, const RuntimeStatus *now) {
        unsigned n = run->run;
        bool given_up = now->resume_given_up && now->guarded_run == n;
        if (given_up)
                js_set_bool(js_get(row->object, "last_run"), "resume_given_up", true);
        if (run->waiting)
                strv_addf(&row->lines,
                        "%s: run #%u waits for a person: `belay report %u` says what for; then "
                        "`belay accept %u` or `belay cancel %u`",
                        name, n, n, n, n);
        else if (given_up)
                strv_addf(&row->lines,
                        "%s: run #%u is open: the keeper tried %u times to finish it, and gave up. "
                        "`belay resume %u` tries again and says why, `belay cancel %u` rolls it "
                        "back",
                        name, n, now->resumed, n, n);
        else
                strv_addf(&row->lines,
                        "%s: run #%u is open: %s`belay resume %u` or `belay cancel %u`", name, n,
                        now->keeper_present && now->guarded_run == n
                                ? "its keeper goes on with it by itself in a moment; or "
                                : "",
                        n, n);
}

static void add_needs_person(
        Row *row, const char *name, const Summary *run, const RuntimeStatus *now) {
        if (run->end == RUN_NEEDS_PERSON && !now->running)
                strv_addf(&row->lines,
                        "%s: run #%u needs a person: `belay report %u` says why. Once that is "
                        "mended: "
                        "`belay resume %u --try-again`",
                        name, run->run, run->run, run->run);
}

/* A night's update that did not come about is otherwise one word in a table. */
static void add_failure(Row *row, const char *name, const Summary *run) {
        bool failed = run->end == RUN_ROLLED_BACK || run->end == RUN_ABORTED;
        if (!failed || run->cancelled || !run->failed_step)
                return;
        js_set_str(js_get(row->object, "last_run"), "failed_step", run->failed_step);
        js_set_str(js_get(row->object, "last_run"), "cause", run->cause);
        strv_addf(&row->lines, "%s: run #%u to %s failed at '%s': `belay report %u` says why", name,
                run->run, run->to ? run->to : "?", run->failed_step, run->run);
}

static bool is_driven(const World *world, const Summary *run) {
        scoped(run_done) Run open = {0};
        return run_load(world->state, run->run, &open, NULL) && run_owner_alive(&open);
}

static void add_last_run(
        Row *row, const World *world, const History *history, const RuntimeStatus *now) {
        scoped(summary_done) Summary run = {0};
        if (!history_newest(history, world->service->name, &run)) {
                row->last_run = str_copy("–");
                return;
        }
        scoped(free_str) char *how = history_state_text(world->state, &run);
        int64_t when = run.ended_ms ? run.ended_ms : run.began_ms;
        scoped(free_str) char *ago = when ? ago_text(when, clock_wall_ms()) : str_copy("");
        row->last_run = str_format("#%u %s %s", run.run, how, ago);
        json_t *object = json_object();
        js_set_int(object, "run", run.run);
        js_set_str(object, "state", how);
        js_set_int(object, "at", when);
        js_set(row->object, "last_run", object);
        add_needs_person(row, world->service->name, &run, now);
        add_failure(row, world->service->name, &run);
        if (run.damaged || (run.end != RUN_OPEN && !run.left_to) || is_driven(world, &run))
                return;
        if (run.left_to)
                strv_addf(&row->lines,
                        "%s: the way to %s has come as far as %s: `belay resume %u` goes on, "
                        "`belay cancel %u` leaves it at that",
                        world->service->name, run.left_to, run.to, run.run, run.run);
        else
                add_open_run(row, world->service->name, &run, now);
}

static void add_last_backup(Row *row, const World *world) {
        scoped(backup_info_done) BackupInfo info = {0};
        scoped(err_clear) Err err = {0};
        if (!backup_find(world_store(world), world->service->name, NULL, &info, &err)) {
                row->backup = str_copy(err.code == ERR_UNKNOWN ? "none" : "unreadable");
                return;
        }
        scoped(free_str) char *ago = ago_text(info.taken_ms, clock_wall_ms());
        scoped(free_str) char *size = bytes_text(info.bytes);
        row->backup = str_format("%s  %s  %s", ago, info.version ? info.version : "?", size);
        json_t *object = json_object();
        js_set_str(object, "id", info.id);
        js_set_str(object, "version", info.version);
        js_set_int(object, "taken", info.taken_ms);
        js_set_int(object, "bytes", (int64_t)info.bytes);
        js_set(row->object, "last_backup", object);
}

/* What `belay update` to the newest known would say, as far as disk and checks can tell. */
static void add_reasons(Row *row, World *world, bool healthy) {
        scoped(reasons_done) ReasonList reasons = {0};
        const char *name = world->service->name;
        if (!world->to.version)
                return;
        (void)choose_load_releases(world, RELEASES_KEPT, NULL, NULL);
        (void)preflight_obstacles(world, &reasons, NULL);
        (void)preflight_known(world, &reasons, NULL);
        if (!healthy)
                reason_add_unhealthy(&reasons, name, row->health);
        js_set(row->object, "reasons", reasons_to_json(&reasons));
        js_set_bool(row->object, "blocked", reasons.n > 0);
        if (!reasons.n)
                return;
        str_replace_owned(&row->update, str_format("%s blocked", world->to.version));
        for (size_t i = 0; i < reasons.n; i++) {
                const Reason *reason = &reasons.items[i];
                if (reason->code > REASON_RUN_WAITS) /* those have lines of their own */
                        strv_addf(&row->lines, "%s: %s blocked: %s [%s]%s%s", name,
                                world->to.version, reason->message, reason_code(reason->code),
                                reason->hint ? ". " : "", reason->hint ? reason->hint : "");
        }
}

static void add_person_lock(Row *row, const World *world) {
        scoped(person_lock_done) PersonLock lock = {0};
        bool held = false;
        if (person_lock_get(world->state, world->service->name, &lock, &held, NULL) && held)
                strv_addf(&row->lines, "%s: locked by %s: %s", world->service->name,
                        lock.user ? lock.user : "a person", lock.reason);
}

/* Of a boot that is long over only what went wrong is worth a line. */
static void add_boot(Row *row, const World *world, const RuntimeStatus *now) {
        enum { RECENT_MS = 60 * 60 * 1000 };
        const char *name = world->service->name;
        bool enabled = boot_is_enabled(world->state, name);
        scoped(boot_note_done) BootNote note = {0};
        boot_note_read(world->state, name, &note);
        js_set_bool(row->object, "enabled", enabled);
        if (note.did) {
                json_t *object = json_object();
                js_set_str(object, "did", note.did);
                js_set_bool(object, "failed", note.failed);
                js_set_int(object, "at", note.at_ms);
                js_set(row->object, "boot", object);
        }
        if (note.did && (note.failed ? !now->running : clock_wall_ms() - note.at_ms < RECENT_MS)) {
                scoped(free_str) char *ago = ago_text(note.at_ms, clock_wall_ms());
                strv_addf(&row->lines, "%s: at boot, %s: %s", name, ago, note.did);
        }
        bool nobody = !now->running && now->wanted_running && !now->restart_pending;
        if (nobody && !now->keeper_present && str_equal(now->main.boot_id, clock_boot_id()))
                strv_addf(&row->lines,
                        "%s: it ended, and so did its keeper: `belay start %s` starts both", name,
                        name);
        else if (!enabled && nobody && !note.did)
                strv_addf(&row->lines,
                        "%s: is not started at boot: `belay start %s`, and `belay enable %s` for "
                        "the next time",
                        name, name, name);
}

static bool look_at(App *app, const char *path, const History *history, Row *row, Err *err) {
        Service *service = NULL;
        scoped(world_done) World world = {0};
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!manifest_load(path, &service, err) || !world_open(&app->state, service, &world, err) ||
                !world.source->installed(&world.source_at, &world.from, err))
                return false;
        /* What it uses is only in the JSON, and costs a look at every process of the machine. */
        const RuntimeContext at = app->json ? world_runtime_whole(&world) : world.runtime_at;
        if (!world.runtime->inspect(&at, &now, err))
                return false;
        row->object = json_object();
        row->service = str_copy(service->name);
        row->version = str_copy(world.from.version ? world.from.version : "?");
        bool healthy = false;
        row->health = ask_health(&world, &now, &healthy);
        add_offer(row, &world);
        add_last_run(row, &world, history, &now);
        add_last_backup(row, &world);
        add_person_lock(row, &world);
        add_boot(row, &world, &now);
        add_mismatch(row, &world, &now);
        add_reasons(row, &world, healthy);
        js_set_str(row->object, "service", row->service);
        js_set_str(row->object, "version", row->version);
        js_set_str(row->object, "reference", world.from.reference);
        js_set_str(row->object, "running_version", now.version);
        js_set_bool(row->object, "running", now.running);
        js_set_bool(row->object, "keeper", now.keeper_present);
        js_set_int(row->object, "pid", now.running ? now.main.pid : 0);
        js_set_int(row->object, "memory_bytes", (int64_t)now.memory_bytes);
        js_set_int(row->object, "restarts", now.restarts);
        js_set_str(row->object, "health", row->health);
        js_set_str(row->object, "update", row->update);
        return true;
}

static void print_row(const Row *row, Table *table) {
        table_add(table, row->service);
        table_add(table, row->version);
        table_add(table, row->health);
        table_add(table, row->update);
        table_add(table, row->last_run);
        table_add(table, row->backup);
}

static bool paths_to_show(App *app, Strv *ret, Err *err) {
        if (app->n_args || app->file) {
                char *path = NULL;
                if (!find_manifest(app, operand(app, 0), &path, err))
                        return false;
                strv_push(ret, path);
                return true;
        }
        scoped(registry_done) Registry registry = {0};
        if (!registry_list(&registry, err))
                return false;
        for (size_t i = 0; i < registry.n; i++)
                strv_add(ret, registry.entries[i].path);
        char *here = NULL;
        if (!*ret && find_manifest(app, NULL, &here, NULL))
                strv_push(ret, here);
        return true;
}

/* A service that cannot be looked at is there all the same. */
static int say_unknown(const char *path, Err *err, json_t *array) {
        int status = err_exit_status(err->code);
        json_t *object = json_object();
        fprintf(stderr, "belay: %s\n", err->message);
        if (err->hint)
                fprintf(stderr, "  %s\n", err->hint);
        js_set_str(object, "manifest", path);
        js_set(object, "error", app_error_json(err));
        json_array_append_new(array, object);
        err_clear(err);
        return status;
}

int verb_status(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(strv_freep) Strv paths = NULL;
        scoped(strv_freep) Strv lines = NULL;
        static const char *const heads[] = {
                "SERVICE", "VERSION", "HEALTH", "UPDATE", "LAST RUN", "LAST PROVEN BACKUP"};
        scoped(table_done) Table table = {.columns = COUNT_OF(heads)};
        scoped(history_done) History history = {0};
        if (!app_state(app, &err) || !paths_to_show(app, &paths, &err) ||
                !history_open(&app->state, &history, &err))
                return app_fail(app, &err);
        for (size_t i = 0; i < COUNT_OF(heads); i++)
                table_add(&table, heads[i]);
        json_t *array = json_array();
        int status = 0;
        for (size_t i = 0; paths && paths[i]; i++) {
                scoped(row_done) Row row = {0};
                if (!look_at(app, paths[i], &history, &row, &err)) {
                        status = say_unknown(paths[i], &err, array);
                        continue;
                }
                print_row(&row, &table);
                for (size_t k = 0; row.lines && row.lines[k]; k++)
                        strv_add(&lines, row.lines[k]);
                json_array_append_new(array, TAKE(row.object));
        }
        app_print_json(app, array);
        if (app->json)
                return status;
        if (strv_count(table.cells) > COUNT_OF(heads))
                table_print(&table, stdout);
        else if (!status)
                puts("no services are known yet. Add one: belay add path/to/belay.yaml");
        for (size_t k = 0; lines && lines[k]; k++)
                printf("  %s\n", lines[k]);
        return status;
}
