/* child_run: results, limits, and that nothing which a program started outlives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/process.h"

static char dir[] = "/tmp/belay-test-child-XXXXXX";

static int set_up(void **state) {
        (void)state;
        return mkdtemp(dir) && chmod(dir, 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        return tree_remove(dir, NULL) ? 0 : -1;
}

/* A mark that no other run of this test has: the directory's name is unique. */
static const char *tag(const char *name) {
        static char text[8][64];
        static unsigned next;
        char *at = text[next++ % 8];
        snprintf(at, sizeof(text[0]), "%s-%s", name, dir + sizeof(dir) - 7);
        return at;
}

static char *in_dir(const char *name) { return path_join(dir, name); }

/* The shell is the tests' own, to make trees of processes with few words. */
#define SHELL(script) ((char *[]){(char[]){"sh"}, (char[]){"-c"}, (char[]){script}, NULL})

static void succeeds(const Child *child, ChildResult *result) {
        scoped(err_clear) Err err = {0};
        if (!child_run(child, result, &err))
                fail_msg("%s (%s)", err.message, err.hint ? err.hint : "no hint");
}

static void fails(const Child *child, ErrCode code, const char *says) {
        scoped(err_clear) Err err = {0};
        scoped(child_result_done) ChildResult result = {0};
        assert_false(child_run(child, &result, &err));
        assert_string_equal(err_name(err.code), err_name(code));
        if (!strstr(err.message, says))
                fail_msg("'%s' does not say '%s'", err.message, says);
}

static int marked(const char *value) {
        ProcessId found[64];
        return process_find_marked("BELAY_RUN", value, found, 64, NULL);
}

static pid_t pid_in(const char *name) {
        scoped(free_str) char *path = in_dir(name);
        for (int tries = 0; tries < 300; tries++) {
                scoped(free_str) char *text = NULL;
                uint64_t pid = 0;
                if (file_read_if(path, 64, &text, NULL, NULL) && text &&
                        str_to_uint(str_trim(text), INT32_MAX, &pid))
                        return (pid_t)pid;
                clock_sleep_ms(10);
        }
        fail_msg("no pid in '%s'", name);
        return 0;
}

static void dies_soon(pid_t pid, const char *what) {
        for (int tries = 0; tries < 300; tries++) {
                ProcessId id;
                if (!process_identify(pid, &id))
                        return;
                clock_sleep_ms(10);
        }
        fail_msg("%s (pid %d) is still alive", what, (int)pid);
}

/* -- results ------------------------------------------------------------------------------ */

static void exit_status_and_outputs(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        Child child = {.argv = SHELL("echo out; echo err >&2; exit 7"), .what = "test"};
        succeeds(&child, &result);
        assert_int_equal(result.exit_status, 7);
        assert_string_equal(result.out, "out\n");
        assert_string_equal(result.err, "err\n");
        assert_false(result.out_cut);
        assert_in_range(result.took_ms, 0, 5000);
}

static void death_by_signal_is_128_and_more(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("kill -SEGV $$"), .what = "test"}, &result);
        assert_int_equal(result.exit_status, 128 + SIGSEGV);
        child_result_done(&result);
        succeeds(&(Child){.argv = SHELL("exit 255"), .what = "test"}, &result);
        assert_int_equal(result.exit_status, 255);
}

static void arguments_arrive_as_they_are(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        char *argv[] = {(char[]){"printf"}, (char[]){"[%s]"}, (char[]){"a b"}, (char[]){""},
                (char[]){"$HOME;*"}, (char[]){"--uid"}, (char[]){"-"}, NULL};
        succeeds(&(Child){.argv = argv, .what = "test"}, &result);
        assert_string_equal(result.out, "[a b][][$HOME;*][--uid][-]");
}

