/* The journal as bytes: what is written, what is read back, what is taken for damage (J-01 to J-08). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "journal/journal.h"
#include "journal/record.h"
#include "platform/fault.h"
#include "platform/file.h"

/* The format, for ever: these bytes are read by every later Belay. */
static const char golden[] =
        "e5978205 1 PLAN "
        "{\"format\":1,\"service\":\"notes\",\"kind\":\"update\",\"steps\":[{\"name\":\"stop\"}],"
        "\"at\":1770000000000}\n"
        "67dfa5a7 2 OWNER "
        "{\"epoch\":1,\"pid\":4121,\"start_time\":99,\"boot_id\":\"b\",\"at\":1770000000001}\n"
        "6b9e1efa 3 ARM {\"at\":1770000000002}\n"
        "02d3024b 4 INTENT "
        "{\"step\":\"stop\",\"undo\":false,\"attempt\":1,\"facts\":{\"pid\":4000},"
        "\"at\":1770000000003}\n"
        "2571f78d 5 DONE "
        "{\"step\":\"stop\",\"undo\":false,\"observed\":{},\"took_ms\":7,\"at\":1770000000010}\n"
        "e27940aa 6 COMMIT {\"at\":1770000000011}\n"
        "703d16db 7 END "
        "{\"state\":\"succeeded\",\"exit\":0,\"unfinished\":[],\"at\":1770000000012}\n";
enum { GOLDEN_RECORDS = 7 };

static char dir[] = "/dev/shm/belay-journal-XXXXXX";
static char *path;

static int make_dir(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        path = path_join(dir, "journal");
        return 0;
}

static int remove_dir(void **state) {
        (void)state;
        free(path);
        return tree_remove(dir, NULL) ? 0 : -1;
}

static int fresh(void **state) {
        (void)state;
#ifdef BELAY_FAULT_POINTS
        fault_set(NULL);
#endif
        return tree_remove(path, NULL) ? 0 : -1;
}

static void put(const void *bytes, size_t n) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        close(fd);
}

static size_t read_count(bool *ret_torn, ErrCode *ret_code) {
        scoped(err_clear) Err err = {0};
        scoped(record_list_done) RecordList list = {0};
        bool ok = journal_read(path, &list, &err);
        assert_int_equal(ok, err.code == ERR_NONE);
        *ret_torn = list.torn;
        *ret_code = err.code;
        return list.n;
}

static void expect(size_t records, bool torn, ErrCode code) {
        bool is_torn = false;
        ErrCode is_code = ERR_NONE;
        size_t n = read_count(&is_torn, &is_code);
        assert_string_equal(err_name(is_code), err_name(code));
        assert_int_equal(n, records);
        assert_int_equal(is_torn, torn);
}

/* A line with a right checksum around any text. */
static void add_line(Str *s, const char *rest) {
        str_addf(s, "%08x %s\n", crc32c(rest, strlen(rest)), rest);
}

static void expect_lines(const char *const *lines, ErrCode code) {
        Str text = {0};
        size_t n = 0;
        for (; lines[n]; n++)
                add_line(&text, lines[n]);
        put(text.text, text.len);
        expect(code == ERR_NONE ? n : 0, false, code);
        str_done(&text);
}

static void test_golden_is_read(void **state) {
        (void)state;
        put(golden, sizeof(golden) - 1);
        RecordList list = {0};
        assert_true(journal_read(path, &list, NULL));
        assert_int_equal(list.n, GOLDEN_RECORDS);
        assert_false(list.torn);
        assert_int_equal(list.records[0].type, RECORD_PLAN);
        assert_string_equal(js_str(list.records[0].payload, "service"), "notes");
        assert_int_equal(list.records[6].type, RECORD_END);
        record_list_done(&list);
}

static void test_golden_is_written(void **state) {
        (void)state;
        put(golden, sizeof(golden) - 1);
        RecordList list = {0};
        assert_true(journal_read(path, &list, NULL));
        Str again = {0};
        for (size_t i = 0; i < list.n; i++) {
                size_t n = 0;
                scoped(free_str) char *line = record_encode(&list.records[i], &n);
                assert_int_equal(strlen(line), n);
                str_add(&again, line);
        }
        assert_string_equal(again.text, golden);
        str_done(&again);
        record_list_done(&list);
}

