#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/file.h"
#include "runtime/process/record.h"

typedef struct World {
        char *dir;
        State state;
} World;

static int setup(void **context) {
        World *world = NEW(World);
        char template[] = "/tmp/belay-record-XXXXXX";
        world->dir = str_copy(mkdtemp(template));
        *context = world;
        return state_open(world->dir, &world->state, NULL) ? 0 : -1;
}

static int teardown(void **context) {
        World *world = *context;
        tree_remove(world->dir, NULL);
        state_done(&world->state);
        free(world->dir);
        free(world);
        return 0;
}

static void what_is_saved_is_loaded(void **context) {
        World *world = *context;
        scoped(keeper_record_done) KeeperRecord before = {
                .keeper = process_self(),
                .wanted_running = true,
                .phase = SERVICE_WAITING,
                .main = process_self(),
                .restarts = 3,
                .last_exit_known = true,
                .last_exit = 137,
                .last_error = str_copy("no such file"),
                .started_at_ms = 1790000000123,
                .guard = {.run = 44, .runner = process_self(), .resume = true, .attempts = 2},
                .spec = {.directory = str_copy("/srv/notes"),
                        .env_file = str_copy("/srv/notes/.env"),
                        .port = 8000,
                        .uid = 1001,
                        .gid = 1002,
                        .change_user = true,
                        .restart = RESTART_ALWAYS,
                        .version = str_copy("1.2.3"),
                        .commit = str_copy("c0ffee"),
                        .n_groups = 2},
        };
        strv_add(&before.spec.argv, "./server");
        strv_add(&before.spec.argv, "");
        strv_add(&before.spec.environment, "A=b=c");
        before.spec.groups = NEW_ARRAY(gid_t, 2);
        before.spec.groups[1] = 4294967294u;
        assert_true(keeper_record_save(&world->state, "notes", &before, NULL));
        scoped(keeper_record_done) KeeperRecord after = {0};
        assert_true(keeper_record_load(&world->state, "notes", &after, NULL));
        scoped(js_freep) json_t *a = keeper_record_to_json(&before),
                                *b = keeper_record_to_json(&after);
        assert_true(json_equal(a, b));
        assert_int_equal(after.spec.groups[1], 4294967294u);
        assert_int_equal(after.spec.restart, RESTART_ALWAYS);
        assert_int_equal(after.phase, SERVICE_WAITING);
        assert_string_equal(after.spec.argv[1], "");
        assert_int_equal(after.guard.attempts, 2);
}

static void nothing_is_an_empty_record(void **context) {
        World *world = *context;
        scoped(keeper_record_done) KeeperRecord record = {0};
        assert_true(keeper_record_load(&world->state, "never", &record, NULL));
        assert_false(record.wanted_running);
        assert_int_equal(record.phase, SERVICE_STOPPED);
        assert_int_equal(record.main.pid, 0);
        assert_null(record.spec.argv);
}

static void odd_records_are_refused(void **context) {
        (void)context;
        static const char *const odd[] = {
                "{\"argv\":[],\"directory\":\"/\",\"uid\":1,\"gid\":1}",
                "{\"argv\":[\"a\"],\"uid\":1,\"gid\":1}",
                "{\"argv\":[\"a\"],\"directory\":\"/\",\"gid\":1}",
                "{\"argv\":[\"a\"],\"directory\":\"/\",\"uid\":-1,\"gid\":1}",
                "{\"argv\":[\"a\"],\"directory\":\"/\",\"uid\":4294967295,\"gid\":1}",
                "{\"argv\":[\"a\"],\"directory\":\"/\",\"uid\":1,\"gid\":1,\"port\":65536}",
                "{\"argv\":\"a\",\"directory\":\"/\",\"uid\":1,\"gid\":1}",
                "[]",
        };
        for (size_t i = 0; i < COUNT_OF(odd); i++) {
                scoped(js_freep) json_t *object = js_parse(odd[i], strlen(odd[i]), "test", NULL);
                scoped(start_spec_done) StartSpec spec = {0};
                scoped(err_clear) Err err = {0};
                assert_non_null(object);
                assert_false(start_spec_from_json(object, &spec, &err));
                assert_int_equal(err.code, ERR_CORRUPT);
        }
}

static void marks_are_of_one_state_and_service(void **context) {
        World *world = *context;
        State other = {.root = (char[]){"/another"}};
        scoped(free_str) char *a = service_mark(&world->state, "notes"),
                              *b = service_mark(&world->state, "note");
        scoped(free_str) char *c = service_mark(&other, "notes");
        assert_true(str_ends(a, "/notes"));
        assert_string_not_equal(a, b);
        assert_string_not_equal(a, c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_is_saved_is_loaded, setup, teardown),
                cmocka_unit_test_setup_teardown(nothing_is_an_empty_record, setup, teardown),
                cmocka_unit_test(odd_records_are_refused),
                cmocka_unit_test_setup_teardown(
                        marks_are_of_one_state_and_service, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
