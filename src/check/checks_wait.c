/* Asks all checks in turn, each at its own pace, until they pass, one fails, or the time is over. */
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"
#include "platform/clock.h"

enum { SLICE_MS = 100 };

typedef struct Waiting {
        const ChecksWait *wait;
        ChecksOutcome *ret;
        Eval *evals;
        int64_t began_ms;
        char *gone; /* what became of the process; owned */
} Waiting;

static void waiting_done(Waiting *waiting) {
        free(waiting->evals);
        free(waiting->gone);
}

static void begin(Waiting *waiting) {
        const ChecksWait *wait = waiting->wait;
        waiting->began_ms = clock_now_ms();
        waiting->evals = NEW_ARRAY(Eval, wait->n_checks + 1);
        waiting->ret->results = NEW_ARRAY(CheckResult, wait->n_checks + 1);
        waiting->ret->n_results = wait->n_checks;
        check_memory(wait->context)->began_ms = waiting->began_ms;
        for (size_t i = 0; i < wait->n_checks; i++) {
                const CheckSpec *check = &wait->checks[i];
                EvalRule rule = {.mode = wait->now ? RULE_NOW : RULE_START,
                        .threshold = check->threshold,
                        .window = check->window,
                        .timeout_ms = wait->timeout_ms,
                        .interval_ms = check->interval_ms};
                eval_begin(&waiting->evals[i], &rule, waiting->began_ms);
                waiting->ret->results[i] = (CheckResult){
                        .title = str_copy(
                                check->title ? check->title : check_kind_name(check->kind)),
                        .kind = check->kind,
                        .first_answer_ms = -1};
        }
}

static bool still_runs(Waiting *waiting) {
        const ChecksWait *wait = waiting->wait;
        if (!wait->alive || wait->alive(wait->alive_context, &waiting->gone))
                return true;
        if (!waiting->gone)
                waiting->gone = str_copy("the process is gone");
        for (size_t i = 0; i < wait->n_checks; i++)
                eval_process_gone(&waiting->evals[i], clock_now_ms(), waiting->gone);
        return false;
}

/* The next check to be asked, and when. */
static size_t next_check(const Waiting *waiting, int64_t *ret_at) {
        size_t next = 0;
        for (size_t i = 1; i < waiting->wait->n_checks; i++)
                if (eval_next_ms(&waiting->evals[i]) < eval_next_ms(&waiting->evals[next]))
                        next = i;
        *ret_at = eval_next_ms(&waiting->evals[next]);
        return next;
}

static size_t count_passed(Waiting *waiting) {
        size_t passed = 0;
        for (size_t i = 0; i < waiting->wait->n_checks; i++)
                passed += eval_verdict(&waiting->evals[i], clock_now_ms()) == VERDICT_PASS;
        return passed;
}

static void ask_one(Waiting *waiting, size_t i) {
        const ChecksWait *wait = waiting->wait;
        CheckResult *result = &waiting->ret->results[i];
        check_ask(&wait->checks[i], wait->context, &result->last);
        int64_t now = clock_now_ms();
        eval_answer(&waiting->evals[i], now, result->last.kind, result->last.evidence);
        result->asked++;
        bool answered = result->last.kind == ANSWER_PASS || result->last.kind == ANSWER_FAIL;
        if (answered && result->first_answer_ms < 0)
                result->first_answer_ms = now - waiting->began_ms;
        if (wait->progress)
                wait->progress(wait->progress_context, count_passed(waiting), wait->n_checks,
                        result->last.evidence);
}

/* The worst of all: fail, then inconclusive, then pending. */
static Verdict verdict_of_all(Waiting *waiting, size_t *ret_which) {
        Verdict all = VERDICT_PASS;
        static const unsigned weight[] = {[VERDICT_PASS] = 0,
                [VERDICT_PENDING] = 1,
                [VERDICT_INCONCLUSIVE] = 2,
                [VERDICT_FAIL] = 3};
        for (size_t i = 0; i < waiting->wait->n_checks; i++) {
                Verdict one = eval_verdict(&waiting->evals[i], clock_now_ms());
                if (weight[one] <= weight[all])
                        continue;
                all = one;
                *ret_which = i;
        }
        return all;
}

/* Without checks: the process has to live for a moment. */
static Verdict settle(Waiting *waiting) {
        while (!check_cancelled(waiting->wait->context)) {
                if (!still_runs(waiting))
                        return VERDICT_FAIL;
                int64_t left = waiting->began_ms + CHECK_SETTLE_MS - clock_now_ms();
                if (left <= 0)
                        return VERDICT_PASS;
                clock_sleep_ms(left < SLICE_MS ? left : SLICE_MS);
        }
        return VERDICT_PENDING;
}

