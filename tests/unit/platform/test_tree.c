/* Trees: removed, synced and counted without following a link or leaving the file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"

static char dir[] = "/tmp/belay-test-tree-XXXXXX";

static int set_up(void **state) {
        (void)state;
        return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        return tree_remove(dir, NULL) ? 0 : -1;
}

static char *in_dir(const char *name) { return path_join(dir, name); }

static void put(const char *name, const char *text) {
        scoped(free_str) char *path = in_dir(name);
        scoped(free_str) char *parent = path_dirname(path);
        assert_true(dir_make(parent, NULL));
        assert_true(file_write_durable(path, text, strlen(text), 0644, NULL));
}

static bool there(const char *name) {
        scoped(free_str) char *path = in_dir(name);
        return file_exists(path);
}

static void remove_named(const char *name) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *path = in_dir(name);
        if (!tree_remove(path, &err))
                fail_msg("%s", err.message);
        assert_false(there(name));
}

/* One of each kind, and a link out of the tree. */
static void make_tree(void) {
        scoped(free_str) char *outside = in_dir("outside");
        scoped(free_str) char *link = in_dir("tree/link");
        scoped(free_str) char *dangling = in_dir("tree/a/dangling");
        scoped(free_str) char *fifo = in_dir("tree/fifo");
        put("outside/precious", "12345");
        put("tree/a/b/file", "123");
        put("tree/a/-rf *", "1234");
        put("tree/a/new\nline", "1");
        assert_int_equal(symlink(outside, link), 0);
        assert_int_equal(symlink("nowhere", dangling), 0);
        assert_int_equal(mkfifo(fifo, 0600), 0);
}

static void trees_are_removed_links_not_followed(void **state) {
        (void)state;
        make_tree();
        remove_named("tree");
        assert_true(there("outside/precious"));
        remove_named("tree"); /* absent is fine */
        scoped(free_str) char *link = in_dir("to-outside");
        scoped(free_str) char *outside = in_dir("outside");
        assert_int_equal(symlink(outside, link), 0);
        remove_named("to-outside");
        assert_true(there("outside/precious"));
        put("single", "x");
        remove_named("single");
        remove_named("outside");
        assert_true(tree_remove("/nowhere/at/all", NULL));
        scoped(err_clear) Err err = {0};
        assert_false(tree_remove("/etc/passwd/x", &err));
        assert_int_equal(err.code, ERR_IO);
}

