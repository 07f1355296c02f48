#include "update/statistics.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

/* -- numbers -- */

static int by_value(const void *a, const void *b) {
        int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
        return (one > other) - (one < other);
}

Spread spread_of(int64_t *values, size_t n) {
        Spread spread = {.n = n};
        if (n == 0)
                return spread;
        qsort(values, n, sizeof(*values), by_value);
        int64_t below = values[(n - 1) / 2], above = values[n / 2];
        spread.median = below + (above - below) / 2;
        spread.p90 = values[(n * 9 + 9) / 10 - 1];
        spread.longest = values[n - 1];
        for (size_t i = 0; i < n; i++)
                spread.total += values[i];
        return spread;
}

int percent_of(size_t part, size_t n) {
        /* 99.6 % is not "all": 100 is said of all of them alone, and 0 of none. */
        if (n == 0)
                return -1;
        if (part == n || part == 0)
                return part ? 100 : 0;
        int percent = (int)((part * 200 + n) / (2 * n));
        return percent > 99 ? 99 : (percent < 1 ? 1 : percent);
}

/* -- one group of runs -- */

typedef struct Values {
        int64_t *ms;
        size_t n;
} Values;

typedef struct Group {
        Statistics *to;
        Values took, gap, restore;
} Group;

static void add_value(Values *values, int64_t ms) {
        if (ms >= 0)
                PUSH(values->ms, values->n, ms);
}

static void add_cause(Statistics *to, const char *text) {
        for (size_t i = 0; i < to->n_causes; i++)
                if (str_equal(to->causes[i].text, text)) {
                        to->causes[i].n++;
                        return;
                }
        Cause cause = {text, 1};
        PUSH(to->causes, to->n_causes, cause);
}

/* Waiting for a window, or for a service that is busy, is no work. */
static int64_t worked_ms(const Summary *run) {
        int64_t ms = run->ended_ms - run->began_ms;
        for (size_t i = 0; i < run->n_steps; i++)
                if (str_equal(run->steps[i].name, "wait") || str_equal(run->steps[i].name, "busy"))
                        ms -= run->steps[i].ms;
        return ms;
}

static void add_update(Group *group, const Summary *run) {
        Statistics *to = group->to;
        size_t *const counts[] = {
                [RUN_OPEN] = NULL,
                [RUN_SUCCEEDED] = &to->succeeded,
                [RUN_ROLLED_BACK] = &to->rolled_back,
                [RUN_ABORTED] = &to->unchanged,
                [RUN_NEEDS_PERSON] = &to->needs_person,
        };
        to->updates++;
        (*counts[run->end])++;
        if (run->end == RUN_SUCCEEDED)
                add_value(&group->took, worked_ms(run));
        else if (run->cause)
                add_cause(to, run->cause);
}

static void add_run(Group *group, const Summary *run) {
        Statistics *to = group->to;
        if (run->damaged || run->end == RUN_OPEN) {
                to->damaged += run->damaged;
                to->open += !run->damaged;
                return;
        }
        bool by_hand = str_equal(run->kind, "rollback");
        if (str_equal(run->kind, "update"))
                add_update(group, run);
        to->by_hand += by_hand;
        to->restores += str_equal(run->kind, "restore");
        if (run->went_back || (by_hand && run->end != RUN_ABORTED)) {
                to->back++;
                to->back_ok += run->end == (by_hand ? RUN_SUCCEEDED : RUN_ROLLED_BACK);
        }
        add_value(&group->gap, run->gap_ms);
        add_value(&group->restore, run->restore_ms);
}

static int by_count(const void *a, const void *b) {
        const Cause *one = a, *other = b;
        if (one->n != other->n)
                return one->n < other->n ? 1 : -1;
        return strcmp(one->text, other->text);
}

static void close_group(Group *group) {
        Statistics *to = group->to;
        to->took = spread_of(group->took.ms, group->took.n);
        to->gap = spread_of(group->gap.ms, group->gap.n);
        to->restore = spread_of(group->restore.ms, group->restore.n);
        if (to->n_causes > 1)
                qsort(to->causes, to->n_causes, sizeof(*to->causes), by_count);
        free(group->took.ms);
        free(group->gap.ms);
        free(group->restore.ms);
}

/* -- all of them -- */

static int by_service(const void *a, const void *b) {
        const Summary *one = *(const Summary *const *)a, *other = *(const Summary *const *)b;
        int order = strcmp(one->service ? one->service : "", other->service ? other->service : "");
        return order ? order : (one->run > other->run) - (one->run < other->run);
}

/* Of the same service, one behind the other. *ret_end: where the next begins. */
static Statistics add_service(const Summary *const *runs, size_t n, size_t from, size_t *ret_end) {
        Statistics of = {.service = runs[from]->service ? runs[from]->service : "?"};
        Group group = {.to = &of};
        size_t i = from;
        for (; i < n && str_equal(runs[i]->service, runs[from]->service); i++)
                add_run(&group, runs[i]);
        close_group(&group);
        *ret_end = i;
        return of;
}

void statistics_of(
        const Summary *runs, size_t n, int64_t since_ms, int64_t until_ms, StatisticsReport *ret) {
        StatisticsReport report = {.since_ms = since_ms, .until_ms = until_ms};
        scoped(free_mem) const Summary **chosen = NULL;
        size_t n_chosen = 0;
        for (size_t i = 0; i < n; i++)
                if (runs[i].damaged ||
                        (runs[i].began_ms >= since_ms && runs[i].began_ms < until_ms))
                        PUSH(chosen, n_chosen, &runs[i]);
        Group all = {.to = &report.all};
        if (n_chosen > 1)
                qsort(chosen, n_chosen, sizeof(*chosen), by_service);
        for (size_t i = 0; i < n_chosen; i++)
                add_run(&all, chosen[i]);
        for (size_t at = 0; at < n_chosen;) {
                Statistics of = add_service(chosen, n_chosen, at, &at);
                PUSH(report.services, report.n_services, of);
        }
        close_group(&all);
        *ret = report;
}

void statistics_done(StatisticsReport *report) {
        free(report->all.causes);
        for (size_t i = 0; i < report->n_services; i++)
                free(report->services[i].causes);
        free(report->services);
        *report = (StatisticsReport){0};
}
