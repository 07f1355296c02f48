/* What the engine does with steps that behave as a test says, on a real journal. */
#include "lib/engine_script.h"

/* -- forward ------------------------------------------------------------------------------ */

static void test_an_update_that_succeeds(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_SUCCEEDED, 0, "+a A +b +c +m +v +w a +f +z");
        assert_int_equal(ran.failure.code, ERR_NONE);
        assert_null(ran.failed_step);
        assert_int_equal(strv_count(ran.unfinished), 0);
        scoped(free_str) char *types = str_copy("");
        for (size_t i = 0; i < 9; i++)
                str_replace_owned(&types,
                        str_format("%s %s", types, record_type_name(ran.records.records[i].type)));
        assert_string_equal(types, " PLAN OWNER INTENT DONE ARM INTENT DONE INTENT DONE");
        assert_string_equal(
                js_str(js_get(last_of(&ran, RECORD_DONE)->payload, "observed"), "saw"), "z");
}

static void test_events_for_followers(void **state) {
        (void)state;
        script.apply[F] = ERR_IO;
        scoped(ran_done) Ran ran = run_new();
        assert_int_equal(ran.exit_status, 9);
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        assert_true(file_read(events_path, 1 << 20, &text, &bytes, NULL));
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        scoped(free_str) char *kinds = str_copy("");
        for (char **line = lines; *line; line++) {
                scoped(js_freep) json_t *event = js_parse(*line, strlen(*line), "event", NULL);
                const char *what = js_str(event, "state");
                if (str_equal(js_str(event, "step"), "f") ||
                        str_equal(js_str(event, "kind"), "end"))
                        str_replace_owned(&kinds, str_format("%s %s:%s", kinds,
                                                          js_str(event, "kind"), what ? what : ""));
        }
        assert_string_equal(kinds, " step:begin step:failed note: end:succeeded");
}

static void test_what_finish_left_undone(void **state) {
        (void)state;
        script.apply[F] = ERR_NO_SPACE;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_SUCCEEDED, 9, "+a A +b +c +m +v +w a +f +z");
        assert_int_equal(strv_count(ran.unfinished), 1);
        assert_string_equal(ran.unfinished[0], "f: applying of 'f' did not work");
}

static void test_facts_that_do_not_fit_fail_the_step_alone(void **state) {
        (void)state;
        script.huge_facts = true;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_ROLLED_BACK, 3, "+a A d +x -a +y +z a");
        assert_int_equal(ran.failure.code, ERR_BUG);
}

/* -- before ARM --------------------------------------------------------------------------- */

static void test_a_failure_before_arm(void **state) {
        (void)state;
        static const struct {
                ErrCode code;
                int exit_status;
        } rows[] = {{ERR_REFUSED, 6}, {ERR_REMOTE, 1}, {ERR_NO_SPACE, 1}, {ERR_BUSY, 75},
                {ERR_INCONCLUSIVE, 8}};
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                fresh(NULL);
                script.apply[A] = rows[i].code;
                scoped(ran_done) Ran ran = run_new();
                expect(&ran, RUN_ABORTED, rows[i].exit_status, "+a -a +z");
                assert_int_equal(ran.failure.code, rows[i].code);
                assert_string_equal(ran.failure.message, "applying of 'a' did not work");
                assert_string_equal(ran.failure.hint, "Look at 'a'.");
                assert_string_equal(ran.failed_step, "a");
        }
}

static void test_what_was_not_begun_is_not_undone(void **state) {
        (void)state;
        script.prepare[A] = ERR_REFUSED;
        scoped(ran_done) Ran before = run_new();
        expect(&before, RUN_ABORTED, 6, "+z");
        fresh(NULL);
        script.prepare[C] = ERR_TOOL;
        scoped(ran_done) Ran after = run_new();
        expect(&after, RUN_ROLLED_BACK, 3, "+a A +b d +x -b -a +y +z a");
        assert_string_equal(after.failed_step, "c");
        assert_int_equal(after.failure.code, ERR_TOOL);
}

