/*
 * One record as a line of the journal, and back. Private to journal/; journal.h says how a line
 * looks. Reading is strict: there is exactly one way to write a record, so that no flipped bit is
 * taken for another spelling of the same.
 */
#ifndef BELAY_JOURNAL_RECORD_H
#define BELAY_JOURNAL_RECORD_H

#include "journal/journal.h"

/* The line with its newline; owned. *ret_bytes counts the newline. */
char *record_encode(const Record *record, size_t *ret_bytes);

/* Whether `line` (without newline) is whole: checksum right, fields in their places. */
bool record_is_whole(const char *line, size_t bytes);

/* Reads a line that is whole. ERR_CORRUPT for a type or payload that no Belay writes. */
bool record_decode(const char *line, size_t bytes, Record *ret, Err *err);

/* Whether a whole record begins anywhere in these bytes, at a line's start or not. */
bool record_within(const char *bytes, size_t n);

#endif
