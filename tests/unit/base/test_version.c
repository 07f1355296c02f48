#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/own.h"
#include "base/version.h"

static void parsed(void **state) {
        (void)state;
        static const struct {
                const char *text;
                uint64_t major, minor, patch;
                const char *pre;
        } cases[] = {
                {"0.0.0", 0, 0, 0, NULL},
                {"v1.2.3", 1, 2, 3, NULL},
                {"1.2.3-rc.1", 1, 2, 3, "rc.1"},
                {"1.2.3-rc.1+build.5", 1, 2, 3, "rc.1"},
                {"1.2.3+001", 1, 2, 3, NULL},
                {"1.0.0--", 1, 0, 0, "-"},
                {"1.0.0-0a", 1, 0, 0, "0a"},
                {"1.0.0-x-y-z.--", 1, 0, 0, "x-y-z.--"},
                {"999999999999999999.0.0", 999999999999999999, 0, 0, NULL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(version_done) Version v = {0};
                assert_true(version_parse(cases[i].text, &v));
                assert_int_equal(v.major, cases[i].major);
                assert_int_equal(v.minor, cases[i].minor);
                assert_int_equal(v.patch, cases[i].patch);
                if (cases[i].pre)
                        assert_string_equal(v.pre, cases[i].pre);
                else
                        assert_null(v.pre);
        }
}

static void refused(void **state) {
        (void)state;
        static const char *const cases[] = {
                "",
                "v",
                "1",
                "1.2",
                "1.2.3.4",
                "01.2.3",
                "1.02.3",
                "1.2.03",
                "1.2.3-",
                "1.2.3-01",
                "1.2.3-a..b",
                "1.2.3-.a",
                "1.2.3+",
                "1.2.3+a..b",
                "1.2.3-a_b",
                "vv1.2.3",
                "V1.2.3",
                "1.2.3 ",
                " 1.2.3",
                "-1.2.3",
                "1.2.-3",
                "1.2.3\n",
                "a.b.c",
                "1.2.3-\xC3\xA9",
                "1.2.3+a+b",
                "latest",
                "1000000000000000000.0.0",
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                Version v = {.major = 77};
                if (version_parse(cases[i], &v))
                        fail_msg("'%s' was taken", cases[i]);
                assert_int_equal(v.major, 77);
        }
        assert_false(version_parse(NULL, &(Version){0}));
        char long_one[140] = "1.2.3-";
        memset(long_one + 6, 'a', 122);
        scoped(version_done) Version v = {0};
        assert_int_equal(strlen(long_one), 128);
        assert_true(version_parse(long_one, &v));
        long_one[128] = 'a';
        Version beyond = {0};
        assert_false(version_parse(long_one, &beyond));
}

/* semver.org, section 11, and around it: each is before the next. */
static void precedence(void **state) {
        (void)state;
        static const char *const order[] = {
                "0.0.0-0",
                "0.0.0",
                "0.0.1",
                "0.1.0-alpha",
                "0.1.0",
                "1.0.0-0",
                "1.0.0-2",
                "1.0.0-10",
                "1.0.0-A",
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "1.0.2",
                "1.0.10",
                "1.2.0",
                "1.10.0",
                "2.0.0",
                "10.0.0",
        };
        for (size_t i = 0; i < COUNT_OF(order); i++) {
                for (size_t j = 0; j < COUNT_OF(order); j++) {
                        scoped(version_done) Version a = {0};
                        scoped(version_done) Version b = {0};
                        bool ordered = false;
                        assert_true(version_parse(order[i], &a) && version_parse(order[j], &b));
                        int expected = i < j ? -1 : i > j;
                        int got = version_compare(&a, &b),
                            by_text = version_text_compare(order[i], order[j], &ordered);
                        if ((got > 0) - (got < 0) != expected ||
                                (by_text > 0) - (by_text < 0) != expected)
                                fail_msg("%s and %s compare as %d", order[i], order[j], got);
                        assert_true(ordered);
                }
        }
        bool ordered = false;
        assert_int_equal(version_text_compare("1.0.0+a", "v1.0.0+b", &ordered), 0);
        assert_true(ordered);
        assert_int_equal(version_text_compare("nightly", "1.0.0", &ordered), 0);
        assert_false(ordered);
        assert_int_equal(version_text_compare("nightly", "nightly", &ordered), 0);
        assert_true(ordered);
}

static void steps(void **state) {
        (void)state;
        static const struct {
                const char *from, *to, *step;
                bool breaking;
        } cases[] = {
                {"1.0.0", "2.0.0", "major", true},
                {"1.0.0", "1.1.0", "minor", false},
                {"1.0.0", "1.0.1", "patch", false},
                {"0.1.0", "0.2.0", "minor", true},
                {"0.1.0", "0.1.1", "patch", false},
                {"0.9.0", "1.0.0", "major", true},
                {"2.0.0", "1.0.0", "major", false},
                {"0.2.0", "0.1.0", "minor", false},
                {"v1.0.0", "1.0.1", "patch", false},
                {"1.0.0-rc.1", "1.0.0", "patch", false},
                {"nightly", "1.0.0", NULL, false},
                {"1.0.0", "nightly", NULL, false},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                const char *step = version_step(cases[i].from, cases[i].to);
                assert_int_equal(step == NULL, cases[i].step == NULL);
                if (step)
                        assert_string_equal(step, cases[i].step);
                assert_int_equal(
                        version_is_breaking(cases[i].from, cases[i].to), cases[i].breaking);
        }
}

static void names(void **state) {
        (void)state;
        assert_string_equal(version_bare("v1.2.0"), "1.2.0");
        assert_string_equal(version_bare("very"), "very");
        assert_string_equal(version_bare("v"), "v");
        assert_true(version_same("v1.2.0", "1.2.0"));
        assert_false(version_same("1.2.0", "1.2.1"));
        assert_false(version_same("very", "ery"));
        assert_false(version_same(NULL, "1"));
        assert_false(version_same(NULL, NULL));
}

static void texts(void **state) {
        (void)state;
        static const char *const good[] = {
                "v1.2.3",
                "1.2.3-rc.1+build",
                "release/2026-02",
                "nightly",
                "a",
                "\xC3\xA9t\xC3\xA9",
                "v1@2",
                "HEAD",
                "x.lockx",
        };
        static const char *const bad[] = {
                "",
                "-v1",
                "--upload-pack=x",
                "a b",
                "a\tb",
                "a\nb",
                "a..b",
                "/a",
                "a/",
                ".a",
                "a.",
                "a//b",
                "a/.b",
                "a.lock",
                "a.lock/b",
                "@",
                "a@{1}",
                "a~1",
                "a^",
                "a:b",
                "a?",
                "a*",
                "a[b",
                "a\\b",
                "a\x7F",
                "a$b",
                "a;b",
                "a|b",
                "a&b",
                "a>b",
                "a`b`",
                "$(a)",
                "a'b",
                "a\"b",
                "../a",
                "a#b",
                "a%b",
                "a!b",
                "\001",
        };
        for (size_t i = 0; i < COUNT_OF(good); i++)
                if (!version_text_ok(good[i]))
                        fail_msg("'%s' was refused", good[i]);
        for (size_t i = 0; i < COUNT_OF(bad); i++)
                if (version_text_ok(bad[i]))
                        fail_msg("'%s' was taken", bad[i]);
        assert_false(version_text_ok(NULL));
        char text[202];
        memset(text, 'a', sizeof(text));
        text[200] = '\0';
        assert_true(version_text_ok(text));
        text[200] = 'a';
        text[201] = '\0';
        assert_false(version_text_ok(text));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parsed),
                cmocka_unit_test(refused),
                cmocka_unit_test(precedence),
                cmocka_unit_test(steps),
                cmocka_unit_test(names),
                cmocka_unit_test(texts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
