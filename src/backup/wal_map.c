#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/pages.h"
#include "base/own.h"
#include "base/str.h"

/* The WAL as sqlite.org/fileformat2.html section 4 describes it: a header of 32 bytes, then frames of 24 bytes
 * and a page. Frames count while their salts are those of the header and the running checksum is right; only
 * those up to the last commit are in force. */
enum { WAL_HEADER = 32, FRAME_HEADER = 24, WAL_MAGIC = 0x377f0682, WAL_FORMAT = 3007000 };

typedef struct Sum {
        uint32_t a, b;
} Sum;

static uint32_t big(const unsigned char *p) {
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little(const unsigned char *p) {
        return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void sum_add(Sum *sum, const unsigned char *bytes, size_t n, bool is_big) {
        uint32_t a = sum->a, b = sum->b;
        for (size_t i = 0; i + 8 <= n; i += 8) {
                a += (is_big ? big(bytes + i) : little(bytes + i)) + b;
                b += (is_big ? big(bytes + i + 4) : little(bytes + i + 4)) + a;
        }
        *sum = (Sum){a, b};
}

static bool page_size_ok(uint32_t n) { return n >= 512 && n <= 65536 && (n & (n - 1)) == 0; }

/* Reads the header; false when it is none (then SQLite ignores the file, too). */
static bool header_ok(int fd, unsigned char *h, Sum *sum) {
        if (pread(fd, h, WAL_HEADER, 0) != WAL_HEADER || (big(h) & 0xfffffffeU) != WAL_MAGIC ||
                big(h + 4) != WAL_FORMAT)
                return false;
        sum_add(sum, h, 24, big(h) & 1);
        return page_size_ok(big(h + 8)) && sum->a == big(h + 24) && sum->b == big(h + 28);
}

typedef struct Pending {
        uint32_t page;
        uint64_t at;
} Pending;

static void commit(WalMap *map, const Pending *pending, size_t n) {
        for (size_t i = 0; i < n; i++) {
                size_t index = pending[i].page - 1;
                if (index >= map->n_frames) {
                        size_t room = map->n_frames ? map->n_frames : 256;
                        while (room <= index)
                                room *= 2;
                        map->frames = mem_grow(map->frames, room, sizeof(uint64_t));
                        memset(map->frames + map->n_frames, 0,
                                (room - map->n_frames) * sizeof(uint64_t));
                        map->n_frames = room;
                }
                map->frames[index] = pending[i].at;
        }
}

static void read_frames(WalMap *map, const unsigned char *h, Sum sum, unsigned char *frame) {
        scoped(free_mem) Pending *pending = NULL;
        size_t n_pending = 0, frame_bytes = FRAME_HEADER + map->page_size;
        uint64_t at = WAL_HEADER;
        for (;; at += frame_bytes) {
                if (pread(map->fd, frame, frame_bytes, (off_t)at) != (ssize_t)frame_bytes)
                        return;
                uint32_t page = big(frame), size_after = big(frame + 4);
                if (page == 0 || memcmp(frame + 8, h + 16, 8) != 0)
                        return;
                sum_add(&sum, frame, 8, big(h) & 1);
                sum_add(&sum, frame + FRAME_HEADER, map->page_size, big(h) & 1);
                if (sum.a != big(frame + 16) || sum.b != big(frame + 20))
                        return;
                Pending one = {page, at + FRAME_HEADER};
                PUSH(pending, n_pending, one);
                if (size_after == 0)
                        continue;
                commit(map, pending, n_pending);
                n_pending = 0;
                free(TAKE(pending));
                map->db_pages = size_after;
                map->bytes = at + frame_bytes;
        }
}

static bool open_wal(const char *database, int *ret_fd, Err *err) {
        scoped(free_str) char *path = str_format("%s-wal", database);
        *ret_fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (*ret_fd < 0 && errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        return true;
}

bool wal_map_open(const char *database, WalMap *ret, Err *err) {
        scoped(wal_map_done) WalMap map = {.fd = -1};
        unsigned char h[WAL_HEADER];
        Sum sum = {0, 0};
        if (!open_wal(database, &map.fd, err))
                return false;
        if (map.fd >= 0 && header_ok(map.fd, h, &sum)) {
                map.page_size = big(h + 8);
                map.salt[0] = big(h + 16);
                map.salt[1] = big(h + 20);
                scoped(free_mem) unsigned char *frame = mem_new(FRAME_HEADER + map.page_size, 1);
                read_frames(&map, h, sum, frame);
        }
        *ret = map;
        map = (WalMap){.fd = -1};
        return true;
}

void wal_map_done(WalMap *map) {
        close_fd(&map->fd);
        free(map->frames);
        *map = (WalMap){.fd = -1};
}

bool wal_salts(const char *database, uint32_t ret[2], bool *ret_there, Err *err) {
        scoped(close_fd) int fd = -1;
        unsigned char h[WAL_HEADER];
        Sum sum = {0, 0};
        if (!open_wal(database, &fd, err))
                return false;
        *ret_there = fd >= 0 && header_ok(fd, h, &sum);
        ret[0] = *ret_there ? big(h + 16) : 0;
        ret[1] = *ret_there ? big(h + 20) : 0;
        return true;
}

uint64_t wal_bytes_in_force(int fd, uint64_t size) {
        unsigned char header[WAL_HEADER], frame[FRAME_HEADER];
        Sum sum = {0, 0};
        if (!header_ok(fd, header, &sum))
                return size;
        uint64_t step = FRAME_HEADER + (uint64_t)big(header + 8);
        uint64_t end = WAL_HEADER;
        for (; end + step <= size; end += step)
                if (pread(fd, frame, FRAME_HEADER, (off_t)end) != FRAME_HEADER ||
                        memcmp(frame + 8, header + 16, 8) != 0)
                        break;
        return end;
}
