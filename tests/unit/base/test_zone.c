/* Time zone files: hostile ones are refused, whatever byte is wrong; what good ones say is compared with another
 * implementation in tests/e2e/test_zones.py. The calendar, over its corners (Z10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "base/zone.h"

/* One block: the counts of utc, standard, leap, times, types, chars; two instants, two types. */
typedef struct Made {
        unsigned counts[6];
        int64_t at[2];
        unsigned char index[2];
        int32_t offset[2];
        const char *footer; /* NULL: none at all */
        char version;
} Made;

static const Made good = {
        .counts = {0, 0, 0, 2, 2, 4},
        .at = {1000000, 2000000},
        .index = {1, 0},
        .offset = {3600, 7200},
        .footer = "\nCET-1CEST,M3.5.0,M10.5.0/3\n",
        .version = '2',
};

static void add_number(Str *s, uint64_t value, unsigned bytes) {
        while (bytes--)
                str_add_char(s, bytes < 8 ? (char)(value >> (8 * bytes) & 0xff) : 0);
}

static void add_block(Str *s, const Made *made, unsigned time_bytes) {
        str_add(s, "TZif");
        str_add_char(s, made->version);
        for (int i = 0; i < 15; i++)
                str_add_char(s, '\0');
        for (int i = 0; i < 6; i++)
                add_number(s, made->counts[i], 4);
        for (unsigned i = 0; i < made->counts[3] && i < 2; i++)
                add_number(s, (uint64_t)made->at[i], time_bytes);
        for (unsigned i = 0; i < made->counts[3] && i < 2; i++)
                str_add_char(s, (char)made->index[i]);
        for (unsigned i = 0; i < made->counts[4] && i < 2; i++) {
                add_number(s, (uint32_t)made->offset[i], 4);
                add_number(s, 0, 2);
        }
        for (unsigned i = 0; i < made->counts[5] && i < 64; i++)
                str_add_char(s, i == 3 ? '\0' : 'A');
        for (unsigned i = 0; i < made->counts[2]; i++)
                add_number(s, 0, time_bytes + 4);
}

static Str bytes_of(const Made *made) {
        Str s = {0};
        add_block(&s, made, 4);
        if (made->version >= '2')
                add_block(&s, made, 8);
        if (made->footer)
                str_add(&s, made->footer);
        return s;
}

/* NULL: it is taken. */
static char *refusal(const Made *made) {
        scoped(str_done) Str bytes = bytes_of(made);
        scoped(zone_done) Zone zone = {0};
        scoped(err_clear) Err err = {0};
        if (zone_read(bytes.text, bytes.len, &zone, &err))
                return NULL;
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_null(zone.at);
        return TAKE(err.message);
}

static void test_a_good_one(void **unused) {
        (void)unused;
        scoped(str_done) Str bytes = bytes_of(&good);
        scoped(zone_done) Zone zone = {0};
        assert_true(zone_read(bytes.text, bytes.len, &zone, NULL));
        assert_int_equal(zone_offset(&zone, 0), 3600);
        assert_int_equal(zone_offset(&zone, 999999), 3600);
        assert_int_equal(zone_offset(&zone, 1000000), 7200);
        assert_int_equal(zone_offset(&zone, 1999999), 7200);
        /* From the last instant on the rule at the end counts: summer begins on the last Sunday of March. */
        assert_int_equal(zone_offset(&zone, 2000000), 3600);
        assert_int_equal(zone_local(&zone, 1774746000 - 1), 1774746000 - 1 + 3600);
        assert_int_equal(zone_local(&zone, 1774746000), 1774746000 + 7200);
        /* One hour is shown twice at 2000000, and jumped over at 1000000. */
        assert_int_equal(zone_instant(&zone, 2000000 + 3600), 2000000 - 3600);
        assert_int_equal(zone_instant(&zone, 1000000 + 3600 + 60), 1000000);
}

static void test_an_old_one_and_one_without_a_rule(void **unused) {
        (void)unused;
        static const char *const ends[] = {NULL, "\n\n"};
        for (size_t i = 0; i < COUNT_OF(ends); i++) {
                Made made = good;
                made.version = i == 0 ? '\0' : '3';
                made.footer = ends[i];
                scoped(str_done) Str bytes = bytes_of(&made);
                scoped(zone_done) Zone zone = {0};
                assert_true(zone_read(bytes.text, bytes.len, &zone, NULL));
                assert_int_equal(zone_offset(&zone, 4000000000), 3600);
                assert_int_equal(zone_instant(&zone, 4000000000), 4000000000 - 3600);
        }
}

