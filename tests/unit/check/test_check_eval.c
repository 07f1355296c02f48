/* What a row of answers means, by table. P right, F wrong, N none, E could not be asked, X the process is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "check/check_eval.h"

static AnswerKind kind_of(char letter) {
        return letter == 'P'   ? ANSWER_PASS
               : letter == 'F' ? ANSWER_FAIL
               : letter == 'N' ? ANSWER_NONE
                               : ANSWER_ERROR;
}

/* Feeds an answer each 100 ms, the first at 0; the verdict is asked for at once after each. */
static Verdict feed(Eval *eval, const EvalRule *rule, const char *answers) {
        int64_t now = 0;
        Verdict verdict = VERDICT_PENDING;
        eval_begin(eval, rule, 0);
        for (; *answers; answers++, now += 100) {
                if (*answers == 'X')
                        eval_process_gone(eval, now, "exited with status 1");
                else
                        eval_answer(eval, now, kind_of(*answers), "evidence");
                verdict = eval_verdict(eval, now);
        }
        return verdict;
}

typedef struct Row {
        const char *answers;
        Verdict verdict;
} Row;

static void try_rows(const EvalRule *rule, const Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Eval eval;
                Verdict verdict = feed(&eval, rule, rows[i].answers);
                if (verdict != rows[i].verdict)
                        fail_msg("%s: %s, expected %s (%s)", rows[i].answers, verdict_name(verdict),
                                verdict_name(rows[i].verdict), eval.reason);
                if (verdict != VERDICT_PENDING)
                        assert_true(eval.reason[0] != '\0');
        }
}

static void while_it_starts(void **state) {
        (void)state;
        const EvalRule rule = {.mode = RULE_START, .timeout_ms = 2000};
        static const Row rows[] = {
                {"P", VERDICT_PENDING}, {"PP", VERDICT_PASS}, {"NNNNPP", VERDICT_PASS},
                {"PFP", VERDICT_PASS}, {"PFFP", VERDICT_PENDING}, {"PNNPNNPNNP", VERDICT_PENDING},
                {"FPP", VERDICT_PASS}, {"FFFF", VERDICT_PENDING}, {"FFFFF", VERDICT_FAIL},
                {"FFFFPFFFF", VERDICT_PENDING}, {"FEEEEEEEEEEEEEEEEEEEE", VERDICT_FAIL},
                {"FFNFFNF", VERDICT_FAIL}, {"FFEFFEF", VERDICT_FAIL},
                {"NNNNNNNNNNNNNNNNNNNN", VERDICT_PENDING},
                {"NNNNNNNNNNNNNNNNNNNNN", VERDICT_FAIL}, /* at 2 s */
                {"NNNNNNNNNNNNNNNNNNNPP", VERDICT_PASS}, /* right at the end is right */
                {"EEEEEEEEEEEEEEEEEEEE", VERDICT_PENDING},
                {"EEEEEEEEEEEEEEEEEEEEE", VERDICT_INCONCLUSIVE},
                {"NEEEEEEEEEEEEEEEEEEEE", VERDICT_INCONCLUSIVE},
                {"NNNNNNNNNNNNNNNNNNNEN", VERDICT_FAIL}, {"PEP", VERDICT_PASS},
                {"PPX", VERDICT_FAIL}, {"X", VERDICT_FAIL}, {"XPP", VERDICT_FAIL},
                {"PPFFF", VERDICT_PENDING}, /* passed once is not passed for ever */
        };
        try_rows(&rule, rows, COUNT_OF(rows));
}

static void thresholds(void **state) {
        (void)state;
        static const struct {
                unsigned threshold, window;
                const char *answers;
                Verdict verdict;
        } rows[] = {
                {1, 1, "P", VERDICT_PASS},
                {1, 3, "P", VERDICT_PASS},
                {3, 3, "PP", VERDICT_PENDING},
                {3, 3, "PPP", VERDICT_PASS},
                {3, 5, "PFPFP", VERDICT_PASS},
                {3, 5, "PFFPFP", VERDICT_PENDING},
                {32, 32, "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP", VERDICT_PENDING},
                {32, 32, "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP", VERDICT_PASS},
                {9, 3, "PPP", VERDICT_PASS},
                {100, 100, "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP", VERDICT_PASS},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                const EvalRule rule = {.mode = RULE_START,
                        .threshold = rows[i].threshold,
                        .window = rows[i].window};
                const Row row = {rows[i].answers, rows[i].verdict};
                try_rows(&rule, &row, 1);
        }
}

