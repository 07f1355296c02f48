/*
 * What the watch remembers. Not for other rooms.
 */
#ifndef BELAY_CHECK_MONITOR_STATE_H
#define BELAY_CHECK_MONITOR_STATE_H

#include "check/check_eval.h"
#include "check/log_kind.h"
#include "check/monitor.h"

enum {
        KIND_SLOTS = 2048, /* power of two; at most KINDS_MAX are used */
        KINDS_MAX = 1500,
        KIND_TEXT_MAX = 160,
        SAMPLES_MAX = 256,
        LATENCIES_MAX = 256,
        FLAG_WINDOW_MS = 5 * 60 * 1000,
};

/* One kind of log line seen since the switch. */
typedef struct LineKind {
        uint64_t kind; /* 0: free slot */
        unsigned count;
        int64_t first_ms;
        int flag; /* red flag, or -1 */
        bool is_new, is_error, fails, warns;
        char *text; /* the first line of it, without secrets; owned */
} LineKind;

typedef struct FlagState {
        unsigned count, fresh;              /* all; those of kinds not seen before the switch */
        int64_t times[RED_FLAG_NEEDED_MAX]; /* of the last fresh ones, as a ring */
        int64_t first_ms;
        bool raised;
        char *text; /* the first fresh line, else the first; owned */
} FlagState;

typedef struct LogState {
        LineCutter cutter;
        LineKind *slots;
        size_t n_kinds;
        uint64_t lines, errors;
        FlagState flags[RED_FLAGS];
        int64_t now_ms; /* of the bytes being added */
        char *trouble;  /* owned */
} LogState;

typedef struct MemorySample {
        int64_t t_ms;
        uint64_t bytes;
} MemorySample;

typedef struct ProcessState {
        char *gone;           /* it exited, was restarted or killed: final; owned */
        unsigned high_in_row; /* samples at memory_fail */
        bool full;            /* two of them in a row: final */
        unsigned worst_percent;
        int64_t worst_ms;
        MemorySample samples[SAMPLES_MAX];
        size_t n_samples;
        int64_t cpu_ms, cpu_at_ms;
        bool cpu_known;
        unsigned busy_in_row, busy_percent;
        bool busy;
} ProcessState;

struct Monitor {
        MonitorRule rule;
        int64_t began_ms;
        Eval *evals; /* one for each check */
        Eval outside;
        unsigned answers;
        int64_t latencies[LATENCIES_MAX];
        size_t n_latencies;
        LogState log;
        ProcessState process;
};

/* A list that grows. */
typedef struct EvidenceList {
        Evidence *items;
        size_t n;
} EvidenceList;

void evidence_add(EvidenceList *list, const Evidence *evidence); /* takes its text */
int64_t median_of(int64_t *values, size_t n);                    /* sorts them; 0 of none */
/* Whether one of the rule's URLs' paths is in the line, or Belay's own name: what its questions cause. */
bool monitor_own_line(const MonitorRule *rule, const char *clean);

void monitor_log_begin(Monitor *monitor);
void monitor_log_done(Monitor *monitor);
void monitor_log_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list);
void monitor_process_evidence(const Monitor *monitor, int64_t now_ms, EvidenceList *list);

#endif
