/* The parts of child_run, for the files child*.c alone. */
#ifndef BELAY_PLATFORM_CHILD_PARTS_H
#define BELAY_PLATFORM_CHILD_PARTS_H

#include "platform/process.h"

enum {
        CHILD_GRACE_MS = 2000, /* between TERM and KILL */
        CHILD_BEYOND_MS =
                3000, /* what belay-exec may take beyond its own limits before it is killed */
        CHILD_LINGER_MS = 500, /* belay-exec gives this to what the program left behind */
        CHILD_STATUS_FD = 3,   /* in belay-exec */
};

/* belay-exec's command line and the program's environment, with the mark to sweep by. */
typedef struct ChildPlan {
        Strv argv, environment;
        char mark[33]; /* value of BELAY_CHILD */
} ChildPlan;
bool child_plan(const Child *child, ChildPlan *ret, Err *err);
void child_plan_done(ChildPlan *plan);

/* A running belay-exec, and what it has said. */
typedef struct ChildRun {
        const Child *child;
        pid_t pid;
        int pidfd, status; /* the status socket, -1 after it was closed */
        int streams[2];    /* reading ends of its stdout and stderr, -1 at their end */
        int log;           /* -1: none */
        Str text[2];
        bool cut;
        bool exited; /* the program has ended, with exit_status */
        int exit_status;
        int error; /* errno when it could not be executed */
        char error_step[16];
        ErrCode ended_for; /* ERR_TIMEOUT, ERR_CANCELLED */
} ChildRun;

/* child_start.c */
bool child_start(const Child *child, const ChildPlan *plan, ChildRun *run, Err *err);
/* child_watch.c: until belay-exec is dead; true when it ended by itself and in order. */
bool child_watch(ChildRun *run);

#endif