static void test_a_leftover_before_arm_is_no_reason_for_a_person(void **state) {
        (void)state;
        script.apply[A] = ERR_TOOL;
        script.undo[A] = ERR_IO;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_ABORTED, 1, "+a -a -a -a +z");
        assert_int_equal(ran.failure.code, ERR_TOOL);
        assert_int_equal(strv_count(ran.unfinished), 1);
}

/* -- back --------------------------------------------------------------------------------- */

static void test_a_failure_after_arm(void **state) {
        (void)state;
        script.apply[V] = ERR_ANSWER_NO;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_ROLLED_BACK, 3, "+a A +b +c +m +v d +x -m -c -b -a +y +z a");
        assert_int_equal(script.cause, CAUSE_FAILED);
        assert_string_equal(script.cause_step, "v");
        assert_string_equal(ran.failed_step, "v");
        assert_string_equal(ran.failure.message, "applying of 'v' did not work");
        const json_t *rollback = last_of(&ran, RECORD_ROLLBACK)->payload;
        assert_string_equal(js_str(js_get(rollback, "decision"), "way"), "revert");
        assert_string_equal(js_str(rollback, "cause"), "failed");
        assert_string_equal(js_str(rollback, "step"), "v");
}

static void test_an_undo_that_fails_is_tried_again(void **state) {
        (void)state;
        script.apply[M] = ERR_TOOL;
        script.undo[C] = ERR_IO;
        script.undo_fails_times[C] = 2;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_ROLLED_BACK, 3, "+a A +b +c +m d +x -m -c -c -c -b -a +y +z a");
}

static void test_an_undo_that_always_fails_needs_a_person(void **state) {
        (void)state;
        script.apply[M] = ERR_TOOL;
        script.undo[C] = ERR_IO;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_NEEDS_PERSON, 4, "+a A +b +c +m d +x -m -c -c -c +z a");
        assert_int_equal(ran.failure.code, ERR_PERSON);
        assert_non_null(strstr(ran.failure.message, "undoing of 'c' did not work"));
        assert_string_equal(ran.failed_step, "m");
}

static void test_drift_in_an_undo_stops_at_once(void **state) {
        (void)state;
        script.apply[M] = ERR_TOOL;
        script.undo[C] = ERR_DRIFT;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_NEEDS_PERSON, 4, "+a A +b +c +m d +x -m -c +z a");
        assert_non_null(strstr(ran.failure.message, "somebody else changed the service"));
}

static void test_an_old_version_that_does_not_run_needs_a_person(void **state) {
        (void)state;
        script.apply[V] = ERR_ANSWER_NO;
        script.apply[Y] = ERR_ANSWER_NO;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_NEEDS_PERSON, 4, "+a A +b +c +m +v d +x -m -c -b -a +y +z a");
        assert_non_null(strstr(ran.failure.message, "applying of 'y' did not work"));
}

static void test_what_only_notes_may_fail(void **state) {
        (void)state;
        script.apply[V] = ERR_ANSWER_NO;
        script.apply[X] = script.apply[Z] = ERR_IO;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_ROLLED_BACK, 3, "+a A +b +c +m +v d +x -m -c -b -a +y +z a");
        assert_non_null(last_of(&ran, RECORD_NOTE));
}

/* -- cancel ------------------------------------------------------------------------------- */

static void test_cancel(void **state) {
        (void)state;
        static const struct {
                int step, requested;
                RunEnd end;
                int exit_status;
                const char *log;
        } rows[] = {
                {A, 2, RUN_ABORTED, 130, "+a -a +z"},
                {A, 1, RUN_ABORTED, 3, "+a -a +z"},
                {B, 2, RUN_ROLLED_BACK, 130, "+a A +b d +x -b -a +y +z a"},
                {B, 1, RUN_ROLLED_BACK, 3, "+a A +b d +x -b -a +y +z a"},
                {M, 2, RUN_ROLLED_BACK, 130, "+a A +b +c +m d +x -m -c -b -a +y +z a"},
                {V, 2, RUN_SUCCEEDED, 0, "+a A +b +c +m +v +w a +f +z"},
                {V, 1, RUN_ROLLED_BACK, 3, "+a A +b +c +m +v d +x -m -c -b -a +y +z a"},
                {W, 1, RUN_ROLLED_BACK, 3, "+a A +b +c +m +v +w d +x -m -c -b -a +y +z a"},
                {W, 2, RUN_SUCCEEDED, 0, "+a A +b +c +m +v +w a +f +z"},
                {F, 1, RUN_SUCCEEDED, 0, "+a A +b +c +m +v +w a +f +z"},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                fresh(NULL);
                script.cancel_in[rows[i].step] = rows[i].requested;
                scoped(ran_done) Ran ran = run_new();
                expect(&ran, rows[i].end, rows[i].exit_status, rows[i].log);
                if (rows[i].end == RUN_ROLLED_BACK)
                        assert_int_equal(script.cause, CAUSE_CANCELLED);
        }
}

