/*
 * Bytes as a journal. The first says how: as they are, or with the right checksum put before every line, so
 * that what lies behind it is reached. What can be read can be opened; after that it has no torn tail, takes
 * one more record, and the fold over all its records comes to the same again.
 */
#include "base/crc32c.h"
#include "base/js.h"
#include "fuzz/fuzz.h"
#include "journal/journal.h"
#include "journal/run_state.h"

/* "1 PLAN {...}" becomes a whole record; an empty line stays what it is. */
static char *summed(const char *text, size_t *ret_bytes) {
        Str s = {0};
        for (const char *at = text; *at;) {
                scoped(free_str) char *line = fuzz_line(&at);
                if (*line)
                        str_addf(&s, "%08x ", crc32c(line, strlen(line)));
                str_add(&s, line);
                str_add(&s, "\n");
        }
        *ret_bytes = s.len;
        return str_take(&s);
}

static bool folds(const RecordList *list, RunEnd *ret_end) {
        RunState state = {0};
        scoped(err_clear) Err err = {0};
        bool ok = run_state_of(list, &state, &err);
        MUST(ok || err.code == ERR_CORRUPT);
        if (ok) {
                MUST(state.n_steps == 0 || state.steps);
                MUST(!(state.committed && state.rolling_back));
                *ret_end = state.end;
                run_state_done(&state);
        }
        return ok;
}

static void append_and_read(const char *path, size_t had, bool folded, RunEnd end) {
        Journal *journal = NULL;
        scoped(record_list_done) RecordList list = {0}, after = {0};
        MUST(journal_open(path, &journal, &list, NULL));
        MUST(list.n == had);
        bool added = journal_append(journal, had == 0 ? RECORD_PLAN : RECORD_NOTE,
                json_pack("{s:i}", "format", 1), NULL);
        journal_close(journal);
        MUST(added);
        MUST(journal_read(path, &after, NULL));
        MUST(after.n == had + 1 && !after.torn);
        RunEnd now = end;
        if (had > 0)
                MUST(folds(&after, &now) == folded && now == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        if (n < 1)
                return 0;
        scoped(free_str) char *text = fuzz_text(bytes + 1, n - 1);
        size_t size = n - 1;
        scoped(free_str) char *whole = bytes[0] & 1 ? summed(text, &size) : NULL;
        const char *path = fuzz_file("journal", whole ? whole : text, size);
        scoped(record_list_done) RecordList list = {0};
        scoped(err_clear) Err err = {0};
        if (!journal_read(path, &list, &err)) {
                Journal *journal = NULL;
                RecordList none = {0};
                MUST(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
                MUST(!journal_open(path, &journal, &none, NULL) && !journal);
                return 0;
        }
        Record plan = {0};
        if (journal_read_plan(path, &plan, NULL)) {
                MUST(list.n > 0 && plan.type == RECORD_PLAN);
                json_decref(plan.payload);
        } else
                MUST(list.n == 0);
        RunEnd end = RUN_OPEN;
        bool folded = folds(&list, &end);
        append_and_read(path, list.n, folded, end);
        return 0;
}
