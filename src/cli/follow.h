/*
 * Follows a run on the screen: reads its event file until the result, and turns Ctrl-C into what it means
 * (spec/cli.md): before verify has passed the run ends or is rolled back; during the watch only the following ends.
 */
#ifndef BELAY_CLI_FOLLOW_H
#define BELAY_CLI_FOLLOW_H

#include "cli/app.h"
#include "update/runner.h"

typedef struct Follow {
        unsigned run;
        ProcessId runner;    /* pid 0: whoever the journal names */
        bool from_start;     /* all events */
        int64_t from_byte;   /* else those from this byte of the file on; -1: from now on */
        bool until_verified; /* --no-wait */
} Follow;

/* Before the runner is started: a Ctrl-C that comes when the run has begun is kept for follow_run. */
void follow_prepare(void);
/* Follows to the end; returns the exit status. */
int follow_run(App *app, const Follow *follow);

#endif
