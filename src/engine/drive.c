/* What a run writes about itself: records, the way back, the end; and what is read from that. */
#include "engine/drive.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "platform/clock.h"

enum { ERROR_TEXT_BYTES = 3000, DECIDE_TRIES = 3 };

static const EnginePauses usual_pauses = {
        .undo_ms = {500, 5000},
        .unknown_ms = {500, 1000, 2000, 4000, 8000, 15000, 15000, 15000},
};

/* -- the plan ----------------------------------------------------------------------------- */

static const Step *step_named(const Story *story, const char *name) {
        for (size_t i = 0; i < story->n_steps; i++)
                if (str_equal(story->steps[i]->name, name))
                        return story->steps[i];
        return NULL;
}

bool drive_begin(Engine *engine, bool recovering, Drive *ret, Err *err) {
        RunState *run = engine->run;
        if (!run->plan)
                return err_fail(err, ERR_BUG, "the journal holds no plan");
        scoped(free_mem) const Step **steps = NEW_ARRAY(const Step *, run->n_steps + 1);
        for (size_t i = 0; i < run->n_steps; i++) {
                steps[i] = step_named(engine->story, run->steps[i].name);
                if (!steps[i])
                        return err_fail(err, ERR_BUG,
                                "the plan names a step '%s', which this belay does not know",
                                run->steps[i].name);
        }
        *ret = (Drive){
                .engine = engine,
                .run = run,
                .steps = TAKE(steps),
                .pauses = engine->pauses ? engine->pauses : &usual_pauses,
                .recovering = recovering,
        };
        return true;
}

void drive_done(Drive *drive) {
        free(drive->steps);
        err_clear(&drive->why);
}

/* -- records ------------------------------------------------------------------------------ */

bool drive_write(Drive *drive, RecordType type, json_t *payload, Err *err) {
        scoped(js_freep) json_t *owned = payload;
        js_set_int(owned, "at", clock_wall_ms());
        const Record record = {.sequence = 0, .type = type, .payload = owned};
        /* Folded before it is written: a record that cannot stand there would damage the journal for ever. */
        if (!run_state_add(drive->run, &record, err)) {
                if (err)
                        err->code = ERR_BUG;
                return false;
        }
        return journal_append(drive->engine->journal, type, json_incref(owned), err);
}

json_t *drive_step_payload(const Drive *drive, size_t i) {
        json_t *payload = json_object();
        js_set_str(payload, "step", drive->run->steps[i].name);
        js_set_str(payload, "instance", drive->run->steps[i].instance);
        return payload;
}

char *drive_step_label(const Drive *drive, size_t i) {
        const StepRecord *record = &drive->run->steps[i];
        return record->instance ? str_format("%s:%s", record->name, record->instance)
                                : str_copy(record->name);
}

/* Whatever another program said may be in a message: what the journal holds is limited and printable. */
static void set_text(json_t *object, const char *key, const char *text) {
        if (!text)
                return;
        size_t bytes = strlen(text);
        scoped(free_str) char *cut =
                str_copy_n(text, bytes > ERROR_TEXT_BYTES ? ERROR_TEXT_BYTES : bytes);
        scoped(free_str) char *printable = str_printable(cut, true);
        js_set_str(object, key, printable);
}

json_t *error_to_json(const Err *why) {
        json_t *error = json_object();
        js_set_str(error, "code", err_name(why->code));
        set_text(error, "message", why->message);
        set_text(error, "hint", why->hint);
        return error;
}

void error_from_json(const json_t *error, Err *ret) {
        const char *message = js_str(error, "message"), *hint = js_str(error, "hint");
        if (!error)
                return;
        err_fail(ret, err_code_of_name(js_str(error, "code")), "%s", message ? message : "");
        if (hint)
                err_hint(ret, "%s", hint);
}

bool drive_note(Drive *drive, size_t i, const char *text, Err *err) {
        json_t *payload = drive_step_payload(drive, i), *event = drive_step_payload(drive, i);
        set_text(payload, "text", text);
        set_text(event, "text", text);
        events_add(drive->engine->events, "note", event);
        return drive_write(drive, RECORD_NOTE, payload, err);
}

/* -- marks -------------------------------------------------------------------------------- */

void drive_tell_armed(const Drive *drive, bool armed) {
        if (drive->engine->story->armed)
                drive->engine->story->armed(drive->engine->world, armed);
}

bool drive_own(Drive *drive, Err *err) {
        const ProcessId self = process_self();
        json_t *owner = process_to_json(&self);
        js_set_int(owner, "epoch", (int64_t)drive->run->epoch + 1);
        if (!drive_write(drive, RECORD_OWNER, owner, err))
                return false;
        if (drive->run->armed && !drive->run->committed)
                drive_tell_armed(drive, true);
        return true;
}

