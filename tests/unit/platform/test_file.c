/* Files: what is read, what a replaced file is like, and that a death in between tears nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"

static char dir[] = "/tmp/belay-test-file-XXXXXX";

static int set_up(void **state) {
        (void)state;
        return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        return tree_remove(dir, NULL) ? 0 : -1;
}

static char *in_dir(const char *name) { return path_join(dir, name); }

static void must(bool ok, Err *err) {
        if (!ok)
                fail_msg("%s", err->message);
}

static void put(const char *path, const char *text) {
        scoped(err_clear) Err err = {0};
        must(file_write_durable(path, text, strlen(text), 0644, &err), &err);
}

static void holds(const char *path, const char *expected) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *text = NULL;
        must(file_read(path, 1 << 20, &text, NULL, &err), &err);
        assert_string_equal(text, expected);
}

static void says(const Err *err, ErrCode code, const char *part) {
        assert_string_equal(err_name(err->code), err_name(code));
        if (!strstr(err->message, part))
                fail_msg("'%s' does not say '%s'", err->message, part);
}

/* -- reading ------------------------------------------------------------------------------ */

static void missing_files(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *path = in_dir("missing");
        char *text = (char[]){"x"}, hex[65] = "-";
        size_t bytes = 7;
        assert_false(file_read(path, 100, &text, &bytes, &err));
        says(&err, ERR_UNKNOWN, path);
        assert_string_equal(text, "x");
        assert_true(file_read_if(path, 100, &text, &bytes, NULL));
        assert_null(text);
        assert_int_equal(bytes, 0);
        assert_false(file_sha256(path, hex, &err));
        says(&err, ERR_UNKNOWN, path);
        assert_string_equal(hex, "-");
        assert_false(file_exists(path));
        struct stat st;
        bool there = true;
        assert_true(file_stat(path, &st, &there, NULL));
        assert_false(there);
        /* Below a file there can be nothing, but that is not what was asked. */
        assert_false(file_stat("/etc/passwd/x", &st, &there, &err));
        says(&err, ERR_IO, "/etc/passwd/x");
}

