#include "update/runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "manifest/manifest.h"
#include "platform/file.h"
#include "platform/process.h"

/* The run's own copy of the manifest: it was there before the journal. */
static json_t *plan_from_manifest(const State *state, unsigned number) {
        scoped(free_str) char *undo = state_run_file(state, number, "undo");
        scoped(free_str) char *path = path_join(undo, "belay.yaml");
        scoped(service_freep) Service *service = NULL;
        if (!manifest_load(path, &service, NULL))
                return NULL;
        json_t *plan = json_object();
        js_set_str(plan, "service", service->name);
        js_set(plan, "steps", json_array());
        return plan;
}

/* Whose run it is must be known: nothing may begin on top of what it left. */
static void read_what_is_left(const State *state, const char *path, Run *run) {
        Record plan = {.sequence = 1, .type = RECORD_PLAN};
        if (!journal_read_plan(path, &plan, NULL))
                plan.payload = plan_from_manifest(state, run->number);
        if (plan.payload)
                (void)run_state_add(&run->state, &plan, NULL);
        json_decref(plan.payload);
}

bool run_load(const State *state, unsigned number, Run *ret, Err *err) {
        scoped(free_str) char *path = state_run_file(state, number, "journal");
        if (!file_exists(path)) {
                err_fail(err, ERR_UNKNOWN, "there is no run #%u", number);
                return err_hint(err, "`belay runs` lists them.");
        }
        scoped(err_clear) Err why = {0};
        Run run = {.number = number};
        if (!journal_read(path, &run.records, &why) ||
                !run_state_of(&run.records, &run.state, &why)) {
                run.damaged = true;
                run.why = str_copy(why.message);
                read_what_is_left(state, path, &run);
        }
        *ret = run;
        return true;
}

void run_done(Run *run) {
        record_list_done(&run->records);
        run_state_done(&run->state);
        free(run->why);
        *run = (Run){0};
}

const char *run_service(const Run *run) {
        const char *name = run->state.plan ? js_str(run->state.plan, "service") : NULL;
        return name ? name : "?";
}

const char *run_kind(const Run *run) {
        const char *kind = run->state.plan ? js_str(run->state.plan, "kind") : NULL;
        return kind ? kind : "?";
}

static bool is_of(const Run *run, const char *service) {
        return !service || str_equal(run_service(run), service);
}

/* Known from its first record alone: the rest of the journals of others is not read. */
static bool is_of_another(const State *state, unsigned number, const char *service) {
        scoped(free_str) char *path = state_run_file(state, number, "journal");
        Record plan = {0};
        if (!service || !journal_read_plan(path, &plan, NULL))
                return false;
        bool other = !str_equal(js_str(plan.payload, "service"), service);
        json_decref(plan.payload);
        return other;
}

bool run_list(
        const State *state, const char *service, size_t most, Run **ret, size_t *ret_n, Err *err) {
        scoped(free_mem) unsigned *numbers = NULL;
        size_t n = 0;
        if (!state_runs(state, &numbers, &n, err))
                return false;
        Run *runs = NULL;
        size_t count = 0;
        while (n-- && count < most) {
                Run run = {0};
                /* A directory without a journal is a run that died before it had one: it did nothing. */
                if (is_of_another(state, numbers[n], service) ||
                        !run_load(state, numbers[n], &run, NULL))
                        continue;
                if (is_of(&run, service) && (run.damaged || run.state.plan))
                        PUSH(runs, count, run);
                else
                        run_done(&run);
        }
        *ret = runs;
        *ret_n = count;
        return true;
}

void run_list_free(Run *runs, size_t n) {
        for (size_t i = 0; i < n; i++)
                run_done(&runs[i]);
        free(runs);
}

bool run_newest(const State *state, const char *service, Run *ret, bool *ret_found, Err *err) {
        Run *runs = NULL;
        size_t n = 0;
        if (!run_list(state, service, 1, &runs, &n, err))
                return false;
        *ret_found = n == 1;
        if (n == 1)
                *ret = runs[0];
        free(runs);
        return true;
}

bool run_owner_alive(const Run *run) {
        ProcessId owner = {0};
        return run->state.owner && process_from_json(run->state.owner, &owner) &&
               process_alive(&owner);
}

const StepRecord *run_open_step(const RunState *state) {
        for (size_t i = state->n_steps; i-- > 0;)
                if (state->steps[i].undo == STEP_OPEN || state->steps[i].forward == STEP_OPEN)
                        return &state->steps[i];
        return NULL;
}

const StepRecord *run_failed_step(const RunState *state) {
        const char *name = state->rollback ? js_str(state->rollback, "step") : NULL;
        for (size_t i = 0; i < state->n_steps; i++) {
                const StepRecord *step = &state->steps[i];
                if (name ? str_equal(step->name, name) && step->forward != STEP_DONE
                         : step->forward == STEP_FAILED)
                        return step;
        }
        return NULL;
}

