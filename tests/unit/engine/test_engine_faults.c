/*
 * The journal fails from the n-th point on, for every n, in runs and recoveries of every kind: the engine
 * returns at once, with the error, and does nothing more. And what a journal may hold that no run of these
 * steps would write: instances, a drift with a hint, a wish for a run that cannot fulfil it.
 */
#include "lib/engine_script.h"

#define INSTANCES                                                                                  \
        "PLAN "                                                                                    \
        "{'format':1,'service':'s','kind':'test','steps':[{'name':'a'},{'name':'c','instance':"    \
        "'x'},{'name':'c','instance':'y'},{'name':'v'},{'name':'f'},{'name':'x'},{'name':'y'}]}"
#define ROLLBACK "ROLLBACK {'decision':{'way':'revert'},'cause':{'cause':'failed','step':'v'}}"

#ifdef BELAY_FAULT_POINTS

typedef struct Case {
        const char *name;
        const char *texts[20];
        bool recovers;
        RunWish wish;
        int applies_badly, undoes_badly; /* a step, or -1 */
        StepTruth truth_of_c;
        bool waits;
        ErrCode code; /* of what fails */
} Case;

static const Case cases[] = {
        {"succeeds", {PLAN}, false, WISH_FINISH, -1, -1, TRUTH_PARTLY, false, ERR_NONE},
        {"fails before ARM", {PLAN}, false, WISH_FINISH, A, -1, TRUTH_PARTLY, false, ERR_TOOL},
        {"fails", {PLAN}, false, WISH_FINISH, V, -1, TRUTH_PARTLY, false, ERR_TOOL},
        {"its undo fails, too", {PLAN}, false, WISH_FINISH, V, C, TRUTH_PARTLY, false, ERR_TOOL},
        {"a step asks", {PLAN}, false, WISH_FINISH, C, -1, TRUTH_PARTLY, false, ERR_INCONCLUSIVE},
        {"a decision waits", {PLAN}, false, WISH_FINISH, W, -1, TRUTH_PARTLY, true, ERR_TOOL},
        {"finish fails", {PLAN}, false, WISH_FINISH, F, -1, TRUTH_PARTLY, false, ERR_TOOL},
        {"instances", {INSTANCES}, false, WISH_FINISH, V, C, TRUTH_PARTLY, false, ERR_TOOL},
        {"dead before ARM", {PLAN, OWNER, INTENT("a")}, true, WISH_FINISH, -1, -1, TRUTH_PARTLY,
                false, ERR_NONE},
        {"applied", {PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c")}, true, WISH_FINISH, -1,
                -1, TRUTH_APPLIED, false, ERR_NONE},
        {"not applied", {PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c")}, true, WISH_FINISH,
                -1, -1, TRUTH_NOT_APPLIED, false, ERR_NONE},
        {"drift", {PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c")}, true, WISH_FINISH, -1,
                -1, TRUTH_DRIFT, false, ERR_NONE},
        {"unknown", {PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c")}, true, WISH_FINISH, -1,
                -1, TRUTH_UNKNOWN, false, ERR_NONE},
        {"undone by a person", {PLAN, OWNER, DID("a"), "ARM {}", DID("b")}, true, WISH_UNDO, -1, -1,
                TRUTH_PARTLY, false, ERR_NONE},
        {"accepted by a person", {VERIFIED, INTENT("w")}, true, WISH_ACCEPT, -1, -1, TRUTH_PARTLY,
                false, ERR_NONE},
        {"a step accepted", {WAITS_FOR_STEP}, true, WISH_ACCEPT, -1, -1, TRUTH_PARTLY, false,
                ERR_NONE},
        {"a decision accepted", {WAITS_FOR_DECISION}, true, WISH_ACCEPT, -1, -1, TRUTH_PARTLY,
                false, ERR_NONE},
        {"a decision undone", {WAITS_FOR_DECISION}, true, WISH_UNDO, -1, -1, TRUTH_PARTLY, false,
                ERR_NONE},
        {"dead on the way back",
                {VERIFIED, ROLLBACK, DID("x"),
                        "INTENT {'step':'m','undo':true,'attempt':1,'facts':{'of':'m'}}"},
                true, WISH_FINISH, -1, -1, TRUTH_PARTLY, false, ERR_NONE},
        {"dead after COMMIT", {VERIFIED, DID("w"), "COMMIT {}", INTENT("f")}, true, WISH_FINISH, -1,
                -1, TRUTH_PARTLY, false, ERR_NONE},
};

static void script_of(const Case *one) {
        fresh(NULL);
        if (one->applies_badly >= 0)
                script.apply[one->applies_badly] = one->code;
        if (one->undoes_badly >= 0)
                script.undo[one->undoes_badly] = ERR_IO;
        script.truth[C] = one->truth_of_c;
        script.truth[W] = script.truth[F] = script.truth[A] = TRUTH_NOT_APPLIED;
        script.decision_waits = one->waits;
}

/* True: the run ended before the n-th point. */
static bool survives(const Case *one, unsigned at) {
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        scoped(journal_freep) Journal *journal = write_journal(one->texts);
        assert_true(journal_read(journal_path, &list, NULL) && run_state_of(&list, &run, NULL));
        Engine engine = {.story = &story,
                .journal = journal,
                .run = &run,
                .cancel = &script.cancel,
                .pauses = &no_pauses};
        scoped(free_str) char *rule = str_format("*:fails:%u:EIO", at);
        scoped(err_clear) Err err = {0};
        scoped(run_outcome_done) RunOutcome outcome = {0};
        fault_set(rule);
        bool whole = one->recovers ? engine_recover(&engine, one->wish, &outcome, &err)
                                   : engine_run(&engine, &outcome, &err);
        unsigned count = fault_count();
        fault_set(NULL);
        if (whole != !journal_dead(journal))
                fail_msg("%s, point %u: whole %d, the journal dead %d", one->name, at, whole,
                        journal_dead(journal));
        if (whole)
                return true;
        if (err.code != ERR_IO || count != at)
                fail_msg("%s, point %u: %s after %u points", one->name, at, err_name(err.code),
                        count);
        return false;
}

static void test_a_dead_journal_stops_everything(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                unsigned at = 1;
                for (script_of(&cases[i]); !survives(&cases[i], at); at++)
                        script_of(&cases[i]);
                if (at < 5)
                        fail_msg("%s: only %u points", cases[i].name, at);
        }
}

#endif

static void test_instances_are_named(void **state) {
        (void)state;
        script.apply[V] = ERR_ANSWER_NO;
        script.undo[C] = ERR_IO;
        scoped(ran_done) Ran ran = go((const char *const[]){INSTANCES, NULL}, NULL);
        assert_int_equal(ran.end, RUN_NEEDS_PERSON);
        assert_non_null(strstr(ran.failure.message, "c:"));
        assert_non_null(ran.failure.hint);
}

/* From the first undo on, and from COMMIT on, nobody cancels: the story is told. */
static void test_beyond_cancel(void **state) {
        scoped(ran_done) Ran ran = run_new();
        assert_true(ran.whole);
        assert_int_equal(script.beyond_cancel, 2); /* the steps after COMMIT: f, z */
        fresh(state);
        script.apply[V] = ERR_ANSWER_NO;
        scoped(ran_done) Ran back = run_new();
        assert_true(back.whole);
        assert_true(script.beyond_cancel >= 5);
}

static void test_a_plan_of_another_belay(void **state) {
        (void)state;
        scoped(ran_done) Ran ran =
                RECOVER(WISH_FINISH, "PLAN {'format':1,'steps':[{'name':'q'}]}", OWNER);
        assert_false(ran.whole);
        assert_int_equal(ran.records.n, 2);
}

static void test_an_ended_run_is_only_reported(void **state) {
        (void)state;
        static const struct {
                const char *texts[8];
                int exit_status;
        } ended[] = {
                {{PLAN, OWNER, "COMMIT {}", "END {'state':'succeeded','exit':0}"}, 0},
                {{PLAN, OWNER, "COMMIT {}",
                         "END {'state':'succeeded','exit':9,'unfinished':['f: no']}"},
                        9},
                {{PLAN, OWNER, "END {'state':'aborted','exit':6}"}, 3},
                {{PLAN, OWNER, "ARM {}", ROLLBACK, "END {'state':'rolled_back','exit':3}"}, 3},
                {{PLAN, OWNER, "END {'state':'needs_a_person','exit':4}"}, 4},
        };
        for (size_t i = 0; i < COUNT_OF(ended); i++) {
                fresh(state);
                scoped(ran_done) Ran ran = go(ended[i].texts, &(const RunWish){WISH_UNDO});
                assert_true(ran.whole);
                assert_int_equal(ran.exit_status, ended[i].exit_status);
                assert_null(script.log.text);
        }
}

/* A person may keep what failed its checks, and nothing that was not begun. */
static void test_what_never_started_is_not_accepted(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_ACCEPT, PLAN, OWNER, DID("a"), "ARM {}", DID("b"),
                INTENT("c"),
                "FAILED {'step':'c','undo':false,'error':{'code':'tool','message':'no'}}",
                "WAIT {'for':'decision','step':'c','error':{'code':'tool','message':'no'}}");
        assert_true(ran.whole);
        assert_null(last_of(&ran, RECORD_COMMIT));
        const Record *note = last_of(&ran, RECORD_NOTE);
        assert_non_null(note);
        assert_non_null(strstr(js_str(note->payload, "text"), "cannot be accepted"));
}

static void test_a_wait_for_a_step_that_is_not_there(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(
                WISH_ACCEPT, PLAN, OWNER, DID("a"), "ARM {}", "WAIT {'for':'step','step':'gone'}");
        assert_false(ran.whole);
        assert_int_equal(ran.err.code, ERR_CORRUPT);
}

/* Wishes of a run that is beyond them: it is finished in its direction. */
static void test_wishes_that_come_too_late(void **state) {
        (void)state;
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_UNDO, VERIFIED, DID("w"), "COMMIT {}");
                assert_int_equal(ran.end, RUN_SUCCEEDED);
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_UNDO, VERIFIED, ROLLBACK);
                assert_int_equal(ran.end, RUN_ROLLED_BACK);
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_ACCEPT, VERIFIED, ROLLBACK);
                assert_int_equal(ran.end, RUN_ROLLED_BACK);
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_ACCEPT, VERIFIED, DID("w"), "COMMIT {}");
                assert_int_equal(ran.end, RUN_SUCCEEDED);
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran =
                        RECOVER(WISH_ACCEPT, PLAN, OWNER, DID("a"), "ARM {}", DID("b"));
                assert_int_equal(ran.end, RUN_SUCCEEDED); /* not verified: it goes on to be */
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_ACCEPT, PLAN, OWNER, DID("a"));
                assert_int_equal(ran.end, RUN_ABORTED);
        }
}

