/* The process's part of the watch: is it still the one that was started, its memory, its CPU. */
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "check/monitor_state.h"

enum { FULL_SAMPLES = 2, BUSY_SAMPLES = 3, GROWTH_SAMPLES = 9 };

void process_sample_done(ProcessSample *sample) {
        free(sample->gone);
        *sample = (ProcessSample){0};
}

static void note_gone(ProcessState *state, const ProcessSample *sample) {
        if (state->gone)
                return;
        if (sample->oom_kills > 0)
                state->gone = str_copy("the system killed it because memory ran out");
        else if (!sample->running)
                state->gone =
                        str_printable(sample->gone ? sample->gone : "the process is gone", false);
        else if (sample->restarts > 0)
                state->gone = str_format("the process ended and was restarted %u %s",
                        sample->restarts, sample->restarts == 1 ? "time" : "times");
}

/* When there is no more room every other sample goes: the whole time stays covered. */
static void keep_sample(ProcessState *state, int64_t now_ms, uint64_t bytes) {
        if (state->n_samples == SAMPLES_MAX) {
                for (size_t i = 0; i < SAMPLES_MAX / 2; i++)
                        state->samples[i] = state->samples[i * 2];
                state->n_samples = SAMPLES_MAX / 2;
        }
        state->samples[state->n_samples++] = (MemorySample){now_ms, bytes};
}

static void note_memory(Monitor *monitor, int64_t now_ms, const ProcessSample *sample) {
        ProcessState *state = &monitor->process;
        unsigned fail = monitor->rule.spec->memory_fail;
        if (sample->memory_bytes == 0)
                return;
        keep_sample(state, now_ms, sample->memory_bytes);
        if (sample->memory_limit == 0)
                return;
        unsigned percent =
                (unsigned)((double)sample->memory_bytes * 100 / (double)sample->memory_limit);
        state->high_in_row = fail > 0 && percent >= fail ? state->high_in_row + 1 : 0;
        state->full |= state->high_in_row >= FULL_SAMPLES;
        if (percent <= state->worst_percent)
                return;
        state->worst_percent = percent;
        state->worst_ms = now_ms;
}

static void note_cpu(Monitor *monitor, int64_t now_ms, const ProcessSample *sample) {
        ProcessState *state = &monitor->process;
        if (sample->cpu_ms < 0)
                return;
        int64_t passed = now_ms - state->cpu_at_ms, used = sample->cpu_ms - state->cpu_ms;
        if (state->cpu_known && passed > 0 && used >= 0) {
                unsigned percent = (unsigned)(used * 100 / passed);
                bool busy =
                        monitor->rule.spec->cpu_warn > 0 && percent >= monitor->rule.spec->cpu_warn;
                state->busy_in_row = busy ? state->busy_in_row + 1 : 0;
                state->busy |= state->busy_in_row >= BUSY_SAMPLES;
                if (busy && percent > state->busy_percent)
                        state->busy_percent = percent;
        }
        state->cpu_known = true;
        state->cpu_ms = sample->cpu_ms;
        state->cpu_at_ms = now_ms;
}

void monitor_add_process(Monitor *monitor, int64_t now_ms, const ProcessSample *sample) {
        note_gone(&monitor->process, sample);
        note_memory(monitor, now_ms, sample);
        note_cpu(monitor, now_ms, sample);
}

static int64_t median_bytes(const MemorySample *samples, size_t n) {
        int64_t values[SAMPLES_MAX];
        for (size_t i = 0; i < n; i++)
                values[i] = (int64_t)samples[i].bytes;
        return median_of(values, n);
}

/* Growth over growth_ms in percent of the start, from the medians of the first and the last third; the first
 * fifth is left out, in which a program fills its caches. */
static double growth_percent(const ProcessState *state, int64_t growth_ms) {
        size_t skipped = state->n_samples / 5, n = state->n_samples - skipped, third = n / 3;
        const MemorySample *first = state->samples + skipped,
                           *last = state->samples + state->n_samples - third;
        int64_t apart = last[third / 2].t_ms - first[third / 2].t_ms;
        int64_t from = median_bytes(first, third), to = median_bytes(last, third);
        if (apart <= 0 || from <= 0)
                return 0;
        return (double)(to - from) * 100 / (double)from * (double)growth_ms / (double)apart;
}

static void growth_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list) {
        const MonitorSpec *spec = monitor->rule.spec;
        const ProcessState *state = &monitor->process;
        if (spec->growth_percent == 0 || spec->growth_ms <= 0 || state->n_samples < GROWTH_SAMPLES)
                return;
        double percent = growth_percent(state, spec->growth_ms);
        if (percent < spec->growth_percent)
                return;
        scoped(free_str) char *time = duration_text(spec->growth_ms);
        evidence_add(
                list, &(Evidence){.severity = SEVERITY_WARN,
                              .kind = "memory",
                              .text = str_format("memory grows by %.0f %% in %s", percent, time),
                              .count = 1,
                              .at_ms = now_ms});
}

static void memory_evidence(const Monitor *monitor, EvidenceList *list) {
        const MonitorSpec *spec = monitor->rule.spec;
        const ProcessState *state = &monitor->process;
        if (!state->full && (spec->memory_warn == 0 || state->worst_percent < spec->memory_warn))
                return;
        evidence_add(list,
                &(Evidence){.severity = state->full ? SEVERITY_FAIL : SEVERITY_WARN,
                        .kind = "memory",
                        .text = str_format("memory at %u %% of its limit", state->worst_percent),
                        .count = 1,
                        .at_ms = state->worst_ms});
}

void monitor_process_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list) {
        const ProcessState *state = &monitor->process;
        if (state->gone)
                evidence_add(list, &(Evidence){.severity = SEVERITY_FAIL,
                                           .kind = "process",
                                           .text = str_copy(state->gone),
                                           .count = 1,
                                           .at_ms = now_ms});
        memory_evidence(monitor, list);
        growth_evidence(monitor, now_ms, list);
        if (state->busy)
                evidence_add(list, &(Evidence){.severity = SEVERITY_WARN,
                                           .kind = "cpu",
                                           .text = str_format("CPU at %u %% of a core, sustained",
                                                   state->busy_percent),
                                           .count = 1,
                                           .at_ms = state->cpu_at_ms});
}
