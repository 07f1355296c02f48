/*
 * What a line of a log is: its kind (two lines that differ only in numbers, times and identifiers are of one
 * kind), whether it looks like an error, and whether it is a red flag. Not for other rooms.
 */
#ifndef BELAY_CHECK_LOG_KIND_H
#define BELAY_CHECK_LOG_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* A line as it is judged: without colour codes, control bytes and NULs replaced. Owned. */
char *log_line_clean(const char *bytes, size_t n);
/* FNV-1a of the line with digits and long hexadecimal words taken out. Never 0. */
uint64_t log_line_kind(const char *clean);
/* Has a word of the kind of error, fatal, critical, exception, panic. */
bool log_line_is_error(const char *clean);

typedef struct RedFlag {
        const char *name; /* for people */
        unsigned
                needed; /* so often within five minutes, in lines of kinds not seen before: roll back */
} RedFlag;

enum { RED_FLAGS = 7, RED_FLAG_NEEDED_MAX = 8 };
extern const RedFlag red_flags[RED_FLAGS];
/* Index into red_flags, or -1. */
int log_line_red_flag(const char *clean);
/* Whether one of the texts is in the line, without regard to case. */
bool log_line_has(const char *clean, char *const *texts);

/* Cuts a stream of bytes into lines of at most LIMIT_LOG_LINE; the rest of a longer one is dropped. */
typedef struct LineCutter {
        Str line;
        bool dropping;
        void (*take)(void *context, const char *bytes, size_t n);
        void *context;
} LineCutter;
void line_cutter_add(LineCutter *cutter, const char *bytes, size_t n);
void line_cutter_done(LineCutter *cutter);

#endif
