/*
 * What runs add up to: of one service, and of all. A pure function of their summaries.
 *
 * "Updates" are runs of that kind which began in the time asked for and have ended; those that are open
 * are named beside. The success rate is succeeded of all that ended. A way back is what followed a
 * failure after ARM, or what a person asked for with `belay rollback`; it was right when the old version
 * was verified at its end. Durations are of updates that succeeded; time without service is of every
 * ended run that has one. The 90th percentile is the nearest rank: the smallest value that at
 * least 90 % are not above.
 */
#ifndef BELAY_UPDATE_STATISTICS_H
#define BELAY_UPDATE_STATISTICS_H

#include "update/summary.h"

typedef struct Spread {
        size_t n;
        int64_t median, p90, longest, total; /* ms; 0 when n is 0 */
} Spread;

typedef struct Cause {
        const char *text; /* borrowed from a summary */
        size_t n;
} Cause;

typedef struct Statistics {
        const char *service; /* borrowed; NULL: of all */
        size_t updates, succeeded, rolled_back, unchanged, needs_person;
        size_t open;          /* runs of any kind that have not ended */
        size_t damaged;       /* runs whose journal cannot be read; they count nowhere else */
        size_t by_hand;       /* `belay rollback`, ended */
        size_t restores;      /* `belay backup restore`, ended */
        size_t back, back_ok; /* ways back, and how many of them ended well */
        Spread took, gap, restore;
        Cause *causes; /* of updates that did not succeed; the most common first */
        size_t n_causes;
} Statistics;

typedef struct StatisticsReport {
        int64_t since_ms, until_ms; /* unix ms */
        Statistics all;
        Statistics *services; /* by name */
        size_t n_services;
} StatisticsReport;

/* Of runs that began from since_ms on, and before until_ms. Borrows from `runs`. */
void statistics_of(
        const Summary *runs, size_t n, int64_t since_ms, int64_t until_ms, StatisticsReport *ret);
void statistics_done(StatisticsReport *report);

/* Owned. */
char *statistics_markdown(const StatisticsReport *report);
char *statistics_html(const StatisticsReport *report);
json_t *statistics_json(const StatisticsReport *report);

/* Of values in any order, which are sorted. */
Spread spread_of(int64_t *values, size_t n);
/* Of `n` in percent; -1 when there are none. */
int percent_of(size_t part, size_t n);

#endif
