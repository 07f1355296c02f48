/* Data put back on purpose: by a rollback days later, or by `belay backup restore`. Written beside while the
 * service still runs, exchanged while it is stopped; what was there is kept as salvage. */
#include <stdlib.h>

#include "base/own.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/steps.h"

/* Names beside the data differ from those of the run's own undo. */
static char *data_mark(const World *world) { return str_format("%s-data", world->run_text); }

static bool request_of(const StepContext *context, char *mark, RestoreRequest *ret, Err *err) {
        const World *world = context->world;
        const json_t *data = js_get(world->run_state->plan, "data");
        const char *backup = js_str(data, "backup");
        if (!backup)
                return err_fail(err, ERR_CORRUPT, "the plan of run #%u names no backup to restore",
                        world->run);
        *ret = backups_restore_request(world, backup, js_str(data, "only"), mark);
        ret->version = world->from.version;
        return true;
}

static bool with_request(
        StepContext *context, bool (*act)(const RestoreRequest *, Err *), Err *err) {
        scoped(free_str) char *mark = data_mark(context->world);
        RestoreRequest request = {0};
        return request_of(context, mark, &request, err) && act(&request, err);
}

static bool prepare_apply(StepContext *context, Err *err) {
        return with_request(context, restore_prepare, err);
}

static bool was_started(const RunState *run) {
        const StepRecord *start = run_state_step(run, "start", NULL);
        return start && start->forward != STEP_NOT_BEGUN;
}

/* What was swapped was swap-data's to undo. Users may have written into it from its start on, verified or not: then
 * it is never thrown away. */
static bool prepare_undo(StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(free_str) char *mark = data_mark(world);
        RestoreRequest request = {0};
        if (!request_of(context, mark, &request, err))
                return false;
        request.version = world->to.version;
        if (was_started(context->run)) {
                if (!restore_keep_undone(&request, err))
                        return false;
                js_set_str(context->observed, "kept", mark);
        }
        return restore_discard(&request, err);
}

const Step step_prepare_data = {
        .name = "prepare-data",
        .title = "Write the backup's data beside",
        .phase = PHASE_BACKUP,
        .flags = STEP_REDO_SAFE,
        .apply = prepare_apply,
        .undo = prepare_undo,
};

static bool swap_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        const json_t *data = js_get(world->run_state->plan, "data");
        if (!with_request(context, restore_swap, err))
                return false;
        scoped(free_str) char *mark = data_mark(world);
        js_set_str(context->observed, "salvage", mark);
        /* One content alone says nothing about migrations of the others. */
        return js_str(data, "only") ||
               backups_import_migrations(world, js_str(data, "backup"), err);
}

static bool swap_undo(StepContext *context, Err *err) {
        return with_request(context, restore_undo, err) &&
               backups_put_back_migrations(context->world, err);
}

static bool swap_observe(StepContext *context, StepTruth *ret, Err *err) {
        scoped(free_str) char *mark = data_mark(context->world);
        RestoreRequest request = {0};
        RestoreStage stage = RESTORE_NONE;
        if (!request_of(context, mark, &request, err) || !restore_stage(&request, &stage, err))
                return false;
        *ret = stage == RESTORE_SWAPPED || stage == RESTORE_PARTLY ? TRUTH_PARTLY
                                                                   : TRUTH_NOT_APPLIED;
        return true;
}

const Step step_swap_data = {
        .name = "swap-data",
        .title = "Put the backup's data in place",
        .phase = PHASE_MIGRATE,
        .flags = STEP_REDO_SAFE,
        .apply = swap_apply,
        .undo = swap_undo,
        .observe = swap_observe,
};
