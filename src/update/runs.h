/* Runs as their journals tell them: one, the newest of a service, all. */
#ifndef BELAY_UPDATE_RUNS_H
#define BELAY_UPDATE_RUNS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "journal/journal.h"
#include "journal/run_state.h"
#include "journal/state.h"
#include "model/reason.h"

typedef struct Run {
        unsigned number;
        RecordList records;
        RunState state;
        bool damaged; /* its journal cannot be trusted; `why` says so */
        char *why;
} Run;

/* A journal that cannot be read makes a damaged Run, not an error; an absent run is ERR_UNKNOWN. */
bool run_load(const State *state, unsigned number, Run *ret, Err *err);
void run_done(Run *run);
/* *ret_found false when the service has no run. Only the newest run of a service can be open. */
bool run_newest(const State *state, const char *service, Run *ret, bool *ret_found, Err *err);
/* All runs of a service (NULL: of all), newest first, at most `most`. Array and items are the caller's. */
bool run_list(
        const State *state, const char *service, size_t most, Run **ret, size_t *ret_n, Err *err);
void run_list_free(Run *runs, size_t n);

const char *run_service(const Run *run); /* borrowed; "?" when not even that can be read */
const char *run_kind(const Run *run);
/* Is the process that the last OWNER names alive? */
bool run_owner_alive(const Run *run);
/* "updated", "rolled back by hand", ...: how a run of this kind has ended; static. */
const char *run_end_text(RunEnd end, const char *kind);
/* "updated", "rolled back", "running", "interrupted at 'migrate'", "waits for a person", ...; owned. */
char *run_state_text(const Run *run);
/* The step that is open or, in an ended run, that failed; borrowed, NULL when none. */
const StepRecord *run_failed_step(const RunState *state);
const StepRecord *run_open_step(const RunState *state);

/* The mark of a run's children, the value of BELAY_RUN: unique on this machine; owned. */
char *run_mark(const State *state, unsigned number);
/* The run of this state directory inside which this process was started (by a hook, a migration); 0: none. To
 * wait for that one would be to wait for oneself. */
unsigned run_around_us(const State *state);
/* Does it stand at its first step, --at or --in-window? Nothing was touched then, and no lock is held. */
bool run_waits_for_time(const Run *run);
/* Adds the open run that is in the way of a new one (and is not `own_run`), if there is one. */
bool run_obstacle(
        const State *state, const char *service, unsigned own_run, ReasonList *reasons, Err *err);
/* ERR_INTERRUPTED while a run of the service is open; with `damaged_too` ERR_PERSON when the journal of its
 * newest cannot be trusted. One that waits for its time is in nobody's way here. */
bool run_refuse_open(const State *state, const char *service, bool damaged_too, Err *err);

#endif
