/* What a service has to lose: databases, directories of data, and whatever else is not in git and no tool made. */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "manifest/contents.h"
#include "manifest/manifest.h"
#include "manifest/value.h"
#include "update/init.h"

enum { NAMES_MAX = 2000, DATABASE_DEEP = 3 };

/* -- the draft's contents --------------------------------------------------------------------- */

static bool content_add_why(Init *init, ContentKind kind, const char *absolute, const char *why) {
        scoped(free_str) char *path = init_relative(init, absolute);
        if (!draft_text_ok(path)) {
                scoped(free_str) char *shown = str_printable(path, false);
                strv_addf(&init->draft.notes,
                        "'%s' looks like data, but its name cannot be written here: it is NOT in "
                        "the "
                        "backup. Rename it.",
                        shown);
                return false;
        }
        DraftContent found = {kind, TAKE(path), str_copy(why)};
        PUSH(init->draft.contents, init->draft.n_contents, found);
        return true;
}

/* -- what is not in git ----------------------------------------------------------------------- */

/* Made again by tools, written for nobody to keep, or described elsewhere in the manifest. */
static bool is_passed_over(const char *name) {
        static const char *const patterns[] = {".*", "node_modules*", "venv*", "env", "dist",
                "build", "out", "target", "coverage", "tmp", "temp", "log", "logs", "cache",
                "__pycache__", "obj", "vendor", "run", "*.log", "*.pid", "*.sock", "*.lock",
                "*.tmp", "*.bak", "*.swp", "*.pyc", "*.o", "*.egg-info", "*~", "nohup.out",
                "belay.yaml", "package-lock.json", "yarn.lock", "core", "*.backup*", "*.salvage*",
                "*-wal", "*-shm", "*-journal", "Dockerfile", "docker-compose*", "compose.*",
                "README*", "*.a", "*.h", "*.d", "*.lo", "*.la", "*.so", "*.gch", "config.h*",
                "config.status", "libtool", "stamp-*", "CMakeFiles", "CMakeCache.txt"};
        for (size_t i = 0; i < COUNT_OF(patterns); i++)
                if (fnmatch(patterns[i], name, 0) == 0)
                        return true;
        return false;
}

static bool is_tracked(const Init *init, const char *name) {
        scoped(free_str) char *below = str_format("%s/", name);
        for (char *const *file = init->tracked; file && *file; file++)
                if (strcmp(*file, name) == 0 || str_starts(*file, below))
                        return true;
        return false;
}

static bool is_program(const Init *init, const char *name, const struct stat *st) {
        if (strv_contains(init->draft.artifacts, name) ||
                (S_ISREG(st->st_mode) && st->st_mode & S_IXUSR))
                return true;
        for (char *const *word = init->draft.command; word && *word; word++)
                if (strcmp(*word, name) == 0 && str_ends(name, "js"))
                        return true;
        return false;
}

static bool is_there_already(const Service *service, const char *path) {
        for (size_t i = 0; i < service->backup.n_contents; i++)
                if (strcmp(service->backup.contents[i].path, path) == 0)
                        return true;
        return false;
}

/* A directory that holds the checkout, the store or one of the system is none. */
static bool may_be_content(Service *service, const char *path) {
        if (is_there_already(service, path) || content_problem(path))
                return false;
        return !path_holds(path, service->git.directory);
}

static void dir_close(DIR **dir) {
        if (*dir)
                (void)closedir(*dir);
}

