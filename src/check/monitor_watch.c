/* Feeds the watch for its time. */
#include "check/monitor_watch.h"

#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"
#include "check/monitor_state.h"
#include "platform/clock.h"

enum {
        UNSEEN_MAX = 3, /* looks at the process that fail in a row */
        TICK_MS =
                1000, /* the process and the log are looked at so often, the checks each every_ms */
        SLICE_MS = 100,
        BLOCK = 64 * 1024,
        LOG_PER_TICK = 4 * 1024 * 1024,
        EXTRA_ROUNDS = 8, /* after the time, while a check has failed once or twice */
        OUTSIDE_WITHIN_MS = 10000,
};

typedef struct Watching {
        const MonitorWatch *watch;
        CheckSpec *checks; /* those that are asked */
        size_t n_checks;
        Monitor *monitor;
        LogPlace place;
        int64_t began_ms, until_ms, round_ms,
                outside_ms; /* the next round, the next question from outside */
        unsigned extra, unseen;
} Watching;

static void watching_done(Watching *watching) {
        monitor_freep(&watching->monitor);
        free(watching->checks);
}

void monitor_ask_outside(const MonitorSpec *spec, CheckContext *context, CheckAnswer *ret) {
        *ret = (CheckAnswer){.kind = ANSWER_ERROR};
        Http *http = check_http_client(context, ret);
        if (!http)
                return;
        HttpRequest request = {.url = spec->outside_url,
                .timeout_ms = OUTSIDE_WITHIN_MS,
                .cancel = context->cancel};
        scoped(http_answer_done) HttpAnswer answer = {0};
        http_ask(http, &request, &answer);
        ret->took_ms = answer.took_us / 1000;
        if (answer.status == 0)
                check_say(ret, context, check_kind_of_failure(answer.failure), "%s: %s",
                        request.url, answer.why);
        else
                check_say(ret, context, answer.status < 400 ? ANSWER_PASS : ANSWER_FAIL,
                        "%s answered %u", request.url, answer.status);
}

static void begin(Watching *watching) {
        const MonitorWatch *watch = watching->watch;
        watching->checks = NEW_ARRAY(CheckSpec, watch->n_checks + 1);
        for (size_t i = 0; i < watch->n_checks; i++)
                if (watch->checks[i].kind != CHECK_LOG)
                        watching->checks[watching->n_checks++] = watch->checks[i];
        MonitorRule rule = {.spec = watch->spec,
                .checks = watching->checks,
                .n_checks = watching->n_checks,
                .baseline = watch->baseline,
                .secrets = watch->context->secrets};
        watching->began_ms = clock_now_ms();
        watching->until_ms = watching->began_ms + watch->spec->for_ms;
        watching->outside_ms = watching->began_ms;
        watching->place = watch->log_from;
        watching->monitor = monitor_new(&rule, watching->began_ms);
}

static void look_at_process(Watching *watching, bool whole) {
        const MonitorWatch *watch = watching->watch;
        scoped(process_sample_done) ProcessSample sample = {.cpu_ms = -1};
        if (!watch->process)
                return;
        if (!watch->process(watch->process_context, &sample, NULL)) {
                /* Once is chance; what is never seen cannot be called healthy. */
                if (++watching->unseen == UNSEEN_MAX)
                        monitor_add_trouble(watching->monitor, clock_now_ms(),
                                "the process could not be looked at");
                return;
        }
        watching->unseen = 0;
        if (!whole) {
                sample.memory_bytes = 0;
                sample.cpu_ms = -1;
        }
        monitor_add_process(watching->monitor, clock_now_ms(), &sample);
}

static void look_at_log(Watching *watching) {
        const LogReader *log = watching->watch->context->log;
        if (!log)
                return;
        scoped(free_str) char *block = mem_new(BLOCK, 1);
        scoped(err_clear) Err err = {0};
        size_t total = 0;
        for (size_t n = 1; n > 0; total += n) {
                if (total >= LOG_PER_TICK) {
                        monitor_add_trouble(watching->monitor, clock_now_ms(),
                                "the log grows by more than 4 MB a second; parts of it were not "
                                "read");
                        (void)log->end(log->context, &watching->place, NULL);
                        return;
                }
                if (!log->read(log->context, &watching->place, block, BLOCK, &n, &err)) {
                        monitor_add_trouble(watching->monitor, clock_now_ms(), err.message);
                        return;
                }
                monitor_add_log(watching->monitor, clock_now_ms(), block, n);
        }
}

static bool cancelled(const Watching *watching) {
        return check_cancelled(watching->watch->context);
}

static void ask_outside(Watching *watching) {
        const MonitorSpec *spec = watching->watch->spec;
        if (!spec->outside_url || clock_now_ms() < watching->outside_ms)
                return;
        CheckAnswer answer;
        monitor_ask_outside(spec, watching->watch->context, &answer);
        if (cancelled(watching))
                return;
        monitor_add_outside(watching->monitor, clock_now_ms(), &answer);
        int64_t every =
                spec->outside_every_ms > spec->every_ms ? spec->outside_every_ms : spec->every_ms;
        watching->outside_ms = clock_now_ms() + (answer.kind == ANSWER_PASS ? every : 0);
}

