/* When updates may begin: windows and freezes by the clocks of their zones (Z01, Z02, Z11). The rules of the
 * zones are written here as text, so that no file of this machine is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "model/window.h"

#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define DUBLIN    "IST-1GMT0,M10.5.0,M3.5.0/1"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define UTC_RULE  "UTC0"
#define DAILY     0x7fu
#define SUN       1u
#define SAT       64u

static Zone zone_of(const char *rule) {
        Zone zone = {0};
        assert_true(zone_read_rule(rule, &zone.rule));
        return zone;
}

static int64_t seconds(const char *text) {
        int64_t ms = 0;
        if (!time_parse(text, &ms))
                fail_msg("%s is no time", text);
        return ms / 1000;
}

static char *shown(int64_t s) { return s == INT64_MAX ? str_copy("never") : time_text(s * 1000); }

/* One window of one day: when it opens and closes. */
static const struct {
        const char *row, *rule, *day, *from, *to;
        unsigned from_minute, to_minute;
} on_day[] = {
        {"plain", BERLIN, "2026-01-04", "2026-01-04T01:00:00Z", "2026-01-04T04:00:00Z", 120, 300},
        {"summer", BERLIN, "2026-07-05", "2026-07-05T00:00:00Z", "2026-07-05T03:00:00Z", 120, 300},
        {"over midnight", BERLIN, "2026-01-04", "2026-01-04T22:00:00Z", "2026-01-05T01:00:00Z",
                23 * 60, 120},
        {"Z11 a whole day", BERLIN, "2026-01-04", "2026-01-03T23:00:00Z", "2026-01-04T23:00:00Z", 0,
                1440},
        {"Z11 whole, 23 h", BERLIN, "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 0,
                1440},
        {"Z11 whole, 25 h", BERLIN, "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 0,
                1440},
        {"Z11 midnight and gap", BERLIN, "2026-03-28", "2026-03-28T22:00:00Z",
                "2026-03-29T01:00:00Z", 23 * 60, 180},
        {"Z01 in the gap", BERLIN, "2026-03-29", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z",
                135, 165},
        {"Z01 into the gap", BERLIN, "2026-03-29", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z",
                90, 150},
        {"Z01 out of the gap", BERLIN, "2026-03-29", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z",
                150, 210},
        {"Z02 twice: the first", BERLIN, "2026-10-25", "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z", 120, 150},
        {"Z02 around", BERLIN, "2026-10-25", "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", 90,
                150},
        {"negative summer time", DUBLIN, "2026-07-05", "2026-07-05T01:00:00Z",
                "2026-07-05T02:00:00Z", 120, 180},
        {"half an hour", LORD_HOWE, "2026-10-04", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z",
                125, 180},
        {"Z10 2106", BERLIN, "2106-07-04", "2106-07-04T00:00:00Z", "2106-07-04T01:00:00Z", 120,
                180},
};

static void test_one_day(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(on_day); i++) {
                scoped(zone_done) Zone zone = zone_of(on_day[i].rule);
                const WindowSpec window = {.days = DAILY,
                        .from_minute = on_day[i].from_minute,
                        .to_minute = on_day[i].to_minute};
                int64_t from = 0, until = 0;
                window_on(&window, &zone, seconds(on_day[i].day) / 86400, &from, &until);
                scoped(free_str) char *f = shown(from), *u = shown(until);
                if (!str_equal(f, on_day[i].from) || !str_equal(u, on_day[i].to))
                        fail_msg("%s: %s to %s", on_day[i].row, f, u);
        }
}

/* Sundays 02:00 to 05:00 and Saturdays 23:00 to 01:00 in Berlin; frozen over Christmas. */
static const struct {
        const char *now, *opens;
        bool frozen;
} looks[] = {
        {"2026-11-20T12:00:00Z", "2026-11-21T22:00:00Z", false},
        {"2026-11-21T21:59:59Z", "2026-11-21T22:00:00Z", false},
        {"2026-11-21T22:00:00Z", "2026-11-21T22:00:00Z", false},
        {"2026-11-21T23:59:59Z", "2026-11-21T23:59:59Z", false},
        {"2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z", false},
        {"2026-11-22T03:59:59Z", "2026-11-22T03:59:59Z", false},
        {"2026-11-22T04:00:00Z", "2026-11-28T22:00:00Z", false},
        {"2026-12-19T22:59:59Z", "2026-12-19T22:59:59Z", false}, /* 23:59:59 of the day before */
        {"2026-12-19T23:00:00Z", "2027-01-02T23:00:00Z", true},  /* in the middle of a window */
        {"2027-01-02T22:59:59Z", "2027-01-02T23:00:00Z", true},
        {"2027-01-02T23:00:00Z", "2027-01-02T23:00:00Z", false}, /* Saturday's window still */
        {"2027-01-03T00:00:00Z", "2027-01-03T01:00:00Z", false},
};

