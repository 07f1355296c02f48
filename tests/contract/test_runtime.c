/* What every runtime must do, tried on real processes: start, stop, crash, port, log, environment, user. */
#include "lib/runtime_world.h"

/* -- start and stop --------------------------------------------------------------------------- */

static void it_starts_and_stops(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        scoped(runtime_status_done) RuntimeStatus before = inspect(world);
        assert_false(before.running);
        assert_int_equal(before.main.pid, 0);
        assert_non_null(before.log_path);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(now.running && now.wanted_running && now.keeper_present);
        assert_string_equal(now.version, "1.0.0");
        assert_string_equal(now.commit, "1.0.0");
        assert_int_equal(now.restarts, 0);
        assert_int_equal(now.processes, 1);
        assert_false(now.last_exit_known);
        assert_true(now.memory_bytes > 100000 && now.memory_limit > now.memory_bytes);
        assert_true(clock_wall_ms() - now.started_at_ms < 5000);
        WAIT_FOR(log_has(world, "ready"), 2000);
        assert_false(must_stop(world, 5000));
        scoped(runtime_status_done) RuntimeStatus after = inspect(world);
        assert_false(after.running || after.wanted_running);
        WAIT_FOR(last_exit(world) == 0, 1000);
        assert_true(log_has(world, "ending"));
        assert_int_equal(count_marked(world), 0);
        assert_false(must_stop(world, 5000));
}

static void the_keeper_goes_with_the_service(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        assert_true(keeper_pid(world) > 0);
        must_stop(world, 5000);
        WAIT_FOR(keeper_pid(world) == 0, 1000);
}

static void a_stop_takes_no_longer_than_the_service(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        ProcessId self = process_self();
        must_start(world, "1.0.0");
        assert_true(world->runtime->guard(&world->at, 7, &self, NULL));
        WAIT_FOR(log_has(world, "ready"), 2000);
        int64_t began = clock_now_us(), best_stop = INT64_MAX, best_start = INT64_MAX;
        for (int i = 0; i < 5; i++) {
                began = clock_now_us();
                must_stop(world, 5000);
                int64_t stopped = clock_now_us();
                must_start(world, "1.0.0");
                int64_t started = clock_now_us();
                best_stop = stopped - began < best_stop ? stopped - began : best_stop;
                best_start = started - stopped < best_start ? started - stopped : best_start;
                usleep(20000);
        }
        print_message("stop %.1f ms, start %.1f ms\n", (double)best_stop / 1000,
                (double)best_start / 1000);
        assert_true(best_stop < 100000 && best_start < 100000);
}

static void one_that_ignores_term_is_killed(void **context) {
        World *world = *context;
        serve_mode(world, "stubborn", NULL);
        must_start(world, "1.0.0");
        WAIT_FOR(log_has(world, "ready"), 2000);
        int64_t began = clock_now_ms();
        assert_true(must_stop(world, 300));
        int64_t took = clock_now_ms() - began;
        assert_true(took >= 300 && took < 1500);
        WAIT_FOR(last_exit(world) == 128 + SIGKILL, 1000);
}

static void one_that_is_suspended_ends_well(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        WAIT_FOR(log_has(world, "ready"), 2000);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        kill(now.main.pid, SIGSTOP);
        assert_false(must_stop(world, 3000));
}

static void descendants_end_too(void **context) {
        World *world = *context;
        scoped(free_str) char *pids = path_join(world->dir, "pids");
        serve_mode(world, "forks", pids);
        must_start(world, "1.0.0");
        WAIT_FOR(nth_pid(pids, 1) > 0 && log_has(world, "ready"), 3000);
        pid_t marked = nth_pid(pids, 0), bare = nth_pid(pids, 1);
        assert_true(is_alive(marked) && is_alive(bare));
        usleep(100000);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(now.processes >= 2);
        must_stop(world, 3000);
        assert_false(is_alive(marked) || is_alive(bare));
}

