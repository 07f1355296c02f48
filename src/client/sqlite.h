/*
 * SQLite databases of users, opened so that neither a hostile schema nor Belay itself does harm:
 * defensive, schema not trusted, no extensions, a busy time-out, no file names taken as URIs, and no
 * checkpoint when Belay happens to be the last one to close (that would cost time in the gap).
 *
 *     scoped(database_close) sqlite3 *db = NULL;
 *     if (!database_open(path, DATABASE_READ_WRITE, &db, err))
 *             return false;
 *
 * Errors: ERR_CORRUPT (no database, damaged), ERR_IN_USE (locked by somebody for longer than the time-out),
 * ERR_NO_SPACE, else ERR_IO; they name the file and carry SQLite's own words.
 */
#ifndef BELAY_CLIENT_SQLITE_H
#define BELAY_CLIENT_SQLITE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"

typedef enum DatabaseMode {
        DATABASE_READ_WRITE, /* a live one: locks, shared memory and journals work as for any program */
        DATABASE_CREATE,     /* the same; made when absent */
        DATABASE_IMMUTABLE, /* a private copy without sidecars: read only, no locks, no sidecars made */
} DatabaseMode;

bool database_open(const char *path, DatabaseMode mode, sqlite3 **ret, Err *err);
/* How long to wait for the locks of others; 5 s when not told otherwise. */
void database_wait(sqlite3 *db, int at_most_ms);
void database_close(sqlite3 **db);
/* Fills err from the last failure on db. Returns false. */
bool database_fail(sqlite3 *db, Err *err, const char *doing);
/* Statements without results. */
bool database_run(sqlite3 *db, const char *sql, Err *err);
/* First column of the first row. No row: ERR_CORRUPT. */
bool database_int(sqlite3 *db, const char *sql, int64_t *ret, Err *err);
bool database_text(sqlite3 *db, const char *sql, char **ret, Err *err);

typedef struct TableRows {
        char *name;
        int64_t rows;
} TableRows;

/* What is told apart from another state of the same database. */
typedef struct DatabaseFacts {
        char *journal_mode;
        int64_t page_size, page_count, schema_version, user_version;
        char schema_sha256[65]; /* over type, name, table and text of all objects, sorted */
        TableRows *tables;      /* ordinary tables, by name; at most DATABASE_TABLES_MAX */
        size_t n_tables;
        bool counted; /* tables are filled in */
} DatabaseFacts;

enum { DATABASE_TABLES_MAX = 1000 };

/* Call inside a transaction for one moment's facts. Counting reads every table. */
bool database_facts(sqlite3 *db, bool count_rows, DatabaseFacts *ret, Err *err);
void database_facts_done(DatabaseFacts *facts);
json_t *database_facts_to_json(const DatabaseFacts *facts); /* new reference */
bool database_facts_from_json(
        const json_t *object, DatabaseFacts *ret); /* false: not of that form */
/* PRAGMA integrity_check; ERR_CORRUPT with its first words. */
bool database_check(sqlite3 *db, Err *err);

#ifdef BELAY_FAULT_POINTS
void database_fault_points(
        void); /* SQLite's own writes pass fault points; called by database_open */
#endif

#endif
