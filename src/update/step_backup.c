/* Backup: everything slow happens here, while the old version serves. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/steps.h"

/* -- backup: the first pass, live -- */

static bool backup_prepare(StepContext *context, Err *err) {
        const World *world = context->world;
        char id[33];
        (void)err;
        backup_new_id(id);
        js_set_str(context->facts, "backup", id);
        js_set_str(context->facts, "store", world_store(world));
        return true;
}

static bool backup_apply(StepContext *context, Err *err) {
        World *world = context->world;
        const char *id = js_str(context->facts, "backup");
        if (!backups_begin(world, id, &world->from, "update", &world->backup, err) ||
                !backup_first_pass(world->backup, err))
                return false;
        js_set_int(context->observed, "bytes", (int64_t)world->backup_plan.bytes);
        return true;
}

/* Only before ARM, when nothing was changed that it could undo. Afterwards it is what the undo needs. */
static bool backup_undo(StepContext *context, Err *err) {
        World *world = context->world;
        if (context->decision)
                return true;
        backup_freep(&world->backup);
        world->backup = NULL;
        return backup_discard(js_str(context->facts, "store"), world->service->name,
                js_str(context->facts, "backup"), err);
}

const Step step_backup = {
        .name = "backup",
        .title = "Back up, while the service runs",
        .phase = PHASE_BACKUP,
        .prepare = backup_prepare,
        .apply = backup_apply,
        .undo = backup_undo,
};

/* -- prove: every byte read back; without it nothing is touched -- */

static bool prove_apply(StepContext *context, Err *err) {
        World *world = context->world;
        if (!world->backup)
                return err_fail(err, ERR_BUG, "the backup to prove is not open");
        return backup_prove(world->backup, 2, err);
}

const Step step_prove = {
        .name = "prove",
        .title = "Prove the backup",
        .phase = PHASE_BACKUP,
        .flags = STEP_REDO_SAFE,
        .apply = prove_apply,
};

/* -- reserve: rolling back works on a full disk -- */

static bool reserve_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        return backup_reserve(&world->backup_plan, world->run_text, err);
}

static bool reserve_undo(StepContext *context, Err *err) {
        const World *world = context->world;
        return backup_unreserve(world->service, world->run_text, err);
}

const Step step_reserve = {
        .name = "reserve",
        .title = "Reserve room for going back",
        .phase = PHASE_BACKUP,
        .flags = STEP_REDO_SAFE,
        .apply = reserve_apply,
        .undo = reserve_undo,
};

/* -- second-pass: what changed since, while nothing writes; its undo is the restore -- */

static bool second_pass_apply(StepContext *context, Err *err) {
        World *world = context->world;
        if (!world->backup && !backups_reopen(world, &world->backup, err))
                return false;
        scoped(pass_stats_done) PassStats stats = {0};
        if (!backup_second_pass(world->backup, &stats, err))
                return false;
        js_set_int(context->observed, "bytes", (int64_t)stats.bytes);
        js_set_int(context->observed, "files", (int64_t)stats.files);
        return true;
}

static bool second_pass_observe(StepContext *context, StepTruth *ret, Err *err) {
        const World *world = context->world;
        BackupStage stage = BACKUP_ABSENT;
        if (!backup_stage(
                    world_store(world), world->service->name, backups_run_id(world), &stage, err))
                return false;
        *ret = stage >= BACKUP_PASS2 ? TRUTH_APPLIED : TRUTH_PARTLY;
        return true;
}

/* "restore", "revert", or "if_changed": decided here, where nothing runs that could still write. */
static bool must_restore(const World *world, const json_t *decision, bool *ret, Err *err) {
        const char *data = js_str(decision, "data");
        *ret = str_equal(data, "restore");
        if (!str_equal(data, "if_changed"))
                return true;
        return backup_changed(
                world_store(world), world->service->name, backups_run_id(world), ret, err);
}

/* The restore that lies prepared is this one, and not that of prepare-data. */
static bool prepared_here(const World *world, const char *id) {
        scoped(free_str) char *path = world_undo_file(world, "restore.complete");
        scoped(free_str) char *backup = NULL;
        size_t bytes = 0;
        return file_read_if(path, 256, &backup, &bytes, NULL) && str_equal(backup, id);
}

static bool put_data_back(StepContext *context, const RestoreRequest *request, Err *err) {
        const World *world = context->world;
        js_set_str(context->observed, "data", "restored");
        js_set_str(context->observed, "salvage", world->run_text);
        return backup_unreserve(world->service, world->run_text, err) &&
               restore_prepare(request, err) && restore_swap(request, err) &&
               backups_put_back_migrations(world, err);
}

/* What was decided and prepared is not asked again: half moved away, the data shows something else. */
static bool restore_is_due(
        const StepContext *context, const RestoreRequest *request, bool *ret, Err *err) {
        const World *world = context->world;
        RestoreStage stage = RESTORE_NONE;
        if (!restore_stage(request, &stage, err))
                return false;
        *ret = stage == RESTORE_PARTLY || stage == RESTORE_SWAPPED ||
               (stage == RESTORE_PREPARED && prepared_here(world, request->backup));
        return *ret || must_restore(world, context->decision, ret, err);
}

static bool second_pass_undo(StepContext *context, Err *err) {
        const World *world = context->world;
        const char *id = backups_run_id(world);
        bool due = false;
        /* Unless it was complete, nothing after it can have begun: the data is as it was. */
        if (!context->decision || !id || !context->forward_done)
                return true;
        /* Where data was put in place on purpose, the undo of that has brought back what was there, untouched since. */
        if (run_state_step(context->run, "swap-data", NULL)) {
                js_set_str(context->observed, "data", "put back");
                return true;
        }
        const RestoreRequest request = backups_restore_request(world, id, NULL, world->run_text);
        if (!restore_is_due(context, &request, &due, err))
                return false;
        if (due)
                return put_data_back(context, &request, err);
        js_set_str(context->observed, "data", "as it was");
        return true;
}

const Step step_second_pass = {
        .name = "second-pass",
        .title = "Second backup pass",
        .phase = PHASE_QUIESCE,
        .flags = STEP_REDO_SAFE,
        .apply = second_pass_apply,
        .undo = second_pass_undo,
        .observe = second_pass_observe,
};
