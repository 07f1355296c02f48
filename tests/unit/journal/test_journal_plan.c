/* The plan alone, of a journal that cannot be read as a whole; names that are no journal; what is too much. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "journal/journal.h"
#include "journal/run_state.h"
#include "platform/fault.h"
#include "platform/file.h"

static char dir[] = "/dev/shm/belay-plan-XXXXXX";
static char *path;

static json_t *plan(void) { return json_pack("{s:i, s:s}", "format", 1, "service", "notes"); }

/* How the next read of a file goes: the linker prefers these to the C library's. */
static enum { READS, IS_INTERRUPTED, FAILS_AT_ONCE, ENDS_EARLY } reading;

ssize_t pread64(int fd, void *buffer, size_t n, off64_t at);
ssize_t __pread64_chk(int fd, void *buffer, size_t n, off64_t at, size_t room);

ssize_t pread64(int fd, void *buffer, size_t n, off64_t at) {
        int how = (int)reading;
        reading = READS;
        if (how == ENDS_EARLY)
                return 0;
        errno = how == IS_INTERRUPTED ? EINTR : EIO;
        return how == READS ? (ssize_t)syscall(SYS_pread64, fd, buffer, n, at) : -1;
}

ssize_t __pread64_chk(int fd, void *buffer, size_t n, off64_t at, size_t room) {
        (void)room;
        return pread64(fd, buffer, n, at);
}

static int make_dir(void **state) {
        (void)state;
        path = mkdtemp(dir) ? path_join(dir, "journal") : NULL;
        return path ? 0 : -1;
}

static int remove_dir(void **state) {
        (void)state;
        free(path);
        return tree_remove(dir, NULL) ? 0 : -1;
}

static int fresh(void **state) {
        (void)state;
        return tree_remove(path, NULL) ? 0 : -1;
}

static Journal *begin(void) {
        Journal *journal = NULL;
        assert_true(journal_create(path, &journal, NULL));
        assert_true(journal_append(journal, RECORD_PLAN, plan(), NULL));
        return journal;
}

static void overwrite(off_t at, const char *text) {
        FILE *file = fopen(path, "r+");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void the_plan_of_a_damaged_journal(void **state) {
        (void)state;
        Journal *journal = begin();
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_true(journal_append(journal, RECORD_ARM, json_object(), NULL));
        assert_true(journal_append(journal, RECORD_ARM, json_object(), NULL));
        journal_close(journal);
        overwrite(st.st_size + 4, "x");
        RecordList list = {0};
        assert_false(journal_read(path, &list, NULL));
        Record record = {0};
        assert_true(journal_read_plan(path, &record, NULL));
        assert_string_equal(js_str(record.payload, "service"), "notes");
        json_decref(record.payload);
}

static void no_plan(void **state) {
        (void)state;
        Record record = {0};
        scoped(err_clear) Err err = {0};
        assert_false(journal_read_plan(path, &record, &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
        journal_close(begin());
        overwrite(0, "x");
        assert_false(journal_read_plan(path, &record, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(truncate(path, 0), 0);
        assert_false(journal_read_plan(path, &record, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        /* A whole record of another kind, and a whole line that no Belay writes. */
        overwrite(0, "9a873fcc 1 ARM {}\n");
        assert_false(journal_read_plan(path, &record, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_null(record.payload);
}

static void names_that_are_no_journal(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        RecordList list = {0};
        assert_int_equal(mkdir(path, 0700), 0);
        assert_false(journal_read(path, &list, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(rmdir(path), 0);
        scoped(free_str) char *below = path_join(path, "journal");
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fclose(file), 0);
        assert_false(journal_read(below, &list, &err)); /* ENOTDIR */
        assert_int_equal(err.code, ERR_IO);
        assert_int_equal(truncate(path, LIMIT_JOURNAL_BYTES + 1), 0);
        assert_false(journal_read(path, &list, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
}

static void a_payload_that_is_no_object(void **state) {
        (void)state;
        Journal *journal = begin();
        scoped(err_clear) Err err = {0};
        assert_false(journal_append(journal, RECORD_NOTE, json_array(), &err));
        assert_int_equal(err.code, ERR_BUG);
        assert_true(journal_dead(journal));
        journal_close(journal);
}

/* At the limit of a journal the append is refused, not the reading of what was written before. */
static void a_journal_that_is_full(void **state) {
        (void)state;
        Journal *journal = begin();
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *much = mem_new(LIMIT_JOURNAL_RECORD - 100, 1);
        memset(much, 'x', LIMIT_JOURNAL_RECORD - 101);
        size_t n = 1;
        while (journal_append(journal, RECORD_NOTE, json_pack("{s:s}", "text", much), &err))
                n++;
        assert_int_equal(err.code, ERR_BUG);
        assert_true(n > 100);
        journal_close(journal);
        scoped(record_list_done) RecordList list = {0};
        assert_true(journal_read(path, &list, NULL));
        assert_int_equal(list.n, n);
}

static void reads_that_do_not_go_well(void **state) {
        (void)state;
        journal_close(begin());
        static const struct {
                int how;
                bool read;
                size_t n;
        } cases[] = {{IS_INTERRUPTED, true, 1}, {ENDS_EARLY, true, 0}, {FAILS_AT_ONCE, false, 0}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(record_list_done) RecordList list = {0};
                scoped(err_clear) Err err = {0};
                reading = (unsigned)cases[i].how;
                assert_int_equal(journal_read(path, &list, &err), cases[i].read);
                assert_int_equal(list.n, cases[i].n);
                assert_int_equal(err.code, cases[i].read ? ERR_NONE : ERR_IO);
        }
        Record record = {0};
        reading = FAILS_AT_ONCE;
        assert_false(journal_read_plan(path, &record, NULL));
}

#ifdef BELAY_FAULT_POINTS

/* Making, opening with a torn tail: each fails at every point, and what was whole before stays so. */
static void every_point_fails(void **state) {
        for (unsigned at = 1;; at++) {
                scoped(free_str) char *rule = str_format("*:fails:%u:EIO", at);
                fresh(state);
                Journal *journal = NULL;
                fault_set(rule);
                bool made = journal_create(path, &journal, NULL);
                fault_set(NULL);
                journal_close(journal);
                if (made)
                        break;
                assert_null(journal);
        }
        for (unsigned at = 1;; at++) {
                scoped(free_str) char *rule = str_format("*:fails:%u:EIO", at);
                fresh(state);
                Journal *journal = begin();
                journal_close(journal);
                struct stat st;
                assert_int_equal(stat(path, &st), 0);
                overwrite(st.st_size, "0000");
                scoped(record_list_done) RecordList list = {0};
                journal = NULL;
                fault_set(rule);
                bool opened = journal_open(path, &journal, &list, NULL);
                fault_set(NULL);
                journal_close(journal);
                scoped(record_list_done) RecordList after = {0};
                assert_true(journal_read(path, &after, NULL));
                assert_int_equal(after.n, 1);
                if (opened) {
                        assert_false(after.torn);
                        break;
                }
                assert_null(journal);
        }
}

#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(the_plan_of_a_damaged_journal, fresh),
                cmocka_unit_test_setup(no_plan, fresh),
                cmocka_unit_test_setup(names_that_are_no_journal, fresh),
                cmocka_unit_test_setup(a_payload_that_is_no_object, fresh),
                cmocka_unit_test_setup(a_journal_that_is_full, fresh),
                cmocka_unit_test_setup(reads_that_do_not_go_well, fresh),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test_setup(every_point_fails, fresh),
#endif
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
