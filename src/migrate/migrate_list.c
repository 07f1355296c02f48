/* Which migrations there are, in the order in which they run. */
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "migrate/migrate_parts.h"
#include "platform/file.h"

static int by_bytes(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool below_directory(const char *path) {
        if (path[0] == '/' || path[0] == '\0')
                return false;
        scoped(strv_freep) Strv parts = strv_split(path, '/');
        return !strv_contains(parts, "..");
}

static bool refuse_glob(const char *files, Err *err) {
        err_fail(err, ERR_MANIFEST, "migrations: '%s' leads out of the service's directory", files);
        return err_hint(err,
                "Files of migrations belong to the version: name them relative to that directory.");
}

/* The record of what was done and the journal know a migration by its name. */
static bool refuse_name(const char *path, Err *err) {
        scoped(free_str) char *shown = str_printable(path, false);
        err_fail(err, ERR_REFUSED,
                "migrations: the name of '%s' is no text: it has control characters or is not "
                "UTF-8",
                shown);
        return err_hint(err, "The release has to name it otherwise.");
}

/* "./a//b" in a manifest means "a/b". */
static char *plain_path(const char *path) {
        scoped(strv_freep) Strv parts = strv_split(path, '/'), kept = NULL;
        for (size_t i = 0; parts && parts[i]; i++)
                if (parts[i][0] && strcmp(parts[i], ".") != 0)
                        strv_add(&kept, parts[i]);
        return strv_join(kept, "/");
}

static char *escaped(const char *text) {
        scoped(str_done) Str out = {0};
        for (; *text; text++) {
                if (strchr("*?[]\\", *text))
                        str_add_char(&out, '\\');
                str_add_char(&out, *text);
        }
        return str_take(&out);
}

static bool is_regular(const char *path) {
        struct stat info;
        return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* A directory that cannot be read is an error, never "no files". */
static int stop_at_error(const char *path, int number) {
        (void)path;
        return number != ENOENT && number != ENOTDIR;
}

static bool glob_disk(const Service *service, const char *files, Strv *ret, Err *err) {
        scoped(free_str) char *dir = escaped(service->directory);
        scoped(free_str) char *pattern = str_format("%s/%s", dir, files);
        glob_t found = {0};
        int failed = glob(pattern, GLOB_NOSORT, stop_at_error, &found);
        if (failed && failed != GLOB_NOMATCH) {
                globfree(&found);
                return err_fail(err, ERR_IO,
                        "looking for migrations '%s' in '%s': a directory cannot be read", files,
                        service->directory);
        }
        size_t skip = strlen(service->directory) + 1;
        for (size_t i = 0; i < found.gl_pathc; i++)
                if (is_regular(found.gl_pathv[i]))
                        strv_add(ret, found.gl_pathv[i] + skip);
        globfree(&found);
        return true;
}

static void glob_tree(const MigrateTree *tree, const char *files, Strv *ret) {
        for (size_t i = 0; tree->paths && tree->paths[i]; i++)
                if (fnmatch(files, tree->paths[i], FNM_PATHNAME | FNM_PERIOD) == 0)
                        strv_add(ret, tree->paths[i]);
}

bool migrate_read_file(
        const Service *service, const char *path, char **ret_bytes, size_t *ret_n, Err *err) {
        scoped(free_str) char *full = path_join(service->directory, path);
        return file_read(full, MIGRATE_SQL_BYTES, ret_bytes, ret_n, err);
}

static bool hash_of(const MigrateContext *context, const MigrateTree *tree, const char *path,
        char ret[65], Err *err) {
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        ret[0] = '\0';
        if (tree && !tree->read)
                return true;
        if (!tree) {
                scoped(free_str) char *full = path_join(context->service->directory, path);
                return file_sha256(full, ret, err);
        }
        if (!tree->read(tree->context, path, &bytes, &n, err))
                return false;
        sha256_hex(bytes, n, ret);
        return true;
}

static void add_file(const Migration *like, const char *path, MigrationList *list) {
        Migration migration = *like;
        migration.id = str_format("%s:%s", migration_kind_name(like->spec->kind), path);
        migration.path = str_copy(path);
        migration.title = str_copy(path_basename(path));
        PUSH(list->items, list->n, migration);
}

static bool add_files(const MigrateContext *context, const MigrateTree *tree, const Migration *like,
        MigrationList *list, Err *err) {
        scoped(strv_freep) Strv found = NULL;
        if (!like->spec->files || !below_directory(like->spec->files))
                return refuse_glob(like->spec->files ? like->spec->files : "", err);
        scoped(free_str) char *files = plain_path(like->spec->files);
        if (tree)
                glob_tree(tree, files, &found);
        else if (!glob_disk(context->service, files, &found, err))
                return false;
        size_t n = strv_count(found);
        if (n == 0)
                strv_addf(&list->warnings, "migrations[%zu]: '%s' matches no file",
                        like->spec_index, files);
        if (n > MIGRATE_FILES_MAX)
                return err_fail(err, ERR_REFUSED,
                        "migrations: '%s' matches %zu files, at most %d are taken", files, n,
                        MIGRATE_FILES_MAX);
        if (n > 1)
                qsort(found, n, sizeof(*found), by_bytes);
        for (size_t i = 0; i < n; i++) {
                if (!str_is_printable(found[i]))
                        return refuse_name(found[i], err);
                add_file(like, found[i], list);
                if (!hash_of(context, tree, found[i], list->items[list->n - 1].sha256, err))
                        return err_context(err, "reading the migration '%s'", found[i]);
        }
        return true;
}

/* A step for a person is known by its text. */
static void add_manual(const Migration *like, MigrationList *list) {
        Migration migration = *like;
        const char *text = like->spec->text ? like->spec->text : "";
        sha256_hex(text, strlen(text), migration.sha256);
        migration.id = str_format("manual:%.8s", migration.sha256);
        migration.title = str_printable(text, false);
        PUSH(list->items, list->n, migration);
}

/* The same file under two entries would be recorded once and run twice. */
static bool refuse_twice(const MigrationList *list, Err *err) {
        for (size_t i = 0; i < list->n; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(list->items[i].id, list->items[j].id) == 0)
                                return err_fail(err, ERR_MANIFEST,
                                        "migrations[%zu] and migrations[%zu] both name '%s'",
                                        list->items[j].spec_index, list->items[i].spec_index,
                                        list->items[i].title);
        return true;
}

bool migrate_list(
        const MigrateContext *context, const MigrateTree *tree, MigrationList *ret, Err *err) {
        scoped(migration_list_done) MigrationList list = {0};
        const Service *service = context->service;
        scoped(js_freep) json_t *record = migrate_record_load(context->state, service->name, err);
        if (!record)
                return false;
        for (size_t i = 0; i < service->n_migrations; i++) {
                const Migration like = {.spec = &service->migrations[i], .spec_index = i};
                if (like.spec->kind == MIGRATION_MANUAL)
                        add_manual(&like, &list);
                else if (!add_files(context, tree, &like, &list, err))
                        return false;
        }
        if (!refuse_twice(&list, err))
                return false;
        for (size_t i = 0; i < list.n; i++)
                migrate_record_apply(record, &list.items[i]);
        *ret = list;
        list = (MigrationList){0};
        return true;
}

void migration_list_done(MigrationList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i].id);
                free(list->items[i].path);
                free(list->items[i].title);
        }
        free(list->items);
        strv_free(list->warnings);
        *list = (MigrationList){0};
}
