#include "update/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

static json_t *summarise(const State *state, unsigned number) {
        scoped(run_done) Run run = {0};
        if (!run_load(state, number, &run, NULL) || (!run.damaged && !run.state.plan))
                return NULL;
        return summary_to_json(&run);
}

static int by_service(const void *a, const void *b) {
        const IndexRow *one = *(const IndexRow *const *)a, *other = *(const IndexRow *const *)b;
        int order = strcmp(one->service, other->service);
        return order ? order : (one->run < other->run) - (one->run > other->run);
}

bool history_open(const State *state, History *ret, Err *err) {
        static const IndexMaker maker = {.version = SUMMARY_VERSION, .summarise = summarise};
        History history = {.state = state};
        if (!index_read(state, &maker, &history.index, err))
                return false;
        size_t n = history.index.n;
        history.by_service = NEW_ARRAY(const IndexRow *, n);
        for (size_t i = 0; i < n; i++)
                history.by_service[i] = &history.index.rows[i];
        if (n > 1)
                qsort(history.by_service, n, sizeof(*history.by_service), by_service);
        *ret = history;
        return true;
}

void history_done(History *history) {
        free(history->by_service);
        index_done(&history->index);
        *history = (History){0};
}

static bool read_row(const IndexRow *row, Summary *ret) {
        scoped(js_freep) json_t *object =
                js_parse(row->summary, strlen(row->summary), "index", NULL);
        return object && summary_from_json(row->run, object, ret);
}

/* The first that is not before `service`. */
static size_t first_of(const History *history, const char *service) {
        size_t low = 0, high = history->index.n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (strcmp(history->by_service[middle]->service, service) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool history_newest(const History *history, const char *service, Summary *ret) {
        size_t at = first_of(history, service);
        return at < history->index.n && str_equal(history->by_service[at]->service, service) &&
               read_row(history->by_service[at], ret);
}

void history_list(
        const History *history, const char *service, size_t most, Summary **ret, size_t *ret_n) {
        size_t n = history->index.n, count = 0, at = service ? first_of(history, service) : 0;
        Summary *runs = NULL;
        for (; at < n && count < most; at++) {
                const IndexRow *row =
                        service ? history->by_service[at] : &history->index.rows[n - 1 - at];
                Summary run = {0};
                if (service && !str_equal(row->service, service))
                        break;
                if (read_row(row, &run))
                        PUSH(runs, count, run);
        }
        *ret = runs;
        *ret_n = count;
}

void history_list_free(Summary *runs, size_t n) {
        for (size_t i = 0; i < n; i++)
                summary_done(&runs[i]);
        free(runs);
}

char *history_state_text(const State *state, const Summary *run) {
        scoped(run_done) Run open = {0};
        if (run->damaged)
                return str_copy("damaged journal");
        if (run->end != RUN_OPEN)
                return str_copy(run_end_text(run->end, run->kind));
        return run_load(state, run->run, &open, NULL) ? run_state_text(&open) : str_copy("unknown");
}
