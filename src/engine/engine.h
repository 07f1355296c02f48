/*
 * Runs a plan, undoes it, recovers it. It knows steps and the journal and nothing about services.
 *
 * For each step, in the order of the plan:
 *     1. prepare: looks, and gathers what its undo will need (facts); may save files below runs/<n>/undo/.
 *        Once only: a step that is begun again after a crash keeps the facts of its first intent. When it
 *        fails, the step has not been begun and is not undone
 *     2. INTENT with these facts, durably
 *     3. apply
 *     4. DONE with what was observed, durably
 * ARM is written before the first step of a phase from quiesce on; COMMIT before the first step of
 * finish (or at the end). A failure before ARM undoes what was begun and ends the run as aborted;
 * between ARM and COMMIT the story decides (revert, restore, or wait for a person), ROLLBACK is
 * written with its decision, and every begun step is undone in reverse under the same rule. After
 * COMMIT a failure is a warning: the run is succeeded with something left to do.
 *
 * Steps flagged BEFORE_UNDO run after ROLLBACK and before the first undo (bad is marked before);
 * those flagged AFTER_UNDO run when all is undone (the old version is verified); neither runs
 * in an update that succeeds. They are part of the plan and journaled like others, and are not undone.
 * BEFORE_UNDO that fails is a warning; AFTER_UNDO that fails needs a person (exit 4), unless it is
 * IN_BOTH (the report), which runs at every end but drift found by recovery.
 *
 * After a crash engine_recover() does the same from the journal alone. The engine calls exit paths
 * nowhere: when the journal cannot be written, it returns ERR_IO at once with journal_dead() true.
 */
#ifndef BELAY_ENGINE_ENGINE_H
#define BELAY_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"
#include "journal/events.h"
#include "journal/journal.h"
#include "journal/run_state.h"
#include "model/phase.h"
#include "platform/process.h"

enum {
        ENGINE_ATTEMPTS_MAX = 3,     /* of one step in one direction */
        ENGINE_EXTRA_BEGUN_MAX = 32, /* INTENTs beyond two for each step of the plan */
};

typedef enum StepFlag {
        STEP_READ_ONLY = 1 << 0,  /* changes nothing: not undone, simply done again */
        STEP_INTERRUPTS = 1 << 1, /* interrupts service; for the plan's display */
        STEP_REDO_SAFE = 1 << 2,  /* half applied may be applied again from the start */
        STEP_BEFORE_UNDO = 1 << 3,
        STEP_AFTER_UNDO = 1 << 4,
        STEP_IN_BOTH = 1 << 5, /* with AFTER_UNDO: also runs forward (the report) */
        STEP_RESTORES =
                1 << 6, /* INTENT without DONE always means: restore the data (migrations) */
} StepFlag;

typedef enum StepTruth {
        TRUTH_NOT_APPLIED,
        TRUTH_PARTLY,
        TRUTH_APPLIED,
        TRUTH_UNKNOWN, /* a dependency does not answer */
        TRUTH_DRIFT,   /* somebody else changed the service */
} StepTruth;

typedef struct StepContext {
        void *world;            /* the story's own */
        const char *instance;   /* NULL: none */
        json_t *facts;          /* prepare fills it; apply, undo, observe read what was journaled */
        json_t *observed;       /* apply and undo may add to it: becomes part of DONE */
        const json_t *decision; /* undo, BEFORE_UNDO and AFTER_UNDO steps: what the story decided */
        const RunState *run;
        unsigned attempt;  /* from 1 */
        bool recovering;   /* this process did not begin the run */
        bool forward_done; /* undo: the apply was DONE (else it may have stopped halfway) */
        Events *events;
        const char *step;     /* its name */
        const Cancel *cancel; /* apply of a long step looks at it; undo ignores it */
} StepContext;

