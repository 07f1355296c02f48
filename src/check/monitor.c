/* The pure part of the watch: what is fed in, and what it means. */
#include "check/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "check/monitor_state.h"

enum { LATENCY_LEAST = 5, LATENCY_FLOOR_MS = 250 };

const char *monitor_verdict_name(MonitorVerdict verdict) {
        static const char *const names[] = {
                [MONITOR_HEALTHY] = "healthy",
                [MONITOR_INVESTIGATE] = "investigate",
                [MONITOR_INCONCLUSIVE] = "inconclusive",
                [MONITOR_ROLL_BACK] = "roll back",
        };
        return names[verdict];
}

Monitor *monitor_new(const MonitorRule *rule, int64_t now_ms) {
        Monitor *monitor = NEW(Monitor);
        EvalRule watch = {.mode = RULE_WATCH, .interval_ms = rule->spec->every_ms};
        monitor->rule = *rule;
        monitor->began_ms = now_ms;
        monitor->evals = NEW_ARRAY(Eval, rule->n_checks + 1);
        for (size_t i = 0; i < rule->n_checks; i++)
                eval_begin(&monitor->evals[i], &watch, now_ms);
        eval_begin(&monitor->outside, &watch, now_ms);
        monitor_log_begin(monitor);
        return monitor;
}

void monitor_freep(Monitor **monitor) {
        if (!*monitor)
                return;
        monitor_log_done(*monitor);
        free((*monitor)->process.gone);
        free((*monitor)->evals);
        free(*monitor);
        *monitor = NULL;
}

int64_t median_of(int64_t *values, size_t n) {
        for (size_t i = 1; i < n; i++)
                for (size_t j = i; j > 0 && values[j - 1] > values[j]; j--) {
                        int64_t swap = values[j];
                        values[j] = values[j - 1];
                        values[j - 1] = swap;
                }
        return n > 0 ? values[n / 2] : 0;
}

/* "http://host:1/health?x" → "/health"; NULL for the root, which is in every line. */
static char *path_of(const char *url) {
        const char *host = url ? strstr(url, "://") : NULL;
        const char *path = host ? strchr(host + 3, '/') : NULL;
        size_t n = path ? strcspn(path, "?#") : 0;
        return n > 1 ? str_copy_n(path, n) : NULL;
}

bool monitor_own_line(const MonitorRule *rule, const char *clean) {
        if (strstr(clean, "belay/"))
                return true;
        for (size_t i = 0; i < rule->n_checks; i++) {
                scoped(free_str) char *path = path_of(rule->checks[i].url);
                if (path && strstr(clean, path))
                        return true;
        }
        return false;
}

void monitor_add_answer(Monitor *monitor, int64_t now_ms, size_t check, const CheckAnswer *answer) {
        eval_answer(&monitor->evals[check], now_ms, answer->kind, answer->evidence);
        monitor->answers++;
        CheckKind kind = monitor->rule.checks[check].kind;
        bool timed = kind == CHECK_HTTP || kind == CHECK_TCP;
        if (timed && answer->kind == ANSWER_PASS)
                monitor->latencies[monitor->n_latencies++ % LATENCIES_MAX] = answer->took_ms;
}

void monitor_add_outside(Monitor *monitor, int64_t now_ms, const CheckAnswer *answer) {
        eval_answer(&monitor->outside, now_ms, answer->kind, answer->evidence);
        monitor->answers++;
}

void evidence_add(EvidenceList *list, const Evidence *evidence) {
        PUSH(list->items, list->n, *evidence);
}

static void eval_evidence(const Eval *live, const char *kind, const char *title, Severity worst,
        int64_t now_ms, EvidenceList *list) {
        Eval eval = *live; /* the verdict writes its reason; what is watched stays as it is */
        Verdict verdict = eval_verdict(&eval, now_ms);
        if (verdict != VERDICT_FAIL && verdict != VERDICT_INCONCLUSIVE)
                return;
        evidence_add(
                list, &(Evidence){.severity = verdict == VERDICT_FAIL ? worst : SEVERITY_UNSURE,
                              .kind = kind,
                              .text = str_starts(eval.reason, title)
                                              ? str_copy(eval.reason)
                                              : str_format("%s: %s", title, eval.reason),
                              .count = eval.missed_in_row,
                              .at_ms = eval.last_ms});
}

