/* What a service without `backup.contents` has to lose, by a look at its directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/contents.h"
#include "manifest/manifest.h"
#include "manifest/value.h"

enum { DEPTH_MAX = 6, ENTRIES_MAX = 20000, FOUND_MAX = 200, SQLITE_LEAST = 100 };

/* www.sqlite.org/fileformat.html, 1.3: the first 16 bytes, the NUL included. */
static const char SQLITE_MAGIC[16] = "SQLite format 3";

#define LIST_THEM "List what is to be backed up under backup.contents ([] for nothing)."

typedef struct Walk {
        Service *service;
        Strv tracked; /* absolute, sorted; NULL: nothing is known of git */
        size_t n_tracked;
        const char *mixed; /* the data directory with tracked files that the walk is in, or NULL */
        dev_t device;
        unsigned entries;
        Strv *unseen; /* what could not be looked at is told here, and passed over; NULL: it is an error */
        bool full; /* unseen: the limit of entries was told */
        Err *err;
} Walk;

/* After a failure: true when it is only told, and the walk goes on. */
static bool is_told(Walk *walk) {
        if (!walk->unseen)
                return false;
        if (walk->err->message && !strv_contains(*walk->unseen, walk->err->message))
                strv_add(walk->unseen, walk->err->message);
        err_clear(walk->err);
        return true;
}

