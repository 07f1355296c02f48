/* Processes: recognised by more than their number, swept by mark, started to outlive their starter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/process.h"
#include "platform/process_stat.h"

static char dir[] = "/tmp/belay-test-process-XXXXXX";

/* The name of a mark that no other run of this test has. */
static char mark[40];

static int set_up(void **state) {
        (void)state;
        snprintf(mark, sizeof(mark), "BELAY_TEST_%d", (int)getpid());
        return mkdtemp(dir) && chmod(dir, 0777) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        return tree_remove(dir, NULL) ? 0 : -1;
}

/* -- identity ----------------------------------------------------------------------------- */

static void stat_lines(void **state) {
        (void)state;
#define REST " 4 0 -1 4194304 6 7 8 9 10 11 12 13 20 0 3 0 987654321 18 19"
        static const struct {
                const char *text;
                bool ok;
                char state;
                pid_t parent;
        } cases[] = {
                {"42 (sh) S 2 3" REST, true, 'S', 2},
                {"42 (a b) S 9 (x) R 1 2) Z 7 3" REST, true, 'Z', 7},
                {"42 ()) R 1 3" REST, true, 'R', 1},
                {"42 () T 0 3" REST, true, 'T', 0},
                {"42 (sh S 2 3" REST, false, 0, 0},
                {"42 (sh) S 2 3 4 5 0 -1 6", false, 0, 0},
                {"", false, 0, 0},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                ProcessStat stat = {.state = '-'};
                assert_int_equal(process_stat_parse(cases[i].text, &stat), cases[i].ok);
                assert_int_equal(stat.state, cases[i].ok ? cases[i].state : '-');
                if (!cases[i].ok)
                        continue;
                assert_int_equal(stat.parent, cases[i].parent);
                assert_int_equal(stat.start_time, 987654321);
                assert_int_equal(stat.threads, 3);
                assert_int_equal(stat.session, 4);
        }
}

/* A process that does not outlive a test which fails. */
static pid_t fork_bound(void) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        return pid;
}

static void a_name_can_try_to_lie(void **state) {
        (void)state;
        pid_t pid = fork_bound();
        if (pid == 0) {
                prctl(PR_SET_NAME, "x) Z 1 1 1 (");
                for (;;)
                        pause();
        }
        clock_sleep_ms(50);
        ProcessId id;
        ProcessStat stat;
        assert_true(process_identify(pid, &id));
        assert_true(process_stat_read(pid, &stat));
        assert_int_equal(stat.parent, getpid());
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_false(process_alive(&id));
}

static void self_and_others(void **state) {
        (void)state;
        ProcessId self = process_self(), again, init;
        assert_int_equal(self.pid, getpid());
        assert_true(self.start_time > 0);
        assert_string_equal(self.boot_id, clock_boot_id());
        assert_int_equal(strlen(self.boot_id), 36);
        assert_true(process_identify(getpid(), &again));
        assert_int_equal(again.start_time, self.start_time);
        assert_true(process_alive(&self));
        assert_true(process_identify(1, &init));
        assert_false(process_identify(0, &init));
        assert_false(process_identify(-1, &init));
        assert_false(process_identify(4194305, &init));
        ProcessId other = self;
        other.start_time++;
        assert_false(process_alive(&other));
        other = self;
        other.boot_id[0] ^= 1;
        assert_false(process_alive(&other));
        assert_false(process_alive(&(ProcessId){0}));
}

static void a_zombie_is_dead(void **state) {
        (void)state;
        pid_t pid = fork_bound();
        if (pid == 0) {
                pause();
                _exit(0);
        }
        ProcessId id, untouched = {.pid = 5};
        assert_true(process_identify(pid, &id));
        assert_true(process_alive(&id));
        assert_false(process_wait_dead(&id, clock_now_ms() + 50));
        assert_true(process_signal(&id, SIGKILL, NULL));
        assert_true(process_wait_dead(&id, clock_now_ms() + 2000));
        assert_false(process_alive(&id));
        assert_false(process_identify(pid, &untouched));
        assert_int_equal(untouched.pid, 5);
        assert_int_equal(process_open(&id), -1);
        assert_int_equal(errno, ESRCH);
        assert_true(process_signal(&id, SIGKILL, NULL));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(process_wait_dead(&id, 0));
        assert_true(process_signal(&id, SIGKILL, NULL));
}

