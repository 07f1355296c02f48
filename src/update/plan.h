/*
 * What a run would do, computed without changing anything (git objects are fetched under refs/belay/,
 * which changes nothing for the service or its owner). Plain data: the command prints it, the runner
 * journals it and the engine goes through it.
 */
#ifndef BELAY_UPDATE_PLAN_H
#define BELAY_UPDATE_PLAN_H

#include "base/err.h"
#include "engine/engine.h"
#include "model/reason.h"
#include "update/preflight.h"
#include "update/world.h"

typedef struct PlanLine {
        const Step *step;
        char *instance;      /* NULL: none */
        char *text;          /* "back up notes.db 1.2 MB" */
        const char *service; /* "runs", "STOPS", "stopped", "STARTS" */
        char *undo;          /* "restore notes.db"; "–" when there is nothing to undo */
        int64_t usually_ms;  /* from earlier runs (predict.h); -1 unknown */
} PlanLine;

/* Time without service in the last runs of the same kind that succeeded. */
typedef struct Downtime {
        size_t runs;                         /* that it is known from; 0: it is not known */
        int64_t ms, shortest_ms, longest_ms; /* ms: the median */
        bool rehearsed;                      /* this very change was: */
        int64_t rehearsed_ms;                /* what its newest rehearsal took */
} Downtime;

typedef struct Plan {
        const Story *story;
        char *nothing; /* why there is nothing to do ("notes is at 1.2.0 already"), or NULL */
        char *title;   /* "notes 1.1.0 → 1.2.0" */
        Release from, to;
        PlanLine *lines;
        size_t n_lines;
        Strv notes;         /* whole sentences: warnings, what is skipped and why */
        ReasonList reasons; /* what is in the way: then nothing is run, and there may be no lines */
        uint64_t bytes_needed, bytes_free;
        char *store;       /* where the backup goes */
        json_t *data;      /* rollback and restore: {"backup", "only"}; or NULL */
        Downtime downtime; /* predict.h */
        char id[9];        /* changes when anything that the plan rests on changes */
} Plan;
void plan_done(Plan *plan);

/* The plan of an update to `wanted` (NULL: what the channel says). Sets world->from and world->to. True
 * also when Belay looked and says no: then plan->reasons say why, here and below (plan_ok). False: it could
 * not look. */
bool plan_update(World *world, const char *wanted, Plan *ret, Err *err);
/* The plan of doing it on a copy, and nothing else. */
bool plan_rehearse(World *world, const char *wanted, Plan *ret, Err *err);
/* The plan of a rollback to the previous version (or `wanted`). */
bool plan_rollback(World *world, const char *wanted, Plan *ret, Err *err);
/* The plan of putting a backup's data back under the version that runs (or the backup's own). */
bool plan_restore(World *world, const char *backup, const char *only, Plan *ret, Err *err);

/* True when nothing is in the way; else the reasons as an error. */
bool plan_ok(const Plan *plan, Err *err);
/* The payload of the PLAN record. New reference. */
json_t *plan_to_record(const Plan *plan, const World *world);
json_t *plan_to_json(const Plan *plan);

/* -- for those who make plans -- */
void plan_drop_lines(Plan *plan);
/* A line with nothing to undo, in front of line `at`; takes `text`. */
void plan_insert(Plan *plan, size_t at, const Step *step, char *text);
void plan_add(Plan *plan, const Step *step, char *instance, char *text, const char *undo);
void plan_note(Plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));
void plan_seal(Plan *plan, const World *world); /* computes the id */
/* The line of the rehearsal, or why there is none: as a note, or as a reason when it must be (plan_rehearse.c). */
bool plan_add_rehearsal(World *world, Plan *plan, Preflight *preflight, Err *err);

#endif
