#include "update/backups.h"

#include <stdlib.h>
#include <string.h>

#include "backup/retention.h"
#include "base/limits.h"
#include "base/own.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/log_tail.h"
#include "update/runs.h"

enum { LOG_LINES = 500 };

const char *backups_run_id(const World *world) {
        const json_t *facts = world_facts(world, "backup");
        return facts ? js_str(facts, "backup") : NULL;
}

bool backups_plan(World *world, Err *err) {
        if (world->backup_planned)
                return true;
        const BackupRequest request = world_backup_request(world, NULL);
        world->backup_planned = backup_plan(&request, &world->backup_plan, err);
        return world->backup_planned;
}

void backups_forget_plan(World *world) {
        backup_plan_done(&world->backup_plan);
        world->backup_plan = (BackupPlan){0};
        world->backup_planned = false;
}

/* service.json: how it ran, for whoever restores by hand. */
static char *describe(const World *world, const Release *release) {
        const ProcessSpec *process = &world->service->process;
        scoped(js_freep) json_t *object = json_object();
        scoped(free_str) char *command = strv_join(process->command, " ");
        js_set_str(object, "service", world->service->name);
        js_set_str(object, "runtime", world->runtime->name);
        js_set_str(object, "command", command);
        js_set_str(object, "directory", process->directory);
        js_set_str(object, "user", process->user);
        js_set_int(object, "port", process->port);
        js_set(object, "version", release_to_json(release));
        return js_pretty(object);
}

static const char *keep_text(World *world, char *owned) {
        strv_push(&world->extra_texts, owned);
        return owned;
}

/* They live as long as the world does: an open backup borrows them. Returns how many. */
static size_t fill_extras(World *world, const Release *release) {
        const Service *service = world->service;
        const char *env_file = service->configuration.env_file;
        scoped(free_str) char *log_path = world->runtime->log_path(&world->runtime_at);
        strv_free(TAKE(world->extra_texts));
        world->extras[0] = (BackupExtra){
                .name = "belay.yaml",
                .text = keep_text(
                        world, str_copy_n(service->manifest_text, service->manifest_bytes)),
                .belongs = service->manifest_path,
        };
        world->extras[1] = (BackupExtra){
                .name = "service.json", .text = keep_text(world, describe(world, release))};
        world->extras[2] = (BackupExtra){
                .name = "logs.txt", .text = keep_text(world, log_tail(log_path, LOG_LINES))};
        world->extras[3] = (BackupExtra){.name = ".env", .path = env_file, .belongs = env_file};
        return env_file ? 4 : 3;
}

bool backups_begin(World *world, const char *id, const Release *release, const char *reason,
        Backup **ret, Err *err) {
        if (!backups_plan(world, err))
                return false;
        json_decref(world->extra_migrations);
        world->extra_migrations = migrate_record_export(world->state, world->service->name, err);
        if (!world->extra_migrations)
                return false;
        BackupRequest request = world_backup_request(world, id);
        request.version = release->version ? release->version : "unknown";
        request.reference = release->reference;
        request.reason = reason;
        request.migrations = world->extra_migrations;
        request.n_extras = fill_extras(world, release);
        request.extras = world->extras;
        return backup_begin(&request, &world->backup_plan, ret, err);
}

bool backups_reopen(World *world, Backup **ret, Err *err) {
        const char *id = backups_run_id(world);
        if (!id)
                return err_fail(err, ERR_BUG, "this run has taken no backup");
        const BackupRequest request = world_backup_request(world, id);
        return backup_reopen(&request, ret, err);
}

enum { RUNS_MAX = 10000 };

/* An undo that needs it may come yet, or a person who does by hand what the undo could not. */
static void keep_needed(const Run *run, Strv *keep) {
        const StepRecord *step = run_state_step(&run->state, "backup", NULL);
        const char *id = step ? js_str(step->facts, "backup") : NULL;
        if (id)
                strv_add(keep, id);
}

/* What a backup that nobody finished left: its process died. The newest run's own stays, whatever became of it,
 * and that of each run that ended with a person; a damaged journal does not say which that is. */
static bool clear_leftovers(const World *world, Err *err) {
        const char *service = world->service->name;
        scoped(strv_freep) Strv keep = NULL;
        Run *runs = NULL;
        size_t n = 0;
        if (!run_list(world->state, service, RUNS_MAX, &runs, &n, err))
                return false;
        bool damaged = false;
        for (size_t i = 0; i < n; i++) {
                damaged |= runs[i].damaged;
                if (!runs[i].damaged && (i == 0 || runs[i].state.end == RUN_NEEDS_PERSON))
                        keep_needed(&runs[i], &keep);
        }
        run_list_free(runs, n);
        if (backups_run_id(world))
                strv_add(&keep, backups_run_id(world));
        /* Whether other stores can be written is for the copy to say. */
        for (size_t i = 1; !damaged && world->service->backup.local_stores[i]; i++)
                (void)backup_discard_leftovers(
                        world->service->backup.local_stores[i], service, keep, NULL);
        return damaged || backup_discard_leftovers(world_store(world), service, keep, err);
}

