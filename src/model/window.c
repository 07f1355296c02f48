#include "model/window.h"

enum {
        DAY_S = 86400,
        MINUTE_S = 60,
        AHEAD_DAYS = 9,          /* the same weekday again, and clocks of another date */
        FAR_S = 2 * 366 * DAY_S, /* what opens later is not waited for */
        LOOKS_MAX = 5000,
};

void window_on(const WindowSpec *window, const Zone *zone, int64_t day, int64_t *ret_from,
        int64_t *ret_until) {
        int64_t from = day * DAY_S + window->from_minute * MINUTE_S;
        bool next_day = window->to_minute <= window->from_minute;
        int64_t until = (day + next_day) * DAY_S + window->to_minute * MINUTE_S;
        *ret_from = zone_instant(zone, from);
        *ret_until = zone_instant(zone, until);
        if (*ret_until <= *ret_from)
                *ret_until = *ret_from + until - from;
}

static bool is_on(const WindowSpec *window, int64_t day) {
        return window->days & 1u << calendar_of(day * DAY_S).weekday;
}

static int64_t local_day(const Zone *zone, int64_t instant) {
        int64_t local = zone_local(zone, instant);
        return local / DAY_S - (local % DAY_S < 0);
}

/* The window that is open now, or else the next to open. */
typedef struct Nearest {
        const WindowSpec *window;
        int64_t from, until;
} Nearest;

static Nearest nearest_of(const WindowSpec *window, const Zone *zone, int64_t now) {
        int64_t today = local_day(zone, now);
        for (int64_t day = today - 2; day <= today + AHEAD_DAYS; day++) {
                Nearest one = {.window = window};
                if (!is_on(window, day))
                        continue;
                window_on(window, zone, day, &one.from, &one.until);
                if (now < one.until)
                        return one;
        }
        return (Nearest){.from = INT64_MAX, .until = INT64_MAX};
}

/* Of several that are open, the one that closes last. */
static Nearest nearest_window(const Timetable *timetable, int64_t now) {
        Nearest best = {.from = INT64_MAX};
        for (size_t i = 0; i < timetable->n_windows; i++) {
                Nearest one = nearest_of(&timetable->windows[i], &timetable->window_zones[i], now);
                bool both = one.from <= now && best.from <= now;
                if (both ? one.until > best.until : one.from < best.from)
                        best = one;
        }
        return best;
}

static const FreezeSpec *freeze_at(const Timetable *timetable, int64_t now, int64_t *ret_until) {
        for (size_t i = 0; i < timetable->n_freezes; i++) {
                const FreezeSpec *freeze = &timetable->freezes[i];
                const Zone *zone = &timetable->freeze_zones[i];
                *ret_until = zone_instant(zone, (freeze->to_day + 1) * DAY_S);
                if (zone_instant(zone, freeze->from_day * DAY_S) <= now && now < *ret_until)
                        return freeze;
        }
        return NULL;
}

/* The first instant from `now` on at which nothing is in the way: goes from end to beginning in turn. */
static int64_t opens_at(const Timetable *timetable, int64_t now) {
        int64_t at = now;
        for (int i = 0; i < LOOKS_MAX && at - now < FAR_S; i++) {
                int64_t until = 0;
                if (freeze_at(timetable, at, &until)) {
                        at = until;
                        continue;
                }
                if (!timetable->n_windows)
                        return at;
                Nearest window = nearest_window(timetable, at);
                if (window.from <= at)
                        return at;
                if (window.from == INT64_MAX)
                        break;
                at = window.from;
        }
        return INT64_MAX;
}

Opening timetable_look(const Timetable *timetable, int64_t now_s) {
        Opening ret = {.opens_at = opens_at(timetable, now_s)};
        int64_t until = 0;
        ret.open = ret.opens_at == now_s;
        ret.freeze = freeze_at(timetable, now_s, &until);
        if (!timetable->n_windows)
                return ret;
        Nearest window =
                nearest_window(timetable, ret.opens_at == INT64_MAX ? now_s : ret.opens_at);
        ret.window = window.window;
        if (ret.open)
                ret.closes_at = window.until;
        return ret;
}
