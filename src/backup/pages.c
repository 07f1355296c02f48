#include "backup/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"

enum { CHUNK = 128 * 1024, PIECE = 4096 };

static bool file_of(sqlite3 *db, sqlite3_file **ret, Err *err) {
        if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, ret) == SQLITE_OK &&
                (*ret)->pMethods)
                return true;
        return err_fail(err, ERR_BUG, "SQLite does not show its file");
}

/* The transaction begins with the first read, which also rolls a hot journal back. */
static bool begin(PageSource *source, bool immediate, Err *err) {
        int64_t tables;
        return database_run(source->db, immediate ? "BEGIN IMMEDIATE" : "BEGIN", err) &&
               database_int(source->db, "SELECT count(*) FROM sqlite_schema", &tables, err);
}

static bool measure(PageSource *source, Err *err) {
        scoped(free_str) char *mode = NULL;
        int64_t page_size;
        sqlite3_int64 bytes;
        if (!database_text(source->db, "PRAGMA journal_mode", &mode, err) ||
                !database_int(source->db, "PRAGMA page_size", &page_size, err))
                return false;
        if (source->file->pMethods->xFileSize(source->file, &bytes) != SQLITE_OK)
                return err_fail(err, ERR_IO, "cannot tell the size of '%s'", source->path);
        source->page_size = (uint32_t)page_size;
        source->bytes = (uint64_t)bytes;
        if (strcmp(mode, "wal") != 0)
                return true;
        if (!wal_map_open(source->path, &source->wal, err))
                return false;
        if (source->wal.db_pages > 0 && source->wal.page_size == source->page_size)
                source->bytes = (uint64_t)source->wal.db_pages * source->page_size;
        return true;
}

bool page_source_open(const char *path, bool immediate, PageSource *ret, Err *err) {
        scoped(page_source_done) PageSource source = {.wal = {.fd = -1}, .path = str_copy(path)};
        if (!database_open(path, DATABASE_READ_WRITE, &source.db, err))
                return false;
        if (!immediate)
                database_wait(source.db, LIVE_WAIT_MS);
        if (!begin(&source, immediate, err) || !file_of(source.db, &source.file, err) ||
                !measure(&source, err))
                return false;
        *ret = source;
        source = (PageSource){.wal = {.fd = -1}};
        return true;
}

void page_source_done(PageSource *source) {
        wal_map_done(&source->wal);
        database_close(&source->db);
        free(source->path);
        *source = (PageSource){.wal = {.fd = -1}};
}

static bool lay_wal_over(PageSource *source, uint64_t at, char *buffer, size_t n, Err *err) {
        uint32_t size = source->page_size;
        for (size_t done = 0; done < n; done += size) {
                size_t page = (size_t)((at + done) / size);
                if (page >= source->wal.n_frames || source->wal.frames[page] == 0)
                        continue;
                if (pread(source->wal.fd, buffer + done, size, (off_t)source->wal.frames[page]) !=
                        (ssize_t)size)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s-wal'", source->path);
        }
        return true;
}

bool page_source_read(PageSource *source, uint64_t at, void *buffer, size_t n, Err *err) {
        int rc = source->file->pMethods->xRead(source->file, buffer, (int)n, (sqlite3_int64)at);
        /* What lies beyond the end of the file is in the WAL, SQLite has filled it with zeros. */
        if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
                return err_fail(err, ERR_IO, "reading '%s': %s", source->path, sqlite3_errstr(rc));
        return source->wal.fd < 0 || source->wal.db_pages == 0 ||
               lay_wal_over(source, at, buffer, n, err);
}

bool page_source_steady(PageSource *source, bool *ret, Err *err) {
        uint32_t salt[2];
        bool there;
        *ret = true;
        if (source->wal.fd < 0)
                return true;
        if (!wal_salts(source->path, salt, &there, err))
                return false;
        bool was_there = source->wal.page_size != 0;
        *ret = there == was_there && (!there || memcmp(salt, source->wal.salt, sizeof(salt)) == 0);
        return true;
}

static bool write_at(int fd, const char *bytes, size_t n, uint64_t at, const char *what, Err *err) {
        while (n > 0) {
                if (fault_before("pwrite", what))
                        return err_fail_errno(err, ERR_IO, errno, "writing '%s'", what);
                ssize_t done = pwrite(fd, bytes, n, (off_t)at);
                if (done < 0 && errno == EINTR)
                        continue;
                if (done < 0)
                        return err_fail_errno(err, ERR_IO, errno, "writing '%s'", what);
                fault_after();
                bytes += done;
                at += (uint64_t)done;
                n -= (size_t)done;
        }
        return true;
}

