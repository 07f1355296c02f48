/* How the engine goes on with what another process left. */
#include "lib/engine_script.h"

/* -- recovery ----------------------------------------------------------------------------- */

static void test_interrupted_before_arm(void **state) {
        (void)state;
        scoped(ran_done) Ran unowned = RECOVER(WISH_FINISH, PLAN);
        expect(&unowned, RUN_ABORTED, 3, "l +z");
        fresh(NULL);
        scoped(ran_done) Ran open = RECOVER(WISH_FINISH, PLAN, OWNER, INTENT("a"));
        expect(&open, RUN_ABORTED, 3, "l -a +z");
        assert_int_equal(open.failure.code, ERR_INTERRUPTED);
        fresh(NULL);
        scoped(ran_done) Ran done = RECOVER(WISH_UNDO, PLAN, OWNER, DID("a"));
        expect(&done, RUN_ABORTED, 3, "l -a +z");
}

static void test_a_step_left_open(void **state) {
        (void)state;
        static const struct {
                const char *step;
                StepTruth truth;
                RunEnd end;
                int exit_status;
                const char *log;
        } rows[] = {
                {"b", TRUTH_NOT_APPLIED, RUN_SUCCEEDED, 0, "l A ?b +b +c +m +v +w a +f +z"},
                {"b", TRUTH_APPLIED, RUN_SUCCEEDED, 0, "l A ?b +c +m +v +w a +f +z"},
                {"b", TRUTH_PARTLY, RUN_ROLLED_BACK, 3, "l A ?b d +x -b -a +y +z a"},
                {"b", TRUTH_UNKNOWN, RUN_ROLLED_BACK, 3,
                        "l A ?b ?b ?b ?b ?b ?b ?b ?b ?b d +x -b -a +y +z a"},
                {"b", TRUTH_DRIFT, RUN_NEEDS_PERSON, 4, "l A ?b a"},
                {"c", TRUTH_PARTLY, RUN_SUCCEEDED, 0, "l A ?c +c +m +v +w a +f +z"},
                {"m", TRUTH_APPLIED, RUN_ROLLED_BACK, 3, "l A d +x -m -c -b -a +y +z a"},
                {"m", TRUTH_NOT_APPLIED, RUN_ROLLED_BACK, 3, "l A d +x -m -c -b -a +y +z a"},
                {"v", TRUTH_APPLIED, RUN_SUCCEEDED, 0, "l A +v +w a +f +z"},
                {"w", TRUTH_APPLIED, RUN_SUCCEEDED, 0, "l A +w a +f +z"},
        };
        static const char *const order[] = {"b", "c", "m", "v", "w"};
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                fresh(NULL);
                for (size_t k = 0; k < STEPS_MAX; k++)
                        script.truth[k] = rows[i].truth;
                scoped(strv_freep) Strv texts = NULL;
                strv_add(&texts, PLAN);
                strv_add(&texts, OWNER);
                strv_add(&texts, INTENT("a"));
                strv_add(&texts, DONE("a"));
                strv_add(&texts, "ARM {}");
                for (size_t k = 0; k < COUNT_OF(order); k++) {
                        bool last = str_equal(order[k], rows[i].step);
                        strv_addf(&texts,
                                "INTENT {'step':'%s','undo':false,'attempt':1,'facts':{'of':'%s'}}",
                                order[k], order[k]);
                        if (last)
                                break;
                        strv_addf(
                                &texts, "DONE {'step':'%s','undo':false,'observed':{}}", order[k]);
                }
                scoped(ran_done) Ran ran =
                        go((const char *const *)(void *)texts, &(const RunWish){WISH_FINISH});
                expect(&ran, rows[i].end, rows[i].exit_status, rows[i].log);
                if (rows[i].end == RUN_ROLLED_BACK)
                        assert_int_equal(script.cause, CAUSE_INTERRUPTED);
                if (rows[i].end == RUN_NEEDS_PERSON)
                        assert_int_equal(ran.failure.code, ERR_DRIFT);
        }
}

