#include "client/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { BUSY_MS = 5000, BUSY_STEP_US = 500 };

static ErrCode code_of(int primary) {
        switch (primary) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return ERR_CORRUPT;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return ERR_IN_USE;
        case SQLITE_FULL:
                return ERR_NO_SPACE;
        default:
                return ERR_IO;
        }
}

static bool fail_code(sqlite3 *db, int code, Err *err, const char *doing) {
        const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
        const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
        err_fail(
                err, code_of(code & 0xff), "%s database '%s': %s", doing, path ? path : "?", words);
        if ((code & 0xff) == SQLITE_BUSY)
                err_hint(err, "Another program holds the database locked; see who has it open with "
                              "`fuser`.");
        return false;
}

bool database_fail(sqlite3 *db, Err *err, const char *doing) {
        return fail_code(db, sqlite3_extended_errcode(db), err, doing);
}

/* A path as a file: URI, so that immutable=1 can be said. */
static char *immutable_uri(const char *path) {
        static const char digits[] = "0123456789ABCDEF";
        Str uri = {0};
        str_add(&uri, "file:");
        for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
                if (strchr("?#%", *p) || *p < 33 || *p > 126) {
                        str_add_char(&uri, '%');
                        str_add_char(&uri, digits[*p >> 4]);
                        str_add_char(&uri, digits[*p & 15]);
                        continue;
                }
                str_add_char(&uri, (char)*p);
        }
        str_add(&uri, "?immutable=1");
        return str_take(&uri);
}

static int flags_of(DatabaseMode mode) {
        switch (mode) {
        case DATABASE_IMMUTABLE:
                return SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
        case DATABASE_CREATE:
                return SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW;
        case DATABASE_READ_WRITE:
        default:
                return SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW;
        }
}

/* SQLite's own waiting looks less and less often; beside a program that writes without a pause it would never find the
 * moment between two transactions. */
static int wait_a_moment(void *context, int tries) {
        if ((intptr_t)tries * BUSY_STEP_US / 1000 >= (intptr_t)context)
                return 0;
        (void)usleep(BUSY_STEP_US);
        return 1;
}

void database_wait(sqlite3 *db, int at_most_ms) {
        (void)sqlite3_busy_handler(db, wait_a_moment, (void *)(intptr_t)at_most_ms);
}

static bool make_harmless(sqlite3 *db) {
        static const struct {
                int option, value;
        } settings[] = {
                {SQLITE_DBCONFIG_DEFENSIVE, 1},
                {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
        };
        for (size_t i = 0; i < COUNT_OF(settings); i++)
                if (sqlite3_db_config(db, settings[i].option, settings[i].value, NULL) != SQLITE_OK)
                        return false;
        database_wait(db, BUSY_MS);
        return true;
}

/* SQLite would make the file as the umask says; a copy of somebody's data is private from its first byte. */
static bool make_private(const char *path, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making database '%s'", path);
        return true;
}

/* SQLITE_OPEN_NOFOLLOW refuses links anywhere in a path; those of the directories are the system's own affair, only
 * the database itself must not be one. */
static char *without_links(const char *path) {
        scoped(free_str) char *dir = path_dirname(path);
        scoped(free_str) char *real = file_real(dir);
        return path_join(real ? real : dir, path_basename(path));
}

bool database_open(const char *path, DatabaseMode mode, sqlite3 **ret, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        scoped(free_str) char *name =
                mode == DATABASE_IMMUTABLE ? immutable_uri(path) : without_links(path);
#ifdef BELAY_FAULT_POINTS
        database_fault_points();
#endif
        if (mode == DATABASE_CREATE && !make_private(path, err))
                return false;
        int rc = sqlite3_open_v2(name, &db, flags_of(mode), NULL);
        if (rc != SQLITE_OK)
                return err_fail(err, code_of(rc & 0xff), "opening database '%s': %s", path,
                        db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
        if (!make_harmless(db))
                return fail_code(db, SQLITE_ERROR, err, "setting up");
        *ret = TAKE(db);
        return true;
}

void database_close(sqlite3 **db) {
        (void)sqlite3_close_v2(*db);
        *db = NULL;
}

static void finalize(sqlite3_stmt **statement) { (void)sqlite3_finalize(*statement); }

bool database_run(sqlite3 *db, const char *sql, Err *err) {
        return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ||
               database_fail(db, err, "using");
}

static bool first_row(sqlite3 *db, const char *sql, sqlite3_stmt **ret, Err *err) {
        if (sqlite3_prepare_v2(db, sql, -1, ret, NULL) != SQLITE_OK)
                return database_fail(db, err, "reading");
        int rc = sqlite3_step(*ret);
        if (rc == SQLITE_ROW)
                return true;
        if (rc == SQLITE_DONE)
                return err_fail(err, ERR_CORRUPT, "database '%s' gives no answer",
                        sqlite3_db_filename(db, "main"));
        return database_fail(db, err, "reading");
}

bool database_int(sqlite3 *db, const char *sql, int64_t *ret, Err *err) {
        scoped(finalize) sqlite3_stmt *row = NULL;
        if (!first_row(db, sql, &row, err))
                return false;
        *ret = sqlite3_column_int64(row, 0);
        return true;
}

bool database_text(sqlite3 *db, const char *sql, char **ret, Err *err) {
        scoped(finalize) sqlite3_stmt *row = NULL;
        if (!first_row(db, sql, &row, err))
                return false;
        const unsigned char *text = sqlite3_column_text(row, 0);
        *ret = str_copy(text ? (const char *)text : "");
        return true;
}

static bool schema_sum(sqlite3 *db, char ret_hex[65], Err *err) {
        static const char sql[] = "SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema"
                                  " ORDER BY type, name, tbl_name";
        scoped(finalize) sqlite3_stmt *rows = NULL;
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        if (sqlite3_prepare_v2(db, sql, -1, &rows, NULL) != SQLITE_OK)
                return database_fail(db, err, "reading the schema of");
        int rc;
        while ((rc = sqlite3_step(rows)) == SQLITE_ROW)
                for (int i = 0; i < 4; i++) {
                        const void *text = sqlite3_column_blob(rows, i);
                        sha256_add(sum, text ? text : "", (size_t)sqlite3_column_bytes(rows, i));
                        sha256_add(sum, "", 1);
                }
        if (rc != SQLITE_DONE)
                return database_fail(db, err, "reading the schema of");
        sha256_end(sum, ret_hex);
        return true;
}

static bool count_table(sqlite3 *db, const char *table, int64_t *ret, Err *err) {
        char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", table);
        if (!sql)
                abort();
        bool ok = database_int(db, sql, ret, err);
        sqlite3_free(sql);
        return ok;
}

static bool count_all(sqlite3 *db, DatabaseFacts *facts, Err *err) {
        static const char sql[] =
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
                " AND substr(name, 1, 7) <> 'sqlite_'"
                " AND upper(substr(ltrim(sql), 1, 14)) <> 'CREATE VIRTUAL' ORDER BY name";
        scoped(finalize) sqlite3_stmt *rows = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &rows, NULL) != SQLITE_OK)
                return database_fail(db, err, "reading the tables of");
        int rc = SQLITE_DONE;
        while (facts->n_tables < DATABASE_TABLES_MAX && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
                TableRows table = {.name = str_copy((const char *)sqlite3_column_text(rows, 0))};
                PUSH(facts->tables, facts->n_tables, table);
                if (!count_table(db, table.name, &facts->tables[facts->n_tables - 1].rows, err))
                        return false;
        }
        facts->counted = true;
        return rc == SQLITE_DONE || rc == SQLITE_ROW ||
               database_fail(db, err, "reading the tables of");
}

