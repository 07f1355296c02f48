/* backup create, list, show, verify, restore, prune. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/table.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/plan.h"

/* --store DIR: read another store than the manifest's first one. */
static bool open_for_backup(App *app, bool look, World *ret, Err *err) {
        if (!open_world(app, look, ret, err))
                return false;
        const char *store = app->opt[OPT_STORE];
        if (!store)
                return true;
        Strv *stores = &ret->service->backup.local_stores;
        scoped(free_str) char *real = file_real(store);
        for (size_t i = 0; *stores && (*stores)[i]; i++)
                if (str_equal((*stores)[i], store) || str_equal((*stores)[i], real)) {
                        Strv only = NULL;
                        strv_add(&only, (*stores)[i]);
                        strv_free(*stores);
                        *stores = only;
                        return true;
                }
        err_fail(err, ERR_UNKNOWN, "'%s' is no store of %s", store, ret->service->name);
        scoped(free_str) char *known = strv_join(*stores, ", ");
        return err_hint(err, "Its stores are: %s.", known);
}

int verb_backup_create(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(release_service) Held held = HELD_NONE;
        scoped(published_done) Published published = {0};
        if (!open_for_backup(app, true, &world, &err) ||
                !hold_service(app, &world, "backup", &held, &err) ||
                !backups_take(&world, &world.from, "manual", &published, &err))
                return app_fail(app, &err);
        if (!backups_copy(&world, published.id, &err)) {
                err_hint(&err, "It is whole in '%s'.", published.dir);
                return app_fail(app, &err);
        }
        scoped(free_str) char *size = bytes_text(published.bytes);
        json_t *object = json_object();
        js_set_str(object, "id", published.id);
        js_set_str(object, "name", published.name);
        js_set_str(object, "dir", published.dir);
        js_set_int(object, "bytes", (int64_t)published.bytes);
        js_set_int(object, "level", published.level);
        app_print_json(app, object);
        if (!app->json)
                printf("backup %s of %s %s: %s, proven\n  %s\n", published.name,
                        world.service->name, world.from.version, size, published.dir);
        return 0;
}

static json_t *info_json(const BackupInfo *info) {
        json_t *object = json_object();
        js_set_str(object, "id", info->id);
        js_set_str(object, "name", info->name);
        js_set_str(object, "dir", info->dir);
        js_set_str(object, "version", info->version);
        js_set_str(object, "reference", info->reference);
        js_set_str(object, "reason", info->reason);
        js_set_int(object, "run", info->run);
        js_set_int(object, "taken", info->taken_ms);
        js_set_int(object, "bytes", (int64_t)info->bytes);
        js_set_int(object, "files", (int64_t)info->files);
        js_set_int(object, "level", info->level);
        js_set_bool(object, "salvage", info->salvage);
        js_set_bool(object, "damaged", info->damaged);
        js_set_str(object, "why", info->why);
        return object;
}

static void add_row(Table *table, const BackupInfo *info) {
        table_add(table, info->name);
        table_add(table, info->version ? info->version : "?");
        table_add_owned(
                table, info->taken_ms ? ago_text(info->taken_ms, clock_wall_ms()) : str_copy("–"));
        /* Salvage lies where the data is, not in the store. */
        table_add_owned(table, info->salvage ? str_copy("–") : bytes_text(info->bytes));
        table_add(table, info->damaged      ? "damaged"
                         : info->salvage    ? "salvage"
                         : info->level >= 2 ? "proven"
                                            : "read back");
        table_add(table, info->damaged ? info->why : info->reason);
}

int verb_backup_list(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(backup_list_done) BackupList list = {0};
        if (!open_for_backup(app, false, &world, &err) ||
                !backup_list(world_store(&world), world.service->name, &list, &err))
                return app_fail(app, &err);
        static const char *const heads[] = {
                "BACKUP", "VERSION", "TAKEN", "SIZE", "STATE", "REASON"};
        scoped(table_done) Table table = {.columns = COUNT_OF(heads)};
        for (size_t i = 0; i < COUNT_OF(heads); i++)
                table_add(&table, heads[i]);
        json_t *array = json_array();
        for (size_t i = 0; i < list.n; i++) {
                add_row(&table, &list.items[i]);
                json_array_append_new(array, info_json(&list.items[i]));
        }
        app_print_json(app, array);
        if (!app->json && list.n)
                table_print(&table, stdout);
        else if (!app->json)
                printf("%s has no backups yet: belay backup create %s\n", world.service->name,
                        world.service->name);
        return 0;
}

