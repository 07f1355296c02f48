/* What the engine does with steps that behave as a test says, on a real journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "engine/engine.h"
#include "platform/fault.h"
#include "platform/file.h"

/* -- steps that do as they are told ------------------------------------------------------- */

enum { STEPS_MAX = 10 };

typedef struct Script {
        ErrCode prepare[STEPS_MAX], apply[STEPS_MAX], undo[STEPS_MAX];
        unsigned undo_fails_times[STEPS_MAX]; /* 0: always, when `undo` is set */
        StepTruth truth[STEPS_MAX];
        int cancel_in[STEPS_MAX]; /* Cancel.requested is set while it applies */
        bool decision_waits, decide_fails, leftovers_stay, huge_facts;
        Str log; /* "+a" applied, "-a" undone, "?a" observed, "A" armed, "a" disarmed, "d" decided */
        unsigned undone[STEPS_MAX];
        RollbackCause cause;
        char *cause_step;
        Cancel cancel;
} Script;

static Script script;
static char dir[] = "/dev/shm/belay-engine-XXXXXX";
static char *journal_path, *events_path;

static const Step *const steps[];

static int index_of(const StepContext *context);

static void log_call(const char *what, const char *name) {
        str_addf(&script.log, "%s%s%s", script.log.len ? " " : "", what, name);
}

static bool result(ErrCode code, const char *what, const StepContext *context, Err *err) {
        if (code == ERR_NONE)
                return true;
        err_fail(err, code, "%s of '%s' did not work", what, context->step);
        return err_hint(err, "Look at '%s'.", context->step);
}

static bool prepare(StepContext *context, Err *err) {
        js_set_str(context->facts, "of", context->step);
        if (script.huge_facts && str_equal(context->step, "b")) {
                scoped(free_str) char *huge = str_format("%0*d", LIMIT_JOURNAL_RECORD, 0);
                js_set_str(context->facts, "huge", huge);
        }
        return result(script.prepare[index_of(context)], "preparing", context, err);
}

/* The intent is on disk before the act, with the facts; the result is not. */
static void check_journal_is_ahead(const StepContext *context) {
        scoped(record_list_done) RecordList list = {0};
        assert_true(journal_read(journal_path, &list, NULL));
        const Record *last = &list.records[list.n - 1];
        assert_int_equal(last->type, RECORD_INTENT);
        assert_string_equal(js_str(last->payload, "step"), context->step);
        assert_int_equal(js_int(last->payload, "attempt", 0), context->attempt);
        if (!js_bool(last->payload, "undo", false))
                assert_string_equal(js_str(js_get(last->payload, "facts"), "of"), context->step);
}

static bool apply(StepContext *context, Err *err) {
        int i = index_of(context);
        log_call("+", context->step);
        check_journal_is_ahead(context);
        assert_string_equal(js_str(context->facts, "of"), context->step);
        step_progress(context, "half", 1, 2);
        js_set_str(context->observed, "saw", context->step);
        if (script.cancel_in[i])
                script.cancel.requested = script.cancel_in[i];
        return result(script.apply[i], "applying", context, err);
}

static bool undo(StepContext *context, Err *err) {
        int i = index_of(context);
        log_call("-", context->step);
        check_journal_is_ahead(context);
        assert_string_equal(js_str(context->facts, "of"), context->step);
        assert_null(context->cancel);
        bool fails = !script.undo_fails_times[i] || script.undone[i] < script.undo_fails_times[i];
        script.undone[i]++;
        return result(fails ? script.undo[i] : ERR_NONE, "undoing", context, err);
}

static bool observe(StepContext *context, StepTruth *ret, Err *err) {
        log_call("?", context->step);
        assert_string_equal(js_str(context->facts, "of"), context->step);
        if (script.truth[index_of(context)] == TRUTH_UNKNOWN)
                return err_fail(err, ERR_REMOTE, "the registry does not answer");
        *ret = script.truth[index_of(context)];
        return true;
}

