/* Hooks and the question whether the service is busy, put between the lines of a plan. */
#include "base/own.h"
#include "base/units.h"
#include "platform/clock.h"
#include "update/around.h"

/* What is put between is no part of the phase that it is put in front of. */
static bool is_between(const Step *step) {
        return step == &step_busy || step == &step_wait ||
               (step >= &hook_steps[0][0] && step <= &hook_steps[PHASE_COUNT - 1][1]);
}

static bool is_forward(const Step *step) {
        return step->phase != PHASE_ROLLBACK &&
               !(step->flags & (STEP_BEFORE_UNDO | STEP_AFTER_UNDO));
}

static bool find_phase(const Plan *plan, Phase phase, size_t *ret_first, size_t *ret_end) {
        bool found = false;
        for (size_t i = 0; i < plan->n_lines; i++) {
                const Step *step = plan->lines[i].step;
                if (step->phase != phase || is_between(step) ||
                        (phase != PHASE_ROLLBACK && !is_forward(step)))
                        continue;
                *ret_first = found ? *ret_first : i;
                *ret_end = i + 1;
                found = true;
        }
        return found;
}

static void add_hook(Plan *plan, size_t at, const Step *step, char *const *command) {
        scoped(free_str) char *words = strv_join(command, " ");
        plan_insert(plan, at, step, str_format("%s: %.60s", step->name, words));
}

static void add_busy(Plan *plan, const World *world, size_t at) {
        const BusySpec *busy = &world->service->busy;
        scoped(free_str) char *how_long = duration_text(busy->for_ms);
        if (busy->command || busy->lock_file)
                plan_insert(plan, at, &step_busy,
                        str_format("wait until it is not busy (up to %s)", how_long));
}

static bool add_wait(Plan *plan, const World *world, Err *err) {
        int64_t until = 0;
        if (!wait_until_ms(world, &until, err))
                return false;
        scoped(free_str) char *when = time_text(until);
        if (until > clock_wall_ms())
                plan_insert(plan, 0, &step_wait, str_format("wait until %s", when));
        return true;
}

/* From the last phase to the first, so that places found are still right. */
bool plan_add_around(Plan *plan, const World *world, Err *err) {
        for (size_t i = PHASE_COUNT; i-- > 0;) {
                Phase phase = (Phase)i;
                char *const *before = world->service->hooks.commands[phase][0];
                char *const *after = world->service->hooks.commands[phase][1];
                size_t first = 0, end = 0;
                if (!find_phase(plan, phase, &first, &end))
                        continue;
                if (after)
                        add_hook(plan, end, &hook_steps[phase][1], after);
                if (before)
                        add_hook(plan, first, &hook_steps[phase][0], before);
                if (phase == PHASE_QUIESCE)
                        add_busy(plan, world, first);
        }
        return add_wait(plan, world, err);
}
