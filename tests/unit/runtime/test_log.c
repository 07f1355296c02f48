#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "runtime/process/log.h"

typedef struct World {
        char *dir, *log;
} World;

static const LogLimits limits = {.max_bytes = 10, .keep = 3, .every_ms = 1};

static int setup(void **context) {
        World *world = NEW(World);
        char template[] = "/tmp/belay-log-XXXXXX";
        world->dir = str_copy(mkdtemp(template));
        world->log = path_join(world->dir, "service.log");
        *context = world;
        return 0;
}

static int teardown(void **context) {
        World *world = *context;
        tree_remove(world->dir, NULL);
        free(world->log);
        free(world->dir);
        free(world);
        return 0;
}

static void append(World *world, const char *text) {
        int fd = open(world->log, O_WRONLY | O_APPEND);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

static char *older(World *world, unsigned n) {
        scoped(free_str) char *path = str_format("%s.%u", world->log, n);
        char *text = NULL;
        return file_read_if(path, 100000, &text, NULL, NULL) && text ? text : str_copy("(none)");
}

static void within_the_limit_nothing_happens(void **context) {
        World *world = *context;
        bool rotated = true;
        assert_true(log_rotate(world->log, &limits, &rotated, NULL));
        assert_false(rotated);
        assert_true(log_prepare(world->log, getuid(), getgid(), NULL));
        append(world, "0123456789");
        assert_true(log_rotate(world->log, &limits, &rotated, NULL));
        assert_false(rotated);
        append(world, "x");
        assert_true(log_rotate(world->log, &limits, &rotated, NULL));
        assert_true(rotated);
}

static void the_oldest_goes(void **context) {
        World *world = *context;
        assert_true(log_prepare(world->log, getuid(), getgid(), NULL));
        int writer = open(world->log, O_WRONLY | O_APPEND);
        for (int i = 1; i <= 5; i++) {
                scoped(free_str) char *text = str_format("content of round %d\n", i);
                append(world, text);
                assert_true(log_rotate(world->log, &limits, NULL, NULL));
        }
        scoped(free_str) char *a = older(world, 1), *b = older(world, 3), *c = older(world, 4);
        assert_string_equal(a, "content of round 5\n");
        assert_string_equal(b, "content of round 3\n");
        assert_string_equal(c, "(none)");
        /* Who had it open goes on at its new start. */
        assert_int_equal(write(writer, "on", 2), 2);
        close(writer);
        scoped(free_str) char *now = NULL;
        assert_true(file_read(world->log, 100, &now, NULL, NULL));
        assert_string_equal(now, "on");
}

static void links_and_fifos_are_not_followed(void **context) {
        World *world = *context;
        scoped(free_str) char *target = path_join(world->dir, "precious");
        assert_true(file_write_durable(target, "0123456789012345", 16, 0600, NULL));
        assert_int_equal(symlink(target, world->log), 0);
        scoped(err_clear) Err err = {0};
        assert_false(log_prepare(world->log, getuid(), getgid(), &err));
        assert_false(log_rotate(world->log, &limits, NULL, &err));
        scoped(free_str) char *text = NULL;
        assert_true(file_read(target, 100, &text, NULL, NULL));
        assert_int_equal(strlen(text), 16);
}

#ifdef BELAY_FAULT_POINTS
/* A disk without room for the copy is made no fuller. */
static void a_full_disk_loses_the_copy_only(void **context) {
        World *world = *context;
        assert_true(log_prepare(world->log, getuid(), getgid(), NULL));
        append(world, "0123456789012345");
        fault_set("*:error:2:ENOSPC");
        bool rotated = false;
        assert_true(log_rotate(world->log, &limits, &rotated, NULL));
        fault_set("");
        assert_true(rotated);
        struct stat st;
        assert_int_equal(stat(world->log, &st), 0);
        assert_int_equal(st.st_size, 0);
        append(world, "0123456789012345");
        fault_set("*:error:2:EIO");
        scoped(err_clear) Err err = {0};
        assert_false(log_rotate(world->log, &limits, &rotated, &err));
        fault_set("");
        assert_int_equal(stat(world->log, &st), 0);
        assert_int_equal(st.st_size, 16);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(within_the_limit_nothing_happens),
                TEST(the_oldest_goes),
                TEST(links_and_fifos_are_not_followed),
#ifdef BELAY_FAULT_POINTS
                TEST(a_full_disk_loses_the_copy_only),
#endif
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