static void sizes(void **state) {
        (void)state;
        make_tree();
        scoped(free_str) char *tree = in_dir("tree");
        scoped(free_str) char *file = in_dir("outside/precious");
        scoped(free_str) char *link = in_dir("tree/link");
        uint64_t bytes = 99;
        assert_true(tree_size(tree, &bytes, NULL));
        assert_int_equal(bytes, 3 + 4 + 1);
        assert_true(tree_size(file, &bytes, NULL));
        assert_int_equal(bytes, 5);
        assert_true(tree_size(link, &bytes, NULL));
        assert_int_equal(bytes, 0);
        scoped(err_clear) Err err = {0};
        bytes = 99;
        assert_false(tree_size("/nowhere/at/all", &bytes, &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
        assert_int_equal(bytes, 99);
        assert_true(tree_sync(tree, &err));
        assert_false(tree_sync("/nowhere/at/all", &err));
        remove_named("tree");
        remove_named("outside");
}

/* Deeper than there are descriptors, and than a path may be long. */
static void deep_trees(void **state) {
        (void)state;
        enum { DEPTH = 3000 };
        scoped(free_str) char *deep = in_dir("deep");
        assert_true(dir_make(deep, NULL));
        int at = open(deep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < DEPTH; i++) {
                assert_int_equal(mkdirat(at, "dir", 0700), 0);
                int below = openat(at, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(below >= 0);
                close(at);
                at = below;
        }
        int fd = openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "1234567", 7), 7);
        close(fd);
        close(at);
        struct rlimit before, few;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        few = before;
        few.rlim_cur = 64;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        uint64_t bytes = 0;
        bool sized = tree_size(deep, &bytes, NULL);
        bool removed = tree_remove(deep, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(sized);
        assert_int_equal(bytes, 7);
        assert_true(removed);
        assert_false(file_exists(deep));
}

static void many_entries(void **state) {
        (void)state;
        enum { COUNT = 5000 };
        scoped(free_str) char *many = in_dir("many");
        assert_true(dir_make(many, NULL));
        for (int i = 0; i < COUNT; i++) {
                scoped(free_str) char *path = str_format("%s/%d", many, i);
                scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                assert_int_equal(write(fd, "ab", 2), 2);
        }
        uint64_t bytes = 0;
        assert_true(tree_size(many, &bytes, NULL));
        assert_int_equal(bytes, 2 * COUNT);
        remove_named("many");
}

/* A bind mount has the same device number: only looking for it keeps what it shows. */
static void mount_points_are_not_entered(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        for (int i = 0; i < 20; i++) {
                scoped(free_str) char *name = str_format("mounted/%d/file", i);
                put(name, "x");
        }
        put("shown/precious", "x");
        scoped(free_str) char *point = in_dir("mounted/z/point");
        scoped(free_str) char *shown = in_dir("shown");
        scoped(free_str) char *mounted = in_dir("mounted");
        assert_true(dir_make(point, NULL));
        assert_int_equal(mount(shown, point, NULL, MS_BIND, NULL), 0);
        scoped(err_clear) Err err = {0};
        bool removed = tree_remove(mounted, &err);
        scoped(err_clear) Err point_err = {0};
        bool point_removed = tree_remove(point, &point_err);
        bool kept = there("shown/precious");
        for (int i = 0; i < 20; i++) {
                scoped(free_str) char *name = str_format("mounted/%d/file", i);
                kept = kept && there(name);
        }
        umount(point);
        assert_false(removed);
        assert_non_null(strstr(err.message, point));
        assert_non_null(strstr(err.hint, "umount"));
        assert_false(point_removed);
        assert_true(kept);
        remove_named("mounted");
        assert_true(there("shown/precious"));
}

static int as_nobody(bool (*act)(const char *path), const char *path) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
                        _exit(9);
                _exit(act(path) ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WEXITSTATUS(status);
}

static bool act_remove(const char *path) { return tree_remove(path, NULL); }
static bool act_size(const char *path) {
        uint64_t bytes = 0;
        return tree_size(path, &bytes, NULL);
}

/* Like a Go module cache: directories that their owner may not write. */
static void read_only_directories(void **state) {
        (void)state;
        scoped(free_str) char *top = in_dir("nobody");
        scoped(free_str) char *cache = in_dir("nobody/cache");
        scoped(free_str) char *file = in_dir("nobody/cache/sub/file");
        scoped(free_str) char *sub = in_dir("nobody/cache/sub");
        put("nobody/cache/sub/file", "x");
        const char *const all[] = {top, cache, sub, file};
        for (size_t i = 0; i < COUNT_OF(all) && geteuid() == 0; i++)
                assert_int_equal(chown(all[i], 65534, 65534), 0);
        assert_int_equal(chmod(dir, 0755), 0);
        assert_int_equal(chmod(sub, 0), 0);
        assert_int_equal(chmod(cache, 0500), 0);
        /* A list that cannot be read is an error, not an empty one. */
        assert_int_equal(as_nobody(act_size, cache), 1);
        assert_int_equal(as_nobody(act_remove, cache), 0);
        assert_false(file_exists(cache));
}

#ifdef BELAY_FAULT_POINTS
static void a_removal_cut_short_is_finished_by_the_next(void **state) {
        (void)state;
        for (unsigned n = 1; n <= 8; n++) {
                make_tree();
                scoped(free_str) char *tree = in_dir("tree");
                scoped(free_str) char *rule = str_format("*:error:%u:EIO", n);
                fault_set(rule);
                scoped(err_clear) Err err = {0};
                bool removed = tree_remove(tree, &err);
                unsigned points = fault_count();
                fault_set("");
                assert_int_equal(removed, n > points);
                if (!removed)
                        assert_non_null(strstr(err.message, "Input/output error"));
                remove_named("tree");
                assert_true(there("outside/precious"));
        }
        remove_named("outside");
}
#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(trees_are_removed_links_not_followed),
                cmocka_unit_test(sizes),
                cmocka_unit_test(deep_trees),
                cmocka_unit_test(many_entries),
                cmocka_unit_test(mount_points_are_not_entered),
                cmocka_unit_test(read_only_directories),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test(a_removal_cut_short_is_finished_by_the_next),
#endif
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
