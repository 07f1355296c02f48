/*
 * Durations, byte counts and times, read and written the way a person does.
 *
 * Durations are milliseconds in int64_t. The text forms are those of the manifest: "500ms", "30s",
 * "2m", "1h", "7d", "1w"; a bare number has no unit and is an error.
 */
#ifndef BELAY_BASE_UNITS_H
#define BELAY_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* At most 366 days; false for anything else, negative and unit-less included. */
bool duration_parse(const char *text, int64_t *ret_ms);
char *duration_text(int64_t ms); /* "0.2 s", "3.1 s", "2 min", "4 h", "12 d"; owned */
char *duration_manifest_text(
        int64_t ms);              /* "500ms", "30s", "2m": what duration_parse reads; owned */
char *bytes_text(uint64_t bytes); /* "0 B", "212 MB", "1.2 GB" (decimal); owned */
char *ago_text(int64_t then_unix_ms, int64_t now_unix_ms); /* "3 min ago"; owned */
/* RFC 3339 in UTC with seconds: "2026-02-03T04:05:06Z"; owned. */
char *time_text(int64_t unix_ms);
/* "20260203_040506" in UTC, for names of backups; owned. */
char *time_name(int64_t unix_ms);
/* Reads what time_text writes (and with a date alone: midnight UTC). */
bool time_parse(const char *text, int64_t *ret_unix_ms);

#endif
