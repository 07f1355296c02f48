#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "journal/record.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"

struct Journal {
        int fd;
        char *path;
        uint64_t last_sequence;
        size_t bytes;
        bool dead;
};

/* -- reading ------------------------------------------------------------------------------ */

/* The name may have been replaced by anything: nothing here blocks, follows a link, or reads without end. */
static bool read_bytes(const char *path, int fd, char **ret, size_t *ret_bytes, Err *err) {
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at journal '%s'", path);
        if (!S_ISREG(st.st_mode))
                return err_fail(err, ERR_CORRUPT, "journal '%s' is not a regular file", path);
        if (st.st_size > LIMIT_JOURNAL_BYTES)
                return err_fail(err, ERR_CORRUPT, "journal '%s' has more than %d bytes", path,
                        LIMIT_JOURNAL_BYTES);
        size_t size = (size_t)st.st_size, got = 0;
        scoped(free_str) char *bytes = mem_new(size + 1, 1);
        while (got < size) {
                ssize_t n = pread(fd, bytes + got, size - got, (off_t)got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading journal '%s'", path);
                if (n == 0)
                        break;
                got += (size_t)n;
        }
        *ret = TAKE(bytes);
        *ret_bytes = got;
        return true;
}

static bool open_file(const char *path, int flags, int *ret_fd, Err *err) {
        int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0) {
                *ret_fd = fd;
                return true;
        }
        if (errno == ENOENT)
                return err_fail(err, ERR_UNKNOWN, "there is no journal '%s'", path);
        if (errno == ELOOP || errno == EISDIR || errno == ENXIO)
                return err_fail(err, ERR_CORRUPT, "journal '%s' is not a regular file", path);
        return err_fail_errno(err, ERR_IO, errno, "opening journal '%s'", path);
}

/* One record was being written, at most, when the power went: what is left of it has no newline but
 * at its end. After that only room that was reserved. */
static bool is_torn(const char *tail, size_t n) {
        if (record_within(tail, n))
                return false;
        const char *newline = memchr(tail, '\n', n);
        for (const char *at = newline ? newline + 1 : tail + n; at < tail + n; at++)
                if (*at != '\0' && *at != '\xff')
                        return false;
        return true;
}

static bool check_plan(const Record *record, Err *err) {
        bool first = record->sequence == 1;
        if (first != (record->type == RECORD_PLAN))
                return err_fail(err, ERR_CORRUPT,
                        first ? "it does not begin with PLAN" : "there is a second PLAN");
        int64_t format = js_int(record->payload, "format", 0);
        if (!first || (format >= 1 && format <= JOURNAL_FORMAT))
                return true;
        if (format < 1)
                return err_fail(err, ERR_CORRUPT, "PLAN names no format");
        err_fail(err, ERR_REFUSED, "it is of format %lld, this belay knows up to %d",
                (long long)format, JOURNAL_FORMAT);
        return err_hint(err, "A newer belay began this run: finish it with that one.");
}

/* *ret_end is where the last whole record ends. */
static bool parse(const char *bytes, size_t n, RecordList *list, size_t *ret_end, Err *err) {
        size_t at = 0;
        while (at < n) {
                const char *newline = memchr(bytes + at, '\n', n - at);
                size_t line = newline ? (size_t)(newline - (bytes + at)) : n - at;
                if (!newline || !record_is_whole(bytes + at, line)) {
                        list->torn = is_torn(bytes + at, n - at);
                        if (!list->torn)
                                return err_fail(err, ERR_CORRUPT,
                                        "record %zu is damaged, and others follow it", list->n + 1);
                        break;
                }
                Record record;
                if (!record_decode(bytes + at, line, &record, err))
                        return false;
                PUSH(list->records, list->n, record);
                if (record.sequence != list->n)
                        return err_fail(err, ERR_CORRUPT,
                                "record %llu stands where number %zu belongs",
                                (unsigned long long)record.sequence, list->n);
                if (!check_plan(&record, err))
                        return false;
                at += line + 1;
        }
        *ret_end = at;
        return true;
}

static bool read_list(
        const char *path, int fd, RecordList *ret, size_t *ret_end, size_t *ret_size, Err *err) {
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        if (!read_bytes(path, fd, &bytes, &n, err))
                return false;
        scoped(record_list_done) RecordList list = {0};
        if (!parse(bytes, n, &list, ret_end, err)) {
                if (err && err->code == ERR_CORRUPT)
                        err_hint(err, "This run needs a person; the file is left as it is. Other "
                                      "runs are not concerned.");
                return err_context(err, "journal '%s'", path);
        }
        *ret_size = n;
        *ret = list;
        list = (RecordList){0};
        return true;
}

bool journal_read(const char *path, RecordList *ret, Err *err) {
        scoped(close_fd) int fd = -1;
        size_t end = 0, size = 0;
        return open_file(path, O_RDONLY, &fd, err) && read_list(path, fd, ret, &end, &size, err);
}