#define ACTS .title = "a step", .prepare = prepare, .apply = apply, .undo = undo, .observe = observe
static const Step a = {.name = "a", .phase = PHASE_BACKUP, ACTS};
static const Step b = {.name = "b", .phase = PHASE_QUIESCE, ACTS};
static const Step c = {.name = "c", .phase = PHASE_PLACE, .flags = STEP_REDO_SAFE, ACTS};
static const Step m = {.name = "m", .phase = PHASE_MIGRATE, .flags = STEP_RESTORES, ACTS};
static const Step v = {.name = "v", .phase = PHASE_VERIFY, .flags = STEP_READ_ONLY, ACTS};
static const Step w = {.name = "w", .phase = PHASE_MONITOR, .flags = STEP_READ_ONLY, ACTS};
static const Step f = {.name = "f", .phase = PHASE_FINISH, ACTS};
static const Step x = {.name = "x", .phase = PHASE_ROLLBACK, .flags = STEP_BEFORE_UNDO, ACTS};
static const Step y = {.name = "y", .phase = PHASE_ROLLBACK, .flags = STEP_AFTER_UNDO, ACTS};
static const Step z = {
        .name = "z", .phase = PHASE_FINISH, .flags = STEP_AFTER_UNDO | STEP_IN_BOTH, ACTS};
enum { A, B, C, M, V, W, F, X, Y, Z };
static const Step *const steps[] = {&a, &b, &c, &m, &v, &w, &f, &x, &y, &z};

static int index_of(const StepContext *context) {
        for (int i = 0; i < (int)COUNT_OF(steps); i++)
                if (str_equal(steps[i]->name, context->step))
                        return i;
        return -1;
}

static bool decide(void *world, const RunState *run, const RollbackReason *reason, json_t *decision,
        bool *ret_wait, Err *err) {
        (void)world;
        log_call("d", "");
        script.cause = reason->cause;
        str_replace_owned(&script.cause_step, str_copy(reason->step));
        if (script.decide_fails)
                return err_fail(err, ERR_IO, "the data cannot be compared");
        *ret_wait = script.decision_waits && !run->waiting;
        js_set_str(decision, "way", "revert");
        return true;
}

static bool end_leftovers(void *world, Err *err) {
        (void)world;
        log_call("l", "");
        return script.leftovers_stay ? err_fail(err, ERR_TIMEOUT, "pid 7 does not end") : true;
}

static void armed(void *world, bool is_armed) {
        (void)world;
        log_call(is_armed ? "A" : "a", "");
}

static const Story story = {
        .kind = "test",
        .steps = steps,
        .n_steps = COUNT_OF(steps),
        .decide = decide,
        .end_leftovers = end_leftovers,
        .armed = armed,
};

/* -- running them ------------------------------------------------------------------------- */

static int fresh(void **state) {
        (void)state;
#ifdef BELAY_FAULT_POINTS
        fault_set(NULL);
#endif
        str_done(&script.log);
        free(script.cause_step);
        script = (Script){0};
        return tree_remove(journal_path, NULL) && tree_remove(events_path, NULL) ? 0 : -1;
}

#define PLAN                                                                                       \
        "PLAN "                                                                                    \
        "{'format':1,'service':'s','kind':'test','steps':[{'name':'a'},{'name':'b'},{'name':'c'}," \
        "{'name':'m'},{'name':'v'},{'name':'w'},{'name':'f'},{'name':'x'},{'name':'y'},{'name':'"  \
        "z'}]}"
#define OWNER        "OWNER {'epoch':1}"
#define INTENT(step) "INTENT {'step':'" step "','undo':false,'attempt':1,'facts':{'of':'" step "'}}"
#define DONE(step)   "DONE {'step':'" step "','undo':false,'observed':{}}"
#define DID(step)    INTENT(step), DONE(step)
#define VERIFIED     PLAN, OWNER, DID("a"), "ARM {}", DID("b"), DID("c"), DID("m"), DID("v")

static Journal *write_journal(const char *const *texts) {
        Journal *journal = NULL;
        assert_true(journal_create(journal_path, &journal, NULL));
        for (; *texts; texts++) {
                scoped(free_str) char *text = str_copy(*texts);
                for (char *at = text; *at; at++)
                        if (*at == '\'')
                                *at = '"';
                char *json = strchr(text, ' ');
                *json++ = '\0';
                RecordType type = RECORD_PLAN;
                while (!str_equal(record_type_name(type), text))
                        type++;
                assert_true(journal_append(
                        journal, type, js_parse(json, strlen(json), "test", NULL), NULL));
        }
        return journal;
}

typedef struct Ran {
        bool whole, dead;
        RunEnd end;
        int exit_status;
        Err failure, err;
        char *failed_step;
        Strv unfinished;
        RecordList records;
} Ran;

