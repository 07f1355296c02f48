/* What a project's own files say beyond how it is started: settings, migrations, its name. */
#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/draft.h"
#include "manifest/startup_parts.h"
#include "manifest/value.h"
#include "model/envfile.h"

/* -- the env file ----------------------------------------------------------------------------- */

static void note_databases(Draft *draft, const char *file, const EnvEntry *entry) {
        static const char *const servers[] = {
                "postgres://", "postgresql://", "mysql://", "mariadb://", "mongodb://", "redis://"};
        for (size_t i = 0; i < COUNT_OF(servers); i++)
                if (str_starts(entry->value, servers[i]))
                        strv_addf(&draft->notes,
                                "'%s' in %s names a database server (%.*s). This version of Belay "
                                "backs up files and SQLite: that database is NOT in the backup.",
                                entry->name, file, (int)strcspn(servers[i], ":"), servers[i]);
}

static void read_entries(Draft *draft, const char *file, const EnvFile *settings) {
        scoped(strv_freep) Strv secrets = NULL;
        uint64_t port = 0;
        for (size_t i = 0; i < settings->n; i++) {
                const EnvEntry *entry = &settings->entries[i];
                bool secret = name_is_secret(entry->name) || value_has_password(entry->value);
                if (secret && !strv_contains(secrets, entry->name))
                        strv_add(&secrets, entry->name);
                if (strcmp(entry->name, "PORT") == 0 &&
                        str_to_uint(entry->value, UINT16_MAX, &port) && port) {
                        draft->port = (unsigned)port;
                        str_replace_owned(&draft->port_why, str_format("PORT in %s.", file));
                }
                note_databases(draft, file, entry);
        }
        scoped(free_str) char *names = strv_join(secrets, ", ");
        draft->env_file_why =
                secrets ? str_format(
                                  "Its settings are given to the service, its migrations and its "
                                  "checks. Secrets in it, by their names: %s. Their values stay "
                                  "there.",
                                  names)
                        : str_copy("Its settings are given to the service, its migrations and its "
                                   "checks.");
}

void draft_look_env(Draft *draft, const char *directory, const char *base) {
        static const char *const examples[] = {
                ".env.example", ".env.sample", "env.example", ".env.dist", NULL};
        scoped(free_str) char *path = path_join(directory, ".env");
        scoped(free_str) char *text = NULL;
        scoped(envfile_done) EnvFile settings = {0};
        scoped(err_clear) Err err = {0};
        const char *example = startup_first(directory, examples);
        (void)startup_read(path, &text); /* often a link to where the secrets of the machine are */
        if (!text && example)
                strv_addf(&draft->notes,
                        "There is %s, but no .env: if the service reads one, copy and fill it in, "
                        "and "
                        "add configuration: { env_file: .env }",
                        example);
        if (!text && startup_has(directory, ".env"))
                strv_add(&draft->notes, "The .env here may not be read or is too large: it is left "
                                        "out.");
        if (!text)
                return;
        if (!envfile_parse(text, &settings, &err)) {
                strv_addf(&draft->notes, "The .env here is left out: %s.", err.message);
                return;
        }
        draft->env_file = strcmp(base, ".") == 0 ? str_copy(".env") : path_join(base, ".env");
        read_entries(draft, draft->env_file, &settings);
}

/* -- migrations ------------------------------------------------------------------------------- */

typedef struct Shape {
        const char *glob;
        MigrationKind kind;
        const char *run_with;
} Shape;

/* Numbered files: others in such a directory are as often a library of the project. */
static const Shape shapes[] = {
        {"migrations/[0-9]*.up.sql", MIGRATION_SQL, NULL},
        {"migrations/[0-9]*.sql", MIGRATION_SQL, NULL},
        {"migrations/[0-9]*.py", MIGRATION_SCRIPTS, "python3"},
        {"migrations/[0-9]*.js", MIGRATION_SCRIPTS, "node"},
        {"migrations/[0-9]*.sh", MIGRATION_SCRIPTS, "sh"},
        {"db/migrations/[0-9]*.sql", MIGRATION_SQL, NULL},
        {"scripts/migrate_*.py", MIGRATION_SCRIPTS, "python3"},
        {"scripts/upgrade_*.py", MIGRATION_SCRIPTS, "python3"},
};

/* Files that a tool of the project runs by itself: two who run them is one too many. */
static const char *tool_of(const char *text, const char *path) {
        static const struct {
                const char *words, *tool;
        } signs[] = {{"django.db", "Django"}, {"alembic", "Alembic"}, {"-- +goose", "goose"},
                {"-- migrate:up", "dbmate"}, {"exports.up", "knex or a like of it"},
                {"queryInterface", "Sequelize"}, {"-- +migrate", "sql-migrate"}};
        if (str_ends(path, ".down.sql"))
                return "a tool that goes up and down";
        for (size_t i = 0; i < COUNT_OF(signs); i++)
                if (strstr(text, signs[i].words))
                        return signs[i].tool;
        return NULL;
}

static char *folder_of(const char *glob) { return str_copy_n(glob, strcspn(glob, "/")); }