static void big_output_is_cut_and_drained(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        Child child = {.argv = SHELL("head -c 40000000 /dev/zero | tr '\\0' x; echo done >&2"),
                .what = "test"};
        succeeds(&child, &result);
        assert_int_equal(result.exit_status, 0);
        assert_true(result.out_cut);
        assert_int_equal(strlen(result.out), LIMIT_CHILD_OUTPUT);
        assert_string_equal(result.err, "done\n");
}

static void output_at_the_limit_is_whole(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("head -c 16777216 /dev/zero | tr '\\0' x"), .what = "test"},
                &result);
        assert_false(result.out_cut);
        assert_int_equal(strlen(result.out), LIMIT_CHILD_OUTPUT);
}

static void standard_input_is_closed_or_the_text(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("cat; echo end"), .what = "test"}, &result);
        assert_string_equal(result.out, "end\n");
        child_result_done(&result);
        scoped(free_str) char *long_text = mem_new(300001, 1);
        memset(long_text, 'y', 300000);
        succeeds(&(Child){.argv = SHELL("wc -c"), .what = "test", .input = long_text}, &result);
        assert_string_equal(result.out, "300000\n");
        child_result_done(&result);
        /* Not reading it is no error. */
        succeeds(&(Child){.argv = SHELL("exit 0"), .what = "test", .input = long_text}, &result);
        assert_int_equal(result.exit_status, 0);
}