/* Whoever watches is told first: between a durable ARM and the telling, a death would be seen by nobody. */
bool drive_arm(Drive *drive, Err *err) {
        drive_tell_armed(drive, true);
        return drive_write(drive, RECORD_ARM, json_object(), err);
}

bool drive_commit(Drive *drive, Err *err) {
        bool armed = drive->run->armed;
        if (!drive_write(drive, RECORD_COMMIT, json_object(), err))
                return false;
        if (armed)
                drive_tell_armed(drive, false);
        return true;
}

/* -- the way back ------------------------------------------------------------------------- */

static const char *const cause_names[] = {
        [CAUSE_FAILED] = "failed",
        [CAUSE_CANCELLED] = "cancelled",
        [CAUSE_INTERRUPTED] = "interrupted",
};

typedef struct Back {
        RollbackCause cause;
        const size_t *step; /* NULL: between steps */
        const Err *why;
} Back;

/* A story that cannot decide now may in a moment; if it never can, a person does. */
static json_t *ask_story(const Drive *drive, const Back *back, bool *ret_wait) {
        const Story *story = drive->engine->story;
        const RollbackReason reason = {
                .cause = back->cause,
                .step = back->step ? drive->run->steps[*back->step].name : NULL,
        };
        for (unsigned try = 1;; try++) {
                scoped(js_freep) json_t *decision = json_object();
                scoped(err_clear) Err why = {0};
                *ret_wait = false;
                if (!story->decide || story->decide(drive->engine->world, drive->run, &reason,
                                              decision, ret_wait, &why))
                        return TAKE(decision);
                if (try < DECIDE_TRIES) {
                        clock_sleep_ms(drive->pauses->undo_ms[try - 1]);
                        continue;
                }
                *ret_wait = true;
                json_t *unknown = json_object();
                set_text(unknown, "why", why.message);
                set_text(unknown, "hint", why.hint);
                return unknown;
        }
}

static void describe_back(const Drive *drive, const Back *back, json_t *payload) {
        js_set_str(payload, "cause", cause_names[back->cause]);
        if (back->step) {
                js_set_str(payload, "step", drive->run->steps[*back->step].name);
                js_set_str(payload, "instance", drive->run->steps[*back->step].instance);
        }
        if (back->why->code != ERR_NONE)
                js_set(payload, "error", error_to_json(back->why));
}

static bool wait_for_decision(Drive *drive, const Back *back, json_t *decision, Err *err) {
        /* It waits already, and a person who wanted it undone was asked for something more. */
        if (drive->run->waiting)
                return true;
        json_t *payload = json_copy(decision);
        js_set_str(payload, "for", "decision");
        describe_back(drive, back, payload);
        return drive_write(drive, RECORD_WAIT, payload, err);
}

bool drive_go_back(
        Drive *drive, RollbackCause cause, const size_t *step, const Err *why, Err *err) {
        const Back back = {.cause = cause, .step = step, .why = why};
        if (!drive->run->armed) {
                drive->abort = true;
                if (drive->why.code == ERR_NONE)
                        err_fail(&drive->why, why->code, "%s", why->message);
                return true;
        }
        bool wait = false;
        scoped(js_freep) json_t *decision = ask_story(drive, &back, &wait);
        if (wait)
                return wait_for_decision(drive, &back, decision, err);
        json_t *payload = json_object();
        js_set(payload, "decision", json_incref(decision));
        describe_back(drive, &back, payload);
        return drive_write(drive, RECORD_ROLLBACK, payload, err);
}

/* -- the end ------------------------------------------------------------------------------ */

size_t drive_failed_step(const Drive *drive) {
        size_t i = 0;
        while (i < drive->run->n_steps && !(drive->run->steps[i].forward == STEP_FAILED &&
                                                  step_runs_forward(drive->steps[i])))
                i++;
        return i;
}

static json_t *unfinished(const Drive *drive) {
        json_t *list = json_array();
        for (size_t i = 0; i < drive->run->n_steps; i++) {
                const StepRecord *record = &drive->run->steps[i];
                bool finish = drive->run->committed && record->forward == STEP_FAILED &&
                              drive->steps[i]->phase == PHASE_FINISH;
                bool leftover = !drive->run->armed && record->undo == STEP_FAILED;
                if (!finish && !leftover)
                        continue;
                scoped(free_str) char *label = drive_step_label(drive, i);
                const char *message = js_str(record->error, "message");
                json_array_append_new(list, json_sprintf("%s: %s", label, message ? message : ""));
        }
        return list;
}

static bool by_ctrl_c(const Drive *drive) {
        return !drive->recovering && drive->engine->cancel && drive->engine->cancel->requested == 2;
}