static void test_append_and_read_back(void **state) {
        (void)state;
        Journal *journal = NULL;
        assert_true(journal_create(path, &journal, NULL));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_true(st.st_blocks * 512 >= JOURNAL_RESERVE);
        assert_int_equal(st.st_mode & 07777, 0600);
        expect(0, false, ERR_NONE);
        json_t *plan = json_pack("{s:i,s:[]}", "format", 1, "steps");
        assert_true(journal_append(journal, RECORD_PLAN, plan, NULL));
        for (int i = 0; i < 50; i++)
                assert_true(journal_append(journal, RECORD_NOTE, json_pack("{s:i}", "i", i), NULL));
        journal_close(journal);
        RecordList list = {0};
        assert_true(journal_read(path, &list, NULL));
        assert_int_equal(list.n, 51);
        for (size_t i = 0; i < list.n; i++) {
                assert_int_equal(list.records[i].sequence, i + 1);
                assert_true(js_int(list.records[i].payload, "at", 0) > 1700000000000);
        }
        assert_int_equal(js_int(list.records[50].payload, "i", -1), 49);
        record_list_done(&list);
        assert_false(journal_create(path, &journal, NULL));
}

static void test_open_appends(void **state) {
        (void)state;
        put(golden, sizeof(golden) - 1);
        Journal *journal = NULL;
        RecordList list = {0};
        assert_true(journal_open(path, &journal, &list, NULL));
        assert_int_equal(list.n, GOLDEN_RECORDS);
        assert_true(journal_append(journal, RECORD_NOTE, json_object(), NULL));
        expect(GOLDEN_RECORDS + 1, false, ERR_NONE);
        journal_close(journal);
        record_list_done(&list);
}

/* Length of the golden journal's first n records. */
static size_t golden_bytes(size_t n) {
        const char *at = golden;
        while (n--)
                at = strchr(at, '\n') + 1;
        return (size_t)(at - golden);
}

static void test_truncation_at_every_byte(void **state) {
        (void)state;
        for (size_t cut = 0; cut < sizeof(golden); cut++) {
                put(golden, cut);
                size_t whole = 0;
                while (whole < GOLDEN_RECORDS && golden_bytes(whole + 1) <= cut)
                        whole++;
                expect(whole, cut != golden_bytes(whole), ERR_NONE);
        }
}

static void test_torn_tail_is_cut_before_appending(void **state) {
        (void)state;
        for (size_t cut = golden_bytes(5) + 1; cut < golden_bytes(6); cut++) {
                put(golden, cut);
                Journal *journal = NULL;
                RecordList list = {0};
                assert_true(journal_open(path, &journal, &list, NULL));
                assert_true(list.torn);
                assert_int_equal(list.n, 5);
                assert_true(journal_append(journal, RECORD_NOTE, json_object(), NULL));
                journal_close(journal);
                record_list_done(&list);
                expect(6, false, ERR_NONE);
        }
}

/* Either it is found, or the flip is in the last record, which then is the torn tail. */
static void flip_every_bit(const char *bytes, size_t n, size_t last_begins, size_t records) {
        put(bytes, n);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        for (size_t bit = 0; bit < n * 8; bit++) {
                char flipped = (char)(bytes[bit / 8] ^ (1 << bit % 8));
                assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), 1);
                bool torn = false;
                ErrCode code = ERR_NONE;
                size_t got = read_count(&torn, &code);
                bool found = code == ERR_CORRUPT || code == ERR_REFUSED;
                bool in_tail = bit / 8 >= last_begins && torn && got == records - 1;
                if (!found && !in_tail)
                        fail_msg("bit %zu of byte %zu went unseen: %zu records", bit % 8, bit / 8,
                                got);
                assert_int_equal(pwrite(fd, bytes + bit / 8, 1, (off_t)(bit / 8)), 1);
        }
        close(fd);
}

static void test_every_bit_flip(void **state) {
        (void)state;
        flip_every_bit(
                golden, sizeof(golden) - 1, golden_bytes(GOLDEN_RECORDS - 1), GOLDEN_RECORDS);
}

static void test_every_bit_flip_of_64_kib(void **state) {
        (void)state;
        if (!getenv("BELAY_LONG") || !*getenv("BELAY_LONG"))
                skip();
        Str text = {0};
        size_t last = 0, records = 0;
        add_line(&text, "1 PLAN {\"format\":1,\"steps\":[]}");
        for (records = 1; text.len < 64 * 1024; records++) {
                scoped(free_str) char *rest = str_format("%zu NOTE {\"text\":\"%0*zu\"}",
                        records + 1, (int)(records * 37 % 4000), records);
                last = text.len;
                add_line(&text, rest);
        }
        flip_every_bit(text.text, text.len, last, records);
        str_done(&text);
}

