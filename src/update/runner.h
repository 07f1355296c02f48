/*
 * The runner: the process that executes one run, in a session of its own, whoever started it.
 *
 *     json_t *request = ...;                      // what to do, see below
 *     RunnerStarted started = {0};
 *     if (!runner_start(&state, request, &started, err))   // refused: nothing was begun, err says why
 *             ...
 *     // follow runs/<started.run>/events until its "end", or until started.process is dead
 *
 * Requests: {"do":"update","manifest":PATH,"version":TEXT?,"plan":ID?,"after":N?,"options":{...}}
 *           {"do":"rehearse", the same}
 *           {"do":"rollback","manifest":PATH,"version":TEXT?,"options":{...}}
 *           {"do":"restore","manifest":PATH,"backup":ID,"only":NAME?,"options":{...}}
 *           {"do":"recover","run":N,"wish":"finish"|"undo"|"accept"}
 */
#ifndef BELAY_UPDATE_RUNNER_H
#define BELAY_UPDATE_RUNNER_H

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"
#include "model/reason.h"
#include "platform/process.h"

typedef struct RunnerStarted {
        unsigned run;       /* 0: nothing had to be done; `nothing` says why */
        char *nothing;      /* "notes is at 1.2.0 already"; owned */
        ReasonList reasons; /* why not, when it was refused */
        ProcessId process;
} RunnerStarted;
void runner_started_done(RunnerStarted *started);

/* Starts it and waits until it has begun a run or refused. Takes `request`. *ret is empty, and to be freed also
 * when this fails: it then has the reasons. */
bool runner_start(const State *state, json_t *request, RunnerStarted *ret, Err *err);

/* The hidden verb `runner`: reads the request from standard input, answers one line on standard output,
 * goes on alone. Returns the exit status of the run. */
int runner_main(const State *state);

/* Wakes the runner of a run: cancel (SIGUSR1), Ctrl-C (SIGINT), accept (SIGUSR2). The wish is written
 * to runs/<n>/request first, durably. ERR_UNKNOWN when no runner lives. */
bool runner_signal(const State *state, unsigned run, int signal, Err *err);

#endif
