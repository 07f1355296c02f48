/*
 * The watch after an update: healthy, investigate, or roll back, with the evidence.
 *
 * The pure part knows no clock and asks nothing. It is fed, and says what it thinks:
 *
 *     MonitorRule rule = {.spec = &service->monitor, .checks = service->checks, .n_checks = service->n_checks,
 *                         .baseline = &baseline};
 *     scoped(monitor_freep) Monitor *monitor = monitor_new(&rule, now);
 *     monitor_add_answer(monitor, now, 0, &answer);
 *     monitor_add_log(monitor, now, bytes, n);
 *     monitor_add_process(monitor, now, &sample);
 *     if (monitor_verdict(monitor, now) == MONITOR_ROLL_BACK) ...
 *
 * monitor_watch feeds it for `for_ms`, each `every_ms`.
 *
 * What leads to *roll back*: the process exited, was restarted or killed for memory; a check failed 3 times in a row
 * or flaps; outside access failed 3 times in a row and did not before the switch; memory at `memory_fail`
 * percent of the limit in two samples in a row; a red flag in the log as often as its row in the table says, or a
 * text of `logs.fail`; ten times the allowed errors per minute. What leads to *investigate*: errors beyond
 * `errors_per_minute`, an error of a kind never seen before the switch, a text of `logs.warn`, the same message over
 * and over, memory at `memory_warn`, steady growth, CPU, answers twice as slow and 250 ms slower than before.
 * A red flag that was in the log before the switch as well only leads to *investigate*: going back would
 * not mend it. What Belay could not ask never leads to roll back; when it lasts to the end: *inconclusive*.
 */
#ifndef BELAY_CHECK_MONITOR_H
#define BELAY_CHECK_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "check/check.h"
#include "model/log_reader.h"
#include "model/service.h"

typedef enum MonitorVerdict {
        MONITOR_HEALTHY,
        MONITOR_INVESTIGATE,
        MONITOR_INCONCLUSIVE,
        MONITOR_ROLL_BACK,
} MonitorVerdict;

const char *monitor_verdict_name(
        MonitorVerdict verdict); /* "healthy", "investigate", "inconclusive", "roll back" */

typedef enum Severity { SEVERITY_NOTE, SEVERITY_WARN, SEVERITY_UNSURE, SEVERITY_FAIL } Severity;

typedef struct Evidence {
        Severity severity;
        const char *
                kind; /* "log", "check", "process", "memory", "cpu", "outside", "latency"; static */
        char *text;   /* printable, one line; owned */
        bool is_new;  /* a log line of a kind never seen before the switch */
        unsigned count;
        int64_t at_ms; /* first seen, in the time that was fed */
} Evidence;

/* What was usual before the switch. Plain data, kept with the run (monitor_baseline_to_json). All zero: unknown. */
enum { BASELINE_KINDS_MAX = 2000 };
typedef struct MonitorBaseline {
        bool known;
        bool log_known;
        double error_share; /* of the log's lines, those that look like errors: 0 to 1 */
        uint64_t memory_bytes;
        int64_t latency_ms;  /* median of the checks' answers; 0: unknown */
        bool outside_failed; /* outside access failed before, too */
        uint64_t *kinds;     /* of the log's lines, sorted; owned */
        size_t n_kinds;
} MonitorBaseline;

void monitor_baseline_done(MonitorBaseline *baseline);
json_t *monitor_baseline_to_json(
        const MonitorBaseline *baseline); /* may be 40 KB: keep it in a file; new reference */
void monitor_baseline_from_json(
        const json_t *object, MonitorBaseline *ret); /* absent or odd: unknown */

/* How the process does now, as its runtime sees it. */
typedef struct ProcessSample {
        bool running;
        char *gone;            /* when not running: "exited with status 1"; owned, may be NULL */
        unsigned restarts;     /* since the watch began */
        unsigned oom_kills;    /* since the watch began */
        uint64_t memory_bytes; /* of all its processes; 0: unknown */
        uint64_t memory_limit; /* its cgroup's, else the machine's; 0: unknown */
        int64_t cpu_ms;        /* used so far by all its processes; -1: unknown */
} ProcessSample;
void process_sample_done(ProcessSample *sample);

typedef struct MonitorRule {
        const MonitorSpec *spec;
        const CheckSpec *checks;
        size_t n_checks;
        const MonitorBaseline *baseline; /* may be NULL; all borrowed */
        char *const *secrets;            /* values that may be in no evidence */
} MonitorRule;

typedef struct Monitor Monitor;
Monitor *monitor_new(const MonitorRule *rule, int64_t now_ms);
void monitor_freep(Monitor **monitor);
void monitor_add_answer(Monitor *monitor, int64_t now_ms, size_t check, const CheckAnswer *answer);
void monitor_add_outside(Monitor *monitor, int64_t now_ms, const CheckAnswer *answer);
void monitor_add_process(Monitor *monitor, int64_t now_ms, const ProcessSample *sample);
/* Any bytes, cut anywhere; lines over LIMIT_LOG_LINE are cut. Harmless whatever they are. */
void monitor_add_log(Monitor *monitor, int64_t now_ms, const char *bytes, size_t n);
/* The log could not be read, or grows faster than it is read. */
void monitor_add_trouble(Monitor *monitor, int64_t now_ms, const char *text);
MonitorVerdict monitor_verdict(Monitor *monitor, int64_t now_ms);
/* Whether a check or the outside is failing right now without having failed for good. */
bool monitor_undecided(const Monitor *monitor);
/* New kinds of lines first, then by severity; owned by the caller (evidence_free). */
Evidence *monitor_evidence(Monitor *monitor, int64_t now_ms, size_t *ret_n);
void evidence_free(Evidence *evidence, size_t n);

typedef struct MonitorWatch {
        const MonitorSpec *spec;
        const CheckSpec *checks; /* log checks are left out: they are about the start */
        size_t n_checks;
        const MonitorBaseline *baseline; /* may be NULL */
        CheckContext *context;           /* its `log` is read from `log_from` on, if it has one */
        LogPlace log_from;               /* where the log ended before this version was started */
        /* How the process does; may be NULL. False: could not be seen, which is not the service's fault. */
        bool (*process)(void *context, ProcessSample *ret, Err *err);
        void *process_context;
        void (*progress)(void *context, int64_t left_ms,
                const char *text); /* at least once a second; may be NULL */
        void *progress_context;
} MonitorWatch;

typedef struct MonitorResult {
        MonitorVerdict verdict;
        char *reason; /* the weightiest evidence, or "12 answers of 2 checks were right"; owned */
        Evidence *evidence;
        size_t n_evidence;
        int64_t watched_ms;
        unsigned answers;
} MonitorResult;

/* Watches for spec->for_ms; ends early when it is clear that it must go back; goes on a little longer while
 * a check that began to fail is neither right again nor failed for good. `for: 0s` looks once at log and process and asks
 * nothing. False: only ERR_CANCELLED. A watch cut short begins again. */
bool monitor_watch(const MonitorWatch *watch, MonitorResult *ret, Err *err);
void monitor_result_done(MonitorResult *result);
json_t *monitor_result_to_json(const MonitorResult *result); /* new reference */

/* Records what is usual, before the switch: reads at most the last MiB of the log, asks each check
 * once (and the outside), takes one sample of the process. Never fails: what cannot be known is left out. */
void monitor_baseline_take(const MonitorWatch *watch, MonitorBaseline *ret);

#endif