static void test_a_step_that_is_cancelled(void **state) {
        (void)state;
        script.cancel_in[C] = 2;
        script.apply[C] = ERR_CANCELLED;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_ROLLED_BACK, 130, "+a A +b +c d +x -c -b -a +y +z a");
        assert_int_equal(script.cause, CAUSE_CANCELLED);
        fresh(NULL);
        script.cancel_in[A] = 2;
        script.apply[A] = ERR_CANCELLED;
        scoped(ran_done) Ran before = run_new();
        expect(&before, RUN_ABORTED, 130, "+a -a +z");
}

/* -- a person decides --------------------------------------------------------------------- */

static void test_a_step_waits_for_a_person(void **state) {
        (void)state;
        script.apply[C] = ERR_INCONCLUSIVE;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_OPEN, 8, "+a A +b +c a");
        assert_int_equal(ran.failure.code, ERR_INCONCLUSIVE);
        assert_string_equal(ran.failure.message, "applying of 'c' did not work");
        assert_int_equal(ran.records.records[ran.records.n - 1].type, RECORD_WAIT);
}

static void test_resume_of_a_waiting_run_changes_nothing(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_FINISH, WAITS_FOR_STEP);
        assert_true(ran.whole);
        assert_null(script.log.text);
        assert_int_equal(ran.exit_status, 8);
        assert_int_equal(ran.records.records[ran.records.n - 1].type, RECORD_WAIT);
}

static void test_answers_to_a_waiting_step(void **state) {
        (void)state;
        scoped(ran_done) Ran accepted = RECOVER(WISH_ACCEPT, WAITS_FOR_STEP);
        expect(&accepted, RUN_SUCCEEDED, 0, "l A +m +v +w a +f +z");
        fresh(NULL);
        scoped(ran_done) Ran undone = RECOVER(WISH_UNDO, WAITS_FOR_STEP);
        expect(&undone, RUN_ROLLED_BACK, 3, "l A d +x -c -b -a +y +z a");
        assert_int_equal(script.cause, CAUSE_CANCELLED);
        assert_string_equal(script.cause_step, "c");
}

static void test_a_decision_waits_for_a_person(void **state) {
        (void)state;
        script.apply[W] = ERR_ANSWER_NO;
        script.decision_waits = true;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_OPEN, 8, "+a A +b +c +m +v +w d a");
        const json_t *wait = last_of(&ran, RECORD_WAIT)->payload;
        assert_string_equal(js_str(wait, "for"), "decision");
        assert_string_equal(js_str(wait, "way"), "revert");
        assert_string_equal(js_str(wait, "step"), "w");
        assert_string_equal(ran.failed_step, "w");
        assert_int_equal(ran.failure.code, ERR_ANSWER_NO);
}

static void test_answers_to_a_waiting_decision(void **state) {
        (void)state;
        scoped(ran_done) Ran accepted = RECOVER(WISH_ACCEPT, WAITS_FOR_DECISION);
        expect(&accepted, RUN_SUCCEEDED, 0, "l A a +f +z");
        fresh(NULL);
        script.decision_waits = true;
        scoped(ran_done) Ran undone = RECOVER(WISH_UNDO, WAITS_FOR_DECISION);
        expect(&undone, RUN_ROLLED_BACK, 3, "l A d +x -m -c -b -a +y +z a");
        assert_string_equal(undone.failure.message, "rows are gone");
        assert_string_equal(undone.failed_step, "w");
}

