/*
 * sql: one file, one transaction, unless the file has its own. Pragmas at its start run before the transaction
 * begins, because "PRAGMA foreign_keys" means nothing inside one (sqlite.org/pragma.html).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"
#include "client/sqlite.h"
#include "migrate/migrate_parts.h"
#include "migrate/sql_database.h"
#include "migrate/sql_text.h"
#include "model/redact.h"
#include "platform/clock.h"
#include "platform/fault.h"

enum { PROGRESS_STEPS = 20000 };

typedef struct SqlRun {
        const MigrateContext *context;
        const Migration *migration;
        sqlite3 *db;
        int64_t until;
        bool own_transactions;
        unsigned statements;
        int changed;
} SqlRun;

static void finalize(sqlite3_stmt **statement) { (void)sqlite3_finalize(*statement); }

/* Another file is none of this migration's business, nor is code. VACUUM attaches a nameless one. */
static int authorize(void *context, int action, const char *one, const char *two,
        const char *database, const char *trigger) {
        (void)context;
        (void)database;
        (void)trigger;
        if (action == SQLITE_ATTACH)
                return one && one[0] && strcmp(one, ":memory:") != 0 ? SQLITE_DENY : SQLITE_OK;
        if (action == SQLITE_FUNCTION && two && strcasecmp(two, "load_extension") == 0)
                return SQLITE_DENY;
        return SQLITE_OK;
}

static bool cancelled(const SqlRun *run) {
        return run->context->cancel && run->context->cancel->requested;
}

static int interrupt(void *context) {
        const SqlRun *run = context;
        return cancelled(run) || clock_now_ms() >= run->until;
}

static ErrCode code_of(const SqlRun *run, int result) {
        switch (result & 0xff) {
        case SQLITE_INTERRUPT:
                return cancelled(run) ? ERR_CANCELLED : ERR_TIMEOUT;
        case SQLITE_FULL:
                return ERR_NO_SPACE;
        case SQLITE_IOERR:
                return ERR_IO;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return ERR_CORRUPT;
        default:
                return ERR_ANSWER_NO;
        }
}

static bool fail(const SqlRun *run, const SqlStatement *statement, int result, Err *err) {
        int offset = sqlite3_error_offset(run->db);
        unsigned line = statement->line;
        if (offset > 0 && (size_t)offset <= statement->bytes)
                line += sql_lines_in(statement->text, (size_t)offset);
        scoped(free_str) char *words = redact(sqlite3_errmsg(run->db), run->context->secrets);
        scoped(free_str) char *shown = str_printable(words, false);
        err_fail(err, code_of(run, result), "%s:%u: %s", run->migration->path, line, shown);
        if ((result & 0xff) == SQLITE_AUTH)
                return err_hint(
                        err, "A migration may neither attach another database file nor load code.");
        if (statement->text[0] == '.')
                return err_hint(
                        err, "Commands of the sqlite3 program do not work here, only SQL does.");
        return false;
}

/* Rows mean nothing here, but for one question whose every row is a violation. */
static bool step_all(SqlRun *run, const SqlStatement *statement, sqlite3_stmt *prepared, Err *err) {
        int result;
        unsigned rows = 0;
        while ((result = sqlite3_step(prepared)) == SQLITE_ROW)
                rows++;
        if (result != SQLITE_DONE)
                return fail(run, statement, result, err);
        if (rows > 0 && sql_begins(statement, "pragma foreign_key_check"))
                return err_fail(err, ERR_ANSWER_NO, "%s:%u: %u rows break a foreign key",
                        run->migration->path, statement->line, rows);
        return true;
}

static bool run_statement(SqlRun *run, const SqlStatement *statement, Err *err) {
        scoped(finalize) sqlite3_stmt *prepared = NULL;
        int result = sqlite3_prepare_v2(
                run->db, statement->text, (int)statement->bytes, &prepared, NULL);
        if (result != SQLITE_OK)
                return fail(run, statement, result, err);
        run->statements++;
        return step_all(run, statement, prepared, err);
}