static void right_now(void **state) {
        (void)state;
        const EvalRule rule = {.mode = RULE_NOW};
        static const Row rows[] = {
                {"P", VERDICT_PENDING},
                {"PP", VERDICT_PASS},
                {"N", VERDICT_PENDING},
                {"NN", VERDICT_FAIL},
                {"NPP", VERDICT_PASS},
                {"FN", VERDICT_FAIL},
                {"PNN", VERDICT_FAIL},
                {"PNP", VERDICT_PASS},
                {"EEEE", VERDICT_PENDING},
                {"EEEEE", VERDICT_INCONCLUSIVE},
                {"EPP", VERDICT_PASS},
                {"PPX", VERDICT_FAIL},
        };
        try_rows(&rule, rows, COUNT_OF(rows));
}

/* E-11: flapping one to one and two to one; errors of Belay's own never fail. */
static void while_it_is_watched(void **state) {
        (void)state;
        const EvalRule rule = {.mode = RULE_WATCH};
        static const Row rows[] = {
                {"P", VERDICT_PASS},
                {"PFF", VERDICT_PASS},
                {"PFFF", VERDICT_FAIL},
                {"NNN", VERDICT_FAIL},
                {"PNFN", VERDICT_FAIL},
                {"PFEFEF", VERDICT_FAIL},
                {"PFPFPF", VERDICT_FAIL},
                {"PPFPPFPPF", VERDICT_FAIL},
                {"PPPPPFPPPPPFPPPPPF", VERDICT_PASS},
                {"PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPFPF", VERDICT_PASS},
                {"EEEEEEEE", VERDICT_INCONCLUSIVE},
                {"E", VERDICT_INCONCLUSIVE},
                {"PE", VERDICT_PASS},
                {"PEEEEE", VERDICT_INCONCLUSIVE},
                {"PEEEEEP", VERDICT_PASS},
                {"PPX", VERDICT_FAIL},
        };
        try_rows(&rule, rows, COUNT_OF(rows));
}

static void pace(void **state) {
        (void)state;
        Eval eval;
        const EvalRule start = {.mode = RULE_START, .interval_ms = 100},
                       now = {.mode = RULE_NOW, .interval_ms = 100};
        static const int64_t pauses[] = {20, 30, 45, 67, 100, 100, 100};
        eval_begin(&eval, &start, 1000);
        assert_int_equal(eval_next_ms(&eval), 1000);
        for (size_t i = 0; i < COUNT_OF(pauses); i++) {
                eval_answer(&eval, 2000, ANSWER_NONE, NULL);
                assert_int_equal(eval_next_ms(&eval), 2000 + pauses[i]);
        }
        eval_answer(&eval, 3000, ANSWER_PASS, NULL);
        assert_int_equal(eval_next_ms(&eval), 3100);
        eval_answer(&eval, 4000, ANSWER_NONE, NULL);
        assert_int_equal(eval_next_ms(&eval), 4020);
        eval_answer(&eval, 5000, ANSWER_ERROR, NULL);
        assert_int_equal(eval_next_ms(&eval), 5100);
        eval_begin(&eval, &now, 0);
        eval_answer(&eval, 10, ANSWER_NONE, NULL);
        assert_int_equal(eval_next_ms(&eval), 110);
}

static void reasons(void **state) {
        (void)state;
        static char huge[2000];
        Eval eval;
        const EvalRule rule = {.mode = RULE_START, .timeout_ms = 1500};
        feed(&eval, &rule, "FFFFF");
        assert_string_equal(eval.reason, "evidence, 5 times in a row");
        feed(&eval, &rule, "NNNNNNNNNNNNNNNN");
        assert_string_equal(eval.reason, "not ready after 1.5 s: evidence");
        feed(&eval, &rule, "PP");
        assert_string_equal(eval.reason, "2 of the last 2 answers right");
        feed(&eval, &rule, "PX");
        assert_string_equal(eval.reason, "exited with status 1");
        eval_begin(&eval, &rule, 0);
        assert_int_equal(eval_verdict(&eval, 1500), VERDICT_FAIL);
        assert_string_equal(eval.reason, "not ready after 1.5 s: never asked");
        eval_begin(&eval, &rule, 0);
        eval_process_gone(&eval, 5, NULL);
        assert_string_equal(eval.reason, "the process is gone");
        memset(huge, '%', sizeof(huge) - 1);
        for (int i = 0; i < 5; i++)
                eval_answer(&eval, 0, ANSWER_FAIL, huge);
        assert_int_equal(eval_verdict(&eval, 0), VERDICT_FAIL);
        assert_true(strlen(eval.reason) < EVAL_REASON_MAX);
        assert_string_equal(answer_name(ANSWER_NONE), "no answer");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(while_it_starts),
                cmocka_unit_test(thresholds),
                cmocka_unit_test(right_now),
                cmocka_unit_test(while_it_is_watched),
                cmocka_unit_test(pace),
                cmocka_unit_test(reasons),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
