/* Lines of logs: kinds, errors, red flags; and cutting a stream into lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "check/log_kind.h"

static void one_kind(void **state) {
        (void)state;
        static const struct {
                const char *one, *other;
                bool same;
        } rows[] = {
                {"2026-02-03 04:05:06 started pid 4121", "2026-12-31 23:59:59 started pid 7", true},
                {"request 7f3ac0ffee12 done", "request 00112233445566aa done", true},
                {"id 123e4567-e89b-12d3-a456-426614174000",
                        "id 00000000-0000-4000-8000-000000000001", true},
                {"user alice", "user bob", false},
                {"GET /a 200 12ms", "GET /a 200 340ms", true},
                {"GET /a 200", "GET /a 404", true},
                {"GET /a 200", "GET /a 500", false},
                {"GET /a 500", "GET /a 502", false},
                {"GET /a 5001", "GET /a 7", true},
                {"deadbeef", "feedface", false}, /* words without a digit are words */
                {"worker3 up", "worker12 up", true},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                bool same = log_line_kind(rows[i].one) == log_line_kind(rows[i].other);
                if (same != rows[i].same)
                        fail_msg("'%s' and '%s'", rows[i].one, rows[i].other);
        }
        assert_int_not_equal(log_line_kind(""), 0);
}

static void errors(void **state) {
        (void)state;
        static const char *const yes[] = {"ERROR: no", "[error] x", "level=error msg=x", "2 errors",
                "Fatal: x", "KeyError: 'x'", "java.lang.NullPointerException", "CRITICAL disk",
                "Traceback (most recent call last):"};
        static const char *const no[] = {"terrorist", "finished with 0 errors", "no error",
                "mirror", "errand", "ok", "err=<nil> done", "fatality"};
        for (size_t i = 0; i < COUNT_OF(yes); i++)
                if (!log_line_is_error(yes[i]))
                        fail_msg("'%s' is an error", yes[i]);
        for (size_t i = 0; i < COUNT_OF(no); i++)
                if (log_line_is_error(no[i]))
                        fail_msg("'%s' is no error", no[i]);
}

static void flags(void **state) {
        (void)state;
        static const struct {
                const char *line, *name;
        } rows[] = {
                {"java.lang.OutOfMemoryError: Java heap space", "out of memory"},
                {"MemoryError", "out of memory"},
                {"migration failed: 003", "a migration failed"},
                {"sqlite3.DatabaseError: database disk image is malformed",
                        "the database is damaged"},
                {"sqlite3.OperationalError: no such column: note.owner",
                        "the database is not as the program expects it"},
                {"connect to postgres://db:5432: Connection refused",
                        "connection to a database refused"},
                {"Error: connect ECONNREFUSED 127.0.0.1:6379", "connection to a database refused"},
                {"panic: runtime error", "repeated crash"},
                {"1.2.3.4 - - [x] \"GET / HTTP/1.1\" 500 12", "persistent HTTP 5xx"},
                {"status=503 path=/", "persistent HTTP 5xx"},
                {"{\"status\": 502}", "persistent HTTP 5xx"},
                {"connect to upstream: Connection refused", NULL},
                {"\"GET / HTTP/1.1\" 200 500", NULL},
                {"took 500 ms", NULL},
                {"\"GET /500 HTTP/1.1\" 404 0", NULL},
                {"status=5030", NULL},
                {"", NULL},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                int flag = log_line_red_flag(rows[i].line);
                const char *name = flag < 0 ? NULL : red_flags[flag].name;
                if (!str_equal(name, rows[i].name))
                        fail_msg("'%s': %s", rows[i].line, name ? name : "none");
        }
        for (size_t i = 0; i < RED_FLAGS; i++)
                assert_in_range(red_flags[i].needed, 1, RED_FLAG_NEEDED_MAX);
        char *texts[] = {(char[]){"Index Rebuilt"}, (char[]){""}, NULL};
        assert_true(log_line_has("the index rebuilt itself", texts));
        assert_false(log_line_has("the index", texts));
        assert_false(log_line_has("anything", NULL));
}

/* N-01, N-06: whatever a log holds is only text. */
static void hostile(void **state) {
        (void)state;
        static const char bytes[] = "\033[31mred\033[0m %n%s \0 \xff\xfe \033]0;title\007 end\033[";
        scoped(free_str) char *clean = log_line_clean(bytes, sizeof(bytes) - 1);
        assert_null(strchr(clean, '\033'));
        assert_true(str_starts(clean, "red %n%s ? "));
        assert_int_not_equal(log_line_kind(clean), 0);
        scoped(free_str) char *nothing = log_line_clean("\033", 1);
        assert_string_equal(nothing, "");
}

typedef struct Taken {
        char *lines;
        size_t n, longest;
} Taken;

static void take(void *context, const char *bytes, size_t n) {
        Taken *taken = context;
        if (n < 100) {
                scoped(free_str) char *line = str_copy_n(bytes, n);
                str_replace_owned(
                        &taken->lines, str_format("%s%s|", taken->lines ? taken->lines : "", line));
        }
        taken->n++;
        taken->longest = n > taken->longest ? n : taken->longest;
}

static void lines(void **state) {
        (void)state;
        Taken taken = {0};
        LineCutter cutter = {.take = take, .context = &taken};
        line_cutter_add(&cutter, "on", 2);
        line_cutter_add(&cutter, "e\ntwo\n\nth", 9);
        line_cutter_add(&cutter, "ree\n", 4);
        assert_string_equal(taken.lines, "one|two|three|");
        scoped(free_str) char *huge = mem_new(3 * LIMIT_LOG_LINE, 1);
        memset(huge, 'x', 3 * LIMIT_LOG_LINE);
        line_cutter_add(&cutter, huge, 3 * LIMIT_LOG_LINE);
        assert_int_equal(taken.n, 4);
        assert_int_equal(taken.longest, LIMIT_LOG_LINE);
        line_cutter_add(&cutter, "rest of it\nfour\n", 16);
        assert_string_equal(taken.lines, "one|two|three|four|");
        line_cutter_done(&cutter);
        free(taken.lines);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_kind),
                cmocka_unit_test(errors),
                cmocka_unit_test(flags),
                cmocka_unit_test(hostile),
                cmocka_unit_test(lines),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
