/*
 * Migrations: what a release needs done to the data before it starts. SQL files on a SQLite database,
 * scripts, and steps that a person does.
 *
 *     MigrateContext context = {.service = service, .state = state, .env = env, .run = 44,
 *                               .output_dir = ".../runs/44/output", .mark = "44", .started = journal_it};
 *     scoped(migration_list_done) MigrationList list = {0};
 *     if (!migrate_list(&context, NULL, &list, err) || !migrate_refuse_changed(&list, err))
 *             return false;
 *     for (size_t i = 0; i < list.n; i++)
 *             if (migration_pending(&list.items[i]) && !migrate_run(&context, &list.items[i], &result, err))
 *                     return false;
 *
 * `run: once`: recorded with the SHA-256 of its file when it was done, and then never run again; one whose
 * file changed since is refused. `run: always`: run each time, and must be idempotent. The order is that of
 * the manifest, and within one entry that of the paths' bytes.
 *
 * The record belongs to the data: it lies in services/<name>/migrations.json and goes into a backup and comes back
 * with a restore (migrate_record_export, migrate_record_import). A migration that began and is not recorded
 * is never judged here: the engine restores the data then.
 */
#ifndef BELAY_MIGRATE_MIGRATE_H
#define BELAY_MIGRATE_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"
#include "model/service.h"
#include "platform/process.h"

enum {
        MIGRATE_TIMEOUT_MS = 10 * 60 * 1000,
        MIGRATE_FILES_MAX = 10000,
        MIGRATE_SQL_BYTES = 16 * 1024 * 1024,
};

typedef struct MigrateContext {
        const Service *service;
        const State *state;
        char *const *env;   /* the service's env file, "NAME=value" each; may be NULL */
        char *const *extra; /* more for the environment of scripts (BELAY_VERSION=…); may be NULL */
        uid_t uid;          /* scripts run as this user when `as_user` */
        gid_t gid;
        bool as_user;
        unsigned run;     /* number of the run; 0: by hand */
        const char *mark; /* BELAY_RUN of scripts */
        const char *
                output_dir; /* runs/<n>/output: each migration's output as a file; NULL: not kept */
        char *const *secrets; /* values taken out of output and errors; may be NULL */
        const Cancel *cancel;
        bool confirmed; /* a person has confirmed the manual steps */
        /* A script was started: its identity is to be journaled before it is waited for. May be NULL. */
        void (*started)(void *context, const char *migration_id, const ProcessId *process);
        void *started_context;
} MigrateContext;

/* Files of a tree that is not on disk yet (the target's, before place). Paths are relative to the
 * service's directory. */
typedef struct MigrateTree {
        char *const *paths;
        /* The file's bytes, owned; may be NULL: checksums are then unknown and nothing counts as changed. */
        bool (*read)(void *context, const char *path, char **ret_bytes, size_t *ret_n, Err *err);
        void *context;
} MigrateTree;

typedef enum MigrationState {
        MIGRATION_NEW,       /* once, not recorded: will run */
        MIGRATION_EACH_TIME, /* always: will run */
        MIGRATION_RECORDED,  /* once, done */
        MIGRATION_CHANGED,   /* once, done, but its file is another one now: refused */
} MigrationState;

typedef struct Migration {
        const MigrationSpec *spec; /* borrowed from the service */
        size_t spec_index;
        char *id;        /* "sql:migrations/003_tags.sql", "manual:4f1c09a2": stable; owned */
        char *path;      /* relative to the service's directory; NULL for manual; owned */
        char *title;     /* for people: "003_tags.sql", "Rebuild the search index"; owned */
        char sha256[65]; /* "" when unknown */
        char recorded_sha256[65]; /* "" when not recorded */
        MigrationState state;
        int64_t recorded_ms; /* unix ms of the last time it was done; 0: never */
        unsigned recorded_run;
} Migration;

typedef struct MigrationList {
        Migration *items;
        size_t n;
        Strv warnings; /* "migrations[1]: 'scripts/x.py' matches no file" */
} MigrationList;

/* All migrations of the service in the order in which they run, with their state. `tree` NULL: what is on
 * disk. */
bool migrate_list(
        const MigrateContext *context, const MigrateTree *tree, MigrationList *ret, Err *err);
void migration_list_done(MigrationList *list);
bool migration_pending(const Migration *migration); /* new or each time */
/* What the pending ones may take together, each up to its own limit; those of a person count nothing. */
int64_t migration_list_limit_ms(const MigrationList *list);
/* ERR_REFUSED naming the first changed file. */
bool migrate_refuse_changed(const MigrationList *list, Err *err);
const char *migration_state_name(
        MigrationState state);                       /* "pending", "each time", "done", "changed" */
const char *migration_kind_name(MigrationKind kind); /* "sql", "scripts", "manual" */

typedef struct MigrateResult {
        int64_t took_ms;
        char *output_path; /* relative to output_dir, or NULL; owned */
        char *summary;     /* "12 statements", "exit 0": one line; owned */
} MigrateResult;
void migrate_result_done(MigrateResult *result);
/* What the output of a migration is called in output_dir, also of one that failed; owned. */
char *migrate_output_name(const char *id);

/* Runs one and records it. False: ERR_TOOL (the script failed; the last lines of its output are in the error), ERR_TIMEOUT,
 * ERR_CANCELLED, ERR_REFUSED (changed, or the database is none), ERR_ANSWER_NO (a statement failed; its line is
 * named; what the file did is rolled back unless the file has its own transactions), ERR_INCONCLUSIVE (manual,
 * not confirmed). All that a script started is dead when it returns. */
bool migrate_run(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err);

/* The record of the data as it is now, for a backup; an empty object when nothing is recorded. New reference. */
json_t *migrate_record_export(const State *state, const char *service, Err *err);
/* Puts a record back, after a restore. NULL or not an object: the empty one. */
bool migrate_record_import(const State *state, const char *service, const json_t *record, Err *err);
/* Adds one without running it: a person did it. */
bool migrate_record_add(
        const MigrateContext *context, const Migration *migration, int64_t took_ms, Err *err);

#endif
