/* A sealed program: what it may change, and that nothing of it reaches the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "platform/file.h"
#include "platform/overlay.h"
#include "platform/process.h"

static char *dir, *place, *base, *hidden;

static int set_up(void **unused) {
        (void)unused;
        char template[] = "/tmp/belay-seal-XXXXXX";
        dir = str_copy(mkdtemp(template));
        place = path_join(dir, "place");
        base = path_join(dir, "base");
        hidden = path_join(dir, "hidden");
        scoped(free_str) char *kept = path_join(place, "kept/inner");
        scoped(free_str) char *file = path_join(kept, "file");
        scoped(free_str) char *other = path_join(hidden, "secret");
        bool made = dir_make(kept, NULL) && dir_make(hidden, NULL) &&
                    file_write_durable(file, "old\n", 4, 0600, NULL) &&
                    file_write_durable(other, "x\n", 2, 0600, NULL) &&
                    overlay_make(base, place, NULL);
        return made ? 0 : 1;
}

static int tear_down(void **unused) {
        (void)unused;
        bool removed = tree_remove(dir, NULL);
        free(dir);
        free(place);
        free(base);
        free(hidden);
        return removed ? 0 : 1;
}

static int run_sealed(const char *script, char **ret_out) {
        const SealPlace places[] = {{SEAL_OVERLAY, place, base}, {SEAL_EMPTY, hidden, NULL}};
        const Seal seal = {places, COUNT_OF(places)};
        scoped(free_str) char *words = str_copy(script);
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, words, NULL};
        const Child child = {.argv = argv, .directory = place, .what = "a test", .seal = &seal};
        scoped(child_result_done) ChildResult result = {0};
        scoped(err_clear) Err err = {0};
        if (!child_run(&child, &result, &err))
                fail_msg("%s", err.message);
        *ret_out = TAKE(result.out);
        return result.exit_status;
}

static char *content_of(const char *in) {
        scoped(free_str) char *path = path_join(place, in);
        char *text = NULL;
        (void)file_read_if(path, 100, &text, NULL, NULL);
        return text;
}

static void test_changes_stay_inside(void **unused) {
        (void)unused;
        scoped(free_str) char *out = NULL;
        assert_int_equal(run_sealed("cat kept/inner/file && echo new > kept/inner/file && "
                                    "cat kept/inner/file && rm -r kept && touch more && ls",
                                 &out),
                0);
        assert_string_equal(out, "old\nnew\nmore\n");
        scoped(free_str) char *now = content_of("kept/inner/file");
        assert_string_equal(now, "old\n");
        assert_null(content_of("more"));
}

static void test_the_rest_is_closed(void **unused) {
        (void)unused;
        scoped(free_str) char *command =
                str_format("ls %s; touch %s/x && echo wrote; touch %s/inside && echo in-memory",
                        hidden, dir, hidden);
        scoped(free_str) char *out = NULL;
        (void)run_sealed(command, &out);
        assert_string_equal(out, "in-memory\n");
        scoped(free_str) char *path = path_join(hidden, "inside");
        assert_false(file_exists(path));
}

static void test_nobody_else_is_there(void **unused) {
        (void)unused;
        scoped(free_str) char *out = NULL;
        /* Its processes are the shell and ls; of its network there is loopback, and that is up. */
        assert_int_equal(run_sealed("echo $$; ls -d /proc/[0-9]* | wc -l; "
                                    "grep -c : /proc/net/dev; ls /sys/class/net > /dev/null; "
                                    "cat /proc/net/fib_trie | grep -c 127.0.0.1",
                                 &out),
                0);
        assert_true(str_starts(out, "1\n"));
        char *rest = strchr(out, '\n') + 1;
        assert_true(strtol(rest, NULL, 10) <= 3);
        rest = strchr(rest, '\n') + 1;
        assert_true(str_starts(rest, "1\n"));
}

static void test_what_is_laid_out_before(void **unused) {
        (void)unused;
        scoped(free_str) char *at = NULL;
        scoped(free_str) char *out = NULL;
        assert_true(overlay_place(base, place, "kept/inner", &at, NULL));
        scoped(free_str) char *file = path_join(at, "other");
        assert_true(dir_make(at, NULL) && overlay_replace(at, NULL) &&
                    file_write_durable(file, "2\n", 2, 0600, NULL));
        assert_int_equal(run_sealed("ls kept/inner && stat -c %a kept", &out), 0);
        assert_string_equal(out, "other\n700\n");
}

/* A seal that fails is no program that failed. */
static void test_a_seal_that_cannot_be(void **unused) {
        (void)unused;
        char *argv[] = {(char[]){"true"}, NULL};
        const SealPlace places[] = {{SEAL_OVERLAY, "/nowhere/at/all", base}};
        const Seal seal = {places, COUNT_OF(places)};
        const Child child = {.argv = argv, .what = "a test", .seal = &seal};
        scoped(child_result_done) ChildResult result = {0};
        scoped(err_clear) Err err = {0};
        assert_false(child_run(&child, &result, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "isolating a test from this machine"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_changes_stay_inside),
                TEST(test_the_rest_is_closed),
                TEST(test_nobody_else_is_there),
                TEST(test_what_is_laid_out_before),
                TEST(test_a_seal_that_cannot_be),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
