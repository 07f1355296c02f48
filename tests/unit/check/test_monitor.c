/* The watch: what is fed and what it means. Times are given, no clock is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "check/log_kind.h"
#include "check/monitor.h"

enum { SECOND = 1000 };
#define MB UINT64_C(1048576)

static CheckSpec checks[2];
static MonitorSpec spec;
static MonitorBaseline baseline;
static MonitorRule rule;
static Monitor *monitor;
static char title_one[] = "health", title_two[] = "port", url[] = "http://localhost:8000/health";
static char fail_text[] = "index is broken", warn_text[] = "slow query", canary[] = "canary-7f3a";
static char *fail_texts[] = {fail_text, NULL}, *warn_texts[] = {warn_text, NULL},
            *secrets[] = {canary, NULL};

static int set_up(void **state) {
        (void)state;
        checks[0] = (CheckSpec){.kind = CHECK_HTTP, .title = title_one, .url = url};
        checks[1] = (CheckSpec){.kind = CHECK_TCP, .title = title_two};
        spec = (MonitorSpec){.for_ms = 120 * SECOND,
                .every_ms = 10 * SECOND,
                .logs_fail = fail_texts,
                .logs_warn = warn_texts,
                .log_defaults = true,
                .errors_per_minute = 1,
                .memory_warn = 80,
                .memory_fail = 95,
                .cpu_warn = 80};
        baseline = (MonitorBaseline){.known = true, .log_known = true};
        rule = (MonitorRule){.spec = &spec,
                .checks = checks,
                .n_checks = 2,
                .baseline = &baseline,
                .secrets = secrets};
        monitor = monitor_new(&rule, 0);
        return 0;
}

static int tear_down(void **state) {
        (void)state;
        monitor_freep(&monitor);
        monitor_baseline_done(&baseline);
        return 0;
}

/* As if rule or baseline had been so from the start. */
static void begin_again(void) {
        monitor_freep(&monitor);
        monitor = monitor_new(&rule, 0);
}

static void answer(int64_t second, size_t check, AnswerKind kind) {
        CheckAnswer one = {.kind = kind, .evidence = "evidence", .took_ms = 10};
        monitor_add_answer(monitor, second * SECOND, check, &one);
}

static void outside(int64_t second, AnswerKind kind) {
        CheckAnswer one = {.kind = kind, .evidence = "from afar"};
        monitor_add_outside(monitor, second * SECOND, &one);
}

static void line(int64_t second, const char *text) {
        monitor_add_log(monitor, second * SECOND, text, strlen(text));
        monitor_add_log(monitor, second * SECOND, "\n", 1);
}

static void process(int64_t second, ProcessSample sample) {
        monitor_add_process(monitor, second * SECOND, &sample);
}

static void memory(int64_t second, uint64_t bytes, uint64_t limit) {
        process(second, (ProcessSample){.running = true,
                                .memory_bytes = bytes,
                                .memory_limit = limit,
                                .cpu_ms = -1});
}

static void cpu(int64_t second, int64_t cpu_ms) {
        process(second, (ProcessSample){.running = true, .cpu_ms = cpu_ms});
}

static void expect(MonitorVerdict verdict) {
        MonitorVerdict now = monitor_verdict(monitor, 120 * SECOND);
        if (now == verdict)
                return;
        size_t n = 0;
        Evidence *evidence = monitor_evidence(monitor, 120 * SECOND, &n);
        for (size_t i = 0; i < n; i++)
                print_message("%d %s %s\n", (int)evidence[i].severity, evidence[i].kind,
                        evidence[i].text);
        evidence_free(evidence, n);
        fail_msg("%s, expected %s", monitor_verdict_name(now), monitor_verdict_name(verdict));
}

/* Whether some evidence holds this text; *ret_place is its place in the list. */
static bool has(const char *text, size_t *ret_place) {
        size_t n = 0;
        bool found = false;
        Evidence *evidence = monitor_evidence(monitor, 120 * SECOND, &n);
        for (size_t i = 0; i < n && !found; i++) {
                found = strstr(evidence[i].text, text) != NULL;
                if (ret_place)
                        *ret_place = i;
        }
        evidence_free(evidence, n);
        return found;
}

static void knows(const char *text) { PUSH(baseline.kinds, baseline.n_kinds, log_line_kind(text)); }

