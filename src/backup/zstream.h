/*
 * Bytes to and from an object of a backup: compressed in independent zstd frames (or plain), summed and
 * counted on the way.
 *
 *     zwriter_open(path, true, &w, err); zwriter_add(w, bytes, n, err)...; zwriter_close(w, &sum, err)
 *     zreader_open(path, true, &r, err); zreader_get(r, buffer, n, &got, err)...; zreader_end(r, &sum, err)
 *
 * What is written is synced by zwriter_close. Readers accept only what could have been written: windows of at
 * most 8 MiB, nothing after the last frame, no more than `plain_max` bytes.
 */
#ifndef BELAY_BACKUP_ZSTREAM_H
#define BELAY_BACKUP_ZSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct StreamSum {
        uint64_t bytes, plain_bytes; /* in the file; before compression */
        char sha256[65];             /* of the file */
} StreamSum;

typedef struct ZWriter ZWriter;
/* The file must not exist; 0600. */
bool zwriter_open(const char *path, bool compress, ZWriter **ret, Err *err);
bool zwriter_add(ZWriter *w, const void *bytes, size_t n, Err *err);
uint64_t zwriter_plain(const ZWriter *w);
bool zwriter_close(ZWriter *w, StreamSum *ret, Err *err); /* w stays to be freed */
void zwriter_freep(ZWriter **w);

typedef struct ZReader ZReader;
bool zreader_open(const char *path, bool compressed, uint64_t plain_max, ZReader **ret, Err *err);
/* Up to n bytes; *ret_got 0 at the end. */
bool zreader_get(ZReader *r, void *buffer, size_t n, size_t *ret_got, Err *err);
/* Exactly n bytes, or ERR_CORRUPT. */
bool zreader_need(ZReader *r, void *buffer, size_t n, Err *err);
/* Nothing may be left; the sum of all. */
bool zreader_end(ZReader *r, StreamSum *ret, Err *err);
void zreader_freep(ZReader **r);

#endif
