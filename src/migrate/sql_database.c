#include "migrate/sql_database.h"

#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "model/value.h"
#include "platform/file.h"

static const char *const schemes[] = {
        "sqlite3://", "sqlite://", "sqlite3:", "sqlite:", "file://", "file:"};

/* What follows a scheme of SQLite's, or NULL when `text` has none. */
static const char *after_scheme(const char *text) {
        for (size_t i = 0; i < COUNT_OF(schemes); i++)
                if (str_starts(text, schemes[i]))
                        return text + strlen(schemes[i]);
        return NULL;
}

static bool refuse_missing(const char *path, Err *err) {
        err_fail(err, ERR_REFUSED, "the database '%s' of a migration does not exist", path);
        return err_hint(err, "Belay makes no database: a wrong path would go unnoticed. Start the "
                             "service once, or make an empty file.");
}

/* "sqlite:///db/x" is db/x in the service's directory for some programs, /db/x for others: the one that is
 * there is meant. */
static bool absolute_or_relative(const Service *service, const char *path, char **ret, Err *err) {
        scoped(free_str) char *relative = path_join(service->directory, path + strspn(path, "/"));
        bool here = file_exists(relative), there = file_exists(path);
        if (here && there)
                return err_fail(err, ERR_REFUSED, "the database may be '%s' or '%s': both exist",
                               relative, path) ||
                       err_hint(err, "Name it by its path alone under `database`.");
        if (!here && !there)
                return refuse_missing(path, err);
        *ret = here ? TAKE(relative) : str_copy(path);
        return true;
}

static bool path_of_text(const Service *service, const char *text, char **ret, Err *err) {
        const char *path = after_scheme(text);
        if (!path && strstr(text, "://")) {
                int n = (int)strcspn(text, ":");
                err_fail(err, ERR_REFUSED, "this build has no SQL migrations on a '%.*s' database",
                        n > 20 ? 20 : n, text);
                return err_hint(err,
                        "It runs them on SQLite files. A script can do it for another database.");
        }
        if (path && strchr(path, '?'))
                return err_fail(err, ERR_REFUSED,
                        "the database's URL has parameters, which belay does not know");
        if (path && path[0] == '/' && strstr(text, "://"))
                return absolute_or_relative(service, path, ret, err);
        *ret = path_join(service->directory, path ? path : text);
        return true;
}

bool sql_database_path(
        const MigrateContext *context, const MigrationSpec *spec, char **ret, Err *err) {
        scoped(free_str) char *path = NULL;
        scoped(value_freep) char *text = NULL;
        if (!spec->database && !value_resolve(&spec->database_value, context->env, &text, err))
                return err_context(err, "finding the database");
        const char *named = spec->database ? spec->database : text;
        if (!named[0])
                return err_fail(err, ERR_REFUSED, "the migration names no database");
        if (!path_of_text(context->service, named, &path, err))
                return false;
        struct stat info;
        bool there = false;
        char *real = file_real(path);
        str_replace_owned(&path, real ? real : TAKE(path));
        if (!file_stat(path, &info, &there, err))
                return false;
        if (!there)
                return refuse_missing(path, err);
        if (!S_ISREG(info.st_mode))
                return err_fail(err, ERR_REFUSED,
                        "the database '%s' of a migration is no regular file", path);
        *ret = TAKE(path);
        return true;
}
