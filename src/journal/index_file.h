/*
 * The file of the index. Private to journal/. Nothing in it is believed that its own checksum does
 * not bear out, and nothing here is needed: every failure means that the journals are read.
 */
#ifndef BELAY_JOURNAL_INDEX_FILE_H
#define BELAY_JOURNAL_INDEX_FILE_H

#include <sqlite3.h>

#include "base/str.h"
#include "journal/index.h"

typedef struct IndexFile {
        const State *state;
        unsigned version;
        sqlite3 *db;   /* NULL: not used */
        bool may_make; /* it is absent, damaged or of another version: it may be made anew */
        char *why;     /* why it is passed over; NULL: it is not */
} IndexFile;

typedef struct IndexChange {
        const Index *index;
        const bool *made; /* for each row: it is new */
        Strv stale;       /* numbers of runs whose rows are to go */
} IndexChange;

bool index_file_open(IndexFile *file, Err *err);
/* ERR_CORRUPT for anything that is not as it was written. */
bool index_file_rows(IndexFile *file, Index *ret, Err *err);
/* After a failure of one of these: closes it, and decides by the error whether it may be made anew. */
void index_file_distrust(IndexFile *file, const Err *why);
/* One transaction: all of it or nothing. */
bool index_file_change(IndexFile *file, const IndexChange *change, Err *err);
/* A whole new one, made beside and renamed. Somebody else does so already: nothing is done. */
bool index_file_make(IndexFile *file, const IndexChange *change, Err *err);
void index_file_close(IndexFile *file);

#endif
