/*
 * `.env` files as users of docker compose and systemd write them: a pure layer over text.
 *
 *     NAME=value                 export NAME=value            # a comment
 *     NAME = value  # comment    NAME='as it is, $5 too'      NAME="a\nb \"c\" \\ \$5"
 *
 * A plain value ends at white space followed by '#', or at the end of the line, without white space
 * around it. A quoted one may span lines. Nothing is expanded: "$OTHER" stays as it is. Of a name
 * that is given twice the last one holds. Lines that assign nothing are kept and mean nothing. A byte
 * order mark, CRLF and a missing last newline are fine.
 *
 * Edits touch the bytes of the value and nothing else. Each edit reads its own result again, and
 * fails rather than to return a text in which anything but the wanted name has changed.
 *
 * Errors: ERR_REFUSED for a text that cannot be read (it names the line, never a value), or that is
 * over LIMIT_ENV_FILE; ERR_USAGE for a name or value that no such file can hold.
 */
#ifndef BELAY_MODEL_ENVFILE_H
#define BELAY_MODEL_ENVFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

typedef enum EnvQuote { ENV_PLAIN, ENV_SINGLE, ENV_DOUBLE } EnvQuote;

typedef struct EnvEntry {
        char *name;
        char *value; /* what it means: without quotes and escapes */
        EnvQuote quote;
        size_t line_at, line_end;   /* bytes of the whole assignment, its newline included */
        size_t value_at, value_end; /* bytes of the value, its quotes included */
        unsigned line;              /* from 1 */
} EnvEntry;

typedef struct EnvFile {
        EnvEntry *entries; /* in the order of the text, duplicates too */
        size_t n;
        bool crlf; /* the first line ends so */
} EnvFile;

bool envfile_parse(const char *text, EnvFile *ret, Err *err);
void envfile_done(EnvFile *file);
/* The entry that holds, or NULL. Borrowed from `file`. */
const EnvEntry *envfile_find(const EnvFile *file, const char *name);

/* "NAME=value" for each name once, as a process's environment wants it. */
bool envfile_values(const char *text, Strv *ret_env, Err *err);
/* *ret is owned, and NULL when the name is not there. */
bool envfile_get(const char *text, const char *name, char **ret, Err *err);
/* The text with `name` meaning `value` (which has no newline): at the bytes of the entry that holds, in
 * its own quotes where they can hold the value; else as a new last line. *ret is owned. */
bool envfile_set(const char *text, const char *name, const char *value, char **ret, Err *err);
/* The text without any line that assigns `name`. *ret is owned. */
bool envfile_remove(const char *text, const char *name, char **ret, Err *err);
/* The text with `name` as it is in `old`: the value in its very bytes, of several lines, too, or gone. */
bool envfile_take_back(const char *text, const char *old, const char *name, char **ret, Err *err);
/* [A-Za-z_][A-Za-z0-9_.-]*, at most 256 bytes. */
bool envfile_name_ok(const char *name);

#endif
