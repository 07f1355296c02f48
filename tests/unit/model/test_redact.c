/* Secrets are taken out of text; values and environments are what they should be (N-02, N-06). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "model/environment.h"
#include "model/redact.h"
#include "model/value.h"
#include "platform/file.h"

static void secrets_go(void **state) {
        (void)state;
        char long_one[] = "canary-7f3a-and-more", short_one[] = "canary-7f3a", tiny[] = "abc",
             empty[] = "";
        char *secrets[] = {short_one, long_one, tiny, empty, NULL};
        static const char *const rows[][2] = {
                {"", ""},
                {"nothing here", "nothing here"},
                {"a canary-7f3a b", "a [secret] b"},
                {"canary-7f3a-and-more", "[secret]"},
                {"canary-7f3acanary-7f3a", "[secret][secret]"},
                {"canary-7f3", "canary-7f3"},
                {"abc stays, too short to tell", "abc stays, too short to tell"},
                {"postgres://user:pa55@host/db", "postgres://user:[secret]@host/db"},
                {"https://host:8000/x@y", "https://host:8000/x@y"},
                {"redis://:pw@host", "redis://:[secret]@host"},
                {"http://user@host", "http://user@host"},
                {"a://b:c@d and e://f:g@h", "a://b:[secret]@d and e://f:[secret]@h"},
                {"password=hunter2 next", "password=[secret] next"},
                {"DB_PASSWORD: 'hunter2 x' y", "DB_PASSWORD: '[secret]' y"},
                {"{\"token\": \"xyz\", \"a\": 1}", "{\"token\": \"[secret]\", \"a\": 1}"},
                {"Authorization: Bearer abc.def", "Authorization: Bearer [secret]"},
                {"x?api_key=1&b=2", "x?api_key=[secret]&b=2"},
                {"the password is wrong", "the password is wrong"},
                {"password=", "password="},
                {"tokens: 12\n", "tokens: 12\n"},
                {"secret = one\nsecret = two", "secret = [secret]\nsecret = [secret]"},
                {"password=canary-7f3a", "password=[secret]"},
                {"%n%s password=%s", "%n%s password=[secret]"},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                scoped(free_str) char *text = redact(rows[i][0], secrets);
                assert_string_equal(text, rows[i][1]);
        }
        scoped(free_str) char *without = redact("canary-7f3a", NULL);
        assert_string_equal(without, "canary-7f3a");
}

static void environments(void **state) {
        (void)state;
        char one[] = "A=1", again[] = "A=2=3", odd[] = "no equals", nameless[] = "=x", two[] = "B=";
        char *settings[] = {one, again, odd, nameless, two, NULL};
        scoped(strv_freep) Strv environment = NULL;
        environment_add(&environment, settings);
        environment_add(&environment, NULL);
        assert_int_equal(strv_count(environment), 2);
        assert_string_equal(environment_get(environment, "A"), "2=3");
        assert_string_equal(environment_get(environment, "B"), "");
        assert_null(environment_get(environment, "C"));
        assert_null(environment_get(NULL, "C"));
        environment_set(&environment, "B", "new");
        assert_string_equal(environment_get(environment, "B"), "new");
        setenv("BELAY_TEST_OF_THE_CALLER", "1", 1);
        scoped(strv_freep) Strv clean = environment_clean(0);
        assert_null(environment_get(clean, "BELAY_TEST_OF_THE_CALLER"));
        assert_string_equal(environment_get(clean, "HOME"), "/root");
        assert_non_null(strstr(environment_get(clean, "PATH"), "/usr/sbin"));
        scoped(strv_freep) Strv nobody = environment_clean(4000000);
        assert_string_equal(environment_get(nobody, "HOME"), "/");
        assert_null(environment_get(nobody, "USER"));
}

static void resolve(Value value, char *const *env, const char *expected, ErrCode code) {
        scoped(value_freep) char *text = NULL;
        scoped(err_clear) Err err = {0};
        bool good = value_resolve(&value, env, &text, &err);
        assert_int_equal(good, code == ERR_NONE);
        if (good)
                assert_string_equal(text, expected);
        else
                assert_int_equal(err.code, code);
}

static void values(void **state) {
        (void)state;
        char path[] = "/tmp/belay-value-XXXXXX", name[] = "BELAY_TEST_VALUE",
             setting[] = "BELAY_TEST_VALUE=of the file", text[] = "plain",
             none[] = "/nonexistent/secret";
        char *env[] = {setting, NULL};
        close(mkstemp(path));
        resolve((Value){VALUE_NONE, NULL}, NULL, "", ERR_NONE);
        resolve((Value){VALUE_TEXT, text}, NULL, "plain", ERR_NONE);
        resolve((Value){VALUE_ENV, name}, NULL, NULL, ERR_UNKNOWN);
        setenv(name, "of the caller", 1);
        resolve((Value){VALUE_ENV, name}, NULL, "of the caller", ERR_NONE);
        resolve((Value){VALUE_ENV, name}, env, "of the file", ERR_NONE);
        static const char *const contents[][2] = {
                {"s3cret\n", "s3cret"}, {"s3cret\r\n", "s3cret"}, {"a\nb\n\n", "a\nb\n"}, {"", ""}};
        for (size_t i = 0; i < COUNT_OF(contents); i++) {
                assert_true(file_write_durable(
                        path, contents[i][0], strlen(contents[i][0]), 0600, NULL));
                resolve((Value){VALUE_FILE, path}, NULL, contents[i][1], ERR_NONE);
        }
        assert_true(file_write_durable(path, "a\0b", 3, 0600, NULL));
        resolve((Value){VALUE_FILE, path}, NULL, NULL, ERR_CORRUPT);
        resolve((Value){VALUE_FILE, none}, NULL, NULL, ERR_UNKNOWN);
        unlink(path);
        unsetenv(name);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(secrets_go),
                cmocka_unit_test(environments),
                cmocka_unit_test(values),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