static void ran_done(Ran *ran) {
        err_clear(&ran->failure);
        err_clear(&ran->err);
        free(ran->failed_step);
        strv_free(ran->unfinished);
        record_list_done(&ran->records);
}

static const EnginePauses no_pauses = {{0}, {0}};

/* texts: the journal to go on from; only PLAN in it: a new run. */
static Ran go(const char *const *texts, const RunWish *recover) {
        Ran ran = {0};
        journal_close(write_journal(texts));
        scoped(journal_freep) Journal *journal = NULL;
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        assert_true(journal_open(journal_path, &journal, &list, NULL) &&
                    run_state_of(&list, &run, NULL));
        Events events = {.fd = -1};
        assert_true(events_open(events_path, &events, NULL));
        Engine engine = {
                .story = &story,
                .journal = journal,
                .run = &run,
                .events = &events,
                .cancel = &script.cancel,
                .pauses = &no_pauses,
        };
        RunOutcome outcome = {0};
        ran.whole = recover ? engine_recover(&engine, *recover, &outcome, &ran.err)
                            : engine_run(&engine, &outcome, &ran.err);
        ran.dead = journal_dead(journal);
        events_close(&events);
        ran.end = outcome.end;
        ran.exit_status = outcome.exit_status;
        err_move(&ran.failure, &outcome.failure);
        ran.failed_step = TAKE(outcome.failed_step);
        ran.unfinished = TAKE(outcome.unfinished);
        run_outcome_done(&outcome);
        assert_true(journal_read(journal_path, &ran.records, NULL));
        scoped(run_state_done) RunState again = {0};
        assert_true(run_state_of(&ran.records, &again, NULL));
        return ran;
}

static Ran run_new(void) { return go((const char *const[]){PLAN, NULL}, NULL); }

#define RECOVER(wish, ...) go((const char *const[]){__VA_ARGS__, NULL}, &(const RunWish){wish})

static void expect(const Ran *ran, RunEnd end, int exit_status, const char *log) {
        assert_true(ran->whole);
        assert_string_equal(script.log.text, log);
        assert_string_equal(run_end_name(ran->end), run_end_name(end));
        assert_int_equal(ran->exit_status, exit_status);
        if (end != RUN_OPEN)
                assert_int_equal(ran->records.records[ran->records.n - 1].type, RECORD_END);
}

static const Record *last_of(const Ran *ran, RecordType type) {
        for (size_t i = ran->records.n; i-- > 0;)
                if (ran->records.records[i].type == type)
                        return &ran->records.records[i];
        return NULL;
}

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
        assert_string_equal(kinds, " step:begin progress: step:failed note: end:succeeded");
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

#define WAITS_FOR_STEP                                                                             \
        PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c"),                                    \
                "WAIT {'for':'step','step':'c','why':'look'}"
#define WAITS_FOR_DECISION                                                                         \
        VERIFIED, INTENT("w"),                                                                     \
                "FAILED {'step':'w','undo':false,'error':{'code':'answer_no','message':'rows are " \
                "gone'}}",                                                                         \
                "WAIT "                                                                            \
                "{'for':'decision','step':'w','cause':'failed','error':{'code':'answer_no','"      \
                "message':'rows are gone'}}"

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
                for (size_t k = 0; k < COUNT_OF(steps); k++)
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

static int make_dir(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        journal_path = path_join(dir, "journal");
        events_path = path_join(dir, "events");
        return 0;
}

static int remove_dir(void **state) {
        (void)state;
        fresh(NULL);
        free(journal_path);
        free(events_path);
        return tree_remove(dir, NULL) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup(test_##name, fresh)

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
                TEST(interrupted_before_arm),
                TEST(a_step_left_open),
                TEST(attempts_are_counted_in_the_journal),
                TEST(after_commit_only_forward),
                TEST(a_person_ends_the_watch),
                TEST(a_person_cancels_what_was_interrupted),
                TEST(a_rollback_that_was_interrupted_goes_on),
                TEST(an_ended_run_is_only_reported),
                TEST(owners_are_counted),
                TEST(leftovers_that_stay_stop_the_recovery),
                TEST(a_plan_of_unknown_steps),
                TEST(a_begun_run_is_not_begun_again),
#ifdef BELAY_FAULT_POINTS
                TEST(a_dead_journal_stops_everything),
#endif
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
