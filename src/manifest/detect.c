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
#include "platform/file.h"

enum { DEPTH_MAX = 6, ENTRIES_MAX = 20000, FOUND_MAX = 200, SQLITE_LEAST = 100, WARNED_MAX = 10 };

/* www.sqlite.org/fileformat.html, 1.3: the first 16 bytes, the NUL included. */
static const char SQLITE_MAGIC[16] = "SQLite format 3";

#define LIST_THEM "List what is to be backed up under backup.contents ([] for nothing)."

typedef struct Walk {
        Service *service;
        Strv tracked; /* absolute, sorted; NULL: nothing is known of git */
        size_t n_tracked;
        const char *mixed; /* the data directory with tracked files that the walk is in, or NULL */
        const char *top;   /* of the files of a version: artifacts are named from there */
        bool in_release;   /* the walk is in the release that runs, and only warns */
        bool plain;        /* there is none yet: the first will be made of the plain checkout */
        dev_t device;
        unsigned entries, warned;
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

/* How Belay names what it keeps of an artifact (source/git/artifacts.h): "dist.0123456789ab" for a version,
 * "dist.before" for what a person had there. "dist.db" is data like any other. */
static bool is_kept_name(const char *behind) {
        enum { COMMIT_DIGITS = 12 };
        size_t digits = strspn(behind, "0123456789abcdef");
        return (digits == COMMIT_DIGITS && behind[digits] == '\0') ||
               strcmp(behind, "before") == 0 || str_starts(behind, "before-");
}

/* What install and build make, and the releases themselves: in that which runs is looked by itself. */
static bool is_made(const Walk *walk, const char *path) {
        const GitSpec *git = &walk->service->git;
        scoped(free_str) char *releases = path_join(git->directory, "releases");
        if (git->layout == LAYOUT_RELEASES && strcmp(path, releases) == 0)
                return true;
        for (size_t i = 0; git->artifacts && git->artifacts[i]; i++) {
                scoped(free_str) char *artifact = path_join(walk->top, git->artifacts[i]);
                if (!str_starts(path, artifact))
                        continue;
                const char *behind = path + strlen(artifact);
                if (*behind == '\0' || (*behind == '.' && is_kept_name(behind + 1)))
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

/* Each release is another directory: of a plain checkout the first one has what is in shared/ alone. */
static bool refuse_unshared(Walk *walk, const char *path) {
        err_fail(walk->err, ERR_REFUSED,
                "'%s' looks like data of the service, but no release would have it: it lies "
                "outside '%s/shared'",
                path, walk->service->git.directory);
        if (walk->unseen)
                content_drop_last(walk->service);
        return err_hint(walk->err, "Stop the service, move it to shared/ and name it under "
                                   "source.git.shared. " LIST_THEM);
}

static bool is_shared(const Walk *walk, const char *path) {
        const GitSpec *git = &walk->service->git;
        scoped(free_str) char *shared = path_join(git->directory, "shared");
        return path_holds(shared, path) || !path_holds(git->directory, path);
}

/* What has come about in the release that runs goes with it. It is too late to refuse that: a way back from
 * here must stay open. */
static void release_warn(Walk *walk, const char *path) {
        Strv *warnings = &walk->service->warnings;
        scoped(free_str) char *text = str_format(
                "'%s' looks like data of the service, and the next release will not have it: "
                "move it to shared/ and name it under source.git.shared",
                path);
        if (walk->warned < WARNED_MAX && !strv_contains(*warnings, text))
                strv_push(warnings, TAKE(text));
        walk->warned++;
}

static bool add(Walk *walk, ContentKind kind, const char *path) {
        Service *service = walk->service;
        BackupSpec *backup = &service->backup;
        if (walk->in_release) {
                release_warn(walk, path);
                return true;
        }
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
        if (walk->plain && !is_shared(walk, path))
                return refuse_unshared(walk, path);
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
        if (!walk->mixed || walk->in_release || file_is_tracked(walk, path) || is_placeholder(path))
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
        if (st.st_dev != walk->device || is_skipped(name) || is_made(walk, path))
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

/* Names first, then looks, in the order of names: the same directory gives the same list each time. */
static bool names_read(Walk *walk, int fd, const char *path, Strv *ret) {
        scoped(close_dir) DIR *dir = fdopendir(fd);
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

static bool walk_from(Walk *walk, const char *directory, const char *const *tracked) {
        scoped(close_fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_fail_errno(
                        walk->err, ERR_IO, errno, "looking for data in '%s'", directory);
        scoped(strv_freep) Strv absolute = NULL;
        for (; tracked && *tracked; tracked++)
                strv_push(&absolute, path_join(directory, *tracked));
        sort(absolute);
        walk->tracked = absolute;
        walk->n_tracked = strv_count(absolute);
        walk->device = st.st_dev;
        return walk_directory(walk, TAKE_FD(fd), directory, 1);
}

/* What cannot be looked at in there is passed over. */
static void look_at_release(Service *service, const char *release, const char *const *tracked) {
        scoped(strv_freep) Strv unseen = NULL;
        scoped(err_clear) Err err = {0};
        Walk walk = {.service = service,
                .top = release,
                .in_release = true,
                .unseen = &unseen,
                .err = &err};
        (void)walk_from(&walk, release, tracked);
}

static bool detect(Service *service, const char *const *tracked, Strv *unseen, Err *err) {
        if (service->backup.contents_given)
                return true;
        for (size_t i = 0; i < service->backup.n_contents; i++)
                if (service->backup.contents[i].detected)
                        return true;
        const GitSpec *git = &service->git;
        bool releases = git->layout == LAYOUT_RELEASES;
        scoped(free_str) char *current = path_join(git->directory, "current");
        scoped(free_str) char *release =
                releases && file_exists(current) ? file_real(current) : NULL;
        Walk walk = {.service = service,
                .top = git->directory,
                .plain = releases && !release,
                .unseen = unseen,
                .err = err};
        if (!walk_from(&walk, service->directory, tracked))
                return false;
        if (release)
                look_at_release(service, release, tracked);
        return true;
}

bool manifest_detect_contents(Service *service, const char *const *tracked, Err *err) {
        return detect(service, tracked, NULL, err);
}

void manifest_find_contents(Service *service, const char *const *tracked, Strv *ret_unseen) {
        scoped(err_clear) Err failure = {0};
        if (!detect(service, tracked, ret_unseen, &failure) && failure.message)
                strv_add(ret_unseen, failure.message);
}