typedef struct Patch {
        int fd;
        const char *what;
        uint64_t at;
        uint64_t *written;
} Patch;

/* Writes the runs of pieces that differ. */
static bool patch_chunk(const Patch *p, const char *wanted, const char *has, size_t n, Err *err) {
        for (size_t i = 0; i < n;) {
                size_t piece = n - i < PIECE ? n - i : PIECE;
                if (memcmp(wanted + i, has + i, piece) == 0) {
                        i += piece;
                        continue;
                }
                size_t end = i + piece;
                while (end < n) {
                        size_t next = n - end < PIECE ? n - end : PIECE;
                        if (memcmp(wanted + end, has + end, next) == 0)
                                break;
                        end += next;
                }
                if (!write_at(p->fd, wanted + i, end - i, p->at + i, p->what, err))
                        return false;
                *p->written += end - i;
                i = end;
        }
        return true;
}

static bool read_copy(int fd, uint64_t at, char *to, size_t n, size_t *ret_got, Err *err) {
        size_t got = 0;
        while (got < n) {
                ssize_t part = pread(fd, to + got, n - got, (off_t)(at + got));
                if (part < 0 && errno == EINTR)
                        continue;
                if (part < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading a copy");
                if (part == 0)
                        break;
                got += (size_t)part;
        }
        *ret_got = got;
        return true;
}

static bool copy_chunk(
        PageSource *source, const Patch *p, char *wanted, char *has, size_t n, Err *err) {
        size_t got;
        if (!page_source_read(source, p->at, wanted, n, err) ||
                !read_copy(p->fd, p->at, has, n, &got, err))
                return false;
        if (got == n && memcmp(wanted, has, n) == 0)
                return true;
        if (got == n)
                return patch_chunk(p, wanted, has, n, err);
        *p->written += n;
        return write_at(p->fd, wanted, n, p->at, p->what, err);
}

bool pages_copy(PageSource *source, int fd, const char *what, const Cancel *cancel,
        uint64_t *ret_written, Err *err) {
        scoped(free_mem) char *buffers = mem_new(2, CHUNK);
        *ret_written = 0;
        for (uint64_t at = 0; at < source->bytes; at += CHUNK) {
                Patch p = {fd, what, at, ret_written};
                size_t n = source->bytes - at < CHUNK ? (size_t)(source->bytes - at) : CHUNK;
                if (cancel && cancel->requested)
                        return err_fail(
                                err, ERR_CANCELLED, "copying '%s' was cancelled", source->path);
                if (!copy_chunk(source, &p, buffers, buffers + CHUNK, n, err))
                        return false;
        }
        if (fault_before("ftruncate", what) || ftruncate(fd, (off_t)source->bytes) != 0)
                return err_fail_errno(err, ERR_IO, errno, "writing '%s'", what);
        fault_after();
        return true;
}

/* The change counter, the schema cookie (a copy made through SQLite's backup counts up its own), the version that
 * wrote last, and whether the file is in WAL mode. */
static void mask_counters(char *first_page) {
        memset(first_page + 18, 0, 2);
        memset(first_page + 24, 0, 4);
        memset(first_page + 40, 0, 4);
        memset(first_page + 92, 0, 8);
}

bool pages_equal(PageSource *source, int fd, bool *ret, Err *err) {
        scoped(free_mem) char *buffers = mem_new(2, CHUNK);
        struct stat st;
        if (fstat(fd, &st) != 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "looking at the copy of '%s'", source->path);
        *ret = (uint64_t)st.st_size == source->bytes;
        for (uint64_t at = 0; *ret && at < source->bytes; at += CHUNK) {
                size_t n = source->bytes - at < CHUNK ? (size_t)(source->bytes - at) : CHUNK, got;
                if (!page_source_read(source, at, buffers, n, err) ||
                        !read_copy(fd, at, buffers + CHUNK, n, &got, err))
                        return false;
                if (at == 0 && n >= 512) {
                        mask_counters(buffers);
                        mask_counters(buffers + CHUNK);
                }
                *ret = got == n && memcmp(buffers, buffers + CHUNK, n) == 0;
        }
        return true;
}
