/*
 * What every runtime test shares. A program of these tests is everything in them: the test, the keeper
 * ("keeper ..."), the service ("serve MODE ..."), and the `belay resume` that a keeper starts; so each
 * main begins with RUNTIME_WORLD_MAIN.
 */
#ifndef BELAY_TESTS_RUNTIME_WORLD_H
#define BELAY_TESTS_RUNTIME_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process.h"
#include "runtime/runtime.h"

extern char **environ;

typedef struct World {
        char *dir;
        char *program; /* of the service: under a name of its own, since Belay's is never part of a service */
        Service service;
        State state;
        RuntimeContext at;
        const Runtime *runtime;
} World;

#define WAIT_FOR(condition, limit_ms)                                                              \
        do {                                                                                       \
                int64_t wait_until_ = clock_now_ms() + (limit_ms);                                 \
                while (!(condition)) {                                                             \
                        if (clock_now_ms() > wait_until_)                                          \
                                fail_msg("not within " #limit_ms " ms: " #condition);              \
                        usleep(3000);                                                              \
                }                                                                                  \
        } while (0)

int runtime_world_setup(void **context);
void serve_mode(World *world, const char *mode, const char *more);
RuntimeStatus inspect(World *world);
int last_exit(World *world);
bool start(World *world, const char *version, Err *err);
void must_start(World *world, const char *version);
bool must_stop(World *world, int64_t timeout_ms);
pid_t keeper_pid(World *world);
bool log_has(World *world, const char *wanted);
int count_marked(World *world);
void kill_keeper(World *world);
int runtime_world_teardown(void **context);
void edit_record(World *world, const char *key, json_t *value);
pid_t nth_pid(const char *path, int n);
bool is_alive(pid_t pid);

/* True: this process was not started to run tests, and has done what it was started for. */
bool runtime_world_other(int argc, char **argv, int *ret_status);
void runtime_world_find_helper(const char *own);

#define TEST(name)                                                                                 \
        cmocka_unit_test_setup_teardown(name, runtime_world_setup, runtime_world_teardown)

#define RUNTIME_WORLD_MAIN(tests)                                                                  \
        int other = 0;                                                                             \
        if (runtime_world_other(argc, argv, &other))                                               \
                return other;                                                                      \
        if (argc > 1)                                                                              \
                cmocka_set_test_filter(argv[1]);                                                   \
        runtime_world_find_helper(argv[0]);                                                        \
        return cmocka_run_group_tests(tests, NULL, NULL)

#endif
