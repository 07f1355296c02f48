/*
 * What one run was, in few words: what `runs`, `status`, statistics and predictions need of it. Made of
 * its journal by a pure function, and kept in the index (journal/index.h) as JSON. A change of what is
 * in it needs another SUMMARY_VERSION.
 */
#ifndef BELAY_UPDATE_SUMMARY_H
#define BELAY_UPDATE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "update/runs.h"

enum { SUMMARY_VERSION = 3 };

/* A step that was done on the way forward. */
typedef struct StepTime {
        char *name, *instance; /* instance NULL when there is none */
        int64_t ms;
        int64_t bytes; /* that it moved; -1 unknown */
} StepTime;

/* What was measured on a copy; each -1 when it was not come to. */
typedef struct Rehearsed {
        int64_t migrate_ms, start_ms, verify_ms;
} Rehearsed;

typedef struct Summary {
        unsigned run;
        char *service, *kind, *from, *to; /* versions; NULL unknown */
        bool damaged;
        RunEnd end;
        bool waiting, cancelled;
        bool went_back;             /* ROLLBACK was written */
        int64_t began_ms, ended_ms; /* unix ms, 0 unknown */
        int64_t gap_ms;             /* without service, -1 unknown */
        bool gap_measured;
        int64_t restore_ms; /* -1: nothing was restored */
        char *left_to;      /* the version that is still to go to on its way (path.h); NULL: none */
        char *failed_step;  /* NULL: none did */
        char *cause; /* in words that are the same for the same cause; NULL: it did not fail */
        bool was_rehearsed; /* its rehearsal went well */
        Rehearsed rehearsed;
        StepTime *steps;
        size_t n_steps;
} Summary;

/* Of a run that is there. */
json_t *summary_to_json(const Run *run);
bool summary_from_json(unsigned run, const json_t *object, Summary *ret);
void summary_done(Summary *summary);

#endif
