#include "small_story.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"

/* -- files of the world ------------------------------------------------------------------- */

char *small_world_get(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        char *text = NULL;
        size_t bytes = 0;
        if (!file_read_if(path, 4096, &text, &bytes, NULL) || !text)
                return str_copy("");
        return text;
}

static bool is(const SmallWorld *world, const char *name, const char *text) {
        scoped(free_str) char *now = small_world_get(world->dir, name);
        return strcmp(now, text) == 0;
}

static bool put(const SmallWorld *world, const char *name, const char *text, Err *err) {
        scoped(free_str) char *path = path_join(world->dir, name);
        return file_write_durable(path, text, strlen(text), 0600, err);
}

static bool drop(const SmallWorld *world, const char *name, Err *err) {
        scoped(free_str) char *path = path_join(world->dir, name);
        return !file_exists(path) || file_unlink(path, err);
}

/* By plain calls: what the test itself does is no point to die at. */
static void put_plainly(const char *dir, const char *name, const char *text) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
                abort();
}

void small_world_make(const char *dir) {
        static const char *const files[][2] = {
                {"version", "1"},
                {"code", "1"},
                {"env", "1"},
                {"unit", "1"},
                {"data", "1 rows"},
                {"running", "1"},
        };
        scoped(free_str) char *undo = path_join(dir, "undo");
        if (mkdir(undo, 0700) < 0)
                abort();
        for (size_t i = 0; i < COUNT_OF(files); i++)
                put_plainly(dir, files[i][0], files[i][1]);
}

/* What must hold when a step begins. Where it does not, the order of the engine is wrong. */
static bool insist(const SmallWorld *world, bool holds, const char *what) {
        if (!holds)
                put_plainly(world->dir, "violation", what);
        return holds;
}

static bool all_is(const SmallWorld *world, const char *version) {
        return is(world, "version", version) && is(world, "code", version) &&
               is(world, "env", version) && is(world, "unit", version);
}

static const char *data_of(const Scenario *scenario, const char *version) {
        return scenario->no_migration || strcmp(version, "1") == 0 ? "1 rows" : "2 rows";
}

/* -- trouble ------------------------------------------------------------------------------ */

static Trouble trouble_of(const StepContext *context) {
        const SmallWorld *world = context->world;
        return str_equal(world->scenario->trouble_at, context->step) ? world->scenario->trouble
                                                                     : TROUBLE_NONE;
}

/* At the end of each apply; `half` is where a failing one stops. */
static bool end_of_apply(StepContext *context, Err *err) {
        SmallWorld *world = context->world;
        switch (trouble_of(context)) {
        case TROUBLE_FAILS:
                return err_fail(err, ERR_TOOL, "'%s' does not work", context->step);
        case TROUBLE_ASKS:
                return err_fail(err, ERR_INCONCLUSIVE, "a person has to look");
        case TROUBLE_DIES:
                kill(getpid(), SIGKILL);
                return false;
        case TROUBLE_CTRL_C:
                world->cancel.requested = 2;
                return true;
        case TROUBLE_CANCEL:
                world->cancel.requested = 1;
                return true;
        case TROUBLE_NONE:
        default:
                return true;
        }
}

static bool fails_by_half(const StepContext *context) {
        return trouble_of(context) == TROUBLE_FAILS || trouble_of(context) == TROUBLE_DIES;
}

static bool undo_fails_now(const StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        if (!str_equal(world->scenario->undo_fails_once, context->step) ||
                is(world, "failed-once", "yes"))
                return false;
        put_plainly(world->dir, "failed-once", "yes");
        err_fail(err, ERR_IO, "undoing '%s' does not work this time", context->step);
        return true;
}

static const char *fact(const StepContext *context, const char *key, Err *err) {
        const char *text = context->facts ? js_str(context->facts, key) : NULL;
        if (!text)
                err_fail(err, ERR_BUG, "the fact '%s' of step '%s' was not journaled", key,
                        context->step);
        return text;
}

/* -- preflight, stage --------------------------------------------------------------------- */

static bool preflight_apply(StepContext *context, Err *err) {
        return is(context->world, "running", "1") ? end_of_apply(context, err)
                                                  : err_fail(err, ERR_REFUSED, "it is down");
}

static bool stage_apply(StepContext *context, Err *err) {
        return put(context->world, "staged", "2", err) && end_of_apply(context, err);
}

static bool stage_undo(StepContext *context, Err *err) {
        return !undo_fails_now(context, err) && drop(context->world, "staged", err);
}

/* -- stop: its undo starts the old version, last of all ----------------------------------- */

static bool stop_prepare(StepContext *context, Err *err) {
        (void)err;
        scoped(free_str) char *running =
                small_world_get(((const SmallWorld *)context->world)->dir, "running");
        js_set_str(context->facts, "running", running);
        return true;
}

