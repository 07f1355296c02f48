#include "runtime/process/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { COPY_BYTES = 64 * 1024, LOG_FLAGS = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK };

LogLimits log_limits(void) {
        LogLimits limits = {.max_bytes = 10 * 1000 * 1000, .keep = 5, .every_ms = 15000};
#ifdef BELAY_FAULT_POINTS
        const char *given = getenv("BELAY_LOG_LIMIT");
        unsigned long bytes, every_ms;
        if (given && sscanf(given, "%lu %lu", &bytes, &every_ms) == 2) {
                limits.max_bytes = bytes;
                limits.every_ms = (int64_t)every_ms;
        }
#endif
        return limits;
}

bool log_prepare(const char *path, uid_t uid, gid_t gid, Err *err) {
        scoped(close_fd) int fd = open(path, O_WRONLY | O_APPEND | LOG_FLAGS);
        if (fd >= 0)
                return true;
        if (errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "opening the log '%s'", path);
        if (fault_before("create", path))
                return err_fail_errno(err, ERR_IO, errno, "making the log '%s'", path);
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | LOG_FLAGS, 0600);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making the log '%s'", path);
        /* So that a program which opens /dev/stderr anew may. */
        if (geteuid() == 0 && fchown(fd, uid, gid) < 0)
                return err_fail_errno(err, ERR_IO, errno, "giving the log '%s' to its user", path);
        fault_after();
        return true;
}

static char *older(const char *path, unsigned number) { return str_format("%s.%u", path, number); }

static bool move_up(const char *path, unsigned keep, Err *err) {
        for (unsigned i = keep; i > 1; i--) {
                scoped(free_str) char *from = older(path, i - 1), *to = older(path, i);
                if (file_exists(from) && !file_rename(from, to, err))
                        return false;
        }
        return true;
}

static bool copy_to_end(int from, int to, const char *name, Err *err) {
        scoped(free_str) char *room = mem_new(COPY_BYTES, 1);
        for (;;) {
                ssize_t n = read(from, room, COPY_BYTES);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", name);
                if (n == 0)
                        return true;
                if (!fd_write_all(to, room, (size_t)n, name, err))
                        return false;
        }
}

static bool cut(int fd, const char *path, Err *err) {
        if (fault_before("truncate", path) || ftruncate(fd, 0) < 0)
                return err_fail_errno(err, ERR_IO, errno, "cutting '%s'", path);
        fault_after();
        return true;
}

/* No room for the copy: the log is cut all the same, or it would fill the disk that is full already. */
static bool copy_and_cut(int log, const char *path, unsigned keep, Err *err) {
        scoped(free_str) char *copy = older(path, 1);
        if (keep == 0)
                return cut(log, path, err);
        if (!move_up(path, keep, err))
                return false;
        if (fault_before("create", copy))
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", copy);
        scoped(close_fd) int to = open(copy, O_WRONLY | O_CREAT | O_TRUNC | LOG_FLAGS, 0600);
        if (to < 0)
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", copy);
        fault_after();
        scoped(err_clear) Err failure = {0};
        if (!copy_to_end(log, to, path, &failure) && failure.code != ERR_NO_SPACE) {
                err_move(err, &failure);
                return false;
        }
        return cut(log, path, err);
}

bool log_rotate(const char *path, const LogLimits *limits, bool *ret_rotated, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDWR | LOG_FLAGS);
        struct stat st;
        if (ret_rotated)
                *ret_rotated = false;
        if (fd < 0 && errno == ENOENT)
                return true;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening the log '%s'", path);
        if ((uint64_t)st.st_size <= limits->max_bytes)
                return true;
        if (!copy_and_cut(fd, path, limits->keep, err))
                return err_context(err, "rotating the log");
        if (ret_rotated)
                *ret_rotated = true;
        return true;
}
