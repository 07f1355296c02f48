/*
 * The way through required stops: an update from 1.2 to 2.1 by way of 1.6 is two runs, one after the other, each
 * with a backup, verified, and journaled by itself.
 *
 * The plan of a run names what follows it: "path": {"target", "rest": [...], "after": run before}. The runner of a
 * run that succeeded starts the next; whoever recovers that run does the same. What was left when a runner died between
 * two runs is still to go: the newest run of the service has a rest, and nobody said that it is over. `belay resume`
 * goes on, `belay cancel` ends it. A next run that cannot begin (it is refused, say) ends it, too: that is noted in the
 * journal of the run before.
 */
#ifndef BELAY_UPDATE_PATH_H
#define BELAY_UPDATE_PATH_H

#include "update/runs.h"
#include "update/world.h"

/* Finds the way from world->from to world->to, which becomes its first stop; world->way is all of it. ERR_REFUSED when
 * there is none. */
bool path_choose(World *world, Err *err);
/* Where the way ends: world->to, unless there are stops before it. Borrowed. */
const Release *path_target(const World *world);
/* The "path" of a PLAN record; NULL when a run stands alone. New reference. */
json_t *path_to_record(const World *world);
/* [{"version", "why"}], empty when there are no stops. New reference. */
json_t *path_to_json(const World *world);

/* -- of a run that has ended -- */

/* The versions still to go, or NULL: it did not succeed, there are none, or it is over. Borrowed. */
const json_t *path_rest(const Run *run);
const char *path_target_of(const Run *run); /* borrowed, or NULL */
unsigned path_run_before(const Run *run);   /* on the same way; 0: none */
/* The request for the runner of the next run; NULL when there is no rest. New reference. */
json_t *path_request(const Run *run);
/* Notes in its journal that the way ends here. The caller holds the service's lock. */
bool path_end(const State *state, const Run *run, const char *why, Err *err);

#endif
