/* belay-exec by itself: as the keeper starts services with it, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process.h"

static char dir[] = "/tmp/belay-test-exec-XXXXXX";

static int set_up(void **state) {
        (void)state;
        return mkdtemp(dir) && chmod(dir, 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        return tree_remove(dir, NULL) ? 0 : -1;
}

static char *in_dir(const char *name) { return path_join(dir, name); }

/* Words separated by '|'. */
static Strv command(const char *words) {
        scoped(strv_freep) Strv given = strv_split(words, '|');
        Strv argv = NULL;
        strv_push(&argv, process_helper_path());
        for (size_t i = 0; given[i]; i++)
                strv_add(&argv, given[i]);
        return argv;
}

static pid_t start(const char *words, int status_fd) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        Strv argv = command(words);
        if (status_fd >= 0)
                dup2(status_fd, 30);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
        signal(SIGTERM, SIG_IGN);
        umask(077);
        if (geteuid() == 0 && setgroups(2, (gid_t[]){0, 7}) < 0)
                _exit(98);
        execv(argv[0], argv);
        _exit(99);
}

static int exit_of(pid_t pid) {
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wrong_arguments(void **state) {
        (void)state;
        static const char *const cases[] = {
                "--",
                "--no-such-option|--|true",
                "--uid|0|--|true",
                "--gid|0|--|true",
                "--uid|-1|--gid|0|--|true",
                "--uid|4294967295|--gid|0|--|true",
                "--uid|1x|--gid|0|--|true",
                "--uid||--gid|0|--|true",
                "--uid|0|--gid|0|--groups|1,x|--|true",
                "--uid|0|--gid|0|--groups|1,,2|--|true",
                "--grace-ms|1.5|--|true",
                "--hold|--|true",
                "--status-fd|x|--|true",
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++)
                if (exit_of(start(cases[i], -1)) != 2)
                        fail_msg("'%s' was not refused", cases[i]);
}

static void exit_statuses(void **state) {
        (void)state;
        static const struct {
                const char *words;
                int status;
        } cases[] = {
                {"--|true", 0},
                {"true", 0},
                {"--|sh|-c|exit 9", 9},
                {"--|sh|-c|kill -9 $$", 137},
                {"--|no-such-program", 127},
                {"--chdir|/nowhere|--|true", 127},
                {"--log|/nowhere/log|--|true", 127},
                {"--replace|--|sh|-c|exit 9", 9},
                {"--replace|--|sh|-c|kill -9 $$", 137},
                {"--replace|--|no-such-program", 127},
                {"--parent|1|--|true", 125},
                {"--|sh|-c|setsid sleep 60 & exit 4", 4},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                int status = exit_of(start(cases[i].words, -1));
                if (status != cases[i].status)
                        fail_msg("'%s' gives %d", cases[i].words, status);
        }
}

/* What the caller ignores or blocks, the service does not inherit. */
static void replaced_by_the_service(void **state) {
        (void)state;
        scoped(free_str) char *log = in_dir("service.log");
        scoped(free_str) char *words =
                str_format("--replace|--stdin-null|--log|%s|--chdir|/usr|%s--|sh|-c|pwd; cat; id "
                           "-u; grep Groups /proc/self/status; umask; ls /proc/self/fd; "
                           "echo pid $$; kill -TERM $$; echo survived",
                        log, geteuid() == 0 ? "--uid|65534|--gid|65534|--groups|65534|" : "");
        int leak = fcntl(0, F_DUPFD, 40);
        pid_t pid = start(words, -1);
        close(leak);
        assert_int_equal(exit_of(pid), 128 + SIGTERM);
        scoped(free_str) char *text = NULL;
        assert_true(file_read(log, 10000, &text, NULL, NULL));
        scoped(free_str) char *ends = str_format("0022\n0\n1\n2\n3\npid %d\n", (int)pid);
        scoped(free_str) char *begins =
                str_format("/usr\n%u\nGroups:\t", geteuid() == 0 ? 65534 : geteuid());
        assert_true(str_starts(text, begins));
        assert_true(str_ends(text, ends));
        if (geteuid() == 0)
                assert_true(str_starts(text + strlen(begins), "65534 \n"));
        struct stat st;
        assert_int_equal(stat(log, &st), 0);
        assert_int_equal(st.st_uid, geteuid());
        assert_int_equal(st.st_mode & 0777, 0600);
}

static void logs_are_appended_to_and_never_a_trap(void **state) {
        (void)state;
        scoped(free_str) char *log = in_dir("log");
        scoped(free_str) char *fifo = in_dir("fifo");
        scoped(free_str) char *link = in_dir("link");
        scoped(free_str) char *target = in_dir("target");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(symlink(target, link), 0);
        for (int i = 0; i < 2; i++) {
                scoped(free_str) char *words = str_format("--replace|--log|%s|--|echo|line", log);
                assert_int_equal(exit_of(start(words, -1)), 0);
        }
        scoped(free_str) char *text = NULL;
        assert_true(file_read(log, 100, &text, NULL, NULL));
        assert_string_equal(text, "line\nline\n");
        const char *const bad[] = {fifo, link, dir};
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                scoped(free_str) char *words =
                        str_format("--replace|--log|%s|--|echo|line", bad[i]);
                assert_int_equal(exit_of(start(words, -1)), 127);
        }
        assert_false(file_exists(target));
}