static bool find(App *app, World *world, BackupInfo *ret, Err *err) {
        return open_for_backup(app, false, world, err) &&
               backup_find(world_store(world), world->service->name, operand(app, 1), ret, err);
}

int verb_backup_show(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(backup_info_done) BackupInfo info = {0};
        if (!find(app, &world, &info, &err))
                return app_fail(app, &err);
        if (app->json) {
                json_t *object = info_json(&info);
                if (info.manifest)
                        js_set(object, "manifest", json_incref(info.manifest));
                app_print_json(app, object);
                return 0;
        }
        scoped(free_str) char *when = time_text(info.taken_ms);
        scoped(free_str) char *size = bytes_text(info.bytes);
        printf("%s%s\n  of       %s %s, commit %.12s\n  taken    %s, reason: %s\n  size     %s\n  "
               "lies in  %s\n",
                info.name, info.damaged ? "  DAMAGED" : "", world.service->name,
                info.version ? info.version : "?", info.reference ? info.reference : "?", when,
                info.reason ? info.reason : "?", size, info.dir);
        if (info.why)
                printf("  %s\n", info.why);
        size_t i;
        json_t *object;
        json_array_foreach(js_get(info.manifest, "objects"), i, object) {
                const char *name = js_str(object, "name");
                scoped(free_str) char *bytes = bytes_text((uint64_t)js_int(object, "bytes", 0));
                if (name)
                        printf("  object   %s  %s\n", name, bytes);
        }
        json_array_foreach(js_get(info.manifest, "places"), i, object) {
                const char *path = js_str(object, "where");
                if (path)
                        printf("  kept     %s\n", path);
        }
        if (!info.salvage)
                printf("  By hand: see %s/BACKUP_INFO.txt\n", info.dir);
        return 0;
}

static bool read_level(App *app, int *ret, Err *err) {
        uint64_t level = 2;
        const char *text = app->opt[OPT_LEVEL];
        if (text && (!str_to_uint(text, 2, &level) || level == 0))
                return err_fail(err, ERR_USAGE,
                        "--level takes 1 (every byte) or 2 (also archives and databases), not "
                        "'%.20s'",
                        text);
        *ret = (int)level;
        return true;
}

int verb_backup_verify(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(backup_info_done) BackupInfo info = {0};
        int level = 2;
        if (!read_level(app, &level, &err) || !find(app, &world, &info, &err))
                return app_fail(app, &err);
        if (info.damaged)
                err_fail(&err, ERR_CORRUPT, "backup %s is damaged: %s", info.name, info.why);
        if (info.damaged || !backup_verify(info.dir, level, NULL, &err))
                return app_fail(app, &err);
        json_t *object = info_json(&info);
        js_set_int(object, "verified", level);
        app_print_json(app, object);
        if (!app->json)
                printf("backup %s is whole (level %d)\n", info.name, level);
        return 0;
}

/* -- restore -- */

static int restore_beside(App *app, const World *world, const BackupInfo *info) {
        scoped(err_clear) Err err = {0};
        const char *dir = app->opt[OPT_TO];
        RestoreRequest request = backups_restore_request(
                world, info->salvage ? info->name : info->id, app->opt[OPT_ONLY], "to");
        scoped(free_str) char *real = file_real(dir);
        if (!file_name_check(dir, ERR_USAGE, &err))
                return app_fail(app, &err);
        if (!real || !restore_to(&request, real, &err)) {
                if (!real)
                        err_fail(&err, ERR_USAGE,
                                "--to: '%s' cannot be a directory: its parent is not there", dir);
                return app_fail(app, &err);
        }
        json_t *object = info_json(info);
        js_set_str(object, "to", real);
        app_print_json(app, object);
        if (!app->json)
                printf("%s of backup %s lies in %s\n",
                        app->opt[OPT_ONLY] ? app->opt[OPT_ONLY] : "everything", info->name, real);
        return 0;
}

