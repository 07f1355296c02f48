/* The state directory, numbers of runs, what outlives them, and the event file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "journal/events.h"
#include "journal/state.h"
#include "platform/fault.h"
#include "platform/file.h"

static char *dir;
static State state;

static int make_state(void **unused) {
        (void)unused;
        dir = str_copy("/dev/shm/belay-state-XXXXXX");
        unsetenv("BELAY_STATE");
        return mkdtemp(dir) && state_open(dir, &state, NULL) ? 0 : -1;
}

static int remove_state(void **unused) {
        (void)unused;
        bool ok = tree_remove(dir, NULL);
        state_done(&state);
        free(dir);
        return ok ? 0 : -1;
}

static void test_given_wins_over_the_environment(void **unused) {
        (void)unused;
        scoped(free_str) char *a = path_join(dir, "a/deep");
        scoped(free_str) char *b = path_join(dir, "b");
        setenv("BELAY_STATE", b, 1);
        scoped(state_done) State from_environment = {0}, given = {0};
        assert_true(state_open(NULL, &from_environment, NULL));
        assert_string_equal(from_environment.root, b);
        assert_true(state_open(a, &given, NULL));
        assert_string_equal(given.root, a);
        struct stat st;
        assert_int_equal(stat(a, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        unsetenv("BELAY_STATE");
}

static void test_a_relative_root_becomes_absolute(void **unused) {
        (void)unused;
        scoped(free_str) char *before = file_real(".");
        assert_int_equal(chdir(dir), 0);
        scoped(state_done) State relative = {0};
        assert_true(state_open("here", &relative, NULL));
        assert_int_equal(chdir(before), 0);
        scoped(free_str) char *there = path_join(dir, "here");
        assert_string_equal(relative.root, there);
}

static void test_no_directory_is_an_error(void **unused) {
        (void)unused;
        scoped(free_str) char *file = path_join(dir, "file");
        assert_true(file_write_durable(file, "x", 1, 0600, NULL));
        scoped(state_done) State none = {0};
        scoped(err_clear) Err err = {0};
        assert_false(state_open(file, &none, &err));
        assert_non_null(err.hint);
        assert_false(state_open("", &none, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(none.root);
}

static void test_objects_come_back(void **unused) {
        (void)unused;
        scoped(js_freep) json_t *absent = state_load(&state, "notes", "tags.json", NULL);
        assert_int_equal(json_object_size(absent), 0);
        scoped(js_freep) json_t *saved = json_pack("{s:s}", "v1.0.0", "c41d09e");
        assert_true(state_save(&state, "notes", "tags.json", saved, NULL));
        scoped(js_freep) json_t *loaded = state_load(&state, "notes", "tags.json", NULL);
        assert_true(json_equal(saved, loaded));
        scoped(free_str) char *path = state_service_file(&state, "notes", "tags.json");
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_damaged_objects_are_no_empty_ones(void **unused) {
        (void)unused;
        scoped(free_str) char *service = state_service_dir(&state, "notes");
        scoped(free_str) char *path = state_service_file(&state, "notes", "bad.json");
        assert_true(dir_make(service, NULL));
        static const char *const wrong[] = {"", "{", "[]", "{\"a\":1,\"a\":2}", "null"};
        for (size_t i = 0; i < COUNT_OF(wrong); i++) {
                assert_true(file_write_durable(path, wrong[i], strlen(wrong[i]), 0600, NULL));
                scoped(err_clear) Err err = {0};
                assert_null(state_load(&state, "notes", "bad.json", &err));
                assert_int_equal(err.code, ERR_CORRUPT);
                assert_non_null(err.hint);
        }
}

static void test_runs_are_numbered(void **unused) {
        (void)unused;
        unsigned *runs = NULL;
        size_t n = 9;
        assert_true(state_runs(&state, &runs, &n, NULL));
        assert_int_equal(n, 0);
        free(runs);
        for (unsigned want = 1; want <= 12; want++) {
                unsigned run = 0;
                assert_true(state_new_run(&state, &run, NULL));
                assert_int_equal(run, want);
        }
        static const char *const strangers[] = {
                "runs/007", "runs/x", "runs/13a", "runs/99999999999"};
        for (size_t i = 0; i < COUNT_OF(strangers); i++) {
                scoped(free_str) char *path = path_join(state.root, strangers[i]);
                assert_int_equal(mkdir(path, 0700), 0);
        }
        assert_true(state_runs(&state, &runs, &n, NULL));
        assert_int_equal(n, 12);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(runs[i], i + 1);
        free(runs);
        scoped(free_str) char *undo = state_run_file(&state, 12, "undo");
        scoped(free_str) char *output = state_run_file(&state, 12, "output");
        assert_true(file_exists(undo) && file_exists(output));
}

/* Four processes, each takes 25 numbers: all hundred are different. */
static void test_two_at_once_get_two_numbers(void **unused) {
        (void)unused;
        enum { PROCESSES = 4, EACH = 25 };
        pid_t children[PROCESSES];
        for (int i = 0; i < PROCESSES; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                for (int k = 0; children[i] == 0 && k <= EACH; k++) {
                        unsigned run = 0;
                        if (k == EACH || !state_new_run(&state, &run, NULL))
                                _exit(k != EACH);
                }
        }
        for (int i = 0; i < PROCESSES; i++) {
                int status = 0;
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        unsigned *runs = NULL;
        size_t n = 0;
        assert_true(state_runs(&state, &runs, &n, NULL));
        assert_int_equal(n, PROCESSES * EACH);
        free(runs);
}

static void test_events_are_lines(void **unused) {
        (void)unused;
        scoped(free_str) char *path = path_join(dir, "events");
        Events events = {.fd = -1};
        events_add(&events, "note", json_pack("{s:s}", "text", "nowhere"));
        assert_true(events_open(path, &events, NULL));
        events_add(&events, "note", json_pack("{s:s}", "text", "a\nb"));
        events_add(&events, "end", json_object());
        events_close(&events);
        assert_int_equal(events.fd, -1);
        events_add(&events, "note", json_object());
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        assert_true(file_read(path, 10000, &text, &bytes, NULL));
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        assert_int_equal(strv_count(lines), 2);
        scoped(js_freep) json_t *first = js_parse(lines[0], strlen(lines[0]), "event", NULL);
        assert_string_equal(js_str(first, "kind"), "note");
        assert_string_equal(js_str(first, "text"), "a\nb");
        assert_true(js_int(first, "at", 0) > 1700000000000);
}

/* In a child: another user, another environment. Its exit status is 0 when the root is the wanted one. */
static bool default_root_is(const char *xdg, const char *home, const char *want) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                State own = {0};
                if (chmod(dir, 0777) < 0 || seteuid(65534) < 0)
                        _exit(2);
                xdg ? setenv("XDG_STATE_HOME", xdg, 1) : unsetenv("XDG_STATE_HOME");
                home ? setenv("HOME", home, 1) : unsetenv("HOME");
                bool ok = state_open(NULL, &own, NULL);
                _exit(want ? !ok || strcmp(own.root, want) != 0 : ok);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        return status == 0;
}

