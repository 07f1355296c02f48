/*
 * What is left when the engine has returned: the last event for followers, the report in the run's
 * directory, CURRENT_STATE.md. All of it is for people and made anew from the journal at any time; that it
 * cannot be written changes no outcome.
 */
#ifndef BELAY_UPDATE_RESULT_H
#define BELAY_UPDATE_RESULT_H

#include "engine/engine.h"
#include "update/world.h"

/* The files. */
void result_write(const World *world);
/* The last event, with the sentences of result_text: who follows the run is done then. */
void result_tell(const World *world, const RunOutcome *outcome, const char *text);
/* The journal could not be written: this process ends here, recovery decides. */
void result_died(const World *world, const Err *err);
/* The sentences that end a run on the terminal; owned. `exit_status` 0 to 9 and 130. */
char *result_text(const World *world, const RunOutcome *outcome);

#endif