/* Data that a dead runner may have changed by half; after COMMIT the same is done again. */
static void test_half_of_it(void **state) {
        (void)state;
        script.truth[C] = TRUTH_PARTLY;
        {
                scoped(ran_done) Ran ran =
                        RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", INTENT("b"));
                assert_int_equal(ran.end, RUN_SUCCEEDED); /* TRUTH_NOT_APPLIED is the first */
        }
        fresh(state);
        script.truth[B] = TRUTH_PARTLY;
        {
                scoped(ran_done) Ran ran =
                        RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", INTENT("b"));
                assert_int_equal(ran.end, RUN_ROLLED_BACK);
                assert_int_equal(script.cause, CAUSE_INTERRUPTED);
        }
        fresh(state);
        script.truth[F] = TRUTH_PARTLY;
        {
                scoped(ran_done) Ran ran =
                        RECOVER(WISH_FINISH, VERIFIED, DID("w"), "COMMIT {}", INTENT("f"));
                assert_int_equal(ran.end, RUN_SUCCEEDED);
        }
        fresh(state);
        script.truth[F] = TRUTH_DRIFT;
        {
                scoped(ran_done) Ran ran =
                        RECOVER(WISH_FINISH, VERIFIED, DID("w"), "COMMIT {}", INTENT("f"));
                assert_int_equal(ran.end, RUN_SUCCEEDED);
                assert_int_equal(ran.exit_status, 9);
        }
        fresh(state);
        script.truth[C] = TRUTH_DRIFT;
        {
                scoped(ran_done) Ran ran = RECOVER(
                        WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c"));
                assert_int_equal(ran.end, RUN_NEEDS_PERSON);
                assert_int_equal(ran.failure.code, ERR_DRIFT);
        }
}

static void test_drift_says_what_and_what_to_do(void **state) {
        (void)state;
        script.truth[C] = TRUTH_DRIFT;
        script.drift_says = true;
        scoped(ran_done) Ran ran =
                RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c"));
        assert_int_equal(ran.end, RUN_NEEDS_PERSON);
        assert_non_null(strstr(ran.failure.message, "another sum"));
        assert_string_equal(ran.failure.hint, "Look at the file.");
}

static void test_a_result_that_is_too_big_is_left_out(void **state) {
        (void)state;
        script.huge_result = true;
        scoped(ran_done) Ran ran = run_new();
        assert_int_equal(ran.end, RUN_SUCCEEDED);
        const Record *done = last_of(&ran, RECORD_DONE);
        assert_true(js_bool(js_get(done->payload, "observed"), "left_out", false));
}

/* Journals of other times: an error without words, a COMMIT without ARM, a wait that says nothing. */
static void test_words_that_are_missing(void **state) {
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_FINISH, VERIFIED, DID("w"), "COMMIT {}",
                        INTENT("f"), "FAILED {'step':'f','undo':false,'error':{'code':'tool'}}");
                assert_int_equal(ran.end, RUN_SUCCEEDED);
                assert_int_equal(ran.exit_status, 9);
                assert_string_equal(ran.unfinished[0], "f: ");
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran =
                        RECOVER(WISH_FINISH, VERIFIED, "WAIT {'for':'decision','step':'w'}");
                assert_int_equal(ran.end, RUN_OPEN);
                assert_int_equal(ran.exit_status, 8);
                assert_string_equal(ran.failure.message, "a person must decide");
        }
        fresh(state);
        {
                scoped(ran_done) Ran ran = RECOVER(WISH_FINISH, VERIFIED,
                        "FAILED {'step':'w','undo':false,'began':false,'error':{'code':'tool'}}");
                assert_int_equal(ran.end, RUN_ROLLED_BACK);
        }
}

