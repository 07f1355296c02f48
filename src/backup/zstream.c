#include "backup/zstream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zstd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { FRAME_BYTES = 1024 * 1024, LEVEL = 3, READ_BYTES = 256 * 1024, WINDOW_LOG_MAX = 23 };

struct ZWriter {
        char *path;
        int fd;
        ZSTD_CCtx *context; /* NULL: plain */
        char *plain, *packed;
        size_t filled, room;
        uint64_t plain_bytes, bytes;
        Sha256 *sum;
};

bool zwriter_open(const char *path, bool compress, ZWriter **ret, Err *err) {
        scoped(zwriter_freep) ZWriter *w = NEW(ZWriter);
        w->path = str_copy(path);
        w->fd = -1;
        if (!fault_before("create", path))
                w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (w->fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", path);
        fault_after();
        w->sum = sha256_new();
        w->plain = mem_new(FRAME_BYTES, 1);
        if (compress) {
                w->room = ZSTD_compressBound(FRAME_BYTES);
                w->packed = mem_new(w->room, 1);
                w->context = ZSTD_createCCtx();
                if (!w->context)
                        abort();
                ZSTD_CCtx_setParameter(w->context, ZSTD_c_compressionLevel, LEVEL);
                ZSTD_CCtx_setParameter(w->context, ZSTD_c_checksumFlag, 1);
        }
        *ret = TAKE(w);
        return true;
}

static bool put(ZWriter *w, const void *bytes, size_t n, Err *err) {
        sha256_add(w->sum, bytes, n);
        w->bytes += n;
        return fd_write_all(w->fd, bytes, n, w->path, err);
}

static bool flush_frame(ZWriter *w, Err *err) {
        size_t n = w->filled;
        w->filled = 0;
        /* Of nothing there is one empty frame: `zstd -d` takes an empty file for a damaged one. */
        if (n == 0 && (!w->context || w->bytes > 0))
                return true;
        if (!w->context)
                return put(w, w->plain, n, err);
        size_t packed = ZSTD_compress2(w->context, w->packed, w->room, w->plain, n);
        if (ZSTD_isError(packed))
                return err_fail(
                        err, ERR_BUG, "compressing '%s': %s", w->path, ZSTD_getErrorName(packed));
        return put(w, w->packed, packed, err);
}

bool zwriter_add(ZWriter *w, const void *bytes, size_t n, Err *err) {
        const char *from = bytes;
        w->plain_bytes += n;
        while (n > 0) {
                size_t part = FRAME_BYTES - w->filled < n ? FRAME_BYTES - w->filled : n;
                memcpy(w->plain + w->filled, from, part);
                w->filled += part;
                from += part;
                n -= part;
                if (w->filled == FRAME_BYTES && !flush_frame(w, err))
                        return false;
        }
        return true;
}

uint64_t zwriter_plain(const ZWriter *w) { return w->plain_bytes; }

bool zwriter_close(ZWriter *w, StreamSum *ret, Err *err) {
        if (!flush_frame(w, err) || !fd_sync(w->fd, w->path, err))
                return false;
        *ret = (StreamSum){.bytes = w->bytes, .plain_bytes = w->plain_bytes};
        sha256_end(w->sum, ret->sha256);
        return true;
}

void zwriter_freep(ZWriter **w) {
        if (!*w)
                return;
        close_fd(&(*w)->fd);
        ZSTD_freeCCtx((*w)->context);
        sha256_freep(&(*w)->sum);
        free((*w)->plain);
        free((*w)->packed);
        free((*w)->path);
        free(*w);
        *w = NULL;
}

struct ZReader {
        char *path;
        int fd;
        ZSTD_DCtx *context;
        char *buffer;
        ZSTD_inBuffer in;
        bool at_end, frame_open;
        uint64_t bytes, plain_bytes, plain_max;
        Sha256 *sum;
};

bool zreader_open(const char *path, bool compressed, uint64_t plain_max, ZReader **ret, Err *err) {
        scoped(zreader_freep) ZReader *r = NEW(ZReader);
        r->path = str_copy(path);
        r->plain_max = plain_max;
        r->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (r->fd < 0)
                return err_fail_errno(
                        err, errno == ENOENT ? ERR_CORRUPT : ERR_IO, errno, "opening '%s'", path);
        r->buffer = mem_new(READ_BYTES, 1);
        r->in.src = r->buffer;
        r->sum = sha256_new();
        if (compressed) {
                r->context = ZSTD_createDCtx();
                if (!r->context)
                        abort();
                ZSTD_DCtx_setParameter(r->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
        }
        *ret = TAKE(r);
        return true;
}

static bool fill(ZReader *r, Err *err) {
        if (r->in.pos < r->in.size || r->at_end)
                return true;
        ssize_t n;
        do
                n = read(r->fd, r->buffer, READ_BYTES);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return err_fail_errno(err, ERR_IO, errno, "reading '%s'", r->path);
        r->at_end = n == 0;
        r->in.size = (size_t)n;
        r->in.pos = 0;
        r->bytes += (size_t)n;
        sha256_add(r->sum, r->buffer, (size_t)n);
        return true;
}

static size_t take_plain(ZReader *r, void *buffer, size_t n) {
        size_t left = r->in.size - r->in.pos, part = left < n ? left : n;
        memcpy(buffer, r->buffer + r->in.pos, part);
        r->in.pos += part;
        return part;
}

static bool unpack(ZReader *r, void *buffer, size_t n, size_t *ret_got, Err *err) {
        ZSTD_outBuffer out = {.dst = buffer, .size = n};
        size_t left = ZSTD_decompressStream(r->context, &out, &r->in);
        if (ZSTD_isError(left))
                return err_fail(err, ERR_CORRUPT, "'%s' cannot be unpacked: %s", r->path,
                        ZSTD_getErrorName(left));
        r->frame_open = left != 0;
        *ret_got = out.pos;
        return true;
}

bool zreader_get(ZReader *r, void *buffer, size_t n, size_t *ret_got, Err *err) {
        size_t got = 0;
        while (got == 0 && n > 0) {
                if (!fill(r, err))
                        return false;
                if (r->at_end && r->in.pos == r->in.size && !r->frame_open)
                        break;
                size_t before = r->in.pos;
                if (!r->context)
                        got = take_plain(r, buffer, n);
                else if (!unpack(r, buffer, n, &got, err))
                        return false;
                if (r->at_end && got == 0 && r->in.pos == before)
                        return err_fail(err, ERR_CORRUPT, "'%s' ends in the middle", r->path);
        }
        r->plain_bytes += got;
        if (r->plain_bytes > r->plain_max)
                return err_fail(
                        err, ERR_CORRUPT, "'%s' holds more than its manifest says", r->path);
        *ret_got = got;
        return true;
}

bool zreader_need(ZReader *r, void *buffer, size_t n, Err *err) {
        char *to = buffer;
        while (n > 0) {
                size_t got;
                if (!zreader_get(r, to, n, &got, err))
                        return false;
                if (got == 0)
                        return err_fail(err, ERR_CORRUPT, "'%s' ends in the middle", r->path);
                to += got;
                n -= got;
        }
        return true;
}

bool zreader_end(ZReader *r, StreamSum *ret, Err *err) {
        char byte;
        size_t got;
        if (!zreader_get(r, &byte, 1, &got, err))
                return false;
        if (got != 0)
                return err_fail(err, ERR_CORRUPT, "'%s' has something after its end", r->path);
        *ret = (StreamSum){.bytes = r->bytes, .plain_bytes = r->plain_bytes};
        sha256_end(r->sum, ret->sha256);
        return true;
}

void zreader_freep(ZReader **r) {
        if (!*r)
                return;
        close_fd(&(*r)->fd);
        ZSTD_freeDCtx((*r)->context);
        sha256_freep(&(*r)->sum);
        free((*r)->buffer);
        free((*r)->path);
        free(*r);
        *r = NULL;
}
