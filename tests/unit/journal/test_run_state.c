/* Which records may follow which, and what they add up to (J-07). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "journal/run_state.h"

#define PLAN                                                                                       \
        "PLAN {'format':1,'steps':[{'name':'a'},{'name':'b','instance':'x'},{'name':'b'}],'at':5}"
#define OWNER         "OWNER {'epoch':1}"
#define INTENT_A      "INTENT {'step':'a','undo':false,'attempt':1,'facts':{'k':1},'at':10}"
#define INTENT_A2     "INTENT {'step':'a','undo':false,'attempt':2,'facts':{'k':2},'at':11}"
#define INTENT_B      "INTENT {'step':'b','undo':false,'attempt':1,'facts':{}}"
#define INTENT_BX     "INTENT {'step':'b','instance':'x','undo':false,'attempt':1,'facts':{}}"
#define DONE_A        "DONE {'step':'a','undo':false,'observed':{'seen':true},'at':20}"
#define FAILED_A      "FAILED {'step':'a','undo':false,'error':{'code':'io'}}"
#define UNDO_A        "INTENT {'step':'a','undo':true,'attempt':1}"
#define UNDO_A2       "INTENT {'step':'a','undo':true,'attempt':2}"
#define UNDO_BX       "INTENT {'step':'b','instance':'x','undo':true,'attempt':1}"
#define UNDONE_A      "DONE {'step':'a','undo':true,'at':30}"
#define UNDO_FAILED_A "FAILED {'step':'a','undo':true,'error':{'code':'io'}}"
#define ARM           "ARM {}"
#define WAIT          "WAIT {'for':'decision'}"
#define COMMIT        "COMMIT {}"
#define ROLLBACK      "ROLLBACK {'decision':{'way':'revert'}}"
#define NOTE          "NOTE {'text':'n'}"
#define END_OK        "END {'state':'succeeded','at':99}"
#define END_BACK      "END {'state':'rolled_back'}"
#define END_ABORT     "END {'state':'aborted'}"
#define END_PERSON    "END {'state':'needs_a_person'}"
#define LET_GO_ON     "AGAIN {}"

/* "TYPE {'json':1}" with ' for ". */
static Record record_of(const char *text, uint64_t sequence) {
        scoped(free_str) char *copy = str_copy(text);
        for (char *at = copy; *at; at++)
                if (*at == '\'')
                        *at = '"';
        char *json = strchr(copy, ' ');
        *json++ = '\0';
        Record record = {
                .sequence = sequence, .payload = js_parse(json, strlen(json), "test", NULL)};
        assert_non_null(record.payload);
        for (int i = 0; i < RECORD_TYPE_COUNT; i++)
                if (str_equal(record_type_name((RecordType)i), copy))
                        record.type = (RecordType)i;
        assert_string_equal(record_type_name(record.type), copy);
        return record;
}

/* Folds texts; false when one does not fit. *ret_n: how many did. */
static bool fold(const char *const *texts, RunState *state, size_t *ret_n, Err *err) {
        for (*ret_n = 0; texts[*ret_n]; ++*ret_n) {
                Record record = record_of(texts[*ret_n], *ret_n + 1);
                bool ok = run_state_add(state, &record, err);
                json_decref(record.payload);
                if (!ok)
                        return false;
        }
        return true;
}

enum { TEXTS_MAX = 14 };