static void all_is_well(void **state) {
        (void)state;
        expect(MONITOR_HEALTHY);
        for (int i = 1; i <= 12; i++) {
                answer(i * 10, 0, ANSWER_PASS);
                answer(i * 10, 1, ANSWER_PASS);
                line(i * 10, "request served");
                memory(i * 10, 50 * MB, 100 * MB);
        }
        expect(MONITOR_HEALTHY);
        assert_false(monitor_undecided(monitor));
        assert_true(has("request served", NULL)); /* a new kind is shown, and means nothing bad */
}

static void checks_fail(void **state) {
        (void)state;
        answer(10, 0, ANSWER_PASS);
        answer(20, 0, ANSWER_FAIL);
        assert_true(monitor_undecided(monitor));
        answer(30, 0, ANSWER_NONE);
        expect(MONITOR_HEALTHY);
        answer(40, 1, ANSWER_PASS);
        answer(40, 0, ANSWER_FAIL);
        assert_false(monitor_undecided(monitor));
        expect(MONITOR_ROLL_BACK);
        assert_true(has("health: evidence, 3 times in a row", NULL));
}

static void one_bad_answer_is_no_failure(void **state) {
        (void)state;
        for (int i = 1; i <= 24; i++)
                answer(i, 0, i % 8 == 0 ? ANSWER_FAIL : ANSWER_PASS);
        answer(30, 0, ANSWER_PASS);
        expect(MONITOR_HEALTHY);
}

static void could_not_ask(void **state) {
        (void)state;
        answer(10, 0, ANSWER_PASS);
        for (int i = 2; i <= 5; i++)
                answer(i * 10, 0, ANSWER_ERROR);
        assert_true(monitor_undecided(monitor));
        answer(60, 0, ANSWER_ERROR);
        assert_false(monitor_undecided(monitor));
        expect(MONITOR_INCONCLUSIVE);
        answer(70, 0, ANSWER_PASS);
        expect(MONITOR_HEALTHY);
}

static void from_outside(void **state) {
        (void)state;
        for (int i = 1; i <= 3; i++)
                outside(i * 10, ANSWER_NONE);
        expect(MONITOR_ROLL_BACK);
        baseline.outside_failed = true;
        expect(MONITOR_INVESTIGATE);
}

static void process_ends(void **state) {
        (void)state;
        static char why[] = "exited with status 3";
        const struct {
                ProcessSample sample;
                const char *text;
        } rows[] = {
                {{.running = false, .gone = why}, "exited with status 3"},
                {{.running = false}, "the process is gone"},
                {{.running = true, .restarts = 1}, "restarted 1 time"},
                {{.running = true, .oom_kills = 1}, "memory ran out"},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                begin_again();
                process(10, rows[i].sample);
                process(20, (ProcessSample){.running = true}); /* it stays said */
                expect(MONITOR_ROLL_BACK);
                assert_true(has(rows[i].text, NULL));
        }
}

static void memory_against_its_limit(void **state) {
        (void)state;
        memory(10, 79 * MB, 100 * MB);
        expect(MONITOR_HEALTHY);
        memory(20, 96 * MB, 100 * MB);
        memory(30, 94 * MB, 100 * MB);
        memory(40, 96 * MB, 100 * MB);
        expect(MONITOR_INVESTIGATE);
        memory(50, 95 * MB, 100 * MB);
        expect(MONITOR_ROLL_BACK);
        assert_true(has("memory at 96 %", NULL));
        spec.memory_warn = spec.memory_fail = 0;
        begin_again();
        memory(10, 99 * MB, 100 * MB);
        memory(20, 99 * MB, 100 * MB);
        memory(30, 99 * MB, 0);
        expect(MONITOR_HEALTHY);
}

static void memory_grows(void **state) {
        (void)state;
        spec.growth_percent = 10;
        spec.growth_ms = 600 * SECOND;
        begin_again();
        for (int i = 1; i <= 12; i++)
                memory(i * 10, 100 * MB + (uint64_t)(i % 2) * MB, 0);
        expect(MONITOR_HEALTHY);
        begin_again();
        for (int i = 1; i <= 12; i++)
                memory(i * 10, 100 * MB + (uint64_t)i * MB, 0);
        expect(MONITOR_INVESTIGATE);
        assert_true(has("memory grows by", NULL));
        begin_again();
        for (int i = 1; i <= 12; i++) /* a cache that fills at the start */
                memory(i * 10, i < 4 ? 50 * MB : 100 * MB, 0);
        expect(MONITOR_HEALTHY);
        begin_again();
        for (int i = 1; i <= 2000; i++)
                memory(i, 100 * MB + (uint64_t)i * MB, 0);
        expect(MONITOR_INVESTIGATE);
}