/* "migrations", "migrations/", "migrations/\*.sql": the directory as a whole, not one file of it. */
static bool names_folder(const char *text, const char *folder) {
        for (const char *at = text; (at = strstr(at, folder)); at++) {
                const char *after = at + strlen(folder);
                after += *after == '/';
                if (at > text && strchr("\"'`/", at[-1]) && *after && strchr("\"'`*", *after))
                        return true;
        }
        return false;
}

/* Does the program itself look into that directory? Then it migrates when it starts. */
static bool program_does_it(const char *directory, char *const *tracked, const char *folder) {
        unsigned looked = 0;
        for (; tracked && *tracked && looked < 200; tracked++) {
                bool source = str_ends(*tracked, ".py") || str_ends(*tracked, ".js") ||
                              str_ends(*tracked, ".ts") || str_ends(*tracked, ".mjs");
                if (!source || str_starts(*tracked, folder) || strstr(*tracked, "test"))
                        continue;
                scoped(free_str) char *text = startup_text(directory, *tracked);
                looked++;
                if (text && names_folder(text, folder))
                        return true;
        }
        return false;
}

typedef struct Found {
        size_t n;
        const char *first;
        const char *tool;
} Found;

static Found files_of(const Shape *shape, const char *directory, char *const *tracked) {
        Found found = {0};
        for (; tracked && *tracked; tracked++) {
                if (fnmatch(shape->glob, *tracked, FNM_PATHNAME) != 0)
                        continue;
                if (!found.first)
                        found.first = *tracked;
                found.n++;
                scoped(free_str) char *text = startup_text(directory, *tracked);
                if (!found.tool)
                        found.tool = tool_of(text ? text : "", *tracked);
        }
        return found;
}

static void migration_add(Draft *draft, const Shape *shape, size_t n, const char *database) {
        DraftMigration migration = {
                .kind = shape->kind,
                .files = str_copy(shape->glob),
                .run_with = str_copy(shape->run_with),
                .database = shape->kind == MIGRATION_SQL ? str_copy(database) : NULL,
                .why = str_format(
                        "%zu file%s named so. Each is run once, in the "
                        "order of the names, while the service is stopped. Those that were "
                        "run by hand already: see `belay migrate status`.",
                        n, n == 1 ? " is" : "s are"),
        };
        PUSH(draft->migrations, draft->n_migrations, migration);
}

/* True: the shape is there, whether or not it was taken. */
static bool shape_take(Draft *draft, const Shape *shape, const char *directory,
        char *const *tracked, const char *database) {
        Found found = files_of(shape, directory, tracked);
        scoped(free_str) char *folder = folder_of(shape->glob);
        if (found.n == 0)
                return false;
        if (found.tool)
                strv_addf(&draft->notes, "%s looks like work for %s: it is not in here.",
                        found.first, found.tool);
        else if (program_does_it(directory, tracked, folder))
                strv_addf(&draft->notes,
                        "The program itself reads %s/: it seems to migrate when it starts, so that "
                        "is not in here.",
                        folder);
        else if (shape->kind == MIGRATION_SQL && !database)
                strv_addf(&draft->notes,
                        "%s is SQL, but which database it is for was not found: it is not in here.",
                        found.first);
        else
                migration_add(draft, shape, found.n, database);
        return true;
}

void draft_look_migrations(
        Draft *draft, const char *directory, char *const *tracked, const char *database) {
        scoped(strv_freep) Strv seen = NULL;
        for (size_t i = 0; i < COUNT_OF(shapes); i++) {
                /* "*.up.sql" is "*.sql", too. */
                scoped(free_str) char *kind = str_format("%.3s%d", shapes[i].glob, shapes[i].kind);
                if (shapes[i].kind == MIGRATION_SQL && strv_contains(seen, kind))
                        continue;
                if (shape_take(draft, &shapes[i], directory, tracked, database))
                        strv_add(&seen, kind);
        }
}

/* -- the name --------------------------------------------------------------------------------- */

static char *python_name(const char *directory) {
        scoped(free_str) char *text = startup_text(directory, "pyproject.toml");
        const char *section = text ? strstr(text, "[project]") : NULL;
        const char *at = section ? strstr(section, "\nname") : NULL;
        const char *open = at ? strchr(at, '"') : NULL,
                   *close = open ? strchr(open + 1, '"') : NULL;
        return close && close - at < 200 ? str_copy_n(open + 1, (size_t)(close - open - 1)) : NULL;
}

char *draft_project_name(const char *directory, char **ret_why) {
        scoped(free_str) char *text = startup_text(directory, "package.json");
        scoped(js_freep) json_t *package =
                text ? js_parse(text, strlen(text), "package.json", NULL) : NULL;
        const char *name = js_str(package, "name");
        scoped(free_str) char *python = name ? NULL : python_name(directory);
        const char *slash = name ? strchr(name, '/') : NULL;
        char *good = draft_service_name(name ? slash ? slash + 1 : name : python ? python : "");
        if (good)
                *ret_why = str_format("The name in %s.", name ? "package.json" : "pyproject.toml");
        return good;
}
