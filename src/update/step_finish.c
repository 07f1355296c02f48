/* Merge, and finish: nothing here can endanger what runs. */
#include <stdlib.h>

#include "base/own.h"
#include "config/config.h"
#include "update/backups.h"
#include "update/known.h"
#include "update/steps.h"

static bool publish(World *world, StepContext *context, Err *err) {
        scoped(published_done) Published published = {0};
        if (!backups_run_id(world))
                return true;
        if (!world->backup && !backups_reopen(world, &world->backup, err))
                return false;
        if (!backup_merge_publish(world->backup, &published, err))
                return false;
        js_set_str(context->observed, "backup", published.name);
        js_set_int(context->observed, "bytes", (int64_t)published.bytes);
        return true;
}

/* -- merge: both passes become one proven backup, outside the gap. That it fails is no reason to go back:
 *    `publish` tries again after COMMIT and says what is left (exit 9). -- */

static bool merge_apply(StepContext *context, Err *err) {
        (void)err;
        scoped(err_clear) Err why = {0};
        if (!publish(context->world, context, &why))
                js_set_str(context->observed, "warning", why.message);
        return true;
}

const Step step_merge = {
        .name = "merge",
        .title = "Complete and prove the backup",
        .phase = PHASE_MONITOR,
        .flags = STEP_REDO_SAFE,
        .apply = merge_apply,
};

static bool publish_apply(StepContext *context, Err *err) {
        World *world = context->world;
        const char *id = backups_run_id(world);
        return publish(world, context, err) && (!id || backups_copy(world, id, err));
}

const Step step_publish = {
        .name = "publish",
        .title = "Keep the backup of the old version",
        .phase = PHASE_FINISH,
        .flags = STEP_REDO_SAFE,
        .apply = publish_apply,
};

/* After a rollback the backup is still worth having; that it cannot be kept changes nothing else. One without its
 * second pass is of no moment at all: nothing was touched after it, and it goes. */
static bool publish_old_apply(StepContext *context, Err *err) {
        (void)err;
        World *world = context->world;
        const char *id = backups_run_id(world), *service = world->service->name;
        BackupStage stage = BACKUP_ABSENT;
        scoped(err_clear) Err why = {0};
        if (!id || !backup_stage(world_store(world), service, id, &stage, NULL) ||
                stage >= BACKUP_PASS2) {
                if (!publish(world, context, &why) || (id && !backups_copy(world, id, &why)))
                        js_set_str(context->observed, "warning", why.message);
                return true;
        }
        backup_freep(&world->backup);
        world->backup = NULL;
        if (!backup_discard(world_store(world), service, id, &why))
                js_set_str(context->observed, "warning", why.message);
        return true;
}

const Step step_publish_old = {
        .name = "publish-old",
        .title = "Keep the backup",
        .phase = PHASE_ROLLBACK,
        .flags = STEP_AFTER_UNDO | STEP_REDO_SAFE,
        .apply = publish_old_apply,
};

/* -- record: good is marked last -- */

static bool was_done(const RunState *run, const char *id) {
        const StepRecord *before = run_state_step(run, "migrate", id),
                         *after = run_state_step(run, "migrate-after", id);
        return (before && before->forward == STEP_DONE) || (after && after->forward == STEP_DONE);
}

/* What a person did and confirmed with `belay accept` was never run here, and is recorded here. */
static bool record_manual(const World *world, Err *err) {
        scoped(looking_done) Looking looking = {0};
        scoped(migration_list_done) MigrationList list = {0};
        if (!world->service->n_migrations)
                return true;
        if (!looking_open(world, &world->to, &looking, err))
                return false;
        const MigrateContext context = looking_migrate(world, &looking);
        if (!migrate_list(&context, NULL, &list, err))
                return false;
        for (size_t i = 0; i < list.n; i++) {
                const Migration *migration = &list.items[i];
                if (migration->spec->kind == MIGRATION_MANUAL &&
                        migration->recorded_run != world->run &&
                        was_done(world->run_state, migration->id) &&
                        !migrate_record_add(&context, migration, 0, err))
                        return false;
        }
        return true;
}

