/* start, stop, restart, verify; and what verbs that touch a service share. */
#include "cli/verbs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/table.h"
#include "platform/lock.h"
#include "update/adopt.h"
#include "update/boot.h"
#include "update/diagnose.h"
#include "update/known.h"
#include "update/log_tail.h"
#include "update/runs.h"
#include "update/steps.h"

const char *operand(const App *app, int i) { return i < app->n_args ? app->args[i] : NULL; }

bool open_world(App *app, bool look, World *ret, Err *err) {
        Service *service = NULL;
        return app_state(app, err) && find_service(app, operand(app, 0), &service, err) &&
               world_open(&app->state, service, ret, err) && (!look || world_look(ret, err));
}

bool hold_locks(const World *world, const char *what, Held *ret, Err *err) {
        Lock service = LOCK_NONE, directory = LOCK_NONE;
        scoped(free_str) char *path = state_lock_file(world->state, world->service->name);
        scoped(free_str) char *words = str_format("%s of %s", what, world->service->name);
        if (!lock_take(path, &(LockOwner){.what = words}, 0, &service, err) ||
                !lock_take_directory(world->service->directory, 0, &directory, err)) {
                lock_release(&directory);
                lock_release(&service);
                if (err->code == ERR_LOCKED)
                        err_hint(err, "Wait until that has ended; `belay runs %s` shows it.",
                                world->service->name);
                return false;
        }
        *ret = (Held){service.fd, directory.fd};
        return true;
}

bool hold_service(App *app, const World *world, const char *what, Held *ret, Err *err) {
        (void)app;
        Held held = HELD_NONE;
        if (!hold_locks(world, what, &held, err))
                return false;
        if (!run_refuse_open(world->state, world->service->name, false, err)) {
                release_service(&held);
                return false;
        }
        *ret = held;
        return true;
}

void release_service(Held *held) {
        Lock service = {held->service_fd}, directory = {held->directory_fd};
        lock_release(&directory);
        lock_release(&service);
        *held = HELD_NONE;
}

/* -- start -- */

static bool wait_healthy(const World *world, const LogPlace *place, ChecksOutcome *ret, Err *err) {
        if (world_ask_checks(world, &(Ask){.release = &world->from, .log_from = place}, ret, err))
                return true;
        scoped(free_str) char *path = world->runtime->log_path(&world->runtime_at);
        scoped(free_str) char *log = log_tail(path, 5);
        const char *likely = likely_cause(err->message, log);
        err_context(err, "%s started, but is not healthy", world->service->name);
        if (likely)
                return err_hint(err, "Likely: %s. `belay logs %s` shows its log.", likely,
                        world->service->name);
        return err_hint(err, "`belay logs %s` shows its log.", world->service->name);
}

bool start_begin(const World *world, LogPlace *ret_place, Err *err) {
        scoped(looking_done) Looking looking = {0};
        if (!looking_open(world, &world->from, &looking, err))
                return false;
        (void)looking.log.end(looking.log.context, ret_place, NULL);
        return world->runtime->ensure(&world->runtime_at, err) &&
               start_release(world, &world->from, err);
}

bool start_wait(const World *world, const LogPlace *place, Err *err) {
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        return wait_healthy(world, place, &outcome, err) &&
               check_reference(world, &world->from, err);
}

/* A lost terminal or a Ctrl-C between stop and start would leave the service down: it is heard when what was
 * stopped has been started again. */
