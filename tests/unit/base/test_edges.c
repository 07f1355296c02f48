/* The ends of ranges, and callers who want to know nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "base/js.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "base/version.h"

static void errors_nobody_wants(void **state) {
        (void)state;
        assert_false(err_fail(NULL, ERR_IO, "no"));
        assert_false(err_fail_errno(NULL, ERR_IO, 2, "no"));
        assert_false(err_context(NULL, "no"));
        assert_false(err_hint(NULL, "no"));
        assert_false(err_reason(NULL, "no"));
        scoped(err_clear) Err err = {0};
        err_fail(&err, ERR_IO, "a");
        err_move(NULL, &err);
        assert_null(err.message);
        assert_string_equal(errno_text(99999), "unknown error");
}

static void last_lines(void **state) {
        (void)state;
        static const struct {
                const char *text;
                unsigned lines;
                const char *last;
        } cases[] = {
                {"", 3, ""},
                {"a", 1, "a"},
                {"a\nb\nc\n", 1, "c\n"},
                {"a\nb\nc\n", 2, "b\nc\n"},
                {"a\nb\nc", 2, "b\nc"},
                {"a\nb\nc", 9, "a\nb\nc"},
                {"\n\n", 1, "\n"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *last = str_last_lines(cases[i].text, cases[i].lines);
                assert_string_equal(last, cases[i].last);
        }
}

static void long_texts_are_far(void **state) {
        (void)state;
        char longer[80];
        memset(longer, 'a', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        assert_int_equal(str_distance("a", longer), 64);
        assert_int_equal(str_distance(longer, "a"), 64);
        assert_int_equal(str_distance(longer, longer), 64);
}

static void amounts(void **state) {
        (void)state;
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                {0, "0 B"},
                {999, "999 B"},
                {1000, "1.0 kB"},
                {99949, "99.9 kB"},
                {999499, "999 kB"},
                {999500, "1.0 MB"},
                {UINT64_MAX, "18.4 EB"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *text = bytes_text(cases[i].bytes);
                assert_string_equal(text, cases[i].text);
        }
}

static void times(void **state) {
        (void)state;
        int64_t ms = 7;
        assert_true(time_parse("1970-01-02", &ms));
        assert_int_equal(ms, 86400000);
        static const char *const no[] = {"", "1970", "1970-01-02x", "1970-01-02T00:00:00",
                "1970-01-02T00:00:00Zx", "1970-13-01"};
        for (size_t i = 0; i < COUNT_OF(no); i++)
                assert_false(time_parse(no[i], &ms));
        assert_int_equal(ms, 86400000);
}

static void values_of_another_kind(void **state) {
        (void)state;
        scoped(js_freep) json_t *object = json_pack("{s:n, s:s, s:i}", "n", "s", "x", "i", 3);
        assert_true(js_bool(object, "n", true));
        assert_false(js_bool(object, "s", false));
        assert_true(js_bool(object, "none", true));
        assert_true(js_bool(NULL, "none", true));
        assert_int_equal(js_int(object, "s", 5), 5);
        assert_int_equal(js_int(object, "i", 5), 3);
        assert_null(js_str(object, "i"));
        js_set_bool(object, "b", true);
        assert_true(js_bool(object, "b", false));
        js_set_bool(object, "b", false);
        assert_false(js_bool(object, "b", true));
        js_set_str(object, "bad", "\xff");
        assert_string_equal(js_str(object, "bad"), "(not UTF-8)");
}

static void growing(void **state) {
        (void)state;
        char *bytes = mem_grow(NULL, 0, 8);
        bytes = mem_grow(bytes, 8, 0);
        bytes = mem_grow(bytes, 8, 8);
        bytes[63] = 'x';
        free(bytes);
        free(mem_new(0, 0));
}

static void versions_and_none(void **state) {
        (void)state;
        assert_false(version_same(NULL, "1"));
        assert_false(version_same("1", NULL));
        assert_false(version_same(NULL, NULL));
        bool ordered = true;
        assert_int_equal(version_text_compare("1.0.0", "nightly", &ordered), 0);
        assert_false(ordered);
        assert_int_equal(version_text_compare("nightly", "1.0.0", &ordered), 0);
        assert_false(ordered);
        static const char *const no[] = {"", "-a", "a..b", "a.lock", "@", "a@{b", "a b", "/a", "a/",
                "a//b", ".a", "a/.b", "a.", "a\\b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b"};
        for (size_t i = 0; i < COUNT_OF(no); i++)
                assert_false(version_text_ok(no[i]));
        assert_true(version_text_ok("release/1.0"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(errors_nobody_wants),
                cmocka_unit_test(last_lines),
                cmocka_unit_test(long_texts_are_far),
                cmocka_unit_test(amounts),
                cmocka_unit_test(times),
                cmocka_unit_test(values_of_another_kind),
                cmocka_unit_test(growing),
                cmocka_unit_test(versions_and_none),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
