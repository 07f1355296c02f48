#include "check/check_eval.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"

enum { FLAP_LEAST = 6, FLAP_WINDOW = 21, FLAP_PERCENT = 30 };

static const char *const answer_names[] = {
        [ANSWER_PASS] = "pass",
        [ANSWER_FAIL] = "fail",
        [ANSWER_NONE] = "no answer",
        [ANSWER_ERROR] = "error",
};

static const char *const verdict_names[] = {
        [VERDICT_PENDING] = "pending",
        [VERDICT_PASS] = "pass",
        [VERDICT_FAIL] = "fail",
        [VERDICT_INCONCLUSIVE] = "inconclusive",
};

const char *answer_name(AnswerKind kind) { return answer_names[kind]; }

const char *verdict_name(Verdict verdict) { return verdict_names[verdict]; }

static unsigned otherwise(unsigned value, unsigned fallback) {
        return value > 0 ? value : fallback;
}

void eval_begin(Eval *eval, const EvalRule *rule, int64_t now_ms) {
        *eval = (Eval){.rule = *rule, .began_ms = now_ms, .last_ms = now_ms};
        EvalRule *r = &eval->rule;
        r->threshold = otherwise(r->threshold, 2);
        r->window = otherwise(r->window, 3);
        if (r->window > EVAL_WINDOW_MAX)
                r->window = EVAL_WINDOW_MAX;
        if (r->threshold > r->window)
                r->threshold = r->window;
        r->wrong_limit = otherwise(r->wrong_limit, 5);
        r->fail_limit = otherwise(r->fail_limit, 3);
        r->error_limit = otherwise(r->error_limit, 5);
        if (r->interval_ms <= 0)
                r->interval_ms = 500;
}

static void keep(char *into, const char *text) {
        snprintf(into, EVAL_REASON_MAX, "%s", text ? text : "");
}

void eval_answer(Eval *eval, int64_t now_ms, AnswerKind kind, const char *evidence) {
        eval->last_ms = now_ms;
        eval->last = kind;
        eval->asked++;
        if (kind != ANSWER_PASS)
                keep(eval->evidence, evidence);
        eval->none_in_row = kind == ANSWER_NONE ? eval->none_in_row + 1 : 0;
        if (kind == ANSWER_ERROR) {
                eval->errors_in_row++;
                return;
        }
        eval->errors_in_row = 0;
        eval->answers++;
        eval->right = (eval->right << 1) | (kind == ANSWER_PASS);
        if (kind == ANSWER_PASS)
                eval->wrong_in_row = eval->missed_in_row = 0;
        if (kind == ANSWER_FAIL)
                eval->wrong_in_row++;
        if (kind != ANSWER_PASS)
                eval->missed_in_row++;
}

void eval_process_gone(Eval *eval, int64_t now_ms, const char *what) {
        eval->last_ms = now_ms;
        eval->over = true;
        keep(eval->reason, what ? what : "the process is gone");
}

/* Right ones among the last `n` answers. */
static unsigned right_of_last(const Eval *eval, unsigned n) {
        uint32_t mask = n >= EVAL_WINDOW_MAX ? UINT32_MAX : (UINT32_C(1) << n) - 1;
        return (unsigned)__builtin_popcount(eval->right & mask);
}

static unsigned known_of_last(const Eval *eval, unsigned n) {
        return eval->answers < n ? eval->answers : n;
}

static bool passes(const Eval *eval) {
        return right_of_last(eval, eval->rule.window) >= eval->rule.threshold;
}

static Verdict inconclusive(Eval *eval) {
        snprintf(eval->reason, sizeof(eval->reason), "could not be asked: %.280s", eval->evidence);
        return VERDICT_INCONCLUSIVE;
}

static Verdict passed(Eval *eval) {
        unsigned known = known_of_last(eval, eval->rule.window);
        snprintf(eval->reason, sizeof(eval->reason), "%u of the last %u answers right",
                right_of_last(eval, eval->rule.window), known);
        return VERDICT_PASS;
}

static Verdict start_verdict(Eval *eval, int64_t now_ms) {
        const EvalRule *rule = &eval->rule;
        if (eval->wrong_in_row >= rule->wrong_limit) {
                snprintf(eval->reason, sizeof(eval->reason), "%.260s, %u times in a row",
                        eval->evidence, eval->wrong_in_row);
                return VERDICT_FAIL;
        }
        if (passes(eval))
                return passed(eval);
        if (rule->timeout_ms <= 0 || now_ms - eval->began_ms < rule->timeout_ms)
                return VERDICT_PENDING;
        if (eval->errors_in_row > 0 && eval->wrong_in_row == 0 && eval->none_in_row == 0)
                return inconclusive(eval);
        snprintf(eval->reason, sizeof(eval->reason),
                "not ready after %" PRId64 ".%" PRId64 " s: %.240s", rule->timeout_ms / 1000,
                rule->timeout_ms % 1000 / 100, eval->asked > 0 ? eval->evidence : "never asked");
        return VERDICT_FAIL;
}

static Verdict now_verdict(Eval *eval) {
        const EvalRule *rule = &eval->rule;
        if (passes(eval))
                return passed(eval);
        if (eval->errors_in_row >= rule->error_limit)
                return inconclusive(eval);
        if (eval->missed_in_row == 0 || eval->answers == 0)
                return VERDICT_PENDING;
        unsigned known = known_of_last(eval, rule->window);
        unsigned missed = known - right_of_last(eval, rule->window);
        if (missed + rule->threshold <= rule->window)
                return VERDICT_PENDING;
        snprintf(eval->reason, sizeof(eval->reason), "%.260s (%u of %u answers were not right)",
                eval->evidence, missed, known);
        return VERDICT_FAIL;
}

static Verdict watch_verdict(Eval *eval) {
        const EvalRule *rule = &eval->rule;
        if (eval->missed_in_row >= rule->fail_limit) {
                snprintf(eval->reason, sizeof(eval->reason), "%.260s, %u times in a row",
                        eval->evidence, eval->missed_in_row);
                return VERDICT_FAIL;
        }
        unsigned known = known_of_last(eval, FLAP_WINDOW);
        unsigned missed = known - right_of_last(eval, FLAP_WINDOW);
        if (known >= FLAP_LEAST && missed * 100 >= known * FLAP_PERCENT &&
                missed >= rule->fail_limit) {
                snprintf(eval->reason, sizeof(eval->reason),
                        "flaps: %u of the last %u answers not right, the last: %.220s", missed,
                        known, eval->evidence);
                return VERDICT_FAIL;
        }
        if (eval->errors_in_row >= rule->error_limit ||
                (eval->answers == 0 && eval->errors_in_row > 0))
                return inconclusive(eval);
        return eval->answers > 0 ? passed(eval) : VERDICT_PENDING;
}

Verdict eval_verdict(Eval *eval, int64_t now_ms) {
        if (eval->over)
                return VERDICT_FAIL;
        if (eval->rule.mode == RULE_START)
                return start_verdict(eval, now_ms);
        return eval->rule.mode == RULE_NOW ? now_verdict(eval) : watch_verdict(eval);
}

int64_t eval_next_ms(const Eval *eval) {
        int64_t interval = eval->rule.interval_ms;
        if (eval->asked == 0)
                return eval->began_ms;
        if (eval->none_in_row == 0 || eval->rule.mode != RULE_START)
                return eval->last_ms + interval;
        int64_t pause = EVAL_FIRST_PAUSE_MS;
        for (unsigned i = 1; i < eval->none_in_row && pause < interval; i++)
                pause += pause / 2;
        return eval->last_ms + (pause < interval ? pause : interval);
}
