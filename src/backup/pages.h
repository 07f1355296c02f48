/*
 * The pages of a live SQLite database as of one moment, read through SQLite's own handle (a second
 * descriptor of the file, once closed, would drop SQLite's locks), with what its WAL holds laid over.
 *
 * A PageSource holds a transaction from open to done: in rollback-journal mode nobody writes meanwhile; in
 * WAL mode others may, and the state is that of the last commit when it was opened.
 */
#ifndef BELAY_BACKUP_PAGES_H
#define BELAY_BACKUP_PAGES_H

#include "client/sqlite.h"
#include "platform/process.h"

/* Which frame of a WAL holds the newest committed version of each page (sqlite.org/fileformat2.html, 4). */
typedef struct WalMap {
        uint32_t page_size, db_pages; /* db_pages: size after the last commit, 0: no commit in it */
        uint32_t salt[2];
        uint64_t *frames; /* of page i+1: offset of its data, or 0 */
        size_t n_frames;  /* room of `frames` */
        int fd;           /* of the -wal; -1: none */
        uint64_t bytes;   /* up to the end of the last commit */
} WalMap;

/* An absent or empty WAL gives an empty map. Reads the -wal only: no locks are on that file. */
bool wal_map_open(const char *database, WalMap *ret, Err *err);
void wal_map_done(WalMap *map);
bool wal_salts(const char *database, uint32_t ret[2], bool *ret_there, Err *err);

/* While the service runs there is time to wait for a moment between its transactions. */
enum { LIVE_WAIT_MS = 30000 };

typedef struct PageSource {
        sqlite3 *db;
        sqlite3_file *file;
        char *path;
        WalMap wal;
        uint64_t bytes; /* of the whole database */
        uint32_t page_size;
} PageSource;

/* `immediate`: also keeps writers out in WAL mode. A hot journal is rolled back by this. */
bool page_source_open(const char *path, bool immediate, PageSource *ret, Err *err);
/* n bytes at `at`; both multiples of the page size (the last part of the file may be shorter). */
bool page_source_read(PageSource *source, uint64_t at, void *buffer, size_t n, Err *err);
/* Whether the WAL began anew while it was read: then all must be read again. */
bool page_source_steady(PageSource *source, bool *ret, Err *err);
void page_source_done(PageSource *source);

/* Makes the file behind fd (a private copy, open for reading and writing) equal to the source. Counts bytes that
 * had to be written. Not synced. */
bool pages_copy(PageSource *source, int fd, const char *what, const Cancel *cancel,
        uint64_t *ret_written, Err *err);
/* Is the file (plain database) the same, but for counters that every write changes? */
bool pages_equal(PageSource *source, int fd, bool *ret, Err *err);

/* Bytes of a WAL up to its first frame of an earlier generation: what lies behind was checkpointed long ago
 * and is only there because the file does not shrink. All of it when the header is none. */
uint64_t wal_bytes_in_force(int fd, uint64_t size);

#endif