bool backups_publish_for_person(World *world, Err *err) {
        const char *id = backups_run_id(world), *service = world->service->name;
        scoped(published_done) Published published = {0};
        BackupStage stage = BACKUP_ABSENT;
        if (!id)
                return true;
        if (!backup_stage(world_store(world), service, id, &stage, err))
                return false;
        if (stage != BACKUP_PASS2)
                return true;
        if (!world->backup && !backups_reopen(world, &world->backup, err))
                return false;
        return backup_merge_publish(world->backup, &published, err);
}

bool backups_take(
        World *world, const Release *release, const char *reason, Published *ret, Err *err) {
        char id[33];
        backup_new_id(id);
        backup_freep(&world->backup);
        world->backup = NULL;
        backups_forget_plan(world);
        scoped(backup_freep) Backup *backup = NULL;
        scoped(pass_stats_done) PassStats stats = {0};
        if (clear_leftovers(world, err) &&
                backups_begin(world, id, release, reason, &backup, err) &&
                backup_first_pass(backup, err) && backup_prove(backup, 2, err) &&
                backup_second_pass(backup, &stats, err) && backup_merge_publish(backup, ret, err))
                return true;
        backup_freep(&backup);
        backup = NULL;
        (void)backup_discard(world_store(world), world->service->name, id, NULL);
        return err_context(err, "backing up %s", world->service->name);
}

bool backups_copy(const World *world, const char *id, Err *err) {
        char *const *stores = world->service->backup.local_stores;
        bool good = true;
        for (size_t i = 1; stores[i]; i++) {
                scoped(err_clear) Err why = {0};
                if (backup_copy(stores[0], world->service->name, id, stores[i], &why))
                        continue;
                if (good)
                        err_move(err, &why);
                good = false;
        }
        return good;
}

RestoreRequest backups_restore_request(
        const World *world, const char *id, const char *only, const char *mark) {
        return (RestoreRequest){
                .store = world_store(world),
                .service = world->service->name,
                .backup = id,
                .only = only,
                .mark = mark,
                .run = world->run,
                .version = world->to.version,
                .note_dir = world->undo_dir,
        };
}

static const char *const MIGRATIONS_FILE = "migrations.json";

bool backups_save_migrations(const World *world, Err *err) {
        scoped(js_freep) json_t *record =
                migrate_record_export(world->state, world->service->name, err);
        if (!record)
                return false;
        scoped(free_str) char *text = js_line(record);
        scoped(free_str) char *path = world_undo_file(world, MIGRATIONS_FILE);
        return file_write_durable(path, text, strlen(text), 0600, err);
}

bool backups_put_back_migrations(const World *world, Err *err) {
        scoped(free_str) char *path = world_undo_file(world, MIGRATIONS_FILE);
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!file_read(path, LIMIT_STATE_FILE, &text, &bytes, err))
                return false;
        scoped(js_freep) json_t *record = js_parse(text, bytes, path, err);
        return record && migrate_record_import(world->state, world->service->name, record, err);
}

bool backups_import_migrations(const World *world, const char *id, Err *err) {
        const char *service = world->service->name;
        scoped(backup_info_done) BackupInfo info = {0};
        if (!backup_find(world_store(world), service, id, &info, err))
                return false;
        return migrate_record_import(
                world->state, service, js_get(info.manifest, "migrations"), err);
}

bool backups_prune(const World *world, bool dry_run, Strv *ret_names, Err *err) {
        const Service *service = world->service;
        scoped(installed_done) Installed installed = {0};
        if (!installed_load(world->state, service->name, &installed, err))
                return false;
        scoped(strv_freep) Strv pinned = NULL;
        if (installed.previous_backup)
                strv_add(&pinned, installed.previous_backup);
        if (backups_run_id(world))
                strv_add(&pinned, backups_run_id(world));
        /* What this run has replaced, and says that it keeps: however far the clock was set meanwhile. */
        if (world->run) {
                strv_addf(&pinned, "salvage-%s", world->run_text);
                strv_addf(&pinned, "salvage-%s-data", world->run_text);
        }
        const RetentionPolicy policy = {
                .last = service->backup.keep_last,
                .days = service->backup.keep_days,
                .running_version = installed.current.version,
                .rollback_version = installed.previous.version,
                .pinned = pinned,
                .now_ms = clock_wall_ms(),
        };
        for (size_t i = 0; service->backup.local_stores[i]; i++)
                if (!retention_run(service->backup.local_stores[i], service->name, &policy, dry_run,
                            ret_names, err))
                        return false;
        return true;
}