static const char *done_by_hand(const char *kind) {
        if (str_equal(kind, "rehearse"))
                return "rehearsed";
        return str_equal(kind, "rollback") ? "rolled back by hand" : "restored";
}

const char *run_end_text(RunEnd end, const char *kind) {
        static const char *const texts[] = {
                [RUN_OPEN] = "open",
                [RUN_SUCCEEDED] = "updated",
                [RUN_ROLLED_BACK] = "rolled back",
                [RUN_ABORTED] = "ended, nothing changed",
                [RUN_NEEDS_PERSON] = "needs a person",
        };
        if (end == RUN_SUCCEEDED && !str_equal(kind, "update"))
                return done_by_hand(kind);
        return texts[end];
}

char *run_mark(const State *state, unsigned number) {
        char sum[65];
        sha256_hex(state->root, strlen(state->root), sum);
        return str_format("%.8s-%u", sum, number);
}

unsigned run_around_us(const State *state) {
        const char *mark = getenv("BELAY_RUN"), *dash = mark ? strchr(mark, '-') : NULL;
        uint64_t number = 0;
        if (!dash || !str_to_uint(dash + 1, UINT32_MAX, &number))
                return 0;
        scoped(free_str) char *own = run_mark(state, (unsigned)number);
        return str_equal(mark, own) ? (unsigned)number : 0;
}

bool run_waits_for_time(const Run *run) {
        const StepRecord *step = run->damaged ? NULL : run_open_step(&run->state);
        return step && run->state.end == RUN_OPEN && str_equal(step->name, "wait");
}

static char *waiting_text(const Run *run) {
        const StepRecord *step = run_open_step(&run->state);
        scoped(free_str) char *when = time_text(js_int(step->facts, "until", 0));
        return str_format("waits until %s", when);
}

char *run_state_text(const Run *run) {
        if (run->damaged)
                return str_format("damaged journal");
        if (run->state.end != RUN_OPEN)
                return str_copy(run_end_text(run->state.end, run_kind(run)));
        if (run->state.waiting)
                return str_format("waits for a person");
        if (run_owner_alive(run) && run_waits_for_time(run))
                return waiting_text(run);
        if (run_owner_alive(run))
                return str_format("running");
        const StepRecord *step = run_open_step(&run->state);
        return step ? str_format("interrupted at \"%s\"", step->name) : str_format("interrupted");
}

static bool refuse(const Run *run, const char *service, Err *err) {
        unsigned n = run->number;
        if (run->damaged) {
                err_fail(err, ERR_PERSON, "the journal of run #%u is damaged: %s", n, run->why);
                err_reason(err, reason_code(REASON_RUN_DAMAGED));
                return err_hint(err, "Look at `belay show %u`, then move its directory away.", n);
        }
        if (run->state.waiting) {
                err_fail(err, ERR_INTERRUPTED, "run #%u of %s waits for a person", n, service);
                err_reason(err, reason_code(REASON_RUN_WAITS));
                return err_hint(err,
                        "`belay accept %u` keeps the new version, `belay cancel %u` rolls it back.",
                        n, n);
        }
        scoped(free_str) char *how = run_state_text(run);
        err_fail(err, ERR_INTERRUPTED, "run #%u of %s is open: %s", n, service, how);
        return err_hint(
                err, "`belay resume %u` finishes it, `belay cancel %u` rolls it back.", n, n);
}

bool run_refuse_open(const State *state, const char *service, bool damaged_too, Err *err) {
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (!run_newest(state, service, &newest, &found, err))
                return false;
        bool in_the_way = newest.damaged ? damaged_too : newest.state.end == RUN_OPEN;
        return !found || !in_the_way || run_waits_for_time(&newest) ||
               refuse(&newest, service, err);
}

bool run_obstacle(
        const State *state, const char *service, unsigned own_run, ReasonList *reasons, Err *err) {
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (!run_newest(state, service, &newest, &found, err))
                return false;
        if (!found || newest.number == own_run || (!newest.damaged && newest.state.end != RUN_OPEN))
                return true;
        if (newest.damaged || newest.state.waiting || !run_owner_alive(&newest)) {
                /* Of its own: who only looks passes none. */
                scoped(err_clear) Err why = {0};
                (void)refuse(&newest, service, &why);
                return reasons_take_err(reasons, &why);
        }
        scoped(free_str) char *hint = str_format(
                "`belay resume %u` follows it; --wait-lock 15m waits for its end.", newest.number);
        scoped(free_str) char *waits =
                run_waits_for_time(&newest) ? waiting_text(&newest) : str_copy("is under way");
        if (run_waits_for_time(&newest))
                str_replace_owned(
                        &hint, str_format("`belay cancel %u` ends it; nothing was touched yet.",
                                       newest.number));
        reason_add(reasons, REASON_RUN_UNDER_WAY, 0, hint, "run #%u of %s %s", newest.number,
                service, waits);
        return true;
}
