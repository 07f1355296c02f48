#include "engine/next.h"

#include "base/str.h"

bool step_runs_forward(const Step *step) {
        if (step->phase == PHASE_ROLLBACK || step->flags & STEP_BEFORE_UNDO)
                return false;
        return !(step->flags & STEP_AFTER_UNDO) || step->flags & STEP_IN_BOTH;
}

bool step_was_begun(const StepRecord *record) { return record->attempts > 0; }

static Action act_on(ActionKind kind, size_t step) { return (Action){.kind = kind, .step = step}; }

static Action act_end(RunEnd end, const char *why) {
        return (Action){.kind = ACT_END, .end = end, .why = why};
}

unsigned step_attempts(const StepRecord *record) { return record->attempts - record->forgiven; }

static unsigned undo_attempts(const StepRecord *record) {
        return record->undo_attempts - record->undo_forgiven;
}

/* Begun again after a crash, but not for ever. A failure stands. */
static bool may_begin(const StepRecord *record) {
        return record->forward == STEP_NOT_BEGUN ||
               (record->forward == STEP_OPEN && step_attempts(record) < ENGINE_ATTEMPTS_MAX);
}

/* Behind the undos a failure stands until a person lets the run go on. */
static bool may_begin_behind(const StepRecord *record) {
        bool before =
                record->forward == STEP_FAILED && record->forgiven && step_attempts(record) == 0;
        return before || may_begin(record);
}

/* -- back --------------------------------------------------------------------------------- */

/* What runs behind the undos is not undone itself. */
static bool is_to_undo(const Step *step, const StepRecord *record) {
        bool changes = step->undo && !(step->flags & (STEP_READ_ONLY | STEP_AFTER_UNDO));
        return changes && step_runs_forward(step) && step_was_begun(record) &&
               record->undo != STEP_DONE;
}

static const char *why_undo_is_stuck(const StepRecord *record) {
        if (record->undo == STEP_FAILED &&
                str_equal(js_str(record->error, "code"), err_name(ERR_DRIFT)))
                return "somebody else changed the service meanwhile";
        bool spent = undo_attempts(record) >= ENGINE_ATTEMPTS_MAX;
        if (spent && record->undo == STEP_FAILED)
                return "an undo failed again and again";
        return spent && record->undo == STEP_OPEN ? "an undo was interrupted again and again"
                                                  : NULL;
}

/* When an undo is stuck, those before it are not begun: they rely on it. Before ARM the service was
 * not touched, so that what cannot be cleared away is only left over. */
static Action undo_next(const RunState *run, const Step *const *steps, const char **ret_stuck) {
        for (size_t i = run->n_steps; i-- > 0 && !*ret_stuck;) {
                if (!is_to_undo(steps[i], &run->steps[i]))
                        continue;
                const char *stuck = why_undo_is_stuck(&run->steps[i]);
                if (!stuck)
                        return act_on(ACT_UNDO, i);
                if (run->armed)
                        *ret_stuck = stuck;
        }
        return act_on(ACT_NOTHING, 0);
}

/* What runs behind the undos: in a rollback all of it, else only what a run of any end has (the
 * report). */
static Action after_undo_next(
        const RunState *run, const Step *const *steps, const char **ret_stuck) {
        for (size_t i = 0; i < run->n_steps; i++) {
                bool in_both = steps[i]->flags & STEP_IN_BOTH;
                if (!(steps[i]->flags & STEP_AFTER_UNDO) ||
                        ((!run->armed || *ret_stuck) && !in_both))
                        continue;
                if (may_begin_behind(&run->steps[i]))
                        return act_on(ACT_STEP, i);
                if (run->steps[i].forward != STEP_DONE && !in_both)
                        *ret_stuck = "the old version could not be confirmed";
        }
        return act_on(ACT_NOTHING, 0);
}

static Action back_next(const RunState *run, const Step *const *steps) {
        const char *stuck = NULL;
        for (size_t i = 0; run->armed && i < run->n_steps; i++)
                if (steps[i]->flags & STEP_BEFORE_UNDO && may_begin(&run->steps[i]))
                        return act_on(ACT_STEP, i);
        Action action = undo_next(run, steps, &stuck);
        if (action.kind == ACT_NOTHING)
                action = after_undo_next(run, steps, &stuck);
        if (action.kind != ACT_NOTHING)
                return action;
        if (stuck)
                return act_end(RUN_NEEDS_PERSON, stuck);
        return act_end(run->armed ? RUN_ROLLED_BACK : RUN_ABORTED, NULL);
}

/* -- forward ------------------------------------------------------------------------------ */

static Action begin_next(const RunState *run, const Step *step, size_t i) {
        if (step->phase == PHASE_FINISH && !run->committed)
                return act_on(ACT_COMMIT, i);
        if (step->phase >= PHASE_QUIESCE && !run->armed && !run->committed)
                return act_on(ACT_ARM, i);
        return act_on(ACT_STEP, i);
}

static Action forward_next(const RunState *run, const Step *const *steps) {
        for (size_t i = 0; i < run->n_steps; i++) {
                /* A person may have accepted a run whose later steps were never begun. */
                bool skipped = run->committed && steps[i]->phase < PHASE_FINISH;
                if (skipped || !step_runs_forward(steps[i]) || run->steps[i].forward == STEP_DONE)
                        continue;
                if (run->steps[i].forward == STEP_OPEN)
                        return act_on(ACT_ASK, i);
                if (run->steps[i].forward == STEP_NOT_BEGUN)
                        return begin_next(run, steps[i], i);
                if (!run->committed)
                        return act_on(ACT_DECIDE, i);
        }
        return run->committed ? act_end(RUN_SUCCEEDED, NULL) : act_on(ACT_COMMIT, run->n_steps);
}

static bool has_failed(const RunState *run, const Step *const *steps) {
        for (size_t i = 0; i < run->n_steps; i++)
                if (run->steps[i].forward == STEP_FAILED && step_runs_forward(steps[i]))
                        return true;
        return false;
}

Action engine_next(const RunState *run, const Step *const *steps, bool abort) {
        if (run->end != RUN_OPEN)
                return act_on(ACT_NOTHING, 0);
        if (run->waiting)
                return act_on(ACT_WAIT, 0);
        if (!run->committed && run->begun > 2 * run->n_steps + ENGINE_EXTRA_BEGUN_MAX)
                return act_end(RUN_NEEDS_PERSON, "steps were begun again and again without an end");
        if (run->rolling_back)
                return back_next(run, steps);
        if (!run->armed && !run->committed && (abort || has_failed(run, steps)))
                return back_next(run, steps);
        return forward_next(run, steps);
}
