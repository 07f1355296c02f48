/* Bit rot: every single bit of a small backup, turned over, is found by verify; so is every truncation. */
#include "../unit/backup/fixture.h"

#include <dirent.h>

static char *small_backup(Fixture *f) {
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x");
        put_text(f, "a", "one");
        sql(f->contents[1].path,
                "PRAGMA page_size=512; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
        Backup *b = first_pass(f);
        put_text(f, "b", "two");
        scoped(free_str) char *gone = in_data(f, "a");
        OK(file_unlink(gone, err));
        return finish(&b);
}

static bool is_found(const char *dir) {
        scoped(err_clear) Err err = {0};
        return !backup_verify(dir, 2, NULL, &err);
}

static unsigned flip_all(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(close_fd) int fd = open(path, O_RDWR);
        struct stat st;
        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        unsigned bits = 0;
        for (off_t at = 0; at < st.st_size; at++) {
                unsigned char byte, turned;
                assert_int_equal(pread(fd, &byte, 1, at), 1);
                for (unsigned bit = 0; bit < 8; bit++, bits++) {
                        turned = byte ^ (unsigned char)(1U << bit);
                        assert_int_equal(pwrite(fd, &turned, 1, at), 1);
                        if (!is_found(dir))
                                fail_msg(
                                        "%s: bit %u of byte %ld is not found", name, bit, (long)at);
                }
                assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        return bits;
}

static void each_file(void (*do_it)(const char *dir, const char *name), const char *dir) {
        DIR *d = opendir(dir);
        struct dirent *e;
        assert_non_null(d);
        while ((e = readdir(d)))
                if (e->d_name[0] != '.')
                        do_it(dir, e->d_name);
        closedir(d);
}

static unsigned total;
static void flip(const char *dir, const char *name) { total += flip_all(dir, name); }

/* J-10: MANIFEST.json among them */
static void every_bit_is_found(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *dir = small_backup(f);
        assert_false(is_found(dir));
        each_file(flip, dir);
        assert_false(is_found(dir));
        printf("%u bits\n", total);
}

static void cut(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *bytes = NULL;
        size_t n;
        OK(file_read(path, 1 << 20, &bytes, &n, err));
        for (size_t keep = 0; keep < n; keep += 1 + n / 50) {
                assert_int_equal(truncate(path, (off_t)keep), 0);
                assert_true(is_found(dir));
        }
        put_file(path, bytes, n);
        scoped(close_fd) int fd = open(path, O_WRONLY | O_APPEND);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_true(is_found(dir));
        put_file(path, bytes, n);
        assert_int_equal(unlink(path), 0);
        assert_true(is_found(dir));
        put_file(path, bytes, n);
}

static void every_truncation_is_found(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *dir = small_backup(f);
        each_file(cut, dir);
        assert_false(is_found(dir));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_bit_is_found),
                cmocka_unit_test(every_truncation_is_found),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
