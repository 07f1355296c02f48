/* migrate status, migrate run. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/table.h"
#include "migrate/migrate.h"
#include "platform/clock.h"
#include "update/backups.h"

static json_t *migration_json(const Migration *migration) {
        json_t *object = json_object();
        js_set_str(object, "id", migration->id);
        js_set_str(object, "title", migration->title);
        js_set_str(object, "kind", migration_kind_name(migration->spec->kind));
        js_set_str(object, "state", migration_state_name(migration->state));
        if (migration->recorded_ms)
                js_set_int(object, "done", migration->recorded_ms);
        if (migration->recorded_run)
                js_set_int(object, "run", migration->recorded_run);
        return object;
}

int verb_migrate_status(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(looking_done) Looking looking = {0};
        scoped(migration_list_done) MigrationList list = {0};
        if (!open_world(app, true, &world, &err) ||
                !looking_open(&world, &world.from, &looking, &err))
                return app_fail(app, &err);
        const MigrateContext context = looking_migrate(&world, &looking);
        if (!migrate_list(&context, NULL, &list, &err))
                return app_fail(app, &err);
        scoped(table_done) Table table = {.columns = 4};
        static const char *const heads[] = {"MIGRATION", "KIND", "STATE", "DONE"};
        for (size_t i = 0; i < COUNT_OF(heads); i++)
                table_add(&table, heads[i]);
        json_t *array = json_array();
        for (size_t i = 0; i < list.n; i++) {
                const Migration *migration = &list.items[i];
                table_add(&table, migration->title);
                table_add(&table, migration_kind_name(migration->spec->kind));
                table_add(&table, migration_state_name(migration->state));
                table_add_owned(&table, migration->recorded_ms
                                                ? ago_text(migration->recorded_ms, clock_wall_ms())
                                                : str_copy("–"));
                json_array_append_new(array, migration_json(migration));
        }
        app_print_json(app, array);
        if (!app->json && list.n)
                table_print(&table, stdout);
        else if (!app->json)
                printf("%s has no migrations\n", world.service->name);
        for (size_t i = 0; list.warnings && list.warnings[i]; i++)
                fprintf(stderr, "belay: warning: %s\n", list.warnings[i]);
        return 0;
}

static bool run_all(App *app, const MigrateContext *context, const MigrationList *list,
        json_t *done, Err *err) {
        for (size_t i = 0; i < list->n; i++) {
                scoped(migrate_result_done) MigrateResult result = {0};
                if (!migration_pending(&list->items[i]))
                        continue;
                if (!migrate_run(context, &list->items[i], &result, err))
                        return err_context(err, "%s", list->items[i].title);
                json_array_append_new(done, json_string(list->items[i].id));
                if (!app->json)
                        printf("%s: %s\n", list->items[i].title,
                                result.summary ? result.summary : "done");
        }
        return true;
}

static size_t count_pending(const MigrationList *list) {
        size_t pending = 0;
        for (size_t i = 0; i < list->n; i++)
                pending += migration_pending(&list->items[i]);
        return pending;
}

static int say_nothing_pending(App *app) {
        json_t *nothing = json_object();
        js_set_str(nothing, "nothing_to_do", "no migration is pending");
        app_print_json(app, nothing);
        if (!app->json)
                puts("no migration is pending");
        return 0;
}

/* By hand, outside of a run: with a proven backup first, since there is no run to undo it. */
static int back_up_and_run(
        App *app, World *world, const MigrateContext *context, const MigrationList *list) {
        scoped(err_clear) Err err = {0};
        scoped(published_done) Published backup = {0};
        json_t *object = json_object(), *done = json_array();
        js_set(object, "done", done);
        bool good = backups_take(world, &world->from, "migrate", &backup, &err) &&
                    run_all(app, context, list, done, &err);
        js_set_str(object, "backup", backup.name);
        if (good) {
                app_print_json(app, object);
                return 0;
        }
        json_decref(object);
        if (backup.name)
                err_hint(&err, "The data of before is in backup %s: belay backup restore %s %s",
                        backup.name, world->service->name, backup.name);
        return app_fail(app, &err);
}

int verb_migrate_run(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(release_service) Held held = HELD_NONE;
        scoped(looking_done) Looking looking = {0};
        scoped(migration_list_done) MigrationList list = {0};
        bool yes = false;
        if (!open_world(app, true, &world, &err) ||
                !hold_service(app, &world, "migrations", &held, &err) ||
                !looking_open(&world, &world.from, &looking, &err))
                return app_fail(app, &err);
        const MigrateContext context = looking_migrate(&world, &looking);
        if (!migrate_list(&context, NULL, &list, &err) || !migrate_refuse_changed(&list, &err))
                return app_fail(app, &err);
        size_t pending = count_pending(&list);
        if (pending == 0)
                return say_nothing_pending(app);
        scoped(free_str) char *question =
                str_format("Back up %s, then run %zu migration%s while it runs?",
                        world.service->name, pending, pending == 1 ? "" : "s");
        if (!app_ask(app, question, &yes, &err))
                return app_fail(app, &err);
        return yes ? back_up_and_run(app, &world, &context, &list) : 0;
}