static void test_a_story_that_cannot_decide_leaves_it_to_a_person(void **state) {
        (void)state;
        script.apply[W] = ERR_ANSWER_NO;
        script.decide_fails = true;
        scoped(ran_done) Ran ran = run_new();
        expect(&ran, RUN_OPEN, 8, "+a A +b +c +m +v +w d d d a");
        assert_string_equal(
                js_str(last_of(&ran, RECORD_WAIT)->payload, "why"), "the data cannot be compared");
        fresh(NULL);
        script.decide_fails = true;
        scoped(ran_done) Ran again = RECOVER(WISH_UNDO, WAITS_FOR_DECISION);
        expect(&again, RUN_OPEN, 8, "l A d d d a");
        assert_int_equal(again.records.records[again.records.n - 1].type, RECORD_OWNER);
}

/* -- what must not be --------------------------------------------------------------------- */

static void test_a_plan_of_unknown_steps(void **state) {
        (void)state;
        scoped(ran_done) Ran ran =
                go((const char *const[]){"PLAN {'format':1,'steps':[{'name':'q'}]}", NULL}, NULL);
        assert_false(ran.whole);
        assert_int_equal(ran.err.code, ERR_BUG);
        assert_int_equal(ran.records.n, 1);
}

static void test_a_begun_run_is_not_begun_again(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = go((const char *const[]){PLAN, OWNER, NULL}, NULL);
        assert_false(ran.whole);
        assert_int_equal(ran.err.code, ERR_BUG);
        assert_null(script.log.text);
}

#ifdef BELAY_FAULT_POINTS

/* One run that goes back, whose journal fails from the n-th point on. True: it did not get that far. */
static bool survives(unsigned at) {
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        scoped(journal_freep) Journal *journal = write_journal((const char *const[]){PLAN, NULL});
        assert_true(journal_read(journal_path, &list, NULL) && run_state_of(&list, &run, NULL));
        Engine engine = {.story = &story, .journal = journal, .run = &run, .pauses = &no_pauses};
        scoped(free_str) char *rule = str_format("*:fails:%u:EIO", at);
        scoped(err_clear) Err err = {0};
        scoped(run_outcome_done) RunOutcome outcome = {0};
        fault_set(rule);
        bool whole = engine_run(&engine, &outcome, &err);
        unsigned count = fault_count();
        fault_set(NULL);
        assert_int_equal(whole, !journal_dead(journal));
        if (whole)
                return true;
        assert_int_equal(err.code, ERR_IO);
        /* Not one point more was passed: nothing is tried again, nothing is undone. */
        assert_int_equal(count, at);
        return false;
}

static void test_a_dead_journal_stops_everything(void **state) {
        unsigned at = 1;
        for (;; at++) {
                fresh(state);
                script.apply[V] = ERR_ANSWER_NO;
                if (survives(at))
                        break;
        }
        assert_true(at > 50);
}

#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(an_update_that_succeeds),
                TEST(events_for_followers),
                TEST(what_finish_left_undone),
                TEST(facts_that_do_not_fit_fail_the_step_alone),
                TEST(a_failure_before_arm),
                TEST(what_was_not_begun_is_not_undone),
                TEST(a_leftover_before_arm_is_no_reason_for_a_person),
                TEST(a_failure_after_arm),
                TEST(an_undo_that_fails_is_tried_again),
                TEST(an_undo_that_always_fails_needs_a_person),
                TEST(drift_in_an_undo_stops_at_once),
                TEST(an_old_version_that_does_not_run_needs_a_person),
                TEST(what_only_notes_may_fail),
                TEST(cancel),
                TEST(a_step_that_is_cancelled),
                TEST(a_step_waits_for_a_person),
                TEST(resume_of_a_waiting_run_changes_nothing),
                TEST(answers_to_a_waiting_step),
                TEST(a_decision_waits_for_a_person),
                TEST(answers_to_a_waiting_decision),
                TEST(a_story_that_cannot_decide_leaves_it_to_a_person),
                TEST(a_plan_of_unknown_steps),
                TEST(a_begun_run_is_not_begun_again),
#ifdef BELAY_FAULT_POINTS
                TEST(a_dead_journal_stops_everything),
#endif
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
