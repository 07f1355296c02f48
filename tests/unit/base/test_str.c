#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/own.h"
#include "base/str.h"

static void prefixes_and_copies(void **state) {
        (void)state;
        assert_null(str_copy(NULL));
        scoped(free_str) char *copy = str_copy_n("abc", 2);
        assert_string_equal(copy, "ab");
        str_replace_owned(&copy, str_copy("new"));
        assert_string_equal(copy, "new");
        assert_true(str_equal(NULL, NULL));
        assert_false(str_equal(NULL, ""));
        assert_false(str_equal("", NULL));
        assert_true(str_equal("a", "a"));
        assert_true(str_starts("abc", ""));
        assert_true(str_starts("abc", "abc"));
        assert_false(str_starts("ab", "abc"));
        assert_true(str_ends("abc", ""));
        assert_true(str_ends("abc", "bc"));
        assert_false(str_ends("bc", "abc"));
}

static void trimming(void **state) {
        (void)state;
        static const char *const cases[][2] = {
                {" a ", "a"},
                {"\t\r\na b\n\v", "a b"},
                {"", ""},
                {"   ", ""},
                {"a", "a"},
                {"\xC3\xA9 ", "\xC3\xA9"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *text = str_copy(cases[i][0]);
                assert_string_equal(str_trim(text), cases[i][1]);
        }
}

static void paths(void **state) {
        (void)state;
        static const char *const joins[][3] = {
                {"a", "b", "a/b"},
                {"a/", "b", "a/b"},
                {"a", "/b", "/b"},
                {"", "b", "b"},
                {NULL, "b", "b"},
                {"/", "b", "/b"},
        };
        for (size_t i = 0; i < COUNT_OF(joins); i++) {
                scoped(free_str) char *joined = path_join(joins[i][0], joins[i][1]);
                assert_string_equal(joined, joins[i][2]);
        }
        static const char *const parts[][3] = {
                {"a/b/c", "a/b", "c"},
                {"/a", "/", "a"},
                {"a", ".", "a"},
                {"/", "/", ""},
                {"a/", "a", ""},
        };
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
                scoped(free_str) char *dir = path_dirname(parts[i][0]);
                assert_string_equal(dir, parts[i][1]);
                assert_string_equal(path_basename(parts[i][0]), parts[i][2]);
        }
}

static void paths_that_hold_others(void **state) {
        (void)state;
        static const char *const held[][2] = {{"/srv/app", "/srv/app"}, {"/srv/app", "/srv/app/x"},
                {"/srv/app/", "/srv/app"}, {"/srv/app//", "/srv/app/x"}, {"/", "/"}, {"/", "/x"},
                {"a", "a/b"}};
        static const char *const not_held[][2] = {{"/srv/app", "/srv/apple"}, {"/srv/app", "/srv"},
                {"/srv/app/x", "/srv/app"}, {"/", "x"}, {"a", "ab"}};
        for (size_t i = 0; i < COUNT_OF(held); i++)
                assert_true(path_holds(held[i][0], held[i][1]));
        for (size_t i = 0; i < COUNT_OF(not_held); i++)
                assert_false(path_holds(not_held[i][0], not_held[i][1]));
}

static void distances(void **state) {
        (void)state;
        static const struct {
                const char *a, *b;
                unsigned distance;
        } cases[] = {
                {"", "", 0},
                {"a", "", 1},
                {"", "abc", 3},
                {"update", "update", 0},
                {"updaet", "update", 1},
                {"udpate", "update", 1},
                {"kitten", "sitting", 3},
                {"UPDATE", "update", 0},
                {"ab", "ba", 1},
                {"abcd", "badc", 2},
                {"ca", "abc", 3},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                assert_int_equal(str_distance(cases[i].a, cases[i].b), cases[i].distance);
                assert_int_equal(str_distance(cases[i].b, cases[i].a), cases[i].distance);
        }
        char at_limit[65], beyond[66];
        memset(at_limit, 'x', sizeof(at_limit));
        memset(beyond, 'x', sizeof(beyond));
        at_limit[64] = beyond[65] = '\0';
        assert_int_equal(str_distance(at_limit, at_limit), 0);
        assert_int_equal(str_distance(beyond, beyond), 64);
}

