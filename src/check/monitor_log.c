/* The log's part of the watch: kinds of lines, red flags, rates. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "check/monitor_state.h"
#include "model/redact.h"

enum {
        NEW_NOTES_MAX = 5,
        NEW_ERRORS_MAX = 10,
        REPEATS_PER_MINUTE = 60,
        MINUTE_MS = 60000,
        GROSS = 10, /* so many times the allowed errors: roll back */
};

static bool known_before(const Monitor *monitor, uint64_t kind) {
        const MonitorBaseline *baseline = monitor->rule.baseline;
        size_t low = 0, high = baseline ? baseline->n_kinds : 0;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (baseline->kinds[middle] == kind)
                        return true;
                if (baseline->kinds[middle] < kind)
                        low = middle + 1;
                else
                        high = middle;
        }
        return false;
}

static char *kept_text(const Monitor *monitor, const char *clean) {
        scoped(free_str) char *safe = redact(clean, monitor->rule.secrets);
        size_t n = strlen(safe);
        if (n > KIND_TEXT_MAX)
                n = KIND_TEXT_MAX;
        while (n > 0 && ((unsigned char)safe[n] & 0xc0) == 0x80)
                n--;
        return str_copy_n(safe, n);
}

static void classify(const Monitor *monitor, const char *clean, LineKind *ret) {
        const MonitorSpec *spec = monitor->rule.spec;
        ret->flag = spec->log_defaults ? log_line_red_flag(clean) : -1;
        ret->is_error = log_line_is_error(clean);
        ret->fails = log_line_has(clean, spec->logs_fail);
        ret->warns = log_line_has(clean, spec->logs_warn);
        ret->is_new = !known_before(monitor, ret->kind);
}

/* The slot of this kind, made when absent; NULL when there are too many kinds. */
static LineKind *slot_of(Monitor *monitor, uint64_t kind, const char *clean) {
        LogState *log = &monitor->log;
        size_t at = (size_t)kind & (KIND_SLOTS - 1);
        while (log->slots[at].kind != 0 && log->slots[at].kind != kind)
                at = (at + 1) & (KIND_SLOTS - 1);
        LineKind *slot = &log->slots[at];
        if (slot->kind == kind)
                return slot;
        if (log->n_kinds >= KINDS_MAX)
                return NULL;
        log->n_kinds++;
        slot->kind = kind;
        slot->first_ms = log->now_ms;
        classify(monitor, clean, slot);
        slot->text = kept_text(monitor, clean);
        return slot;
}

static void note_flag(Monitor *monitor, const LineKind *line, const char *clean) {
        FlagState *flag = &monitor->log.flags[line->flag];
        const RedFlag *red = &red_flags[line->flag];
        int64_t now = monitor->log.now_ms;
        if (flag->count++ == 0)
                flag->first_ms = now;
        if (!flag->text || (line->is_new && flag->fresh == 0))
                str_replace_owned(&flag->text, kept_text(monitor, clean));
        if (!line->is_new)
                return;
        flag->times[flag->fresh++ % RED_FLAG_NEEDED_MAX] = now;
        if (flag->fresh >= red->needed)
                flag->raised |=
                        now - flag->times[(flag->fresh - red->needed) % RED_FLAG_NEEDED_MAX] <=
                        FLAG_WINDOW_MS;
}

static void take_line(void *context, const char *bytes, size_t n) {
        Monitor *monitor = context;
        scoped(free_str) char *clean = log_line_clean(bytes, n);
        if (!clean[0])
                return;
        LineKind rest = {.kind = log_line_kind(clean)};
        LineKind *line = slot_of(monitor, rest.kind, clean);
        if (!line) {
                classify(monitor, clean, &rest);
                line = &rest;
        }
        line->count++;
        monitor->log.lines++;
        monitor->log.errors += line->is_error;
        if (line->flag >= 0)
                note_flag(monitor, line, clean);
}

void monitor_log_begin(Monitor *monitor) {
        monitor->log.slots = NEW_ARRAY(LineKind, KIND_SLOTS);
        monitor->log.cutter = (LineCutter){.take = take_line, .context = monitor};
}

void monitor_log_done(Monitor *monitor) {
        for (size_t i = 0; i < KIND_SLOTS; i++)
                free(monitor->log.slots[i].text);
        for (size_t i = 0; i < RED_FLAGS; i++)
                free(monitor->log.flags[i].text);
        free(monitor->log.slots);
        free(monitor->log.trouble);
        line_cutter_done(&monitor->log.cutter);
}

void monitor_add_log(Monitor *monitor, int64_t now_ms, const char *bytes, size_t n) {
        monitor->log.now_ms = now_ms;
        line_cutter_add(&monitor->log.cutter, bytes, n);
}

void monitor_add_trouble(Monitor *monitor, int64_t now_ms, const char *text) {
        monitor->log.now_ms = now_ms;
        str_replace_owned(&monitor->log.trouble, str_printable(text, false));
}