static void *outlive_main(void *arg) {
        (void)arg;
        clock_sleep_ms(60000);
        return NULL;
}

/* /proc calls a process "Z" whose first thread has ended while others run. */
static void without_its_first_thread_it_lives(void **state) {
        (void)state;
        pid_t pid = fork_bound();
        if (pid == 0) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, outlive_main, NULL) != 0)
                        _exit(1);
                pthread_exit(NULL);
        }
        ProcessStat stat = {0};
        for (int tries = 0; tries < 200 && stat.state != 'Z'; tries++) {
                assert_true(process_stat_read(pid, &stat));
                clock_sleep_ms(10);
        }
        assert_int_equal(stat.state, 'Z');
        ProcessId id;
        assert_true(process_identify(pid, &id));
        assert_false(process_wait_dead(&id, clock_now_ms() + 50));
        assert_true(process_signal(&id, SIGKILL, NULL));
        assert_true(process_wait_dead(&id, clock_now_ms() + 2000));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void json(void **state) {
        (void)state;
        ProcessId self = process_self(), read = {0};
        scoped(js_freep) json_t *object = process_to_json(&self);
        assert_true(process_from_json(object, &read));
        assert_memory_equal(&read.pid, &self.pid, sizeof(self.pid));
        assert_int_equal(read.start_time, self.start_time);
        assert_string_equal(read.boot_id, self.boot_id);
        static const char *const bad[] = {
                "{}",
                "[]",
                "7",
                "{\"pid\":1,\"start_time\":2}",
                "{\"pid\":\"1\",\"start_time\":2,\"boot_id\":\"x\"}",
                "{\"pid\":-1,\"start_time\":2,\"boot_id\":\"x\"}",
                "{\"pid\":4294967297,\"start_time\":2,\"boot_id\":\"x\"}",
                "{\"pid\":1,\"start_time\":-2,\"boot_id\":\"x\"}",
                "{\"pid\":1,\"start_time\":2,\"boot_id\":3}",
                ("{\"pid\":1,\"start_time\":2,\"boot_id\":"
                 "\"0123456789012345678901234567890123456789\"}"),
        };
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                scoped(js_freep) json_t *value = json_loads(bad[i], JSON_DECODE_ANY, NULL);
                ProcessId kept = {.pid = 5};
                assert_false(process_from_json(value, &kept));
                assert_int_equal(kept.pid, 5);
        }
        assert_false(process_from_json(NULL, &read));
}

static void opened_by_identity(void **state) {
        (void)state;
        ProcessId self = process_self();
        scoped(close_fd) int fd = process_open(&self);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        self.start_time++;
        assert_int_equal(process_open(&self), -1);
        assert_int_equal(errno, ESRCH);
        if (geteuid() != 0) {
                ProcessId init;
                scoped(err_clear) Err err = {0};
                assert_true(process_identify(1, &init));
                assert_false(process_signal(&init, SIGTERM, &err));
                assert_int_equal(err.code, ERR_IO);
        }
}

/* -- detached ----------------------------------------------------------------------------- */

static ProcessId start(char *script, const Detached *as) {
        Detached what = as ? *as : (Detached){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script, NULL};
        ProcessId id = {0};
        scoped(err_clear) Err err = {0};
        what.argv = argv;
        if (!process_start_detached(&what, &id, &err))
                fail_msg("%s", err.message);
        return id;
}

