/*
 * Time zones: what clocks show there at an instant, and at which instant they show it. Reads the bytes of
 * a TZif file (RFC 8536) and of the rule at its end for the years after its table; no setenv("TZ"), which
 * would belong to the whole process. No I/O: platform/zone_file.h finds the file.
 *
 *     scoped(zone_done) Zone zone = {0};
 *     if (!zone_read(bytes, n, &zone, err)) ...
 *     int64_t shown = zone_local(&zone, now_s);            // as if it were UTC: calendar_of(shown)
 *     int64_t when = zone_instant(&zone, shown);           // and back
 *
 * Everything is in seconds since 1970; local time is counted as if it were UTC.
 */
#ifndef BELAY_BASE_ZONE_H
#define BELAY_BASE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* When summer time begins or ends in any year, by the rule at the end of the file. */
typedef enum ZoneDayKind {
        ZONE_DAY_JULIAN, /* Jn: day 1 to 365, the 29th of February is not counted */
        ZONE_DAY_COUNT,  /* n: day 0 to 365 */
        ZONE_DAY_MONTH,  /* Mm.w.d: weekday d (0: Sunday) of week w (5: the last) of month m */
} ZoneDayKind;
typedef struct ZoneDay {
        ZoneDayKind kind;
        int day, month, week;
        int64_t at; /* seconds after local midnight, also negative */
} ZoneDay;

typedef struct ZoneRule {
        bool has, has_dst;
        int64_t standard, dst; /* seconds east of Greenwich */
        ZoneDay begin, end;    /* of summer time */
} ZoneRule;

typedef struct Zone {
        int64_t *at;     /* the table: from this instant on ... */
        int64_t *offset; /* ... so many seconds east of Greenwich */
        size_t n;
        int64_t first; /* before the first instant, or always */
        ZoneRule rule; /* after the last one */
} Zone;

/* ERR_CORRUPT for what is no TZif. */
bool zone_read(const char *bytes, size_t n, Zone *ret, Err *err);
/* A rule alone: "CET-1CEST,M3.5.0,M10.5.0/3". */
bool zone_read_rule(const char *text, ZoneRule *ret);
void zone_done(Zone *zone); /* an empty Zone is UTC */

int64_t zone_offset(const Zone *zone, int64_t instant);
int64_t zone_local(const Zone *zone, int64_t instant);
/* The first instant at which clocks show `local`; where they jump over it, the instant of the jump. */
int64_t zone_instant(const Zone *zone, int64_t local);

/* ---- the calendar ---- */
typedef struct Calendar {
        int64_t year;
        int month, day; /* from 1 */
        int hour, minute, second;
        int weekday; /* 0: Sunday */
} Calendar;
Calendar calendar_of(int64_t seconds);
int64_t calendar_days(int64_t year, int month, int day); /* since 1970-01-01 */
bool calendar_is_date(int64_t year, int month, int day);

#endif
