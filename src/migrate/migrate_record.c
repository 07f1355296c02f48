/* What was done to the data: it lies beside it in the state directory, and travels with its backups. */
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "migrate/migrate_parts.h"
#include "platform/clock.h"

static const char file_name[] = "migrations.json";
enum { RECORD_FORMAT = 1 };

static bool format_ok(const json_t *record, const char *service, Err *err) {
        int64_t format = js_int(record, "format", RECORD_FORMAT);
        const json_t *done = js_get(record, "done");
        if (format > RECORD_FORMAT) {
                err_fail(err, ERR_REFUSED,
                        "the record of migrations of '%s' was written by a newer belay", service);
                return err_hint(err, "Use that newer belay.");
        }
        if (format < 1 || (done && !json_is_object(done)))
                return err_fail(
                        err, ERR_CORRUPT, "the record of migrations of '%s' is damaged", service);
        return true;
}

static void complete(json_t *record) {
        js_set_int(record, "format", RECORD_FORMAT);
        if (!js_get(record, "done"))
                js_set(record, "done", json_object());
}

json_t *migrate_record_load(const State *state, const char *service, Err *err) {
        scoped(js_freep) json_t *record = state_load(state, service, file_name, err);
        if (!record || !format_ok(record, service, err))
                return NULL;
        complete(record);
        return TAKE(record);
}

static void copy_hash(char to[65], const char *from) { snprintf(to, 65, "%s", from ? from : ""); }

void migrate_record_apply(const json_t *record, Migration *migration) {
        const json_t *entry = js_get(js_get(record, "done"), migration->id);
        bool once = migration->spec->run_once && migration->spec->kind != MIGRATION_MANUAL;
        migration->state = once ? MIGRATION_NEW : MIGRATION_EACH_TIME;
        if (!json_is_object(entry))
                return;
        int64_t run = js_int(entry, "run", 0);
        copy_hash(migration->recorded_sha256, js_str(entry, "sha256"));
        migration->recorded_ms = js_int(entry, "at", 0);
        migration->recorded_run = run > 0 && run <= UINT32_MAX ? (unsigned)run : 0;
        if (!once)
                return;
        bool comparable = migration->sha256[0] && migration->recorded_sha256[0];
        bool same = !comparable || strcmp(migration->sha256, migration->recorded_sha256) == 0;
        migration->state = same ? MIGRATION_RECORDED : MIGRATION_CHANGED;
}

bool migrate_record_add(
        const MigrateContext *context, const Migration *migration, int64_t took_ms, Err *err) {
        const char *service = context->service->name;
        scoped(js_freep) json_t *record = migrate_record_load(context->state, service, err);
        if (!record)
                return false;
        json_t *entry = json_object();
        js_set_str(entry, "sha256", migration->sha256);
        js_set_int(entry, "at", clock_wall_ms());
        js_set_int(entry, "run", context->run);
        js_set_int(entry, "took_ms", took_ms);
        js_set_bool(entry, "run_once", migration->state != MIGRATION_EACH_TIME);
        js_set(js_get(record, "done"), migration->id, entry);
        return state_save(context->state, service, file_name, record, err) ||
               err_context(err, "recording the migration '%s'", migration->title);
}

json_t *migrate_record_export(const State *state, const char *service, Err *err) {
        return migrate_record_load(state, service, err);
}

bool migrate_record_import(
        const State *state, const char *service, const json_t *record, Err *err) {
        scoped(js_freep) json_t *copy =
                json_is_object(record) ? json_deep_copy(record) : json_object();
        if (!copy)
                return err_fail(err, ERR_BUG, "copying the record of migrations");
        if (!format_ok(copy, service, err))
                return false;
        complete(copy);
        return state_save(state, service, file_name, copy, err) ||
               err_context(err, "putting back the record of migrations of '%s'", service);
}
