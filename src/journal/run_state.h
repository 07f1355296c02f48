/*
 * What a journal says, as a value: derived record by record, by a pure function. The engine, `belay
 * runs`, `show`, `status` and the report all read a run through this and nothing else.
 */
#ifndef BELAY_JOURNAL_RUN_STATE_H
#define BELAY_JOURNAL_RUN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "journal/journal.h"

typedef enum RunEnd {
        RUN_OPEN, /* no END yet: it runs, was interrupted, or waits */
        RUN_SUCCEEDED,
        RUN_ROLLED_BACK,
        RUN_ABORTED, /* ended before ARM: nothing was changed */
        RUN_NEEDS_PERSON,
} RunEnd;

typedef enum StepState {
        STEP_NOT_BEGUN,
        STEP_OPEN, /* INTENT without DONE or FAILED */
        STEP_DONE,
        STEP_FAILED, /* apply failed: it may have happened partly, so it is undone too */
} StepState;

typedef struct StepRecord {
        char *name, *instance;   /* instance NULL when there is none */
        StepState forward, undo; /* undo: NOT_BEGUN, OPEN, DONE, FAILED */
        unsigned attempts, undo_attempts;
        unsigned forgiven, undo_forgiven; /* of these, those before a person let the run go on */
        json_t *facts; /* of the last INTENT; borrowed from the record (kept alive by a reference) */
        json_t *observed;                                         /* of DONE, or NULL */
        json_t *undo_observed;                                    /* of the undo's DONE, or NULL */
        json_t *error;                                            /* of the last FAILED, or NULL */
        int64_t began_ms, ended_ms, undo_began_ms, undo_ended_ms; /* unix ms, 0 unknown */
} StepRecord;

typedef struct RunState {
        json_t *plan;      /* payload of PLAN */
        StepRecord *steps; /* in the order of the plan */
        size_t n_steps;
        bool armed, committed, rolling_back, waiting;
        json_t *wait;     /* payload of the last WAIT while waiting */
        json_t *rollback; /* payload of ROLLBACK: its "decision" goes to the undos */
        RunEnd end;
        json_t *end_record;
        uint64_t epoch; /* of the last OWNER */
        json_t *owner;  /* payload of the last OWNER: the identity of the runner */
        unsigned begun; /* INTENTs so far */
        int64_t began_ms, ended_ms;
} RunState;

/* Folds one record in. ERR_CORRUPT when it cannot follow what came before (DONE without INTENT, two
 * ARMs, COMMIT after ROLLBACK, anything after END but NOTE, and AGAIN where it needs a person, ...). */
bool run_state_add(RunState *state, const Record *record, Err *err);
bool run_state_of(const RecordList *list, RunState *ret, Err *err);
StepRecord *run_state_step(const RunState *state, const char *name, const char *instance);
void run_state_done(RunState *state);
const char *run_end_name(RunEnd end);

#endif