typedef struct Step {
        const char *name;  /* in the journal: never renamed, never reused */
        const char *title; /* for people */
        Phase phase;
        unsigned flags;
        bool (*prepare)(StepContext *context, Err *err); /* optional */
        bool (*apply)(StepContext *context, Err *err);
        bool (*undo)(StepContext *context, Err *err); /* optional: nothing to undo */
        /* What is really so, of a step that was left open. Optional: PARTLY is assumed. */
        bool (*observe)(StepContext *context, StepTruth *ret, Err *err);
} Step;

typedef enum RollbackCause { CAUSE_FAILED, CAUSE_CANCELLED, CAUSE_INTERRUPTED } RollbackCause;

/* Why it goes back. `step` is the one that failed or was left open, NULL when between steps. */
typedef struct RollbackReason {
        RollbackCause cause;
        const char *step;
} RollbackReason;

typedef struct Story {
        const char *kind;         /* "update", "rollback", "restore" */
        const Step *const *steps; /* every step that may be in a plan of this kind */
        size_t n_steps;
        /* Which way back. Fills `decision` (journaled in ROLLBACK, given to the undos), or sets *ret_wait
         * and describes in it what a person must choose (journaled in WAIT). Must be able to answer from
         * the journal and the world. */
        bool (*decide)(void *world, const RunState *run, const RollbackReason *reason,
                json_t *decision, bool *ret_wait, Err *err);
        /* Recovery, first of all: ends what the dead runner left behind; two scans must agree. */
        bool (*end_leftovers)(void *world, Err *err);
        /* Called before ARM is journaled and after an OWNER record: tells the keeper whom to watch. Optional. */
        void (*armed)(void *world, bool armed);
        /* Called before each undo, before each step while it goes back, and before each step after COMMIT:
         * from here on nobody cancels, and what a signal asked before must not stop it. Optional. */
        void (*beyond_cancel)(void *world);
} Story;

/* Milliseconds between tries. A table of zeros is for tests. */
typedef struct EnginePauses {
        int64_t undo_ms[ENGINE_ATTEMPTS_MAX - 1]; /* after an undo that failed */
        int64_t unknown_ms[8]; /* while a dependency does not answer; about a minute */
} EnginePauses;

typedef struct Engine {
        const Story *story;
        void *world;
        Journal *journal;
        RunState *run; /* folded from what the journal held; kept up to date by the engine */
        Events *events;
        /* Set by a signal or a request: 2 is Ctrl-C, which counts until verify has passed; 1 is `belay cancel`,
         * which counts until COMMIT. May be NULL. */
        const Cancel *cancel;
        const EnginePauses *pauses; /* NULL: the usual ones */
        /* Recovery: a person has looked at a run that needs one, and lets it go on. What was tried before does
         * not count; an undo that stopped at drift looks again. */
        bool again;
} Engine;

typedef enum RunWish {
        WISH_FINISH, /* resume: forward when that is safe, else back */
        WISH_UNDO,   /* cancel, or a person's rollback of a waiting run */
        WISH_ACCEPT, /* COMMIT now; of a step that waited for a person: it is done */
} RunWish;

typedef struct RunOutcome {
        RunEnd end;        /* RUN_OPEN: it waits for a person */
        int exit_status;   /* of spec/cli.md */
        Err failure;       /* why it was rolled back, aborted or waits; empty when it succeeded */
        char *failed_step; /* owned, or NULL */
        Strv unfinished;   /* what finish left undone: exit 9 */
} RunOutcome;
void run_outcome_done(RunOutcome *outcome);

/* The journal holds PLAN and nothing else; appends OWNER and goes. False: the journal is dead, or
 * a bug; the process must exit and leave the rest to recovery. */
bool engine_run(Engine *engine, RunOutcome *ret, Err *err);
/* The journal is one that another process left; same result. A run that ended already is only reported. */
bool engine_recover(Engine *engine, RunWish wish, RunOutcome *ret, Err *err);

#endif
