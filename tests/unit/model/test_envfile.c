/* Env files: what is read, and that an edit touches the bytes of the value alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "model/envfile.h"

static const struct {
        const char *text, *name, *value; /* value NULL: not there */
} reads[] = {
        {"A=1\n", "A", "1"},
        {"A=1", "A", "1"},
        {"A=1\r\nB=2\r\n", "A", "1"},
        {"A=1\r\nB=2\r\n", "B", "2"},
        {"\xef\xbb\xbf"
         "A=1\n",
                "A", "1"},
        {"export A=1\n", "A", "1"},
        {"  export\tA = 1  \n", "A", "1"},
        {"A=\n", "A", ""},
        {"A= # nothing\n", "A", ""},
        {"A=#x\n", "A", "#x"},
        {"A=a#b\n", "A", "a#b"},
        {"A=a b # c\n", "A", "a b"},
        {"A=a\t#c\n", "A", "a"},
        {"A='a # b' # c\n", "A", "a # b"},
        {"A='a\\nb'\n", "A", "a\\nb"},
        {"A=\"a\\nb\\\"c\\\\d\\$e\"\n", "A", "a\nb\"c\\d$e"},
        {"A=\"a\\qb\"\n", "A", "a\\qb"},
        {"A=\"x\ny\"\nB=2\n", "A", "x\ny"},
        {"A=\"x\ny\"\nB=2\n", "B", "2"},
        {"A=1\nA=2\n", "A", "2"},
        {"# A=1\n\nB=2\n", "A", NULL},
        {"A\nB=2\n", "A", NULL},
        {"1A=1\n", "1A", NULL},
        {"A={\"a\": 1}\n", "A", "{\"a\": 1}"},
        {"A=$B\nB=2\n", "A", "$B"},
        {"exportA=1\n", "A", NULL},
        {"export=1\n", "export", "1"},
        {"", "A", NULL},
};

static void reads_what_users_write(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(reads); i++) {
                scoped(free_str) char *value = NULL;
                scoped(err_clear) Err err = {0};
                if (!envfile_get(reads[i].text, reads[i].name, &value, &err))
                        fail_msg("%s: %s", reads[i].text, err.message);
                if (!str_equal(value, reads[i].value))
                        fail_msg("row %zu: '%s' gives '%s'", i, reads[i].text,
                                value ? value : "(nothing)");
        }
}

static const struct {
        const char *text, *name, *value, *after;
} edits[] = {
        {"A=1\nB=2\n", "A", "3", "A=3\nB=2\n"},
        {"A=1 # one\n", "A", "3", "A=3 # one\n"},
        {"  export A = 1\t# one\r\nB=2\r\n", "A", "3", "  export A = 3\t# one\r\nB=2\r\n"},
        {"A='1'\n", "A", "3", "A='3'\n"},
        {"A=\"1\"\n", "A", "x\"y$", "A=\"x\\\"y\\$\"\n"},
        {"A=1\n", "A", "a b", "A='a b'\n"},
        {"A=1\n", "A", "it's", "A=\"it's\"\n"},
        {"A='1'\n", "A", "it's", "A=\"it's\"\n"},
        {"A=\n", "A", "x", "A=x\n"},
        {"A= # c\n", "A", "x", "A=x # c\n"},
        {"A=1\nA=2\n", "A", "3", "A=1\nA=3\n"},
        {"A=1", "B", "2", "A=1\nB=2\n"},
        {"A=1\r\n", "B", "2", "A=1\r\nB=2\r\n"},
        {"", "B", "2", "B=2\n"},
        {"\xef\xbb\xbf", "B", "2",
                "\xef\xbb\xbf"
                "B=2\n"},
        {"# only\n", "B", "", "# only\nB=\n"},
        {"A='1'\n", "A", "1", "A='1'\n"},
        {"A=\"x\ny\" # z\nB=2\n", "A", "q", "A=\"q\" # z\nB=2\n"},
        {"junk line\nA=1\n=\n", "A", "2", "junk line\nA=2\n=\n"},
};

