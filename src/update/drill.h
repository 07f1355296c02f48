/*
 * The drill: shows on a copy of the service, on this machine, that a run which is killed is recovered.
 *
 * An update is made on a copy (update/rehearsal.h) once without harm, then once for each of its steps:
 * its runner is killed when that step has begun, and `resume` has to bring it to one of its two ends, with the
 * service whole. Each time from a new copy, and in namespaces of its own: the service is not touched.
 *
 *     scoped(drill_result_done) DrillResult result = {0};
 *     drill_run(&world, version, tell, context, &result, err)    // false: it could not be held
 */
#ifndef BELAY_UPDATE_DRILL_H
#define BELAY_UPDATE_DRILL_H

#include "update/world.h"

typedef struct DrillAttempt {
        char *step, *instance; /* meant; NULL: nobody was killed */
        char *killed_at; /* the step that was open then, or "between two steps"; NULL: the run was over before */
        char *end;     /* "updated", "rolled back", "ended, nothing changed"; NULL: not at all */
        char *version; /* that serves now */
        bool whole;    /* an end, and the service and its data as they have to be in it */
        char *why;     /* not whole: what is wrong */
        int64_t recovery_ms;
} DrillAttempt;

typedef struct DrillResult {
        Release from, to;
        DrillAttempt *attempts; /* without the first, that nobody was killed in */
        size_t n, whole;
} DrillResult;
void drill_result_done(DrillResult *result);
json_t *drill_to_json(const DrillResult *result);

/* The world has been looked at, and its locks are held. ERR_REFUSED: it cannot be made here, of this service;
 * ERR_ANSWER_NO: already the update that nobody disturbs does not succeed on a copy. */
bool drill_run(World *world, const char *wanted,
        void (*tell)(void *context, const DrillAttempt *attempt), void *context, DrillResult *ret,
        Err *err);

/* The hidden verb `drill-inside`. */
int drill_main(const State *state);

#endif