static void latency_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list) {
        const MonitorBaseline *baseline = monitor->rule.baseline;
        size_t n = monitor->n_latencies < LATENCIES_MAX ? monitor->n_latencies : LATENCIES_MAX;
        if (!baseline || baseline->latency_ms <= 0 || n < LATENCY_LEAST)
                return;
        int64_t values[LATENCIES_MAX];
        memcpy(values, monitor->latencies, n * sizeof(values[0]));
        int64_t now = median_of(values, n), before = baseline->latency_ms;
        if (now < 2 * before || now < before + LATENCY_FLOOR_MS)
                return;
        evidence_add(
                list, &(Evidence){.severity = SEVERITY_WARN,
                              .kind = "latency",
                              .text = str_format("answers take %lld ms, before the update %lld ms",
                                      (long long)now, (long long)before),
                              .count = (unsigned)n,
                              .at_ms = now_ms});
}

static int by_weight(const void *a, const void *b) {
        const Evidence *one = a, *other = b;
        if (one->is_new != other->is_new)
                return one->is_new ? -1 : 1;
        if (one->severity != other->severity)
                return one->severity > other->severity ? -1 : 1;
        return one->at_ms < other->at_ms ? -1 : one->at_ms > other->at_ms;
}

Evidence *monitor_evidence(Monitor *monitor, int64_t now_ms, size_t *ret_n) {
        EvidenceList list = {0};
        const MonitorRule *rule = &monitor->rule;
        for (size_t i = 0; i < rule->n_checks; i++) {
                const char *title = rule->checks[i].title;
                eval_evidence(&monitor->evals[i], "check", title ? title : "check", SEVERITY_FAIL,
                        now_ms, &list);
        }
        bool before = rule->baseline && rule->baseline->outside_failed;
        eval_evidence(&monitor->outside, "outside", "from outside",
                before ? SEVERITY_WARN : SEVERITY_FAIL, now_ms, &list);
        latency_evidence(monitor, now_ms, &list);
        monitor_process_evidence(monitor, now_ms, &list);
        monitor_log_evidence(monitor, now_ms, &list);
        if (list.n > 1)
                qsort(list.items, list.n, sizeof(*list.items), by_weight);
        *ret_n = list.n;
        return list.items;
}

void evidence_free(Evidence *evidence, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(evidence[i].text);
        free(evidence);
}

MonitorVerdict monitor_verdict(Monitor *monitor, int64_t now_ms) {
        static const MonitorVerdict meaning[] = {
                [SEVERITY_NOTE] = MONITOR_HEALTHY,
                [SEVERITY_WARN] = MONITOR_INVESTIGATE,
                [SEVERITY_UNSURE] = MONITOR_INCONCLUSIVE,
                [SEVERITY_FAIL] = MONITOR_ROLL_BACK,
        };
        size_t n = 0;
        Evidence *evidence = monitor_evidence(monitor, now_ms, &n);
        MonitorVerdict worst = MONITOR_HEALTHY;
        for (size_t i = 0; i < n; i++)
                if (meaning[evidence[i].severity] > worst)
                        worst = meaning[evidence[i].severity];
        evidence_free(evidence, n);
        return worst;
}

static bool undecided(const Eval *eval) {
        const EvalRule *rule = &eval->rule;
        return (eval->missed_in_row > 0 && eval->missed_in_row < rule->fail_limit) ||
               (eval->errors_in_row > 0 && eval->errors_in_row < rule->error_limit);
}

bool monitor_undecided(const Monitor *monitor) {
        for (size_t i = 0; i < monitor->rule.n_checks; i++)
                if (undecided(&monitor->evals[i]))
                        return true;
        return undecided(&monitor->outside);
}
