/*
 * What the parts of the room share. Not for other rooms.
 */
#ifndef BELAY_MIGRATE_PARTS_H
#define BELAY_MIGRATE_PARTS_H

#include "migrate/migrate.h"

/* The record: {"format": 1, "done": {"<id>": {"sha256", "at", "run", "took_ms", "run_once"}}}. Empty when absent. */
json_t *migrate_record_load(const State *state, const char *service, Err *err);
/* Fills state, recorded_sha256, recorded_ms and recorded_run from a record. */
void migrate_record_apply(const json_t *record, Migration *migration);

/* A file of the service's directory, as it is on disk: regular, below the directory. */
bool migrate_read_file(
        const Service *service, const char *path, char **ret_bytes, size_t *ret_n, Err *err);
/* Keeps what a migration wrote, without secrets, durably; *ret_path is relative to output_dir (NULL: not kept). */
bool migrate_keep_output(const MigrateContext *context, const Migration *migration,
        const char *text, char **ret_path, Err *err);

bool migrate_run_script(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err);
bool migrate_run_sql(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err);

#endif
