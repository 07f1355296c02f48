/* Verify and watch: does what runs now do what it should, and is it what it should be? */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/version.h"
#include "check/monitor.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/runs.h"
#include "update/steps.h"

static bool check_commit(const World *world, const Release *release, Err *err) {
        const char *name = world->service->name;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        if (!now.running)
                return err_fail(err, ERR_ANSWER_NO, "%s does not run", name);
        if (!release->reference || !now.commit || str_equal(now.commit, release->reference))
                return true;
        return err_fail(err, ERR_ANSWER_NO, "%s runs commit %.7s, not %.7s (%s)", name, now.commit,
                release->reference, release->version);
}

bool check_reference(const World *world, const Release *release, Err *err) {
        return check_commit(world, release, err) && check_installed(world, release, err);
}

bool check_installed(const World *world, const Release *release, Err *err) {
        const char *name = world->service->name;
        if (!installed_can(&world->service->installed) || !release->version)
                return true;
        scoped(looking_done) Looking looking = {0};
        scoped(free_str) char *says = NULL;
        if (!looking_open(world, release, &looking, err) ||
                !installed_ask(&world->service->installed, &looking.check, &says, err))
                return err_context(err, "asking %s for its version", name);
        if (str_equal(says, release->tag) || version_same(says, release->version))
                return true;
        return err_fail(err, ERR_ANSWER_NO, "%s says that it is version %s, not %s", name, says,
                release->version);
}

static void observe_gap(StepContext *context, World *world) {
        int64_t longest = -1, sum = -1;
        if (!world->prober)
                return;
        prober_read(world->prober, &longest, &sum);
        prober_stop(&world->prober);
        if (sum >= 0) {
                js_set_int(context->observed, "gap_ms", sum);
                js_set_int(context->observed, "longest_gap_ms", longest);
        }
}

/* -- verify -- */

/* When all died at once, a power cut or a kill of everything, the service's death says nothing about the
 * new version: it is started again, and looked at from the beginning. */
static bool start_after_death(const StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!context->recovering)
                return true;
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        return now.running || start_release(world, &world->to, err);
}

static bool verify_apply(StepContext *context, Err *err) {
        World *world = context->world;
        if (!start_after_death(context, err))
                return false;
        LogPlace place = {0};
        log_place_from_json(js_get(world_facts(world, "start"), "log_place"), &place);
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        if (!world_ask_checks(
                    world, &(Ask){.release = &world->to, .log_from = &place}, &outcome, err) ||
                !check_reference(world, &world->to, err))
                return false;
        js_set(context->observed, "checks", checks_outcome_to_json(&outcome));
        observe_gap(context, world);
        scoped(free_str) char *print = NULL;
        if (!backup_fingerprint(world->service, &print, err))
                return false;
        js_set_str(context->observed, "fingerprint", print);
        return true;
}

const Step step_verify = {
        .name = "verify",
        .title = "Verify",
        .phase = PHASE_VERIFY,
        .flags = STEP_READ_ONLY,
        .apply = verify_apply,
};

/* -- monitor -- */

typedef struct Watching {
        StepContext *step;
        const World *world;
        unsigned restarts_before, oom_before;
} Watching;

static bool sample(void *context, ProcessSample *ret, Err *err) {
        const Watching *watching = context;
        const World *world = watching->world;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        const RuntimeContext whole = world_runtime_whole(world);
        if (!world->runtime->inspect(&whole, &now, err))
                return false;
        *ret = (ProcessSample){
                .running = now.running,
                .restarts = now.restarts - watching->restarts_before,
                .oom_kills = now.oom_kills - watching->oom_before,
                .memory_bytes = now.memory_bytes,
                .memory_limit = now.memory_limit,
                .cpu_ms = (int64_t)now.cpu_ms,
        };
        if (!now.running && now.last_exit_known)
                ret->gone = str_format("the process exited with status %d", now.last_exit);
        return true;
}