#define AGAIN(step, n)                                                                             \
        "INTENT {'step':'" step "','undo':false,'attempt':" #n ",'facts':{'of':'" step "'}}"

static void test_attempts_are_counted_in_the_journal(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}",
                INTENT("b"), AGAIN("b", 2), AGAIN("b", 3));
        expect(&ran, RUN_ROLLED_BACK, 3, "l A ?b d +x -b -a +y +z a");
        fresh(NULL);
        scoped(ran_done) Ran finish = RECOVER(WISH_FINISH, VERIFIED, DID("w"), "COMMIT {}",
                INTENT("f"), AGAIN("f", 2), AGAIN("f", 3));
        expect(&finish, RUN_SUCCEEDED, 9, "l ?f +z");
}

static void test_after_commit_only_forward(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_UNDO, VERIFIED, DID("w"), "COMMIT {}", INTENT("f"));
        expect(&ran, RUN_SUCCEEDED, 0, "l ?f +f +z");
        fresh(NULL);
        script.truth[F] = TRUTH_DRIFT;
        scoped(ran_done) Ran drift =
                RECOVER(WISH_FINISH, VERIFIED, DID("w"), "COMMIT {}", INTENT("f"));
        expect(&drift, RUN_SUCCEEDED, 9, "l ?f +z");
}

static void test_a_person_ends_the_watch(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_ACCEPT, VERIFIED, INTENT("w"));
        expect(&ran, RUN_SUCCEEDED, 0, "l A a +f +z");
        fresh(NULL);
        scoped(ran_done) Ran early =
                RECOVER(WISH_ACCEPT, PLAN, OWNER, DID("a"), "ARM {}", DID("b"));
        expect(&early, RUN_SUCCEEDED, 0, "l A +c +m +v +w a +f +z");
}

static void test_a_person_cancels_what_was_interrupted(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_UNDO, VERIFIED, INTENT("w"));
        expect(&ran, RUN_ROLLED_BACK, 3, "l A d +x -m -c -b -a +y +z a");
        assert_int_equal(script.cause, CAUSE_CANCELLED);
}

#define GOING_BACK                                                                                 \
        PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c"),                                    \
                "ROLLBACK {'decision':{},'cause':'interrupted','step':'c'}", DID("x")

static void test_a_rollback_that_was_interrupted_goes_on(void **state) {
        (void)state;
        scoped(ran_done) Ran ran =
                RECOVER(WISH_FINISH, GOING_BACK, "INTENT {'step':'c','undo':true,'attempt':1}");
        expect(&ran, RUN_ROLLED_BACK, 3, "l A -c -b -a +y +z a");
        fresh(NULL);
        scoped(ran_done) Ran accept = RECOVER(WISH_ACCEPT, GOING_BACK);
        expect(&accept, RUN_ROLLED_BACK, 3, "l A -c -b -a +y +z a");
        fresh(NULL);
        scoped(ran_done) Ran spent =
                RECOVER(WISH_FINISH, GOING_BACK, "INTENT {'step':'c','undo':true,'attempt':1}",
                        "INTENT {'step':'c','undo':true,'attempt':2}",
                        "INTENT {'step':'c','undo':true,'attempt':3}");
        expect(&spent, RUN_NEEDS_PERSON, 4, "l A +z a");
}