static void works_with_the_callers_streams_closed(void **state) {
        (void)state;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                scoped(child_result_done) ChildResult result = {0};
                close(0);
                close(1);
                close(2);
                bool ok = child_run(
                        &(Child){.argv = SHELL("cat; echo out; echo err >&2"), .what = "t"},
                        &result, NULL);
                _exit(ok && str_equal(result.out, "out\n") && str_equal(result.err, "err\n") ? 0
                                                                                             : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void no_descriptor_leaks_into_it(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        int leak = fcntl(0, F_DUPFD, 3);
        assert_true(leak >= 3);
        succeeds(&(Child){.argv = (char *[]){(char[]){"ls"}, (char[]){"/proc/self/fd"}, NULL},
                         .what = "t"},
                &result);
        close(leak);
        assert_string_equal(result.out, "0\n1\n2\n3\n"); /* 3 is ls' own, the directory */
}

static void signals_are_as_a_program_expects(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        sigset_t all, before;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
        sigaction(SIGPIPE, &ignore, &was);
        succeeds(&(Child){.argv = SHELL("grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2"),
                         .what = "t"},
                &result);
        sigaction(SIGPIPE, &was, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        char *second = NULL;
        assert_int_equal(strtoull(result.out, &second, 16), 0);
        /* The C library keeps 32 and 33 to itself: not even it can set them back. */
        assert_int_equal(strtoull(second, NULL, 16) & 0x7FFFFFFF, 0);
}

static void runs_in_its_directory_and_own_session(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("pwd; ps -o sid= -p $$ | tr -d ' '"),
                         .directory = dir,
                         .what = "t"},
                &result);
        scoped(free_str) char *here = str_format("%s\n", dir);
        assert_true(str_starts(result.out, here));
        scoped(free_str) char *own_session = str_format("%d\n", (int)getsid(0));
        assert_string_not_equal(result.out + strlen(here), own_session);
}

static void log_gets_both_outputs(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        scoped(free_str) char *log = in_dir("log");
        for (int i = 0; i < 2; i++) {
                child_result_done(&result);
                succeeds(&(Child){.argv = SHELL("echo out; sleep 0.05; echo err >&2"),
                                 .what = "t",
                                 .log_path = log},
                        &result);
        }
        scoped(free_str) char *text = NULL;
        assert_true(file_read(log, 1000, &text, NULL, NULL));
        assert_string_equal(text, "out\nerr\nout\nerr\n");
        struct stat st;
        assert_int_equal(stat(log, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
}

/* -- environment and user ----------------------------------------------------------------- */

static void environment_is_small_and_clean(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        setenv("BELAY_CANARY", "secret", 1);
        setenv("LD_PRELOAD", "", 1);
        setenv("TZ", "Asia/Tokyo", 1);
        succeeds(&(Child){.argv = SHELL("env | sort"), .what = "t", .mark = "44"}, &result);
        unsetenv("BELAY_CANARY");
        unsetenv("LD_PRELOAD");
        unsetenv("TZ");
        assert_null(strstr(result.out, "CANARY"));
        assert_null(strstr(result.out, "LD_PRELOAD"));
        assert_non_null(strstr(result.out, "TZ=Asia/Tokyo\n"));
        assert_non_null(strstr(result.out, "BELAY_RUN=44\n"));
        assert_non_null(strstr(result.out, "BELAY_CHILD="));
        assert_non_null(strstr(result.out, "LANG=C.UTF-8\n"));
        assert_non_null(strstr(
                result.out, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"));
        struct passwd *user = getpwuid(geteuid());
        assert_non_null(user);
        scoped(free_str) char *home = str_format("HOME=%s\n", user->pw_dir);
        assert_non_null(strstr(result.out, home));
}

static void environment_given_is_the_whole(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        char *environment[] = {(char[]){"A=1"}, (char[]){"BELAY_RUN=9"}, NULL};
        char *argv[] = {(char[]){"/usr/bin/env"}, NULL};
        succeeds(&(Child){.argv = argv, .environment = environment, .what = "t", .mark = "44"},
                &result);
        assert_true(str_starts(result.out, "A=1\nBELAY_CHILD="));
        assert_non_null(strstr(result.out, "\nBELAY_RUN=44\n"));
        assert_null(strstr(result.out, "BELAY_RUN=9"));
}

static void runs_as_another_user(void **state) {
        (void)state;
        struct passwd *nobody = getpwnam(geteuid() == 0 ? "nobody" : "root");
        assert_non_null(nobody);
        Child child = {
                .argv = SHELL("id -u; id -g; id -G; echo $HOME $USER; echo through >/dev/stdout"),
                .uid = nobody->pw_uid,
                .gid = nobody->pw_gid,
                .as_user = true,
                .what = "test"};
        if (geteuid() != 0) {
                fails(&child, ERR_TOOL, "cannot run as user");
                return;
        }
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&child, &result);
        scoped(free_str) char *expected = str_format("%u\n%u\n%u\n%s nobody\nthrough\n",
                nobody->pw_uid, nobody->pw_gid, nobody->pw_gid, nobody->pw_dir);
        assert_string_equal(result.out, expected);
        /* What it may not enter, it does not enter with root's rights. */
        scoped(free_str) char *closed = in_dir("closed");
        assert_int_equal(mkdir(closed, 0700), 0);
        child.directory = closed;
        fails(&child, ERR_TOOL, closed);
}

static void own_user_needs_no_root(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("exit 0"),
                         .uid = geteuid(),
                         .gid = getegid(),
                         .as_user = true,
                         .what = "t"},
                &result);
        assert_int_equal(result.exit_status, 0);
}

/* -- not started -------------------------------------------------------------------------- */

static void make_script(const char *name, const char *text, mode_t mode) {
        scoped(free_str) char *path = in_dir(name);
        assert_true(file_write_durable(path, text, strlen(text), mode, NULL));
}

static void what_cannot_be_started(void **state) {
        (void)state;
        make_script("plain", "echo no shell for me\n", 0755);
        make_script("locked", "#!/bin/sh\n", 0644);
        make_script("lost", "#!/nowhere/interpreter\n", 0755);
        scoped(free_str) char *plain = in_dir("plain");
        scoped(free_str) char *locked = in_dir("locked");
        scoped(free_str) char *lost = in_dir("lost");
        const struct {
                char *program;
                const char *directory, *says, *hint;
        } cases[] = {
                {(char[]){"no-such-program"}, NULL, "'no-such-program' was not found in PATH",
                        "Install it"},
                {(char[]){"/nowhere/program"}, NULL, "starting '/nowhere/program'", NULL},
                {(char[]){""}, NULL, "'' was not found", NULL},
                {dir, NULL, "Permission denied", NULL},
                {plain, NULL, "Exec format error", "first line"},
                {locked, NULL, "Permission denied", "chmod +x"},
                {lost, NULL, "starting", "interpreter"},
                {(char[]){"true"}, "/nowhere", "in '/nowhere'", NULL},
                {(char[]){"true"}, "/etc/passwd", "in '/etc/passwd'", NULL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(err_clear) Err err = {0};
                scoped(child_result_done) ChildResult result = {0};
                char *argv[] = {cases[i].program, NULL};
                Child child = {.argv = argv, .directory = cases[i].directory, .what = "test"};
                assert_false(child_run(&child, &result, &err));
                assert_int_equal(err.code, ERR_TOOL);
                if (!strstr(err.message, cases[i].says))
                        fail_msg("case %zu: '%s' does not say '%s'", i, err.message, cases[i].says);
                if (cases[i].hint && (!err.hint || !strstr(err.hint, cases[i].hint)))
                        fail_msg("case %zu: hint '%s' does not say '%s'", i, err.hint,
                                cases[i].hint);
        }
}

static void a_missing_helper_is_named(void **state) {
        (void)state;
        scoped(free_str) char *before = process_helper_path();
        setenv("BELAY_EXEC", "/nowhere/belay-exec", 1);
        fails(&(Child){.argv = SHELL("exit 0"), .what = "test"}, ERR_TOOL, "'/nowhere/belay-exec'");
        setenv("BELAY_EXEC", before, 1);
}

static void logs_that_cannot_be(void **state) {
        (void)state;
        scoped(free_str) char *fifo = in_dir("fifo");
        scoped(free_str) char *link = in_dir("link");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(symlink("/etc/passwd", link), 0);
        fails(&(Child){.argv = SHELL("exit 0"), .what = "t", .log_path = fifo}, ERR_IO, fifo);
        fails(&(Child){.argv = SHELL("exit 0"), .what = "t", .log_path = link}, ERR_IO, link);
        fails(&(Child){.argv = SHELL("exit 0"), .what = "t", .log_path = dir}, ERR_IO, dir);
}

/* -- ends --------------------------------------------------------------------------------- */

static void a_deadline_ends_it(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        scoped(err_clear) Err err = {0};
        scoped(child_result_done) ChildResult result = {0};
        Child child = {.argv = SHELL("echo begun; exec sleep 100"),
                .timeout_ms = 200,
                .what = "git fetch",
                .mark = tag("t1")};
        assert_false(child_run(&child, &result, &err));
        assert_int_equal(err.code, ERR_TIMEOUT);
        assert_string_equal(err.message, "git fetch took longer than 0.2 s and was ended");
        assert_string_equal(result.out, "begun\n");
        assert_in_range(clock_now_ms() - began, 200, 2150);
        assert_int_equal(marked(tag("t1")), 0);
}

static void a_stubborn_program_is_killed(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        fails(&(Child){.argv = SHELL("trap '' TERM; while :; do sleep 1; done"),
                      .timeout_ms = 100,
                      .what = "t",
                      .mark = tag("t2")},
                ERR_TIMEOUT, "longer than 0.1 s");
        assert_in_range(clock_now_ms() - began, 2000, 8000);
        assert_int_equal(marked(tag("t2")), 0);
}

static void a_stopped_program_is_ended(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        fails(&(Child){.argv = SHELL("kill -STOP $$"),
                      .timeout_ms = 100,
                      .what = "t",
                      .mark = tag("t3")},
                ERR_TIMEOUT, "t");
        assert_in_range(clock_now_ms() - began, 100, 1900);
        assert_int_equal(marked(tag("t3")), 0);
}

/* In a session of its own, deaf to SIGTERM, without environment, holding the outputs open. */
static char *escape_script(const char *pid_file, const char *then) {
        scoped(free_str) char *path = in_dir(pid_file);
        (void)unlink(path);
        return str_format("env -i setsid sh -c 'trap \"\" TERM HUP; echo $$ >%s.new; mv %s.new %s; "
                          "exec sleep 100' &\n%s",
                path, path, path, then);
}

static void what_is_left_behind_is_ended(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        scoped(child_result_done) ChildResult result = {0};
        scoped(free_str) char *script = escape_script("left", "sleep 0.1; exit 5");
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
        succeeds(&(Child){.argv = argv, .what = "t"}, &result);
        assert_int_equal(result.exit_status, 5);
        ProcessId id;
        assert_false(process_identify(pid_in("left"), &id));
        assert_in_range(clock_now_ms() - began, 500, 1900);
}

static void what_ends_by_itself_is_waited_for(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("(sleep 0.2; echo late) & exit 0"), .what = "t"}, &result);
        assert_string_equal(result.out, "late\n");
}

static void a_deadline_ends_the_whole_tree(void **state) {
        (void)state;
        scoped(free_str) char *script = escape_script("tree", "sleep 100");
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
        fails(&(Child){.argv = argv, .timeout_ms = 500, .what = "t", .mark = tag("t4")},
                ERR_TIMEOUT, "t");
        ProcessId id;
        assert_false(process_identify(pid_in("tree"), &id));
        assert_int_equal(marked(tag("t4")), 0);
}

static Cancel cancel;

static void on_alarm(int signal) {
        (void)signal;
        cancel.requested = 1;
}

static void a_cancel_ends_it(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        cancel.requested = 0;
        sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
        alarm(1);
        fails(&(Child){.argv = SHELL("sleep 100"),
                      .what = "t",
                      .mark = tag("t5"),
                      .cancel = &cancel},
                ERR_CANCELLED, "t was cancelled");
        assert_in_range(clock_now_ms() - began, 900, 6000);
        assert_int_equal(marked(tag("t5")), 0);
        /* Asked before: not even started. */
        scoped(free_str) char *file = in_dir("never");
        char *argv[] = {(char[]){"touch"}, file, NULL};
        fails(&(Child){.argv = argv, .what = "t", .cancel = &cancel}, ERR_CANCELLED,
                "t was cancelled");
        assert_false(file_exists(file));
}

/* -- deaths ------------------------------------------------------------------------------- */

static pid_t helper_of(pid_t parent) {
        scoped(free_str) char *path =
                str_format("/proc/%d/task/%d/children", (int)parent, (int)parent);
        for (int tries = 0; tries < 300; tries++) {
                scoped(free_str) char *text = NULL;
                if (file_read_if(path, 4096, &text, NULL, NULL) && text && text[0])
                        return (pid_t)strtol(text, NULL, 10);
                clock_sleep_ms(10);
        }
        fail_msg("belay-exec was not started");
        return 0;
}

/* A process of its own that runs the script as Belay would; exits 0 if child_run said what it is to say. */
static pid_t run_beside(char *script, const char *mark, ErrCode expected) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        scoped(err_clear) Err err = {0};
        scoped(child_result_done) ChildResult result = {0};
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
        bool ok = child_run(&(Child){.argv = argv, .what = "t", .mark = mark}, &result, &err);
        _exit(!ok && err.code == expected && marked(mark) == 0 ? 0 : 1);
}