static bool stop_apply(StepContext *context, Err *err) {
        return drop(context->world, "running", err) && end_of_apply(context, err);
}

static bool stop_undo(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        const char *old = fact(context, "running", err);
        if (!old || undo_fails_now(context, err))
                return false;
        if (!insist(world, all_is(world, old) && is(world, "data", data_of(world->scenario, old)),
                    "the old version was started on something else"))
                return err_fail(err, ERR_BUG, "not everything is undone");
        return put(world, "running", old, err);
}

static bool stop_observe(StepContext *context, StepTruth *ret, Err *err) {
        const char *old = fact(context, "running", err);
        if (!old)
                return false;
        *ret = is(context->world, "running", "") ? TRUTH_APPLIED : TRUTH_NOT_APPLIED;
        return true;
}

/* -- place, config: two files each -------------------------------------------------------- */

static const char *const *files_of(const StepContext *context) {
        static const char *const place[] = {"version", "code"}, *const config[] = {"env", "unit"};
        return str_equal(context->step, "place") ? place : config;
}

static bool stopped(const SmallWorld *world) {
        return insist(
                world, is(world, "running", ""), "files were changed under a running version");
}

static bool pair_prepare(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        for (int i = 0; i < 2; i++) {
                const char *name = files_of(context)[i];
                scoped(free_str) char *old = small_world_get(world->dir, name);
                scoped(free_str) char *saved = path_join("undo", name);
                if (!put(world, saved, old, err))
                        return false;
                js_set_str(context->facts, name, saved);
        }
        return true;
}

static bool pair_apply(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        if (!stopped(world) || !put(world, files_of(context)[0], "2", err))
                return false;
        if (!fails_by_half(context) && !put(world, files_of(context)[1], "2", err))
                return false;
        return end_of_apply(context, err);
}

static bool pair_undo(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        if (!stopped(world) || undo_fails_now(context, err))
                return false;
        for (int i = 0; i < 2; i++) {
                const char *saved = fact(context, files_of(context)[i], err);
                if (!saved)
                        return false;
                scoped(free_str) char *old = small_world_get(world->dir, saved);
                if (!put(world, files_of(context)[i], old, err))
                        return false;
        }
        return true;
}

static bool pair_observe(StepContext *context, StepTruth *ret, Err *err) {
        (void)err;
        int old = 0, new = 0;
        for (int i = 0; i < 2; i++) {
                old += is(context->world, files_of(context)[i], "1");
                new += is(context->world, files_of(context)[i], "2");
        }
        if (old + new < 2)
                *ret = TRUTH_DRIFT;
        else
                *ret = new == 2 ? TRUTH_APPLIED : old == 2 ? TRUTH_NOT_APPLIED : TRUTH_PARTLY;
        /* What a person has to look at is not seen to be done by looking. */
        if (*ret == TRUTH_APPLIED && trouble_of(context) == TROUBLE_ASKS)
                *ret = TRUTH_PARTLY;
        return true;
}

/* -- migrate ------------------------------------------------------------------------------ */

static bool migrate_prepare(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        scoped(free_str) char *data = small_world_get(world->dir, "data");
        js_set_str(context->facts, "data", "undo/data");
        return put(world, "undo/data", data, err);
}

static bool migrate_apply(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        if (!stopped(world) || !insist(world, is(world, "data", "1 rows"),
                                       "half migrated data was migrated again"))
                return err_fail(err, ERR_BUG, "the data is not that of version 1");
        if (!put(world, "data", "? rows", err))
                return false;
        if (!fails_by_half(context) && !put(world, "data", "2 rows", err))
                return false;
        return end_of_apply(context, err);
}

static bool migrate_undo(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        const char *saved = fact(context, "data", err);
        if (!saved || !stopped(world) || undo_fails_now(context, err))
                return false;
        scoped(free_str) char *data = small_world_get(world->dir, saved);
        return put(world, "data", data, err);
}

/* -- start, verify, monitor --------------------------------------------------------------- */

static bool start_apply(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        if (!insist(world, all_is(world, "2") && is(world, "data", data_of(world->scenario, "2")),
                    "the new version was started on something else"))
                return err_fail(err, ERR_BUG, "not everything is in place");
        if (!fails_by_half(context) && !put(world, "running", "2", err))
                return false;
        return end_of_apply(context, err);
}

static bool start_undo(StepContext *context, Err *err) {
        return !undo_fails_now(context, err) && drop(context->world, "running", err);
}

static bool start_observe(StepContext *context, StepTruth *ret, Err *err) {
        (void)err;
        *ret = is(context->world, "running", "2") ? TRUTH_APPLIED : TRUTH_NOT_APPLIED;
        return true;
}

