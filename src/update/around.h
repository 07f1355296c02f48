/*
 * What a manifest has done and asked around an update: hooks, and whether the service is busy.
 *
 * A hook is a program of the service's directory, run as the service's user with the env file's settings,
 * BELAY_HOOK, BELAY_PHASE, BELAY_KIND, BELAY_SERVICE, BELAY_RUN_ID, BELAY_VERSION, BELAY_TAG, BELAY_REFERENCE,
 * BELAY_PREVIOUS_VERSION and BELAY_STATE in its environment, and the same as a JSON object on its standard
 * input. Each is a step of its own: "before-quiesce", "after-verify". It may run a second time, when Belay died
 * while it ran.
 */
#ifndef BELAY_UPDATE_AROUND_H
#define BELAY_UPDATE_AROUND_H

#include "engine/engine.h"
#include "update/plan.h"
#include "update/world.h"

enum { BUSY_EXIT_STATUS = 75 }; /* of a busy command or a hook: not now */

/* The steps before and after each phase. `before-quiesce` and what is before it come before ARM; `before-finish`
 * and `after-finish` after COMMIT; those of rollback run when a run goes back by itself. */
extern const Step hook_steps[PHASE_COUNT][2];
/* All of them, for a story's table. */
#define HOOK_STEPS_OF(phase) &hook_steps[phase][0], &hook_steps[phase][1]
#define HOOK_STEPS                                                                                 \
        HOOK_STEPS_OF(PHASE_PREFLIGHT), HOOK_STEPS_OF(PHASE_FETCH), HOOK_STEPS_OF(PHASE_BACKUP),   \
                HOOK_STEPS_OF(PHASE_REHEARSE), HOOK_STEPS_OF(PHASE_QUIESCE),                       \
                HOOK_STEPS_OF(PHASE_PLACE), HOOK_STEPS_OF(PHASE_MIGRATE),                          \
                HOOK_STEPS_OF(PHASE_START), HOOK_STEPS_OF(PHASE_VERIFY),                           \
                HOOK_STEPS_OF(PHASE_MONITOR), HOOK_STEPS_OF(PHASE_FINISH),                         \
                HOOK_STEPS_OF(PHASE_ROLLBACK)
/* Puts the service's hooks around the phases that the plan has, and the question whether it is busy last before
 * the first that stops it, and the wait for its time in front of all. To be called when all other lines are there. */
bool plan_add_around(Plan *plan, const World *world, Err *err);

/* One question; *ret_why owned, NULL: not busy. ERR_TOOL, ERR_TIMEOUT: there is no answer. */
bool busy_ask(const World *world, const Looking *looking, char **ret_why, Err *err);
/* When a run with --at or --in-window may begin; now, when its window is open. */
bool wait_until_ms(const World *world, int64_t *ret_ms, Err *err);
extern const Step step_wait; /* the first of all, holds no locks meanwhile */
extern const Step step_busy; /* asks again until it is not, or for busy.for: ERR_BUSY */

#endif