bool journal_read_plan(const char *path, Record *ret, Err *err) {
        scoped(close_fd) int fd = -1;
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        Record record = {0};
        if (!open_file(path, O_RDONLY, &fd, err) || !read_bytes(path, fd, &bytes, &n, err))
                return false;
        const char *newline = memchr(bytes, '\n', n);
        size_t line = newline ? (size_t)(newline - bytes) : 0;
        if (!record_is_whole(bytes, line) || !record_decode(bytes, line, &record, err) ||
                record.type != RECORD_PLAN) {
                json_decref(record.payload);
                return err_fail(err, ERR_CORRUPT, "journal '%s' does not begin with a plan", path);
        }
        *ret = record;
        return true;
}

void record_list_done(RecordList *list) {
        for (size_t i = 0; i < list->n; i++)
                json_decref(list->records[i].payload);
        free(list->records);
        *list = (RecordList){0};
}

/* -- writing ------------------------------------------------------------------------------ */

static Journal *journal_new(const char *path, int fd) {
        Journal *journal = NEW(Journal);
        journal->fd = fd;
        journal->path = str_copy(path);
        return journal;
}

bool journal_create(const char *path, Journal **ret, Err *err) {
        scoped(free_str) char *dir = path_dirname(path);
        if (fault_before("create", path))
                return err_fail_errno(err, ERR_IO, errno, "making journal '%s'", path);
        scoped(close_fd) int fd =
                open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making journal '%s'", path);
        fault_after();
        if (!fd_reserve(fd, JOURNAL_RESERVE, path, err) || !fd_sync(fd, path, err) ||
                !dir_sync(dir, err))
                return false;
        *ret = journal_new(path, TAKE_FD(fd));
        return true;
}

static bool cut(int fd, const char *path, size_t end, Err *err) {
        if (fault_before("truncate", path) || ftruncate(fd, (off_t)end) < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "cutting the torn tail off journal '%s'", path);
        fault_after();
        /* The cut gave back what was reserved behind it. Without room now there may be room later. */
        (void)fd_reserve(fd, JOURNAL_RESERVE, path, NULL);
        return fd_sync(fd, path, err);
}

bool journal_open(const char *path, Journal **ret, RecordList *ret_records, Err *err) {
        scoped(close_fd) int fd = -1;
        scoped(record_list_done) RecordList list = {0};
        size_t end = 0, size = 0;
        if (!open_file(path, O_RDWR | O_APPEND, &fd, err) ||
                !read_list(path, fd, &list, &end, &size, err))
                return false;
        if (end < size && !cut(fd, path, end, err))
                return false;
        Journal *journal = journal_new(path, TAKE_FD(fd));
        journal->last_sequence = list.n;
        journal->bytes = end;
        *ret = journal;
        *ret_records = list;
        list = (RecordList){0};
        return true;
}

/* What could not be read back is not written. */
static bool check_readable(const char *line, size_t bytes, RecordType type, Err *err) {
        Record again = {0};
        bool readable =
                record_is_whole(line, bytes - 1) && record_decode(line, bytes - 1, &again, err);
        json_decref(again.payload);
        if (!readable)
                err_fail(err, ERR_BUG, "a record %s of %zu bytes cannot be journaled",
                        record_type_name(type), bytes);
        return readable;
}

static bool append(Journal *journal, const Record *record, Err *err) {
        if (!json_is_object(record->payload))
                return err_fail(err, ERR_BUG, "a record without a JSON object");
        js_set_int(record->payload, "at", clock_wall_ms());
        size_t bytes = 0;
        scoped(free_str) char *line = record_encode(record, &bytes);
        if (!check_readable(line, bytes, record->type, err))
                return false;
        if (journal->bytes + bytes > LIMIT_JOURNAL_BYTES)
                return err_fail(err, ERR_BUG, "journal '%s' would have more than %d bytes",
                        journal->path, LIMIT_JOURNAL_BYTES);
        if (!fd_write_all(journal->fd, line, bytes, journal->path, err) ||
                !fd_sync(journal->fd, journal->path, err))
                return err_context(err, "journaling %s", record_type_name(record->type));
        journal->bytes += bytes;
        journal->last_sequence = record->sequence;
        return true;
}

bool journal_append(Journal *journal, RecordType type, json_t *payload, Err *err) {
        scoped(js_freep) json_t *owned = payload;
        if (journal->dead)
                return err_fail(
                        err, ERR_IO, "journal '%s' could not be written before", journal->path);
        Record record = {.sequence = journal->last_sequence + 1, .type = type, .payload = owned};
        journal->dead = !append(journal, &record, err);
        return !journal->dead;
}

bool journal_dead(const Journal *journal) { return journal->dead; }

void journal_close(Journal *journal) {
        if (!journal)
                return;
        close_fd(&journal->fd);
        free(journal->path);
        free(journal);
}

void journal_freep(Journal **journal) { journal_close(*journal); }
