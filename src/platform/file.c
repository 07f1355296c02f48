#include "platform/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "platform/fault.h"
#include "platform/file_parts.h"
#include "platform/sha256.h"

enum { COPY_BYTES = 256 * 1024 };

static const struct {
        mode_t type;
        const char *name;
} kinds[] = {
        {S_IFREG, "a file"},
        {S_IFDIR, "a directory"},
        {S_IFIFO, "a FIFO"},
        {S_IFSOCK, "a socket"},
        {S_IFCHR, "a character device"},
        {S_IFBLK, "a block device"},
        {S_IFLNK, "a symbolic link"},
};

const char *file_kind(mode_t mode) {
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
                if ((mode & S_IFMT) == kinds[i].type)
                        return kinds[i].name;
        return "no file";
}

/* -- reading ------------------------------------------------------------------------------ */

static bool not_regular(const char *path, mode_t mode, Err *err) {
        err_fail(err, ERR_IO, "'%s' is %s, not a file", path, file_kind(mode));
        return err_hint(err, "Name a regular file there, or remove what is in its place.");
}

/* Not blocking: whoever opens a FIFO without a writer would wait for ever. *ret_fd is -1 when there
 * is nothing. */
bool file_open_regular(const char *path, int *ret_fd, struct stat *ret, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ENOENT) {
                *ret_fd = -1;
                return true;
        }
        struct stat st;
        if (fd < 0 && errno == ENXIO && stat(path, &st) == 0)
                return not_regular(path, st.st_mode, err);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        if (fstat(fd, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        if (!S_ISREG(st.st_mode))
                return not_regular(path, st.st_mode, err);
        *ret = st;
        *ret_fd = TAKE_FD(fd);
        return true;
}

ssize_t fd_read_some(int fd, void *room, size_t n) {
        for (;;) {
                ssize_t got = read(fd, room, n);
                if (got >= 0 || errno != EINTR)
                        return got;
        }
}

static bool over_limit(const char *path, size_t limit, Err *err) {
        scoped(free_str) char *text = bytes_text(limit);
        return err_fail(err, ERR_CORRUPT, "'%s' is larger than the limit of %s (%zu bytes)", path,
                text, limit);
}

/* Reads to the end rather than to the size: /proc says 0, and a file may grow. */
static bool read_all(int fd, const char *path, size_t limit, Str *into, Err *err) {
        scoped(free_str) char *room = mem_new(COPY_BYTES, 1);
        for (;;) {
                ssize_t got = fd_read_some(fd, room, COPY_BYTES);
                if (got < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", path);
                if (got == 0)
                        return true;
                if (into->len + (size_t)got > limit)
                        return over_limit(path, limit, err);
                str_add_n(into, room, (size_t)got);
        }
}

bool file_read_if(const char *path, size_t limit, char **ret_text, size_t *ret_bytes, Err *err) {
        scoped(close_fd) int fd = -1;
        struct stat st;
        if (!file_open_regular(path, &fd, &st, err))
                return false;
        if (fd < 0) {
                *ret_text = NULL;
                if (ret_bytes)
                        *ret_bytes = 0;
                return true;
        }
        if (st.st_size > 0 && (uintmax_t)st.st_size > limit)
                return over_limit(path, limit, err);
        scoped(str_done) Str text = {0};
        if (!read_all(fd, path, limit, &text, err))
                return false;
        if (ret_bytes)
                *ret_bytes = text.len;
        *ret_text = str_take(&text);
        return true;
}

bool file_read(const char *path, size_t limit, char **ret_text, size_t *ret_bytes, Err *err) {
        char *text = NULL;
        if (!file_read_if(path, limit, &text, ret_bytes, err))
                return false;
        if (!text)
                return err_fail(err, ERR_UNKNOWN, "there is no file '%s'", path);
        *ret_text = text;
        return true;
}

bool file_exists(const char *path) {
        struct stat st;
        return lstat(path, &st) == 0;
}

bool file_stat(const char *path, struct stat *ret, bool *ret_there, Err *err) {
        struct stat st;
        if (lstat(path, &st) == 0) {
                *ret = st;
                *ret_there = true;
                return true;
        }
        if (errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        *ret_there = false;
        return true;
}

bool file_sha256(const char *path, char ret_hex[65], Err *err) {
        scoped(close_fd) int fd = -1;
        struct stat st;
        if (!file_open_regular(path, &fd, &st, err))
                return false;
        if (fd < 0)
                return err_fail(err, ERR_UNKNOWN, "there is no file '%s'", path);
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        scoped(free_str) char *room = mem_new(COPY_BYTES, 1);
        for (;;) {
                ssize_t got = fd_read_some(fd, room, COPY_BYTES);
                if (got < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", path);
                if (got == 0)
                        break;
                sha256_add(sum, room, (size_t)got);
        }
        sha256_end(sum, ret_hex);
        return true;
}

bool file_name_check(const char *path, ErrCode code, Err *err) {
        if (str_is_printable(path))
                return true;
        scoped(free_str) char *shown = str_printable(path, false);
        err_fail(err, code, "the path '%s' is no text: it has control characters or is not UTF-8",
                shown);
        return err_hint(err, "Belay could not write it down and find it again. Rename what is odd "
                             "in it.");
}

char *file_real(const char *path) {
        char *real = realpath(path, NULL);
        if (real || errno != ENOENT)
                return real;
        scoped(free_str) char *bare = str_copy(path);
        for (size_t n = strlen(bare); n > 1 && bare[n - 1] == '/'; n--)
                bare[n - 1] = '\0';
        scoped(free_str) char *dir = path_dirname(bare);
        scoped(free_str) char *real_dir = realpath(dir, NULL);
        return real_dir ? path_join(real_dir, path_basename(bare)) : NULL;
}

/* -- descriptors -------------------------------------------------------------------------- */

static ssize_t write_some(int fd, const char *at, size_t n) {
#ifdef BELAY_FAULT_POINTS
        size_t part = fault_torn(n);
        if (part < n) {
                while (part > 0) {
                        ssize_t put = write(fd, at, part);
                        if (put <= 0)
                                break;
                        at += put;
                        part -= (size_t)put;
                }
                fault_die();
        }
#endif
        ssize_t put = write(fd, at, n);
        if (put == 0)
                errno = EIO;
        return put;
}

bool fd_write_all(int fd, const void *bytes, size_t n, const char *what, Err *err) {
        const char *at = bytes;
        if (fault_before("write", what))
                return err_fail_errno(err, ERR_IO, errno, "writing '%s'", what);
        while (n > 0) {
                ssize_t put = write_some(fd, at, n);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put <= 0)
                        return err_fail_errno(err, ERR_IO, errno, "writing '%s'", what);
                at += put;
                n -= (size_t)put;
        }
        fault_after();
        return true;
}

bool fd_sync(int fd, const char *what, Err *err) {
        if (fault_before("sync", what) || fdatasync(fd) < 0)
                return err_fail_errno(err, ERR_IO, errno, "syncing '%s' to disk", what);
        fault_after();
        return true;
}

bool fd_sync_whole(int fd, const char *what, Err *err) {
        if (fault_before("sync", what) || fsync(fd) < 0)
                return err_fail_errno(err, ERR_IO, errno, "syncing '%s' to disk", what);
        fault_after();
        return true;
}

bool fd_sync_directory(int fd, const char *path, Err *err) {
        /* Some network file systems have no such call and answer EINVAL: there is no more to be had. */
        bool failed = fault_before("sync", path);
        if (!failed && fsync(fd) < 0)
                failed = errno != EINVAL && errno != EOPNOTSUPP;
        if (failed)
                return err_fail_errno(err, ERR_IO, errno, "syncing directory '%s' to disk", path);
        fault_after();
        return true;
}

bool dir_sync(const char *path, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening directory '%s'", path);
        return fd_sync_directory(fd, path, err);
}

bool disk_sync(const char *path, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening directory '%s'", path);
        if (fault_before("syncfs", path) || syncfs(fd) < 0)
                return err_fail_errno(err, ERR_IO, errno, "syncing the disk of '%s'", path);
        fault_after();
        return true;
}

bool fd_reserve(int fd, uint64_t bytes, const char *what, Err *err) {
        if (bytes == 0)
                return true;
        if (bytes > INT64_MAX)
                return err_fail_errno(err, ERR_IO, EFBIG, "reserving room for '%s'", what);
        int failed = 0;
        if (fault_before("fallocate", what))
                return err_fail_errno(err, ERR_IO, errno, "reserving room for '%s'", what);
        do
                failed = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) < 0 ? errno : 0;
        while (failed == EINTR);
        if (failed && failed != EOPNOTSUPP && failed != ENOSYS)
                return err_fail_errno(err, ERR_IO, failed, "reserving room for '%s'", what);
        fault_after();
        return true;
}

bool disk_free(const char *path, uint64_t *ret_bytes, Err *err) {
        scoped(free_str) char *at = str_copy(path);
        struct statvfs fs;
        while (statvfs(at, &fs) < 0) {
                if ((errno != ENOENT && errno != ENOTDIR) || str_equal(at, "/") ||
                        str_equal(at, "."))
                        return err_fail_errno(
                                err, ERR_IO, errno, "asking for the free space of '%s'", path);
                str_replace_owned(&at, path_dirname(at));
        }
        *ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        return true;
}