static char *tree_script(const char *name) {
        scoped(free_str) char *path = in_dir(name);
        (void)unlink(path);
        return str_format("setsid sh -c 'trap \"\" TERM HUP; echo $$ >%s.new; mv %s.new %s; exec "
                          "sleep 100' &\nsleep 100",
                path, path, path);
}

static void a_killed_helper_takes_all_with_it(void **state) {
        (void)state;
        scoped(free_str) char *script = tree_script("k1");
        pid_t runner = run_beside(script, tag("k1"), ERR_TOOL);
        pid_t grandchild = pid_in("k1"), helper = helper_of(runner);
        assert_int_equal(kill(helper, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(runner, &status, 0), runner);
        assert_int_equal(status, 0);
        dies_soon(grandchild, "the grandchild");
        assert_int_equal(marked(tag("k1")), 0);
}

static void a_killed_runner_takes_all_with_it(void **state) {
        (void)state;
        scoped(free_str) char *script = escape_script("k2", "sleep 100");
        pid_t runner = run_beside(script, tag("k2"), ERR_NONE);
        pid_t grandchild = pid_in("k2"), helper = helper_of(runner);
        assert_int_equal(kill(runner, SIGKILL), 0);
        assert_int_equal(waitpid(runner, NULL, 0), runner);
        dies_soon(grandchild, "the grandchild");
        dies_soon(helper, "belay-exec");
        assert_int_equal(marked(tag("k2")), 0);
}

static void a_killed_program_is_a_result(void **state) {
        (void)state;
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = SHELL("kill -KILL $$"), .what = "t"}, &result);
        assert_int_equal(result.exit_status, 137);
}

