/* What changes names and contents: replaced files, renames, directories. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/file_parts.h"

enum {
        COPY_BYTES = 256 * 1024,
        TEMP_WAIT_MS = 5000, /* for another writer of the same file; a write takes milliseconds */
};

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
        bool fresh; /* there must be no file of that name yet */
} Content;

static bool content_write(const Content *content, int fd, const char *path, Err *err) {
        if (content->from < 0)
                return fd_write_all(fd, content->bytes, content->n, path, err);
        scoped(free_str) char *room = mem_new(COPY_BYTES, 1);
        for (;;) {
                ssize_t got = fd_read_some(content->from, room, COPY_BYTES);
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

/* By the kernel, so that nobody can come between; where a file system cannot, after a look. */
static bool rename_fresh(const char *from, const char *to, Err *err) {
        if (fault_before("rename", to))
                return err_fail_errno(err, ERR_IO, errno, "renaming '%s' to '%s'", from, to);
        bool done = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0;
        if (!done && errno == EINVAL) {
                errno = EEXIST;
                done = !file_exists(to) && rename(from, to) == 0;
        }
        if (!done && errno == EEXIST)
                return err_fail(err, ERR_REFUSED, "there is a file '%s' already", to);
        if (!done)
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
                  (content->fresh ? rename_fresh : rename_over)(temp, path, err);
        if (ok)
                return dir_sync(dir, err);
        if (!fault_before("unlink", temp) && unlink(temp) == 0)
                fault_after();
        return false;
}

bool file_write_durable(const char *path, const void *bytes, size_t n, mode_t mode, Err *err) {
        return replace(path, &(Content){.bytes = bytes, .n = n, .from = -1}, NULL, mode, err);
}

bool file_create_durable(const char *path, const void *bytes, size_t n, mode_t mode, Err *err) {
        const Content content = {.bytes = bytes, .n = n, .from = -1, .fresh = true};
        return replace(path, &content, NULL, mode, err);
}

bool file_write_durable_like(
        const char *path, const void *bytes, size_t n, const struct stat *like, Err *err) {
        return replace(path, &(Content){.bytes = bytes, .n = n, .from = -1}, like, 0600, err);
}

bool file_copy_durable(const char *from, const char *to, Err *err) {
        scoped(close_fd) int fd = -1;
        struct stat st;
        if (!file_open_regular(from, &fd, &st, err))
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

char *link_read(const char *path) {
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        return n < 0 ? NULL : str_copy_n(target, (size_t)n);
}

bool file_forget_temporary(const char *path, Err *err) {
        scoped(free_str) char *temp = temp_path(path);
        return !file_exists(temp) || file_unlink(temp, err);
}

bool link_write_durable(const char *path, const char *target, Err *err) {
        scoped(free_str) char *temp = temp_path(path);
        scoped(free_str) char *dir = path_dirname(path);
        if (!file_forget_temporary(path, err))
                return false;
        if (fault_before("symlink", temp) || symlink(target, temp) < 0)
                return err_fail_errno(err, ERR_IO, errno, "making the link '%s'", path);
        fault_after();
        return rename_over(temp, path, err) && dir_sync(dir, err);
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
