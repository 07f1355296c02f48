/*
 * What a plan will probably take, from what its steps took in earlier runs of the service: the median
 * of the last five times that the same step was done (a step that moves the backup's bytes: in
 * proportion to them), and the time without service of the last three runs that succeeded. Where the
 * same change was rehearsed, what was measured then stands for steps that were never done, and beside the
 * time without service. What was neither done nor rehearsed has no prediction.
 *
 * Predictions are for people. They change nothing of what is done, are not part of the plan's id, and a
 * history that cannot be read is none.
 */
#ifndef BELAY_UPDATE_PREDICT_H
#define BELAY_UPDATE_PREDICT_H

#include "update/plan.h"
#include "update/summary.h"

enum { PREDICT_STEPS_FROM = 5, PREDICT_GAP_FROM = 3 };

/* Fills in `usually_ms` of the lines and `downtime`. */
void plan_predict(Plan *plan, const World *world);
/* The same, of runs of the service, newest first. */
void plan_predict_from(Plan *plan, const World *world, const Summary *runs, size_t n);

/* "< 1 s", "7 s", "2 min"; "–" when it is not known. Owned. */
char *usual_text(int64_t ms);
/* "7.1 s (last three updates: 6.0 s to 8.2 s; rehearsed: 7.5 s)"; NULL when it is not known. Owned. */
char *downtime_text(const Plan *plan);

#endif