static void test_begun_without_an_owner(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = go((const char *const[]){PLAN, INTENT("a"), NULL}, NULL);
        assert_false(ran.whole);
        assert_int_equal(ran.err.code, ERR_BUG);
}

/* A story of the least: it decides nothing, has no leftovers, and nobody is told or cancels. */
static void test_a_story_of_the_least(void **state) {
        static const Story least = {.kind = "test", .steps = steps, .n_steps = STEPS_MAX};
        for (int recovers = 0; recovers < 2; recovers++) {
                fresh(state);
                script.apply[V] = ERR_ANSWER_NO;
                scoped(record_list_done) RecordList list = {0};
                scoped(run_state_done) RunState run = {0};
                scoped(journal_freep) Journal *journal =
                        recovers ? write_journal((const char *const[]){PLAN, OWNER, DID("a"),
                                           "ARM {}", DID("b"), DID("c"), NULL})
                                 : write_journal((const char *const[]){PLAN, NULL});
                assert_true(
                        journal_read(journal_path, &list, NULL) && run_state_of(&list, &run, NULL));
                Engine engine = {
                        .story = &least, .journal = journal, .run = &run, .pauses = &no_pauses};
                scoped(run_outcome_done) RunOutcome outcome = {0};
                scoped(err_clear) Err err = {0};
                bool whole = recovers ? engine_recover(&engine, WISH_FINISH, &outcome, &err)
                                      : engine_run(&engine, &outcome, &err);
                assert_true(whole);
                assert_int_equal(outcome.end, RUN_ROLLED_BACK);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#ifdef BELAY_FAULT_POINTS
                TEST(a_dead_journal_stops_everything),
#endif
                TEST(instances_are_named),
                TEST(beyond_cancel),
                TEST(a_plan_of_another_belay),
                TEST(an_ended_run_is_only_reported),
                TEST(what_never_started_is_not_accepted),
                TEST(a_wait_for_a_step_that_is_not_there),
                TEST(wishes_that_come_too_late),
                TEST(half_of_it),
                TEST(drift_says_what_and_what_to_do),
                TEST(a_result_that_is_too_big_is_left_out),
                TEST(words_that_are_missing),
                TEST(begun_without_an_owner),
                TEST(a_story_of_the_least),
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