static void put_with_tail(const char *tail, size_t n) {
        scoped(free_str) char *all = mem_new(sizeof(golden) + n, 1);
        memcpy(all, golden, sizeof(golden) - 1);
        memcpy(all + sizeof(golden) - 1, tail, n);
        put(all, sizeof(golden) - 1 + n);
}

static void test_filled_tails_are_torn(void **state) {
        (void)state;
        char tail[4096];
        for (size_t n = 1; n <= sizeof(tail); n += n < 64 ? 1 : 61) {
                memset(tail, 0, sizeof(tail));
                put_with_tail(tail, n);
                expect(GOLDEN_RECORDS, true, ERR_NONE);
                memset(tail, 0xff, sizeof(tail));
                put_with_tail(tail, n);
                expect(GOLDEN_RECORDS, true, ERR_NONE);
        }
        static const char half[] = "1234abcd 8 NOTE {\"te\0\0\0\0\0\0";
        put_with_tail(half, sizeof(half));
        expect(GOLDEN_RECORDS, true, ERR_NONE);
        static const char ended[] = "1234abcd 8 NOTE {\"te\0\0\0\0\n\0\0\0\xff";
        put_with_tail(ended, sizeof(ended));
        expect(GOLDEN_RECORDS, true, ERR_NONE);
}

static void test_two_damaged_lines_are_no_torn_tail(void **state) {
        (void)state;
        static const char two[] = "1234abcd 8 NOTE {}\n1234abcd 9 NOTE {}\n";
        put_with_tail(two, sizeof(two) - 1);
        expect(0, false, ERR_CORRUPT);
}

static void test_a_lost_newline_hides_no_record(void **state) {
        (void)state;
        for (size_t i = 1; i < GOLDEN_RECORDS; i++) {
                scoped(free_str) char *bytes = str_copy(golden);
                bytes[golden_bytes(i) - 1] = ' ';
                put(bytes, strlen(bytes));
                expect(0, false, ERR_CORRUPT);
        }
}

static void test_lines_swapped_doubled_removed(void **state) {
        (void)state;
        static const char *const plan = "1 PLAN {\"format\":1,\"steps\":[]}";
        expect_lines((const char *const[]){plan, "2 NOTE {}", "3 NOTE {}", NULL}, ERR_NONE);
        expect_lines((const char *const[]){plan, "3 NOTE {}", "2 NOTE {}", NULL}, ERR_CORRUPT);
        expect_lines((const char *const[]){plan, "2 NOTE {}", "2 NOTE {}", NULL}, ERR_CORRUPT);
        expect_lines((const char *const[]){plan, "3 NOTE {}", NULL}, ERR_CORRUPT);
        expect_lines((const char *const[]){"1 NOTE {}", plan, NULL}, ERR_CORRUPT);
        expect_lines((const char *const[]){plan, "2 PLAN {\"format\":1,\"steps\":[]}", NULL},
                ERR_CORRUPT);
        expect_lines((const char *const[]){"2 PLAN {\"format\":1}", NULL}, ERR_CORRUPT);
}

static void test_what_no_belay_writes(void **state) {
        (void)state;
        static const char *const wrong[] = {
                "2 NOTES {}",
                "2 note {}",
                "2 NOTE",
                "2 NOTE []",
                "2 NOTE {",
                "2 NOTE {\"a\":1,\"a\":2}",
                "2 NOTE {} {}",
                "2  NOTE {}",
                "2 NOTE {\"a\":\"\\u0000\"}",
                "2 NOTE {\"a\":\"\xff\"}",
        };
        for (size_t i = 0; i < COUNT_OF(wrong); i++)
                expect_lines((const char *const[]){"1 PLAN {\"format\":1}", wrong[i], NULL},
                        ERR_CORRUPT);
        expect_lines((const char *const[]){"1 PLAN {\"format\":0}", NULL}, ERR_CORRUPT);
        expect_lines((const char *const[]){"1 PLAN {\"format\":\"1\"}", NULL}, ERR_CORRUPT);
        expect_lines((const char *const[]){"1 PLAN {}", NULL}, ERR_CORRUPT);
        /* Numbers in another spelling are no records at all, so these are torn tails. */
        static const char *const spelled[] = {"02 NOTE {}", "+2 NOTE {}", " 2 NOTE {}",
                "-1 NOTE {}", "99999999999999999999 NOTE {}"};
        for (size_t i = 0; i < COUNT_OF(spelled); i++) {
                Str text = {0};
                add_line(&text, "1 PLAN {\"format\":1}");
                add_line(&text, spelled[i]);
                put(text.text, text.len);
                expect(1, true, ERR_NONE);
                str_done(&text);
        }
}

