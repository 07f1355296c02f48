/* Migrate: what the release needs done to the data, in order, its output recorded. */
#include <stdlib.h>

#include "base/own.h"
#include "update/steps.h"

static const Migration *find(const MigrationList *list, const char *id) {
        for (size_t i = 0; i < list->n; i++)
                if (str_equal(list->items[i].id, id))
                        return &list->items[i];
        return NULL;
}

static bool run_one(const World *world, const Looking *looking, StepContext *context, Err *err) {
        scoped(free_str) char *output = world_output_dir(world);
        scoped(strv_freep) Strv extra = NULL;
        strv_addf(&extra, "BELAY_VERSION=%s", world->to.version);
        strv_addf(&extra, "BELAY_PREVIOUS_VERSION=%s",
                world->from.version ? world->from.version : "");
        MigrateContext migrate = looking_migrate(world, looking);
        migrate.output_dir = output;
        migrate.extra = extra;
        scoped(migration_list_done) MigrationList list = {0};
        if (!migrate_list(&migrate, NULL, &list, err))
                return false;
        const Migration *migration = find(&list, context->instance);
        if (!migration)
                return err_fail(err, ERR_DRIFT,
                        "the migration '%s' is not in the new version's tree any more",
                        context->instance);
        scoped(migrate_result_done) MigrateResult result = {0};
        if (!migrate_run(&migrate, migration, &result, err))
                return false;
        js_set_str(context->observed, "summary", result.summary);
        js_set_str(context->observed, "output", result.output_path);
        return true;
}

static bool migrate_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(looking_done) Looking looking = {0};
        return looking_open(world, &world->to, &looking, err) &&
               run_one(world, &looking, context, err);
}

const Step step_migrate = {
        .name = "migrate",
        .title = "Migrate",
        .phase = PHASE_MIGRATE,
        .flags = STEP_RESTORES,
        .apply = migrate_apply,
};

/* `when: after-start`: the new version serves already while it is done. */
const Step step_migrate_after = {
        .name = "migrate-after",
        .title = "Migrate, after the start",
        .phase = PHASE_START,
        .flags = STEP_RESTORES,
        .apply = migrate_apply,
};