bool database_facts(sqlite3 *db, bool count_rows, DatabaseFacts *ret, Err *err) {
        scoped(database_facts_done) DatabaseFacts facts = {0};
        if (!database_text(db, "PRAGMA journal_mode", &facts.journal_mode, err) ||
                !database_int(db, "PRAGMA page_size", &facts.page_size, err) ||
                !database_int(db, "PRAGMA page_count", &facts.page_count, err) ||
                !database_int(db, "PRAGMA schema_version", &facts.schema_version, err) ||
                !database_int(db, "PRAGMA user_version", &facts.user_version, err) ||
                !schema_sum(db, facts.schema_sha256, err) ||
                (count_rows && !count_all(db, &facts, err)))
                return false;
        *ret = facts;
        facts = (DatabaseFacts){0};
        return true;
}

void database_facts_done(DatabaseFacts *facts) {
        free(facts->journal_mode);
        for (size_t i = 0; i < facts->n_tables; i++)
                free(facts->tables[i].name);
        free(facts->tables);
        *facts = (DatabaseFacts){0};
}

json_t *database_facts_to_json(const DatabaseFacts *facts) {
        json_t *object = json_object();
        js_set_str(object, "journal_mode", facts->journal_mode);
        js_set_int(object, "page_size", facts->page_size);
        js_set_int(object, "page_count", facts->page_count);
        js_set_int(object, "schema_version", facts->schema_version);
        js_set_int(object, "user_version", facts->user_version);
        js_set_str(object, "schema_sha256", facts->schema_sha256);
        if (!facts->counted)
                return object;
        json_t *rows = json_object();
        for (size_t i = 0; i < facts->n_tables; i++)
                js_set_int(rows, facts->tables[i].name, facts->tables[i].rows);
        js_set(object, "rows", rows);
        return object;
}

bool database_facts_from_json(const json_t *object, DatabaseFacts *ret) {
        const char *sum = js_str(object, "schema_sha256");
        if (!sum || strlen(sum) != 64)
                return false;
        *ret = (DatabaseFacts){
                .journal_mode = str_copy(js_str(object, "journal_mode")),
                .page_size = js_int(object, "page_size", 0),
                .page_count = js_int(object, "page_count", 0),
                .schema_version = js_int(object, "schema_version", 0),
                .user_version = js_int(object, "user_version", 0),
        };
        snprintf(ret->schema_sha256, sizeof(ret->schema_sha256), "%s", sum);
        json_t *rows = js_get(object, "rows");
        ret->counted = json_is_object(rows);
        const char *name;
        json_t *count;
        json_object_foreach(rows, name, count) {
                TableRows table = {str_copy(name), json_integer_value(count)};
                PUSH(ret->tables, ret->n_tables, table);
        }
        return true;
}

bool database_check(sqlite3 *db, Err *err) {
        scoped(free_str) char *answer = NULL;
        if (!database_text(db, "PRAGMA integrity_check(1)", &answer, err))
                return false;
        if (str_equal(answer, "ok"))
                return true;
        return err_fail(err, ERR_CORRUPT, "database '%s' is damaged: %s",
                sqlite3_db_filename(db, "main"), answer);
}
