/*
 * Round trips of random trees: types, modes, owners, times, extended attributes, ACLs, holes, hard links and names
 * that nobody expects; changed at random between the passes and spoiled before the restore. BELAY_TREES is the number
 * of trees (500), BELAY_SEED the first seed. Rows P-04, P-08, P-09.
 */
#include "../unit/backup/fixture.h"

#include <dirent.h>
#include <sys/xattr.h>

static unsigned seed;

static unsigned pick(unsigned n) { return (unsigned)rand_r(&seed) % n; }

static const char *const odd_names[] = {
        "new\nline",
        "-rf",
        "back\\slash",
        "sp ace",
        "\xff\xfe not utf8",
        "tab\there",
        "quote'\"",
        "*",
        "a-b",
        "a",
        "a.b",
        "\xc3\xa9",
        "e\xcc\x81",
        "$(x)",
};

static char *new_name(void) {
        if (pick(4) == 0)
                return str_copy(odd_names[pick(COUNT_OF(odd_names))]);
        if (pick(40) == 0) {
                char *name = mem_new(256, 1);
                memset(name, 'n', 255 - pick(60));
                return name;
        }
        return str_format("f%u", pick(1000));
}

static void dress(const char *path, bool is_link) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                {.tv_sec = (time_t)pick(2000000000), .tv_nsec = (long)pick(1000000000)}};
        if (pick(20) == 0)
                times[1].tv_sec = -(time_t)pick(1000000);
        if (!is_link) {
                if (pick(3) == 0)
                        (void)setxattr(path, "user.colour", "gr\0ey", pick(6), 0);
                if (pick(6) == 0)
                        (void)setxattr(path, "user.\xc3\xa9 odd", "", 0, 0);
                static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2,
                        0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255,
                        255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255};
                if (pick(8) == 0)
                        (void)setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0);
        }
        if (geteuid() == 0 && pick(3) == 0)
                assert_int_equal(lchown(path, pick(5) ? pick(3000) : 3000000000U, pick(3000)), 0);
        if (!is_link && pick(2))
                (void)chmod(path, pick(01000));
        assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_regular(const char *path) {
        scoped(free_str) char *bytes = mem_new(1, 70000);
        size_t n = pick(3) ? pick(2000) : pick(70000);
        for (size_t i = 0; i < n; i++)
                bytes[i] = (char)pick(256);
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), (ssize_t)n);
        if (pick(6) == 0) { /* holes: at the end, in the middle, nothing else */
                assert_int_equal(ftruncate(fd, (off_t)pick(300000)), 0);
                if (pick(2))
                        assert_int_equal(pwrite(fd, "x", 1, (off_t)pick(400000)), 1);
        }
}

static void make_one(const char *dir, unsigned depth, Strv *files);

static void make_many(const char *dir, unsigned depth, Strv *files) {
        for (unsigned n = pick(depth == 0 ? 12 : 6); n > 0; n--)
                make_one(dir, depth, files);
}

static void make_one(const char *dir, unsigned depth, Strv *files) {
        scoped(free_str) char *name = new_name();
        scoped(free_str) char *path = path_join(dir, name);
        unsigned kind = pick(12);
        if (file_exists(path))
                return;
        if (kind < 3 && depth < 5) {
                assert_int_equal(mkdir(path, 0700), 0);
                make_many(path, depth + 1, files);
        } else if (kind == 3) {
                static const char *const targets[] = {"/etc/passwd", "../..", "nowhere", "a", "."};
                assert_int_equal(symlink(targets[pick(COUNT_OF(targets))], path), 0);
                dress(path, true);
                return;
        } else if (kind == 4 && strv_count(*files) > 0) {
                if (link((*files)[pick((unsigned)strv_count(*files))], path) != 0)
                        assert_true(errno == ENOENT || errno == EPERM); /* disturbed meanwhile */
                return;
        } else if (kind == 5) {
                assert_int_equal(mkfifo(path, 0600), 0);
        } else {
                make_regular(path);
                strv_add(files, path);
        }
        dress(path, false);
}

/* Something of everything that a service may do between the passes. */
static void disturb(const char *dir, Strv *files) {
        for (unsigned n = pick(6); n > 0 && strv_count(*files) > 0; n--) {
                const char *file = (*files)[pick((unsigned)strv_count(*files))];
                scoped(free_str) char *other = str_format("%s.moved", file);
                scoped(close_fd) int fd = -1;
                switch (pick(5)) {
                case 0:
                        (void)unlink(file);
                        break;
                case 1:
                        (void)rename(file, other);
                        break;
                case 2:
                        fd = open(file, O_WRONLY | O_APPEND);
                        if (fd >= 0)
                                assert_int_equal(write(fd, "more", 4), 4);
                        break;
                case 3:
                        (void)chmod(file, pick(01000));
                        break;
                default:
                        if (unlink(file) == 0)
                                assert_int_equal(mkdir(file, 0755), 0);
                        break;
                }
        }
        make_many(dir, 0, files);
}

static void must_be_same(unsigned number, const char *before, const char *after) {
        scoped(strv_freep) Strv a = strv_split(before, '\n');
        scoped(strv_freep) Strv b = strv_split(after, '\n');
        size_t i = 0;
        while (a && b && a[i] && b[i] && strcmp(a[i], b[i]) == 0)
                i++;
        if (strcmp(before, after) != 0)
                fail_msg("seed %u: %.400s\nbecame %.400s", number, a[i] ? a[i] : "nothing",
                        b[i] ? b[i] : "nothing");
}

static void one_tree(unsigned number) {
        seed = number;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(strv_freep) Strv files = NULL;
        fixture_add(f, CONTENT_PATH, "data", "data");
        make_many(f->data, 0, &files);
        dress(f->data, false);
        Backup *b = first_pass(f);
        if (pick(4))
                disturb(f->data, &files);
        scoped(free_str) char *before = tree_text(f->data);
        scoped(free_str) char *dir = finish(&b);
        OK(backup_verify(dir, 2, NULL, err));
        disturb(f->data, &files);
        restore_all(f);
        scoped(free_str) char *after = tree_text(f->data);
        must_be_same(number, before, after);
}

static void random_trees_come_back(void **state) {
        (void)state;
        const char *n = getenv("BELAY_TREES"), *first = getenv("BELAY_SEED");
        unsigned long count = n ? strtoul(n, NULL, 10) : 500,
                      from = first ? strtoul(first, NULL, 10) : 1;
        for (unsigned long i = 0; i < count; i++)
                one_tree((unsigned)(from + i));
        printf("%lu trees from seed %lu\n", count, from);
}

int main(void) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(random_trees_come_back)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
