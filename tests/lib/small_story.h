/*
 * A small story for trying the engine without any real driver: its service is a handful of files in
 * one directory, changed only through platform/file.h, so that each change is a point to die at.
 *
 *     version, code    what is installed: "1" or "2"; put in place by one step, file by file
 *     env, unit        the same, by a step that may be done again from the middle
 *     data             "1 rows", "2 rows" after the migration, "? rows" in its middle
 *     running          which version runs; absent: none
 *     staged           made before ARM; gone when all is over
 *     bad, report      what only a rollback, and what every end leaves
 *     violation        written when a step finds itself called in a wrong order: never
 *     undo/<file>      what an undo needs
 */
#ifndef BELAY_TESTS_SMALL_STORY_H
#define BELAY_TESTS_SMALL_STORY_H

#include "engine/engine.h"

typedef enum Trouble {
        TROUBLE_NONE,
        TROUBLE_FAILS,  /* does its half, then fails */
        TROUBLE_ASKS,   /* ERR_INCONCLUSIVE */
        TROUBLE_DIES,   /* SIGKILL, each time */
        TROUBLE_CTRL_C, /* succeeds, and meanwhile Ctrl-C was pressed */
        TROUBLE_CANCEL, /* the same by `belay cancel` */
} Trouble;

typedef struct Scenario {
        const char *name;
        bool no_migration;      /* the plan has no step "migrate" */
        const char *trouble_at; /* name of a step */
        Trouble trouble;
        const char *undo_fails_once; /* name of a step */
        bool decision_waits;         /* of a failed monitor: a person decides */
        RunWish answer;              /* what a person says to a run that waits */
        RunWish recovery;            /* with what recovery is asked for */
        RunEnd end;                  /* when nothing dies */
        int exit_status;             /* the same; of the first process */
} Scenario;

typedef struct SmallWorld {
        char *dir;
        const Scenario *scenario;
        Cancel cancel;
} SmallWorld;

/* Fills an empty directory with version 1 running. */
void small_world_make(const char *dir);
/* NULL when all is as it must be after this end, else what is wrong; static storage. */
const char *small_world_wrong(const char *dir, const Scenario *scenario, RunEnd end);
/* NULL when the journal tells the truth: a step that is DONE has been done, one that was not begun has
 * not, one that is undone is gone. For a world whose run has not ended. */
const char *small_world_lies(const char *dir, const Scenario *scenario, const RunState *run);
/* The payload of PLAN. */
json_t *small_plan(const Scenario *scenario);
/* Content of a file of the world, "" when it is absent; owned. */
char *small_world_get(const char *dir, const char *name);

extern const Story small_story;

#endif
