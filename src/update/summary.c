#include "update/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "update/diagnose.h"
#include "update/path.h"
#include "update/report.h"

/* -- from a journal -- */

/* The same cause in the same words: texts with numbers, paths and times in them cannot be counted. */
static char *cause_of(const Run *run, const StepRecord *failed) {
        const json_t *back = run->state.rollback;
        const char *log = back ? js_str(js_get(back, "decision"), "log") : NULL;
        const char *message = failed ? js_str(failed->error, "message") : NULL;
        const char *code = failed ? js_str(failed->error, "code") : NULL;
        const char *likely = message ? likely_cause(message, log) : NULL;
        if (likely)
                return str_copy(likely);
        if (failed && code)
                return str_format("%s failed (%s)", failed->name, code);
        return failed ? str_format("%s failed", failed->name) : NULL;
}

static bool was_cancelled(const Run *run) {
        const json_t *error = js_get(run->state.rollback, "error");
        const char *cause = js_str(run->state.rollback, "cause");
        if (!error)
                error = js_get(run->state.end_record, "error");
        return str_equal(cause, "cancelled") ||
               str_equal(error ? js_str(error, "code") : NULL, err_name(ERR_CANCELLED));
}

static void add_failure(json_t *object, const Run *run) {
        const RunState *state = &run->state;
        if (state->end == RUN_SUCCEEDED || state->end == RUN_OPEN)
                return;
        bool cancelled = was_cancelled(run);
        const StepRecord *failed = run_failed_step(state);
        scoped(free_str) char *cause =
                cancelled ? str_copy("cancelled by a person") : cause_of(run, failed);
        js_set_bool(object, "cancelled", cancelled);
        js_set_str(object, "failed_step", failed ? failed->name : NULL);
        js_set_str(object, "cause", cause ? cause : "interrupted, and not finished");
}

static int64_t took(int64_t began, int64_t ended) {
        return began && ended >= began ? ended - began : -1;
}

/* On the way back by the undo of the second pass; in a run that a person asked for, by its own step. */
static int64_t restore_ms(const Run *run) {
        const StepRecord *pass = run_state_step(&run->state, "second-pass", NULL);
        const StepRecord *swap = run_state_step(&run->state, "swap-data", NULL);
        const StepRecord *prepare = run_state_step(&run->state, "prepare-data", NULL);
        if (pass && pass->undo == STEP_DONE &&
                str_equal(js_str(pass->undo_observed, "data"), "restored"))
                return took(pass->undo_began_ms, pass->undo_ended_ms);
        if (!swap || swap->forward != STEP_DONE || swap->undo != STEP_NOT_BEGUN)
                return -1;
        return took(
                prepare && prepare->began_ms ? prepare->began_ms : swap->began_ms, swap->ended_ms);
}

static json_t *steps_json(const RunState *state) {
        json_t *steps = json_array();
        for (size_t i = 0; i < state->n_steps; i++) {
                const StepRecord *step = &state->steps[i];
                int64_t ms = took(step->began_ms, step->ended_ms);
                if (step->forward != STEP_DONE || ms < 0)
                        continue;
                json_t *object = json_object();
                js_set_str(object, "step", step->name);
                js_set_str(object, "instance", step->instance);
                js_set_int(object, "ms", ms);
                if (js_get(step->observed, "bytes"))
                        js_set_int(object, "bytes", js_int(step->observed, "bytes", -1));
                json_array_append_new(steps, object);
        }
        return steps;
}

static void add_rehearsal(json_t *object, const Run *run) {
        const StepRecord *step = run_state_step(&run->state, "rehearse", NULL);
        if (!step || step->forward != STEP_DONE || js_int(step->observed, "start_ms", -1) < 0)
                return;
        json_t *rehearsed = json_object();
        js_set_int(rehearsed, "migrate", js_int(step->observed, "migrate_ms", -1));
        js_set_int(rehearsed, "start", js_int(step->observed, "start_ms", -1));
        js_set_int(rehearsed, "verify", js_int(step->observed, "verify_ms", -1));
        js_set(object, "rehearsed", rehearsed);
}

