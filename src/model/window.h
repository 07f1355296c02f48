/*
 * When updates may begin: windows that open on weekdays, and freezes between dates, each by the clocks of
 * its own zone. Pure: whoever asks brings the zones and the time.
 *
 * A window is the time from `from` to `to` of each of its days; a `to` before `from` is one of the next
 * day. Where clocks jump over its beginning it opens at the jump; a window that lies in the jump as a
 * whole opens there for as long as it is long. Of a time that clocks show twice the first counts.
 */
#ifndef BELAY_MODEL_WINDOW_H
#define BELAY_MODEL_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/zone.h"

typedef struct WindowSpec {
        unsigned days;                   /* bit 0: Sunday */
        unsigned from_minute, to_minute; /* of the day; to up to 24:00; never equal */
        char *zone;                      /* "Europe/Berlin", "UTC", or "local": the machine's */
} WindowSpec;

/* Both days are part of it. Days since 1970. */
typedef struct FreezeSpec {
        int64_t from_day, to_day;
        char *zone;
} FreezeSpec;

typedef struct Timetable {
        const WindowSpec *windows;
        const Zone *window_zones; /* one for each */
        size_t n_windows;         /* 0: always open, but for freezes */
        const FreezeSpec *freezes;
        const Zone *freeze_zones;
        size_t n_freezes;
} Timetable;

typedef struct Opening {
        bool open;
        const WindowSpec *window; /* that is open; or the next; NULL without windows */
        const FreezeSpec *freeze; /* that is on; or NULL */
        int64_t opens_at;  /* seconds: now, when it is open; INT64_MAX: not within two years */
        int64_t closes_at; /* of the window that is open; 0 without windows */
} Opening;
Opening timetable_look(const Timetable *timetable, int64_t now_s);

/* The window of that local date, [from, until). */
void window_on(const WindowSpec *window, const Zone *zone, int64_t day, int64_t *ret_from,
        int64_t *ret_until);

#endif