static void cpu_is_busy(void **state) {
        (void)state;
        cpu(0, 0);
        cpu(10, 9000);
        cpu(20, 18000);
        cpu(30, 18100);
        cpu(40, 27000);
        cpu(50, 36000);
        expect(MONITOR_HEALTHY);
        cpu(60, 45000);
        expect(MONITOR_INVESTIGATE);
        begin_again();
        cpu(10, 5000);
        cpu(20, 100); /* a count that went back says nothing */
        cpu(20, 100);
        expect(MONITOR_HEALTHY);
}

static void red_flags_in_the_log(void **state) {
        (void)state;
        static const struct {
                const char *text;
                int times;
                MonitorVerdict verdict;
        } rows[] = {
                {"java.lang.OutOfMemoryError", 1, MONITOR_ROLL_BACK},
                {"migration failed: 3", 1, MONITOR_ROLL_BACK},
                {"postgres: connection refused", 2, MONITOR_INVESTIGATE},
                {"postgres: connection refused", 3, MONITOR_ROLL_BACK},
                {"no such column: x", 3, MONITOR_ROLL_BACK},
                {"\"GET / HTTP/1.1\" 500 1", 4, MONITOR_INVESTIGATE},
                {"\"GET / HTTP/1.1\" 500 1", 5, MONITOR_ROLL_BACK},
                {"INDEX IS BROKEN now", 1, MONITOR_ROLL_BACK},
                {"a slow query of 3 s", 1, MONITOR_INVESTIGATE},
                {"ERROR one", 1, MONITOR_INVESTIGATE},
                {"nothing much", 3, MONITOR_HEALTHY},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                begin_again();
                for (int j = 0; j < rows[i].times; j++)
                        line(10 + j, rows[i].text);
                expect(rows[i].verdict);
        }
}

/* Far apart they are no row of failures. */
static void not_persistent(void **state) {
        (void)state;
        for (int i = 0; i < 5; i++)
                line(i * 400, "\"GET / HTTP/1.1\" 500 1");
        expect(MONITOR_INVESTIGATE);
        for (int i = 0; i < 4; i++)
                line(1700 + i, "\"GET / HTTP/1.1\" 500 1");
        expect(MONITOR_ROLL_BACK);
}

/* What the old version wrote, too, would not be mended by going back. */
static void known_before(void **state) {
        (void)state;
        knows("postgres: connection refused");
        for (int i = 0; i < 10; i++)
                line(i, "postgres: connection refused");
        expect(MONITOR_INVESTIGATE);
        assert_true(has("before the update too", NULL));
        spec.log_defaults = false;
        begin_again();
        line(1, "java.lang.OutOfMemoryError");
        assert_false(has("out of memory", NULL));
}

static void new_kinds_come_first(void **state) {
        (void)state;
        knows("ERROR old 7");
        size_t place = 99;
        memory(5, 85 * MB, 100 * MB);
        line(10, "ERROR old 8");
        line(20, "brand new message");
        assert_false(has("ERROR old", NULL));
        assert_true(has("brand new message", &place));
        assert_int_equal(place, 0);
        assert_true(has("memory", &place));
        assert_int_equal(place, 1);
        baseline.log_known = false; /* then everything would be new */
        assert_false(has("brand new message", NULL));
}

static void errors_per_minute(void **state) {
        (void)state;
        knows("ERROR seen before");
        line(10, "ERROR seen before");
        line(20, "ERROR seen before");
        expect(MONITOR_HEALTHY); /* two in two minutes: one per minute is allowed */
        line(30, "ERROR seen before");
        expect(MONITOR_INVESTIGATE);
        for (int i = 0; i < 20; i++)
                line(40 + i, "ERROR seen before");
        expect(MONITOR_ROLL_BACK);
        baseline.error_share = 0.6; /* it always was so */
        expect(MONITOR_INVESTIGATE);
        spec.errors_per_minute = 0;
        expect(MONITOR_HEALTHY);
}