json_t *summary_to_json(const Run *run) {
        const RunState *state = &run->state;
        const char *service = state->plan ? js_str(state->plan, "service") : NULL;
        json_t *object = json_object();
        js_set_str(object, "service", service);
        js_set_bool(object, "damaged", run->damaged);
        if (run->damaged)
                return object;
        js_set_str(object, "kind", run_kind(run));
        js_set_str(object, "from", js_str(js_get(state->plan, "from"), "version"));
        js_set_str(object, "to", js_str(js_get(state->plan, "to"), "version"));
        js_set_int(object, "end", state->end);
        js_set_bool(object, "waiting", state->waiting);
        js_set_bool(object, "went_back", state->rolling_back);
        js_set_int(object, "began", state->began_ms);
        js_set_int(object, "ended", state->ended_ms);
        bool measured = false;
        js_set_int(object, "gap", report_gap_ms(run, &measured));
        js_set_bool(object, "gap_measured", measured);
        js_set_int(object, "restore", restore_ms(run));
        js_set_str(object, "left_to", path_rest(run) ? path_target_of(run) : NULL);
        add_failure(object, run);
        add_rehearsal(object, run);
        js_set(object, "steps", steps_json(state));
        return object;
}

/* -- and back -- */

static void add_steps(const json_t *steps, Summary *ret) {
        size_t i;
        json_t *object;
        json_array_foreach(steps, i, object) {
                const char *name = js_str(object, "step");
                if (!name)
                        continue;
                StepTime step = {.name = str_copy(name),
                        .instance = str_copy(js_str(object, "instance")),
                        .ms = js_int(object, "ms", 0),
                        .bytes = js_int(object, "bytes", -1)};
                PUSH(ret->steps, ret->n_steps, step);
        }
}

static void read_rehearsal(const json_t *object, Summary *ret) {
        const json_t *rehearsed = js_get(object, "rehearsed");
        ret->was_rehearsed = rehearsed != NULL;
        ret->rehearsed = (Rehearsed){
                .migrate_ms = js_int(rehearsed, "migrate", -1),
                .start_ms = js_int(rehearsed, "start", -1),
                .verify_ms = js_int(rehearsed, "verify", -1),
        };
}

bool summary_from_json(unsigned run, const json_t *object, Summary *ret) {
        int64_t end = js_int(object, "end", RUN_OPEN);
        if (!json_is_object(object) || end < RUN_OPEN || end > RUN_NEEDS_PERSON)
                return false;
        Summary summary = {
                .run = run,
                .service = str_copy(js_str(object, "service")),
                .kind = str_copy(js_str(object, "kind")),
                .from = str_copy(js_str(object, "from")),
                .to = str_copy(js_str(object, "to")),
                .damaged = js_bool(object, "damaged", false),
                .end = (RunEnd)end,
                .waiting = js_bool(object, "waiting", false),
                .cancelled = js_bool(object, "cancelled", false),
                .went_back = js_bool(object, "went_back", false),
                .began_ms = js_int(object, "began", 0),
                .ended_ms = js_int(object, "ended", 0),
                .gap_ms = js_int(object, "gap", -1),
                .gap_measured = js_bool(object, "gap_measured", false),
                .restore_ms = js_int(object, "restore", -1),
                .left_to = str_copy(js_str(object, "left_to")),
                .failed_step = str_copy(js_str(object, "failed_step")),
                .cause = str_copy(js_str(object, "cause")),
        };
        read_rehearsal(object, &summary);
        add_steps(js_get(object, "steps"), &summary);
        *ret = summary;
        return true;
}

void summary_done(Summary *summary) {
        free(summary->service);
        free(summary->kind);
        free(summary->from);
        free(summary->to);
        free(summary->left_to);
        free(summary->failed_step);
        free(summary->cause);
        for (size_t i = 0; i < summary->n_steps; i++) {
                free(summary->steps[i].name);
                free(summary->steps[i].instance);
        }
        free(summary->steps);
        *summary = (Summary){0};
}