/* Whole runs that may be. */
static const char *const possible[][TEXTS_MAX] = {
        {PLAN, OWNER, INTENT_A, DONE_A, ARM, INTENT_BX, COMMIT, INTENT_B, NOTE, END_OK, NOTE},
        {PLAN, OWNER, COMMIT, END_OK},
        {PLAN, OWNER, INTENT_A, FAILED_A, END_ABORT},
        {PLAN, OWNER, INTENT_A, DONE_A, UNDO_A, UNDONE_A, INTENT_B, END_ABORT},
        {PLAN, OWNER, ARM, INTENT_A, FAILED_A, ROLLBACK, UNDO_A, UNDONE_A, END_BACK},
        {PLAN, OWNER, ARM, INTENT_A, ROLLBACK, UNDO_A, UNDO_FAILED_A, UNDO_A2, UNDONE_A, INTENT_B,
                END_BACK},
        {PLAN, OWNER, ARM, INTENT_A, ROLLBACK, UNDO_A, "OWNER {'epoch':2}", UNDO_A2, UNDONE_A,
                END_BACK},
        {PLAN, OWNER, ARM, INTENT_A, WAIT, "OWNER {'epoch':2}", DONE_A, INTENT_B},
        {PLAN, OWNER, ARM, INTENT_A, FAILED_A, WAIT, "OWNER {'epoch':7}", COMMIT, END_OK},
        {PLAN, OWNER, ARM, INTENT_A, FAILED_A, WAIT, ROLLBACK, END_PERSON},
        {PLAN, OWNER, INTENT_A, "OWNER {'epoch':2}", INTENT_A2, DONE_A},
        {PLAN, OWNER, ARM, INTENT_A, INTENT_A2, DONE_A, COMMIT, END_PERSON},
        {PLAN, OWNER, INTENT_A, END_PERSON},
        {PLAN, OWNER, INTENT_A, END_PERSON, NOTE, LET_GO_ON, "OWNER {'epoch':2}", INTENT_A2, DONE_A,
                COMMIT, END_OK},
        {PLAN, OWNER, ARM, INTENT_A, ROLLBACK, UNDO_A, UNDO_FAILED_A, END_PERSON, LET_GO_ON,
                UNDO_A2, UNDONE_A, END_BACK},
        {PLAN, OWNER, INTENT_A, END_PERSON, LET_GO_ON, END_PERSON, LET_GO_ON, INTENT_A2},
};

/* The last record of each does not fit. */
static const char *const impossible[][TEXTS_MAX] = {
        {OWNER},
        {PLAN, PLAN},
        {PLAN, OWNER, "DONE {'step':'gone','undo':false}"},
        {"PLAN {'format':1,'steps':[{'name':''}]}"},
        {"PLAN {'format':1}"},
        {"PLAN {'format':1,'steps':[{'name':'a'},{'name':'a'}]}"},
        {"PLAN {'format':1,'steps':[{'title':'a'}]}"},
        {"PLAN {'format':1,'steps':['a']}"},
        {PLAN, OWNER, OWNER},
        {PLAN, "OWNER {}"},
        {PLAN, OWNER, "INTENT {'step':'c','attempt':1}"},
        {PLAN, OWNER, "INTENT {'attempt':1}"},
        {PLAN, OWNER, "INTENT {'step':'a','instance':'x','attempt':1}"},
        {PLAN, OWNER, INTENT_A2},
        {PLAN, OWNER, INTENT_A, INTENT_A},
        {PLAN, OWNER, "INTENT {'step':'a'}"},
        {PLAN, OWNER, DONE_A},
        {PLAN, OWNER, FAILED_A},
        {PLAN, OWNER, INTENT_A, DONE_A, DONE_A},
        {PLAN, OWNER, INTENT_A, DONE_A, FAILED_A},
        {PLAN, OWNER, INTENT_A, DONE_A, INTENT_A2},
        {PLAN, OWNER, INTENT_A, UNDONE_A},
        {PLAN, OWNER, UNDO_A},
        {PLAN, OWNER, INTENT_A, DONE_A, UNDO_A, DONE_A},
        {PLAN, OWNER, INTENT_A, UNDO_A, DONE_A},
        {PLAN, OWNER, INTENT_A, UNDO_A, INTENT_A2},
        {PLAN, OWNER, INTENT_A, UNDO_A, UNDONE_A, UNDO_A2},
        {PLAN, OWNER, INTENT_A, DONE_A, INTENT_BX, UNDO_BX, UNDO_A},
        {PLAN, OWNER, ARM, INTENT_A, UNDO_A},
        {PLAN, OWNER, ARM, INTENT_A, INTENT_B},
        {PLAN, OWNER, ARM, INTENT_A, DONE_A, COMMIT, UNDO_A},
        {PLAN, OWNER, ARM, ARM},
        {PLAN, OWNER, COMMIT, ARM},
        {PLAN, OWNER, COMMIT, COMMIT},
        {PLAN, OWNER, ROLLBACK},
        {PLAN, OWNER, ARM, COMMIT, ROLLBACK},
        {PLAN, OWNER, ARM, ROLLBACK, COMMIT},
        {PLAN, OWNER, ARM, ROLLBACK, ROLLBACK},
        {PLAN, OWNER, WAIT},
        {PLAN, OWNER, ARM, WAIT, WAIT},
        {PLAN, OWNER, ARM, ROLLBACK, WAIT},
        {PLAN, OWNER, ARM, COMMIT, WAIT},
        {PLAN, OWNER, ARM, END_OK},
        {PLAN, OWNER, ARM, END_BACK},
        {PLAN, OWNER, ARM, END_ABORT},
        {PLAN, OWNER, ARM, ROLLBACK, END_OK},
        {PLAN, OWNER, ARM, COMMIT, END_BACK},
        {PLAN, OWNER, COMMIT, END_ABORT},
        {PLAN, OWNER, "END {'state':'open'}"},
        {PLAN, OWNER, "END {'state':'fine'}"},
        {PLAN, OWNER, "END {}"},
        {PLAN, OWNER, END_ABORT, END_ABORT},
        {PLAN, OWNER, END_ABORT, "OWNER {'epoch':2}"},
        {PLAN, OWNER, END_ABORT, INTENT_A},
        {PLAN, OWNER, LET_GO_ON},
        {PLAN, OWNER, END_ABORT, LET_GO_ON},
        {PLAN, OWNER, COMMIT, END_OK, LET_GO_ON},
        {PLAN, OWNER, ARM, ROLLBACK, END_BACK, LET_GO_ON},
        {PLAN, OWNER, END_PERSON, LET_GO_ON, LET_GO_ON},
        {PLAN, OWNER, INTENT_A, END_PERSON, LET_GO_ON, INTENT_A},
};