static void over_and_over(void **state) {
        (void)state;
        for (int i = 0; i < 119; i++)
                line(i, "waiting for the moon");
        expect(MONITOR_HEALTHY);
        for (int i = 0; i < 60; i++)
                line(119, "waiting for the moon");
        expect(MONITOR_INVESTIGATE);
        assert_true(has("the same message over and over", NULL));
        begin_again();
        for (int i = 0; i < 6000; i++)
                line(i / 50, "\"GET /health HTTP/1.1\" 200 2");
        expect(MONITOR_HEALTHY); /* Belay asked for it itself */
}

static void slower_than_before(void **state) {
        (void)state;
        const struct {
                int64_t before, now;
                MonitorVerdict verdict;
        } rows[] = {
                {10, 200, MONITOR_HEALTHY},
                {10, 260, MONITOR_INVESTIGATE},
                {300, 560, MONITOR_HEALTHY},
                {0, 5000, MONITOR_HEALTHY},
                {300, 600, MONITOR_INVESTIGATE},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                begin_again();
                baseline.latency_ms = rows[i].before;
                for (int j = 0; j < 5; j++) {
                        CheckAnswer one = {.kind = ANSWER_PASS, .took_ms = rows[i].now};
                        monitor_add_answer(monitor, j * SECOND, 0, &one);
                }
                expect(rows[i].verdict);
        }
}

/* N-02, N-06, N-07: formats, colours, bytes, secrets, floods. */
static void hostile_logs(void **state) {
        (void)state;
        static char noise[100000];
        line(1, "%n%s%d ERROR %n");
        line(2, "\033[31mFATAL\033[0m token is canary-7f3a");
        assert_true(has("%n%s%d", NULL));
        assert_true(has("token is [secret]", NULL));
        assert_false(has("canary", NULL));
        assert_false(has("\033", NULL));
        srand(4711);
        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = (char)rand();
        monitor_add_log(monitor, 3 * SECOND, noise, sizeof(noise));
        for (int i = 0; i < 5000; i++) {
                char text[64];
                snprintf(text, sizeof(text), "kind %c%c%c ERROR", 'a' + i % 26, 'a' + i / 26 % 26,
                        'a' + i / 676);
                line(4, text);
        }
        size_t n = 0;
        Evidence *evidence = monitor_evidence(monitor, 5 * SECOND, &n);
        assert_true(n < 60);
        evidence_free(evidence, n);
        monitor_add_trouble(monitor, 6 * SECOND, "the log cannot be read");
        assert_true(has("the log cannot be read", NULL));
}

static void baselines_travel(void **state) {
        (void)state;
        MonitorBaseline copy;
        knows("b");
        knows("a");
        baseline.error_share = 0.25;
        baseline.latency_ms = 12;
        baseline.memory_bytes = 77;
        baseline.outside_failed = true;
        scoped(js_freep) json_t *object = monitor_baseline_to_json(&baseline);
        monitor_baseline_from_json(object, &copy);
        assert_true(copy.known && copy.log_known && copy.outside_failed);
        assert_true(copy.error_share > 0.24 && copy.error_share < 0.26);
        assert_int_equal(copy.latency_ms, 12);
        assert_int_equal(copy.memory_bytes, 77);
        assert_int_equal(copy.n_kinds, 2);
        assert_true(copy.kinds[0] < copy.kinds[1]);
        monitor_baseline_done(&copy);
        monitor_baseline_from_json(NULL, &copy); /* E-16: no data */
        assert_false(copy.known);
        scoped(js_freep) json_t *odd =
                json_pack("{s:[i,n,s],s:s}", "kinds", 1, "zz", "error_share", "x");
        monitor_baseline_from_json(odd, &copy);
        monitor_baseline_done(&copy);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(all_is_well),
                TEST(checks_fail),
                TEST(one_bad_answer_is_no_failure),
                TEST(could_not_ask),
                TEST(from_outside),
                TEST(process_ends),
                TEST(memory_against_its_limit),
                TEST(memory_grows),
                TEST(cpu_is_busy),
                TEST(red_flags_in_the_log),
                TEST(not_persistent),
                TEST(known_before),
                TEST(new_kinds_come_first),
                TEST(errors_per_minute),
                TEST(over_and_over),
                TEST(slower_than_before),
                TEST(hostile_logs),
                TEST(baselines_travel),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
