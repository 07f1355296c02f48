/*
 * Pax archives (POSIX.1-2001, as GNU tar reads and writes them): numeric owners, times in nanoseconds,
 * extended attributes and ACLs (SCHILY.*), sparse files (GNU.sparse 1.0), hard links.
 *
 * The writer makes one dialect; the reader accepts that dialect and nothing else, since archives are hostile
 * input: names begin with "./" and stay below it, no devices, no duplicate or unknown keys, exact sizes,
 * two blocks of zeros at the end and nothing after them.
 */
#ifndef BELAY_BACKUP_TAR_H
#define BELAY_BACKUP_TAR_H

#include "backup/file_list.h"
#include "backup/zstream.h"

/* A piece of a sparse file that holds data. */
typedef struct Segment {
        uint64_t at, bytes;
} Segment;

typedef struct SegmentMap {
        Segment *items;
        size_t n;
} SegmentMap;

typedef struct TarWriter {
        ZWriter *out;
        uint64_t left; /* bytes of the current file that must still come */
        uint64_t pad;
} TarWriter;

/* Header of an entry; for regular files exactly size bytes (sparse: those of the segments) must follow. */
bool tar_put(TarWriter *tar, const FileEntry *entry, const SegmentMap *map, Err *err);
bool tar_put_data(TarWriter *tar, const void *bytes, size_t n, Err *err);
bool tar_put_end(TarWriter *tar, Err *err); /* of a regular file's data */
bool tar_finish(TarWriter *tar, Err *err);

typedef struct TarReader {
        ZReader *in;
        uint64_t left, pad;
} TarReader;

/* The next entry; owner, times, xattrs and link filled in. *ret_end at the end of the archive. For sparse files
 * *map holds the segments and entry->size the real size. Data not read is skipped by the next call. */
bool tar_get(TarReader *tar, FileEntry *ret, SegmentMap *ret_map, bool *ret_end, Err *err);
bool tar_get_data(TarReader *tar, void *buffer, size_t n, size_t *ret_got, Err *err);

void segment_map_done(SegmentMap *map);
/* Posix ACLs between the kernel's bytes and the text of tar ("user::rw-,user:1000:r--"). NULL: not one. */
char *acl_to_text(const unsigned char *bytes, size_t n);
unsigned char *acl_from_text(const char *text, size_t *ret_n);

#endif
