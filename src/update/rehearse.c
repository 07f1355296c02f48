/*
 * `belay rehearse`: an update up to where it would begin to touch the service, with nothing kept. It has no ARM: when
 * it dies, what it made is cleared away.
 */
#include "base/own.h"
#include "update/steps.h"
#include "update/stories.h"

static const Step *const rehearse_steps[] = {
        &step_preflight,
        &step_fetch,
        &step_build,
        &step_backup,
        &step_prove,
        &step_rehearse,
        &step_leave,
};

const Story rehearse_story = {
        .kind = "rehearse",
        .steps = rehearse_steps,
        .n_steps = COUNT_OF(rehearse_steps),
        .decide = decide_rollback,
        .end_leftovers = end_leftovers,
        .armed = tell_keeper,
        .beyond_cancel = let_finish,
};
