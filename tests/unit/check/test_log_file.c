/* Reading on in a log that is rotated by copy and truncate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "check/log_file.h"
#include "platform/file.h"

static char dir[] = "/tmp/belay-log-XXXXXX";
static char *path, *old_path;

static int set_up(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        path = path_join(dir, "service.log");
        old_path = path_join(dir, "service.log.1");
        return 0;
}

static int clear(void **state) {
        (void)state;
        return file_unlink(path, NULL) && file_unlink(old_path, NULL) ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        free(path);
        free(old_path);
        return tree_remove(dir, NULL) ? 0 : -1;
}

static void append(const char *text) {
        FILE *file = fopen(path, "a");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

/* As the keeper does it. */
static void rotate(void) {
        assert_true(file_copy_durable(path, old_path, NULL));
        assert_int_equal(truncate(path, 0), 0);
}

static char *read_all(const LogReader *log, LogPlace *place, size_t room) {
        Str text = {0};
        char block[64];
        for (size_t n = 1; n > 0;) {
                assert_true(log->read(log->context, place, block, room, &n, NULL));
                str_add_n(&text, block, n);
        }
        return str_take(&text);
}

static void expect(const LogReader *log, LogPlace *place, const char *expected) {
        scoped(free_str) char *text = read_all(log, place, 7);
        assert_string_equal(text, expected);
}

static void reads_on(void **state) {
        (void)state;
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0};
        expect(&log, &place, "");
        append("one\n");
        expect(&log, &place, "one\n");
        expect(&log, &place, "");
        append("two\n");
        LogPlace end = {0};
        assert_true(log.end(log.context, &end, NULL));
        assert_int_equal(end.offset, 8);
        expect(&log, &place, "two\n");
        expect(&log, &end, "");
}

static void rotated(void **state) {
        (void)state;
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0};
        append("one\n");
        expect(&log, &place, "one\n");
        append("two, read by nobody before the rotation\n");
        rotate();
        append("three\n");
        expect(&log, &place, "two, read by nobody before the rotation\nthree\n");
        append("four\n");
        expect(&log, &place, "four\n");
}

/* The new file has grown beyond the old place before anybody looked: its first bytes betray it. */
static void rotated_and_grown(void **state) {
        (void)state;
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0};
        append("10:01 one\n");
        expect(&log, &place, "10:01 one\n");
        rotate();
        append("10:02 a line much longer than all that was there before\n");
        expect(&log, &place, "10:02 a line much longer than all that was there before\n");
}

static void cut_without_copy(void **state) {
        (void)state;
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0};
        append("one and more\n");
        expect(&log, &place, "one and more\n");
        assert_int_equal(truncate(path, 0), 0);
        append("two\n");
        expect(&log, &place, "two\n");
}

/* The same long first line as before, and less than was read. */
static void cut_and_alike(void **state) {
        (void)state;
        static const char first[] = "notes 1.0.0 starts, and says so at such length that "
                                    "sixty-four bytes are not all\n";
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0};
        append(first);
        append("more\n");
        scoped(free_str) char *all = read_all(&log, &place, 64);
        assert_int_equal(strlen(all), strlen(first) + 5);
        assert_int_equal(truncate(path, 0), 0);
        append(first);
        expect(&log, &place, first);
}

static void places_travel(void **state) {
        (void)state;
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0}, copy;
        append("0123456789012345678901234567890123456789012345678901234567890123456789\n");
        assert_true(log.end(log.context, &place, NULL));
        assert_int_equal(place.head_bytes, LOG_HEAD_MAX);
        scoped(js_freep) json_t *object = log_place_to_json(&place);
        log_place_from_json(object, &copy);
        assert_memory_equal(&copy, &place, sizeof(copy));
        append("next\n");
        expect(&log, &copy, "next\n");
        js_set_int(object, "head_bytes", 65);
        log_place_from_json(object, &copy);
        assert_int_equal(copy.offset, 0);
        log_place_from_json(NULL, &copy);
        assert_int_equal(copy.offset, 0);
}

static void no_file(void **state) {
        (void)state;
        LogFile file = {.path = dir};
        LogReader log = log_file_reader(&file);
        LogPlace place = {0};
        Err err = {0};
        char block[8];
        size_t n = 0;
        assert_false(log.end(log.context, &place, &err));
        err_clear(&err);
        assert_false(log.read(log.context, &place, block, sizeof(block), &n, NULL));
        assert_int_equal(mkfifo(path, 0600), 0);
        file.path = path;
        assert_false(log.end(log.context, &place, NULL)); /* and does not wait for a writer */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(reads_on, clear),
                cmocka_unit_test_teardown(rotated, clear),
                cmocka_unit_test_teardown(rotated_and_grown, clear),
                cmocka_unit_test_teardown(cut_without_copy, clear),
                cmocka_unit_test_teardown(cut_and_alike, clear),
                cmocka_unit_test_teardown(places_travel, clear),
                cmocka_unit_test_teardown(no_file, clear),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