static void hear_signals(bool hear) {
        static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
        sigset_t set;
        sigemptyset(&set);
        for (size_t i = 0; i < COUNT_OF(ending); i++)
                sigaddset(&set, ending[i]);
        (void)sigprocmask(hear ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* What runs already as it would be started is taken over as it is. */
static bool start(const World *world, Adopted *ret_adopted, Err *err) {
        LogPlace place = {0};
        if (!world->runtime->ensure(&world->runtime_at, err) ||
                !adopt_running(world, ret_adopted, err))
                return false;
        if (ret_adopted->done)
                return check_reference(world, &world->from, err);
        bool begun = start_begin(world, &place, err);
        hear_signals(true);
        return begun && start_wait(world, &place, err);
}

/* Where it was started by hand, its words go on going where they went. */
static void print_adopted(const World *world, const Adopted *adopted) {
        printf("%s %s runs (pid %d): taken over as it is, not restarted\n", world->service->name,
                world->from.version ? world->from.version : "", (int)adopted->main.pid);
        if (adopted->migrations)
                printf("  %zu migration%s noted as done.\n", adopted->migrations,
                        adopted->migrations == 1 ? " of this version is" : "s of this version are");
        if (adopted->output)
                printf("  Its output stays in %s; from its next start on: belay logs %s\n",
                        adopted->output, world->service->name);
        else
                printf("  Its output stays where it is; from its next start on: belay logs %s\n",
                        world->service->name);
}

static int say_runs(App *app, const World *world, const char *done) {
        scoped(runtime_status_done) RuntimeStatus now = {0};
        (void)world->runtime->inspect(&world->runtime_at, &now, NULL);
        json_t *object = json_object();
        js_set_str(object, "service", world->service->name);
        js_set_str(object, "version", world->from.version);
        js_set_int(object, "pid", now.main.pid);
        js_set_bool(object, "running", now.running);
        js_set_bool(object, "adopted", now.adopted);
        app_print_json(app, object);
        if (!app->json && done)
                printf("%s %s %s (pid %d)\n", world->service->name,
                        world->from.version ? world->from.version : "", done, (int)now.main.pid);
        return 0;
}

void record_first(const World *world) {
        scoped(installed_done) Installed known = {0};
        if (!installed_load(world->state, world->service->name, &known, NULL) ||
                known.current.reference)
                return;
        const Installed first = {.current = world->from};
        (void)installed_save(world->state, world->service->name, &first, NULL);
}

int verb_start(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(release_service) Held held = HELD_NONE;
        scoped(adopted_done) Adopted adopted = {0};
        if (!open_world(app, true, &world, &err) ||
                !hold_service(app, &world, "start", &held, &err) || !start(&world, &adopted, &err))
                return app_fail(app, &err);
        record_first(&world);
        if (adopted.done && !app->json)
                print_adopted(&world, &adopted);
        return say_runs(app, &world, adopted.done ? NULL : "runs");
}

static bool stop(const World *world, bool *ret_forced, Err *err) {
        return world->runtime->ensure(&world->runtime_at, err) &&
               world->runtime->stop(
                       &world->runtime_at, world->service->stop_timeout_ms, ret_forced, err);
}

int verb_stop(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(release_service) Held held = HELD_NONE;
        bool forced = false;
        if (!open_world(app, false, &world, &err) ||
                !hold_service(app, &world, "stop", &held, &err) || !stop(&world, &forced, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_str(object, "service", world.service->name);
        js_set_bool(object, "running", false);
        js_set_bool(object, "forced", forced);
        app_print_json(app, object);
        if (!app->json)
                printf("%s is stopped%s%s\n", world.service->name,
                        forced ? " (it did not end by itself within stop.timeout, and was killed)"
                               : "",
                        boot_is_enabled(world.state, world.service->name)
                                ? "; the next boot starts it again"
                                : "");
        return 0;
}

int verb_restart(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(release_service) Held held = HELD_NONE;
        scoped(adopted_done) Adopted adopted = {0};
        bool forced = false;
        /* What runs without Belay is taken over first: else there would be nothing to stop. */
        if (!open_world(app, true, &world, &err) ||
                !hold_service(app, &world, "restart", &held, &err) ||
                !world.runtime->ensure(&world.runtime_at, &err) ||
                !adopt_running(&world, &adopted, &err))
                return app_fail(app, &err);
        adopted_done(&adopted);
        hear_signals(false);
        if (!stop(&world, &forced, &err) || !start(&world, &adopted, &err))
                return app_fail(app, &err);
        return say_runs(app, &world, "runs again");
}

/* -- verify -- */

static void print_checks(const ChecksOutcome *outcome) {
        scoped(table_done) Table table = {.columns = 3};
        for (size_t i = 0; i < outcome->n_results; i++) {
                const CheckResult *result = &outcome->results[i];
                table_add(&table, result->verdict == VERDICT_PASS ? "✔" : "✘");
                table_add(&table, result->title);
                table_add(&table, result->reason ? result->reason : verdict_name(result->verdict));
        }
        if (outcome->n_results)
                table_print(&table, stdout);
}

/* That it is not well, or cannot be asked, is an answer: no. */
static int exit_of(const Err *err) {
        return err->code == ERR_ANSWER_NO || err->code == ERR_INCONCLUSIVE
                       ? 1
                       : err_exit_status(err->code);
}

/* The checks may all pass, and what answers them be another version: then the error says so. */
static json_t *verified_json(const ChecksOutcome *outcome, const Err *err) {
        json_t *object = checks_outcome_to_json(outcome);
        if (err->code == ERR_NONE)
                return object;
        js_set(object, "error", app_error_json(err));
        js_set_int(js_get(object, "error"), "exit", exit_of(err));
        return object;
}

static void print_not_well(const World *world, const Err *err) {
        const char *name = world->service->name;
        fprintf(stderr, "belay: %s: %s\n", name, err->message);
        if (err->hint)
                fprintf(stderr, "  %s\n", err->hint);
        else
                fprintf(stderr, "  `belay diagnose %s` looks why.\n", name);
}

int verb_verify(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        if (!open_world(app, true, &world, &err))
                return app_fail(app, &err);
        bool good = world_ask_checks(
                            &world, &(Ask){.release = &world.from, .now = true}, &outcome, &err) &&
                    check_reference(&world, &world.from, &err);
        app_print_json(app, verified_json(&outcome, &err));
        if (!app->json)
                print_checks(&outcome);
        if (!good) {
                print_not_well(&world, &err);
                return exit_of(&err);
        }
        if (!app->json)
                printf("%s %s: %zu of %zu checks pass\n", world.service->name,
                        world.from.version ? world.from.version : "", outcome.n_results,
                        outcome.n_results);
        return 0;
}