static char *text_of(const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        char *text = NULL;
        for (int tries = 0; tries < 300 && (!text || !strstr(text, "end\n")); tries++) {
                free(text);
                text = NULL;
                assert_true(file_read_if(path, 100000, &text, NULL, NULL));
                clock_sleep_ms(10);
        }
        assert_non_null(text);
        return text;
}

static void detached_programs_stand_alone(void **state) {
        (void)state;
        setenv("BELAY_RUN", "5", 1);
        setenv("BELAY_KEPT", "yes", 1);
        int leak = fcntl(0, F_DUPFD, 50);
        assert_true(leak >= 50);
        scoped(free_str) char *script =
                str_format("fds=$(ls -l /proc/$$/fd); exec 9>%s/alone; echo \"$fds\" >&9; env >&9; "
                           "cut -d' ' -f5,6,7 /proc/$$/stat >&9; "
                           "echo pid $$ >&9; echo end >&9",
                        dir);
        ProcessId id = start(script, NULL);
        unsetenv("BELAY_RUN");
        unsetenv("BELAY_KEPT");
        scoped(free_str) char *text = text_of("alone");
        scoped(free_str) char *leaked = str_format(" %d -> ", leak);
        close(leak);
        scoped(free_str) char *own_session =
                str_format("\n%d %d 0\npid %d\n", (int)id.pid, (int)id.pid, (int)id.pid);
        assert_non_null(strstr(text, own_session));
        for (int fd = 0; fd < 3; fd++) {
                scoped(free_str) char *null = str_format(" %d -> /dev/null", fd);
                if (!strstr(text, null))
                        fail_msg("no%s in %s", null, text);
        }
        assert_null(strstr(text, leaked));
        assert_null(strstr(text, "BELAY_RUN="));
        assert_non_null(strstr(text, "BELAY_KEPT=yes"));
        assert_true(process_wait_dead(&id, clock_now_ms() + 2000));
        assert_int_equal(waitpid(id.pid, NULL, 0), id.pid);
}

