#include "journal/run_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

static const struct {
        const char *name;
        RunEnd end;
} ends[] = {
        {"open", RUN_OPEN},
        {"succeeded", RUN_SUCCEEDED},
        {"rolled_back", RUN_ROLLED_BACK},
        {"aborted", RUN_ABORTED},
        {"needs_a_person", RUN_NEEDS_PERSON},
};

const char *run_end_name(RunEnd end) { return ends[end].name; }

StepRecord *run_state_step(const RunState *state, const char *name, const char *instance) {
        for (size_t i = 0; i < state->n_steps; i++)
                if (str_equal(state->steps[i].name, name) &&
                        str_equal(state->steps[i].instance, instance))
                        return &state->steps[i];
        return NULL;
}

static void hold(json_t **place, json_t *value) {
        json_incref(value);
        json_decref(*place);
        *place = value;
}

/* Everything that cannot be: said in one form. */
static bool impossible(const Record *record, const char *why, Err *err) {
        return err_fail(err, ERR_CORRUPT, "record %llu (%s) cannot stand there: %s",
                (unsigned long long)record->sequence, record_type_name(record->type), why);
}

/* -- PLAN --------------------------------------------------------------------------------- */

static bool add_planned_step(
        RunState *state, const Record *record, const json_t *planned, Err *err) {
        const char *name = js_str(planned, "name");
        const char *instance = js_str(planned, "instance");
        if (!name || !name[0])
                return impossible(record, "a step has no name", err);
        if (run_state_step(state, name, instance))
                return impossible(record, "a step is named twice", err);
        StepRecord step = {.name = str_copy(name), .instance = str_copy(instance)};
        PUSH(state->steps, state->n_steps, step);
        return true;
}

static bool add_plan(RunState *state, const Record *record, Err *err) {
        const json_t *steps = js_get(record->payload, "steps");
        if (state->plan)
                return impossible(record, "there is a plan already", err);
        if (!json_is_array(steps))
                return impossible(record, "it has no steps", err);
        for (size_t i = 0; i < json_array_size(steps); i++)
                if (!add_planned_step(state, record, json_array_get(steps, i), err))
                        return false;
        hold(&state->plan, record->payload);
        state->began_ms = js_int(record->payload, "at", 0);
        return true;
}

/* -- steps -------------------------------------------------------------------------------- */

static StepRecord *step_of(const RunState *state, const Record *record, Err *err) {
        const char *name = js_str(record->payload, "step");
        StepRecord *step =
                name ? run_state_step(state, name, js_str(record->payload, "instance")) : NULL;
        if (!step)
                impossible(record, "its step is not in the plan", err);
        return step;
}

static bool any_open(const RunState *state, bool undo) {
        for (size_t i = 0; i < state->n_steps; i++)
                if ((undo ? state->steps[i].undo : state->steps[i].forward) == STEP_OPEN)
                        return true;
        return false;
}

static const char *why_no_undo_intent(const RunState *state, const StepRecord *step) {
        if (state->committed || (state->armed && !state->rolling_back))
                return "nothing is being undone";
        if (step->forward == STEP_NOT_BEGUN)
                return "its step was not begun";
        if (step->undo == STEP_DONE)
                return "its step is undone already";
        if (step->undo != STEP_OPEN && any_open(state, true))
                return "another step is being undone";
        return NULL;
}

static const char *why_no_forward_intent(const RunState *state, const StepRecord *step) {
        bool straight = state->armed && !state->rolling_back && !state->committed;
        if (step->forward == STEP_DONE)
                return "its step is done already";
        if (step->undo != STEP_NOT_BEGUN)
                return "its step is being undone";
        if (straight && step->forward != STEP_OPEN && any_open(state, false))
                return "another step is open";
        return NULL;
}

static bool add_intent(RunState *state, const Record *record, Err *err) {
        StepRecord *step = step_of(state, record, err);
        if (!step)
                return false;
        bool undo = js_bool(record->payload, "undo", false);
        const char *why =
                undo ? why_no_undo_intent(state, step) : why_no_forward_intent(state, step);
        unsigned *attempts = undo ? &step->undo_attempts : &step->attempts;
        if (!why && js_int(record->payload, "attempt", 0) != (int64_t)*attempts + 1)
                why = "its attempts do not count on";
        if (why)
                return impossible(record, why, err);
        *attempts += 1;
        *(undo ? &step->undo : &step->forward) = STEP_OPEN;
        *(undo ? &step->undo_began_ms : &step->began_ms) = js_int(record->payload, "at", 0);
        if (!undo)
                hold(&step->facts, js_get(record->payload, "facts"));
        hold(&state->wait, NULL);
        state->waiting = false;
        state->begun++;
        return true;
}

static bool add_result(RunState *state, const Record *record, Err *err) {
        StepRecord *step = step_of(state, record, err);
        if (!step)
                return false;
        bool undo = js_bool(record->payload, "undo", false);
        StepState *at = undo ? &step->undo : &step->forward;
        /* Of a step whose preparation failed nothing was begun: it has no INTENT, and no attempt. */
        bool unprepared = record->type == RECORD_FAILED && !undo && *at == STEP_NOT_BEGUN &&
                          !js_bool(record->payload, "began", true);
        if (*at != STEP_OPEN && !unprepared)
                return impossible(record, "its step is not open", err);
        if (!undo && step->undo != STEP_NOT_BEGUN)
                return impossible(record, "its step is being undone", err);
        *at = record->type == RECORD_DONE ? STEP_DONE : STEP_FAILED;
        *(undo ? &step->undo_ended_ms : &step->ended_ms) = js_int(record->payload, "at", 0);
        if (record->type == RECORD_FAILED)
                hold(&step->error, js_get(record->payload, "error"));
        else
                hold(undo ? &step->undo_observed : &step->observed,
                        js_get(record->payload, "observed"));
        hold(&state->wait, NULL);
        state->waiting = false;
        return true;
}