static void test_what_is_wrong_is_said(void **unused) {
        (void)unused;
        Made made = good;
        static const struct {
                unsigned which, count;
                const char *message;
        } counts[] = {
                {0, 257, "out of range"},
                {1, 257, "out of range"},
                {2, 1025, "out of range"},
                {3, 4097, "out of range"},
                {4, 257, "out of range"},
                {5, 1025, "out of range"},
                {3, 100, "cut short"},
                {4, 0, "no offset"},
                {2, 1, "leap seconds"},
        };
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
                made = good;
                made.counts[counts[i].which] = counts[i].count;
                scoped(free_str) char *said = refusal(&made);
                if (!said || !strstr(said, counts[i].message))
                        fail_msg("%s: %s", counts[i].message, said ? said : "taken");
        }
}

static void test_what_else_is_wrong(void **unused) {
        (void)unused;
        Made made[] = {good, good, good, good, good, good};
        made[0].at[1] = made[0].at[0];
        made[1].index[1] = 2;
        made[2].offset[1] = 27 * 3600;
        made[3].offset[0] = -27 * 3600;
        made[4].footer = "\nnonsense 1\n";
        made[5].footer = "CET-1";
        static const char *const said[] = {
                "out of order", "no type", "26 hours", "26 hours", "cannot be read", "is missing"};
        for (size_t i = 0; i < COUNT_OF(made); i++) {
                scoped(free_str) char *message = refusal(&made[i]);
                if (!message || !strstr(message, said[i]))
                        fail_msg("%s: %s", said[i], message ? message : "taken");
        }
        made[5].footer = "\nA234567890123456789012345678901234567890123456789012345678901234567890"
                         "123456789012345678901234567890123456789012345678901234567890\n";
        scoped(free_str) char *message = refusal(&made[5]);
        assert_non_null(strstr(message, "is missing"));
}

/* Under a sanitizer this is the test: nothing is read beyond the end, and nothing else breaks. */
static void test_every_length_and_every_byte(void **unused) {
        (void)unused;
        scoped(str_done) Str whole = bytes_of(&good);
        for (size_t n = 0; n < whole.len; n++) {
                scoped(free_mem) char *part = malloc(n ? n : 1);
                scoped(zone_done) Zone zone = {0};
                memcpy(part, whole.text, n);
                assert_false(zone_read(part, n, &zone, NULL));
        }
        for (size_t i = 0; i < whole.len; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        scoped(free_mem) char *flipped = malloc(whole.len);
                        scoped(zone_done) Zone zone = {0};
                        memcpy(flipped, whole.text, whole.len);
                        flipped[i] = (char)(flipped[i] ^ (char)(1 << bit));
                        if (zone_read(flipped, whole.len, &zone, NULL))
                                (void)zone_instant(&zone, 1774746000);
                }
}

static void test_the_calendar(void **unused) {
        (void)unused;
        static const struct {
                int64_t year, days;
                int month, day, weekday;
        } dates[] = {{1970, 0, 1, 1, 4}, {1969, -1, 12, 31, 3}, {2000, 11016, 2, 29, 2},
                {2100, 47540, 2, 28, 0}, {2100, 47541, 3, 1, 1}, {1600, -135081, 2, 29, 2},
                {2038, 24855, 1, 19, 2}, {2106, 49710, 2, 7, 0}, {-1, -719529, 12, 31, 5}};
        for (size_t i = 0; i < COUNT_OF(dates); i++) {
                Calendar is = calendar_of(dates[i].days * 86400 + 86399);
                if (is.year != dates[i].year || is.month != dates[i].month ||
                        is.day != dates[i].day || is.weekday != dates[i].weekday || is.hour != 23 ||
                        is.second != 59)
                        fail_msg("%lld: %lld-%d-%d, weekday %d", (long long)dates[i].days,
                                (long long)is.year, is.month, is.day, is.weekday);
                assert_int_equal(calendar_days(is.year, is.month, is.day), dates[i].days);
        }
        assert_true(calendar_is_date(2028, 2, 29));
        assert_false(calendar_is_date(2026, 2, 29));
        assert_false(calendar_is_date(2026, 0, 1));
        assert_false(calendar_is_date(2026, 13, 1));
        assert_false(calendar_is_date(2026, 4, 31));
        assert_false(calendar_is_date(2026, 4, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_good_one),
                cmocka_unit_test(test_an_old_one_and_one_without_a_rule),
                cmocka_unit_test(test_what_is_wrong_is_said),
                cmocka_unit_test(test_what_else_is_wrong),
                cmocka_unit_test(test_every_length_and_every_byte),
                cmocka_unit_test(test_the_calendar),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
