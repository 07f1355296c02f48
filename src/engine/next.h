/*
 * What a run does next: a pure function of what its journal says and of the flags of its steps. A run
 * that goes on and one that is recovered are decided by the same table, so that a crash between any
 * two records changes nothing.
 */
#ifndef BELAY_ENGINE_NEXT_H
#define BELAY_ENGINE_NEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"

typedef enum ActionKind {
        ACT_NOTHING, /* the run has ended */
        ACT_WAIT,    /* a person decides */
        ACT_ARM,     /* the next step is the first that touches the service */
        ACT_COMMIT,
        ACT_STEP,   /* begin this step */
        ACT_ASK,    /* a dead runner left this step open: ask what is really so */
        ACT_DECIDE, /* this step failed after ARM: the story says which way */
        ACT_UNDO,   /* begin this undo */
        ACT_END,
} ActionKind;

typedef struct Action {
        ActionKind kind;
        size_t step; /* index in the plan: STEP, ASK, DECIDE, UNDO; ARM: of the step behind it */
        RunEnd end;  /* END */
        const char *why; /* END with RUN_NEEDS_PERSON: what went wrong; static */
} Action;

/* `steps` has the Step of each step of the plan, in the plan's order. `abort`: before ARM the run is to
 * end (cancelled, or recovered); after ARM it has no meaning. */
Action engine_next(const RunState *run, const Step *const *steps, bool abort);

/* Whether the step belongs to the way forward. */
bool step_runs_forward(const Step *step);
/* Whether its apply was begun: a step whose prepare failed was not, and has nothing to undo. */
bool step_was_begun(const StepRecord *record);
/* How often it was begun since the run began, or since a person let it go on. */
unsigned step_attempts(const StepRecord *record);

#endif