static int exit_of_abort(const Drive *drive, ErrCode code) {
        if (drive->recovering || code == ERR_NONE)
                return 3;
        return code == ERR_CANCELLED && !by_ctrl_c(drive) && drive->engine->cancel
                       ? 3
                       : err_exit_status(code);
}

static int exit_of_end(const Drive *drive, RunEnd end, ErrCode code, bool complete) {
        switch (end) {
        case RUN_SUCCEEDED:
                return complete ? 0 : err_exit_status(ERR_UNFINISHED);
        case RUN_ROLLED_BACK:
                if (by_ctrl_c(drive) &&
                        str_equal(js_str(drive->run->rollback, "cause"), "cancelled"))
                        return err_exit_status(ERR_CANCELLED);
                return err_exit_status(ERR_ROLLED_BACK);
        case RUN_ABORTED:
                return exit_of_abort(drive, code);
        case RUN_NEEDS_PERSON:
        case RUN_OPEN:
        default:
                return err_exit_status(ERR_PERSON);
        }
}

/* Why the run did not succeed: what is wrong now, else what it went back for. */
static json_t *error_of_end(const Drive *drive, RunEnd end, const Err *why) {
        size_t failed = drive_failed_step(drive);
        if (end == RUN_SUCCEEDED)
                return NULL;
        if (why && why->code != ERR_NONE)
                return error_to_json(why);
        if (drive->run->rollback)
                return json_incref(js_get(drive->run->rollback, "error"));
        if (failed < drive->run->n_steps && drive->run->steps[failed].undo != STEP_FAILED)
                return json_incref(drive->run->steps[failed].error);
        return drive->why.code != ERR_NONE ? error_to_json(&drive->why) : NULL;
}

static void name_failed_step(const Drive *drive, json_t *payload) {
        const json_t *rollback = drive->run->rollback;
        size_t failed = drive_failed_step(drive);
        if (rollback) {
                js_set_str(payload, "step", js_str(rollback, "step"));
                js_set_str(payload, "instance", js_str(rollback, "instance"));
        } else if (failed < drive->run->n_steps) {
                js_set_str(payload, "step", drive->run->steps[failed].name);
                js_set_str(payload, "instance", drive->run->steps[failed].instance);
        }
}

static void tell_end(const Drive *drive) {
        const json_t *end = drive->run->end_record;
        json_t *event = json_object();
        js_set_str(event, "state", js_str(end, "state"));
        js_set_int(event, "exit", js_int(end, "exit", 0));
        js_set_str(event, "message", js_str(js_get(end, "error"), "message"));
        js_set_str(event, "hint", js_str(js_get(end, "error"), "hint"));
        events_add(drive->engine->events, "end", event);
}

bool drive_end(Drive *drive, RunEnd end, const Err *why, Err *err) {
        scoped(js_freep) json_t *left = unfinished(drive);
        scoped(js_freep) json_t *error = error_of_end(drive, end, why);
        ErrCode code = error ? err_code_of_name(js_str(error, "code")) : ERR_NONE;
        bool watched = drive->run->armed && !drive->run->committed;
        json_t *payload = json_object();
        js_set_str(payload, "state", run_end_name(end));
        js_set_int(payload, "exit", exit_of_end(drive, end, code, json_array_size(left) == 0));
        js_set(payload, "unfinished", TAKE(left));
        if (end != RUN_SUCCEEDED)
                name_failed_step(drive, payload);
        if (error)
                js_set(payload, "error", TAKE(error));
        if (!drive_write(drive, RECORD_END, payload, err))
                return false;
        if (watched)
                drive_tell_armed(drive, false);
        tell_end(drive);
        return true;
}

void drive_report(const Drive *drive, RunOutcome *ret) {
        const RunState *run = drive->run;
        const json_t *last = run->waiting ? run->wait : run->end_record;
        RunOutcome outcome = {.end = run->end};
        outcome.exit_status =
                run->waiting ? err_exit_status(ERR_INCONCLUSIVE) : (int)js_int(last, "exit", 1);
        outcome.failed_step = str_copy(js_str(last, "step"));
        error_from_json(js_get(last, "error"), &outcome.failure);
        if (run->waiting && outcome.failure.code == ERR_NONE) {
                const char *why = js_str(last, "why"), *hint = js_str(last, "hint");
                err_fail(&outcome.failure, ERR_INCONCLUSIVE, "%s",
                        why ? why : "a person must decide");
                if (hint)
                        err_hint(&outcome.failure, "%s", hint);
        }
        const json_t *left = js_get(last, "unfinished");
        for (size_t i = 0; i < json_array_size(left); i++)
                strv_add(&outcome.unfinished, json_string_value(json_array_get(left, i)));
        *ret = outcome;
}