static void test_newer_format_is_refused(void **state) {
        (void)state;
        expect_lines(
                (const char *const[]){"1 PLAN {\"format\":2}", "2 TELEPORT {}", NULL}, ERR_REFUSED);
}

static void test_limits(void **state) {
        (void)state;
        scoped(free_str) char *fits =
                str_format("2 NOTE {\"a\":\"%0*d\"}", LIMIT_JOURNAL_RECORD - 8, 0);
        scoped(free_str) char *over =
                str_format("2 NOTE {\"a\":\"%0*d\"}", LIMIT_JOURNAL_RECORD - 7, 0);
        expect_lines((const char *const[]){"1 PLAN {\"format\":1}", fits, NULL}, ERR_NONE);
        expect_lines((const char *const[]){"1 PLAN {\"format\":1}", over, NULL}, ERR_CORRUPT);
        put("x", 1);
        assert_int_equal(truncate(path, LIMIT_JOURNAL_BYTES + 1), 0);
        expect(0, false, ERR_CORRUPT);
        assert_int_equal(truncate(path, LIMIT_JOURNAL_BYTES), 0);
        expect(0, true, ERR_NONE);
}

static void test_no_regular_file(void **state) {
        (void)state;
        expect(0, false, ERR_UNKNOWN);
        assert_int_equal(mkdir(path, 0700), 0);
        expect(0, false, ERR_CORRUPT);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        expect(0, false, ERR_CORRUPT);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        expect(0, false, ERR_CORRUPT);
        Journal *journal = NULL;
        RecordList list = {0};
        assert_false(journal_open(path, &journal, &list, NULL));
        assert_false(journal_create(path, &journal, NULL));
}

static Journal *begun(void) {
        Journal *journal = NULL;
        assert_true(journal_create(path, &journal, NULL));
        assert_true(journal_append(journal, RECORD_PLAN, json_pack("{s:i}", "format", 1), NULL));
        return journal;
}

static void test_too_large_a_record_is_not_written(void **state) {
        (void)state;
        Journal *journal = begun();
        scoped(free_str) char *text = str_format("%0*d", LIMIT_JOURNAL_RECORD, 0);
        scoped(err_clear) Err err = {0};
        assert_false(journal_append(journal, RECORD_NOTE, json_pack("{s:s}", "text", text), &err));
        assert_int_equal(err.code, ERR_BUG);
        assert_true(journal_dead(journal));
        journal_close(journal);
        expect(1, false, ERR_NONE);
}

static void test_what_cannot_be_read_back_is_not_written(void **state) {
        (void)state;
        Journal *journal = begun();
        scoped(err_clear) Err err = {0};
        json_t *payload = json_object();
        js_set(payload, "text", json_stringn("a\0b", 3));
        assert_false(journal_append(journal, RECORD_NOTE, payload, &err));
        assert_int_equal(err.code, ERR_BUG);
        journal_close(journal);
        expect(1, false, ERR_NONE);
}

#ifdef BELAY_FAULT_POINTS

/* A write or sync that failed is the last thing this journal did: nothing is tried again. */
static void test_a_failed_append_kills_the_journal(void **state) {
        (void)state;
        for (unsigned at = 1; at <= 2; at++) {
                fresh(NULL);
                Journal *journal = begun();
                scoped(free_str) char *rule = str_format("*:error:%u:ENOSPC", at);
                fault_set(rule);
                scoped(err_clear) Err err = {0};
                assert_false(journal_append(journal, RECORD_NOTE, json_object(), &err));
                assert_int_equal(err.code, ERR_NO_SPACE);
                assert_true(journal_dead(journal));
                unsigned count = fault_count();
                assert_false(journal_append(journal, RECORD_NOTE, json_object(), NULL));
                assert_int_equal(fault_count(), count);
                fault_set(NULL);
                journal_close(journal);
        }
}