static void ask_round(Watching *watching) {
        for (size_t i = 0; i < watching->n_checks && !cancelled(watching); i++) {
                CheckAnswer answer;
                check_ask(&watching->checks[i], watching->watch->context, &answer);
                if (!cancelled(watching))
                        monitor_add_answer(watching->monitor, clock_now_ms(), i, &answer);
        }
        ask_outside(watching);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

/* The next round: each every_ms, the last one at the end of the time; after it, or sooner when a check is
 * failing, after a second. */
static int64_t next_round(const Watching *watching, int64_t now) {
        int64_t every =
                watching->watch->spec->every_ms > 0 ? watching->watch->spec->every_ms : TICK_MS;
        if (now >= watching->until_ms)
                return now + earlier(every, TICK_MS);
        return earlier(now + every, watching->until_ms);
}

static void show(const Watching *watching, int64_t now) {
        const MonitorWatch *watch = watching->watch;
        int64_t left = watching->until_ms - now;
        if (!watch->progress)
                return;
        scoped(free_str) char *text = str_format("%u answers", watching->monitor->answers);
        watch->progress(watch->progress_context, left > 0 ? left : 0, text);
}

/* False when it is over: the time, or it is clear already. */
static bool tick(Watching *watching) {
        int64_t now = clock_now_ms();
        bool round = now >= watching->round_ms;
        look_at_process(watching, round);
        look_at_log(watching);
        if (round) {
                ask_round(watching);
                watching->round_ms = next_round(watching, now);
        }
        show(watching, now);
        if (monitor_verdict(watching->monitor, clock_now_ms()) == MONITOR_ROLL_BACK)
                return false;
        if (!round || now < watching->until_ms)
                return true;
        return monitor_undecided(watching->monitor) && watching->extra++ < EXTRA_ROUNDS;
}

static bool sleep_until(const Watching *watching, int64_t until) {
        for (int64_t left = until - clock_now_ms(); left > 0; left = until - clock_now_ms()) {
                if (cancelled(watching))
                        return false;
                clock_sleep_ms(earlier(left, SLICE_MS));
        }
        return !cancelled(watching);
}

static void finish(Watching *watching, MonitorResult *ret) {
        int64_t now = clock_now_ms();
        Monitor *monitor = watching->monitor;
        ret->verdict = monitor_verdict(monitor, now);
        ret->evidence = monitor_evidence(monitor, now, &ret->n_evidence);
        ret->watched_ms = now - watching->began_ms;
        ret->answers = monitor->answers;
        const Evidence *weightiest = NULL;
        for (size_t i = 0; i < ret->n_evidence; i++)
                if (!weightiest || ret->evidence[i].severity > weightiest->severity)
                        weightiest = &ret->evidence[i];
        if (weightiest && weightiest->severity > SEVERITY_NOTE)
                ret->reason = str_copy(weightiest->text);
        else if (ret->answers > 0)
                ret->reason = str_format("%u answers of %zu %s were right", ret->answers,
                        watching->n_checks, watching->n_checks == 1 ? "check" : "checks");
        else
                ret->reason = str_copy("nothing unusual was seen");
}

bool monitor_watch(const MonitorWatch *watch, MonitorResult *ret, Err *err) {
        scoped(watching_done) Watching watching = {.watch = watch};
        begin(&watching);
        if (watch->spec->for_ms <= 0) {
                look_at_process(&watching, true);
                look_at_log(&watching);
                finish(&watching, ret);
                return true;
        }
        watching.round_ms = next_round(&watching, watching.began_ms);
        do {
                int64_t next = earlier(clock_now_ms() + TICK_MS, watching.round_ms);
                if (!sleep_until(&watching, next))
                        return err_fail(err, ERR_CANCELLED, "the watch was cancelled");
        } while (tick(&watching) && !cancelled(&watching));
        if (cancelled(&watching))
                return err_fail(err, ERR_CANCELLED, "the watch was cancelled");
        finish(&watching, ret);
        return true;
}

void monitor_result_done(MonitorResult *result) {
        evidence_free(result->evidence, result->n_evidence);
        free(result->reason);
        *result = (MonitorResult){0};
}

static const char *severity_name(Severity severity) {
        static const char *const names[] = {[SEVERITY_NOTE] = "note",
                [SEVERITY_WARN] = "warn",
                [SEVERITY_UNSURE] = "unsure",
                [SEVERITY_FAIL] = "fail"};
        return names[severity];
}

json_t *monitor_result_to_json(const MonitorResult *result) {
        json_t *object = json_object(), *list = json_array();
        js_set_str(object, "verdict", monitor_verdict_name(result->verdict));
        js_set_str(object, "reason", result->reason);
        js_set_int(object, "watched_ms", result->watched_ms);
        js_set_int(object, "answers", result->answers);
        for (size_t i = 0; i < result->n_evidence; i++) {
                const Evidence *one = &result->evidence[i];
                json_t *item = json_object();
                js_set_str(item, "severity", severity_name(one->severity));
                js_set_str(item, "kind", one->kind);
                js_set_str(item, "text", one->text);
                js_set_bool(item, "new", one->is_new);
                js_set_int(item, "count", one->count);
                json_array_append_new(list, item);
        }
        js_set(object, "evidence", list);
        return object;
}
