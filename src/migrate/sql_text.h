/*
 * The statements of an SQL file, one after the other, with their lines. SQLite's own rules for quotes,
 * comments and triggers (sqlite.org/lang_comment.html, sqlite3_complete). Not for other rooms.
 */
#ifndef BELAY_MIGRATE_SQL_TEXT_H
#define BELAY_MIGRATE_SQL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct SqlText {
        const char *at; /* the rest */
        unsigned line;  /* of `at`, from 1 */
} SqlText;

typedef struct SqlStatement {
        const char *text; /* from its first word to its semicolon; borrowed */
        size_t bytes;
        unsigned line;
} SqlStatement;

/* False when there are no more. */
bool sql_next(SqlText *text, SqlStatement *ret);
/* Whether the statement begins with this word ("pragma foreign_key_check" for two), whatever its case. */
bool sql_begins(const SqlStatement *statement, const char *words);
/* Whether any statement begins, ends or cannot be in a transaction: the file is then run as it is. */
bool sql_has_own_transactions(const char *text);
unsigned sql_lines_in(const char *text, size_t bytes);

#endif