static size_t count(const char *const *texts) {
        size_t n = 0;
        while (n < TEXTS_MAX && texts[n])
                n++;
        return n;
}

static void test_possible_runs(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(possible); i++) {
                scoped(run_state_done) RunState state = {0};
                scoped(err_clear) Err err = {0};
                size_t n = 0;
                if (!fold(possible[i], &state, &n, &err))
                        fail_msg("run %zu, record %zu: %s", i, n + 1, err.message);
        }
}

static void test_impossible_records(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(impossible); i++) {
                scoped(run_state_done) RunState state = {0};
                scoped(err_clear) Err err = {0};
                size_t n = 0, last = count(impossible[i]) - 1;
                bool ok = fold(impossible[i], &state, &n, &err);
                if (ok || n != last)
                        fail_msg("row %zu: %zu of %zu records were taken (%s)", i, n, last + 1,
                                err.message ? err.message : "no error");
                assert_int_equal(err.code, ERR_CORRUPT);
        }
}

static void test_what_a_run_adds_up_to(void **unused) {
        (void)unused;
        static const char *const texts[] = {
                PLAN, OWNER, INTENT_A, INTENT_A2, DONE_A, ARM, INTENT_BX, WAIT, NULL};
        scoped(run_state_done) RunState state = {0};
        size_t n = 0;
        assert_true(fold(texts, &state, &n, NULL));
        assert_int_equal(state.n_steps, 3);
        const StepRecord *a = run_state_step(&state, "a", NULL);
        assert_ptr_equal(a, &state.steps[0]);
        assert_int_equal(a->forward, STEP_DONE);
        assert_int_equal(a->undo, STEP_NOT_BEGUN);
        assert_int_equal(a->attempts, 2);
        assert_int_equal(js_int(a->facts, "k", 0), 2);
        assert_true(js_bool(a->observed, "seen", false));
        assert_int_equal(a->began_ms, 11);
        assert_int_equal(a->ended_ms, 20);
        assert_int_equal(run_state_step(&state, "b", "x")->forward, STEP_OPEN);
        assert_int_equal(run_state_step(&state, "b", NULL)->forward, STEP_NOT_BEGUN);
        assert_null(run_state_step(&state, "b", "y"));
        assert_true(state.armed && state.waiting && !state.committed && !state.rolling_back);
        assert_string_equal(js_str(state.wait, "for"), "decision");
        assert_int_equal(state.begun, 3);
        assert_int_equal(state.epoch, 1);
        assert_int_equal(state.began_ms, 5);
        assert_int_equal(state.end, RUN_OPEN);
}

