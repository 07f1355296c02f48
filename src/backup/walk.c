#include "backup/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

enum { DEPTH_MAX = 256 };

int open_beneath(int dir_fd, const char *path, int flags, mode_t mode, bool same_mount) {
        struct open_how how = {
                .flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
                .mode = flags & O_CREAT ? mode : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                           (same_mount ? RESOLVE_NO_XDEV : 0),
        };
        int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd < 0 && (errno == ENOSYS || errno == EPERM) && !strchr(path, '/'))
                fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
        return fd;
}

bool path_is_of_database(const char *path, const char *database) {
        static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
        size_t n = strlen(database);
        if (strncmp(path, database, n) != 0)
                return false;
        for (size_t i = 0; i < COUNT_OF(endings); i++)
                if (strcmp(path + n, endings[i]) == 0)
                        return true;
        return false;
}

static bool is_skipped(const Walk *w, const char *path) {
        for (size_t i = 0; w->skip && w->skip[i]; i++)
                if (path_is_of_database(path, w->skip[i]))
                        return true;
        return false;
}

static int by_bytes(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_in(int dir_fd, const char *path, Strv *ret, Err *err) {
        scoped(strv_freep) Strv names = NULL;
        int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        scoped(close_dir) DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        if (!dir)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", path);
        for (;;) {
                errno = 0;
                struct dirent *d = readdir(dir);
                if (!d)
                        break;
                if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
                        strv_add(&names, d->d_name);
        }
        if (errno != 0)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", path);
        if (names)
                qsort(names, strv_count(names), sizeof(char *), by_bytes);
        *ret = TAKE(names);
        return true;
}

static bool walk_directory(const Walk *w, int dir_fd, const char *path, unsigned depth, Err *err);

static bool enter(const Walk *w, const WalkPlace *place, unsigned depth, Err *err) {
        if (depth >= DEPTH_MAX)
                return err_fail(err, ERR_REFUSED, "'%s/%s' is more than %d directories deep",
                        w->root, place->path, DEPTH_MAX);
        scoped(close_fd) int fd =
                open_beneath(place->dir_fd, place->name, O_RDONLY | O_DIRECTORY, 0, true);
        if (fd < 0 && errno == ENOENT)
                return true;
        if (fd < 0 && errno == EXDEV) {
                err_fail(err, ERR_REFUSED, "'%s/%s' is a mount point inside of what is backed up",
                        w->root, place->path);
                return err_hint(err, "Name the mounted directory under backup.contents by itself, "
                                     "or unmount it.");
        }
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s/%s'", w->root, place->path);
        return walk_directory(w, fd, place->path, depth, err);
}

static bool walk_entry(const Walk *w, const WalkPlace *place, unsigned depth, Err *err) {
        struct stat st;
        if (w->cancel && w->cancel->requested)
                return err_fail(err, ERR_CANCELLED, "reading '%s' was cancelled", w->root);
        if (fstatat(place->dir_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
                if (errno == ENOENT)
                        return true;
                return err_fail_errno(
                        err, ERR_IO, errno, "looking at '%s/%s'", w->root, place->path);
        }
        if (!w->visit(w->context, place, &st, err))
                return false;
        return !S_ISDIR(st.st_mode) || enter(w, place, depth + 1, err);
}

static bool walk_directory(const Walk *w, int dir_fd, const char *path, unsigned depth, Err *err) {
        scoped(strv_freep) Strv names = NULL;
        if (!names_in(dir_fd, path, &names, err))
                return false;
        for (size_t i = 0; names && names[i]; i++) {
                bool top = strcmp(path, ".") == 0;
                scoped(free_str) char *inner = top ? str_copy(names[i]) : path_join(path, names[i]);
                WalkPlace place = {dir_fd, names[i], inner};
                if (!is_skipped(w, inner) && !walk_entry(w, &place, depth, err))
                        return false;
        }
        return true;
}

static bool walk_file(const Walk *w, Err *err) {
        scoped(free_str) char *parent = path_dirname(w->root);
        scoped(close_fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_fail_errno(
                        err, errno == ENOENT ? ERR_UNKNOWN : ERR_IO, errno, "opening '%s'", parent);
        const char *name = path_basename(w->root);
        WalkPlace place = {fd, name, name};
        struct stat st;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
                return err_fail_errno(err, errno == ENOENT ? ERR_UNKNOWN : ERR_IO, errno,
                        "looking at '%s'", w->root);
        if (!S_ISREG(st.st_mode))
                return err_fail(err, ERR_REFUSED, "'%s' is no regular file any more", w->root);
        return w->visit(w->context, &place, &st, err);
}

bool walk(const Walk *w, Err *err) {
        if (w->is_file)
                return walk_file(w, err);
        scoped(close_fd) int fd = open(w->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0)
                return err_fail_errno(err, errno == ENOENT ? ERR_UNKNOWN : ERR_IO, errno,
                        "opening '%s'", w->root);
        WalkPlace root = {fd, ".", "."};
        return w->visit(w->context, &root, &st, err) && walk_directory(w, fd, ".", 0, err);
}

bool walk_open_file(const WalkPlace *place, int *ret_fd, Err *err) {
        *ret_fd = -1;
        int fd = open_beneath(
                place->dir_fd, place->name, O_RDONLY | O_NONBLOCK | O_NOATIME, 0, true);
        if (fd < 0 && errno == EPERM)
                fd = open_beneath(place->dir_fd, place->name, O_RDONLY | O_NONBLOCK, 0, true);
        if (fd < 0 && (errno == ENOENT || errno == ELOOP))
                return true;
        if (fd < 0 && errno == EXDEV)
                return err_fail(err, ERR_REFUSED,
                        "'%s' is a mount point inside of what is backed up", place->path);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", place->path);
        *ret_fd = fd;
        return true;
}