static void test_an_append_is_one_write_and_one_sync(void **state) {
        (void)state;
        Journal *journal = begun();
        fault_set(NULL);
        assert_true(journal_append(journal, RECORD_ARM, json_object(), NULL));
        assert_int_equal(fault_count(), 2);
        journal_close(journal);
}

static bool dies_in_append(Journal *journal, const char *rule) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                fault_set(rule);
                journal_append(journal, RECORD_NOTE, json_object(), NULL);
                _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        return WIFSIGNALED(status);
}

static void test_a_death_in_an_append_leaves_a_torn_tail_or_the_record(void **state) {
        (void)state;
        static const struct {
                const char *rule;
                size_t records;
                bool torn;
        } deaths[] = {{"*:die:1", 1, false}, {"*:torn:1", 1, true}, {"*:after:1", 2, false},
                {"*:die:2", 2, false}};
        for (size_t i = 0; i < COUNT_OF(deaths); i++) {
                fresh(NULL);
                Journal *journal = begun();
                assert_true(dies_in_append(journal, deaths[i].rule));
                journal_close(journal);
                expect(deaths[i].records, deaths[i].torn, ERR_NONE);
        }
}

/* A tail that cannot be cut off is an error; that no room can be reserved again is none. */
static void test_cutting_fails_at_every_point(void **state) {
        (void)state;
        static const bool opens[] = {false, true, false};
        for (unsigned at = 1; at <= COUNT_OF(opens); at++) {
                put(golden, golden_bytes(6) - 3);
                scoped(free_str) char *rule = str_format("*:error:%u:EIO", at);
                scoped(journal_freep) Journal *journal = NULL;
                scoped(record_list_done) RecordList list = {0};
                scoped(err_clear) Err err = {0};
                fault_set(rule);
                assert_int_equal(journal_open(path, &journal, &list, &err), opens[at - 1]);
                fault_set(NULL);
                assert_int_equal(err.code, opens[at - 1] ? ERR_NONE : ERR_IO);
                expect(5, at == 1, ERR_NONE);
        }
}

static void test_creating_fails_at_every_point(void **state) {
        (void)state;
        for (unsigned at = 1; at <= 4; at++) {
                fresh(NULL);
                scoped(free_str) char *rule = str_format("*:error:%u", at);
                fault_set(rule);
                Journal *journal = NULL;
                scoped(err_clear) Err err = {0};
                assert_false(journal_create(path, &journal, &err));
                assert_int_equal(err.code, ERR_IO);
                assert_null(journal);
        }
}

#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_golden_is_read, fresh),
                cmocka_unit_test_setup(test_golden_is_written, fresh),
                cmocka_unit_test_setup(test_append_and_read_back, fresh),
                cmocka_unit_test_setup(test_open_appends, fresh),
                cmocka_unit_test_setup(test_truncation_at_every_byte, fresh),
                cmocka_unit_test_setup(test_torn_tail_is_cut_before_appending, fresh),
                cmocka_unit_test_setup(test_every_bit_flip, fresh),
                cmocka_unit_test_setup(test_every_bit_flip_of_64_kib, fresh),
                cmocka_unit_test_setup(test_filled_tails_are_torn, fresh),
                cmocka_unit_test_setup(test_two_damaged_lines_are_no_torn_tail, fresh),
                cmocka_unit_test_setup(test_a_lost_newline_hides_no_record, fresh),
                cmocka_unit_test_setup(test_lines_swapped_doubled_removed, fresh),
                cmocka_unit_test_setup(test_what_no_belay_writes, fresh),
                cmocka_unit_test_setup(test_newer_format_is_refused, fresh),
                cmocka_unit_test_setup(test_limits, fresh),
                cmocka_unit_test_setup(test_no_regular_file, fresh),
                cmocka_unit_test_setup(test_too_large_a_record_is_not_written, fresh),
                cmocka_unit_test_setup(test_what_cannot_be_read_back_is_not_written, fresh),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test_setup(test_a_failed_append_kills_the_journal, fresh),
                cmocka_unit_test_setup(test_an_append_is_one_write_and_one_sync, fresh),
                cmocka_unit_test_setup(
                        test_a_death_in_an_append_leaves_a_torn_tail_or_the_record, fresh),
                cmocka_unit_test_setup(test_cutting_fails_at_every_point, fresh),
                cmocka_unit_test_setup(test_creating_fails_at_every_point, fresh),
#endif
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
