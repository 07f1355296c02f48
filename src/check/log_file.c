#include "check/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/own.h"
#include "base/str.h"

/* -1 with *ret_there false when there is no such file. Never waits on a FIFO. */
static bool open_log(const char *path, int *ret_fd, uint64_t *ret_size, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat info;
        *ret_fd = -1;
        *ret_size = 0;
        if (fd < 0)
                return errno == ENOENT ||
                       err_fail_errno(err, ERR_IO, errno, "opening the log '%s'", path);
        if (fstat(fd, &info) < 0)
                return err_fail_errno(err, ERR_IO, errno, "reading the log '%s'", path);
        if (!S_ISREG(info.st_mode))
                return err_fail(err, ERR_IO, "the log '%s' is no regular file", path);
        *ret_size = (uint64_t)info.st_size;
        *ret_fd = TAKE_FD(fd);
        return true;
}

static bool read_at(
        int fd, uint64_t offset, char *buffer, size_t room, size_t *ret_bytes, Err *err) {
        ssize_t n;
        do
                n = pread(fd, buffer, room, (off_t)offset);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return err_fail_errno(err, ERR_IO, errno, "reading the log");
        *ret_bytes = (size_t)n;
        return true;
}

/* Notes the first bytes of the file below the place's offset. */
static bool note_head(int fd, LogPlace *place, Err *err) {
        char head[LOG_HEAD_MAX];
        size_t wanted = place->offset < LOG_HEAD_MAX ? (size_t)place->offset : LOG_HEAD_MAX, n = 0;
        if (place->head_bytes == wanted)
                return true;
        if (!read_at(fd, 0, head, wanted, &n, err))
                return false;
        place->head_bytes = (uint32_t)n;
        place->head = crc32c(head, n);
        return true;
}

/* Whether the place is one of this file: long enough, and it begins as it did. */
static bool is_of(int fd, uint64_t size, const LogPlace *place) {
        char head[LOG_HEAD_MAX];
        size_t n = 0;
        if (fd < 0 || size < place->offset)
                return false;
        if (!read_at(fd, 0, head, place->head_bytes, &n, NULL) || n != place->head_bytes)
                return false;
        return n == 0 || crc32c(head, n) == place->head;
}

static bool log_end(void *context, LogPlace *ret, Err *err) {
        const LogFile *file = context;
        scoped(close_fd) int fd = -1;
        uint64_t size = 0;
        if (!open_log(file->path, &fd, &size, err))
                return false;
        LogPlace place = {.offset = size};
        if (fd >= 0 && !note_head(fd, &place, err))
                return false;
        *ret = place;
        return true;
}

/* What is left of the file that was rotated away; *ret_bytes 0 when there is nothing. */
static bool read_rotated(
        const LogFile *file, LogPlace *place, char *buffer, size_t room, size_t *ret_bytes) {
        scoped(free_str) char *path =
                file->rotated ? str_copy(file->rotated) : str_format("%s.1", file->path);
        scoped(close_fd) int fd = -1;
        uint64_t size = 0;
        *ret_bytes = 0;
        if (!open_log(path, &fd, &size, NULL) || !is_of(fd, size, place))
                return false;
        if (!read_at(fd, place->offset, buffer, room, ret_bytes, NULL))
                return false;
        place->offset += *ret_bytes;
        return *ret_bytes > 0;
}

static bool log_read(
        void *context, LogPlace *place, char *buffer, size_t room, size_t *ret_bytes, Err *err) {
        const LogFile *file = context;
        scoped(close_fd) int fd = -1;
        uint64_t size = 0;
        *ret_bytes = 0;
        if (!open_log(file->path, &fd, &size, err))
                return false;
        if (!is_of(fd, size, place)) {
                if (read_rotated(file, place, buffer, room, ret_bytes))
                        return true;
                *place = (LogPlace){0};
        }
        if (fd < 0)
                return true;
        if (!read_at(fd, place->offset, buffer, room, ret_bytes, err))
                return false;
        place->offset += *ret_bytes;
        return note_head(fd, place, err);
}

LogReader log_file_reader(LogFile *file) {
        return (LogReader){.context = file, .end = log_end, .read = log_read};
}
