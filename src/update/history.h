/*
 * All runs, read through the index: the same as run_list() would find, without reading every journal
 * again. What must not rest on an index (locks, whether a run is open, recovery) reads runs.h.
 */
#ifndef BELAY_UPDATE_HISTORY_H
#define BELAY_UPDATE_HISTORY_H

#include "journal/index.h"
#include "update/summary.h"

typedef struct History {
        const State *state;
        Index index;
        const IndexRow **by_service; /* by service, and newest first */
} History;

bool history_open(const State *state, History *ret, Err *err);
void history_done(History *history);

/* The newest run of a service; false: it has none. */
bool history_newest(const History *history, const char *service, Summary *ret);
/* Newest first, of a service (NULL: of all), at most `most`. Array and items are the caller's. */
void history_list(
        const History *history, const char *service, size_t most, Summary **ret, size_t *ret_n);
void history_list_free(Summary *runs, size_t n);
/* "updated", "running", "interrupted at ..."; of an open run the journal is asked. Owned. */
char *history_state_text(const State *state, const Summary *run);

#endif