static int by_text(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(Strv names) {
        if (names)
                qsort(names, strv_count(names), sizeof(*names), by_text);
}

/* Made again by tools, or copies that somebody or Belay itself put aside. */
static bool is_skipped(const char *name) {
        static const char *const names[] = {".git", ".belay", "node_modules", ".venv", "venv",
                "__pycache__", ".mypy_cache", ".tox", ".cache", ".hg", ".svn", ".pytest_cache"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return strstr(name, ".backup") || strstr(name, ".salvage") || str_ends(name, ".bak") ||
               str_ends(name, ".belay-tmp");
}

/* "dist", or "dist.0123456789ab" as Belay keeps it for a version; and the releases themselves. */
static bool is_made(const Service *service, const char *path) {
        const GitSpec *git = &service->git;
        scoped(free_str) char *releases = path_join(git->directory, "releases");
        if (git->layout == LAYOUT_RELEASES && strcmp(path, releases) == 0)
                return true;
        for (size_t i = 0; git->artifacts && git->artifacts[i]; i++) {
                scoped(free_str) char *artifact = path_join(git->directory, git->artifacts[i]);
                size_t n = strlen(artifact);
                if (strncmp(path, artifact, n) == 0 && (path[n] == '\0' || path[n] == '.'))
                        return true;
        }
        return false;
}

static bool is_data_name(const char *name) {
        static const char *const names[] = {"data", "db", "storage", "uploads", "media", "var"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

/* Files that only keep an empty directory in git. */
static bool is_placeholder(const char *path) {
        static const char *const names[] = {
                ".gitkeep", ".keep", ".gitignore", "README", "README.md"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(path_basename(path), names[i]) == 0)
                        return true;
        return false;
}

/* Where `text` is, or would be, among the tracked. */
static size_t place_of(const Walk *walk, const char *text) {
        size_t low = 0, high = walk->n_tracked;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (strcmp(walk->tracked[middle], text) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool file_is_tracked(const Walk *walk, const char *path) {
        size_t at = walk->tracked ? place_of(walk, path) : 0;
        return walk->tracked && str_equal(walk->tracked[at], path);
}

static bool directory_is_tracked(const Walk *walk, const char *path) {
        scoped(free_str) char *prefix = str_format("%s/", path);
        if (!walk->tracked)
                return false;
        char *const *file = walk->tracked + place_of(walk, prefix);
        for (; *file && str_starts(*file, prefix); file++)
                if (!is_placeholder(*file))
                        return true;
        return false;
}

static bool is_store(const Walk *walk, const char *path) {
        char *const *stores = walk->service->backup.local_stores;
        return strv_contains(stores, path);
}

static bool add(Walk *walk, ContentKind kind, const char *path) {
        Service *service = walk->service;
        BackupSpec *backup = &service->backup;
        if (backup->n_contents == FOUND_MAX) {
                err_fail(walk->err, ERR_REFUSED, "'%s' has more than %d places that look like data",
                        service->directory, FOUND_MAX);
                return err_hint(walk->err, LIST_THEM);
        }
        content_add(service, kind, path, true);
        scoped(free_str) char *conflict = content_conflict(service, backup->n_contents - 1);
        if (conflict) {
                err_fail(walk->err, ERR_REFUSED, "'%s' looks like data of the service, but it %s",
                        path, conflict);
                if (walk->unseen)
                        content_drop_last(service);
                return err_hint(walk->err, LIST_THEM);
        }
        scoped(free_str) char *key = str_format("backup.contents[%zu]", backup->n_contents - 1);
        service_explain(service, key, path,
                kind == CONTENT_SQLITE ? "detected: an SQLite database"
                                       : "detected: a directory of data");
        return true;
}

/* A file that goes away or may not be read between two calls is no reason to call it code: it is an error. */
static bool is_sqlite(Walk *walk, int dir, const char *name, const char *path, bool *ret) {
        scoped(close_fd) int fd =
                openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        char first[sizeof(SQLITE_MAGIC)];
        if (fd < 0 && errno == ENOENT) {
                *ret = false;
                return true;
        }
        if (fd < 0)
                return err_fail_errno(walk->err, ERR_IO, errno, "looking for data in '%s'", path);
        ssize_t got = pread(fd, first, sizeof(first), 0);
        if (got < 0)
                return err_fail_errno(walk->err, ERR_IO, errno, "looking for data in '%s'", path);
        *ret = got == (ssize_t)sizeof(first) && memcmp(first, SQLITE_MAGIC, sizeof(first)) == 0;
        return true;
}

bool manifest_is_sqlite(const char *path) {
        scoped(err_clear) Err err = {0};
        Walk walk = {.err = &err};
        bool sqlite = false;
        return is_sqlite(&walk, AT_FDCWD, path, path, &sqlite) && sqlite;
}

static bool walk_directory(Walk *walk, int fd, const char *path, unsigned depth);

static bool enter(Walk *walk, int dir, const char *name, const char *path, unsigned depth) {
        if (is_store(walk, path))
                return true;
        bool data = is_data_name(name);
        if (data && !directory_is_tracked(walk, path))
                return add(walk, CONTENT_PATH, path);
        if (depth == DEPTH_MAX)
                return true;
        scoped(close_fd) int fd =
                openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ||
                       err_fail_errno(walk->err, ERR_IO, errno, "looking for data in '%s'", path);
        const char *outer = walk->mixed;
        walk->mixed = data ? path : outer;
        bool good = walk_directory(walk, TAKE_FD(fd), path, depth + 1);
        walk->mixed = outer;
        return good;
}

/* Whether that is data nobody but a person can tell; it is not passed over in silence. */
static void mixed_warn(Walk *walk, const char *path) {
        if (!walk->mixed || file_is_tracked(walk, path) || is_placeholder(path))
                return;
        scoped(free_str) char *text =
                str_format("'%s' holds files of git and others, and is not backed "
                           "up: list what is data in it under backup.contents",
                        walk->mixed);
        if (!strv_contains(walk->service->warnings, text))
                strv_add(&walk->service->warnings, text);
}

static bool entry_look(Walk *walk, int dir, const char *name, const char *path, unsigned depth) {
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ||
                       err_fail_errno(walk->err, ERR_IO, errno, "looking at '%s'", path);
        if (st.st_dev != walk->device || is_skipped(name) || is_made(walk->service, path))
                return true;
        if (S_ISDIR(st.st_mode))
                return enter(walk, dir, name, path, depth);
        bool sqlite = false;
        if (!S_ISREG(st.st_mode))
                return true;
        if (st.st_size >= SQLITE_LEAST && !is_sqlite(walk, dir, name, path, &sqlite))
                return false;
        if (sqlite)
                return file_is_tracked(walk, path) || add(walk, CONTENT_SQLITE, path);
        mixed_warn(walk, path);
        return true;
}

static void dir_close(DIR **dir) {
        if (*dir)
                (void)closedir(*dir);
}

/* Names first, then looks, in the order of names: the same directory gives the same list each time. */
static bool names_read(Walk *walk, int fd, const char *path, Strv *ret) {
        scoped(dir_close) DIR *dir = fdopendir(fd);
        if (!dir) {
                (void)close(fd);
                return err_fail_errno(walk->err, ERR_IO, errno, "looking for data in '%s'", path);
        }
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(dir);
                if (!entry && errno)
                        return err_fail_errno(
                                walk->err, ERR_IO, errno, "looking for data in '%s'", path);
                if (!entry)
                        break;
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (walk->full)
                        return true;
                if (++walk->entries > ENTRIES_MAX) {
                        walk->full = walk->unseen != NULL;
                        err_fail(walk->err, ERR_REFUSED,
                                "'%s' has more than %d files: too many to look for data",
                                walk->service->directory, ENTRIES_MAX);
                        return err_hint(walk->err, LIST_THEM);
                }
                strv_add(ret, entry->d_name);
        }
        sort(*ret);
        return true;
}

/* Takes the descriptor over. */
static bool walk_directory(Walk *walk, int fd, const char *path, unsigned depth) {
        scoped(close_fd) int own = fd;
        scoped(strv_freep) Strv names = NULL;
        int copy = fcntl(own, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
                return err_fail_errno(walk->err, ERR_IO, errno, "looking for data in '%s'", path);
        if (!names_read(walk, copy, path, &names))
                return false;
        for (size_t i = 0; names && names[i]; i++) {
                scoped(free_str) char *inner = path_join(path, names[i]);
                if (!entry_look(walk, own, names[i], inner, depth) && !is_told(walk))
                        return false;
        }
        return true;
}

static bool detect(Service *service, const char *const *tracked, Strv *unseen, Err *err) {
        if (service->backup.contents_given)
                return true;
        for (size_t i = 0; i < service->backup.n_contents; i++)
                if (service->backup.contents[i].detected)
                        return true;
        scoped(close_fd) int fd = open(service->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "looking for data in '%s'", service->directory);
        scoped(strv_freep) Strv absolute = NULL;
        for (; tracked && *tracked; tracked++)
                strv_push(&absolute, path_join(service->directory, *tracked));
        sort(absolute);
        Walk walk = {.service = service,
                .tracked = absolute,
                .n_tracked = strv_count(absolute),
                .device = st.st_dev,
                .unseen = unseen,
                .err = err};
        return walk_directory(&walk, TAKE_FD(fd), service->directory, 1);
}

bool manifest_detect_contents(Service *service, const char *const *tracked, Err *err) {
        return detect(service, tracked, NULL, err);
}

void manifest_find_contents(Service *service, const char *const *tracked, Strv *ret_unseen) {
        scoped(err_clear) Err failure = {0};
        if (!detect(service, tracked, ret_unseen, &failure) && failure.message)
                strv_add(ret_unseen, failure.message);
}
