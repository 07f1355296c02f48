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

enum { DEPTH_MAX = 6, ENTRIES_MAX = 20000, FOUND_MAX = 200 };

/* www.sqlite.org/fileformat.html, 1.3: the first 16 bytes, the NUL included. */
static const char SQLITE_MAGIC[16] = "SQLite format 3";

#define LIST_THEM "List what is to be backed up under backup.contents ([] for nothing)."

typedef struct Walk {
        Service *service;
        const char *const *tracked; /* may be NULL */
        const char *checkout;       /* what they are relative to */
        dev_t device;
        unsigned entries;
        Err *err;
} Walk;

/* Made again by tools, or copies that somebody or Belay itself put aside. */
static bool is_skipped(const char *name) {
        static const char *const names[] = {".git", "node_modules", ".venv", "venv", "__pycache__",
                ".mypy_cache", ".tox", ".cache", ".hg", ".svn", ".pytest_cache"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return strstr(name, ".backup") || strstr(name, ".salvage") || str_ends(name, ".bak") ||
               str_ends(name, ".belay-tmp");
}

static bool is_data_name(const char *name) {
        static const char *const names[] = {"data", "db", "storage", "uploads", "media", "var"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

/* The path itself, or anything below it, is in git. */
static bool is_tracked(const Walk *walk, const char *path) {
        for (size_t i = 0; walk->tracked && walk->tracked[i]; i++) {
                scoped(free_str) char *tracked = path_settle(walk->checkout, walk->tracked[i]);
                if (path_holds(path, tracked))
                        return true;
        }
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

static bool walk_directory(Walk *walk, int fd, const char *path, unsigned depth);

static bool enter(Walk *walk, int dir, const char *name, const char *path, unsigned depth) {
        if (is_store(walk, path))
                return true;
        if (is_data_name(name) && !is_tracked(walk, path))
                return add(walk, CONTENT_PATH, path);
        if (depth == DEPTH_MAX)
                return true;
        scoped(close_fd) int fd =
                openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ||
                       err_fail_errno(walk->err, ERR_IO, errno, "looking for data in '%s'", path);
        return walk_directory(walk, TAKE_FD(fd), path, depth + 1);
}

static bool entry_look(Walk *walk, int dir, const char *name, const char *path, unsigned depth) {
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ||
                       err_fail_errno(walk->err, ERR_IO, errno, "looking at '%s'", path);
        if (st.st_dev != walk->device || is_skipped(name))
                return true;
        if (S_ISDIR(st.st_mode))
                return enter(walk, dir, name, path, depth);
        bool sqlite = false;
        if (!S_ISREG(st.st_mode) || st.st_size < 100)
                return true;
        if (!is_sqlite(walk, dir, name, path, &sqlite))
                return false;
        return !sqlite || is_tracked(walk, path) || add(walk, CONTENT_SQLITE, path);
}

static void dir_close(DIR **dir) {
        if (*dir)
                (void)closedir(*dir);
}

static int by_name(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
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
                if (++walk->entries > ENTRIES_MAX) {
                        err_fail(walk->err, ERR_REFUSED,
                                "'%s' has more than %d files: too many to look for data",
                                walk->service->directory, ENTRIES_MAX);
                        return err_hint(walk->err, LIST_THEM);
                }
                strv_add(ret, entry->d_name);
        }
        if (*ret)
                qsort(*ret, strv_count(*ret), sizeof(**ret), by_name);
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
                if (!entry_look(walk, own, names[i], inner, depth))
                        return false;
        }
        return true;
}

bool manifest_detect_contents(Service *service, const char *const *tracked, Err *err) {
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
        Walk walk = {.service = service,
                .tracked = tracked,
                .checkout = service->git.directory,
                .device = st.st_dev,
                .err = err};
        return walk_directory(&walk, TAKE_FD(fd), service->directory, 1);
}
