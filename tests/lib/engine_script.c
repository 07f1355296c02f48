#include "lib/engine_script.h"

/* -- steps that do as they are told ------------------------------------------------------- */

Script script;
static char dir[] = "/dev/shm/belay-engine-XXXXXX";
char *journal_path, *events_path;

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

bool prepare(StepContext *context, Err *err) {
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

bool apply(StepContext *context, Err *err) {
        int i = index_of(context);
        log_call("+", context->step);
        check_journal_is_ahead(context);
        assert_string_equal(js_str(context->facts, "of"), context->step);
        js_set_str(context->observed, "saw", context->step);
        if (script.huge_result) {
                scoped(free_str) char *huge = str_format("%0*d", LIMIT_JOURNAL_RECORD, 0);
                js_set_str(context->observed, "huge", huge);
        }
        if (script.cancel_in[i])
                script.cancel.requested = script.cancel_in[i];
        return result(script.apply[i], "applying", context, err);
}

bool undo(StepContext *context, Err *err) {
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
        if (script.drift_says && *ret == TRUTH_DRIFT) {
                err_fail(err, ERR_DRIFT, "the file has another sum");
                err_hint(err, "Look at the file.");
        }
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
const Step *const steps[] = {&a, &b, &c, &m, &v, &w, &f, &x, &y, &z};

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

static void beyond_cancel(void *world) {
        (void)world;
        script.beyond_cancel++;
}

const Story story = {
        .kind = "test",
        .steps = steps,
        .n_steps = COUNT_OF(steps),
        .decide = decide,
        .end_leftovers = end_leftovers,
        .armed = armed,
        .beyond_cancel = beyond_cancel,
};

/* -- running them ------------------------------------------------------------------------- */

int fresh(void **state) {
        (void)state;
#ifdef BELAY_FAULT_POINTS
        fault_set(NULL);
#endif
        str_done(&script.log);
        free(script.cause_step);
        script = (Script){0};
        return tree_remove(journal_path, NULL) && tree_remove(events_path, NULL) ? 0 : -1;
}

Journal *write_journal(const char *const *texts) {
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

void ran_done(Ran *ran) {
        err_clear(&ran->failure);
        err_clear(&ran->err);
        free(ran->failed_step);
        strv_free(ran->unfinished);
        record_list_done(&ran->records);
}

const EnginePauses no_pauses = {{0}, {0}};

/* texts: the journal to go on from; only PLAN in it: a new run. */
Ran go(const char *const *texts, const RunWish *recover) {
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
                .again = script.again,
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

Ran run_new(void) { return go((const char *const[]){PLAN, NULL}, NULL); }

void expect(const Ran *ran, RunEnd end, int exit_status, const char *log) {
        assert_true(ran->whole);
        assert_string_equal(script.log.text, log);
        assert_string_equal(run_end_name(ran->end), run_end_name(end));
        assert_int_equal(ran->exit_status, exit_status);
        if (end != RUN_OPEN)
                assert_int_equal(ran->records.records[ran->records.n - 1].type, RECORD_END);
}

const Record *last_of(const Ran *ran, RecordType type) {
        for (size_t i = ran->records.n; i-- > 0;)
                if (ran->records.records[i].type == type)
                        return &ran->records.records[i];
        return NULL;
}

int make_dir(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        journal_path = path_join(dir, "journal");
        events_path = path_join(dir, "events");
        return 0;
}

int remove_dir(void **state) {
        (void)state;
        fresh(NULL);
        free(journal_path);
        free(events_path);
        return tree_remove(dir, NULL) ? 0 : -1;
}
