/*
 * What every runtime must do, tried on real processes. This program is everything in it: the test, the
 * keeper ("keeper ..."), the service ("serve MODE ..."), and the `belay resume` that a keeper starts.
 */
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

/* -- the service ------------------------------------------------------------------------------ */

static volatile sig_atomic_t asked_to_end;
static void on_term(int signal) { asked_to_end = signal; }

static int serve_until_asked(void) {
        sigset_t term, before;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, &before);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
        while (!asked_to_end)
                sigsuspend(&before);
        printf("ending\n");
        return 0;
}

_Noreturn static void serve_for_ever(void) {
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
        for (;;)
                pause();
}

static void note_pid(const char *path) {
        FILE *file = fopen(path, "a");
        if (file) {
                fprintf(file, "%d\n", (int)getpid());
                fclose(file);
        }
}

/* A grandchild in a session of its own, whose parent is gone; with `bare` without any environment. */
static void fork_away(const char *pid_file, bool bare) {
        pid_t child = fork();
        if (child > 0) {
                waitpid(child, NULL, 0);
                return;
        }
        setsid();
        if (fork() != 0)
                _exit(0);
        note_pid(pid_file);
        char *argv[] = {(char[]){"service"}, (char[]){"serve"}, (char[]){"stubborn"}, NULL};
        char *nothing[] = {NULL};
        execve("/proc/self/exe", argv, bare ? nothing : environ);
        _exit(1);
}

static int serve_port(const char *port) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        struct sockaddr_in address = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                .sin_addr = {htonl(INADDR_LOOPBACK)}};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 5) < 0) {
                perror("listen");
                return 1;
        }
        return serve_until_asked();
}

static int serve_environment(void) {
        for (char **at = environ; *at; at++)
                printf("env %s\n", *at);
        char directory[4096];
        printf("cwd %s\n", getcwd(directory, sizeof(directory)));
        gid_t groups[64];
        int n = getgroups(64, groups);
        printf("user %u %u %d\n", getuid(), getgid(), n);
        return serve_until_asked();
}

_Noreturn static void serve_chatter(void) {
        for (unsigned i = 0;; i++) {
                printf("line %u .....................................................\n", i);
                fflush(stdout);
                usleep(200);
        }
}

static int serve(int argc, char **argv) {
        const char *mode = argv[2], *more = argc > 3 ? argv[3] : "";
        if (strcmp(mode, "stubborn") == 0)
                serve_for_ever();
        if (strcmp(mode, "crash") == 0) {
                note_pid(more);
                return 3;
        }
        if (strcmp(mode, "done") == 0)
                return 0;
        if (strcmp(mode, "forks") == 0) {
                fork_away(more, false);
                fork_away(more, true);
        }
        if (strcmp(mode, "port") == 0)
                return serve_port(more);
        if (strcmp(mode, "environment") == 0)
                return serve_environment();
        if (strcmp(mode, "chatter") == 0)
                serve_chatter();
        return serve_until_asked();
}

/* -- the other programs ----------------------------------------------------------------------- */

static int keep(char **argv) {
        State state = {.root = argv[3]};
        return keeper_main(&state, argv[5]);
}

/* Stands in for `belay --state DIR resume RUN --yes`: notes that it was called, and ends as told. */
static int resume(char **argv) {
        scoped(free_str) char *path = path_join(argv[2], "resumed");
        scoped(free_str) char *how = path_join(argv[2], "resume-exits");
        scoped(free_str) char *text = NULL;
        FILE *file = fopen(path, "a");
        fprintf(file, "%s %s %d\n", argv[4], argv[5], getenv("BELAY_RUN") != NULL);
        fclose(file);
        scoped(free_str) char *long_one = path_join(argv[2], "resume-takes-long");
        for (int i = 0; i < 100 && file_exists(long_one); i++)
                usleep(100000);
        return file_read_if(how, 100, &text, NULL, NULL) && text ? (int)strtol(text, NULL, 10) : 0;
}

/* -- the test's world ------------------------------------------------------------------------- */

typedef struct World {
        char *dir;
        char *program; /* of the service: under a name of its own, since Belay's is never part of a service */
        Service service;
        State state;
        RuntimeContext at;
        const Runtime *runtime;
} World;