static void nearest(void **state) {
        (void)state;
        static const char *const list[] = {"update", "rollback", "resume", "restart", NULL};
        static const char *const cases[][2] = {
                {"updaet", "update"},
                {"rolback", "rollback"},
                {"restrat", "restart"},
                {"resum", "resume"},
                {"xyz", NULL},
                {"", NULL},
                {"UPDATE", "update"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++)
                if (!str_equal(str_nearest(cases[i][0], list), cases[i][1]))
                        fail_msg("'%s' gives '%s'", cases[i][0], str_nearest(cases[i][0], list));
        assert_null(str_nearest("update", NULL));
}

static void printable(void **state) {
        (void)state;
        static const struct {
                const char *text, *line, *lines;
        } cases[] = {
                {"plain", "plain", "plain"},
                {"a\nb\tc", "a?b?c", "a\nb\tc"},
                {"a\rb\033[31m\177", "a?b?[31m?", "a?b?[31m?"},
                {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
                        NULL},
                {"\xC0\x80", "??", NULL},           /* overlong */
                {"\xE0\x80\xAF", "???", NULL},      /* overlong */
                {"\xED\xA0\x80", "???", NULL},      /* a surrogate */
                {"\xF4\x90\x80\x80", "????", NULL}, /* beyond U+10FFFF */
                {"\xF5x", "?x", NULL},
                {"\xE2\x82", "??", NULL}, /* cut short */
                {"\xF0\x9F\x98", "???", NULL},
                {"\x80"
                 "a",
                        "?a", NULL},
                {"\xC2\x9B"
                 "31m",
                        "?31m", NULL}, /* a C1 control */
                {"a\xE2\x80\xAE"
                 "b",
                        "a?b", NULL}, /* right-to-left override */
                {"a\xE2\x81\xA6"
                 "b",
                        "a?b", NULL}, /* left-to-right isolate */
                {"a\xE2\x80\x8F"
                 "b",
                        "a?b", NULL}, /* right-to-left mark */
                {"a\xE2\x80\xA8"
                 "b",
                        "a?b", NULL}, /* line separator */
                {"\xE2\x80\x93\xE2\x81\xA5", "\xE2\x80\x93\xE2\x81\xA5",
                        NULL}, /* neighbours of those */
                {"", "", ""},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *line = str_printable(cases[i].text, false);
                scoped(free_str) char *lines = str_printable(cases[i].text, true);
                assert_string_equal(line, cases[i].line);
                assert_string_equal(lines, cases[i].lines ? cases[i].lines : cases[i].line);
        }
}

static void whole_numbers(void **state) {
        (void)state;
        static const struct {
                const char *text;
                uint64_t max;
                bool ok;
                uint64_t value;
        } cases[] = {
                {"0", 0, true, 0},
                {"1", 0, false, 0},
                {"7", 5, false, 0},
                {"5", 5, true, 5},
                {"10", 9, false, 0},
                {"007", 10, true, 7},
                {"65535", 65535, true, 65535},
                {"65536", 65535, false, 0},
                {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
                {"18446744073709551616", UINT64_MAX, false, 0},
                {"99999999999999999999", UINT64_MAX, false, 0},
                {"000000000000000000001", UINT64_MAX, false, 0},
                {"", 10, false, 0},
                {NULL, 10, false, 0},
                {"-1", 10, false, 0},
                {"+1", 10, false, 0},
                {" 1", 10, false, 0},
                {"1 ", 10, false, 0},
                {"0x1", 10, false, 0},
                {"1.0", 10, false, 0},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                uint64_t value = 42;
                if (str_to_uint(cases[i].text, cases[i].max, &value) != cases[i].ok)
                        fail_msg("'%s' of at most %lu", cases[i].text, (unsigned long)cases[i].max);
                assert_int_equal(value, cases[i].ok ? cases[i].value : 42);
        }
}

static void builder(void **state) {
        (void)state;
        Str s = {0};
        scoped(free_str) char *empty = str_take(&s);
        assert_string_equal(empty, "");
        for (int i = 0; i < 1000; i++) {
                str_add(&s, "ab");
                str_add_char(&s, 'c');
                str_addf(&s, "%03d", i);
                str_add_n(&s, "xyz", 1);
                str_add_n(&s, NULL, 0);
                assert_int_equal(strlen(s.text), s.len);
        }
        assert_int_equal(s.len, 7000);
        assert_true(str_ends(s.text, "abc999x"));
        scoped(free_str) char *text = str_take(&s);
        assert_int_equal(strlen(text), 7000);
        assert_null(s.text);
        str_add_n(&s, "a\0b", 3);
        assert_int_equal(s.len, 3);
        assert_memory_equal(s.text, "a\0b", 4);
        str_done(&s);
        str_done(&s);
        assert_null(s.text);
}

static void vectors(void **state) {
        (void)state;
        scoped(strv_freep) Strv v = NULL;
        assert_int_equal(strv_count(NULL), 0);
        assert_null(strv_copy(NULL));
        assert_false(strv_contains(NULL, "a"));
        scoped(free_str) char *nothing = strv_join(NULL, ",");
        assert_string_equal(nothing, "");
        for (int i = 0; i < 50; i++)
                strv_addf(&v, "%d", i);
        strv_add(&v, "last");
        strv_push(&v, str_copy("pushed"));
        assert_int_equal(strv_count(v), 52);
        assert_true(strv_contains(v, "49"));
        assert_false(strv_contains(v, "4 "));
        scoped(strv_freep) Strv copy = strv_copy(v);
        assert_int_equal(strv_count(copy), 52);
        assert_ptr_not_equal(copy[0], v[0]);
        strv_free(NULL);
}

static void splitting(void **state) {
        (void)state;
        static const struct {
                const char *text;
                size_t count;
                const char *joined;
        } cases[] = {
                {"", 0, ""},
                {"a", 1, "a"},
                {"a,b", 2, "a|b"},
                {"a,", 1, "a"},
                {"a,,b", 3, "a||b"},
                {",", 1, ""},
                {",a", 2, "|a"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(strv_freep) Strv v = strv_split(cases[i].text, ',');
                scoped(free_str) char *joined = strv_join(v, "|");
                assert_int_equal(strv_count(v), cases[i].count);
                assert_string_equal(joined, cases[i].joined);
        }
}

static void ownership(void **state) {
        (void)state;
        char *p = str_copy("x");
        scoped(free_str) char *taken = TAKE(p);
        assert_null(p);
        assert_string_equal(taken, "x");
        int fd = 5, moved = TAKE_FD(fd);
        assert_int_equal(fd, -1);
        assert_int_equal(moved, 5);
        int *numbers = NULL;
        size_t count = 0;
        for (int i = 0; i < 1000; i++)
                PUSH(numbers, count, i);
        assert_int_equal(count, 1000);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(numbers[i], i);
        free(numbers);
        scoped(free_mem) unsigned char *zeroed = NEW_ARRAY(unsigned char, 100);
        for (int i = 0; i < 100; i++)
                assert_int_equal(zeroed[i], 0);
        scoped(free_mem) void *none = mem_new(0, 0);
        assert_non_null(none);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(prefixes_and_copies),
                cmocka_unit_test(trimming),
                cmocka_unit_test(paths),
                cmocka_unit_test(paths_that_hold_others),
                cmocka_unit_test(distances),
                cmocka_unit_test(nearest),
                cmocka_unit_test(printable),
                cmocka_unit_test(whole_numbers),
                cmocka_unit_test(builder),
                cmocka_unit_test(vectors),
                cmocka_unit_test(splitting),
                cmocka_unit_test(ownership),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