static void edits_only_the_value(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(edits); i++) {
                scoped(free_str) char *after = NULL;
                scoped(free_str) char *value = NULL;
                scoped(err_clear) Err err = {0};
                if (!envfile_set(edits[i].text, edits[i].name, edits[i].value, &after, &err))
                        fail_msg("row %zu: %s", i, err.message);
                assert_string_equal(after, edits[i].after);
                assert_true(envfile_get(after, edits[i].name, &value, &err));
                assert_string_equal(value, edits[i].value);
        }
}

static void every_value_comes_back(void **state) {
        (void)state;
        static const char *const texts[] = {"A=1\n", "A='1'\n", "A=\"1\"\n", "B=1", "A=1 # c\r\n"};
        static const char bytes[] = "a \t'\"\\$`#=!{}~\xc3\xa4";
        for (size_t t = 0; t < COUNT_OF(texts); t++) {
                for (size_t i = 0; bytes[i]; i++) {
                        for (size_t j = 0; bytes[j]; j++) {
                                const char wanted[] = {bytes[i], bytes[j], 'x', bytes[i], '\0'};
                                scoped(free_str) char *after = NULL;
                                scoped(free_str) char *value = NULL;
                                assert_true(envfile_set(texts[t], "A", wanted, &after, NULL));
                                assert_true(envfile_get(after, "A", &value, NULL));
                                assert_string_equal(value, wanted);
                        }
                }
        }
}

static void removes_whole_lines(void **state) {
        (void)state;
        scoped(free_str) char *after = NULL;
        assert_true(envfile_remove("# a\nA=1\nB=2\nexport A='x\ny'\nC=3", "A", &after, NULL));
        assert_string_equal(after, "# a\nB=2\nC=3");
        str_replace_owned(&after, NULL);
        assert_true(envfile_remove("A=1\n", "Z", &after, NULL));
        assert_string_equal(after, "A=1\n");
}

static const struct {
        const char *text, *says;
} bad[] = {
        {"B=1\nA='Zq\n", "line 2"},
        {"A=\"Zq\\\"\n", "never closed"},
        {"A=\"Zq\"y\n", "after the closing quote"},
        {"A=\"Zq\"#y\n", "after the closing quote"},
};

static void refuses_what_has_two_meanings(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                scoped(err_clear) Err err = {0};
                scoped(free_str) char *value = NULL;
                assert_false(envfile_get(bad[i].text, "A", &value, &err));
                assert_int_equal(err.code, ERR_REFUSED);
                assert_non_null(strstr(err.message, bad[i].says));
                assert_null(strstr(err.message, "Zq"));
        }
}

static void refuses_line_breaks_and_bad_names(void **state) {
        (void)state;
        static const char *const names[] = {"", "1A", "A B", "A=", "-A", "A\n"};
        scoped(free_str) char *after = NULL;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(err_clear) Err err = {0};
                assert_false(envfile_set("", names[i], "x", &after, &err));
                assert_int_equal(err.code, ERR_USAGE);
        }
        scoped(err_clear) Err err = {0};
        assert_false(envfile_set("", "A", "x\ny", &after, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(after);
}

static void limits_the_size(void **state) {
        (void)state;
        scoped(free_str) char *text = mem_new(1, LIMIT_ENV_FILE + 2);
        memset(text, '#', LIMIT_ENV_FILE);
        scoped(strv_freep) Strv env = NULL;
        scoped(err_clear) Err err = {0};
        assert_true(envfile_values(text, &env, &err));
        text[LIMIT_ENV_FILE] = '#';
        assert_false(envfile_values(text, &env, &err));
        assert_int_equal(err.code, ERR_REFUSED);
}

static void values_once_each(void **state) {
        (void)state;
        scoped(strv_freep) Strv env = NULL;
        assert_true(envfile_values("A=1\nB='x y'\nA=2\n", &env, NULL));
        scoped(free_str) char *all = strv_join(env, "|");
        assert_string_equal(all, "B=x y|A=2");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_what_users_write),
                cmocka_unit_test(edits_only_the_value),
                cmocka_unit_test(every_value_comes_back),
                cmocka_unit_test(removes_whole_lines),
                cmocka_unit_test(refuses_what_has_two_meanings),
                cmocka_unit_test(refuses_line_breaks_and_bad_names),
                cmocka_unit_test(limits_the_size),
                cmocka_unit_test(values_once_each),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
