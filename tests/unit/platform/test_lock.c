/* Locks between processes: who waits, who is named, and that the dead hold nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/lock.h"
#include "platform/process.h"

static char dir[] = "/tmp/belay-test-lock-XXXXXX";
static char *path;
static const LockOwner me = {.what = "test of locks, run #7", .run = 7};

static int set_up(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        path = path_join(dir, "lock");
        return 0;
}

static int tear_down(void **state) {
        (void)state;
        free(path);
        return tree_remove(dir, NULL) ? 0 : -1;
}

static int fresh(void **state) {
        (void)state;
        return file_unlink(path, NULL) ? 0 : -1;
}

/* A process that takes a lock, says so, and holds it until it is killed or `hold_ms` are over. */
static pid_t holder(bool directory, int64_t hold_ms) {
        int ends[2];
        char byte = 0;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                Lock lock = LOCK_NONE;
                LockOwner owner = {.what = "update of notes, run #44", .run = 44};
                bool ok = directory ? lock_take_directory(dir, 0, &lock, NULL)
                                    : lock_take(path, &owner, 0, &lock, NULL);
                if (!ok || write(ends[1], "x", 1) != 1)
                        _exit(1);
                clock_sleep_ms(hold_ms);
                _exit(0);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        return pid;
}

static void end(pid_t pid) {
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void has(const char *text, const char *part) {
        if (!text || !strstr(text, part))
                fail_msg("'%s' does not say '%s'", text ? text : "(nothing)", part);
}

static void taken_and_released(void **state) {
        (void)state;
        scoped(lock_release) Lock lock = LOCK_NONE;
        assert_null(lock_owner_text(path));
        assert_true(lock_take(path, &me, 0, &lock, NULL));
        assert_true(lock.fd >= 0);
        assert_true(fcntl(lock.fd, F_GETFD) & FD_CLOEXEC);
        scoped(free_str) char *owner = lock_owner_text(path);
        has(owner, "test of locks, run #7 (pid ");
        has(owner, "user ");
        has(owner, ") since 20");
        lock_release(&lock);
        assert_int_equal(lock.fd, -1);
        lock_release(&lock);
        assert_null(lock_owner_text(path));
        assert_true(lock_take(path, &me, 0, &lock, NULL));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
}

static void the_content_is_one_line_of_json(void **state) {
        (void)state;
        scoped(lock_release) Lock lock = LOCK_NONE;
        LockOwner long_one = {
                .what = "a very long description of what this is about, \"quoted\"\n", .run = 1};
        assert_true(lock_take(path, &long_one, 0, &lock, NULL));
        assert_true(lock_describe(&lock, &me, NULL));
        scoped(free_str) char *text = NULL;
        assert_true(file_read(path, 4096, &text, NULL, NULL));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        scoped(js_freep) json_t *content = js_parse(text, strlen(text), "lock", NULL);
        assert_non_null(content);
        ProcessId id;
        assert_int_equal(js_int(content, "run", 0), 7);
        assert_string_equal(js_str(content, "what"), me.what);
        assert_true(process_from_json(content, &id));
        assert_int_equal(id.pid, getpid());
        assert_true(process_alive(&id));
        static const char *const keys[] = {"user", "host", "since", "boot_id"};
        for (size_t i = 0; i < COUNT_OF(keys); i++)
                assert_non_null(js_str(content, keys[i]));
}

static void contention_names_the_owner(void **state) {
        (void)state;
        pid_t pid = holder(false, 60000);
        scoped(lock_release) Lock lock = LOCK_NONE;
        scoped(err_clear) Err err = {0};
        int64_t began = clock_now_ms();
        assert_false(lock_take(path, &me, 0, &lock, &err));
        assert_in_range(clock_now_ms() - began, 0, 2000);
        assert_int_equal(err.code, ERR_LOCKED);
        assert_int_equal(lock.fd, -1);
        scoped(free_str) char *expected = str_format(
                "'%s' is locked by update of notes, run #44 (pid %d, user ", path, (int)pid);
        assert_true(str_starts(err.message, expected));
        has(err.message, ") since 20");
        has(err.hint, "--wait-lock");
        began = clock_now_ms();
        assert_false(lock_take(path, &me, 300, &lock, &err));
        assert_in_range(clock_now_ms() - began, 300, 5000);
        end(pid);
}

static void a_lock_is_waited_for(void **state) {
        (void)state;
        pid_t pid = holder(false, 300);
        scoped(lock_release) Lock lock = LOCK_NONE;
        int64_t began = clock_now_ms();
        assert_true(lock_take(path, &me, 5000, &lock, NULL));
        assert_in_range(clock_now_ms() - began, 200, 4500);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void the_dead_hold_nothing(void **state) {
        (void)state;
        scoped(lock_release) Lock lock = LOCK_NONE;
        end(holder(false, 60000));
        assert_null(lock_owner_text(path));
        assert_true(lock_take(path, &me, 0, &lock, NULL));
        scoped(free_str) char *owner = lock_owner_text(path);
        has(owner, "run #7");
}

/* The content is old or absent while the lock is held. */
static void soberly_said_when_the_owner_is_unknown(void **state) {
        (void)state;
        static const char *const contents[] = {
                "", "not JSON\n", "{\"what\":1}\n", "[]\n", "{\"pid\":1}\n"};
        for (size_t i = 0; i < COUNT_OF(contents); i++) {
                pid_t pid = holder(false, 60000);
                scoped(close_fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
                assert_int_equal(write(fd, contents[i], strlen(contents[i])), strlen(contents[i]));
                scoped(err_clear) Err err = {0};
                Lock lock = LOCK_NONE;
                assert_false(lock_take(path, &me, 0, &lock, &err));
                assert_int_equal(err.code, ERR_LOCKED);
                has(err.message, "is locked by another process that has not said who it is");
                end(pid);
        }
}

static void an_inherited_lock_outlives_who_took_it(void **state) {
        (void)state;
        int ends[2];
        pid_t heir = 0;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Lock lock = LOCK_NONE;
                ProcessId id;
                Detached what = {.argv = (char *[]){(char[]){"/bin/sleep"}, (char[]){"60"}, NULL},
                        .keep_fds = (int[]){0, -1},
                        .stdin_fd = -1,
                        .stdout_fd = -1,
                        .stderr_fd = -1};
                if (!lock_take(path, &me, 0, &lock, NULL))
                        _exit(1);
                what.keep_fds = (int[]){lock.fd, -1};
                if (!process_start_detached(&what, &id, NULL))
                        _exit(2);
                lock_release(&lock);
                _exit(write(ends[1], &id.pid, sizeof(id.pid)) == sizeof(id.pid) ? 0 : 3);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], &heir, sizeof(heir)), sizeof(heir));
        scoped(err_clear) Err err = {0};
        Lock lock = LOCK_NONE;
        bool taken = lock_take(path, &me, 0, &lock, &err);
        kill(heir, SIGKILL);
        assert_false(taken);
        has(err.message, "a process that was started by one that has ended: test of locks, run #7");
        assert_true(lock_take(path, &me, 2000, &lock, NULL));
        lock_release(&lock);
        close(ends[0]);
        close(ends[1]);
}

