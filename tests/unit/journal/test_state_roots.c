/* Where the state directory is when nobody says so; what cannot be one; every write of it that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "journal/events.h"
#include "journal/state.h"
#include "platform/fault.h"
#include "platform/file.h"

static char dir[] = "/tmp/belay-roots-XXXXXX";

static int make_dir(void **state) {
        (void)state;
        return mkdtemp(dir) && chmod(dir, 0777) == 0 ? 0 : -1;
}

static int remove_dir(void **state) {
        (void)state;
        return tree_remove(dir, NULL) ? 0 : -1;
}

static bool is_root;

/* A user without privileges has a place of his own. */
static int as_user(void **state) {
        (void)state;
        is_root = geteuid() == 0;
        (void)unsetenv("BELAY_STATE");
        (void)unsetenv("XDG_STATE_HOME");
        return is_root ? seteuid(54321) : 0;
}

static int as_before(void **state) {
        (void)state;
        (void)setenv("HOME", "/root", 1);
        return is_root ? seteuid(0) : 0;
}

static void expect_root(const char *wanted) {
        scoped(err_clear) Err err = {0};
        State found = {0};
        assert_true(state_open(NULL, &found, &err));
        assert_string_equal(found.root, wanted);
        free(found.root);
        found.root = NULL;
        assert_true(state_find(NULL, &found));
        assert_string_equal(found.root, wanted);
        free(found.root);
}

static void places_of_a_user(void **state) {
        (void)state;
        scoped(free_str) char *home = path_join(dir, "home");
        scoped(free_str) char *below_home = path_join(home, ".local/state/belay");
        scoped(free_str) char *xdg = path_join(dir, "xdg");
        scoped(free_str) char *below_xdg = path_join(xdg, "belay");
        scoped(free_str) char *given = path_join(dir, "given");
        (void)setenv("HOME", home, 1);
        expect_root(below_home);
        (void)setenv("XDG_STATE_HOME", "relative", 1); /* the specification: to be ignored */
        expect_root(below_home);
        (void)setenv("XDG_STATE_HOME", xdg, 1);
        expect_root(below_xdg);
        (void)setenv("BELAY_STATE", "", 1);
        expect_root(below_xdg);
        (void)setenv("BELAY_STATE", given, 1);
        expect_root(given);
}

static void a_user_without_a_home(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        State found = {0};
        (void)setenv("HOME", "not/absolute", 1);
        /* Whatever the user database says of this user: it cannot be written to, or there is none. */
        bool opened = state_open(NULL, &found, &err);
        free(found.root);
        assert_true(opened || (err.code == ERR_IO && err.hint));
        found.root = NULL;
        (void)unsetenv("HOME");
        assert_true(state_find(NULL, &found) || !found.root);
        free(found.root);
        found.root = NULL;
        if (is_root) { /* somebody is known, and has no place to write to */
                assert_int_equal(seteuid(0), 0);
                assert_int_equal(seteuid(65534), 0);
                assert_false(state_find(NULL, &found));
        }
}

static void a_directory_of_somebody_else(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *root = path_join(dir, "foreign");
        scoped(free_str) char *runs = path_join(root, "runs");
        unsigned run = 0;
        if (!is_root)
                return; /* whoever cannot become another has none */
        assert_int_equal(seteuid(0), 0);
        assert_true(dir_make(runs, NULL));
        assert_int_equal(chmod(root, 0755), 0);
        assert_int_equal(chmod(runs, 0755), 0);
        assert_int_equal(seteuid(54321), 0);
        assert_false(state_new_run(&(State){.root = root}, &run, &err));
        assert_int_equal(err.code, ERR_IO);
        assert_int_equal(run, 0);
}

static void what_root_has(void **state) {
        (void)state;
        State found = {0};
        (void)unsetenv("BELAY_STATE");
        if (geteuid() == 0 && state_find(NULL, &found))
                assert_string_equal(found.root, "/var/lib/belay");
        free(found.root);
}

static void what_cannot_be_one(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *file = path_join(dir, "file");
        scoped(free_str) char *none = path_join(dir, "none");
        State found = {0};
        assert_true(file_write_durable(file, "x", 1, 0600, NULL));
        assert_false(state_open("", &found, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_false(state_open(file, &found, &err));
        assert_non_null(err.hint);
        assert_false(state_find(none, &found));
        assert_null(found.root);
        scoped(free_str) char *lock = state_lock_file(&(State){.root = dir}, "notes");
        assert_true(str_ends(lock, "/locks/notes.lock"));
}

static void too_much_to_keep(void **state) {
        (void)state;
        State here = {.root = dir};
        scoped(err_clear) Err err = {0};
        scoped(js_freep) json_t *object = json_object();
        scoped(free_str) char *much = mem_new(LIMIT_STATE_FILE + 1, 1);
        memset(much, 'x', LIMIT_STATE_FILE);
        js_set_str(object, "much", much);
        assert_false(state_save(&here, "notes", "bad.json", object, &err));
        scoped(js_freep) json_t *none = state_load(&here, "notes", "bad.json", &err);
        assert_int_equal(json_object_size(none), 0);
}

#ifdef BELAY_FAULT_POINTS

/* A new run or a saved file: each point fails in turn, and the next try has a number of its own. */
static void every_point_fails(void **state) {
        (void)state;
        unsigned last = 0, run = 0, failures = 0;
        scoped(free_str) char *runs = path_join(dir, "faults/runs");
        assert_true(dir_make(runs, NULL));
        for (unsigned at = 1;; at++) {
                scoped(free_str) char *root = path_join(dir, "faults");
                scoped(free_str) char *rule = str_format("*:fails:%u:EIO", at);
                State here = {.root = root};
                scoped(js_freep) json_t *object = json_pack("{s:i}", "n", (int)at);
                scoped(err_clear) Err err = {0};
                fault_set(rule);
                bool ok = state_new_run(&here, &run, &err) &&
                          state_save(&here, "notes", "bad.json", object, &err);
                fault_set(NULL);
                if (ok)
                        break;
                assert_int_equal(err.code, ERR_IO);
                assert_true(state_new_run(&here, &run, NULL));
                assert_true(run > last);
                last = run;
                failures++;
        }
        assert_true(failures > 5);
}

static void events_that_cannot_be_written(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *nowhere = path_join(dir, "nowhere/events");
        Events events = {.fd = -1};
        assert_false(events_open(nowhere, &events, &err));
        assert_int_equal(err.code, ERR_IO);
        scoped(free_str) char *path = path_join(dir, "events");
        fault_set("*:error:1:EIO");
        assert_false(events_open(path, &events, &err));
        fault_set(NULL);
        assert_int_equal(events.fd, -1);
        events_add(&events, "note", json_object()); /* nobody follows: nothing happens */
        events_add(NULL, "note", json_object());
}

#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(places_of_a_user, as_user, as_before),
                cmocka_unit_test_setup_teardown(a_user_without_a_home, as_user, as_before),
                cmocka_unit_test_setup_teardown(a_directory_of_somebody_else, as_user, as_before),
                cmocka_unit_test(what_root_has),
                cmocka_unit_test(what_cannot_be_one),
                cmocka_unit_test(too_much_to_keep),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test(every_point_fails),
                cmocka_unit_test(events_that_cannot_be_written),
#endif
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