static void what_is_no_file_is_named(void **state) {
        (void)state;
        scoped(free_str) char *fifo = in_dir("fifo");
        scoped(free_str) char *path = in_dir("socket");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        scoped(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        const struct {
                const char *path, *kind;
        } cases[] = {{dir, "a directory"}, {fifo, "a FIFO"}, {path, "a socket"},
                {"/dev/zero", "a character device"}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(err_clear) Err err = {0};
                scoped(free_str) char *expected =
                        str_format("'%s' is %s, not a file", cases[i].path, cases[i].kind);
                char *text = NULL, hex[65];
                int64_t began = clock_now_ms();
                assert_false(file_read(cases[i].path, 100, &text, NULL, &err));
                assert_string_equal(err.message, expected);
                assert_false(file_sha256(cases[i].path, hex, &err));
                assert_false(file_copy_durable(cases[i].path, "/nowhere/x", &err));
                assert_in_range(clock_now_ms() - began, 0, 5000);
        }
}

static void limits_are_kept(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("ten");
        put(path, "0123456789");
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        assert_true(file_read(path, 10, &text, &bytes, NULL));
        assert_int_equal(bytes, 10);
        assert_int_equal(strlen(text), 10);
        scoped(err_clear) Err err = {0};
        char *untouched = NULL;
        assert_false(file_read(path, 9, &untouched, &bytes, &err));
        says(&err, ERR_CORRUPT, "limit of 9 B (9 bytes)");
        assert_null(untouched);
        /* A file whose size says nothing is limited while it is read. */
        assert_false(file_read("/proc/self/mountinfo", 20, &untouched, NULL, &err));
        says(&err, ERR_CORRUPT, "limit of 20 B");
        assert_true(file_read("/proc/self/mountinfo", 1 << 20, &untouched, &bytes, NULL));
        assert_true(bytes > 20);
        free(untouched);
}

static void bytes_are_read_as_they_are(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("bytes");
        assert_true(file_write_durable(path, "a\0b", 3, 0600, NULL));
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        assert_true(file_read(path, 10, &text, &bytes, NULL));
        assert_int_equal(bytes, 3);
        assert_memory_equal(text, "a\0b", 4);
        assert_true(file_write_durable(path, "", 0, 0600, NULL));
        scoped(free_str) char *empty = NULL;
        assert_true(file_read(path, 0, &empty, &bytes, NULL));
        assert_int_equal(bytes, 0);
        assert_string_equal(empty, "");
}

static void sums(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("abc");
        char hex[65];
        put(path, "abc");
        assert_true(file_sha256(path, hex, NULL));
        assert_string_equal(
                hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        sha256_hex("", 0, hex);
        assert_string_equal(
                hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void real_paths(void **state) {
        (void)state;
        scoped(free_str) char *link = in_dir("real-link");
        scoped(free_str) char *target = in_dir("real");
        assert_true(dir_make(target, NULL));
        assert_int_equal(symlink(target, link), 0);
        const struct {
                const char *name, *expected;
        } cases[] = {{"real-link", "real"}, {"real-link/new", "real/new"},
                {"real-link/new/", "real/new"}, {"real/../real-link", "real"}, {"absent", "absent"},
                {"absent/below", NULL}, {"real-link/no/no", NULL}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *path = in_dir(cases[i].name);
                scoped(free_str) char *expected =
                        cases[i].expected ? in_dir(cases[i].expected) : NULL;
                scoped(free_str) char *real = file_real(path);
                if (!str_equal(real, expected))
                        fail_msg("'%s' gives '%s'", path, real);
        }
        scoped(free_str) char *relative = file_real("no-such-name");
        scoped(free_str) char *here = getcwd(NULL, 0);
        scoped(free_str) char *expected = path_join(here, "no-such-name");
        assert_string_equal(relative, expected);
}

/* -- replacing ---------------------------------------------------------------------------- */

static void mode_is_whatever_the_umask(void **state) {
        (void)state;
        static const mode_t masks[] = {0, 022, 077, 0777};
        scoped(free_str) char *path = in_dir("mode");
        for (size_t i = 0; i < COUNT_OF(masks); i++) {
                mode_t before = umask(masks[i]);
                bool ok = file_write_durable(path, "x", 1, 0664, NULL);
                umask(before);
                struct stat st;
                assert_true(ok);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0664);
        }
}

static void like_another(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("like");
        scoped(free_str) char *copy = in_dir("like-copy");
        put(path, "old");
        uid_t uid = geteuid() == 0 ? 65534 : geteuid();
        gid_t gid = geteuid() == 0 ? 12 : getegid();
        assert_int_equal(chown(path, uid, gid), 0);
        assert_int_equal(chmod(path, 0640), 0);
        struct stat st, now;
        assert_int_equal(stat(path, &st), 0);
        assert_true(file_write_durable_like(path, "new", 3, &st, NULL));
        assert_true(file_copy_durable(path, copy, NULL));
        const char *const both[] = {path, copy};
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(stat(both[i], &now), 0);
                assert_int_equal(now.st_uid, uid);
                assert_int_equal(now.st_gid, gid);
                assert_int_equal(now.st_mode & 07777, 0640);
                holds(both[i], "new");
        }
}

static void big_files_are_copied_whole(void **state) {
        (void)state;
        scoped(free_str) char *from = in_dir("big");
        scoped(free_str) char *to = in_dir("big-copy");
        size_t n = 3 * 1024 * 1024 + 17;
        scoped(free_str) char *bytes = mem_new(n, 1);
        for (size_t i = 0; i < n; i++)
                bytes[i] = (char)(i * 31 % 251);
        assert_true(file_write_durable(from, bytes, n, 0600, NULL));
        assert_true(file_copy_durable(from, to, NULL));
        char a[65], b[65];
        assert_true(file_sha256(from, a, NULL) && file_sha256(to, b, NULL));
        assert_string_equal(a, b);
        scoped(err_clear) Err err = {0};
        assert_false(file_copy_durable("/nowhere/at/all", to, &err));
        says(&err, ERR_UNKNOWN, "/nowhere/at/all");
        assert_true(file_sha256(to, b, NULL));
        assert_string_equal(a, b);
}

static void a_link_is_itself_replaced(void **state) {
        (void)state;
        scoped(free_str) char *target = in_dir("link-target");
        scoped(free_str) char *link = in_dir("link");
        put(target, "target");
        assert_int_equal(symlink(target, link), 0);
        put(link, "new");
        holds(target, "target");
        struct stat st;
        assert_int_equal(lstat(link, &st), 0);
        assert_true(S_ISREG(st.st_mode));
}

/* The temporary name is known: whatever lies there must neither be followed nor stop the write. */
/* P-13 */
static void leftovers_and_traps_at_the_temporary_name(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("trap");
        scoped(free_str) char *temp = in_dir(".trap.belay-tmp");
        scoped(free_str) char *victim = in_dir("victim");
        put(victim, "untouched");
        for (int kind = 0; kind < 4; kind++) {
                if (kind == 0)
                        put(temp, "half of a crashed wri");
                if (kind == 1)
                        assert_int_equal(symlink(victim, temp), 0);
                if (kind == 2)
                        assert_int_equal(mkfifo(temp, 0666), 0);
                if (kind == 3)
                        assert_int_equal(link(victim, temp), 0);
                put(path, "new");
                holds(path, "new");
                holds(victim, "untouched");
                assert_false(file_exists(temp));
                assert_int_equal(unlink(path), 0);
        }
        assert_int_equal(mkdir(temp, 0700), 0);
        scoped(err_clear) Err err = {0};
        int64_t began = clock_now_ms();
        assert_false(file_write_durable(path, "x", 1, 0600, &err));
        says(&err, ERR_IO, path);
        assert_in_range(clock_now_ms() - began, 0, 20000);
        assert_int_equal(rmdir(temp), 0);
}

static void long_names(void **state) {
        (void)state;
        char name[256];
        memset(name, 'n', 255);
        name[255] = '\0';
        scoped(free_str) char *path = in_dir(name);
        put(path, "long");
        holds(path, "long");
        assert_true(file_unlink(path, NULL));
}

static void what_cannot_be_written(void **state) {
        (void)state;
        scoped(free_str) char *sub = in_dir("a-directory");
        scoped(free_str) char *temp = in_dir(".a-directory.belay-tmp");
        assert_int_equal(mkdir(sub, 0700), 0);
        const char *const paths[] = {sub, "/nowhere/at/all", "/etc/passwd/x", "/proc/x"};
        for (size_t i = 0; i < COUNT_OF(paths); i++) {
                scoped(err_clear) Err err = {0};
                assert_false(file_write_durable(paths[i], "x", 1, 0600, &err));
                says(&err, ERR_IO, paths[i]);
        }
        assert_false(file_exists(temp));
}

/* -- deaths and faults -------------------------------------------------------------------- */

static void full_disk(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        scoped(free_str) char *mount_point = in_dir("full");
        scoped(free_str) char *path = path_join(mount_point, "file");
        assert_true(dir_make(mount_point, NULL));
        assert_int_equal(mount("none", mount_point, "tmpfs", 0, "size=256k"), 0);
        put(path, "old");
        scoped(free_str) char *bytes = mem_new(1 << 20, 1);
        scoped(err_clear) Err err = {0};
        bool wrote = file_write_durable(path, bytes, 1 << 20, 0600, &err);
        scoped(err_clear) Err copy_err = {0};
        scoped(free_str) char *big = in_dir("too-big");
        assert_true(file_write_durable(big, bytes, 1 << 20, 0600, NULL));
        bool copied = file_copy_durable(big, path, &copy_err);
        scoped(free_str) char *text = NULL;
        bool read = file_read(path, 100, &text, NULL, NULL);
        scoped(free_str) char *temp = path_join(mount_point, ".file.belay-tmp");
        bool left = file_exists(temp);
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
        scoped(err_clear) Err room_err = {0};
        bool reserved = fd_reserve(fd, 1 << 20, path, &room_err);
        uint64_t available = 0;
        bool asked = disk_free(path, &available, NULL);
        close(TAKE_FD(fd));
        /* A mount point inside is what tree_remove must not enter. */
        scoped(err_clear) Err remove_err = {0};
        bool removed = tree_remove(dir, &remove_err);
        bool kept = file_exists(path) && file_exists(big);
        umount(mount_point);
        assert_false(wrote);
        says(&err, ERR_NO_SPACE, path);
        assert_false(copied);
        says(&copy_err, ERR_NO_SPACE, big);
        assert_true(read);
        assert_string_equal(text, "old");
        assert_false(left);
        assert_false(reserved);
        says(&room_err, ERR_NO_SPACE, path);
        assert_true(asked);
        assert_in_range(available, 1, 256 * 1024);
        assert_false(removed);
        says(&remove_err, ERR_IO, "is a mount point");
        assert_true(kept);
}

static void two_writers_take_turns(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("shared");
        enum { WRITERS = 4, ROUNDS = 40, BYTES = 20000 };
        pid_t pids[WRITERS];
        for (int w = 0; w < WRITERS; w++) {
                pids[w] = fork();
                assert_true(pids[w] >= 0);
                if (pids[w] > 0)
                        continue;
                scoped(free_str) char *bytes = mem_new(BYTES + 1, 1);
                memset(bytes, 'a' + w, BYTES);
                for (int i = 0; i < ROUNDS; i++)
                        if (!file_write_durable(path, bytes, BYTES, 0600, NULL))
                                _exit(1);
                _exit(0);
        }
        for (int left = WRITERS; left > 0;) {
                scoped(free_str) char *text = NULL;
                assert_true(file_read_if(path, BYTES, &text, NULL, NULL));
                if (text) {
                        assert_int_equal(strlen(text), BYTES);
                        assert_int_equal(strspn(text, (char[]){text[0], 0}), BYTES);
                }
                int status = 0;
                if (waitpid(-1, &status, WNOHANG) > 0) {
                        assert_int_equal(status, 0);
                        left--;
                }
        }
        scoped(free_str) char *temp = in_dir(".shared.belay-tmp");
        assert_false(file_exists(temp));
}

static void a_writer_that_hangs_is_not_waited_for_for_ever(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("held");
        scoped(free_str) char *temp = in_dir(".held.belay-tmp");
        scoped(close_fd) int fd = open(temp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        scoped(err_clear) Err err = {0};
        assert_false(file_write_durable(path, "x", 1, 0600, &err));
        says(&err, ERR_IO, temp);
        assert_true(file_exists(temp));
}

#ifdef BELAY_FAULT_POINTS
/* In a process of its own, so that it can die. */
static int in_child(bool (*act)(void), const char *rule, unsigned *ret_points) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                fault_set(rule);
                int status = act() ? 0 : 1;
                unsigned points = fault_count();
                _exit(write(ends[1], &points, sizeof(points)) == sizeof(points) ? status : 9);
        }
        close(ends[1]);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (ret_points && read(ends[0], ret_points, sizeof(*ret_points)) != sizeof(*ret_points))
                *ret_points = 0;
        close(ends[0]);
        return status;
}

static char *swept, *other;

static bool act_write(void) { return file_write_durable(swept, "the new content", 15, 0640, NULL); }

static void durable_writes_swept(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("swept");
        scoped(free_str) char *temp = in_dir(".swept.belay-tmp");
        static const char *const actions[] = {"die", "after", "torn", "error", "fails"};
        unsigned points = 0, torn = 0, failed = 0, news = 0;
        swept = path;
        put(path, "the old content");
        assert_int_equal(in_child(act_write, "", &points), 0);
        assert_true(points >= 6); /* create, write, mode, sync, rename, sync of the directory */
        for (size_t a = 0; a < COUNT_OF(actions); a++) {
                for (unsigned n = 1; n <= points; n++) {
                        put(path, "the old content");
                        scoped(free_str) char *rule = str_format("*:%s:%u:ENOSPC", actions[a], n);
                        int status = in_child(act_write, rule, NULL);
                        scoped(free_str) char *text = NULL;
                        assert_true(file_read(path, 100, &text, NULL, NULL));
                        bool is_new = str_equal(text, "the new content");
                        if (!is_new)
                                assert_string_equal(text, "the old content");
                        if (a < 2)
                                assert_true(WIFSIGNALED(status));
                        /* What was reported as done is done. */
                        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                                assert_true(is_new);
                        torn += a == 2 && WIFSIGNALED(status);
                        failed += WIFEXITED(status) && WEXITSTATUS(status) == 1;
                        news += is_new;
                        /* The next write copes with whatever is left. */
                        put(path, "after it");
                        holds(path, "after it");
                        assert_false(file_exists(temp));
                }
        }
        assert_int_equal(torn, 1);
        assert_int_equal(failed, 2 * points);
        assert_true(news > 0);
}

static bool act_exchange(void) { return file_exchange(swept, other, NULL); }
static bool act_rename(void) { return file_rename(swept, other, NULL); }

static void exchanges_swept(void **state) {
        (void)state;
        scoped(free_str) char *a = in_dir("side-a");
        scoped(free_str) char *b = in_dir("side-b");
        swept = a;
        other = b;
        for (unsigned n = 1; n <= 2; n++) {
                for (int after = 0; after < 2; after++) {
                        put(a, "one");
                        put(b, "two");
                        scoped(free_str) char *rule =
                                str_format("*:%s:%u", after ? "after" : "die", n);
                        assert_true(WIFSIGNALED(in_child(act_exchange, rule, NULL)));
                        bool exchanged = n > 1 || after;
                        holds(a, exchanged ? "two" : "one");
                        holds(b, exchanged ? "one" : "two");
                }
        }
        put(a, "one");
        assert_true(WIFSIGNALED(in_child(act_rename, "*:die:1", NULL)));
        holds(a, "one");
        assert_true(WIFSIGNALED(in_child(act_rename, "*:after:1", NULL)));
        holds(b, "one");
        assert_false(file_exists(a));
}

/* What is reported as failed is: no error is swallowed on the way. */
static void every_call_reports_its_failure(void **state) {
        (void)state;
        scoped(free_str) char *a = in_dir("report-a");
        scoped(free_str) char *b = in_dir("report-b");
        scoped(free_str) char *sub = in_dir("report/sub");
        scoped(err_clear) Err err = {0};
        put(a, "a");
        put(b, "b");
        scoped(close_fd) int fd = open(a, O_WRONLY | O_CLOEXEC);
        for (unsigned n = 1; n <= 2; n++) {
                scoped(free_str) char *rule = str_format("*:error:%u:EIO", n);
                fault_set(rule);
                assert_false(file_exchange(a, b, &err));
                fault_set(rule);
                assert_false(file_rename(a, a, &err));
                fault_set(rule);
                assert_false(file_unlink("/tmp/belay-test-no-such-file", &err));
                fault_set(rule);
                assert_false(dir_make(sub, &err));
                fault_set(rule);
                assert_false(tree_remove(sub, &err) && tree_sync(b, &err) && dir_sync(dir, &err));
                says(&err, ERR_IO, "Input/output error");
        }
        fault_set("*:fails:1:EDQUOT");
        assert_false(fd_write_all(fd, "x", 1, "it", &err));
        says(&err, ERR_NO_SPACE, "writing 'it': Disk quota exceeded");
        assert_false(fd_sync(fd, "it", &err));
        assert_false(fd_reserve(fd, 1, "it", &err));
        fault_set("");
}
#endif

/* -- names -------------------------------------------------------------------------------- */

static void directories(void **state) {
        (void)state;
        scoped(free_str) char *deep = in_dir("d/e/f/");
        scoped(free_str) char *first = in_dir("d");
        mode_t before = umask(0777);
        bool ok = dir_make(deep, NULL);
        umask(before);
        assert_true(ok);
        struct stat st;
        assert_int_equal(stat(deep, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(chmod(first, 0755), 0);
        assert_true(dir_make(deep, NULL));
        assert_int_equal(stat(first, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        scoped(free_str) char *file = in_dir("d/file");
        scoped(free_str) char *below = in_dir("d/file/x");
        put(file, "x");
        scoped(err_clear) Err err = {0};
        assert_false(dir_make(file, &err));
        says(&err, ERR_IO, "is a file, not a directory");
        assert_false(dir_make(below, &err));
        says(&err, ERR_IO, below);
        assert_false(dir_make("/proc/nothing/here", &err));
}

static void renames_and_exchanges(void **state) {
        (void)state;
        scoped(free_str) char *a = in_dir("x/a");
        scoped(free_str) char *b = in_dir("y/b");
        scoped(free_str) char *x = in_dir("x");
        scoped(free_str) char *y = in_dir("y");
        assert_true(dir_make(x, NULL) && dir_make(y, NULL));
        put(a, "a");
        put(b, "b");
        assert_true(file_exchange(a, b, NULL));
        holds(a, "b");
        holds(b, "a");
        assert_true(file_rename(a, b, NULL));
        holds(b, "b");
        assert_false(file_exists(a));
        scoped(err_clear) Err err = {0};
        assert_false(file_rename(a, b, &err));
        says(&err, ERR_IO, a);
        assert_false(file_exchange(a, b, &err));
        says(&err, ERR_IO, b);
        holds(b, "b");
        /* A directory and a file change places as well. */
        assert_true(file_exchange(x, b, NULL));
        holds(x, "b");
        assert_true(file_unlink(x, NULL));
        assert_true(file_unlink(x, NULL));
        assert_false(file_unlink(y, &err));
        says(&err, ERR_IO, y);
        assert_true(file_unlink("/nowhere/at/all", NULL));
}

static void room(void **state) {
        (void)state;
        scoped(free_str) char *path = in_dir("reserved");
        scoped(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        struct stat st;
        assert_true(fd_reserve(fd, 1 << 20, path, NULL));
        assert_true(fd_reserve(fd, 0, path, NULL));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_true(st.st_blocks * 512 >= 1 << 20);
        assert_false(fd_reserve(fd, UINT64_MAX, path, NULL));
        uint64_t available = 0;
        assert_true(disk_free("/tmp/no/such/directory", &available, NULL));
        assert_true(available > 0);
        assert_true(disk_free("relative/no/such", &available, NULL));
        scoped(err_clear) Err err = {0};
        scoped(close_fd) int reading = open(path, O_RDONLY | O_CLOEXEC);
        assert_false(fd_write_all(reading, "x", 1, "read-only", &err));
        says(&err, ERR_IO, "writing 'read-only': Bad file descriptor");
        assert_true(fd_write_all(reading, "", 0, "nothing", NULL));
        assert_false(fd_sync(-1, "closed", &err));
        assert_false(dir_sync("/nowhere", &err));
        says(&err, ERR_IO, "/nowhere");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(missing_files),
                cmocka_unit_test(what_is_no_file_is_named),
                cmocka_unit_test(limits_are_kept),
                cmocka_unit_test(bytes_are_read_as_they_are),
                cmocka_unit_test(sums),
                cmocka_unit_test(real_paths),
                cmocka_unit_test(mode_is_whatever_the_umask),
                cmocka_unit_test(like_another),
                cmocka_unit_test(big_files_are_copied_whole),
                cmocka_unit_test(a_link_is_itself_replaced),
                cmocka_unit_test(leftovers_and_traps_at_the_temporary_name),
                cmocka_unit_test(long_names),
                cmocka_unit_test(what_cannot_be_written),
                cmocka_unit_test(full_disk),
                cmocka_unit_test(two_writers_take_turns),
                cmocka_unit_test(a_writer_that_hangs_is_not_waited_for_for_ever),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test(durable_writes_swept),
                cmocka_unit_test(exchanges_swept),
                cmocka_unit_test(every_call_reports_its_failure),
#endif
                cmocka_unit_test(directories),
                cmocka_unit_test(renames_and_exchanges),
                cmocka_unit_test(room),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