static void flag_evidence(const LogState *log, EvidenceList *list) {
        for (size_t i = 0; i < RED_FLAGS; i++) {
                const FlagState *flag = &log->flags[i];
                if (flag->count == 0)
                        continue;
                const char *before = flag->fresh == 0 ? ", and before the update too" : "";
                evidence_add(
                        list, &(Evidence){.severity = flag->raised ? SEVERITY_FAIL : SEVERITY_WARN,
                                      .kind = "log",
                                      .text = str_format("%s, %u times%s: %s", red_flags[i].name,
                                              flag->count, before, flag->text),
                                      .is_new = flag->fresh > 0,
                                      .count = flag->count,
                                      .at_ms = flag->first_ms});
        }
}

/* A text of the manifest; "fail" only when going back would help. */
static bool pattern_evidence(const LineKind *line, EvidenceList *list) {
        if (!line->fails && !line->warns)
                return false;
        evidence_add(list,
                &(Evidence){.severity = line->fails && line->is_new ? SEVERITY_FAIL : SEVERITY_WARN,
                        .kind = "log",
                        .text = str_format("%u times: %s", line->count, line->text),
                        .is_new = line->is_new,
                        .count = line->count,
                        .at_ms = line->first_ms});
        return true;
}

/* Counted as if the watch had lasted a minute at least: one line in the first second is no storm. */
static double per_minute(const Monitor *monitor, int64_t now_ms, double count) {
        int64_t elapsed = now_ms - monitor->began_ms;
        return count * MINUTE_MS / (double)(elapsed > MINUTE_MS ? elapsed : MINUTE_MS);
}

static void new_evidence(const Monitor *monitor, const LineKind *line, size_t *notes,
        size_t *errors, EvidenceList *list) {
        bool error = line->is_error;
        size_t *so_far = error ? errors : notes;
        if (!line->is_new || line->flag >= 0 ||
                *so_far >= (size_t)(error ? NEW_ERRORS_MAX : NEW_NOTES_MAX))
                return;
        if (!monitor->rule.baseline || !monitor->rule.baseline->log_known)
                if (!error)
                        return; /* everything is new then */
        (*so_far)++;
        evidence_add(list, &(Evidence){.severity = error ? SEVERITY_WARN : SEVERITY_NOTE,
                                   .kind = "log",
                                   .text = str_copy(line->text),
                                   .is_new = true,
                                   .count = line->count,
                                   .at_ms = line->first_ms});
}

static void repeat_evidence(
        const Monitor *monitor, const LineKind *line, int64_t now_ms, EvidenceList *list) {
        if (!line->is_new || line->count < REPEATS_PER_MINUTE ||
                per_minute(monitor, now_ms, line->count) < REPEATS_PER_MINUTE ||
                monitor_own_line(&monitor->rule, line->text))
                return;
        evidence_add(
                list, &(Evidence){.severity = SEVERITY_WARN,
                              .kind = "log",
                              .text = str_format("the same message over and over, %u times: %s",
                                      line->count, line->text),
                              .is_new = true,
                              .count = line->count,
                              .at_ms = line->first_ms});
}

static void rate_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list) {
        const LogState *log = &monitor->log;
        unsigned limit = monitor->rule.spec->errors_per_minute;
        double rate = per_minute(monitor, now_ms, (double)log->errors);
        if (limit == 0 || rate <= limit)
                return;
        double share = log->lines > 0 ? (double)log->errors / (double)log->lines : 0;
        double before = monitor->rule.baseline ? monitor->rule.baseline->error_share : 0;
        bool gross = rate >= (double)limit * GROSS && log->errors >= GROSS && share > 2 * before;
        evidence_add(list,
                &(Evidence){.severity = gross ? SEVERITY_FAIL : SEVERITY_WARN,
                        .kind = "log",
                        .text = str_format("%.1f errors per minute, %u are allowed", rate, limit),
                        .count = (unsigned)log->errors,
                        .at_ms = now_ms});
}

void monitor_log_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list) {
        const LogState *log = &monitor->log;
        size_t notes = 0, errors = 0;
        flag_evidence(log, list);
        rate_evidence(monitor, now_ms, list);
        for (size_t i = 0; i < KIND_SLOTS; i++) {
                const LineKind *line = &log->slots[i];
                if (line->kind == 0)
                        continue;
                repeat_evidence(monitor, line, now_ms, list);
                if (!pattern_evidence(line, list))
                        new_evidence(monitor, line, &notes, &errors, list);
        }
        if (log->trouble)
                evidence_add(list, &(Evidence){.severity = SEVERITY_WARN,
                                           .kind = "log",
                                           .text = str_copy(log->trouble),
                                           .count = 1,
                                           .at_ms = log->now_ms});
}
