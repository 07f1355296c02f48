/*
 * What a row of answers means. One pure, clock-free function: it is told when each answer came, in any
 * unit of milliseconds that only grows, and never looks at a clock, a network or a process itself.
 *
 *     Eval eval;
 *     eval_begin(&eval, &rule, now);
 *     eval_answer(&eval, now, ANSWER_NONE, "connection refused");
 *     if (eval_verdict(&eval, now) == VERDICT_PENDING) wait until eval_next_ms(&eval, now) ...
 *
 * While a service starts (RULE_START): passes when `threshold` of the last `window` answers are right. No answer
 * counts as still starting. Fails after `wrong_limit` wrong answers without a right one between them, when the
 * process exited or was restarted, or when `timeout_ms` is over. It may pass and stop passing again.
 * Right now (RULE_NOW): no answer counts as wrong; fails as soon as the threshold cannot be reached within
 * the window.
 * While a service is watched (RULE_WATCH): fails after `fail_limit` answers in a row that are wrong or missing,
 * or when at least 6 answers are known and 30 % of the last 21, and at least `fail_limit`, were so (flapping).
 * Else passes.
 * In all: what Belay could not ask (ANSWER_ERROR) is no answer at all; when nothing else has come for
 * `error_limit` questions (RULE_WATCH, RULE_NOW), or by the end of the time (RULE_START), the verdict is inconclusive.
 */
#ifndef BELAY_CHECK_CHECK_EVAL_H
#define BELAY_CHECK_CHECK_EVAL_H

#include <stdbool.h>
#include <stdint.h>

typedef enum AnswerKind {
        ANSWER_PASS,
        ANSWER_FAIL, /* it answered, and wrongly */
        ANSWER_NONE, /* not reachable, 503, no answer in time */
        ANSWER_ERROR, /* Belay could not ask: out of descriptors, libcurl missing, name service away */
} AnswerKind;

typedef enum Verdict { VERDICT_PENDING, VERDICT_PASS, VERDICT_FAIL, VERDICT_INCONCLUSIVE } Verdict;

const char *answer_name(AnswerKind kind);  /* "pass", "fail", "no answer", "error" */
const char *verdict_name(Verdict verdict); /* "pending", "pass", "fail", "inconclusive" */

typedef enum RuleMode { RULE_START, RULE_NOW, RULE_WATCH } RuleMode;

typedef struct EvalRule {
        RuleMode mode;
        unsigned threshold,
                window;       /* 2 of 3; 0 means these; the window is at most EVAL_WINDOW_MAX */
        int64_t timeout_ms;   /* RULE_START: of eval_begin's time; 0: none */
        int64_t interval_ms;  /* between answers; 0: 500 */
        unsigned wrong_limit; /* 0: 5 */
        unsigned fail_limit;  /* 0: 3 */
        unsigned error_limit; /* 0: 5 */
} EvalRule;

enum { EVAL_WINDOW_MAX = 32, EVAL_REASON_MAX = 320, EVAL_FIRST_PAUSE_MS = 20 };

typedef struct Eval {
        EvalRule rule;
        int64_t began_ms, last_ms;
        uint32_t right;          /* bit 0: was the last answer right; errors are not in it */
        unsigned answers, asked; /* with and without errors */
        unsigned wrong_in_row, missed_in_row, none_in_row, errors_in_row;
        AnswerKind last;
        bool over; /* the process exited or was restarted */
        char reason[EVAL_REASON_MAX];
        char evidence[EVAL_REASON_MAX]; /* of the last answer that was not right */
} Eval;

void eval_begin(Eval *eval, const EvalRule *rule, int64_t now_ms);
/* `evidence` may be NULL. */
void eval_answer(Eval *eval, int64_t now_ms, AnswerKind kind, const char *evidence);
/* The process exited or was restarted: final, whatever the answers say. */
void eval_process_gone(Eval *eval, int64_t now_ms, const char *what);
/* Also writes eval->reason. */
Verdict eval_verdict(Eval *eval, int64_t now_ms);
/* When to ask next: an interval after the last answer; while a service starts and gives none 20 ms after it, growing by
 * half each time up to the interval, so that a service that is ready is not waited for. */
int64_t eval_next_ms(const Eval *eval);

#endif