/* -- the run ------------------------------------------------------------------------------ */

static bool add_owner(RunState *state, const Record *record, Err *err) {
        int64_t epoch = js_int(record->payload, "epoch", 0);
        if (epoch < 1 || (uint64_t)epoch <= state->epoch)
                return impossible(record, "its epoch does not count on", err);
        state->epoch = (uint64_t)epoch;
        hold(&state->owner, record->payload);
        return true;
}

static bool add_arm(RunState *state, const Record *record, Err *err) {
        if (state->armed || state->committed)
                return impossible(record, "the run is armed or committed already", err);
        state->armed = true;
        return true;
}

static bool add_wait(RunState *state, const Record *record, Err *err) {
        if (!state->armed || state->committed || state->rolling_back || state->waiting)
                return impossible(record, "there is nothing to decide", err);
        state->waiting = true;
        hold(&state->wait, record->payload);
        return true;
}

static bool add_commit(RunState *state, const Record *record, Err *err) {
        if (state->committed || state->rolling_back)
                return impossible(record, "the run is committed or going back already", err);
        state->committed = true;
        state->waiting = false;
        hold(&state->wait, NULL);
        return true;
}

static bool add_rollback(RunState *state, const Record *record, Err *err) {
        if (!state->armed || state->committed || state->rolling_back)
                return impossible(record,
                        "there is nothing to go back from, or it is going back already", err);
        state->rolling_back = true;
        state->waiting = false;
        hold(&state->wait, NULL);
        hold(&state->rollback, record->payload);
        return true;
}

static bool add_note(RunState *state, const Record *record, Err *err) {
        (void)state;
        (void)record;
        (void)err;
        return true;
}

static bool end_fits(const RunState *state, RunEnd end) {
        switch (end) {
        case RUN_SUCCEEDED:
                return state->committed;
        case RUN_ROLLED_BACK:
                return state->rolling_back;
        case RUN_ABORTED:
                return !state->armed && !state->committed;
        case RUN_NEEDS_PERSON:
                return true;
        case RUN_OPEN:
        default:
                return false;
        }
}

static bool add_end(RunState *state, const Record *record, Err *err) {
        const char *name = js_str(record->payload, "state");
        RunEnd end = RUN_OPEN;
        for (size_t i = 0; i < COUNT_OF(ends); i++)
                if (str_equal(ends[i].name, name))
                        end = ends[i].end;
        if (!end_fits(state, end))
                return impossible(record, "the run cannot end so", err);
        state->end = end;
        state->waiting = false;
        hold(&state->wait, NULL);
        hold(&state->end_record, record->payload);
        state->ended_ms = js_int(record->payload, "at", 0);
        return true;
}

/* What was tried before does not count any more, and an undo that failed is one that was interrupted. */
static bool add_again(RunState *state, const Record *record, Err *err) {
        if (state->end != RUN_NEEDS_PERSON)
                return impossible(record, "the run does not need a person", err);
        for (size_t i = 0; i < state->n_steps; i++) {
                StepRecord *step = &state->steps[i];
                step->forgiven = step->attempts;
                step->undo_forgiven = step->undo_attempts;
                if (step->undo == STEP_FAILED)
                        step->undo = STEP_OPEN;
        }
        state->end = RUN_OPEN;
        state->ended_ms = 0;
        state->begun = 0;
        hold(&state->end_record, NULL);
        return true;
}

static bool (*const adders[RECORD_TYPE_COUNT])(RunState *, const Record *, Err *) = {
        [RECORD_PLAN] = add_plan,
        [RECORD_OWNER] = add_owner,
        [RECORD_INTENT] = add_intent,
        [RECORD_DONE] = add_result,
        [RECORD_FAILED] = add_result,
        [RECORD_ARM] = add_arm,
        [RECORD_WAIT] = add_wait,
        [RECORD_COMMIT] = add_commit,
        [RECORD_ROLLBACK] = add_rollback,
        [RECORD_NOTE] = add_note,
        [RECORD_AGAIN] = add_again,
        [RECORD_END] = add_end,
};

bool run_state_add(RunState *state, const Record *record, Err *err) {
        if (!state->plan && record->type != RECORD_PLAN)
                return impossible(record, "there is no plan before it", err);
        bool may_follow_end = record->type == RECORD_NOTE || record->type == RECORD_AGAIN;
        if (state->end != RUN_OPEN && !may_follow_end)
                return impossible(record, "the run has ended before it", err);
        return adders[record->type](state, record, err);
}

bool run_state_of(const RecordList *list, RunState *ret, Err *err) {
        scoped(run_state_done) RunState state = {0};
        for (size_t i = 0; i < list->n; i++)
                if (!run_state_add(&state, &list->records[i], err))
                        return false;
        *ret = state;
        state = (RunState){0};
        return true;
}

void run_state_done(RunState *state) {
        for (size_t i = 0; i < state->n_steps; i++) {
                StepRecord *step = &state->steps[i];
                free(step->name);
                free(step->instance);
                json_decref(step->facts);
                json_decref(step->observed);
                json_decref(step->undo_observed);
                json_decref(step->error);
        }
        free(state->steps);
        json_decref(state->plan);
        json_decref(state->wait);
        json_decref(state->rollback);
        json_decref(state->end_record);
        json_decref(state->owner);
        *state = (RunState){0};
}