static int show_loss(App *app, const World *world, const BackupInfo *info) {
        scoped(err_clear) Err err = {0};
        scoped(backup_loss_done) BackupLoss loss = {0};
        if (!backup_loss(world_store(world), world->service->name, info->id, &loss, &err))
                return app_fail(app, &err);
        json_t *object = info_json(info), *lines = json_array();
        for (size_t i = 0; loss.lines && loss.lines[i]; i++)
                json_array_append_new(lines, json_string(loss.lines[i]));
        js_set(object, "would_lose", lines);
        js_set_bool(object, "changed", loss.changed);
        app_print_json(app, object);
        if (app->json)
                return 0;
        printf("backup %s of %s; now against then:\n", info->name,
                info->version ? info->version : "?");
        for (size_t i = 0; loss.lines && loss.lines[i]; i++)
                printf("  %s\n", loss.lines[i]);
        if (!loss.changed)
                puts("  nothing differs");
        return 0;
}

static bool ask_restore(
        App *app, const World *world, const BackupInfo *info, bool *ret_yes, Err *err) {
        scoped(backup_loss_done) BackupLoss loss = {0};
        *ret_yes = true;
        if (app->yes)
                return true;
        if (!info->salvage &&
                backup_loss(world_store(world), world->service->name, info->id, &loss, NULL))
                for (size_t i = 0; loss.lines && loss.lines[i]; i++)
                        fprintf(stderr, "  %s\n", loss.lines[i]);
        scoped(free_str) char *question = str_format(
                "Stop %s for a moment and put the data of %s in place? What is there now "
                "is kept as salvage.",
                world->service->name, info->name);
        return app_ask(app, question, ret_yes, err);
}

/* A run reads the first store: what --store names is brought there. */
static bool bring_to_first(App *app, const World *world, const BackupInfo *info, Err *err) {
        scoped(service_freep) Service *whole = NULL;
        if (!app->opt[OPT_STORE] || info->salvage)
                return true;
        if (!find_service(app, operand(app, 0), &whole, err))
                return false;
        const char *first = whole->backup.local_stores ? whole->backup.local_stores[0] : NULL;
        return !first || str_equal(first, world_store(world)) ||
               backup_copy(world_store(world), world->service->name, info->id, first, err);
}

int verb_backup_restore(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(backup_info_done) BackupInfo info = {0};
        bool yes = false;
        if (!find(app, &world, &info, &err))
                return app_fail(app, &err);
        if (app->opt[OPT_TO])
                return restore_beside(app, &world, &info);
        if (app->opt[OPT_DRY_RUN] && !info.salvage)
                return show_loss(app, &world, &info);
        if (app->opt[OPT_DRY_RUN])
                return app_usage(app, "--dry-run compares with a backup; %s is salvage", info.name);
        if (!ask_restore(app, &world, &info, &yes, &err))
                return app_fail(app, &err);
        if (!yes)
                return 0;
        if (!bring_to_first(app, &world, &info, &err))
                return app_fail(app, &err);
        const Options options = {.allow_downgrade = app->opt[OPT_ALLOW_DOWNGRADE] != NULL};
        json_t *request = json_object();
        js_set_str(request, "do", "restore");
        js_set_str(request, "manifest", world.service->manifest_path);
        js_set_str(request, "backup", info.salvage ? info.name : info.id);
        js_set_str(request, "only", app->opt[OPT_ONLY]);
        js_set(request, "options", options_to_json(&options));
        return begin_run(app, request);
}

/* -- prune -- */

int verb_backup_prune(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(release_service) Held held = HELD_NONE;
        scoped(strv_freep) Strv names = NULL;
        bool dry = app->opt[OPT_DRY_RUN] != NULL;
        if (!open_for_backup(app, false, &world, &err) ||
                !hold_service(app, &world, "prune", &held, &err) ||
                !backups_prune(&world, dry, &names, &err))
                return app_fail(app, &err);
        json_t *object = json_object(), *removed = json_array();
        for (size_t i = 0; names && names[i]; i++)
                json_array_append_new(removed, json_string(names[i]));
        js_set(object, dry ? "would_remove" : "removed", removed);
        app_print_json(app, object);
        for (size_t i = 0; !app->json && names && names[i]; i++)
                printf("%s %s\n", dry ? "would remove" : "removed", names[i]);
        if (!app->json && !names)
                puts("nothing to remove");
        return 0;
}