static void all_killed_at_once_leaves_what_a_sweep_finds(void **state) {
        (void)state;
        scoped(free_str) char *script = tree_script("k3");
        pid_t runner = run_beside(script, tag("k3"), ERR_NONE);
        pid_t grandchild = pid_in("k3"), helper = helper_of(runner);
        assert_int_equal(kill(helper, SIGSTOP), 0);
        assert_int_equal(kill(runner, SIGKILL), 0);
        assert_int_equal(kill(helper, SIGKILL), 0);
        assert_int_equal(waitpid(runner, NULL, 0), runner);
        assert_true(process_sweep("BELAY_RUN", tag("k3"), 0, clock_now_ms() + 5000, NULL));
        dies_soon(grandchild, "the grandchild");
        assert_int_equal(marked(tag("k3")), 0);
}

/* -- started ------------------------------------------------------------------------------ */

typedef struct Seen {
        ProcessId id;
        int calls;
        bool ran_before;
        char *file;
} Seen;

static void on_started(void *context, const ProcessId *id) {
        Seen *seen = context;
        seen->id = *id;
        seen->calls++;
        clock_sleep_ms(50);
        seen->ran_before = file_exists(seen->file);
}

static void started_comes_before_the_first_instruction(void **state) {
        (void)state;
        scoped(free_str) char *file = in_dir("started");
        scoped(free_str) char *script =
                str_format("echo $$ >%s; cut -d' ' -f22 /proc/$$/stat", file);
        Seen seen = {.file = file};
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
        scoped(child_result_done) ChildResult result = {0};
        succeeds(&(Child){.argv = argv, .what = "t", .started = on_started, .context = &seen},
                &result);
        assert_int_equal(seen.calls, 1);
        assert_false(seen.ran_before);
        assert_int_equal(pid_in("started"), seen.id.pid);
        assert_int_equal(strtoull(result.out, NULL, 10), seen.id.start_time);
        assert_false(process_alive(&seen.id));
}