static void show_watch(void *context, int64_t left_ms, const char *text) {
        const Watching *watching = context;
        json_t *fields = json_object();
        js_set_int(fields, "left_ms", left_ms);
        js_set_str(fields, "text", text);
        if (watching->step->events)
                events_add(watching->step->events, "watch", fields);
        else
                json_decref(fields);
}

static void load_baseline(const World *world, MonitorBaseline *ret) {
        scoped(free_str) char *path = world_undo_file(world, "baseline.json");
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        /* Without a baseline the watch only knows what is wrong in itself. */
        if (!file_read_if(path, LIMIT_STATE_FILE, &text, &bytes, NULL) || !text)
                return;
        scoped(js_freep) json_t *object = js_parse(text, bytes, path, NULL);
        monitor_baseline_from_json(object, ret);
}

static bool judge(const MonitorResult *result, StepContext *context, Err *err) {
        if (result->verdict == MONITOR_ROLL_BACK)
                return err_fail(err, ERR_ANSWER_NO, "%s", result->reason);
        if (result->verdict == MONITOR_INCONCLUSIVE) {
                err_fail(err, ERR_INCONCLUSIVE, "the watch is inconclusive: %s", result->reason);
                return false;
        }
        js_set(context->observed, "monitor", monitor_result_to_json(result));
        return true;
}

/* A watch that goes on after the death of its runner begins with a service that is verified. */
static bool verify_again(const StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        LogPlace place = {0};
        if (!context->recovering)
                return true;
        log_place_from_json(js_get(world_facts(world, "start"), "log_place"), &place);
        return start_after_death(context, err) &&
               world_ask_checks(
                       world, &(Ask){.release = &world->to, .log_from = &place}, &outcome, err);
}

static bool monitor_apply(StepContext *context, Err *err) {
        World *world = context->world;
        scoped(looking_done) Looking looking = {0};
        scoped(runtime_status_done) RuntimeStatus now = {0};
        scoped(monitor_baseline_done) MonitorBaseline baseline = {0};
        const RuntimeContext whole = world_runtime_whole(world);
        if (!verify_again(context, err) || !looking_open(world, &world->to, &looking, err) ||
                !world->runtime->inspect(&whole, &now, err))
                return false;
        load_baseline(world, &baseline);
        looking.check.cancel = world->watch_cancel;
        Watching watching = {context, world, now.restarts, now.oom_kills};
        MonitorWatch watch = {
                .spec = &world->service->monitor,
                .checks = world->service->checks,
                .n_checks = world->service->n_checks,
                .baseline = &baseline,
                .context = &looking.check,
                .process = sample,
                .process_context = &watching,
                .progress = show_watch,
                .progress_context = &watching,
        };
        log_place_from_json(js_get(world_facts(world, "start"), "log_place"), &watch.log_from);
        scoped(monitor_result_done) MonitorResult result = {0};
        if (monitor_watch(&watch, &result, err))
                return judge(&result, context, err);
        if (err->code != ERR_CANCELLED || !world->accepted || !*world->accepted)
                return false;
        err_clear(err);
        js_set_str(context->observed, "accepted", "a person ended the watch");
        return true;
}

const Step step_monitor = {
        .name = "monitor",
        .title = "Watch",
        .phase = PHASE_MONITOR,
        .flags = STEP_READ_ONLY,
        .apply = monitor_apply,
};

/* -- verify-old: after going back, the old version must really run -- */

/* With --accept-unhealthy only those checks must pass that passed before. */
static Strv passed_before(const World *world) {
        Strv titles = NULL;
        const json_t *checks = js_get(world_observed(world, "preflight"), "passed");
        size_t i;
        json_t *title;
        json_array_foreach(checks, i, title) if (json_is_string(title))
                strv_add(&titles, json_string_value(title));
        return titles;
}

static bool ask_old(StepContext *context, Strv only, Err *err) {
        World *world = context->world;
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        LogPlace place = {0};
        log_place_from_json(js_get(world_facts(world, "stop"), "log_place"), &place);
        if (!world_ask_checks(world,
                    &(Ask){.release = &world->from, .log_from = &place, .only = only}, &outcome,
                    err) ||
                !check_reference(world, &world->from, err))
                return false;
        js_set(context->observed, "checks", checks_outcome_to_json(&outcome));
        observe_gap(context, world);
        return true;
}