static int setup(void **context) {
        World *world = NEW(World);
        char template[] = "/tmp/belay-runtime-XXXXXX";
        world->dir = str_copy(mkdtemp(template));
        scoped(free_str) char *own = process_own_path();
        world->program = path_join(world->dir, "service-program");
        scoped(free_str) char *root = path_join(world->dir, "state");
        char *work = path_join(world->dir, "work");
        mkdir(work, 0755);
        chmod(world->dir, 0755);
        assert_true(file_copy_durable(own, world->program, NULL));
        world->service.name = str_copy("notes");
        world->service.directory = str_copy(work);
        world->service.process = (ProcessSpec){.directory = work, .restart = RESTART_ON_FAILURE};
        scoped(err_clear) Err err = {0};
        assert_true(state_open(root, &world->state, &err));
        world->at = (RuntimeContext){.service = &world->service, .state = &world->state};
        *context = world;
        return 0;
}

static void serve_mode(World *world, const char *mode, const char *more) {
        strv_free(world->service.process.command);
        world->service.process.command = NULL;
        strv_add(&world->service.process.command, world->program);
        strv_add(&world->service.process.command, "serve");
        strv_add(&world->service.process.command, mode);
        if (more)
                strv_add(&world->service.process.command, more);
        world->runtime = runtime_for(&world->service);
}

static RuntimeStatus inspect(World *world) {
        RuntimeStatus status = {0};
        scoped(err_clear) Err err = {0};
        if (!world->runtime->inspect(&world->at, &status, &err))
                fail_msg("%s", err.message);
        return status;
}

/* Written down when the stop has been answered already. */
static int last_exit(World *world) {
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        return now.last_exit;
}

static bool start(World *world, const char *version, Err *err) {
        const StartRequest request = {.version = version, .commit = version, .tag = version};
        return world->runtime->start(&world->at, &request, err);
}

static void must_start(World *world, const char *version) {
        scoped(err_clear) Err err = {0};
        if (!start(world, version, &err))
                fail_msg("%s", err.message);
}

static bool must_stop(World *world, int64_t timeout_ms) {
        scoped(err_clear) Err err = {0};
        bool forced = false;
        if (!world->runtime->stop(&world->at, timeout_ms, &forced, &err))
                fail_msg("%s", err.message);
        return forced;
}

static pid_t keeper_pid(World *world) {
        scoped(js_freep) json_t *record = state_load(&world->state, "notes", "keeper.json", NULL);
        ProcessId id = {0};
        process_from_json(js_get(record, "keeper"), &id);
        return process_alive(&id) ? id.pid : 0;
}

static char *log_text(World *world) {
        scoped(free_str) char *path = world->runtime->log_path(&world->at);
        char *text = NULL;
        return file_read_if(path, 64 * 1024 * 1024, &text, NULL, NULL) && text ? text
                                                                               : str_copy("");
}

static bool log_has(World *world, const char *wanted) {
        scoped(free_str) char *text = log_text(world);
        return strstr(text, wanted) != NULL;
}

#define WAIT_FOR(condition, limit_ms)                                                              \
        do {                                                                                       \
                int64_t wait_until_ = clock_now_ms() + (limit_ms);                                 \
                while (!(condition)) {                                                             \
                        if (clock_now_ms() > wait_until_)                                          \
                                fail_msg("not within " #limit_ms " ms: " #condition);              \
                        usleep(3000);                                                              \
                }                                                                                  \
        } while (0)

/* Every process of the service under test, by its marker, except keepers, which have none. */
static int count_marked(World *world) {
        char hex[65];
        ProcessId found[64];
        sha256_hex(world->state.root, strlen(world->state.root), hex);
        scoped(free_str) char *mark = str_format("%.16s/notes", hex);
        return process_find_marked("BELAY_SERVICE", mark, found, 64, NULL);
}

static void kill_keeper(World *world) {
        pid_t pid = keeper_pid(world);
        assert_true(pid > 0);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        WAIT_FOR(keeper_pid(world) == 0, 2000);
}

static int teardown(void **context) {
        World *world = *context;
        unsetenv("BELAY_FAULT");
        unsetenv("BELAY_LOG_LIMIT");
        unsetenv("BELAY_NO_KEEPER_RESUME");
        if (world->runtime) {
                scoped(err_clear) Err err = {0};
                world->runtime->unguard(&world->at, 7, &err);
                assert_true(world->runtime->stop(&world->at, 500, NULL, &err));
                WAIT_FOR(keeper_pid(world) == 0, 8000);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
                assert_int_equal(count_marked(world), 0);
        }
        (void)umount2(world->state.root, MNT_DETACH);
        tree_remove(world->dir, NULL);
        service_done(&world->service);
        state_done(&world->state);
        free(world->dir);
        free(world->program);
        free(world);
        return 0;
}

/* Changes the keeper's record behind its back, as a crash or a reboot would leave it. */
static void edit_record(World *world, const char *key, json_t *value) {
        scoped(js_freep) json_t *record = state_load(&world->state, "notes", "keeper.json", NULL);
        js_set(record, key, value);
        assert_true(state_save(&world->state, "notes", "keeper.json", record, NULL));
}

static pid_t nth_pid(const char *path, int n) {
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, 4096, &text, NULL, NULL) || !text)
                return 0;
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        return (int)strv_count(lines) > n ? (pid_t)strtol(lines[n], NULL, 10) : 0;
}

