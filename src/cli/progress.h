/*
 * How a run looks: on a terminal one line for each step, redrawn while it runs, with a bar where amounts are
 * known; elsewhere plain lines with times, and a sign of life every 60 s.
 */
#ifndef BELAY_CLI_PROGRESS_H
#define BELAY_CLI_PROGRESS_H

#include "cli/app.h"

typedef struct Progress {
        App *app;
        unsigned run;
        json_t *plan; /* payload of PLAN, for the lines' texts */
        char *now;    /* the step that runs: its line so far; NULL between steps */
        char *detail; /* bar, time left */
        int64_t began_ms, last_ms, event_ms; /* event_ms: unix ms of the event that is shown */
        unsigned spinner;
        bool going_back, armed, drawn;
} Progress;

void progress_open(Progress *progress, App *app, unsigned run);
void progress_done(Progress *progress);
void progress_event(Progress *progress, const json_t *event);
void progress_tick(Progress *progress); /* the spinner; the sign of life */
void progress_result(Progress *progress, const json_t *result);

#endif