enum { OLD_TRIES_MAX = 3 };

/* Where no check passed before, none has to now; that it runs, and is what ran before, is asked all the same. */
static bool old_is_back(StepContext *context, Strv only, Err *err) {
        World *world = context->world;
        if (!world->options.accept_unhealthy || only || world->service->n_checks == 0)
                return ask_old(context, only, err);
        if (!check_commit(world, &world->from, err))
                return false;
        js_set_str(context->observed, "note", "it runs; no check passed before either");
        return true;
}

static bool is_gone(const World *world) {
        scoped(runtime_status_done) RuntimeStatus now = {0};
        return world->runtime->inspect(&world->runtime_at, &now, NULL) && !now.running;
}

/* Nothing is behind this: a service that was killed meanwhile, maybe with its keeper, is started again
 * before a person is called. */
static bool verify_old_apply(StepContext *context, Err *err) {
        World *world = context->world;
        if (!js_bool(world_facts(world, "stop"), "was_running", true)) {
                js_set_str(context->observed, "note", "it did not run before, and does not now");
                return true;
        }
        scoped(strv_freep) Strv only =
                world->options.accept_unhealthy ? passed_before(world) : NULL;
        for (int tries = 1;; tries++) {
                if (is_gone(world) && !start_release(world, &world->from, err))
                        return false;
                if (old_is_back(context, only, err))
                        return true;
                if (tries == OLD_TRIES_MAX || !is_gone(world))
                        return false;
                err_clear(err);
        }
}

const Step step_verify_old = {
        .name = "verify-old",
        .title = "Verify the old version",
        .phase = PHASE_ROLLBACK,
        .flags = STEP_AFTER_UNDO | STEP_READ_ONLY,
        .apply = verify_old_apply,
};

/* -- remember-bad: marked before anything is undone -- */

/* A version is bad when it failed itself; a full disk or a person's cancel says nothing about it. */
static bool blames_version(const RunState *run) {
        const StepRecord *failed = run_failed_step(run);
        static const char *const telling[] = {
                "migrate", "start", "migrate-after", "verify", "monitor"};
        if (!failed || !failed->error || !str_equal(js_str(run->rollback, "cause"), "failed"))
                return false;
        ErrCode code = err_code_of_name(js_str(failed->error, "code"));
        bool its_own = code == ERR_ANSWER_NO || code == ERR_TOOL || code == ERR_TIMEOUT ||
                       code == ERR_REFUSED;
        for (size_t i = 0; i < COUNT_OF(telling); i++)
                if (str_equal(failed->name, telling[i]))
                        return its_own;
        return false;
}

static bool mark_bad(const World *world, const StepRecord *failed, Err *err) {
        return bad_mark(world->state, world->service->name, &world->to, world->run,
                js_str(failed->error, "message"), err);
}

bool remember_bad_again(const World *world, const RunState *run, Err *err) {
        const StepRecord *failed = run_failed_step(run);
        if (!failed || !js_bool(world_observed(world, "remember-bad"), "unmarked", false))
                return true;
        return mark_bad(world, failed, err);
}

static bool remember_bad_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        if (!blames_version(context->run))
                return true;
        const StepRecord *failed = run_failed_step(context->run);
        js_set_bool(context->observed, "bad", true);
        scoped(err_clear) Err why = {0};
        (void)err;
        /* A full disk must not stop the way back for the sake of a note: it is made at the end, with room again. */
        if (!mark_bad(world, failed, &why)) {
                js_set_bool(context->observed, "unmarked", true);
                js_set_str(context->observed, "warning", why.message);
        }
        return true;
}

const Step step_remember_bad = {
        .name = "remember-bad",
        .title = "Remember the version as bad, if it is to blame",
        .phase = PHASE_ROLLBACK,
        .flags = STEP_BEFORE_UNDO | STEP_REDO_SAFE,
        .apply = remember_bad_apply,
};
