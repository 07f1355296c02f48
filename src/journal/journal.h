/*
 * The journal of a run: an append-only file, one record a line:
 *
 *     <CRC-32C of the rest of the line, 8 hex digits> <sequence number from 1> <TYPE> <JSON object>\n
 *
 * An append is one write and one fdatasync; room is reserved when the file is made. After any failed
 * append the journal refuses all further ones: the runner has to exit, recovery decides.
 *
 * Reading: an invalid last record is a torn tail and is cut off (by journal_open for writing, ignored
 * when reading). An invalid record with a valid one after it, a gap in the numbers, a second PLAN, or
 * records that contradict each other (run_state.h) is ERR_CORRUPT: this run needs a person. A record
 * of a newer format ("format" in PLAN above JOURNAL_FORMAT) is ERR_REFUSED, an older one is read.
 *
 * Reserved space after the end reads as zero bytes (fallocate keeps the size, so normally there are
 * none; a zero-filled tail after a power cut is torn, too).
 */
#ifndef BELAY_JOURNAL_JOURNAL_H
#define BELAY_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"

enum { JOURNAL_FORMAT = 1, JOURNAL_RESERVE = 1024 * 1024 };

typedef enum RecordType {
        RECORD_PLAN,   /* first: format, service, kind, from, to, steps, options */
        RECORD_OWNER,  /* epoch, pid, start_time, boot_id */
        RECORD_INTENT, /* step, instance, undo (bool), attempt, facts */
        RECORD_DONE,   /* step, instance, undo, observed, took_ms */
        RECORD_FAILED, /* step, instance, undo, error {code, message, hint}, took_ms;
                          * "began": false when its preparation failed: there was no INTENT */
        RECORD_ARM,
        RECORD_WAIT, /* for, step, why, choices */
        RECORD_COMMIT,
        RECORD_ROLLBACK, /* decision, cause */
        RECORD_NOTE,     /* text, or facts of any kind under a "kind" */
        RECORD_AGAIN,    /* after an END that needs a person: one has looked, and the run goes on */
        RECORD_END, /* state: succeeded, rolled_back, aborted, needs_a_person; exit; unfinished */
        RECORD_TYPE_COUNT
} RecordType;

const char *record_type_name(RecordType type);

typedef struct Record {
        uint64_t sequence;
        RecordType type;
        json_t *payload; /* object; every payload has "at": unix ms, added by journal_append */
} Record;

typedef struct RecordList {
        Record *records;
        size_t n;
        bool torn; /* a torn tail was left out */
} RecordList;

typedef struct Journal Journal;

/* Makes the file (it must not exist), reserves room, syncs file and directory. */
bool journal_create(const char *path, Journal **ret, Err *err);
/* Opens for appending; reads what is there into *ret_records and cuts a torn tail off. */
bool journal_open(const char *path, Journal **ret, RecordList *ret_records, Err *err);
/* Only reads. */
bool journal_read(const char *path, RecordList *ret, Err *err);
/* The PLAN alone, of a journal that cannot be read as a whole: which service it is about is known all the same. */
bool journal_read_plan(const char *path, Record *ret, Err *err);
/* Appends durably; takes `payload`. On failure the journal is dead (journal_dead). */
bool journal_append(Journal *journal, RecordType type, json_t *payload, Err *err);
bool journal_dead(const Journal *journal);
void journal_close(Journal *journal);
void journal_freep(Journal **journal);
void record_list_done(RecordList *list);

#endif