static void test_an_ended_run_is_only_reported(void **state) {
        (void)state;
        static const struct {
                const char *end;
                RunEnd state;
                int exit_status;
        } rows[] = {
                {"END "
                 "{'state':'aborted','exit':6,'unfinished':[],'error':{'code':'refused','message':'"
                 "no'}}",
                        RUN_ABORTED, 3},
                {"END {'state':'needs_a_person','exit':4,'unfinished':[]}", RUN_NEEDS_PERSON, 4},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                fresh(NULL);
                scoped(ran_done) Ran ran = RECOVER(WISH_UNDO, PLAN, OWNER, rows[i].end);
                assert_true(ran.whole);
                assert_null(script.log.text);
                assert_int_equal(ran.records.n, 3);
                assert_int_equal(ran.end, rows[i].state);
                assert_int_equal(ran.exit_status, rows[i].exit_status);
        }
        fresh(NULL);
        scoped(ran_done) Ran done = RECOVER(WISH_FINISH, PLAN, OWNER, "COMMIT {}",
                "END {'state':'succeeded','exit':9,'unfinished':['f: no']}");
        assert_int_equal(done.exit_status, 9);
        assert_string_equal(done.unfinished[0], "f: no");
        fresh(NULL);
        scoped(ran_done) Ran back = RECOVER(
                WISH_FINISH, GOING_BACK, "END {'state':'rolled_back','exit':130,'unfinished':[]}");
        assert_int_equal(back.exit_status, 3);
}

static void test_owners_are_counted(void **state) {
        (void)state;
        scoped(ran_done) Ran ran = RECOVER(WISH_FINISH, PLAN, OWNER, "OWNER {'epoch':4}");
        assert_int_equal(js_int(last_of(&ran, RECORD_OWNER)->payload, "epoch", 0), 5);
        assert_true(js_int(last_of(&ran, RECORD_OWNER)->payload, "pid", 0) > 0);
}

static void test_leftovers_that_stay_stop_the_recovery(void **state) {
        (void)state;
        script.leftovers_stay = true;
        scoped(ran_done) Ran ran =
                RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", INTENT("b"));
        assert_false(ran.whole);
        assert_false(ran.dead);
        assert_int_equal(ran.err.code, ERR_TIMEOUT);
        assert_string_equal(script.log.text, "l");
        assert_int_equal(last_of(&ran, RECORD_OWNER)->sequence, 2);
}

#define UNDO_C(n)         "INTENT {'step':'c','undo':true,'attempt':" #n "}"
#define UNDO_FAILED(code) "FAILED {'step':'c','undo':true,'error':{'code':'" code "'}}"
#define NEEDS_PERSON      "END {'state':'needs_a_person','exit':4}"

static void let_go_on(void) {
        fresh(NULL);
        script.again = true;
}

/* Only when one says so. */
static void test_a_run_that_needs_a_person_stays_so(void **state) {
        (void)state;
        scoped(ran_done) Ran ran =
                RECOVER(WISH_FINISH, GOING_BACK, UNDO_C(1), UNDO_FAILED("drift"), NEEDS_PERSON);
        assert_null(last_of(&ran, RECORD_AGAIN));
        assert_int_equal(ran.end, RUN_NEEDS_PERSON);
        assert_int_equal(ran.exit_status, 4);
        assert_true(script.log.len == 0);
}

static void test_a_person_lets_a_rollback_go_on(void **state) {
        (void)state;
        let_go_on();
        scoped(ran_done) Ran mended =
                RECOVER(WISH_FINISH, GOING_BACK, UNDO_C(1), UNDO_FAILED("drift"), NEEDS_PERSON);
        expect(&mended, RUN_ROLLED_BACK, 3, "l A -c -b -a +y +z a");
        assert_non_null(last_of(&mended, RECORD_AGAIN));
        let_go_on();
        scoped(ran_done) Ran cancelled =
                RECOVER(WISH_UNDO, GOING_BACK, UNDO_C(1), UNDO_FAILED("drift"), NEEDS_PERSON);
        expect(&cancelled, RUN_ROLLED_BACK, 3, "l A -c -b -a +y +z a");
        let_go_on();
        script.undo[C] = ERR_DRIFT;
        scoped(ran_done) Ran not_mended =
                RECOVER(WISH_FINISH, GOING_BACK, UNDO_C(1), UNDO_FAILED("drift"), NEEDS_PERSON);
        expect(&not_mended, RUN_NEEDS_PERSON, 4, "l A -c +z a");
        let_go_on();
        script.undo[C] = ERR_IO;
        scoped(ran_done) Ran spent = RECOVER(WISH_FINISH, GOING_BACK, UNDO_C(1), UNDO_C(2),
                UNDO_C(3), UNDO_FAILED("io"), NEEDS_PERSON);
        expect(&spent, RUN_NEEDS_PERSON, 4, "l A -c -c -c +z a");
}

