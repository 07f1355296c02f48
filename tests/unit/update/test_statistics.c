/* Statistics of runs, against an oracle that counts everything anew and one by one. */
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
#include "update/html.h"
#include "update/statistics.h"

enum { ROUNDS = 300, RUNS_MAX = 60, DAY = 86400000 };

static const char *const kinds[] = {"update", "update", "update", "rollback", "restore"};
static const char *const causes[] = {"a disk is full", "the port is taken by another program",
        "verify failed (answer_no)", "cancelled by a person"};
static const char *const services[] = {"auth", "notes", "shop"};

#define PICK(list) (list[(size_t)rand_r(seed) % COUNT_OF(list)])

static Summary random_run(unsigned number, unsigned *seed) {
        Summary run = {
                .run = number,
                .service = str_copy(PICK(services)),
                .kind = str_copy(PICK(kinds)),
                .damaged = rand_r(seed) % 20 == 0,
                .end = (RunEnd)(rand_r(seed) % 5),
                .began_ms = rand_r(seed) % (10 * DAY),
                .gap_ms = rand_r(seed) % 3 ? rand_r(seed) % 9000 : -1,
                .restore_ms = rand_r(seed) % 5 ? -1 : rand_r(seed) % 5000,
        };
        if (run.end != RUN_OPEN)
                run.ended_ms = run.began_ms + rand_r(seed) % 100000;
        run.went_back =
                run.end == RUN_ROLLED_BACK || (run.end == RUN_NEEDS_PERSON && rand_r(seed) % 2);
        if (run.end > RUN_SUCCEEDED)
                run.cause = str_copy(PICK(causes));
        return run;
}

/* -- the oracle --------------------------------------------------------------------------- */

typedef bool (*Question)(const Summary *run);

static bool counts(const Summary *run, const char *service, int64_t since, int64_t until) {
        return !run->damaged && run->began_ms >= since && run->began_ms < until &&
               (!service || strcmp(run->service, service) == 0);
}

static bool is_update(const Summary *run) {
        return strcmp(run->kind, "update") == 0 && run->end != RUN_OPEN;
}
static bool has_succeeded(const Summary *run) {
        return is_update(run) && run->end == RUN_SUCCEEDED;
}
static bool was_rolled_back(const Summary *run) {
        return is_update(run) && run->end == RUN_ROLLED_BACK;
}
static bool has_a_gap(const Summary *run) { return run->end != RUN_OPEN && run->gap_ms >= 0; }
static bool was_asked_back(const Summary *run) {
        return strcmp(run->kind, "rollback") == 0 && run->end != RUN_OPEN;
}
static bool went_back(const Summary *run) {
        return run->end != RUN_OPEN &&
               (run->went_back || (was_asked_back(run) && run->end != RUN_ABORTED));
}
static bool is_open(const Summary *run) { return run->end == RUN_OPEN; }

static int64_t gap_of(const Summary *run) { return run->gap_ms; }
static int64_t time_of(const Summary *run) { return run->ended_ms - run->began_ms; }

typedef struct Asked {
        const Summary *runs;
        size_t n;
        const char *service;
        int64_t since, until;
} Asked;

static size_t count(const Asked *asked, Question question) {
        size_t n = 0;
        for (size_t i = 0; i < asked->n; i++)
                n += counts(&asked->runs[i], asked->service, asked->since, asked->until) &&
                     question(&asked->runs[i]);
        return n;
}

/* How many values are not above `limit`. */
static size_t rank(
        const Asked *asked, Question question, int64_t (*value)(const Summary *), int64_t limit) {
        size_t n = 0;
        for (size_t i = 0; i < asked->n; i++)
                n += counts(&asked->runs[i], asked->service, asked->since, asked->until) &&
                     question(&asked->runs[i]) && value(&asked->runs[i]) <= limit;
        return n;
}

/* The smallest value of which at least `wanted` are not above; tried from 0 upwards, over all that occur. */
static int64_t at_rank(
        const Asked *asked, Question question, int64_t (*value)(const Summary *), size_t wanted) {
        int64_t best = INT64_MAX;
        for (size_t i = 0; i < asked->n; i++) {
                const Summary *run = &asked->runs[i];
                if (!counts(run, asked->service, asked->since, asked->until) || !question(run))
                        continue;
                if (rank(asked, question, value, value(run)) >= wanted && value(run) < best)
                        best = value(run);
        }
        return best;
}

static void assert_spread(const Asked *asked, Question question, int64_t (*value)(const Summary *),
        const Spread *spread) {
        size_t n = count(asked, question);
        assert_int_equal(spread->n, n);
        if (n == 0)
                return;
        int64_t below = at_rank(asked, question, value, (n + 1) / 2);
        int64_t above = at_rank(asked, question, value, n / 2 + 1);
        assert_int_equal(spread->median, (below + above) / 2);
        size_t wanted = 0;
        while (wanted * 10 < n * 9)
                wanted++;
        assert_int_equal(spread->p90, at_rank(asked, question, value, wanted));
        assert_int_equal(spread->longest, at_rank(asked, question, value, n));
}

static void assert_causes(const Asked *asked, const Statistics *of) {
        size_t together = 0;
        for (size_t i = 0; i < of->n_causes; i++) {
                size_t n = 0;
                for (size_t k = 0; k < asked->n; k++) {
                        const Summary *run = &asked->runs[k];
                        n += counts(run, asked->service, asked->since, asked->until) &&
                             is_update(run) && !has_succeeded(run) &&
                             strcmp(run->cause, of->causes[i].text) == 0;
                }
                assert_int_equal(of->causes[i].n, n);
                assert_true(n > 0 && (i == 0 || of->causes[i - 1].n >= n));
                together += n;
        }
        assert_int_equal(together, of->updates - of->succeeded);
}

