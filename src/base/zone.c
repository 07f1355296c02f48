#include "base/zone.h"

#include <string.h>

#include "base/own.h"

enum {
        DAY_S = 86400,
        OFFSET_MAX_S = 26 * 3600, /* no clock is further from Greenwich, in files neither */
        RULE_TRANSITIONS = 6,     /* of three years */
};

void zone_done(Zone *zone) {
        free(zone->at);
        free(zone->offset);
        *zone = (Zone){0};
}

/* ---- the rule ---- */

typedef struct Change {
        int64_t at, offset;
} Change;

static int64_t day_of_rule(const ZoneDay *day, int64_t year) {
        int64_t first = calendar_days(year, 1, 1);
        bool leap = calendar_is_date(year, 2, 29);
        if (day->kind == ZONE_DAY_COUNT)
                return first + day->day;
        if (day->kind == ZONE_DAY_JULIAN)
                return first + day->day - 1 + (leap && day->day >= 60);
        int64_t of_month = calendar_days(year, day->month, 1);
        int first_weekday = calendar_of(of_month * DAY_S).weekday;
        int on = 1 + (day->day - first_weekday + 7) % 7 + (day->week - 1) * 7;
        while (!calendar_is_date(year, day->month, on))
                on -= 7;
        return of_month + on - 1;
}

/* Both changes of a year. Of two at one instant (summer time all the year) the beginning counts. */
static void changes_of_year(const ZoneRule *rule, int64_t year, Change ret[2]) {
        const Change begin = {
                day_of_rule(&rule->begin, year) * DAY_S + rule->begin.at - rule->standard,
                rule->dst};
        const Change end = {
                day_of_rule(&rule->end, year) * DAY_S + rule->end.at - rule->dst, rule->standard};
        bool end_first = end.at <= begin.at;
        ret[0] = end_first ? end : begin;
        ret[1] = end_first ? begin : end;
}

/* Those of the year of `instant` and of its neighbours, in order. */
static void changes_around(const ZoneRule *rule, int64_t instant, Change ret[RULE_TRANSITIONS]) {
        int64_t year = calendar_of(instant).year;
        for (int i = 0; i < RULE_TRANSITIONS / 2; i++)
                changes_of_year(rule, year - 1 + i, ret + 2 * i);
        /* A change at the turn of the year may be one of the year beside it. */
        for (size_t i = 1; i < RULE_TRANSITIONS; i++)
                for (size_t k = i; k > 0 && (ret[k - 1].at > ret[k].at ||
                                                    (ret[k - 1].at == ret[k].at &&
                                                            ret[k].offset == rule->standard &&
                                                            ret[k - 1].offset == rule->dst));
                        k--) {
                        Change moved = ret[k];
                        ret[k] = ret[k - 1];
                        ret[k - 1] = moved;
                }
}

static int64_t offset_by_rule(const ZoneRule *rule, int64_t instant) {
        if (!rule->has_dst)
                return rule->standard;
        Change changes[RULE_TRANSITIONS];
        changes_around(rule, instant, changes);
        int64_t offset = changes[0].offset;
        for (size_t i = 0; i < RULE_TRANSITIONS; i++)
                if (changes[i].at <= instant)
                        offset = changes[i].offset;
        return offset;
}

/* ---- both ---- */

/* How many instants of the table are not after this one. */
static size_t passed(const Zone *zone, int64_t instant) {
        size_t low = 0, high = zone->n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (zone->at[middle] <= instant)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int64_t zone_offset(const Zone *zone, int64_t instant) {
        size_t n = passed(zone, instant);
        if (n == zone->n && zone->rule.has)
                return offset_by_rule(&zone->rule, instant);
        return n ? zone->offset[n - 1] : zone->first;
}

int64_t zone_local(const Zone *zone, int64_t instant) {
        return instant + zone_offset(zone, instant);
}

/* The first instant after this one at which the offset may change; INT64_MAX: none any more. */
static int64_t next_change(const Zone *zone, int64_t instant) {
        size_t n = passed(zone, instant);
        if (n < zone->n)
                return zone->at[n];
        if (!zone->rule.has || !zone->rule.has_dst)
                return INT64_MAX;
        Change changes[RULE_TRANSITIONS];
        changes_around(&zone->rule, instant, changes);
        for (size_t i = 0; i < RULE_TRANSITIONS; i++)
                if (changes[i].at > instant)
                        return changes[i].at;
        return INT64_MAX;
}

/* Goes through the stretches of one offset, the earliest first: the first that reaches `local` has it, or
 * begins behind it, and then clocks jumped over it. */
int64_t zone_instant(const Zone *zone, int64_t local) {
        int64_t from = local - OFFSET_MAX_S;
        for (;;) {
                int64_t until = next_change(zone, from);
                int64_t instant = local - zone_offset(zone, from);
                if (instant < until)
                        return instant > from ? instant : from;
                from = until;
        }
}