/* What `belay rollback` would go to. Borrowed: from the world, or from what was known before. */
static void set_previous(
        const World *world, const Installed *before, char *backup, Installed *ret) {
        /* Gone back: the version that was left is no place to go back to. */
        if (str_equal(js_str(world->run_state->plan, "kind"), "rollback"))
                return;
        bool reinstalled = str_equal(world->from.reference, world->to.reference);
        ret->previous = reinstalled ? before->previous : world->from;
        ret->previous_backup = reinstalled ? before->previous_backup : backup;
}

static bool record_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        const char *service = world->service->name;
        (void)context;
        scoped(installed_done) Installed before = {0};
        if (!installed_load(world->state, service, &before, err))
                return false;
        scoped(free_str) char *backup = str_copy(backups_run_id(world));
        Installed installed = {.current = world->to, .run = world->run};
        set_previous(world, &before, backup, &installed);
        return bad_forget(world->state, service, world->to.reference, err) &&
               installed_save(world->state, service, &installed, err) && record_manual(world, err);
}

const Step step_record = {
        .name = "record",
        .title = "Record the new version",
        .phase = PHASE_FINISH,
        .flags = STEP_REDO_SAFE,
        .apply = record_apply,
};

/* -- backup-after: as of the new version -- */

static bool backup_after_apply(StepContext *context, Err *err) {
        World *world = context->world;
        scoped(published_done) Published published = {0};
        if (!backups_take(world, &world->to, "finish", &published, err))
                return false;
        js_set_str(context->observed, "backup", published.name);
        js_set_int(context->observed, "bytes", (int64_t)published.bytes);
        return backups_copy(world, published.id, err);
}

const Step step_backup_after = {
        .name = "backup-after",
        .title = "Back up again, at the new version",
        .phase = PHASE_FINISH,
        .flags = STEP_REDO_SAFE,
        .apply = backup_after_apply,
};

/* -- prune -- */

static bool prune_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(strv_freep) Strv names = NULL;
        if (!backups_prune(world, false, &names, err))
                return false;
        js_set_int(context->observed, "removed", (int64_t)strv_count(names));
        return true;
}

const Step step_prune = {
        .name = "prune",
        .title = "Remove backups that are no longer kept",
        .phase = PHASE_FINISH,
        .flags = STEP_REDO_SAFE,
        .apply = prune_apply,
};

/* -- tidy: what only the run itself needed -- */

static void keep_reference(const char **keep, size_t *n, const char *reference) {
        if (reference)
                keep[(*n)++] = reference;
}

/* What `belay rollback` would go back to stays here, too: that must not need the remote. */
bool clean_source(const World *world, bool with_target, Err *err) {
        scoped(installed_done) Installed installed = {0};
        const char *keep[3];
        size_t n = 0;
        /* Without knowing what that is nothing is removed; a way back does not stop for it. */
        if (!installed_load(world->state, world->service->name, &installed, NULL))
                return true;
        keep_reference(keep, &n, world->from.reference);
        keep_reference(keep, &n, with_target ? world->to.reference : NULL);
        keep_reference(keep, &n, installed.previous.reference);
        return world->source->cleanup(&world->source_at, keep, n, err);
}

static bool tidy_files(const World *world, Err *err) {
        return backup_unreserve(world->service, world->run_text, err) &&
               clean_source(world, true, err);
}

static bool tidy_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        json_t *config = world_facts(world, "config");
        return tidy_files(world, err) &&
               (!config || config_cleanup(world->state, world->service->name, config, err));
}

const Step step_tidy = {
        .name = "tidy",
        .title = "Remove what is no longer needed",
        .phase = PHASE_FINISH,
        .flags = STEP_REDO_SAFE,
        .apply = tidy_apply,
};

static bool tidy_old_apply(StepContext *context, Err *err) {
        scoped(err_clear) Err why = {0};
        (void)err;
        /* The old version runs, verified: something left lying about does not change that. */
        if (!tidy_files(context->world, &why) ||
                !remember_bad_again(context->world, context->run, &why))
                js_set_str(context->observed, "warning", why.message);
        return true;
}

const Step step_tidy_old = {
        .name = "tidy-old",
        .title = "Remove what is no longer needed",
        .phase = PHASE_ROLLBACK,
        .flags = STEP_AFTER_UNDO | STEP_REDO_SAFE,
        .apply = tidy_old_apply,
};