static char *message(int fd) {
        char text[200] = "";
        struct pollfd news = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&news, 1, 3000), 1);
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        assert_true(n >= 0);
        return str_copy_n(text, (size_t)n);
}

static void messages(void **state) {
        (void)state;
        static const struct {
                const char *words, *said;
        } cases[] = {
                {"--|sh|-c|exit 3", "exit 3"},
                {"--|sh|-c|kill -9 $$", "signal 9"},
                {"--|no-such-program", "error 2 exec"},
                {"--chdir|/nowhere|--|true", "error 2 chdir"},
                {"--log|/|--|true", "error 21 log"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                int pair[2];
                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
                scoped(free_str) char *words = str_format("--status-fd|30|%s", cases[i].words);
                pid_t pid = start(words, pair[1]);
                close(pair[1]);
                scoped(free_str) char *first = message(pair[0]);
                assert_true(str_starts(first, "pid ") || str_starts(first, "error "));
                scoped(free_str) char *second = message(pair[0]);
                assert_true(str_equal(first, cases[i].said) || str_equal(second, cases[i].said));
                exit_of(pid);
                close(pair[0]);
        }
}

/* The keeper learns from the socket's end that the program runs. */
static void replacing_says_only_what_fails(void **state) {
        (void)state;
        static const char *const words[] = {"--replace|--status-fd|30|--|sleep|2",
                "--replace|--status-fd|30|--|no-such-program"};
        static const char *const said[] = {"", "error 2 exec"};
        for (size_t i = 0; i < 2; i++) {
                int pair[2];
                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
                int64_t began = clock_now_ms();
                pid_t pid = start(words[i], pair[1]);
                close(pair[1]);
                scoped(free_str) char *text = message(pair[0]);
                assert_string_equal(text, said[i]);
                assert_in_range(clock_now_ms() - began, 0, 1900);
                exit_of(pid);
                close(pair[0]);
        }
}

/* Without anybody who sweeps: the kernel ends the program with its supervisor. */
static void a_killed_supervisor_takes_its_program_with_it(void **state) {
        (void)state;
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        pid_t pid = start("--status-fd|30|--|sleep|60", pair[1]);
        close(pair[1]);
        scoped(free_str) char *first = message(pair[0]);
        uint64_t program = 0;
        ProcessId id;
        assert_true(str_starts(first, "pid ") && str_to_uint(first + 4, INT32_MAX, &program));
        assert_true(process_identify((pid_t)program, &id));
        clock_sleep_ms(200);
        assert_true(process_alive(&id));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(exit_of(pid), 137);
        assert_true(process_wait_dead(&id, clock_now_ms() + 5000));
        close(pair[0]);
}

static void the_sockets_end_kills_at_once(void **state) {
        (void)state;
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        pid_t pid =
                start("--status-fd|30|--|sh|-c|trap '' TERM; (trap '' TERM; sleep 60) & sleep 60",
                        pair[1]);
        close(pair[1]);
        scoped(free_str) char *first = message(pair[0]);
        assert_true(str_starts(first, "pid "));
        clock_sleep_ms(100);
        int64_t began = clock_now_ms();
        close(pair[0]);
        assert_int_equal(exit_of(pid), 137);
        assert_in_range(clock_now_ms() - began, 0, 1900);
}

static void terminated_with_grace(void **state) {
        (void)state;
        scoped(free_str) char *parent =
                str_format("--parent|%d|--grace-ms|300|--|sh|-c|", (int)getpid());
        static const struct {
                const char *script;
                int status;
                int64_t least_ms;
        } cases[] = {
                {"trap 'exit 5' TERM; while :; do sleep 0.02; done", 5, 0},
                {"trap '' TERM; while :; do sleep 0.02; done", 137, 300},
                {"exec sleep 60", 143, 0},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *words = str_format("%s%s", parent, cases[i].script);
                pid_t pid = start(words, -1);
                clock_sleep_ms(200);
                int64_t began = clock_now_ms();
                assert_int_equal(kill(pid, SIGTERM), 0);
                assert_int_equal(exit_of(pid), cases[i].status);
                assert_in_range(
                        clock_now_ms() - began, cases[i].least_ms, cases[i].least_ms + 5000);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wrong_arguments),
                cmocka_unit_test(exit_statuses),
                cmocka_unit_test(replaced_by_the_service),
                cmocka_unit_test(logs_are_appended_to_and_never_a_trap),
                cmocka_unit_test(messages),
                cmocka_unit_test(replacing_says_only_what_fails),
                cmocka_unit_test(a_killed_supervisor_takes_its_program_with_it),
                cmocka_unit_test(the_sockets_end_kills_at_once),
                cmocka_unit_test(terminated_with_grace),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
