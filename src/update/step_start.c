/* Quiesce and start: the service is stopped and started, through its runtime. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "check/monitor.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/steps.h"

enum { LEFTOVERS_WITHIN_MS = 30000 };

bool end_leftovers(void *world, Err *err) {
        const World *w = world;
        return process_sweep("BELAY_RUN", w->mark, 0, clock_now_ms() + LEFTOVERS_WITHIN_MS, err);
}

void let_finish(void *world) {
        Wishes *wishes = ((World *)world)->wishes;
        if (!wishes)
                return;
        wishes->deaf = 1;
        wishes->steps.requested = 0;
}

void tell_keeper(void *world, bool armed) {
        const World *w = world;
        const ProcessId me = process_self();
        /* The guard stays until the runner has written its result and lifts it: a run that dies while it
         * finishes is finished, too. Without a guard it is still recovered, at the next boot or by hand. */
        if (armed)
                (void)w->runtime->guard(&w->runtime_at, w->run, &me, NULL);
}

bool start_request(const World *world, const Release *release, char **ret_directory,
        StartRequest *ret, Err *err) {
        const Service *service = world->service;
        if (!world->source->runs_in(&world->source_at, ret_directory, err))
                return err_context(err, "starting %s", service->name);
        *ret = (StartRequest){
                .directory = *ret_directory,
                .version = release->version,
                .commit = release->reference,
                .tag = release->tag,
                .previous_version = release == &world->to ? world->from.version : world->to.version,
                .env_file = service->configuration.env_file,
        };
        return true;
}

bool start_release(const World *world, const Release *release, Err *err) {
        const Service *service = world->service;
        scoped(free_str) char *directory = NULL;
        StartRequest request = {0};
        if (!start_request(world, release, &directory, &request, err))
                return false;
        if (!world->runtime->start(&world->runtime_at, &request, err))
                return err_context(err, "starting %s %s", service->name,
                        release->version ? release->version : "");
        return true;
}

/* -- stop -- */

/* What is usual is recorded while the old version serves; the watch compares with it. */
static bool save_baseline(const World *world, const RuntimeStatus *now, json_t *facts, Err *err) {
        scoped(looking_done) Looking looking = {0};
        if (!looking_open(world, &world->from, &looking, err))
                return false;
        LogPlace place = {0};
        (void)looking.log.end(looking.log.context, &place, NULL);
        js_set(facts, "log_place", log_place_to_json(&place));
        scoped(monitor_baseline_done) MonitorBaseline baseline = {0};
        const MonitorWatch watch = {
                .spec = &world->service->monitor,
                .checks = world->service->checks,
                .n_checks = now->running && world->service->monitor.for_ms
                                    ? world->service->n_checks
                                    : 0,
                .context = &looking.check,
        };
        monitor_baseline_take(&watch, &baseline);
        scoped(js_freep) json_t *object = monitor_baseline_to_json(&baseline);
        scoped(free_str) char *text = js_line(object);
        scoped(free_str) char *path = world_undo_file(world, "baseline.json");
        return file_write_durable(path, text, strlen(text), 0600, err);
}

/* Did it run before this run? One that has just crashed and whose keeper is about to start it again did: without
 * --accept-unhealthy preflight saw it serve. A second attempt finds it stopped by the first. */
static bool ran_before(const World *world, const RuntimeStatus *now) {
        return now->running || js_bool(world_facts(world, "stop"), "was_running", false) ||
               (now->wanted_running && !world->options.accept_unhealthy);
}

static bool stop_prepare(StepContext *context, Err *err) {
        World *world = context->world;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        js_set_bool(context->facts, "was_running", ran_before(world, &now));
        if (now.running)
                js_set(context->facts, "process", process_to_json(&now.main));
        /* All that can be saved now is not saved while nothing serves. */
        if (!save_baseline(world, &now, context->facts, err) ||
                !backups_save_migrations(world, err))
                return false;
        if (!world->prober)
                world->prober = prober_start(world->service);
        return true;
}

static bool stop_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        int64_t began = clock_now_ms();
        bool forced = false;
        if (!world->runtime->stop(
                    &world->runtime_at, world->service->stop_timeout_ms, &forced, err))
                return err_context(err, "stopping %s", world->service->name);
        js_set_int(context->observed, "took_ms", clock_now_ms() - began);
        js_set_bool(context->observed, "forced", forced);
        return true;
}

/* Lets the load back on: the old version, as it ran before. */
static bool stop_undo(StepContext *context, Err *err) {
        const World *world = context->world;
        if (!js_bool(context->facts, "was_running", true))
                return true;
        return start_release(world, &world->from, err);
}

static bool stop_observe(StepContext *context, StepTruth *ret, Err *err) {
        const World *world = context->world;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        /* Crashed is not stopped: its keeper would start it again in the middle of the change. */
        *ret = now.running || now.wanted_running ? TRUTH_NOT_APPLIED : TRUTH_APPLIED;
        return true;
}

const Step step_stop = {
        .name = "stop",
        .title = "Stop the old version",
        .phase = PHASE_QUIESCE,
        .flags = STEP_INTERRUPTS | STEP_REDO_SAFE,
        .prepare = stop_prepare,
        .apply = stop_apply,
        .undo = stop_undo,
        .observe = stop_observe,
};

/* -- start -- */

static bool start_prepare(StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(looking_done) Looking looking = {0};
        if (!looking_open(world, &world->to, &looking, err))
                return false;
        LogPlace place = {0};
        (void)looking.log.end(looking.log.context, &place, NULL);
        js_set(context->facts, "log_place", log_place_to_json(&place));
        return true;
}

static bool start_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        if (!start_release(world, &world->to, err))
                return false;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        js_set(context->observed, "process", process_to_json(&now.main));
        return true;
}

static bool start_undo(StepContext *context, Err *err) {
        World *world = context->world;
        /* Verify has ended the first measurement; going back is a second time without service. */
        if (!world->prober)
                world->prober = prober_start(world->service);
        return world->runtime->stop(&world->runtime_at, world->service->stop_timeout_ms, NULL, err);
}

static bool start_observe(StepContext *context, StepTruth *ret, Err *err) {
        const World *world = context->world;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        bool is_new = now.running && str_equal(now.commit, world->to.reference);
        *ret = is_new ? TRUTH_APPLIED : now.running ? TRUTH_DRIFT : TRUTH_NOT_APPLIED;
        return true;
}

const Step step_start = {
        .name = "start",
        .title = "Start the new version",
        .phase = PHASE_START,
        .flags = STEP_REDO_SAFE,
        .prepare = start_prepare,
        .apply = start_apply,
        .undo = start_undo,
        .observe = start_observe,
};
