#include "update/again.h"

#include "base/own.h"
#include "update/runs.h"

static bool refuse_later_run(const World *world, Err *err) {
        scoped(run_done) Run newest = {0};
        const char *name = world->service->name;
        bool found = false;
        if (!run_newest(world->state, name, &newest, &found, err))
                return false;
        if (!found || newest.number == world->run)
                return true;
        err_fail(err, ERR_REFUSED, "run #%u of %s came after run #%u, which cannot go on any more",
                newest.number, name, world->run);
        return err_hint(
                err, "`belay runs %s` lists them; `belay update %s` begins a new one.", name, name);
}

static bool was_begun(const StepRecord *step) { return step && step->attempts > 0; }

/* Between the stop and the start of either version: data is changed there that nobody may have open. */
static bool meant_stopped(const RunState *run) {
        const StepRecord *stop = run_state_step(run, "stop", NULL);
        const StepRecord *start = run_state_step(run, "start", NULL);
        if (!was_begun(stop) || stop->undo == STEP_DONE)
                return false;
        return !was_begun(start) || start->undo == STEP_DONE;
}

bool again_check(const World *world, const RunState *run, Err *err) {
        const char *name = world->service->name;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!refuse_later_run(world, err))
                return false;
        if (!meant_stopped(run))
                return true;
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        if (!now.running)
                return true;
        err_fail(err, ERR_REFUSED, "%s runs, and run #%u would change its data", name, world->run);
        return err_hint(err, "Stop it first: belay stop %s", name);
}