static void two_starts_are_one_service(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        pid_t children[4];
        for (size_t i = 0; i < COUNT_OF(children); i++) {
                children[i] = fork();
                if (children[i] == 0)
                        _exit(start(world, "1.0.0", NULL) ? 0 : 1);
        }
        for (size_t i = 0; i < COUNT_OF(children); i++) {
                int status = 0;
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        assert_int_equal(count_marked(world), 1);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus again = inspect(world);
        assert_int_equal(now.main.pid, again.main.pid);
        scoped(err_clear) Err err = {0};
        assert_false(start(world, "2.0.0", &err));
        assert_int_equal(err.code, ERR_DRIFT);
        assert_non_null(strstr(err.message, "1.0.0"));
}

static void a_program_that_is_not_there_is_named(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        scoped(err_clear) Err err = {0};
        str_replace_owned(&world->service.process.command[0], str_copy("./not-there"));
        assert_false(start(world, "1.0.0", &err));
        assert_int_equal(err.code, ERR_ANSWER_NO);
        assert_non_null(strstr(err.message, "./not-there"));
        assert_non_null(err.hint);
        scoped(free_str) char *plain = path_join(world->service.process.directory, "plain-file");
        assert_true(file_write_durable(plain, "x", 1, 0644, NULL));
        str_replace_owned(&world->service.process.command[0], str_copy("./plain-file"));
        assert_false(start(world, "1.0.0", &err));
        assert_non_null(strstr(err.message, "Permission denied"));
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_false(now.running || now.wanted_running);
}

static void a_missing_directory_is_refused(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        scoped(err_clear) Err err = {0};
        str_replace_owned(&world->service.process.directory, path_join(world->dir, "gone"));
        assert_false(start(world, "1.0.0", &err));
        assert_int_equal(err.code, ERR_REFUSED);
        RuntimeDescription description = {0};
        assert_false(world->runtime->describe(&world->at, &description, NULL));
        str_replace_owned(&world->service.process.user, str_copy("no-such-user"));
        assert_false(start(world, "1.0.0", &err));
        assert_non_null(strstr(err.message, "no-such-user"));
}

/* -- crash and restart ------------------------------------------------------------------------ */

static void a_crash_is_restarted_later_and_later(void **context) {
        World *world = *context;
        scoped(free_str) char *pids = path_join(world->dir, "pids");
        serve_mode(world, "crash", pids);
        int64_t began = clock_now_ms();
        must_start(world, "1.0.0");
        WAIT_FOR(nth_pid(pids, 1) > 0, 3000);
        int64_t second = clock_now_ms() - began;
        WAIT_FOR(nth_pid(pids, 2) > 0, 4000);
        int64_t third = clock_now_ms() - began;
        assert_true(second >= 1000 && second < 1700);
        assert_true(third >= 3000 && third < 3900);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_int_equal(now.restarts, 2);
        assert_true(now.last_exit_known && now.wanted_running);
        assert_int_equal(now.last_exit, 3);
        WAIT_FOR(({
                scoped(runtime_status_done) RuntimeStatus then = inspect(world);
                then.restart_pending;
        }),
                1000);
        must_stop(world, 1000);
        scoped(runtime_status_done) RuntimeStatus after = inspect(world);
        assert_false(after.restart_pending);
}

static void one_that_was_killed_is_restarted(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill(first.main.pid, SIGKILL);
        WAIT_FOR(({
                scoped(runtime_status_done) RuntimeStatus then = inspect(world);
                then.running &&then.main.pid != first.main.pid;
        }),
                3000);
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_int_equal(second.restarts, 1);
        assert_int_equal(second.last_exit, 128 + SIGKILL);
}

static void the_policy_decides(void **context) {
        World *world = *context;
        static const struct {
                RestartPolicy policy;
                const char *mode;
                unsigned restarts;
        } cases[] = {
                {RESTART_ON_FAILURE, "done", 0},
                {RESTART_NEVER, "crash", 0},
                {RESTART_ALWAYS, "done", 1},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                serve_mode(world, cases[i].mode, "/dev/null");
                world->service.process.restart = cases[i].policy;
                must_start(world, "1.0.0");
                usleep(1500000);
                scoped(runtime_status_done) RuntimeStatus now = inspect(world);
                assert_int_equal(now.restarts, cases[i].restarts);
                assert_true(now.wanted_running);
                assert_true(world->runtime->ensure(&world->at, NULL));
                must_stop(world, 1000);
        }
}

/* -- port, log, environment, user ------------------------------------------------------------- */

static unsigned free_port(void) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof(address);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static void a_taken_port_names_who_has_it(void **context) {
        World *world = *context;
        unsigned port = free_port();
        scoped(free_str) char *text = str_format("%u", port);
        world->service.process.port = port;
        serve_mode(world, "port", "${port}");
        pid_t squatter = fork();
        if (squatter == 0) {
                char *argv[] = {
                        (char[]){"squatter"}, (char[]){"serve"}, (char[]){"port"}, text, NULL};
                /* Its words are not the tests' results. */
                int null = open("/dev/null", O_WRONLY);
                if (null < 0 || dup2(null, STDOUT_FILENO) < 0)
                        _exit(1);
                execv("/proc/self/exe", argv);
                _exit(1);
        }
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *pid = str_format("pid %d", (int)squatter);
        WAIT_FOR(({
                scoped(runtime_description_done) RuntimeDescription is = {0};
                assert_true(world->runtime->describe(&world->at, &is, NULL));
                is.port_taken_by != NULL;
        }),
                3000);
        assert_false(start(world, "1.0.0", &err));
        assert_int_equal(err.code, ERR_IN_USE);
        assert_non_null(strstr(err.message, pid));
        assert_non_null(strstr(err.message, text));
        kill(squatter, SIGKILL);
        waitpid(squatter, NULL, 0);
        must_start(world, "1.0.0");
        WAIT_FOR(log_has(world, "ready"), 2000);
        scoped(runtime_description_done) RuntimeDescription own = {0};
        assert_true(world->runtime->describe(&world->at, &own, NULL));
        assert_null(own.port_taken_by);
        must_stop(world, 1000);
        must_start(world, "1.0.0");
}

static void the_log_is_rotated_under_the_writer(void **context) {
        World *world = *context;
        setenv("BELAY_LOG_LIMIT", "20000 30", 1);
        serve_mode(world, "chatter", NULL);
        must_start(world, "1.0.0");
        scoped(free_str) char *log = world->runtime->log_path(&world->at);
        scoped(free_str) char *first = str_format("%s.1", log), *fifth = str_format("%s.5", log);
        scoped(free_str) char *sixth = str_format("%s.6", log);
        WAIT_FOR(file_exists(fifth), 10000);
        usleep(300000);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(now.running);
        assert_int_equal(now.restarts, 0);
        must_stop(world, 1000);
        assert_true(file_exists(first));
        assert_false(file_exists(sixth));
        struct stat st;
        assert_int_equal(stat(log, &st), 0);
        assert_true(st.st_size < 200000);
        scoped(free_str) char *text = NULL;
        assert_true(file_read(first, 10000000, &text, NULL, NULL));
        assert_true(str_starts(text, "line "));
}

static bool any_file_has(const char *dir, const char *wanted) {
        char *argv[] = {(char[]){"grep"}, (char[]){"-rlF"}, (char[]){"--"}, str_copy(wanted),
                str_copy(dir), NULL};
        const Child grep = {.argv = argv, .what = "grep"};
        scoped(child_result_done) ChildResult result = {0};
        assert_true(child_run(&grep, &result, NULL));
        free(argv[3]);
        free(argv[4]);
        return result.exit_status == 0;
}

static bool any_command_line_has(const char *wanted) {
        for (pid_t pid = 1; pid < 4194304; pid++) {
                char path[32], text[16384];
                snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
                int fd = open(path, O_RDONLY);
                if (fd < 0)
                        continue;
                ssize_t n = read(fd, text, sizeof(text));
                close(fd);
                if (n > 0 && memmem(text, (size_t)n, wanted, strlen(wanted)))
                        return true;
                if (pid > 200000)
                        break;
        }
        return false;
}

static void settings_come_from_the_env_file(void **context) {
        World *world = *context;
        const char *secret = "canary-8c1f33d0";
        scoped(free_str) char *env_file = path_join(world->service.process.directory, ".env");
        scoped(free_str) char *text = str_format("TOKEN=%s\nMODE=\"from file\"\n", secret);
        assert_true(file_write_durable(env_file, text, strlen(text), 0600, NULL));
        world->service.process.port = free_port();
        world->service.process.environment = NEW_ARRAY(Pair, 2);
        world->service.process.environment[0] = (Pair){str_copy("MODE"), str_copy("from manifest")};
        world->service.process.environment[1] =
                (Pair){str_copy("RELEASE"), str_copy("v${version}")};
        world->service.process.n_environment = 2;
        serve_mode(world, "environment", NULL);
        setenv("LEAK", "of the caller", 1);
        const StartRequest request = {.version = "1.2.3", .env_file = env_file};
        assert_true(world->runtime->start(&world->at, &request, NULL));
        unsetenv("LEAK");
        WAIT_FOR(log_has(world, "ready"), 2000);
        scoped(free_str) char *port = str_format("env PORT=%u\n", world->service.process.port);
        scoped(free_str) char *cwd = str_format("cwd %s\n", world->service.process.directory);
        assert_true(log_has(world, "env TOKEN=canary-8c1f33d0\n"));
        assert_true(log_has(world, "env MODE=from file\n"));
        assert_true(log_has(world, "env RELEASE=v1.2.3\n"));
        assert_true(log_has(world, port));
        assert_true(log_has(world, cwd));
        assert_true(log_has(world, "env BELAY_SERVICE="));
        assert_false(log_has(world, "LEAK"));
        assert_false(any_command_line_has(secret));
        scoped(free_str) char *record = state_service_file(&world->state, "notes", "keeper.json");
        assert_false(any_file_has(record, secret));
        /* Read anew at every start, by the keeper itself, too. */
        assert_true(file_write_durable(env_file, "TOKEN=other\n", 12, 0600, NULL));
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        kill(now.main.pid, SIGKILL);
        WAIT_FOR(log_has(world, "env TOKEN=other\n"), 4000);
        must_stop(world, 1000);
        assert_true(file_unlink(env_file, NULL));
        scoped(err_clear) Err err = {0};
        assert_false(world->runtime->start(&world->at, &request, &err));
        assert_non_null(strstr(err.message, ".env"));
}

static void it_runs_as_its_user(void **context) {
        World *world = *context;
        serve_mode(world, "environment", NULL);
        scoped(runtime_description_done) RuntimeDescription as_root = {0};
        if (geteuid() != 0)
                skip();
        assert_true(world->runtime->describe(&world->at, &as_root, NULL));
        assert_string_equal(as_root.user, "root");
        assert_int_equal(strv_count(as_root.warnings), 1);
        /* The owner of the directory. */
        assert_int_equal(chown(world->service.process.directory, 65534, 65534), 0);
        scoped(runtime_description_done) RuntimeDescription is = {0};
        assert_true(world->runtime->describe(&world->at, &is, NULL));
        assert_string_equal(is.user, "nobody");
        assert_int_equal(strv_count(is.warnings), 0);
        must_start(world, "1.0.0");
        WAIT_FOR(log_has(world, "ready"), 2000);
        assert_true(log_has(world, "user 65534 65534 1\n"));
        assert_true(log_has(world, "env USER=nobody\n"));
        /* What another user's link leads to is not read for it. */
        must_stop(world, 1000);
        scoped(free_str) char *target = path_join(world->dir, "roots-own");
        scoped(free_str) char *link = path_join(world->service.process.directory, ".env");
        assert_true(file_write_durable(target, "A=b\n", 4, 0600, NULL));
        assert_int_equal(symlink(target, link), 0);
        scoped(err_clear) Err err = {0};
        const StartRequest request = {.version = "1.0.0", .env_file = link};
        assert_false(world->runtime->start(&world->at, &request, &err));
        assert_int_equal(err.code, ERR_REFUSED);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                TEST(it_starts_and_stops),
                TEST(the_keeper_goes_with_the_service),
                TEST(a_stop_takes_no_longer_than_the_service),
                TEST(one_that_ignores_term_is_killed),
                TEST(one_that_is_suspended_ends_well),
                TEST(descendants_end_too),
                TEST(two_starts_are_one_service),
                TEST(a_program_that_is_not_there_is_named),
                TEST(a_missing_directory_is_refused),
                TEST(a_crash_is_restarted_later_and_later),
                TEST(one_that_was_killed_is_restarted),
                TEST(the_policy_decides),
                TEST(a_taken_port_names_who_has_it),
                TEST(the_log_is_rotated_under_the_writer),
                TEST(settings_come_from_the_env_file),
                TEST(it_runs_as_its_user),
        };
        RUNTIME_WORLD_MAIN(tests);
}