#define WENT_BACK                                                                                  \
        GOING_BACK, UNDO_C(1), "DONE {'step':'c','undo':true,'observed':{}}",                      \
                "INTENT {'step':'b','undo':true,'attempt':1}",                                     \
                "DONE {'step':'b','undo':true,'observed':{}}",                                     \
                "INTENT {'step':'a','undo':true,'attempt':1}",                                     \
                "DONE {'step':'a','undo':true,'observed':{}}"

/* The old version did not come up: once it can, it is asked again. */
static void test_a_person_has_the_old_version_verified_again(void **state) {
        (void)state;
        for (int good = 0; good < 2; good++) {
                let_go_on();
                script.apply[Y] = good ? ERR_NONE : ERR_ANSWER_NO;
                scoped(ran_done) Ran ran = RECOVER(WISH_FINISH, WENT_BACK, INTENT("y"),
                        "FAILED {'step':'y','undo':false,'error':{'code':'answer_no'}}", DID("z"),
                        NEEDS_PERSON);
                expect(&ran, good ? RUN_ROLLED_BACK : RUN_NEEDS_PERSON, good ? 3 : 4, "l A +y a");
        }
}

/* Drift that recovery met before it had decided which way: it asks again what is so. */
static void test_a_person_lets_an_interrupted_run_go_on(void **state) {
        (void)state;
        let_go_on();
        script.truth[B] = TRUTH_NOT_APPLIED;
        scoped(ran_done) Ran onward =
                RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", INTENT("b"), NEEDS_PERSON);
        expect(&onward, RUN_SUCCEEDED, 0, "l A ?b +b +c +m +v +w a +f +z");
        let_go_on();
        scoped(ran_done) Ran back =
                RECOVER(WISH_UNDO, PLAN, OWNER, DID("a"), "ARM {}", INTENT("b"), NEEDS_PERSON);
        expect(&back, RUN_ROLLED_BACK, 3, "l A d +x -b -a +y +z a");
        let_go_on();
        script.truth[B] = TRUTH_DRIFT;
        scoped(ran_done) Ran still =
                RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}", INTENT("b"), NEEDS_PERSON);
        expect(&still, RUN_NEEDS_PERSON, 4, "l A ?b a");
        let_go_on();
        scoped(ran_done) Ran counted = RECOVER(WISH_FINISH, PLAN, OWNER, DID("a"), "ARM {}",
                INTENT("b"), AGAIN("b", 2), AGAIN("b", 3), NEEDS_PERSON);
        expect(&counted, RUN_SUCCEEDED, 0, "l A ?b +b +c +m +v +w a +f +z");
}

static void test_what_has_ended_well_does_not_go_on(void **state) {
        (void)state;
        let_go_on();
        scoped(ran_done) Ran ran = RECOVER(
                WISH_FINISH, VERIFIED, DID("w"), "COMMIT {}", "END {'state':'succeeded','exit':0}");
        assert_int_equal(ran.end, RUN_SUCCEEDED);
        assert_null(last_of(&ran, RECORD_AGAIN));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(interrupted_before_arm),
                TEST(a_step_left_open),
                TEST(attempts_are_counted_in_the_journal),
                TEST(after_commit_only_forward),
                TEST(a_person_ends_the_watch),
                TEST(a_person_cancels_what_was_interrupted),
                TEST(a_rollback_that_was_interrupted_goes_on),
                TEST(a_run_that_needs_a_person_stays_so),
                TEST(a_person_lets_a_rollback_go_on),
                TEST(a_person_has_the_old_version_verified_again),
                TEST(a_person_lets_an_interrupted_run_go_on),
                TEST(what_has_ended_well_does_not_go_on),
                TEST(an_ended_run_is_only_reported),
                TEST(owners_are_counted),
                TEST(leftovers_that_stay_stop_the_recovery),
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
