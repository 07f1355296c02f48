#include "journal/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "journal/index_file.h"
#include "platform/file.h"

static void row_done(IndexRow *row) {
        free(row->service);
        free(row->stamp);
        free(row->summary);
        *row = (IndexRow){0};
}

void index_done(Index *index) {
        for (size_t i = 0; i < index->n; i++)
                row_done(&index->rows[i]);
        free(index->rows);
        free(index->why);
        *index = (Index){0};
}

/* What changes when a journal does. NULL: there is none. */
static char *stamp_of(const State *state, unsigned run) {
        scoped(free_str) char *path = state_run_file(state, run, "journal");
        struct stat st = {0};
        bool there = false;
        if (!file_stat(path, &st, &there, NULL) || !there)
                return NULL;
        return str_format("%" PRIdMAX ":%" PRIdMAX ".%09ld:%" PRIdMAX ".%09ld:%" PRIuMAX,
                (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, (uintmax_t)st.st_ino);
}

/* The stamp is taken before the journal is read: what is appended meanwhile makes another one. */
static bool make_row(
        const State *state, const IndexMaker *maker, unsigned run, char *stamp, IndexRow *ret) {
        scoped(free_str) char *owned = stamp;
        scoped(js_freep) json_t *summary = maker->summarise(state, run);
        if (!summary)
                return false;
        const char *service = js_str(summary, "service");
        *ret = (IndexRow){.run = run,
                .service = str_copy(service ? service : ""),
                .stamp = TAKE(owned),
                .summary = js_line(summary)};
        return true;
}

/* Both lists ascend. Moves from `known` what is still so, and makes the rest. */
typedef struct Merge {
        const State *state;
        const IndexMaker *maker;
        Index *known;
        size_t at;  /* in known */
        Strv stale; /* numbers of rows that are to go */
} Merge;

static void drop_until(Merge *merge, unsigned run) {
        for (; merge->at < merge->known->n && merge->known->rows[merge->at].run < run; merge->at++)
                strv_addf(&merge->stale, "%u", merge->known->rows[merge->at].run);
}

static void add_run(Merge *merge, unsigned run, Index *ret, bool **ret_made) {
        drop_until(merge, run);
        IndexRow *known = merge->at < merge->known->n && merge->known->rows[merge->at].run == run
                                  ? &merge->known->rows[merge->at++]
                                  : NULL;
        scoped(free_str) char *stamp = stamp_of(merge->state, run);
        IndexRow row = {0};
        bool same = known && str_equal(known->stamp, stamp);
        if (same) {
                row = *known;
                *known = (IndexRow){0};
        } else if (!stamp || !make_row(merge->state, merge->maker, run, TAKE(stamp), &row)) {
                if (known)
                        strv_addf(&merge->stale, "%u", run);
                return;
        }
        size_t n = ret->n;
        PUSH(*ret_made, n, !same);
        PUSH(ret->rows, ret->n, row);
        ret->made += !same;
}

static bool merge_runs(Merge *merge, Index *ret, bool **ret_made, Err *err) {
        scoped(free_mem) unsigned *runs = NULL;
        size_t n = 0;
        if (!state_runs(merge->state, &runs, &n, err))
                return false;
        for (size_t i = 0; i < n; i++)
                add_run(merge, runs[i], ret, ret_made);
        drop_until(merge, UINT32_MAX);
        return true;
}

/* What the file is lacking is given to it; that this fails loses nothing. */
static void keep(
        IndexFile *file, const Index *index, const bool *made, const Merge *merge, Err *why) {
        const IndexChange change = {.index = index, .made = made, .stale = merge->stale};
        if (file->db && index->made == 0 && !merge->stale)
                return;
        if (file->db && index_file_change(file, &change, why))
                return;
        /* Locked by another, or not to be written: it stays as it is. */
        if (file->db && why->code != ERR_CORRUPT)
                return;
        if (file->may_make || why->code == ERR_CORRUPT) {
                err_clear(why);
                (void)index_file_make(file, &change, why);
        }
}

bool index_read(const State *state, const IndexMaker *maker, Index *ret, Err *err) {
        scoped(index_file_close) IndexFile file = {.state = state, .version = maker->version};
        scoped(index_done) Index known = {0};
        scoped(index_done) Index index = {0};
        scoped(free_mem) bool *made = NULL;
        scoped(err_clear) Err why = {0};
        Merge merge = {.state = state, .maker = maker, .known = &known};
        bool used = index_file_open(&file, &why) && index_file_rows(&file, &known, &why);
        if (!used)
                index_file_distrust(&file, &why);
        bool ok = merge_runs(&merge, &index, &made, err);
        if (ok) {
                err_clear(&why);
                keep(&file, &index, made, &merge, &why);
                index.why = str_copy(file.why ? file.why : why.message);
                *ret = index;
                index = (Index){0};
        }
        strv_free(merge.stale);
        return ok;
}
