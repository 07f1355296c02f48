#include "platform/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file_kind.h"
#include "platform/sha256.h"

enum {
        COPY_BYTES = 256 * 1024,
        TEMP_WAIT_MS = 5000, /* for another writer of the same file; a write takes milliseconds */
};

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
static bool open_regular(const char *path, int *ret_fd, struct stat *ret, Err *err) {
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

static ssize_t read_some(int fd, void *room, size_t n) {
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
                ssize_t got = read_some(fd, room, COPY_BYTES);
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
        if (!open_regular(path, &fd, &st, err))
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
        if (!open_regular(path, &fd, &st, err))
                return false;
        if (fd < 0)
                return err_fail(err, ERR_UNKNOWN, "there is no file '%s'", path);
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        scoped(free_str) char *room = mem_new(COPY_BYTES, 1);
        for (;;) {
                ssize_t got = read_some(fd, room, COPY_BYTES);
                if (got < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", path);
                if (got == 0)
                        break;
                sha256_add(sum, room, (size_t)got);
        }
        sha256_end(sum, ret_hex);
        return true;
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

/* -- replacing ---------------------------------------------------------------------------- */

static char *temp_path(const char *path) {
        scoped(free_str) char *dir = path_dirname(path);
        const char *name = path_basename(path);
        scoped(free_str) char *temp =
                strlen(name) + sizeof("..belay-tmp") > NAME_MAX
                        ? str_format(".%08x.belay-tmp", crc32c(name, strlen(name)))
                        : str_format(".%s.belay-tmp", name);
        return path_join(dir, temp);
}

static bool is_still_at(int fd, const char *path) {
        struct stat a, b;
        return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

/* What a crashed writer left is removed; that of a living one (it holds a lock on it) is left. */
static void temp_clear(const char *temp) {
        scoped(close_fd) int fd =
                open(temp, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return;
        if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_still_at(fd, temp)))
                return;
        if (fault_before("unlink", temp))
                return;
        if (unlink(temp) == 0)
                fault_after();
}

/* Two writers of one file take turns: without the lock, one would rename the other's half. */
static bool temp_create(const char *temp, int *ret_fd, Err *err) {
        int64_t until = clock_now_ms() + TEMP_WAIT_MS;
        for (int64_t pause = 0;; pause = 10) {
                clock_sleep_ms(pause);
                if (fault_before("create", temp))
                        return err_fail_errno(err, ERR_IO, errno, "creating '%s'", temp);
                scoped(close_fd) int fd =
                        open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (fd < 0 && (errno != EEXIST || clock_now_ms() > until))
                        return err_fail_errno(err, ERR_IO, errno, "creating '%s'", temp);
                if (fd < 0) {
                        temp_clear(temp);
                        continue;
                }
                if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_still_at(fd, temp))
                        continue;
                fault_after();
                *ret_fd = TAKE_FD(fd);
                return true;
        }
}

/* The umask has no say, and the owner first: a change of owner clears set-uid bits. */
static bool set_owner_and_mode(
        int fd, const char *path, const struct stat *like, mode_t mode, Err *err) {
        struct stat now;
        if (fstat(fd, &now) < 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        bool other_owner = like && (now.st_uid != like->st_uid || now.st_gid != like->st_gid);
        mode = (like ? like->st_mode : mode) & 07777;
        if (!other_owner && (now.st_mode & 07777) == mode)
                return true;
        if (fault_before("chmod", path))
                return err_fail_errno(err, ERR_IO, errno, "setting the mode of '%s'", path);
        if (other_owner && fchown(fd, like->st_uid, like->st_gid) < 0)
                return err_fail_errno(err, ERR_IO, errno, "giving '%s' to user %u, group %u", path,
                        like->st_uid, like->st_gid);
        if (fchmod(fd, mode) < 0)
                return err_fail_errno(err, ERR_IO, errno, "setting the mode of '%s'", path);
        fault_after();
        return true;
}

/* What goes into the new file: bytes, or all of another descriptor. */
typedef struct Content {
        const void *bytes;
        size_t n;
        int from; /* -1: bytes */
        const char *from_path;
} Content;

static bool content_write(const Content *content, int fd, const char *path, Err *err) {
        if (content->from < 0)
                return fd_write_all(fd, content->bytes, content->n, path, err);
        scoped(free_str) char *room = mem_new(COPY_BYTES, 1);
        for (;;) {
                ssize_t got = read_some(content->from, room, COPY_BYTES);
                if (got < 0)
                        return err_fail_errno(
                                err, ERR_IO, errno, "reading '%s'", content->from_path);
                if (got == 0)
                        return true;
                if (!fd_write_all(fd, room, (size_t)got, path, err))
                        return false;
        }
}

static bool rename_over(const char *from, const char *to, Err *err) {
        if (fault_before("rename", to) || rename(from, to) < 0)
                return err_fail_errno(err, ERR_IO, errno, "renaming '%s' to '%s'", from, to);
        fault_after();
        return true;
}

static bool replace(
        const char *path, const Content *content, const struct stat *like, mode_t mode, Err *err) {
        scoped(free_str) char *temp = temp_path(path);
        scoped(free_str) char *dir = path_dirname(path);
        scoped(close_fd) int fd = -1;
        if (!temp_create(temp, &fd, err))
                return err_context(err, "writing '%s'", path);
        bool ok = content_write(content, fd, path, err) &&
                  set_owner_and_mode(fd, temp, like, mode, err) && fd_sync_whole(fd, path, err) &&
                  rename_over(temp, path, err);
        if (ok)
                return dir_sync(dir, err);
        if (!fault_before("unlink", temp) && unlink(temp) == 0)
                fault_after();
        return false;
}

bool file_write_durable(const char *path, const void *bytes, size_t n, mode_t mode, Err *err) {
        return replace(path, &(Content){.bytes = bytes, .n = n, .from = -1}, NULL, mode, err);
}

bool file_write_durable_like(
        const char *path, const void *bytes, size_t n, const struct stat *like, Err *err) {
        return replace(path, &(Content){.bytes = bytes, .n = n, .from = -1}, like, 0600, err);
}

bool file_copy_durable(const char *from, const char *to, Err *err) {
        scoped(close_fd) int fd = -1;
        struct stat st;
        if (!open_regular(from, &fd, &st, err))
                return false;
        if (fd < 0)
                return err_fail(err, ERR_UNKNOWN, "there is no file '%s'", from);
        if (!replace(to, &(Content){.from = fd, .from_path = from}, &st, 0600, err))
                return err_context(err, "copying '%s'", from);
        return true;
}

/* -- names -------------------------------------------------------------------------------- */

static bool sync_parents(const char *a, const char *b, Err *err) {
        scoped(free_str) char *dir_a = path_dirname(a);
        scoped(free_str) char *dir_b = path_dirname(b);
        if (!dir_sync(dir_a, err))
                return false;
        return str_equal(dir_a, dir_b) || dir_sync(dir_b, err);
}

/* The new place first: between the two syncs a power cut may leave both names, never none. */
bool file_rename(const char *from, const char *to, Err *err) {
        return rename_over(from, to, err) && sync_parents(to, from, err);
}

bool file_exchange(const char *a, const char *b, Err *err) {
        if (fault_before("exchange", a) ||
                renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0) {
                bool unknown = errno == EINVAL || errno == ENOSYS;
                err_fail_errno(err, ERR_IO, errno, "exchanging '%s' and '%s'", a, b);
                if (unknown)
                        err_hint(err, "This file system cannot exchange two names in one step.");
                return false;
        }
        fault_after();
        return sync_parents(a, b, err);
}

bool file_unlink(const char *path, Err *err) {
        scoped(free_str) char *dir = path_dirname(path);
        if (fault_before("unlink", path))
                return err_fail_errno(err, ERR_IO, errno, "removing '%s'", path);
        if (unlink(path) < 0 && errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "removing '%s'", path);
        fault_after();
        /* Also when it was absent: one that died here may have removed it without the sync. */
        return !file_exists(dir) || dir_sync(dir, err);
}

static bool make_one(const char *path, Err *err) {
        scoped(free_str) char *parent = path_dirname(path);
        if (fault_before("mkdir", path))
                return err_fail_errno(err, ERR_IO, errno, "making directory '%s'", path);
        if (mkdir(path, 0700) < 0)
                return err_fail_errno(err, ERR_IO, errno, "making directory '%s'", path);
        fault_after();
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) != 0700 &&
                chmod(path, 0700) < 0)
                return err_fail_errno(err, ERR_IO, errno, "setting the mode of '%s'", path);
        return dir_sync(parent, err);
}

bool dir_make(const char *path, Err *err) {
        struct stat st;
        if (stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return true;
                return err_fail(
                        err, ERR_IO, "'%s' is %s, not a directory", path, file_kind(st.st_mode));
        }
        if (errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        scoped(free_str) char *bare = str_copy(path);
        for (size_t n = strlen(bare); n > 1 && bare[n - 1] == '/'; n--)
                bare[n - 1] = '\0';
        scoped(free_str) char *parent = path_dirname(bare);
        if (!dir_make(parent, err))
                return false;
        Err first = {0};
        if (make_one(bare, &first))
                return true;
        bool raced = first.sys == EEXIST && stat(bare, &st) == 0 && S_ISDIR(st.st_mode);
        if (raced) {
                err_clear(&first);
                return true;
        }
        err_move(err, &first);
        return false;
}
