/* Wait: for the time that a person named (--at), or for a window to open (--in-window). No locks are held
 * meanwhile: the service may be started, stopped and backed up. Then everything is looked at again, and what is
 * done is what was planned, or nothing. */
#include <time.h>

#include "base/own.h"
#include "base/units.h"
#include "manifest/manifest.h"
#include "platform/clock.h"
#include "update/around.h"
#include "update/backups.h"
#include "update/path.h"
#include "update/times.h"

enum { TICK_MS = 1000, LOOK_AGAIN_TICKS = 60, LOCK_WAIT_MS = 10 * 60 * 1000 };

/* ---- until when ---- */

bool wait_until_ms(const World *world, int64_t *ret_ms, Err *err) {
        Opening opening = {0};
        int64_t now = clock_wall_ms();
        *ret_ms = world->options.at_ms;
        if (!world->options.in_window)
                return true;
        if (!times_look(world->service, now, &opening, err))
                return false;
        if (opening.opens_at == INT64_MAX) {
                err_fail(err, ERR_REFUSED, "no window opens within two years");
                return err_hint(err, "Look at `windows` and `freeze` in the manifest.");
        }
        *ret_ms = opening.open ? now : opening.opens_at * 1000;
        return true;
}

/* It is asked again and again: the wall clock may be set, and windows open by it. */
static bool sleep_until(const World *world, int64_t until, Err *err) {
        for (unsigned tick = 1; clock_wall_ms() < until; tick++) {
                int64_t left = until - clock_wall_ms();
                const struct timespec pause = {
                        .tv_sec = left >= TICK_MS, .tv_nsec = left < TICK_MS ? left * 1000000 : 0};
                /* A signal ends it early; one that comes just before it costs a second. */
                (void)nanosleep(&pause, NULL);
                if (world->cancel && world->cancel->requested)
                        return err_fail(err, ERR_CANCELLED, "cancelled while it waited");
                if (tick % LOOK_AGAIN_TICKS == 0 && !wait_until_ms(world, &until, err))
                        return false;
        }
        return true;
}

/* ---- is it still what a person agreed to? ---- */

static bool plan_again(World *world, World *again, Plan *plan, Err *err) {
        Service *service = NULL;
        if (!manifest_load(world->service->manifest_path, &service, err) ||
                !world_open(world->state, service, again, err))
                return false;
        again->options = world->options;
        again->options.at_ms = 0;
        again->options.in_window = false;
        again->run = world->run;
        return plan_update(again, path_target(world)->version, plan, err) && plan_ok(plan, err);
}

static bool both_say(const json_t *one, const json_t *other) {
        return one && other ? json_equal(one, other) : !one && !other;
}

/* Which data there is, and what the release needs, is no part of the plan's id; recovery knows it from the journal. */
static bool is_same(const World *world, const World *again, const Plan *plan) {
        const json_t *planned = world->run_state->plan;
        scoped(js_freep) json_t *contents = service_contents_to_json(again->service);
        return !plan->nothing && str_equal(plan->id, js_str(planned, "plan")) &&
               both_say(contents, js_get(planned, "contents")) &&
               both_say(again->needs, js_get(planned, "release"));
}

/* What was seen when it was planned says nothing any more; what was seen just now, under the locks, does. */
static void take_what_was_seen(World *world, World *again) {
        json_decref(world->preflight);
        world->preflight = TAKE(again->preflight);
        backups_forget_plan(world);
}

static bool is_still_planned(World *world, Err *err) {
        scoped(world_done) World again = {.cancel = world->cancel};
        scoped(plan_done) Plan plan = {0};
        if (!plan_again(world, &again, &plan, err))
                return false;
        if (is_same(world, &again, &plan)) {
                take_what_was_seen(world, &again);
                return true;
        }
        err_fail(err, ERR_REFUSED, "%s: the time came, and the plan is another now%s%s",
                world->service->name, plan.nothing ? ": " : "", plan.nothing ? plan.nothing : "");
        err_reason(err, reason_code(REASON_PLAN_CHANGED));
        return err_hint(err,
                "What is installed, its data, the manifest or the version has changed meanwhile. "
                "Look at `belay plan %s %s`.",
                world->service->name, world->to.version);
}

/* ---- the step ---- */

static bool wait_prepare(StepContext *context, Err *err) {
        int64_t until = 0;
        if (!wait_until_ms(context->world, &until, err))
                return false;
        js_set_int(context->facts, "until", until);
        return true;
}

static void tell(const StepContext *context, int64_t until) {
        scoped(free_str) char *when = time_text(until);
        json_t *fields = json_object();
        js_set_str(fields, "step", context->step);
        js_set(fields, "text", json_sprintf("waits until %s", when));
        events_add(context->events, "note", fields);
}

static bool wait_apply(StepContext *context, Err *err) {
        World *world = context->world;
        int64_t began = clock_now_ms(), until = js_int(context->facts, "until", 0);
        int64_t patience = world->options.wait_lock_ms;
        tell(context, until);
        world->let_locks_go(world->lock_holder);
        bool waited = sleep_until(world, until, err);
        js_set_int(context->observed, "waited_ms", clock_now_ms() - began);
        if (!waited || !world->take_locks_again(world->lock_holder,
                               patience > LOCK_WAIT_MS ? patience : LOCK_WAIT_MS, err))
                return false;
        return is_still_planned(world, err);
}

const Step step_wait = {
        .name = "wait",
        .title = "Wait until its time has come",
        .phase = PHASE_PREFLIGHT,
        .flags = STEP_READ_ONLY,
        .prepare = wait_prepare,
        .apply = wait_apply,
};
