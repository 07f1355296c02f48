/* A run that another process left: what is really so, and which way from there. */
#include <stdlib.h>

#include "base/own.h"
#include "engine/drive.h"
#include "platform/clock.h"

/* -- the step that was left open ---------------------------------------------------------- */

static StepTruth ask_once(const Drive *drive, size_t i, Err *why) {
        const Step *step = drive->steps[i];
        if (step->flags & STEP_READ_ONLY)
                return TRUTH_NOT_APPLIED;
        if (!step->observe)
                return TRUTH_PARTLY;
        StepContext context = step_context(drive, i);
        StepTruth truth = TRUTH_UNKNOWN;
        return step->observe(&context, &truth, why) ? truth : TRUTH_UNKNOWN;
}

/* A dependency that is away comes back or not; meanwhile the service is left as it is. */
static StepTruth ask(const Drive *drive, size_t i, Err *why) {
        StepTruth truth = ask_once(drive, i, why);
        for (size_t k = 0; truth == TRUTH_UNKNOWN && k < COUNT_OF(drive->pauses->unknown_ms); k++) {
                clock_sleep_ms(drive->pauses->unknown_ms[k]);
                truth = ask_once(drive, i, why);
        }
        return truth;
}

/* After COMMIT there is no way back: what cannot be done is left undone and said. */
static bool give_up(Drive *drive, size_t i, const char *reason, const Err *detail, Err *err) {
        scoped(err_clear) Err why = {0};
        scoped(free_str) char *label = drive_step_label(drive, i);
        err_fail(&why, ERR_INTERRUPTED, "the run was interrupted at \"%s\"; %s%s%s", label, reason,
                detail->message ? ": " : "", detail->message ? detail->message : "");
        if (drive->run->committed)
                return step_fail(drive, i, &why, err);
        return drive_go_back(drive, CAUSE_INTERRUPTED, &i, &why, err);
}

static bool go_on(Drive *drive, size_t i, Err *err) {
        const Err none = {0};
        if (step_attempts(&drive->run->steps[i]) >= ENGINE_ATTEMPTS_MAX)
                return give_up(drive, i, "it has been tried often enough", &none, err);
        return step_begin(drive, i, err);
}

static bool stop_at_drift(Drive *drive, size_t i, const Err *detail, Err *err) {
        if (drive->run->committed)
                return give_up(
                        drive, i, "somebody else changed the service meanwhile", detail, err);
        scoped(err_clear) Err why = {0};
        scoped(free_str) char *label = drive_step_label(drive, i);
        err_fail(&why, ERR_DRIFT,
                "somebody else changed the service while the run was interrupted at \"%s\"%s%s",
                label, detail->message ? ": " : "", detail->message ? detail->message : "");
        if (detail->hint)
                err_hint(&why, "%s", detail->hint);
        return drive_end(drive, RUN_NEEDS_PERSON, &why, err);
}

bool recover_open_step(Drive *drive, size_t i, Err *err) {
        unsigned flags = drive->steps[i]->flags;
        scoped(err_clear) Err detail = {0};
        if (flags & STEP_RESTORES && !drive->run->committed)
                return give_up(drive, i, "the data may be changed by half", &detail, err);
        switch (ask(drive, i, &detail)) {
        case TRUTH_APPLIED:
                return step_done_by(drive, i, "observed_by_recovery", err);
        case TRUTH_NOT_APPLIED:
                return go_on(drive, i, err);
        case TRUTH_PARTLY:
                if (flags & STEP_REDO_SAFE || drive->run->committed)
                        return go_on(drive, i, err);
                return give_up(drive, i, "it was done by half", &detail, err);
        case TRUTH_DRIFT:
                return stop_at_drift(drive, i, &detail, err);
        case TRUTH_UNKNOWN:
        default:
                return give_up(drive, i, "what is so could not be found out", &detail, err);
        }
}

/* -- what a person wishes ----------------------------------------------------------------- */

static bool is_verified(const Drive *drive) {
        for (size_t i = 0; i < drive->run->n_steps; i++)
                if (step_runs_forward(drive->steps[i]) && drive->steps[i]->phase <= PHASE_VERIFY &&
                        drive->run->steps[i].forward != STEP_DONE)
                        return false;
        return true;
}

/* The first step before verify that is not done, or n_steps: with one the new version does not serve. */
static size_t first_missing(const Drive *drive) {
        size_t i = 0;
        while (i < drive->run->n_steps &&
                !(step_runs_forward(drive->steps[i]) && drive->steps[i]->phase < PHASE_VERIFY &&
                        drive->run->steps[i].forward != STEP_DONE))
                i++;
        return i;
}