static int by_text(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Right below the service's directory; links are not followed. */
/* A backup that cannot read it would fail at each update. */
static bool may_be_read(Init *init, int dir, const char *name) {
        if (faccessat(dir, name, R_OK, AT_EACCESS) == 0)
                return true;
        scoped(free_str) char *shown = str_printable(name, false);
        strv_addf(&init->draft.notes,
                "'%s' is not in git and may not be read by this user: it is NOT in the backup.",
                shown);
        return false;
}

static Strv untracked(Init *init, Service *service) {
        scoped(dir_close) DIR *dir = opendir(init->place);
        Strv found = NULL;
        /* Without a list of what is tracked all of the program would be data. */
        for (struct dirent *entry;
                init->tracked && dir && (entry = readdir(dir)) && strv_count(found) < NAMES_MAX;) {
                struct stat st;
                if (is_passed_over(entry->d_name) || is_tracked(init, entry->d_name) ||
                        fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
                        is_program(init, entry->d_name, &st))
                        continue;
                scoped(free_str) char *path = path_join(init->place, entry->d_name);
                if (may_be_content(service, path) && may_be_read(init, dirfd(dir), entry->d_name))
                        strv_push(&found, TAKE(path));
        }
        if (found)
                qsort(found, strv_count(found), sizeof(*found), by_text);
        return found;
}

static bool lies_in_any(char *const *places, const char *path) {
        for (; places && *places; places++)
                if (path_holds(*places, path))
                        return true;
        return false;
}

/* -- databases -------------------------------------------------------------------------------- */

typedef struct Databases {
        char *only;
        size_t n;
} Databases;

static void database_seen(Databases *found, const char *path) {
        if (found->n++ == 0)
                str_replace_owned(&found->only, str_copy(path));
}

static void databases_below(const char *directory, unsigned depth, Databases *found) {
        scoped(dir_close) DIR *dir = opendir(directory);
        unsigned seen = 0;
        for (struct dirent *entry; dir && (entry = readdir(dir)) && seen++ < NAMES_MAX;) {
                struct stat st;
                scoped(free_str) char *path = path_join(directory, entry->d_name);
                if (entry->d_name[0] == '.' || lstat(path, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode) && depth > 1)
                        databases_below(path, depth - 1, found);
                else if (S_ISREG(st.st_mode) && manifest_is_sqlite(path))
                        database_seen(found, path);
        }
}

/* As a migration names it, from the service's directory. Of several nobody can tell which one is meant. Owned. */
static char *only_database(const Init *init, const Service *service) {
        Databases found = {0};
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const Content *content = &service->backup.contents[i];
                if (content->kind == CONTENT_SQLITE)
                        database_seen(&found, content->path);
                else
                        databases_below(content->path, DATABASE_DEEP, &found);
        }
        if (found.n != 1) {
                free(found.only);
                return NULL;
        }
        size_t n = strlen(init->place);
        bool below = str_starts(found.only, init->place) && found.only[n] == '/';
        char *name = str_copy(below ? found.only + n + 1 : found.only);
        free(found.only);
        return name;
}

/* -- all of it -------------------------------------------------------------------------------- */

static void take_contents(Init *init, Service *service) {
        scoped(strv_freep) Strv unseen = NULL;
        manifest_find_contents(service, (const char *const *)init->tracked, &unseen);
        scoped(strv_freep) Strv others = untracked(init, service);
        /* Those of the draft come first: they are in there already. */
        for (size_t i = init->draft.n_contents; i < service->backup.n_contents; i++) {
                const Content *content = &service->backup.contents[i];
                if (!lies_in_any(others, content->path))
                        (void)content_add_why(init, content->kind, content->path,
                                content->kind == CONTENT_SQLITE
                                        ? "An SQLite database, by its first bytes."
                                        : "A directory of data, by its name; git does not track "
                                          "it.");
        }
        for (size_t i = 0; others && others[i]; i++)
                (void)content_add_why(init, CONTENT_PATH, others[i],
                        "It is not in git, and no tool is known to make it again: kept, to be "
                        "safe.");
        for (size_t i = 0; unseen && unseen[i]; i++)
                strv_addf(&init->draft.notes, "Not looked at for data: %s.", unseen[i]);
        for (size_t i = 0; service->warnings && service->warnings[i]; i++)
                strv_addf(&init->draft.notes, "%s.", service->warnings[i]);
        init->draft.contents_open = unseen != NULL;
}

void init_take_data(Init *init, Service *service) {
        take_contents(init, service);
        scoped(free_str) char *database = only_database(init, service);
        draft_look_migrations(&init->draft, init->place, init->tracked, database);
}
