#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"

static void durations_read(void **state) {
        (void)state;
        static const struct {
                const char *text;
                int64_t ms; /* -1: refused */
        } cases[] = {
                {"500ms", 500},
                {"30s", 30000},
                {"2m", 120000},
                {"1h", 3600000},
                {"7d", 604800000},
                {"1w", 604800000},
                {"0s", 0},
                {"0ms", 0},
                {"007s", 7000},
                {"366d", 31622400000},
                {"367d", -1},
                {"53w", -1},
                {"52w", 31449600000},
                {"31622400001ms", -1},
                {"31622400000ms", 31622400000},
                {"999999999999ms", -1},
                {"9999999999999ms", -1},
                {"99999999999999999999s", -1},
                {"", -1},
                {"30", -1},
                {"s", -1},
                {"-1s", -1},
                {"+1s", -1},
                {" 1s", -1},
                {"1s ", -1},
                {"1 s", -1},
                {"1.5s", -1},
                {"1S", -1},
                {"1min", -1},
                {"1h30m", -1},
                {"1y", -1},
                {"0x1s", -1},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                int64_t ms = -7;
                bool ok = duration_parse(cases[i].text, &ms);
                if (ok != (cases[i].ms >= 0) || ms != (ok ? cases[i].ms : -7))
                        fail_msg("'%s' gives %" PRId64, cases[i].text, ms);
        }
}

static void durations_written(void **state) {
        (void)state;
        static const struct {
                int64_t ms;
                const char *text, *manifest;
        } cases[] = {
                {0, "0.0 s", "0s"},
                {250, "0.2 s", "250ms"},
                {1000, "1.0 s", "1s"},
                {3199, "3.1 s", "3199ms"},
                {59999, "59.9 s", "59999ms"},
                {60000, "1 min", "1m"},
                {90000, "2 min", "90s"},
                {7199000, "120 min", "7199s"},
                {7200000, "2 h", "2h"},
                {14400000, "4 h", "4h"},
                {172799999, "47 h", "172799999ms"},
                {172800000, "2 d", "2d"},
                {604800000, "7 d", "1w"},
                {1036800000, "12 d", "12d"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *text = duration_text(cases[i].ms);
                scoped(free_str) char *manifest = duration_manifest_text(cases[i].ms);
                int64_t again = -1;
                assert_string_equal(text, cases[i].text);
                assert_string_equal(manifest, cases[i].manifest);
                assert_true(duration_parse(manifest, &again));
                assert_int_equal(again, cases[i].ms);
        }
        scoped(free_str) char *negative = duration_text(-5);
        assert_string_equal(negative, "0.0 s");
}

static void byte_counts(void **state) {
        (void)state;
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                {0, "0 B"},
                {999, "999 B"},
                {1000, "1.0 kB"},
                {1234, "1.2 kB"},
                {99949, "99.9 kB"},
                {99951, "100 kB"},
                {212000000, "212 MB"},
                {999499, "999 kB"},
                {999500, "1.0 MB"},
                {999999, "1.0 MB"},
                {1200000000, "1.2 GB"},
                {5000000000000, "5.0 TB"},
                {UINT64_MAX, "18.4 EB"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *text = bytes_text(cases[i].bytes);
                assert_string_equal(text, cases[i].text);
        }
}

static void ago(void **state) {
        (void)state;
        static const int64_t now = 1770091506000;
        static const struct {
                int64_t before;
                const char *text;
        } cases[] = {
                {0, "just now"},
                {9999, "just now"},
                {10000, "10 s ago"},
                {59999, "59 s ago"},
                {180000, "3 min ago"},
                {7200000, "2 h ago"},
                {432000000, "5 d ago"},
                {-1000, "2026-02-03T04:05:07Z"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *text = ago_text(now - cases[i].before, now);
                assert_string_equal(text, cases[i].text);
        }
}

static void times(void **state) {
        (void)state;
        static const struct {
                int64_t ms;
                const char *text, *name;
        } cases[] = {
                {0, "1970-01-01T00:00:00Z", "19700101_000000"},
                {1770091506789, "2026-02-03T04:05:06Z", "20260203_040506"},
                {951782400000, "2000-02-29T00:00:00Z", "20000229_000000"},
                {4102444799000, "2099-12-31T23:59:59Z", "20991231_235959"},
                {253402300799000, "9999-12-31T23:59:59Z", "99991231_235959"},
        };
        setenv("TZ", "America/New_York", 1);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *text = time_text(cases[i].ms);
                scoped(free_str) char *name = time_name(cases[i].ms);
                int64_t ms = -1;
                assert_string_equal(text, cases[i].text);
                assert_string_equal(name, cases[i].name);
                assert_true(time_parse(text, &ms));
                assert_int_equal(ms, cases[i].ms / 1000 * 1000);
        }
        unsetenv("TZ");
        int64_t ms = -1;
        assert_true(time_parse("2026-02-03", &ms));
        assert_int_equal(ms, 1770076800000);
}

static void times_refused(void **state) {
        (void)state;
        static const char *const cases[] = {
                "",
                "yesterday",
                "2026",
                "2026-02",
                "2026-2-3",
                "2026-02-30",
                "2026-13-01",
                "2025-02-29",
                "2026-02-03T04:05:06",
                "2026-02-03T04:05Z",
                "2026-02-03T04:05:06+01:00",
                "2026-02-03T04:05:06.5Z",
                "2026-02-03T24:00:00Z",
                "2026-02-03T04:05:60Z",
                "2026-02-03 04:05:06Z",
                " 2026-02-03",
                "2026-02-03 ",
                "1969-12-31",
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                int64_t ms = -7;
                if (time_parse(cases[i], &ms))
                        fail_msg("'%s' gives %" PRId64, cases[i], ms);
                assert_int_equal(ms, -7);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(durations_read),
                cmocka_unit_test(durations_written),
                cmocka_unit_test(byte_counts),
                cmocka_unit_test(ago),
                cmocka_unit_test(times),
                cmocka_unit_test(times_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