/* A person may keep what failed its checks, but not what was never started, or half migrated. */
static bool accept_decision(Drive *drive, Err *err) {
        size_t missing = first_missing(drive);
        if (missing == drive->run->n_steps)
                return drive_commit(drive, err);
        return drive_note(drive, missing,
                "it cannot be accepted: this step was not done, so the new version does not serve",
                err);
}

static bool accept_waiting(Drive *drive, Err *err) {
        const json_t *wait = drive->run->wait;
        if (!str_equal(js_str(wait, "for"), "step"))
                return accept_decision(drive, err);
        const StepRecord *record =
                run_state_step(drive->run, js_str(wait, "step"), js_str(wait, "instance"));
        if (!record)
                return err_fail(
                        err, ERR_CORRUPT, "the run waits for a step that is not in its plan");
        return step_done_by(drive, (size_t)(record - drive->run->steps), "accepted", err);
}

/* The end of the watch may be said by a person; of what is not verified nobody says that it is good. */
static bool accept(Drive *drive, Err *err) {
        const RunState *run = drive->run;
        if (run->waiting)
                return accept_waiting(drive, err);
        if (run->armed && !run->committed && !run->rolling_back && is_verified(drive))
                return drive_commit(drive, err);
        return true;
}

/* The step that stands in question: left open, else failed; n_steps when there is none. */
static size_t step_in_question(const RunState *run) {
        for (size_t i = 0; i < run->n_steps; i++)
                if (run->steps[i].forward == STEP_OPEN || run->steps[i].forward == STEP_FAILED)
                        return i;
        return run->n_steps;
}

static bool undo(Drive *drive, Err *err) {
        const RunState *run = drive->run;
        if (run->committed || run->rolling_back)
                return true;
        size_t step = step_in_question(run);
        scoped(err_clear) Err why = {0};
        error_from_json(run->waiting ? js_get(run->wait, "error") : NULL, &why);
        if (why.code == ERR_NONE)
                err_fail(&why, ERR_CANCELLED, "it was cancelled");
        return drive_go_back(drive, CAUSE_CANCELLED, step < run->n_steps ? &step : NULL, &why, err);
}

/* Before ARM nothing was touched: the run ends. */
static bool end_unarmed(Drive *drive, Err *err) {
        scoped(err_clear) Err why = {0};
        if (drive->run->armed || drive->run->committed)
                return true;
        err_fail(&why, ERR_INTERRUPTED, "the run was interrupted before it changed anything");
        return drive_go_back(drive, CAUSE_INTERRUPTED, NULL, &why, err);
}

static bool fulfil(Drive *drive, RunWish wish, Err *err) {
        if (wish == WISH_UNDO && !undo(drive, err))
                return false;
        if (wish == WISH_ACCEPT && !accept(drive, err))
                return false;
        return end_unarmed(drive, err) && drive_loop(drive, err);
}

/* -- the run ------------------------------------------------------------------------------ */

static int exit_of_ended(const RunState *run) {
        switch (run->end) {
        case RUN_SUCCEEDED:
                return json_array_size(js_get(run->end_record, "unfinished"))
                               ? err_exit_status(ERR_UNFINISHED)
                               : 0;
        case RUN_ROLLED_BACK:
        case RUN_ABORTED:
                return err_exit_status(ERR_ROLLED_BACK);
        case RUN_NEEDS_PERSON:
        case RUN_OPEN:
        default:
                return err_exit_status(ERR_PERSON);
        }
}

bool engine_recover(Engine *engine, RunWish wish, RunOutcome *ret, Err *err) {
        const RunState *run = engine->run;
        scoped(drive_done) Drive drive = {0};
        if (!drive_begin(engine, true, &drive, err))
                return false;
        if (run->end == RUN_NEEDS_PERSON && engine->again &&
                !drive_write(&drive, RECORD_AGAIN, json_object(), err))
                return false;
        if (run->end != RUN_OPEN) {
                drive_report(&drive, ret);
                ret->exit_status = exit_of_ended(run);
                return true;
        }
        if (run->waiting && wish == WISH_FINISH) {
                drive_report(&drive, ret);
                return true;
        }
        if (engine->story->end_leftovers && !engine->story->end_leftovers(engine->world, err))
                return err_context(err, "ending what the interrupted run left behind");
        if (!drive_own(&drive, err) || !fulfil(&drive, wish, err))
                return false;
        drive_report(&drive, ret);
        return true;
}
