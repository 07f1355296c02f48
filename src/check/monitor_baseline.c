/* What was usual before the switch. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "check/monitor_state.h"
#include "check/monitor_watch.h"

enum { TAIL_BYTES = 1024 * 1024, BLOCK = 64 * 1024, COLLECT_MAX = 65536 };

typedef struct Collecting {
        uint64_t *kinds;
        size_t n, lines, errors;
        bool first; /* the first line of the tail is most likely half a line */
} Collecting;

static void collect_line(void *context, const char *bytes, size_t n) {
        Collecting *collecting = context;
        if (collecting->first) {
                collecting->first = false;
                return;
        }
        scoped(free_str) char *clean = log_line_clean(bytes, n);
        if (!clean[0])
                return;
        collecting->lines++;
        collecting->errors += log_line_is_error(clean);
        if (collecting->n < COLLECT_MAX)
                PUSH(collecting->kinds, collecting->n, log_line_kind(clean));
}

static int by_number(const void *a, const void *b) {
        uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
        return one < other ? -1 : one > other;
}

/* Sorted, each once, at most BASELINE_KINDS_MAX. */
static void keep_kinds(Collecting *collecting, MonitorBaseline *ret) {
        if (collecting->n == 0)
                return;
        qsort(collecting->kinds, collecting->n, sizeof(uint64_t), by_number);
        size_t kept = 1;
        for (size_t i = 1; i < collecting->n && kept < BASELINE_KINDS_MAX; i++)
                if (collecting->kinds[i] != collecting->kinds[kept - 1])
                        collecting->kinds[kept++] = collecting->kinds[i];
        ret->kinds = TAKE(collecting->kinds);
        ret->n_kinds = kept;
}

static bool read_tail(const LogReader *log, Collecting *collecting) {
        scoped(free_str) char *block = mem_new(BLOCK, 1);
        scoped(line_cutter_done) LineCutter cutter = {.take = collect_line, .context = collecting};
        LogPlace place = {0};
        if (!log->end(log->context, &place, NULL))
                return false;
        uint64_t tail = place.offset < TAIL_BYTES ? place.offset : TAIL_BYTES;
        collecting->first = tail < place.offset;
        place.offset -= tail;
        for (uint64_t total = 0; total < tail;) {
                size_t n = 0;
                if (!log->read(log->context, &place, block, BLOCK, &n, NULL))
                        return false;
                if (n == 0)
                        break;
                line_cutter_add(&cutter, block, n);
                total += n;
        }
        return true;
}

static void take_log(const MonitorWatch *watch, MonitorBaseline *ret) {
        const LogReader *log = watch->context->log;
        Collecting collecting = {0};
        if (log && read_tail(log, &collecting)) {
                ret->log_known = true;
                ret->error_share = collecting.lines > 0
                                           ? (double)collecting.errors / (double)collecting.lines
                                           : 0;
                keep_kinds(&collecting, ret);
        }
        free(collecting.kinds);
}

static void take_latency(const MonitorWatch *watch, MonitorBaseline *ret) {
        scoped(free_mem) int64_t *took = NEW_ARRAY(int64_t, watch->n_checks + 1);
        size_t n = 0;
        for (size_t i = 0; i < watch->n_checks; i++) {
                CheckKind kind = watch->checks[i].kind;
                CheckAnswer answer;
                if (kind != CHECK_HTTP && kind != CHECK_TCP)
                        continue;
                check_ask(&watch->checks[i], watch->context, &answer);
                if (answer.kind == ANSWER_PASS)
                        took[n++] = answer.took_ms > 0 ? answer.took_ms : 1;
        }
        ret->latency_ms = median_of(took, n);
}

static void take_process(const MonitorWatch *watch, MonitorBaseline *ret) {
        scoped(process_sample_done) ProcessSample sample = {.cpu_ms = -1};
        if (watch->process && watch->process(watch->process_context, &sample, NULL))
                ret->memory_bytes = sample.memory_bytes;
}

void monitor_baseline_take(const MonitorWatch *watch, MonitorBaseline *ret) {
        *ret = (MonitorBaseline){.known = true};
        take_log(watch, ret);
        take_latency(watch, ret);
        take_process(watch, ret);
        if (!watch->spec->outside_url || watch->spec->for_ms <= 0)
                return;
        CheckAnswer answer;
        monitor_ask_outside(watch->spec, watch->context, &answer);
        ret->outside_failed = answer.kind == ANSWER_FAIL || answer.kind == ANSWER_NONE;
}

void monitor_baseline_done(MonitorBaseline *baseline) {
        free(baseline->kinds);
        *baseline = (MonitorBaseline){0};
}

/* Kinds as hexadecimal text: JSON's numbers hold 53 bits in most readers. */
json_t *monitor_baseline_to_json(const MonitorBaseline *baseline) {
        json_t *object = json_object(), *kinds = json_array();
        js_set_bool(object, "log_known", baseline->log_known);
        js_set(object, "error_share", json_real(baseline->error_share));
        js_set_int(object, "memory_bytes", (int64_t)baseline->memory_bytes);
        js_set_int(object, "latency_ms", baseline->latency_ms);
        js_set_bool(object, "outside_failed", baseline->outside_failed);
        for (size_t i = 0; i < baseline->n_kinds; i++) {
                char text[17];
                snprintf(text, sizeof(text), "%016llx", (unsigned long long)baseline->kinds[i]);
                json_array_append_new(kinds, json_string(text));
        }
        js_set(object, "kinds", kinds);
        return object;
}

void monitor_baseline_from_json(const json_t *object, MonitorBaseline *ret) {
        *ret = (MonitorBaseline){0};
        if (!json_is_object(object))
                return;
        const json_t *share = js_get(object, "error_share"), *kinds = js_get(object, "kinds");
        int64_t memory = js_int(object, "memory_bytes", 0);
        ret->known = true;
        ret->log_known = js_bool(object, "log_known", false);
        ret->error_share = json_is_real(share) ? json_real_value(share) : 0;
        ret->memory_bytes = memory > 0 ? (uint64_t)memory : 0;
        ret->latency_ms = js_int(object, "latency_ms", 0);
        ret->outside_failed = js_bool(object, "outside_failed", false);
        Collecting collecting = {0};
        size_t i;
        json_t *kind;
        json_array_foreach(kinds, i, kind) {
                const char *text = json_string_value(kind);
                if (text && collecting.n < BASELINE_KINDS_MAX)
                        PUSH(collecting.kinds, collecting.n, strtoull(text, NULL, 16));
        }
        keep_kinds(&collecting, ret);
        free(collecting.kinds);
}
