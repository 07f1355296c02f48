/*
 * Whether a run that needs a person may go on: asked under the locks, after a person has said so. Its own
 * steps look again before they do anything (an undo that met drift meets it again if it is still
 * there); what they cannot see is refused here: a later run of the service, and a service that runs
 * where the run expects it to be stopped.
 */
#ifndef BELAY_UPDATE_AGAIN_H
#define BELAY_UPDATE_AGAIN_H

#include "update/world.h"

/* ERR_REFUSED, with what to type first. */
bool again_check(const World *world, const RunState *run, Err *err);

#endif