static void detached_programs_get_what_is_given(void **state) {
        (void)state;
        int a[2], b[2];
        assert_int_equal(pipe2(a, O_CLOEXEC), 0);
        assert_int_equal(pipe2(b, O_CLOEXEC), 0);
        scoped(free_str) char *script =
                str_format("read x; echo got $x; echo complaint >&2; echo kept >&%d", b[1]);
        int keep[] = {b[1], -1}, in[2];
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(write(in[1], "hello\n", 6), 6);
        char *environment[] = {(char[]){"PATH=/bin:/usr/bin"}, NULL};
        ProcessId id = start(script, &(Detached){.environment = environment,
                                             .keep_fds = keep,
                                             .stdin_fd = in[0],
                                             .stdout_fd = a[1],
                                             .stderr_fd = a[1]});
        close(a[1]);
        close(b[1]);
        assert_int_equal(waitpid(id.pid, NULL, 0), id.pid);
        char text[200] = "";
        assert_true(read(a[0], text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "got hello\ncomplaint\n");
        memset(text, 0, sizeof(text));
        assert_true(read(b[0], text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "kept\n");
        close(a[0]);
        close(b[0]);
        close(in[0]);
        close(in[1]);
}

static void detached_programs_outlive_their_starter(void **state) {
        (void)state;
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                ProcessId id = start((char[]){"exec sleep 60"}, NULL);
                if (write(ends[1], &id, sizeof(id)) != sizeof(id))
                        _exit(1);
                raise(SIGKILL);
        }
        ProcessId id;
        assert_int_equal(read(ends[0], &id, sizeof(id)), sizeof(id));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        clock_sleep_ms(100);
        assert_true(process_alive(&id));
        assert_true(process_signal(&id, SIGKILL, NULL));
        assert_true(process_wait_dead(&id, clock_now_ms() + 2000));
        close(ends[0]);
        close(ends[1]);
}

static void detached_programs_that_cannot_start(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        ProcessId id = {.pid = 5};
        char *argv[] = {(char[]){"/nowhere/program"}, NULL};
        Detached what = {.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
        assert_false(process_start_detached(&what, &id, &err));
        assert_int_equal(err.code, ERR_TOOL);
        assert_non_null(strstr(err.message, "'/nowhere/program'"));
        assert_int_equal(id.pid, 5);
        what.stdout_fd = 999;
        argv[0] = (char[]){"/bin/true"};
        assert_false(process_start_detached(&what, &id, &err));
}

/* -- marks -------------------------------------------------------------------------------- */

static ProcessId start_marked(const char *prefix, const char *value, char *script) {
        scoped(free_str) char *entry = str_format("%s%s=%s", prefix, mark, value);
        char *environment[] = {(char[]){"PATH=/bin:/usr/bin"}, entry, NULL};
        return start(script, &(Detached){.environment = environment,
                                     .stdin_fd = -1,
                                     .stdout_fd = -1,
                                     .stderr_fd = -1});
}

static void end(const ProcessId *id) {
        process_signal(id, SIGKILL, NULL);
        assert_int_equal(waitpid(id->pid, NULL, 0), id->pid);
}

static void marks_are_whole_words(void **state) {
        (void)state;
        ProcessId right = start_marked("", "test-4", (char[]){"exec sleep 60"});
        ProcessId longer = start_marked("", "test-44", (char[]){"exec sleep 60"});
        ProcessId other = start_marked("NOT_", "test-4", (char[]){"exec sleep 60"});
        clock_sleep_ms(100);
        ProcessId found[8];
        assert_int_equal(process_find_marked(mark, "test-4", found, 8, NULL), 1);
        assert_int_equal(found[0].pid, right.pid);
        assert_int_equal(found[0].start_time, right.start_time);
        assert_int_equal(process_find_marked(mark, "test-4", found, 0, NULL), 0);
        assert_int_equal(process_find_marked(mark, "test-", found, 8, NULL), 0);
        assert_true(process_sweep(mark, "test-4", 0, clock_now_ms() + 2000, NULL));
        assert_false(process_alive(&right));
        assert_true(process_alive(&longer));
        assert_true(process_alive(&other));
        end(&right);
        end(&longer);
        end(&other);
}

static void a_sweep_gives_time_to_end(void **state) {
        (void)state;
        scoped(free_str) char *gentle = str_format(
                "trap 'echo asked >%s/gentle; exit' TERM; while :; do sleep 0.02; done", dir);
        ProcessId a = start_marked("", "test-g", gentle);
        ProcessId b =
                start_marked("", "test-g", (char[]){"trap '' TERM; while :; do sleep 0.02; done"});
        clock_sleep_ms(200);
        int64_t began = clock_now_ms();
        assert_true(process_sweep(mark, "test-g", 400, clock_now_ms() + 5000, NULL));
        assert_in_range(clock_now_ms() - began, 400, 5000);
        assert_false(process_alive(&a));
        assert_false(process_alive(&b));
        scoped(free_str) char *path = path_join(dir, "gentle");
        assert_true(file_exists(path));
        end(&a);
        end(&b);
        /* Nobody there: two scans, and no waiting for the grace. */
        began = clock_now_ms();
        assert_true(process_sweep(mark, "test-g", 5000, clock_now_ms() + 9000, NULL));
        assert_in_range(clock_now_ms() - began, 0, 4500);
}

static void a_sweep_outruns_what_keeps_starting_others(void **state) {
        (void)state;
        char script[] = "f() { setsid sh -c 'sleep 0.05; exec sleep 60' & }; i=0; while [ $i -lt "
                        "200 ]; do f; i=$((i+1)); done";
        ProcessId id = start_marked("", "test-many", script);
        clock_sleep_ms(150);
        assert_true(process_sweep(mark, "test-many", 0, clock_now_ms() + 10000, NULL));
        ProcessId found[8];
        clock_sleep_ms(200);
        assert_int_equal(process_find_marked(mark, "test-many", found, 8, NULL), 0);
        end(&id);
}

static void a_sweep_finds_who_threw_the_mark_away(void **state) {
        (void)state;
        scoped(free_str) char *path = path_join(dir, "unmarked");
        scoped(free_str) char *script = str_format("env -i setsid sh -c 'echo $$ >%s.new; mv "
                                                   "%s.new %s; exec sleep 60' & exec sleep 60",
                path, path, path);
        ProcessId id = start_marked("", "test-u", script), child = {0};
        scoped(free_str) char *text = NULL;
        for (int tries = 0; tries < 300 && !text; tries++) {
                clock_sleep_ms(10);
                assert_true(file_read_if(path, 100, &text, NULL, NULL));
        }
        uint64_t pid = 0;
        assert_true(text && str_to_uint(str_trim(text), INT32_MAX, &pid));
        assert_true(process_identify((pid_t)pid, &child));
        assert_true(process_sweep(mark, "test-u", 0, clock_now_ms() + 5000, NULL));
        bool alive = process_alive(&child);
        process_signal(&child, SIGKILL, NULL);
        assert_false(alive);
        end(&id);
}

static void a_sweep_spares_its_own_process(void **state) {
        (void)state;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                scoped(free_str) char *test = process_own_path();
                char *argv[] = {test, (char[]){"sweep-self"}, mark, NULL};
                scoped(free_str) char *entry = str_format("%s=test-self", mark);
                char *environment[] = {entry, NULL};
                execve(test, argv, environment);
                _exit(9);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#ifdef BELAY_FAULT_POINTS
static void a_sweep_that_cannot_kill_says_so(void **state) {
        (void)state;
        ProcessId id = start_marked("", "test-f", (char[]){"exec sleep 60"});
        clock_sleep_ms(100);
        scoped(err_clear) Err err = {0};
        fault_set("*:fails:1:EIO");
        bool swept = process_sweep(mark, "test-f", 0, clock_now_ms() + 300, &err);
        fault_set("");
        assert_false(swept);
        assert_int_equal(err.code, ERR_IO);
        assert_true(process_alive(&id));
        end(&id);
}
#endif

/* -- places ------------------------------------------------------------------------------- */

static void where_belay_is(void **state) {
        (void)state;
        scoped(free_str) char *own = process_own_path();
        assert_true(str_ends(own, "test_process"));
        scoped(free_str) char *helper = process_helper_path();
        assert_int_equal(access(helper, X_OK), 0);
        assert_true(str_starts(path_basename(helper), "belay-exec"));
}

int main(int argc, char **argv) {
        if (argc > 2 && strcmp(argv[1], "sweep-self") == 0)
                return process_sweep(argv[2], "test-self", 0, clock_now_ms() + 2000, NULL) ? 0 : 1;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(stat_lines),
                cmocka_unit_test(a_name_can_try_to_lie),
                cmocka_unit_test(self_and_others),
                cmocka_unit_test(a_zombie_is_dead),
                cmocka_unit_test(without_its_first_thread_it_lives),
                cmocka_unit_test(json),
                cmocka_unit_test(opened_by_identity),
                cmocka_unit_test(detached_programs_stand_alone),
                cmocka_unit_test(detached_programs_get_what_is_given),
                cmocka_unit_test(detached_programs_outlive_their_starter),
                cmocka_unit_test(detached_programs_that_cannot_start),
                cmocka_unit_test(marks_are_whole_words),
                cmocka_unit_test(a_sweep_gives_time_to_end),
                cmocka_unit_test(a_sweep_outruns_what_keeps_starting_others),
                cmocka_unit_test(a_sweep_finds_who_threw_the_mark_away),
                cmocka_unit_test(a_sweep_spares_its_own_process),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test(a_sweep_that_cannot_kill_says_so),
#endif
                cmocka_unit_test(where_belay_is),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
