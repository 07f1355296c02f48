/*
 * A run under way, as the files of engine/ share it. Private to engine/.
 *
 * Every function here returns false only when the process has to exit: the journal is dead, or an
 * invariant does not hold. That a step failed is in the journal, not in the returned value.
 */
#ifndef BELAY_ENGINE_DRIVE_H
#define BELAY_ENGINE_DRIVE_H

#include "engine/engine.h"
#include "engine/next.h"

typedef struct Drive {
        Engine *engine;
        RunState *run;      /* engine->run */
        const Step **steps; /* of each step of the plan; owned array */
        const EnginePauses *pauses;
        bool recovering;
        bool abort; /* before ARM: the run is to end */
        Err why;    /* before ARM: why it ends */
} Drive;

/* ERR_BUG when the plan names a step that the story does not have. */
bool drive_begin(Engine *engine, bool recovering, Drive *ret, Err *err);
void drive_done(Drive *drive);

/* Folds and journals a record; takes `payload`. What cannot follow is a bug and is not written. */
bool drive_write(Drive *drive, RecordType type, json_t *payload, Err *err);
/* "step" and "instance" of a step, "undo" when it has one. New object. */
json_t *drive_step_payload(const Drive *drive, size_t step);
json_t *error_to_json(const Err *why);
void error_from_json(const json_t *error, Err *ret);
/* For messages: "stop" or "migrate:03_tags.py"; owned. */
char *drive_step_label(const Drive *drive, size_t step);

/* Journals OWNER and tells the story whom to watch. */
bool drive_own(Drive *drive, Err *err);
bool drive_arm(Drive *drive, Err *err);
bool drive_commit(Drive *drive, Err *err);
void drive_tell_armed(const Drive *drive, bool armed);
/* The first step that failed on the way forward, or n_steps. */
size_t drive_failed_step(const Drive *drive);
/* The way back: before ARM the run is to end; after it the story decides, ROLLBACK or WAIT is journaled.
 * `step` may be NULL: between steps. `why` may be empty. */
bool drive_go_back(Drive *drive, RollbackCause cause, const size_t *step, const Err *why, Err *err);
bool drive_end(Drive *drive, RunEnd end, const Err *why, Err *err);
/* A warning, for the journal and for followers. */
bool drive_note(Drive *drive, size_t step, const char *text, Err *err);
/* Until the run has ended or waits. */
bool drive_loop(Drive *drive, Err *err);
/* What the journal says of a run that has ended or waits. */
void drive_report(const Drive *drive, RunOutcome *ret);

/* step.c */
bool step_begin(Drive *drive, size_t step, Err *err);
bool step_undo(Drive *drive, size_t step, Err *err);
bool step_fail(
        Drive *drive, size_t step, const Err *why, Err *err); /* FAILED for one that is open */
bool step_done_by(
        Drive *drive, size_t step, const char *by, Err *err); /* DONE, without an apply of ours */
StepContext step_context(const Drive *drive, size_t step);
void step_event(
        const Drive *drive, size_t step, const char *state, const char *text, int64_t took_ms);

/* recover.c: a step that a dead runner left open. */
bool recover_open_step(Drive *drive, size_t step, Err *err);

#endif