static bool is_alive(pid_t pid) {
        ProcessId id;
        return pid > 0 && process_identify(pid, &id);
}

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

/* -- the keeper dies -------------------------------------------------------------------------- */

static void it_survives_its_keeper(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        scoped(runtime_status_done) RuntimeStatus alone = inspect(world);
        assert_true(alone.running);
        assert_false(alone.keeper_present);
        assert_true(world->runtime->ensure(&world->at, NULL));
        scoped(runtime_status_done) RuntimeStatus adopted = inspect(world);
        assert_true(adopted.running && adopted.keeper_present);
        assert_int_equal(adopted.main.pid, first.main.pid);
        assert_int_equal(adopted.restarts, 0);
        must_start(world, "1.0.0");
        usleep(1300000);
        scoped(runtime_status_done) RuntimeStatus same = inspect(world);
        assert_int_equal(same.main.pid, first.main.pid);
        kill(first.main.pid, SIGKILL);
        WAIT_FOR(({
                scoped(runtime_status_done) RuntimeStatus then = inspect(world);
                then.running &&then.main.pid != first.main.pid;
        }),
                3000);
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_false(second.last_exit_known);
        assert_int_equal(second.last_exit, -1);
        kill_keeper(world);
        assert_false(must_stop(world, 2000));
        assert_int_equal(count_marked(world), 0);
}

static void a_dead_keeper_s_dead_service_is_started_again(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        kill(first.main.pid, SIGKILL);
        WAIT_FOR(!process_alive(&first.main), 1000);
        scoped(runtime_status_done) RuntimeStatus dead = inspect(world);
        assert_true(!dead.running && dead.wanted_running);
        assert_true(world->runtime->ensure(&world->at, NULL));
        WAIT_FOR(({
                scoped(runtime_status_done) RuntimeStatus then = inspect(world);
                then.running;
        }),
                3000);
}

static void what_nobody_recorded_is_ended_before_a_start(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        edit_record(world, "phase", json_string("starting"));
        edit_record(world, "main", process_to_json(&(ProcessId){0}));
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_int_not_equal(first.main.pid, second.main.pid);
        assert_false(process_alive(&first.main));
        assert_int_equal(count_marked(world), 1);
}

static void a_cut_stop_is_finished_by_the_next_start(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        edit_record(world, "wanted", json_string("stopped"));
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_int_not_equal(first.main.pid, second.main.pid);
        assert_true(second.wanted_running && second.running);
        assert_int_equal(count_marked(world), 1);
}

static void another_process_with_its_number_is_not_it(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        must_stop(world, 1000);
        WAIT_FOR(keeper_pid(world) == 0, 1000);
        pid_t bystander = fork();
        if (bystander == 0) {
                setsid();
                for (;;)
                        pause();
        }
        ProcessId id;
        assert_true(process_identify(bystander, &id));
        id.start_time--;
        edit_record(world, "main", process_to_json(&id));
        edit_record(world, "wanted", json_string("running"));
        edit_record(world, "phase", json_string("running"));
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_false(now.running);
        must_stop(world, 500);
        assert_true(is_alive(bystander));
        kill(bystander, SIGKILL);
        waitpid(bystander, NULL, 0);
}