static bool verify_apply(StepContext *context, Err *err) {
        if (!is(context->world, "running", "2"))
                return err_fail(err, ERR_ANSWER_NO, "version 2 does not answer");
        return end_of_apply(context, err);
}

static bool monitor_apply(StepContext *context, Err *err) { return end_of_apply(context, err); }

/* -- finish, rollback --------------------------------------------------------------------- */

static bool tidy_apply(StepContext *context, Err *err) {
        return drop(context->world, "staged", err) && end_of_apply(context, err);
}

static bool mark_bad_apply(StepContext *context, Err *err) {
        return put(context->world, "bad", "2", err) && end_of_apply(context, err);
}

static bool verify_old_apply(StepContext *context, Err *err) {
        const SmallWorld *world = context->world;
        if (!all_is(world, "1") || !is(world, "running", "1") || !is(world, "data", "1 rows"))
                return err_fail(err, ERR_ANSWER_NO, "version 1 does not answer");
        return end_of_apply(context, err);
}

static bool report_apply(StepContext *context, Err *err) {
        return put(context->world, "report", "yes", err);
}

#define STEP(a) .name = #a, .title = #a, .apply = a##_apply
static const Step step_preflight = {
        STEP(preflight), .phase = PHASE_PREFLIGHT, .flags = STEP_READ_ONLY};
static const Step step_stage = {STEP(stage), .phase = PHASE_BACKUP, .undo = stage_undo};
static const Step step_stop = {STEP(stop), .phase = PHASE_QUIESCE, .flags = STEP_INTERRUPTS,
        .prepare = stop_prepare, .undo = stop_undo, .observe = stop_observe};
static const Step step_place = {.name = "place",
        .title = "place",
        .phase = PHASE_PLACE,
        .prepare = pair_prepare,
        .apply = pair_apply,
        .undo = pair_undo,
        .observe = pair_observe};
static const Step step_config = {.name = "config",
        .title = "config",
        .phase = PHASE_PLACE,
        .flags = STEP_REDO_SAFE,
        .prepare = pair_prepare,
        .apply = pair_apply,
        .undo = pair_undo,
        .observe = pair_observe};
static const Step step_migrate = {STEP(migrate), .phase = PHASE_MIGRATE, .flags = STEP_RESTORES,
        .prepare = migrate_prepare, .undo = migrate_undo};
static const Step step_start = {
        STEP(start), .phase = PHASE_START, .undo = start_undo, .observe = start_observe};
static const Step step_verify = {STEP(verify), .phase = PHASE_VERIFY, .flags = STEP_READ_ONLY};
static const Step step_monitor = {STEP(monitor), .phase = PHASE_MONITOR, .flags = STEP_READ_ONLY};
static const Step step_tidy = {STEP(tidy), .phase = PHASE_FINISH, .flags = STEP_REDO_SAFE};
static const Step step_mark_bad = {.name = "mark-bad",
        .title = "mark bad",
        .phase = PHASE_ROLLBACK,
        .flags = STEP_BEFORE_UNDO | STEP_REDO_SAFE,
        .apply = mark_bad_apply};
static const Step step_verify_old = {.name = "verify-old",
        .title = "verify the old one",
        .phase = PHASE_ROLLBACK,
        .flags = STEP_AFTER_UNDO | STEP_READ_ONLY,
        .apply = verify_old_apply};
static const Step step_report = {STEP(report), .phase = PHASE_FINISH,
        .flags = STEP_AFTER_UNDO | STEP_IN_BOTH | STEP_REDO_SAFE};

static const Step *const steps[] = {
        &step_preflight,
        &step_stage,
        &step_stop,
        &step_place,
        &step_config,
        &step_migrate,
        &step_start,
        &step_verify,
        &step_monitor,
        &step_tidy,
        &step_mark_bad,
        &step_verify_old,
        &step_report,
};

static bool decide(void *context, const RunState *run, const RollbackReason *reason,
        json_t *decision, bool *ret_wait, Err *err) {
        const SmallWorld *world = context;
        (void)run;
        (void)err;
        js_set_str(decision, "why", "because");
        *ret_wait = world->scenario->decision_waits && reason->cause != CAUSE_CANCELLED &&
                    str_equal(reason->step, "monitor");
        return true;
}

/* A dead writer may have left its temporary file. */
static bool end_leftovers(void *context, Err *err) {
        static const char *const names[] = {"version", "code", "env", "unit", "data", "running",
                "staged", "bad", "report", "undo/version", "undo/code", "undo/env", "undo/unit",
                "undo/data"};
        const SmallWorld *world = context;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *dir = path_dirname(names[i]);
                scoped(free_str) char *temp =
                        str_format("%s/.%s.belay-tmp", dir, path_basename(names[i]));
                if (!drop(world, temp, err))
                        return false;
        }
        return true;
}

