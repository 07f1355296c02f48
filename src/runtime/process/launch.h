/* Starts the keeper of a service: a detached `belay keeper --state DIR --service NAME`. */
#ifndef BELAY_RUNTIME_PROCESS_LAUNCH_H
#define BELAY_RUNTIME_PROCESS_LAUNCH_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "journal/state.h"

/* What a new keeper writes to its standard output when it can be asked, or when there is one already; else
 * its error, a line of JSON as control_answer makes it. */
#define KEEPER_READY "ready\n"
#define KEEPER_BUSY  "busy\n"

/* Returns when there is a keeper that listens (true also when another one is about to), or says why not.
 * `attempt`: how often the caller did this already for one request; one that ended at once is no error. */
bool keeper_launch(const State *state, const char *service, unsigned attempt, Err *err);

/* Belay's own binary; in a build with fault points BELAY_SELF names another. Owned. */
char *belay_program(void);
/* The environment for a program of Belay's that is started in the place of one that died: in a build with
 * fault points without BELAY_FAULT, since one death is to be tried, not all. Owned; NULL: as it is. */
Strv environment_after_death(void);

#endif
