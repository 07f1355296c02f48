#include "migrate/migrate.h"

#include <ctype.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "migrate/migrate_parts.h"
#include "model/redact.h"
#include "platform/clock.h"
#include "platform/file.h"

const char *migration_state_name(MigrationState state) {
        static const char *const names[] = {
                [MIGRATION_NEW] = "pending",
                [MIGRATION_EACH_TIME] = "each time",
                [MIGRATION_RECORDED] = "done",
                [MIGRATION_CHANGED] = "changed",
        };
        return names[state];
}

const char *migration_kind_name(MigrationKind kind) {
        static const char *const names[] = {
                [MIGRATION_SQL] = "sql",
                [MIGRATION_SCRIPTS] = "scripts",
                [MIGRATION_MANUAL] = "manual",
        };
        return names[kind];
}

bool migration_pending(const Migration *migration) {
        return migration->state == MIGRATION_NEW || migration->state == MIGRATION_EACH_TIME;
}

int64_t migration_list_limit_ms(const MigrationList *list) {
        int64_t limit = 0;
        for (size_t i = 0; i < list->n; i++) {
                const MigrationSpec *spec = list->items[i].spec;
                if (migration_pending(&list->items[i]) && spec->kind != MIGRATION_MANUAL)
                        limit += spec->timeout_ms > 0 ? spec->timeout_ms : MIGRATE_TIMEOUT_MS;
        }
        return limit;
}

static bool refuse_changed(const Migration *migration, Err *err) {
        err_fail(err, ERR_REFUSED,
                "the migration '%s' is not the one that was run: it was changed since",
                migration->path ? migration->path : migration->title);
        return err_hint(err, "Put its old text back and write the change as a new migration.");
}

bool migrate_refuse_changed(const MigrationList *list, Err *err) {
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].state == MIGRATION_CHANGED)
                        return refuse_changed(&list->items[i], err);
        return true;
}

void migrate_result_done(MigrateResult *result) {
        free(result->output_path);
        free(result->summary);
        *result = (MigrateResult){0};
}

/* "sql:migrations/003 tags.sql" → "migrate-sql-migrations-003-tags.sql.log". */
char *migrate_output_name(const char *id) {
        scoped(free_str) char *name = str_copy(id);
        for (char *c = name; *c; c++)
                if (!isalnum((unsigned char)*c) && *c != '.' && *c != '_')
                        *c = '-';
        size_t n = strlen(name);
        return str_format("migrate-%s.log", n > 150 ? name + n - 150 : name);
}

bool migrate_keep_output(const MigrateContext *context, const Migration *migration,
        const char *text, char **ret_path, Err *err) {
        *ret_path = NULL;
        if (!context->output_dir)
                return true;
        scoped(free_str) char *name = migrate_output_name(migration->id);
        scoped(free_str) char *path = path_join(context->output_dir, name);
        scoped(free_str) char *safe = redact(text, context->secrets);
        if (!file_write_durable(path, safe, strlen(safe), 0600, err))
                return err_context(err, "keeping the output of '%s'", migration->title);
        *ret_path = TAKE(name);
        return true;
}

static bool run_manual(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err) {
        if (context->confirmed) {
                ret->summary = str_copy("confirmed by a person");
                return true;
        }
        err_fail(err, ERR_INCONCLUSIVE, "a person has to do this: %s", migration->title);
        return err_hint(err, "When it is done, say so with `belay accept`.");
}

/* Between the list and now somebody may have changed the file. */
static bool still_the_same(const MigrateContext *context, const Migration *migration, Err *err) {
        char now[65];
        if (!migration->path)
                return true;
        scoped(free_str) char *full = path_join(context->service->directory, migration->path);
        if (!file_sha256(full, now, err))
                return false;
        if (!migration->sha256[0] || strcmp(now, migration->sha256) == 0)
                return true;
        return err_fail(
                err, ERR_DRIFT, "'%s' was changed while it was about to run", migration->path);
}

static bool run_kind(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err) {
        switch (migration->spec->kind) {
        case MIGRATION_SQL:
                return migrate_run_sql(context, migration, ret, err);
        case MIGRATION_SCRIPTS:
                return migrate_run_script(context, migration, ret, err);
        case MIGRATION_MANUAL:
                return run_manual(context, migration, ret, err);
        }
        return err_fail(err, ERR_BUG, "a migration of no kind");
}

bool migrate_run(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err) {
        int64_t began = clock_now_ms();
        if (migration->state == MIGRATION_CHANGED)
                return refuse_changed(migration, err);
        if (!still_the_same(context, migration, err) || !run_kind(context, migration, ret, err))
                return err_context(err, "migration '%s'", migration->title);
        ret->took_ms = clock_now_ms() - began;
        return migrate_record_add(context, migration, ret->took_ms, err);
}