static void test_a_timetable(void **unused) {
        (void)unused;
        scoped(zone_done) Zone berlin = zone_of(BERLIN);
        const Zone zones[] = {berlin, berlin};
        static char name[] = "Europe/Berlin";
        const WindowSpec windows[] = {{SUN, 120, 300, name}, {SAT, 23 * 60, 60, name}};
        const FreezeSpec freeze = {
                seconds("2026-12-20") / 86400, seconds("2027-01-02") / 86400, name};
        const Timetable table = {windows, zones, 2, &freeze, zones, 1};
        for (size_t i = 0; i < COUNT_OF(looks); i++) {
                Opening is = timetable_look(&table, seconds(looks[i].now));
                scoped(free_str) char *opens = shown(is.opens_at);
                if (!str_equal(opens, looks[i].opens) || (is.freeze != NULL) != looks[i].frozen ||
                        is.open != str_equal(looks[i].now, looks[i].opens))
                        fail_msg("%s: opens %s", looks[i].now, opens);
                assert_non_null(is.window);
        }
}

static void test_without_windows_only_freezes_close(void **unused) {
        (void)unused;
        scoped(zone_done) Zone utc = zone_of(UTC_RULE);
        static char name[] = "UTC";
        const FreezeSpec freezes[] = {
                {seconds("2026-01-10") / 86400, seconds("2026-01-11") / 86400, name},
                {seconds("2026-01-12") / 86400, seconds("2026-01-12") / 86400, name}};
        const Zone zones[] = {utc, utc};
        const Timetable table = {.freezes = freezes, .freeze_zones = zones, .n_freezes = 2};
        assert_true(timetable_look(&table, seconds("2026-01-09T23:59:59Z")).open);
        Opening is = timetable_look(&table, seconds("2026-01-10"));
        assert_false(is.open);
        assert_int_equal(is.opens_at, seconds("2026-01-13"));
        assert_null(is.window);
        assert_true(timetable_look(&(Timetable){0}, 0).open);
}

/* A freeze over every window of two years and more: nobody waits for that. */
static void test_what_never_opens(void **unused) {
        (void)unused;
        scoped(zone_done) Zone utc = zone_of(UTC_RULE);
        static char name[] = "UTC";
        const FreezeSpec freeze = {
                seconds("2026-01-01") / 86400, seconds("2030-01-01") / 86400, name};
        const WindowSpec window = {SUN, 0, 60, name};
        const Timetable table = {&window, &utc, 1, &freeze, &utc, 1};
        Opening is = timetable_look(&table, seconds("2026-06-01"));
        assert_false(is.open);
        assert_int_equal(is.opens_at, INT64_MAX);
        const WindowSpec no_day = {0, 0, 60, name};
        const Timetable never = {&no_day, &utc, 1, NULL, NULL, 0};
        is = timetable_look(&never, seconds("2026-06-01"));
        assert_int_equal(is.opens_at, INT64_MAX);
        assert_null(is.window);
}

static const char *const bad_rules[] = {"", "C", "CET", "CET-1CEST", "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "<>1",
        "<+01-1", "CET-25", "CET-1CEST,J0,J366", "CET-1CEST,366,1", "CET-1x",
        "CET-1CEST,M3.5.0,M10.5.0x", "CET-1CEST,M3.5.0/168,M10.5.0"};

static void test_rules_that_are_none(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(bad_rules); i++) {
                ZoneRule rule = {0};
                if (zone_read_rule(bad_rules[i], &rule))
                        fail_msg("'%s' is taken", bad_rules[i]);
        }
}

/* Other forms of a rule's days: J and 60 is the 1st of March in every year, 59 the 29th of February in one. */
static void test_days_of_rules(void **unused) {
        (void)unused;
        static const struct {
                const char *rule, *before, *after;
        } days[] = {
                {"AAA0BBB,J"
                 "60/0,J300/0",
                        "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"},
                {"AAA0BBB,J"
                 "60/0,J300/0",
                        "2027-02-28T23:59:59Z", "2027-03-01T00:00:00Z"},
                {"AAA0BBB,59/0,300/0", "2028-02-28T23:59:59Z", "2028-02-29T00:00:00Z"},
                {"AAA0BBB,M3.1.1/-1,J300/0", "2027-02-28T22:59:59Z", "2027-02-28T23:00:00Z"},
                {"AAA0BBB-2:30,M3.1.1/0:00:05,J300/0", "2027-03-01T00:00:04Z",
                        "2027-03-01T00:00:05Z"},
        };
        for (size_t i = 0; i < COUNT_OF(days); i++) {
                scoped(zone_done) Zone zone = zone_of(days[i].rule);
                assert_int_equal(zone_offset(&zone, seconds(days[i].before)), 0);
                assert_int_not_equal(zone_offset(&zone, seconds(days[i].after)), 0);
        }
        scoped(zone_done) Zone always = zone_of("XXX3EDT4,0/0,J365/23");
        for (int64_t day = seconds("2026-12-25"); day < seconds("2027-01-07"); day += 3600)
                assert_int_equal(zone_offset(&always, day), -4 * 3600);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_day),
                cmocka_unit_test(test_a_timetable),
                cmocka_unit_test(test_without_windows_only_freezes_close),
                cmocka_unit_test(test_what_never_opens),
                cmocka_unit_test(test_rules_that_are_none),
                cmocka_unit_test(test_days_of_rules),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
