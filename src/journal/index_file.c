#include "journal/index_file.h"

#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "client/sqlite.h"
#include "platform/file.h"
#include "platform/lock.h"

enum { APPLICATION_ID = 0x42656c79 /* "Bely" */ };

static char *file_path(const IndexFile *file, const char *ending) {
        scoped(free_str) char *name = str_format("belay.db%s", ending);
        return path_join(file->state->root, name);
}

static int64_t version_of(const IndexFile *file) {
        return (int64_t)INDEX_SCHEMA * 1000 + file->version;
}

static void finalize(sqlite3_stmt **statement) { (void)sqlite3_finalize(*statement); }

void index_file_close(IndexFile *file) {
        database_close(&file->db);
        free(file->why);
        file->why = NULL;
}

/* -- reading ------------------------------------------------------------------------------ */

static bool check_header(IndexFile *file, Err *err) {
        int64_t application = 0, version = 0;
        if (!database_int(file->db, "PRAGMA application_id", &application, err) ||
                !database_int(file->db, "PRAGMA user_version", &version, err))
                return false;
        if (application == APPLICATION_ID && version == version_of(file))
                return true;
        return err_fail(err, ERR_CORRUPT, "the index is of version %lld, not %lld",
                (long long)version, (long long)version_of(file));
}

bool index_file_open(IndexFile *file, Err *err) {
        scoped(free_str) char *path = file_path(file, "");
        struct stat st = {0};
        bool there = false;
        if (!file_stat(path, &st, &there, err))
                return false;
        if (!there)
                return err_fail(err, ERR_UNKNOWN, "there is no index yet");
        /* What a person put there is not Belay's to replace, nor to wait for. */
        if (!S_ISREG(st.st_mode))
                return err_fail(err, ERR_REFUSED, "'%s' is not a regular file", path);
        if (!database_open(path, DATABASE_READ_WRITE, &file->db, err))
                return false;
        database_wait(file->db, INDEX_WAIT_MS);
        return check_header(file, err);
}

static uint32_t sum_of(unsigned run, const char *service, const char *stamp, const char *summary) {
        scoped(free_str) char *all = str_format("%u\n%s\n%s\n%s", run, service, stamp, summary);
        return crc32c(all, strlen(all));
}

static const char *text_of(sqlite3_stmt *row, int column) {
        if (sqlite3_column_type(row, column) != SQLITE_TEXT)
                return NULL;
        const char *text = (const char *)sqlite3_column_text(row, column);
        int n = sqlite3_column_bytes(row, column);
        return text && n <= LIMIT_STATE_FILE && strlen(text) == (size_t)n ? text : NULL;
}

static bool add_row(sqlite3_stmt *row, Index *ret) {
        int64_t run = sqlite3_column_int64(row, 0);
        const char *service = text_of(row, 1), *stamp = text_of(row, 2), *summary = text_of(row, 3);
        /* Ascending: pages that point in a circle have an end, too. */
        bool follows = run > 0 && run < UINT32_MAX && (!ret->n || run > ret->rows[ret->n - 1].run);
        if (!follows || !service || !stamp || !summary ||
                sqlite3_column_int64(row, 4) != sum_of((unsigned)run, service, stamp, summary))
                return false;
        IndexRow item = {.run = (unsigned)run,
                .service = str_copy(service),
                .stamp = str_copy(stamp),
                .summary = str_copy(summary)};
        PUSH(ret->rows, ret->n, item);
        return true;
}

bool index_file_rows(IndexFile *file, Index *ret, Err *err) {
        static const char sql[] = "SELECT run, service, stamp, summary, sum FROM run ORDER BY run";
        scoped(finalize) sqlite3_stmt *rows = NULL;
        scoped(index_done) Index index = {0};
        int rc = sqlite3_prepare_v2(file->db, sql, -1, &rows, NULL);
        if (rc != SQLITE_OK)
                return database_fail(file->db, err, "reading");
        while ((rc = sqlite3_step(rows)) == SQLITE_ROW)
                if (!add_row(rows, &index))
                        return err_fail(err, ERR_CORRUPT, "a row of the index is damaged");
        if (rc != SQLITE_DONE)
                return database_fail(file->db, err, "reading");
        *ret = index;
        index = (Index){0};
        return true;
}