static void test_what_a_rollback_adds_up_to(void **unused) {
        (void)unused;
        static const char *const texts[] = {
                PLAN, OWNER, ARM, INTENT_A, WAIT, ROLLBACK, UNDO_A, UNDONE_A, END_BACK, NULL};
        scoped(run_state_done) RunState state = {0};
        size_t n = 0;
        assert_true(fold(texts, &state, &n, NULL));
        assert_int_equal(state.steps[0].forward, STEP_OPEN);
        assert_int_equal(state.steps[0].undo, STEP_DONE);
        assert_int_equal(state.steps[0].undo_attempts, 1);
        assert_int_equal(state.steps[0].undo_ended_ms, 30);
        assert_int_equal(js_int(state.steps[0].facts, "k", 0), 1);
        assert_false(state.waiting);
        assert_null(state.wait);
        assert_string_equal(js_str(js_get(state.rollback, "decision"), "way"), "revert");
        assert_int_equal(state.end, RUN_ROLLED_BACK);
        assert_string_equal(js_str(state.end_record, "state"), run_end_name(state.end));
}

/* What was tried does not count any more; what was done stays done. */
static void test_what_a_run_is_that_a_person_lets_go_on(void **unused) {
        (void)unused;
        static const char *const texts[] = {PLAN, OWNER, INTENT_A, INTENT_A2, DONE_A, ARM, INTENT_B,
                ROLLBACK, "INTENT {'step':'b','undo':true,'attempt':1}",
                "FAILED {'step':'b','undo':true,'error':{'code':'drift'}}", END_PERSON, LET_GO_ON,
                NULL};
        scoped(run_state_done) RunState state = {0};
        size_t n = 0;
        assert_true(fold(texts, &state, &n, NULL));
        const StepRecord *a = run_state_step(&state, "a", NULL);
        const StepRecord *b = run_state_step(&state, "b", NULL);
        assert_int_equal(a->forward, STEP_DONE);
        assert_int_equal(a->attempts, 2);
        assert_int_equal(a->forgiven, 2);
        assert_int_equal(b->undo, STEP_OPEN);
        assert_int_equal(b->undo_forgiven, 1);
        assert_int_equal(state.end, RUN_OPEN);
        assert_int_equal(state.begun, 0);
        assert_int_equal(state.ended_ms, 0);
        assert_null(state.end_record);
        assert_true(state.armed && state.rolling_back);
}

static void test_an_empty_journal_is_a_run_that_did_nothing(void **unused) {
        (void)unused;
        RecordList none = {0};
        scoped(run_state_done) RunState state = {0};
        assert_true(run_state_of(&none, &state, NULL));
        assert_null(state.plan);
        assert_int_equal(state.end, RUN_OPEN);
}

static void test_a_bad_list_leaves_the_state_untouched(void **unused) {
        (void)unused;
        Record records[2] = {record_of(PLAN, 1), record_of(DONE_A, 2)};
        RecordList list = {.records = records, .n = 2};
        RunState state = {0};
        assert_false(run_state_of(&list, &state, NULL));
        assert_null(state.plan);
        json_decref(records[0].payload);
        json_decref(records[1].payload);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_possible_runs),
                cmocka_unit_test(test_impossible_records),
                cmocka_unit_test(test_what_a_run_adds_up_to),
                cmocka_unit_test(test_what_a_rollback_adds_up_to),
                cmocka_unit_test(test_what_a_run_is_that_a_person_lets_go_on),
                cmocka_unit_test(test_an_empty_journal_is_a_run_that_did_nothing),
                cmocka_unit_test(test_a_bad_list_leaves_the_state_untouched),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
