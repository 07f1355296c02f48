/*
 * <state>/belay.db: an index over the journals of runs, so that a thousand of them need not be read to
 * say what they were. It holds, for each run, a summary that its owner (IndexMaker) made of the
 * journal, and the journal's size, times and inode then.
 *
 * The journals are the truth, the index is a copy of what they say: whoever reads gets, for every run
 * that has a journal, a summary of that journal as it is now. A row whose journal looks different, or
 * that is not there, is made from the journal again; a row that does not match its own checksum, a
 * damaged file or one of another version makes the whole index anew, under a lock. Where the file
 * cannot be used or written (locked, no rights, no room, no regular file), the journals are read and
 * nothing is said: that is slower, and nothing else. Nobody ever waits for it longer than INDEX_WAIT_MS,
 * and recovery does not use it at all.
 *
 * SQLite with a rollback journal, one connection for each read. It can be deleted at any time.
 */
#ifndef BELAY_JOURNAL_INDEX_H
#define BELAY_JOURNAL_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"

enum { INDEX_SCHEMA = 1, INDEX_WAIT_MS = 250 };

typedef struct IndexRow {
        unsigned run;
        char *service; /* "service" of the summary; "" when that is not known */
        char *stamp;   /* of the journal that the summary was made of */
        char *summary; /* JSON, one line */
} IndexRow;

typedef struct Index {
        IndexRow *rows; /* by number of the run, ascending */
        size_t n;
        size_t made; /* how many of them were made from their journals now */
        char *why;   /* why the file could not be read or written; NULL: it is as it should be */
} Index;

typedef struct IndexMaker {
        unsigned version; /* of the summaries, below 1000: another version makes the index anew */
        /* A new reference; NULL when the run has no journal that says anything. */
        json_t *(*summarise)(const State *state, unsigned run);
} IndexMaker;

/* All runs. Fails only when runs/ itself cannot be listed. */
bool index_read(const State *state, const IndexMaker *maker, Index *ret, Err *err);
void index_done(Index *index);

#endif