void index_file_distrust(IndexFile *file, const Err *why) {
        /* Bytes that SQLite does not understand ("unsupported file format") are a plain error to it. */
        bool nonsense = file->db && (sqlite3_errcode(file->db) & 0xff) == SQLITE_ERROR;
        database_close(&file->db);
        file->may_make = nonsense || why->code == ERR_CORRUPT || why->code == ERR_UNKNOWN;
        if (!file->may_make)
                file->why = str_copy(why->message);
}

/* -- writing ------------------------------------------------------------------------------ */

static bool put_row(sqlite3_stmt *put, const IndexRow *row) {
        (void)sqlite3_reset(put);
        return sqlite3_bind_int64(put, 1, row->run) == SQLITE_OK &&
               sqlite3_bind_text(put, 2, row->service, -1, SQLITE_STATIC) == SQLITE_OK &&
               sqlite3_bind_text(put, 3, row->stamp, -1, SQLITE_STATIC) == SQLITE_OK &&
               sqlite3_bind_text(put, 4, row->summary, -1, SQLITE_STATIC) == SQLITE_OK &&
               sqlite3_bind_int64(put, 5,
                       sum_of(row->run, row->service, row->stamp, row->summary)) == SQLITE_OK &&
               sqlite3_step(put) == SQLITE_DONE;
}

static bool put_rows(sqlite3 *db, const IndexChange *change, bool all, Err *err) {
        static const char sql[] = "INSERT OR REPLACE INTO run(run, service, stamp, summary, sum)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5)";
        scoped(finalize) sqlite3_stmt *put = NULL;
        if (sqlite3_prepare_v2(db, sql, -1, &put, NULL) != SQLITE_OK)
                return database_fail(db, err, "writing");
        for (size_t i = 0; i < change->index->n; i++)
                if ((all || change->made[i]) && !put_row(put, &change->index->rows[i]))
                        return database_fail(db, err, "writing");
        return true;
}

static bool drop_rows(sqlite3 *db, const IndexChange *change, Err *err) {
        for (size_t i = 0; change->stale && change->stale[i]; i++) {
                scoped(free_str) char *sql =
                        str_format("DELETE FROM run WHERE run = %s", change->stale[i]);
                if (!database_run(db, sql, err))
                        return false;
        }
        return true;
}

bool index_file_change(IndexFile *file, const IndexChange *change, Err *err) {
        if (!database_run(file->db, "BEGIN IMMEDIATE", err))
                return false;
        if (drop_rows(file->db, change, err) && put_rows(file->db, change, false, err) &&
                database_run(file->db, "COMMIT", err))
                return true;
        (void)database_run(file->db, "ROLLBACK", NULL);
        return false;
}

static bool fill_new(const IndexFile *file, const char *path, const IndexChange *change, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        scoped(free_str) char *head = str_format("PRAGMA journal_mode = DELETE;"
                                                 "PRAGMA application_id = %d;"
                                                 "PRAGMA user_version = %lld;"
                                                 "BEGIN IMMEDIATE;"
                                                 "CREATE TABLE run(run INTEGER PRIMARY KEY,"
                                                 " service TEXT NOT NULL, stamp TEXT NOT NULL,"
                                                 " summary TEXT NOT NULL, sum INTEGER NOT NULL)",
                APPLICATION_ID, (long long)version_of(file));
        return database_open(path, DATABASE_CREATE, &db, err) && database_run(db, head, err) &&
               put_rows(db, change, true, err) && database_run(db, "COMMIT", err);
}

/* A journal that was left beside the old file would be played back into the new one. */
static bool put_in_place(const IndexFile *file, const char *made, Err *err) {
        static const char *const sidecars[] = {"-journal", "-wal", "-shm"};
        scoped(free_str) char *path = file_path(file, "");
        for (size_t i = 0; i < COUNT_OF(sidecars); i++) {
                scoped(free_str) char *sidecar = file_path(file, sidecars[i]);
                if (!file_unlink(sidecar, err))
                        return false;
        }
        return file_rename(made, path, err);
}

bool index_file_make(IndexFile *file, const IndexChange *change, Err *err) {
        scoped(lock_release) Lock lock = LOCK_NONE;
        scoped(free_str) char *lock_path = file_path(file, ".lock");
        scoped(free_str) char *made = file_path(file, ".new");
        scoped(free_str) char *journal = file_path(file, ".new-journal");
        const LockOwner owner = {.what = "making the index"};
        database_close(&file->db);
        return lock_take(lock_path, &owner, 0, &lock, err) && file_unlink(made, err) &&
               file_unlink(journal, err) && fill_new(file, made, change, err) &&
               put_in_place(file, made, err);
}
