#include "engine/engine.h"

#include <stdlib.h>

#include "base/own.h"
#include "engine/drive.h"

void run_outcome_done(RunOutcome *outcome) {
        err_clear(&outcome->failure);
        free(outcome->failed_step);
        strv_free(outcome->unfinished);
        *outcome = (RunOutcome){0};
}

/* -- one action each ----------------------------------------------------------------------------- */

static bool do_arm(Drive *drive, const Action *action, Err *err) {
        (void)action;
        return drive_arm(drive, err);
}

static bool do_commit(Drive *drive, const Action *action, Err *err) {
        (void)action;
        return drive_commit(drive, err);
}

static bool do_step(Drive *drive, const Action *action, Err *err) {
        return step_begin(drive, action->step, err);
}

static bool do_undo(Drive *drive, const Action *action, Err *err) {
        return step_undo(drive, action->step, err);
}

static bool do_ask(Drive *drive, const Action *action, Err *err) {
        return recover_open_step(drive, action->step, err);
}

static RollbackCause cause_of(const Err *why) {
        return why->code == ERR_CANCELLED ? CAUSE_CANCELLED : CAUSE_FAILED;
}

static bool do_decide(Drive *drive, const Action *action, Err *err) {
        scoped(err_clear) Err why = {0};
        error_from_json(drive->run->steps[action->step].error, &why);
        return drive_go_back(drive, cause_of(&why), &action->step, &why, err);
}

/* What must succeed for the old version to count as running. */
static bool is_proof(const Step *step) {
        return step->flags & STEP_AFTER_UNDO && !(step->flags & STEP_IN_BOTH);
}

static bool do_end(Drive *drive, const Action *action, Err *err) {
        scoped(err_clear) Err why = {0};
        if (action->why)
                err_fail(&why, ERR_PERSON, "%s", action->why);
        for (size_t i = 0; action->why && i < drive->run->n_steps; i++) {
                const StepRecord *record = &drive->run->steps[i];
                bool broken = record->undo == STEP_FAILED ||
                              (record->forward == STEP_FAILED && is_proof(drive->steps[i]));
                scoped(free_str) char *label = drive_step_label(drive, i);
                const char *message = js_str(record->error, "message"),
                           *hint = js_str(record->error, "hint");
                if (!broken)
                        continue;
                err_fail(
                        &why, ERR_PERSON, "%s: %s: %s", action->why, label, message ? message : "");
                if (hint)
                        err_hint(&why, "%s", hint);
        }
        return drive_end(drive, action->end, &why, err);
}

/* Not of ACT_NOTHING and ACT_WAIT: with these the loop ends. */
static bool (*const doers[])(Drive *, const Action *, Err *) = {
        [ACT_ARM] = do_arm,
        [ACT_COMMIT] = do_commit,
        [ACT_STEP] = do_step,
        [ACT_ASK] = do_ask,
        [ACT_DECIDE] = do_decide,
        [ACT_UNDO] = do_undo,
        [ACT_END] = do_end,
};

/* Ctrl-C counts until verify has passed, `belay cancel` until COMMIT; nobody cancels a way back. */
static bool is_cancelled(const Drive *drive, const Action *action) {
        const RunState *run = drive->run;
        int requested = drive->engine->cancel ? drive->engine->cancel->requested : 0;
        bool onward = action->kind == ACT_ARM || action->kind == ACT_STEP ||
                      action->kind == ACT_COMMIT || action->kind == ACT_ASK;
        if (!requested || !onward || run->committed || run->rolling_back || drive->abort)
                return false;
        if (!run->armed || requested == 1)
                return true;
        return action->kind != ACT_COMMIT && drive->steps[action->step]->phase <= PHASE_VERIFY;
}

/* In a run that is going back before ARM, the report is a step that runs forward: it is not cancelled. */
static bool going_back_already(const Drive *drive) {
        return drive->run->rolling_back ||
               (!drive->run->armed && drive_failed_step(drive) < drive->run->n_steps);
}

static bool go_back_cancelled(Drive *drive, const Action *action, Err *err) {
        scoped(err_clear) Err why = {0};
        err_fail(&why, ERR_CANCELLED, "it was cancelled");
        const size_t *open = action->kind == ACT_ASK ? &action->step : NULL;
        return drive_go_back(drive, CAUSE_CANCELLED, open, &why, err);
}

bool drive_loop(Drive *drive, Err *err) {
        for (;;) {
                Action action = engine_next(drive->run, drive->steps, drive->abort);
                if (action.kind == ACT_NOTHING)
                        return true;
                if (action.kind == ACT_WAIT) {
                        drive_tell_armed(drive, false);
                        events_add(drive->engine->events, "wait", json_deep_copy(drive->run->wait));
                        return true;
                }
                bool cancelled = is_cancelled(drive, &action) && !going_back_already(drive);
                if (cancelled ? !go_back_cancelled(drive, &action, err)
                              : !doers[action.kind](drive, &action, err))
                        return false;
        }
}

/* -- a new run ---------------------------------------------------------------------------- */

bool engine_run(Engine *engine, RunOutcome *ret, Err *err) {
        scoped(drive_done) Drive drive = {0};
        if (engine->run->epoch > 0 || engine->run->begun > 0)
                return err_fail(err, ERR_BUG, "this run has begun already: it is to be recovered");
        if (!drive_begin(engine, false, &drive, err) || !drive_own(&drive, err) ||
                !drive_loop(&drive, err))
                return false;
        drive_report(&drive, ret);
        return true;
}
