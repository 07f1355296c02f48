/*
 * What the releases between the installed version and the target ask for: settings that must be there, and migration
 * guides that a person must follow. What Belay can do itself (make a secret, wait for a person) is added to the service as
 * if its manifest said so, and journaled in PLAN, so that recovery does the same.
 */
#ifndef BELAY_UPDATE_RELEASE_NEEDS_H
#define BELAY_UPDATE_RELEASE_NEEDS_H

#include "model/reason.h"
#include "update/world.h"

/* `env` is the service's env file. Missing settings that nobody can make are reasons; the rest are notes. */
void release_needs_look(World *world, char *const *env, ReasonList *reasons, Strv *notes);
/* Every migration that is pending is marked `compatible` in the manifest: as if the releases said so, if none denies it. */
void release_needs_add_compatible(World *world, Strv *notes);
/* The "release" of a PLAN record, NULL when nothing is needed (new reference); and back, at recovery. */
json_t *release_needs_to_record(const World *world);
void release_needs_from_record(World *world, const json_t *record);
/* Whether the old version runs on the data of the new one, as far as releases and manifest say; from a PLAN record. */
bool release_needs_old_reads_new(const json_t *plan);

#endif