static Verdict ask_all(Waiting *waiting, size_t *ret_which) {
        while (!check_cancelled(waiting->wait->context)) {
                if (!still_runs(waiting))
                        return VERDICT_FAIL;
                Verdict verdict = verdict_of_all(waiting, ret_which);
                if (verdict != VERDICT_PENDING)
                        return verdict;
                int64_t at = 0;
                size_t next = next_check(waiting, &at);
                int64_t left = at - clock_now_ms();
                if (left > 0)
                        clock_sleep_ms(left < SLICE_MS ? left : SLICE_MS);
                else
                        ask_one(waiting, next);
        }
        return VERDICT_PENDING;
}

static void finish(Waiting *waiting, Verdict verdict) {
        ChecksOutcome *ret = waiting->ret;
        ret->verdict = verdict;
        ret->took_ms = clock_now_ms() - waiting->began_ms;
        for (size_t i = 0; i < ret->n_results; i++) {
                ret->results[i].verdict = eval_verdict(&waiting->evals[i], clock_now_ms());
                const char *reason = waiting->evals[i].reason;
                ret->results[i].reason = str_copy(reason[0] ? reason : waiting->evals[i].evidence);
        }
}

static bool say_failure(const Waiting *waiting, Verdict verdict, size_t which, Err *err) {
        ChecksOutcome *ret = waiting->ret;
        if (verdict == VERDICT_PENDING) {
                ret->reason = str_copy("cancelled");
                return err_fail(err, ERR_CANCELLED, "cancelled while the checks were asked");
        }
        ret->reason = str_copy(waiting->gone ? waiting->gone : ret->results[which].reason);
        if (waiting->gone)
                return err_fail(
                        err, ERR_ANSWER_NO, "the service does not stay up: %s", ret->reason);
        if (verdict == VERDICT_INCONCLUSIVE) {
                err_fail(err, ERR_INCONCLUSIVE, "check '%s' %s", ret->results[which].title,
                        ret->reason);
                return err_hint(
                        err, "The service may be well: Belay itself could not ask it from here.");
        }
        return err_fail(
                err, ERR_ANSWER_NO, "check '%s' fails: %s", ret->results[which].title, ret->reason);
}

bool checks_wait(const ChecksWait *wait, ChecksOutcome *ret, Err *err) {
        scoped(waiting_done) Waiting waiting = {.wait = wait, .ret = ret};
        size_t which = 0;
        begin(&waiting);
        Verdict verdict = wait->n_checks > 0 ? ask_all(&waiting, &which) : settle(&waiting);
        finish(&waiting, verdict);
        if (verdict != VERDICT_PASS)
                return say_failure(&waiting, verdict, which, err);
        ret->reason = wait->n_checks > 0
                              ? str_format("%zu %s", wait->n_checks,
                                        wait->n_checks == 1 ? "check passes" : "checks pass")
                              : str_copy("the process runs");
        return true;
}

void checks_outcome_done(ChecksOutcome *outcome) {
        for (size_t i = 0; i < outcome->n_results; i++) {
                free(outcome->results[i].title);
                free(outcome->results[i].reason);
        }
        free(outcome->results);
        free(outcome->reason);
        *outcome = (ChecksOutcome){0};
}

static json_t *result_to_json(const CheckResult *result) {
        json_t *object = json_object();
        js_set_str(object, "title", result->title);
        js_set_str(object, "kind", check_kind_name(result->kind));
        js_set_str(object, "verdict", verdict_name(result->verdict));
        js_set_str(object, "reason", result->reason);
        js_set_int(object, "asked", result->asked);
        if (result->first_answer_ms >= 0)
                js_set_int(object, "first_answer_ms", result->first_answer_ms);
        if (result->asked > 0)
                js_set_str(object, "last", answer_name(result->last.kind));
        if (result->asked > 0)
                js_set_str(object, "evidence", result->last.evidence);
        return object;
}

json_t *checks_outcome_to_json(const ChecksOutcome *outcome) {
        json_t *object = json_object(), *checks = json_array();
        js_set_str(object, "verdict", verdict_name(outcome->verdict));
        js_set_str(object, "reason", outcome->reason);
        js_set_int(object, "took_ms", outcome->took_ms);
        for (size_t i = 0; i < outcome->n_results; i++)
                json_array_append_new(checks, result_to_json(&outcome->results[i]));
        js_set(object, "checks", checks);
        return object;
}
