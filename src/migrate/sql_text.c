#include "migrate/sql_text.h"

#include <ctype.h>
#include <sqlite3.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"

unsigned sql_lines_in(const char *text, size_t bytes) {
        unsigned lines = 0;
        for (size_t i = 0; i < bytes; i++)
                lines += text[i] == '\n';
        return lines;
}

static size_t comment_bytes(const char *at) {
        if (at[0] == '-' && at[1] == '-')
                return strcspn(at, "\n");
        if (at[0] != '/' || at[1] != '*')
                return 0;
        const char *end = strstr(at + 2, "*/");
        return end ? (size_t)(end - at) + 2 : strlen(at);
}

static size_t quoted_bytes(const char *at) {
        char close = *at == '[' ? ']' : *at;
        if (!strchr("'\"`[", *at))
                return 0;
        size_t n = 1;
        while (at[n] && at[n] != close)
                n++;
        return at[n] ? n + 1
                     : n; /* a doubled quote reads as two quoted texts, which ends at the same place */
}

/* White space, comments and empty statements before the next one. */
static size_t blank_bytes(const char *at) {
        size_t n = 0;
        for (;;) {
                size_t comment = comment_bytes(at + n);
                if (comment == 0 && !isspace((unsigned char)at[n]) && at[n] != ';')
                        return n;
                n += comment > 0 ? comment : 1;
        }
}

static bool is_whole(const char *text, size_t bytes) {
        SqlStatement statement = {.text = text, .bytes = bytes};
        if (!sql_begins(&statement, "create trigger") &&
                !sql_begins(&statement, "create temp trigger") &&
                !sql_begins(&statement, "create temporary trigger"))
                return true;
        scoped(free_str) char *copy = str_copy_n(text, bytes);
        return sqlite3_complete(copy) != 0;
}

static size_t statement_bytes(const char *text) {
        size_t n = 0;
        while (text[n]) {
                size_t skip = comment_bytes(text + n);
                if (skip == 0)
                        skip = quoted_bytes(text + n);
                if (skip == 0 && text[n] == ';' && is_whole(text, n + 1))
                        return n + 1;
                n += skip > 0 ? skip : 1;
        }
        return n;
}

static void skip(SqlText *text, size_t bytes) {
        text->line += sql_lines_in(text->at, bytes);
        text->at += bytes;
}

bool sql_next(SqlText *text, SqlStatement *ret) {
        if (str_starts(text->at, "\xef\xbb\xbf"))
                text->at += 3;
        skip(text, blank_bytes(text->at));
        if (!*text->at)
                return false;
        *ret = (SqlStatement){text->at, statement_bytes(text->at), text->line};
        skip(text, ret->bytes);
        return true;
}

bool sql_begins(const SqlStatement *statement, const char *words) {
        const char *at = statement->text, *end = statement->text + statement->bytes;
        while (*words) {
                size_t n = strcspn(words, " ");
                if ((size_t)(end - at) < n || strncasecmp(at, words, n) != 0)
                        return false;
                at += n;
                if (at < end && (isalnum((unsigned char)*at) || *at == '_'))
                        return false;
                while (at < end && (isspace((unsigned char)*at) || comment_bytes(at) > 0))
                        at += comment_bytes(at) > 0 ? comment_bytes(at) : 1;
                words += n + (words[n] == ' ');
        }
        return true;
}

bool sql_has_own_transactions(const char *text) {
        static const char *const words[] = {
                "begin", "commit", "end", "rollback", "savepoint", "release", "vacuum"};
        SqlText rest = {text, 1};
        SqlStatement statement;
        while (sql_next(&rest, &statement))
                for (size_t i = 0; i < COUNT_OF(words); i++)
                        if (sql_begins(&statement, words[i]))
                                return true;
        return false;
}