static void test_the_default_of_an_ordinary_user(void **unused) {
        (void)unused;
        if (geteuid() != 0)
                skip();
        scoped(free_str) char *in_xdg = path_join(dir, "belay");
        scoped(free_str) char *in_home = path_join(dir, ".local/state/belay");
        assert_true(default_root_is(dir, "/nowhere", in_xdg));
        assert_true(default_root_is("relative", dir, in_home));
        assert_true(default_root_is(NULL, dir, in_home));
        assert_true(default_root_is(NULL, "relative", NULL));
}

static void test_what_is_in_the_way(void **unused) {
        (void)unused;
        scoped(free_str) char *runs = path_join(state.root, "runs");
        scoped(free_str) char *services = path_join(state.root, "services");
        assert_true(file_write_durable(runs, "x", 1, 0600, NULL));
        assert_true(file_write_durable(services, "x", 1, 0600, NULL));
        unsigned *numbers = NULL, run = 0;
        size_t n = 0;
        scoped(err_clear) Err err = {0};
        assert_false(state_runs(&state, &numbers, &n, &err));
        assert_int_equal(err.code, ERR_IO);
        assert_false(state_new_run(&state, &run, NULL));
        scoped(js_freep) json_t *object = json_object();
        assert_false(state_save(&state, "notes", "a.json", object, NULL));
        assert_null(state_load(&state, "notes", "a.json", NULL));
        assert_int_equal(run, 0);
}

#ifdef BELAY_FAULT_POINTS

/* CP-01: whatever call fails, there is an error and not half a run; the next try has a number. */
static void test_a_new_run_fails_at_every_point(void **unused) {
        (void)unused;
        unsigned run = 0, failed = 0;
        for (unsigned at = 1;; at++) {
                scoped(free_str) char *rule = str_format("*:error:%u:ENOSPC", at);
                scoped(err_clear) Err err = {0};
                fault_set(rule);
                bool made = state_new_run(&state, &run, &err);
                unsigned count = fault_count();
                fault_set(NULL);
                if (made && count < at)
                        break;
                failed += !made;
                assert_true(made || err.code == ERR_NO_SPACE);
        }
        assert_true(failed > 5);
        assert_true(run > 1);
}

#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_given_wins_over_the_environment, make_state, remove_state),
                cmocka_unit_test_setup_teardown(
                        test_a_relative_root_becomes_absolute, make_state, remove_state),
                cmocka_unit_test_setup_teardown(
                        test_no_directory_is_an_error, make_state, remove_state),
                cmocka_unit_test_setup_teardown(test_objects_come_back, make_state, remove_state),
                cmocka_unit_test_setup_teardown(
                        test_damaged_objects_are_no_empty_ones, make_state, remove_state),
                cmocka_unit_test_setup_teardown(test_runs_are_numbered, make_state, remove_state),
                cmocka_unit_test_setup_teardown(
                        test_two_at_once_get_two_numbers, make_state, remove_state),
                cmocka_unit_test_setup_teardown(test_events_are_lines, make_state, remove_state),
                cmocka_unit_test_setup_teardown(
                        test_the_default_of_an_ordinary_user, make_state, remove_state),
                cmocka_unit_test_setup_teardown(test_what_is_in_the_way, make_state, remove_state),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test_setup_teardown(
                        test_a_new_run_fails_at_every_point, make_state, remove_state),
#endif
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