static void a_removed_file_is_made_anew(void **state) {
        (void)state;
        pid_t pid = holder(false, 60000);
        assert_true(file_unlink(path, NULL));
        scoped(lock_release) Lock lock = LOCK_NONE;
        assert_true(lock_take(path, &me, 0, &lock, NULL));
        assert_true(file_exists(path));
        end(pid);
}

/* Whoever waited for the old file must not think that it has the new one. */
static void a_file_replaced_while_waited_for(void **state) {
        (void)state;
        pid_t before = holder(false, 60000);
        pid_t waiter = fork();
        assert_true(waiter >= 0);
        if (waiter == 0) {
                Lock lock = LOCK_NONE;
                _exit(lock_take(path, &me, 1500, &lock, NULL) ? 1 : 0);
        }
        clock_sleep_ms(200);
        assert_true(file_unlink(path, NULL));
        pid_t after = holder(false, 60000);
        end(before);
        int status = 0;
        assert_int_equal(waitpid(waiter, &status, 0), waiter);
        assert_int_equal(status, 0);
        end(after);
}

static void only_one_of_many_gets_it(void **state) {
        (void)state;
        enum { MANY = 8, ROUNDS = 60 };
        scoped(free_str) char *counter = path_join(dir, "counter");
        assert_true(file_write_durable(counter, "0", 1, 0600, NULL));
        for (int i = 0; i < MANY; i++) {
                pid_t pid = fork();
                assert_true(pid >= 0);
                for (int round = 0; pid == 0 && round < ROUNDS; round++) {
                        Lock lock = LOCK_NONE;
                        scoped(free_str) char *text = NULL;
                        uint64_t n = 0;
                        if (!lock_take(path, &me, 60000, &lock, NULL) ||
                                !file_read(counter, 20, &text, NULL, NULL) ||
                                !str_to_uint(text, 100000, &n))
                                _exit(1);
                        scoped(free_str) char *next = str_format("%d", (int)n + 1);
                        scoped(close_fd) int fd = open(counter, O_WRONLY | O_TRUNC | O_CLOEXEC);
                        if (write(fd, next, strlen(next)) != (ssize_t)strlen(next))
                                _exit(2);
                        lock_release(&lock);
                }
                if (pid == 0)
                        _exit(0);
        }
        for (int i = 0; i < MANY; i++) {
                int status = 0;
                assert_true(waitpid(-1, &status, 0) > 0);
                assert_int_equal(status, 0);
        }
        scoped(free_str) char *text = NULL;
        scoped(free_str) char *expected = str_format("%d", MANY * ROUNDS);
        assert_true(file_read(counter, 20, &text, NULL, NULL));
        assert_string_equal(text, expected);
}

/* Looking must not make an attempt fail that comes at the same moment. */
static void looking_does_not_hinder(void **state) {
        (void)state;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (pid == 0) {
                scoped(free_str) char *text = lock_owner_text(path);
                (void)text;
        }
        for (int i = 0; i < 2000; i++) {
                scoped(lock_release) Lock lock = LOCK_NONE;
                scoped(err_clear) Err err = {0};
                if (!lock_take(path, &me, 0, &lock, &err))
                        fail_msg("attempt %d: %s", i, err.message);
        }
        end(pid);
}