static void die_in_started(void *context, const ProcessId *id) {
        (void)context, (void)id;
        raise(SIGKILL);
}

static void a_death_before_the_journal_knows_runs_nothing(void **state) {
        (void)state;
        scoped(free_str) char *file = in_dir("unjournaled");
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                char *argv[] = {(char[]){"touch"}, file, NULL};
                ChildResult result = {0};
                child_run(&(Child){.argv = argv,
                                  .what = "t",
                                  .mark = tag("j1"),
                                  .started = die_in_started},
                        &result, NULL);
                _exit(1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        for (int tries = 0; tries < 300 && marked(tag("j1")) != 0; tries++)
                clock_sleep_ms(10);
        assert_int_equal(marked(tag("j1")), 0);
        assert_false(file_exists(file));
}

/* -- messages ----------------------------------------------------------------------------- */

static void last_lines(void **state) {
        (void)state;
        static const struct {
                const char *err, *out;
                unsigned lines;
                const char *expected;
        } cases[] = {
                {"a\nb\nc\n", "x", 2, "b\nc"},
                {"a\nb\n", "x", 9, "a\nb"},
                {"", "x\ny\n", 1, "y"},
                {" \n\n", "x", 1, "x"},
                {"", "", 3, ""},
                {NULL, NULL, 3, ""},
                {"a\033[31mb\n", "", 1, "a?[31mb"},
                {"one", "", 1, "one"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                ChildResult result = {.err = str_copy(cases[i].err), .out = str_copy(cases[i].out)};
                scoped(free_str) char *text = child_last_lines(&result, cases[i].lines);
                assert_string_equal(text, cases[i].expected);
                child_result_done(&result);
        }
}

#ifdef BELAY_FAULT_POINTS
static void faults_of_spawn_and_kill(void **state) {
        (void)state;
        fault_set("*:error:1:EAGAIN");
        fails(&(Child){.argv = SHELL("exit 0"), .what = "t"}, ERR_TOOL, "starting Belay's helper");
        /* No signal gets through: the socket's end does it. */
        fault_set("*:fails:2:EIO");
        fails(&(Child){.argv = SHELL("sleep 100"),
                      .timeout_ms = 100,
                      .what = "t",
                      .mark = tag("f1")},
                ERR_TIMEOUT, "t");
        fault_set("");
        assert_int_equal(marked(tag("f1")), 0);
}

static void a_death_after_the_start_leaves_nothing(void **state) {
        (void)state;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                fault_set("*:after:1");
                ChildResult result = {0};
                child_run(&(Child){.argv = SHELL("sleep 100"), .what = "t", .mark = tag("f2")},
                        &result, NULL);
                _exit(1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        for (int tries = 0; tries < 300 && marked(tag("f2")) != 0; tries++)
                clock_sleep_ms(10);
        assert_int_equal(marked(tag("f2")), 0);
}
#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(exit_status_and_outputs),
                cmocka_unit_test(death_by_signal_is_128_and_more),
                cmocka_unit_test(arguments_arrive_as_they_are),
                cmocka_unit_test(big_output_is_cut_and_drained),
                cmocka_unit_test(output_at_the_limit_is_whole),
                cmocka_unit_test(standard_input_is_closed_or_the_text),
                cmocka_unit_test(works_with_the_callers_streams_closed),
                cmocka_unit_test(no_descriptor_leaks_into_it),
                cmocka_unit_test(signals_are_as_a_program_expects),
                cmocka_unit_test(runs_in_its_directory_and_own_session),
                cmocka_unit_test(log_gets_both_outputs),
                cmocka_unit_test(environment_is_small_and_clean),
                cmocka_unit_test(environment_given_is_the_whole),
                cmocka_unit_test(runs_as_another_user),
                cmocka_unit_test(own_user_needs_no_root),
                cmocka_unit_test(what_cannot_be_started),
                cmocka_unit_test(a_missing_helper_is_named),
                cmocka_unit_test(logs_that_cannot_be),
                cmocka_unit_test(a_deadline_ends_it),
                cmocka_unit_test(a_stubborn_program_is_killed),
                cmocka_unit_test(a_stopped_program_is_ended),
                cmocka_unit_test(what_is_left_behind_is_ended),
                cmocka_unit_test(what_ends_by_itself_is_waited_for),
                cmocka_unit_test(a_deadline_ends_the_whole_tree),
                cmocka_unit_test(a_cancel_ends_it),
                cmocka_unit_test(a_killed_helper_takes_all_with_it),
                cmocka_unit_test(a_killed_runner_takes_all_with_it),
                cmocka_unit_test(a_killed_program_is_a_result),
                cmocka_unit_test(all_killed_at_once_leaves_what_a_sweep_finds),
                cmocka_unit_test(started_comes_before_the_first_instruction),
                cmocka_unit_test(a_death_before_the_journal_knows_runs_nothing),
                cmocka_unit_test(last_lines),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test(faults_of_spawn_and_kill),
                cmocka_unit_test(a_death_after_the_start_leaves_nothing),
#endif
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