static bool run_all(SqlRun *run, const char *text, Err *err) {
        SqlText rest = {text, 1};
        SqlStatement statement;
        bool inside = run->own_transactions;
        while (sql_next(&rest, &statement)) {
                if (!inside && !sql_begins(&statement, "pragma")) {
                        if (!database_run(run->db, "BEGIN IMMEDIATE", err))
                                return false;
                        inside = true;
                }
                if (!run_statement(run, &statement, err))
                        return false;
        }
        return true;
}

static bool commit(SqlRun *run, Err *err) {
        bool open = sqlite3_get_autocommit(run->db) == 0;
        if (run->own_transactions && open)
                return err_fail(err, ERR_ANSWER_NO, "'%s' ends inside a transaction that it began",
                        run->migration->path);
        if (!open)
                return true;
        if (fault_before("sql_commit", run->migration->path))
                return err_fail_errno(err, ERR_IO, errno, "committing '%s'", run->migration->path);
        if (!database_run(run->db, "COMMIT", err))
                return false;
        fault_after();
        return true;
}

static bool apply(SqlRun *run, const char *text, Err *err) {
        int before = sqlite3_total_changes(run->db);
        bool good = run_all(run, text, err) && commit(run, err);
        sqlite3_progress_handler(run->db, 0, NULL, NULL);
        if (!good && sqlite3_get_autocommit(run->db) == 0)
                (void)sqlite3_exec(run->db, "ROLLBACK", NULL, NULL, NULL);
        run->changed = sqlite3_total_changes(run->db) - before;
        if (!good && run->own_transactions)
                err_context(err, "with transactions of its own, of which those that ended stay");
        return good;
}

static bool open_database(SqlRun *run, const char *path, Err *err) {
        if (!database_open(path, DATABASE_READ_WRITE, &run->db, err))
                return false;
        sqlite3_set_authorizer(run->db, authorize, NULL);
        sqlite3_progress_handler(run->db, PROGRESS_STEPS, interrupt, run);
        return database_run(run->db, "PRAGMA synchronous=FULL", err);
}

static bool load(const SqlRun *run, char **ret, Err *err) {
        size_t n = 0;
        scoped(free_str) char *text = NULL;
        if (!migrate_read_file(run->context->service, run->migration->path, &text, &n, err))
                return false;
        if (strlen(text) != n)
                return err_fail(err, ERR_REFUSED, "'%s' holds a NUL byte: it is no SQL",
                        run->migration->path);
        if (n > INT_MAX)
                return err_fail(err, ERR_REFUSED, "'%s' is too large", run->migration->path);
        *ret = TAKE(text);
        return true;
}

static bool report(const SqlRun *run, const char *path, MigrateResult *ret, Err *err) {
        scoped(free_str) char *text = str_format("%s on %s: %u statements, %d rows changed, %s\n",
                run->migration->path, path, run->statements, run->changed,
                run->own_transactions ? "in transactions of its own" : "in one transaction");
        ret->summary = str_format("%u %s, %d %s changed", run->statements,
                run->statements == 1 ? "statement" : "statements", run->changed,
                run->changed == 1 ? "row" : "rows");
        return migrate_keep_output(run->context, run->migration, text, &ret->output_path, err);
}

static void run_done(SqlRun *run) { database_close(&run->db); }

bool migrate_run_sql(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err) {
        int64_t limit =
                migration->spec->timeout_ms > 0 ? migration->spec->timeout_ms : MIGRATE_TIMEOUT_MS;
        scoped(run_done) SqlRun run = {
                .context = context, .migration = migration, .until = clock_now_ms() + limit};
        scoped(free_str) char *path = NULL, *text = NULL;
        if (!load(&run, &text, err) || !sql_database_path(context, migration->spec, &path, err) ||
                !open_database(&run, path, err))
                return false;
        run.own_transactions = sql_has_own_transactions(text);
        return apply(&run, text, err) && report(&run, path, ret, err);
}
