#include "cli/when.h"

#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "platform/clock.h"
#include "platform/zone_file.h"

enum { DAY_S = 86400 };

static bool number_at(const char *text, size_t digits, uint64_t most, int *ret) {
        scoped(free_str) char *copy = str_copy_n(text, strnlen(text, digits));
        uint64_t value = 0;
        if (strlen(copy) != digits || !str_to_uint(copy, most, &value))
                return false;
        *ret = (int)value;
        return true;
}

/* "02:00" in seconds of the day. */
static bool clock_of(const char *text, int64_t *ret_s) {
        int hour = 0, minute = 0;
        if (strlen(text) != 5 || text[2] != ':' || !number_at(text, 2, 23, &hour) ||
                !number_at(text + 3, 2, 59, &minute))
                return false;
        *ret_s = hour * 3600 + minute * 60;
        return true;
}

/* "2026-12-24 18:00", also with a T. */
static bool local_of(const char *text, int64_t *ret_s) {
        int year = 0, month = 0, day = 0;
        if (strlen(text) != 16 || text[4] != '-' || text[7] != '-' ||
                (text[10] != ' ' && text[10] != 'T') || !clock_of(text + 11, ret_s) ||
                !number_at(text, 4, 9999, &year) || !number_at(text + 5, 2, 12, &month) ||
                !number_at(text + 8, 2, 31, &day) || !calendar_is_date(year, month, day))
                return false;
        *ret_s += calendar_days(year, month, day) * DAY_S;
        return true;
}

/* The next time that clocks here show it. */
static int64_t next_instant(const Zone *zone, int64_t of_day, int64_t now_s) {
        int64_t local = zone_local(zone, now_s);
        int64_t today = local - local % DAY_S;
        int64_t instant = zone_instant(zone, today + of_day);
        return instant > now_s ? instant : zone_instant(zone, today + DAY_S + of_day);
}

static bool read_when(
        const char *text, int64_t now_ms, int64_t *ret_ms, bool *ret_known, Err *err) {
        scoped(zone_done) Zone zone = {0};
        int64_t seconds = 0;
        *ret_known = true;
        if (duration_parse(text, ret_ms)) {
                *ret_ms += now_ms;
                return true;
        }
        if (time_parse(text, ret_ms))
                return true;
        bool of_day = clock_of(text, &seconds);
        *ret_known = of_day || local_of(text, &seconds);
        if (!*ret_known)
                return true;
        if (!zone_load("local", &zone, err))
                return false;
        *ret_ms = 1000 * (of_day ? next_instant(&zone, seconds, now_ms / 1000)
                                 : zone_instant(&zone, seconds));
        return true;
}

bool parse_when(const char *option, const char *text, int64_t *ret_ms, Err *err) {
        int64_t ms = 0, now = clock_wall_ms();
        bool known = false;
        if (!read_when(text, now, &ms, &known, err))
                return false;
        if (!known) {
                err_fail(err, ERR_USAGE, "%s: '%.40s' is neither a time nor a duration", option,
                        text);
                return err_hint(err, "Say for example 02:00, 2h, \"2026-12-24 18:00\" or "
                                     "2026-12-24T18:00:00Z.");
        }
        if (ms <= now)
                return err_fail(err, ERR_USAGE, "%s: '%.40s' is over already", option, text);
        *ret_ms = ms;
        return true;
}