static void assert_group(const Asked *asked, const Statistics *of) {
        assert_int_equal(of->updates, count(asked, is_update));
        assert_int_equal(of->succeeded, count(asked, has_succeeded));
        assert_int_equal(of->rolled_back, count(asked, was_rolled_back));
        assert_int_equal(
                of->succeeded + of->rolled_back + of->unchanged + of->needs_person, of->updates);
        assert_int_equal(of->by_hand, count(asked, was_asked_back));
        assert_int_equal(of->back, count(asked, went_back));
        assert_int_equal(of->open, count(asked, is_open));
        assert_true(of->back_ok <= of->back);
        assert_spread(asked, has_succeeded, time_of, &of->took);
        assert_spread(asked, has_a_gap, gap_of, &of->gap);
        assert_causes(asked, of);
}

static void test_against_the_oracle(void **unused) {
        (void)unused;
        unsigned state = 7, *seed = &state;
        for (int round = 0; round < ROUNDS; round++) {
                Summary runs[RUNS_MAX];
                size_t n = (size_t)rand_r(seed) % RUNS_MAX, seen = 0;
                for (size_t i = 0; i < n; i++)
                        runs[i] = random_run((unsigned)i + 1, seed);
                scoped(statistics_done) StatisticsReport report = {0};
                Asked asked = {runs, n, NULL, 2 * DAY, 9 * DAY};
                statistics_of(runs, n, asked.since, asked.until, &report);
                assert_group(&asked, &report.all);
                for (size_t i = 0; i < report.n_services; i++) {
                        asked.service = report.services[i].service;
                        assert_group(&asked, &report.services[i]);
                        seen += report.services[i].updates;
                        assert_true(i == 0 || strcmp(report.services[i - 1].service,
                                                      report.services[i].service) < 0);
                }
                assert_int_equal(seen, report.all.updates);
                for (size_t i = 0; i < n; i++)
                        summary_done(&runs[i]);
        }
}

static void test_spreads(void **unused) {
        (void)unused;
        int64_t none[1] = {0}, one[] = {5}, two[] = {9, 4}, ten[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
        Spread spread = spread_of(none, 0);
        assert_int_equal(spread.n, 0);
        spread = spread_of(one, 1);
        assert_true(spread.median == 5 && spread.p90 == 5 && spread.longest == 5);
        spread = spread_of(two, 2);
        assert_true(spread.median == 6 && spread.p90 == 9 && spread.total == 13);
        spread = spread_of(ten, 10);
        assert_true(spread.median == 5 && spread.p90 == 9 && spread.longest == 10);
}

static void test_percent(void **unused) {
        (void)unused;
        assert_int_equal(percent_of(0, 0), -1);
        assert_int_equal(percent_of(0, 3), 0);
        assert_int_equal(percent_of(3, 3), 100);
        assert_int_equal(percent_of(2, 3), 67);
        /* Nearly all is not all, and one of very many is not none. */
        assert_int_equal(percent_of(999, 1000), 99);
        assert_int_equal(percent_of(1, 1000), 1);
}

/* What a summary is kept as says the same when it is read again. */
static void test_a_summary_comes_back(void **unused) {
        (void)unused;
        static const char text[] =
                "{\"service\":\"notes\",\"damaged\":false,\"kind\":\"update\",\"from\":\"1.0.0\","
                "\"to\":\"1.1.0\",\"end\":2,\"waiting\":false,\"went_back\":true,\"began\":5,"
                "\"ended\":9,\"gap\":3,\"gap_measured\":true,\"restore\":-1,\"cancelled\":true,"
                "\"failed_step\":\"verify\",\"cause\":\"c\",\"steps\":[{\"step\":\"migrate\","
                "\"instance\":\"01\",\"ms\":4,\"bytes\":7},{\"step\":\"stop\",\"ms\":2}]}";
        scoped(js_freep) json_t *object = js_parse(text, strlen(text), "test", NULL);
        scoped(summary_done) Summary run = {0};
        assert_true(summary_from_json(12, object, &run));
        assert_int_equal(run.run, 12);
        assert_string_equal(run.service, "notes");
        assert_int_equal(run.end, RUN_ROLLED_BACK);
        assert_true(run.cancelled && run.went_back && run.gap_measured);
        assert_int_equal(run.n_steps, 2);
        assert_string_equal(run.steps[0].instance, "01");
        assert_true(run.steps[0].ms == 4 && run.steps[0].bytes == 7 && run.steps[1].bytes == -1);
        json_object_set_new(object, "end", json_integer(5));
        Summary none = {0};
        assert_false(summary_from_json(12, object, &none));
}

static void test_texts_are_no_markup(void **unused) {
        (void)unused;
        scoped(str_done) Str out = {0};
        html_text(&out, "<script>alert('x')</script> & \"q\"\033[31m\nred\x01\xff");
        assert_string_equal(out.text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; "
                                      "&quot;q&quot;?[31m?red??");
        scoped(str_done) Str lines = {0};
        html_lines(&lines, "\033[1;31mred\033[0m <b>\nnext\033[ \033");
        assert_string_equal(lines.text, "red &lt;b&gt;\nnext?[ ?");
        html_text(&lines, NULL);
        html_lines(&lines, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_against_the_oracle),
                cmocka_unit_test(test_spreads),
                cmocka_unit_test(test_percent),
                cmocka_unit_test(test_a_summary_comes_back),
                cmocka_unit_test(test_texts_are_no_markup),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