static void after_a_reboot_it_does_not_run(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        must_stop(world, 1000);
        WAIT_FOR(keeper_pid(world) == 0, 1000);
        ProcessId id = process_self();
        snprintf(id.boot_id, sizeof(id.boot_id), "00000000-0000-0000-0000-000000000000");
        edit_record(world, "main", process_to_json(&id));
        edit_record(world, "keeper", process_to_json(&id));
        edit_record(world, "wanted", json_string("running"));
        edit_record(world, "phase", json_string("running"));
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(!now.running && now.wanted_running && !now.keeper_present);
        assert_true(world->runtime->ensure(&world->at, NULL));
        /* Nor does a keeper that is there for something else start it: the boot decides, or the run. */
        ProcessId self = process_self();
        assert_true(world->runtime->guard(&world->at, 7, &self, NULL));
        usleep(1500000);
        assert_int_equal(count_marked(world), 0);
        kill_keeper(world);
        assert_true(world->runtime->ensure(&world->at, NULL));
        usleep(1500000);
        assert_int_equal(count_marked(world), 0);
        must_start(world, "1.0.0");
        assert_int_equal(count_marked(world), 1);
}

/* The keeper dies before or after each change that it makes; whoever asked does not notice. */
static void a_keeper_may_die_anywhere(void **context) {
        World *world = *context;
        static const char *const actions[] = {"die", "after", "torn"};
        serve_mode(world, "plain", NULL);
        unsigned tried = 0;
        for (size_t a = 0; a < COUNT_OF(actions); a++) {
                for (unsigned n = 1; n <= 60; n++) {
                        scoped(free_str) char *rule = str_format("keeper:%s:%u", actions[a], n);
                        setenv("BELAY_FAULT", rule, 1);
                        must_start(world, "1.0.0");
                        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
                        assert_true(now.running);
                        assert_int_equal(count_marked(world), 1);
                        must_stop(world, 3000);
                        assert_int_equal(count_marked(world), 0);
                        unsetenv("BELAY_FAULT");
                        while (waitpid(-1, NULL, WNOHANG) > 0)
                                ;
                        tried++;
                }
        }
        print_message("%u deaths of a keeper\n", tried);
}

/* With one failing call each the answer is a clean no, or everything went well all the same. */
static void a_failing_call_leaves_nothing_half_done(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        for (unsigned n = 1; n <= 40; n++) {
                scoped(free_str) char *rule = str_format("keeper:error:%u:ENOSPC", n);
                setenv("BELAY_FAULT", rule, 1);
                bool started = start(world, "1.0.0", NULL);
                scoped(runtime_status_done) RuntimeStatus now = inspect(world);
                assert_int_equal(count_marked(world), started ? 1 : 0);
                assert_int_equal(now.running, started);
                (void)world->runtime->stop(&world->at, 1000, NULL, NULL);
                unsetenv("BELAY_FAULT");
                must_stop(world, 1000);
                assert_int_equal(count_marked(world), 0);
                WAIT_FOR(keeper_pid(world) == 0, 8000);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
        }
}