const Story small_story = {
        .kind = "small",
        .steps = steps,
        .n_steps = COUNT_OF(steps),
        .decide = decide,
        .end_leftovers = end_leftovers,
};

json_t *small_plan(const Scenario *scenario) {
        json_t *plan = json_pack("{s:i,s:s,s:s,s:{s:s},s:{s:s},s:{}}", "format", 1, "service",
                "small", "kind", "small", "from", "version", "1", "to", "version", "2", "options");
        json_t *list = json_array();
        for (size_t i = 0; i < COUNT_OF(steps); i++)
                if (!scenario->no_migration || steps[i] != &step_migrate)
                        json_array_append_new(list, json_pack("{s:s}", "name", steps[i]->name));
        js_set(plan, "steps", list);
        return plan;
}

/* -- what must hold ----------------------------------------------------------------------- */

typedef struct Wanted {
        const char *name;
        const char *text; /* NULL: as it is */
} Wanted;

static const char *differs(const char *dir, const Wanted *wanted, size_t n) {
        static char what[200];
        for (size_t i = 0; i < n; i++) {
                scoped(free_str) char *now = small_world_get(dir, wanted[i].name);
                if (!wanted[i].text || strcmp(now, wanted[i].text) == 0)
                        continue;
                snprintf(what, sizeof(what), "'%s' is \"%s\", not \"%s\"", wanted[i].name, now,
                        wanted[i].text);
                return what;
        }
        return NULL;
}

static const char *temporary_left(const char *dir) {
        static const char *const names[] = {
                "version", "code", "env", "unit", "data", "running", "staged", "bad", "report"};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *temp = str_format("%s/.%s.belay-tmp", dir, names[i]);
                if (file_exists(temp))
                        return "a temporary file is left";
        }
        return NULL;
}

const char *small_world_wrong(const char *dir, const Scenario *scenario, RunEnd end) {
        bool new = end == RUN_SUCCEEDED;
        const char *version = new ? "2" : "1";
        const Wanted wanted[] = {
                {"violation", ""},
                {"version", version},
                {"code", version},
                {"env", version},
                {"unit", version},
                {"running", version},
                {"data", data_of(scenario, version)},
                {"staged", ""},
                {"bad", end == RUN_ROLLED_BACK ? "2" : ""},
                {"report", "yes"},
        };
        if (end == RUN_OPEN || end == RUN_NEEDS_PERSON)
                return "it did not end";
        const char *wrong = differs(dir, wanted, COUNT_OF(wanted));
        return wrong ? wrong : temporary_left(dir);
}

/* The files that a step leaves, done and not done. A later step may have changed them again: NULL
 * where only the step itself knows. */
static const struct {
        const char *step, *file, *done, *not_done;
} traces[] = {
        {"stage", "staged", "2", ""},
        {"place", "version", "2", "1"},
        {"place", "code", "2", "1"},
        {"config", "env", "2", "1"},
        {"config", "unit", "2", "1"},
        {"migrate", "data", "2 rows", "1 rows"},
        {"start", "running", "2", NULL},
        {"tidy", "staged", "", NULL},
        {"mark-bad", "bad", "2", ""},
        {"report", "report", "yes", ""},
};

static bool is_settled(const StepRecord *record, bool *ret_done) {
        *ret_done = record->forward == STEP_DONE && record->undo == STEP_NOT_BEGUN;
        bool not_done = record->forward == STEP_NOT_BEGUN || record->undo == STEP_DONE;
        return *ret_done || not_done;
}

const char *small_world_lies(const char *dir, const Scenario *scenario, const RunState *run) {
        const StepRecord *tidy = run_state_step(run, "tidy", NULL),
                         *stop = run_state_step(run, "stop", NULL);
        const StepRecord *start = run_state_step(run, "start", NULL);
        (void)scenario;
        for (size_t i = 0; i < COUNT_OF(traces); i++) {
                const StepRecord *record = run_state_step(run, traces[i].step, NULL);
                bool done = false;
                if (!record || !is_settled(record, &done))
                        continue;
                if (str_equal(traces[i].step, "stage") && tidy->forward != STEP_NOT_BEGUN)
                        continue;
                const Wanted wanted = {traces[i].file, done ? traces[i].done : traces[i].not_done};
                const char *wrong = differs(dir, &wanted, 1);
                if (wrong)
                        return wrong;
        }
        bool done = false;
        if (start->forward != STEP_NOT_BEGUN || !is_settled(stop, &done))
                return NULL;
        return differs(dir, &(Wanted){"running", done ? "" : "1"}, 1);
}