static void directories(void **state) {
        (void)state;
        pid_t pid = holder(true, 60000);
        scoped(lock_release) Lock lock = LOCK_NONE;
        scoped(err_clear) Err err = {0};
        assert_false(lock_take_directory(dir, 0, &lock, &err));
        assert_int_equal(err.code, ERR_LOCKED);
        scoped(free_str) char *expected = str_format("(pid %d), running since 20", (int)pid);
        has(err.message, dir);
        has(err.message, expected);
        /* The kernel knows a program by the first 15 bytes of its name. */
        scoped(free_str) char *name = str_format("%.15s", program_invocation_short_name);
        has(err.message, name);
        end(pid);
        assert_true(lock_take_directory(dir, 0, &lock, NULL));
        assert_true(fcntl(lock.fd, F_GETFD) & FD_CLOEXEC);
        /* Nothing is left behind, and no lock of a file within is touched. */
        scoped(lock_release) Lock inside = LOCK_NONE;
        assert_true(lock_take(path, &me, 0, &inside, NULL));
        assert_false(lock_take_directory("/proc/nowhere", 0, &lock, &err));
        assert_int_equal(err.code, ERR_IO);
        assert_false(lock_take_directory("/etc/passwd", 0, &lock, &err));
        assert_int_equal(err.code, ERR_IO);
}

static void files_that_are_no_locks(void **state) {
        (void)state;
        scoped(free_str) char *link = path_join(dir, "link");
        scoped(free_str) char *target = path_join(dir, "target");
        assert_int_equal(symlink(target, link), 0);
        const char *const paths[] = {dir, link, "/proc/nowhere/lock", "/etc/passwd/lock"};
        for (size_t i = 0; i < COUNT_OF(paths); i++) {
                scoped(err_clear) Err err = {0};
                Lock lock = LOCK_NONE;
                assert_false(lock_take(paths[i], &me, 0, &lock, &err));
                assert_int_equal(err.code, ERR_IO);
                has(err.message, paths[i]);
                assert_int_equal(lock.fd, -1);
        }
        assert_false(file_exists(target));
}

#ifdef BELAY_FAULT_POINTS
static void a_full_disk_takes_no_lock_away(void **state) {
        (void)state;
        scoped(lock_release) Lock lock = LOCK_NONE;
        assert_true(lock_take(path, &me, 0, &lock, NULL));
        lock_release(&lock);
        fault_set("*:fails:1:ENOSPC");
        bool taken = lock_take(path, &me, 0, &lock, NULL);
        scoped(err_clear) Err err = {0};
        bool described = lock_describe(&lock, &me, &err);
        fault_set("");
        assert_true(taken);
        assert_false(described);
        assert_int_equal(err.code, ERR_NO_SPACE);
}
#endif

/* Takes a lock of that kind on a file of somebody else's, and holds it until it is killed. */
static pid_t foreign_holder(int command) {
        int ends[2];
        char byte = 0;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                struct flock whole = {.l_type = F_WRLCK};
                bool ok = command ? fcntl(fd, command, &whole) == 0 : flock(fd, LOCK_EX) == 0;
                if (ok && write(ends[1], "x", 1) == 1)
                        pause();
                _exit(1);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        return pid;
}

static void locks_of_every_kind_are_seen(void **state) {
        (void)state;
        const int kinds[] = {0, F_SETLK, F_OFD_SETLK};
        for (size_t i = 0; i < COUNT_OF(kinds); i++) {
                pid_t pid = foreign_holder(kinds[i]);
                scoped(free_str) char *who = lock_file_holder(path);
                scoped(free_str) char *named = str_format("(pid %d), running since", (int)pid);
                kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_non_null(who);
                assert_non_null(strstr(who, named));
                assert_null(lock_file_holder(path));
        }
        /* Open is not locked. */
        scoped(close_fd) int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_null(lock_file_holder(path));
        assert_null(lock_file_holder("/nonexistent/lock"));
}

#define LOCK_TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void) {
        const struct CMUnitTest tests[] = {
                LOCK_TEST(taken_and_released),
                LOCK_TEST(the_content_is_one_line_of_json),
                LOCK_TEST(contention_names_the_owner),
                LOCK_TEST(a_lock_is_waited_for),
                LOCK_TEST(the_dead_hold_nothing),
                LOCK_TEST(soberly_said_when_the_owner_is_unknown),
                LOCK_TEST(an_inherited_lock_outlives_who_took_it),
                LOCK_TEST(a_removed_file_is_made_anew),
                LOCK_TEST(a_file_replaced_while_waited_for),
                LOCK_TEST(only_one_of_many_gets_it),
                LOCK_TEST(looking_does_not_hinder),
                LOCK_TEST(directories),
                LOCK_TEST(files_that_are_no_locks),
                LOCK_TEST(locks_of_every_kind_are_seen),
#ifdef BELAY_FAULT_POINTS
                LOCK_TEST(a_full_disk_takes_no_lock_away),
#endif
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