/* A full disk must not keep a rollback from starting the old version. */
static void a_full_disk_stops_nobody(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        if (mount("tmpfs", world->state.root, "tmpfs", 0, "size=256k,mode=0700") < 0)
                skip();
        scoped(free_str) char *filler = path_join(world->state.root, "filler");
        must_start(world, "1.0.0");
        must_stop(world, 1000);
        int fd = open(filler, O_WRONLY | O_CREAT, 0600);
        char block[4096] = "";
        while (write(fd, block, sizeof(block)) > 0)
                ;
        close(fd);
        must_start(world, "2.0.0");
        scoped(runtime_status_done) RuntimeStatus full = inspect(world);
        assert_true(full.running);
        assert_string_equal(full.version, "2.0.0");
        must_stop(world, 1000);
        must_start(world, "3.0.0");
        assert_int_equal(unlink(filler), 0);
        /* Written down when there is room again. */
        WAIT_FOR(({
                scoped(js_freep) json_t *record =
                        state_load(&world->state, "notes", "keeper.json", NULL);
                str_equal(js_str(js_get(record, "spec"), "version"), "3.0.0");
        }),
                8000);
        must_stop(world, 1000);
        WAIT_FOR(umount2(world->state.root, 0) == 0, 3000);
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
                freopen("/dev/null", "w", stdout);
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
        assert_int_equal(err.code, ERR_ANSWER_NO);
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

/* -- the guard -------------------------------------------------------------------------------- */

static pid_t fake_runner(ProcessId *ret) {
        pid_t pid = fork();
        if (pid == 0)
                for (;;)
                        pause();
        assert_true(process_identify(pid, ret));
        return pid;
}

static void end_runner(pid_t pid) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static int resumed(World *world, const char *wanted) {
        scoped(free_str) char *path = path_join(world->state.root, "resumed");
        scoped(free_str) char *text = NULL;
        int n = 0;
        if (!file_read_if(path, 4096, &text, NULL, NULL) || !text)
                return 0;
        for (const char *at = text; (at = strstr(at, wanted)); at++)
                n++;
        return n;
}

static void a_dead_runner_s_run_is_resumed(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        must_stop(world, 1000);
        usleep(200000);
        assert_true(keeper_pid(world) > 0); /* it stays to watch */
        scoped(runtime_status_done) RuntimeStatus guarded = inspect(world);
        assert_int_equal(guarded.guarded_run, 7);
        int64_t began = clock_now_ms();
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes 0\n") == 1, 4000);
        assert_true(clock_now_ms() - began >= 1990);
        /* It ended well: nothing is left to watch. */
        WAIT_FOR(keeper_pid(world) == 0, 2000);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_int_equal(now.guarded_run, 0);
}

/* The resumed run is the keeper's child, as the service's orphans are; it must be able to stop the service. */
static void a_resumed_run_outlives_a_stop(void **context) {
        World *world = *context;
        scoped(free_str) char *slow = path_join(world->state.root, "resume-takes-long");
        scoped(free_str) char *pids = path_join(world->dir, "pids");
        assert_true(file_write_durable(slow, "", 0, 0600, NULL));
        serve_mode(world, "forks", pids);
        must_start(world, "1.0.0");
        WAIT_FOR(nth_pid(pids, 1) > 0, 3000);
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes") == 1, 4000);
        must_stop(world, 1000);
        assert_false(is_alive(nth_pid(pids, 0)) || is_alive(nth_pid(pids, 1)));
        usleep(300000);
        scoped(runtime_status_done) RuntimeStatus guarded = inspect(world);
        assert_int_equal(guarded.guarded_run, 7); /* lifted when it ends: it has not */
        assert_int_equal(unlink(slow), 0);
        WAIT_FOR(keeper_pid(world) == 0, 3000);
}

static void a_failed_resume_is_tried_again(void **context) {
        World *world = *context;
        scoped(free_str) char *how = path_join(world->state.root, "resume-exits");
        assert_true(file_write_durable(how, "1", 1, 0600, NULL));
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes") == 1, 4000);
        usleep(1000000);
        assert_int_equal(resumed(world, "7 --yes"), 1);
        WAIT_FOR(resumed(world, "7 --yes") == 2, 5000);
        assert_true(world->runtime->unguard(&world->at, 7, NULL));
}

static void a_lifted_guard_does_nothing(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        assert_true(world->runtime->unguard(&world->at, 6, NULL)); /* another run's */
        scoped(runtime_status_done) RuntimeStatus still = inspect(world);
        assert_int_equal(still.guarded_run, 7);
        assert_true(world->runtime->unguard(&world->at, 7, NULL));
        end_runner(pid);
        setenv("BELAY_NO_KEEPER_RESUME", "1", 1);
        pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        end_runner(pid);
        usleep(2500000);
        assert_int_equal(resumed(world, "--yes"), 0);
}

static void a_guard_survives_the_keeper(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        kill_keeper(world);
        assert_true(world->runtime->ensure(&world->at, NULL));
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes") == 1, 4000);
        kill_keeper(world);
}

/* -- the keeper itself ------------------------------------------------------------------------ */

static unsigned long switches(pid_t pid) {
        scoped(free_str) char *path = str_format("/proc/%d/status", (int)pid);
        scoped(free_str) char *text = NULL;
        assert_true(file_read(path, 65536, &text, NULL, NULL));
        const char *at = strstr(text, "\nvoluntary_ctxt_switches:");
        return at ? strtoul(at + sizeof("\nvoluntary_ctxt_switches:") - 1, NULL, 10) : 0;
}

static void an_idle_keeper_does_nothing(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        usleep(300000);
        pid_t pid = keeper_pid(world);
        unsigned long before = switches(pid);
        usleep(1500000);
        assert_true(switches(pid) - before <= 1);
        scoped(free_str) char *path = str_format("/proc/%d/fd", (int)pid);
        int open_fds = 0;
        for (int fd = 0; fd < 1024; fd++) {
                scoped(free_str) char *at = str_format("%s/%d", path, fd);
                open_fds += file_exists(at);
        }
        assert_int_equal(open_fds, 7); /* three streams, lock, signals, socket, the program */
}

static void strangers_are_not_heard(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        if (geteuid() != 0)
                skip();
        scoped(free_str) char *dir = state_service_dir(&world->state, "notes");
        scoped(free_str) char *socket_path = path_join(dir, "keeper.sock");
        scoped(free_str) char *services = path_dirname(dir);
        chmod(world->state.root, 0755);
        chmod(services, 0755);
        chmod(dir, 0755);
        chmod(socket_path, 0777);
        pid_t stranger = fork();
        if (stranger == 0) {
                struct sockaddr_un address = {.sun_family = AF_UNIX};
                char room[256];
                snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
                int fd = socket(AF_UNIX, SOCK_STREAM, 0);
                if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0 ||
                        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                        _exit(2);
                (void)send(fd, "{\"do\":\"stop\",\"timeout_ms\":0}\n", 29, MSG_NOSIGNAL);
                _exit(recv(fd, room, sizeof(room), 0) > 0 ? 1 : 0);
        }
        int status = 0;
        waitpid(stranger, &status, 0);
        assert_int_equal(status, 0);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(now.running);
}

static void a_long_state_directory_is_fine(void **context) {
        World *world = *context;
        scoped(free_str) char *root = str_format("%s/%0100d/%0100d", world->dir, 1, 2);
        scoped(err_clear) Err err = {0};
        state_done(&world->state);
        assert_true(dir_make(root, &err));
        assert_true(state_open(root, &world->state, &err));
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        must_stop(world, 1000);
}

static void find_helper(const char *own) {
        scoped(free_str) char *found = process_helper_path();
        scoped(free_str) char *dir = path_dirname(own);
        scoped(free_str) char *beside = path_join(dir, "../belay-exec");
        if (access(found, X_OK) < 0 && access(beside, X_OK) == 0)
                setenv("BELAY_EXEC", beside, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
        if (argc > 2 && strcmp(argv[1], "serve") == 0)
                return serve(argc, argv);
        if (argc > 5 && strcmp(argv[1], "keeper") == 0)
                return keep(argv);
        if (argc > 5 && strcmp(argv[3], "resume") == 0)
                return resume(argv);
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
                TEST(it_survives_its_keeper),
                TEST(a_dead_keeper_s_dead_service_is_started_again),
                TEST(what_nobody_recorded_is_ended_before_a_start),
                TEST(a_cut_stop_is_finished_by_the_next_start),
                TEST(another_process_with_its_number_is_not_it),
                TEST(after_a_reboot_it_does_not_run),
                TEST(a_keeper_may_die_anywhere),
                TEST(a_failing_call_leaves_nothing_half_done),
                TEST(a_full_disk_stops_nobody),
                TEST(a_taken_port_names_who_has_it),
                TEST(the_log_is_rotated_under_the_writer),
                TEST(settings_come_from_the_env_file),
                TEST(it_runs_as_its_user),
                TEST(a_dead_runner_s_run_is_resumed),
                TEST(a_resumed_run_outlives_a_stop),
                TEST(a_failed_resume_is_tried_again),
                TEST(a_lifted_guard_does_nothing),
                TEST(a_guard_survives_the_keeper),
                TEST(an_idle_keeper_does_nothing),
                TEST(strangers_are_not_heard),
                TEST(a_long_state_directory_is_fine),
        };
        if (argc > 1)
                cmocka_set_test_filter(argv[1]);
        find_helper(argv[0]);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
