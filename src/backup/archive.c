#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/own.h"
#include "platform/sha256.h"

enum { COPY_BYTES = 256 * 1024, TAKES_MAX = 3, XATTR_BYTES_MAX = 64 * 1024 };

int64_t kernel_now_ns(void) {
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- inodes with several names -- */

typedef struct Link {
        uint64_t inode;
        FileEntry first; /* what was put under the first name */
} Link;

static int by_inode(const void *a, const void *b) {
        uint64_t x = ((const Link *)a)->inode, y = ((const Link *)b)->inode;
        return x < y ? -1 : x > y;
}

static void link_free(void *link) {
        file_entry_done(&((Link *)link)->first);
        free(link);
}

void archiver_done(Archiver *a) { tdestroy(TAKE(a->links), link_free); }

static Link *link_find(Archiver *a, uint64_t inode) {
        Link key = {.inode = inode};
        Link **found = tfind(&key, &a->links, by_inode);
        return found ? *found : NULL;
}

static void link_remember(Archiver *a, const FileEntry *entry) {
        Link *link = NEW(Link);
        link->inode = entry->inode;
        link->first = *entry;
        link->first.path = str_copy(entry->path);
        link->first.link = NULL;
        link->first.xattrs = NULL;
        link->first.n_xattrs = 0;
        if (!tsearch(link, &a->links, by_inode))
                abort();
}

/* -- extended attributes -- */

static bool add_xattr(
        const char *at, const char *name, const char *path, FileEntry *entry, Err *err) {
        scoped(free_str) char *value = mem_new(XATTR_BYTES_MAX, 1);
        ssize_t n = lgetxattr(at, name, value, XATTR_BYTES_MAX);
        if (n < 0 && (errno == ENODATA || errno == ENOTSUP))
                return true;
        if (n < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "reading attribute '%s' of '%s'", name, path);
        Xattr x = {.name = str_copy(name), .value = mem_new((size_t)n + 1, 1), .n = (size_t)n};
        memcpy(x.value, value, (size_t)n);
        PUSH(entry->xattrs, entry->n_xattrs, x);
        return true;
}

bool entry_add_xattrs(const WalkPlace *place, FileEntry *entry, Err *err) {
        scoped(free_str) char *at = str_format("/proc/self/fd/%d/%s", place->dir_fd, place->name);
        char names[4096];
        ssize_t n = llistxattr(at, names, sizeof(names));
        scoped(free_str) char *more = NULL;
        char *list = names;
        if (n < 0 && errno == ERANGE) {
                list = more = mem_new(XATTR_BYTES_MAX, 1);
                n = llistxattr(at, list, XATTR_BYTES_MAX);
        }
        if (n < 0 && (errno == ENOTSUP || errno == ENOENT || errno == ENOSYS))
                return true;
        if (n < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "listing attributes of '%s'", place->path);
        for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
                if (!add_xattr(at, list + i, place->path, entry, err))
                        return false;
        return true;
}

/* -- contents of regular files -- */

/* Where data is, then the end, without which GNU tar would make the file end with its data. False when the file
 * system cannot tell. */
static bool map_of(int fd, uint64_t size, SegmentMap *ret) {
        uint64_t at = 0;
        Segment last = {size, 0};
        while (at < size) {
                off_t data = lseek(fd, (off_t)at, SEEK_DATA);
                if (data < 0 && errno != ENXIO)
                        return false;
                if (data < 0 || (uint64_t)data >= size)
                        break;
                off_t hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        return false;
                uint64_t end = (uint64_t)hole < size ? (uint64_t)hole : size;
                Segment s = {(uint64_t)data, end - (uint64_t)data};
                PUSH(ret->items, ret->n, s);
                at = end;
        }
        PUSH(ret->items, ret->n, last);
        return true;
}

static bool looks_sparse(const struct stat *st) {
        return (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
}

typedef struct FileCopy {
        int fd;
        const char *path;
        Sha256 *sum;
        TarWriter *tar; /* NULL: only summed */
        Archiver *archiver;
} FileCopy;

static bool take_bytes(FileCopy *c, const void *bytes, size_t n, Err *err) {
        sha256_add(c->sum, bytes, n);
        if (c->archiver) {
                *c->archiver->done += n;
                c->archiver->bytes += n;
        }
        return !c->tar || tar_put_data(c->tar, bytes, n, err);
}

/* A file that shrinks under the reader is filled up with zeros: the header has promised its size. */
static bool take_segment(FileCopy *c, const Segment *s, char *buffer, Err *err) {
        uint64_t at = s->at, end = s->at + s->bytes;
        while (at < end) {
                size_t wanted = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
                ssize_t n = pread(c->fd, buffer, wanted, (off_t)at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", c->path);
                if (n == 0)
                        memset(buffer, 0, (size_t)(n = (ssize_t)wanted));
                if (!take_bytes(c, buffer, (size_t)n, err))
                        return false;
                at += (uint64_t)n;
                if (c->archiver && watch_cancelled(c->archiver->watch, err))
                        return false;
        }
        return true;
}

/* The sum of a sparse file is over offset, length and bytes of its segments: holes may be huge. */
static bool take_content(FileCopy *c, const SegmentMap *map, uint64_t size, Err *err) {
        scoped(free_str) char *buffer = mem_new(COPY_BYTES, 1);
        Segment whole = {0, size};
        if (!map)
                return take_segment(c, &whole, buffer, err);
        for (size_t i = 0; i < map->n; i++) {
                sha256_add(c->sum, &map->items[i], sizeof(Segment));
                if (!take_segment(c, &map->items[i], buffer, err))
                        return false;
        }
        return true;
}

static void sum_into(Sha256 *sum, FileEntry *entry) {
        char hex[65];
        sha256_end(sum, hex);
        (void)hex_to_bytes(hex, entry->sha256, sizeof(entry->sha256));
}

/* One reading of an open file; *ret_changed when it was written meanwhile. */
static bool take_once(
        Archiver *a, int fd, const char *path, FileEntry *entry, bool *ret_changed, Err *err) {
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        scoped(segment_map_done) SegmentMap map = {0};
        scoped(file_entry_done) FileEntry now = {0};
        struct stat st;
        FileCopy c = {.fd = fd, .path = path, .sum = sum, .tar = a ? &a->tar : NULL, .archiver = a};
        if (fstat(fd, &st) != 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        if (!file_entry_of(path, &st, &now, err))
                return false;
        entry->size = now.size;
        entry->mtime_ns = now.mtime_ns;
        entry->ctime_ns = now.ctime_ns;
        entry->mode = now.mode;
        entry->uid = now.uid;
        entry->gid = now.gid;
        entry->sparse = looks_sparse(&st) && map_of(fd, entry->size, &map);
        const SegmentMap *holes = entry->sparse ? &map : NULL;
        if ((a && !tar_put(&a->tar, entry, holes, err)) ||
                !take_content(&c, holes, entry->size, err) || (a && !tar_put_end(&a->tar, err)))
                return false;
        sum_into(sum, entry);
        file_entry_done(&now);
        if (fstat(fd, &st) != 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        if (!file_entry_of(path, &st, &now, err))
                return false;
        *ret_changed = !file_entry_same(entry, &now);
        return true;
}

static bool put_regular(
        Archiver *a, const WalkPlace *place, FileEntry *entry, bool *ret_there, Err *err) {
        scoped(close_fd) int fd = -1;
        bool changed = true;
        struct stat st;
        if (!walk_open_file(place, &fd, err))
                return false;
        *ret_there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
        if (!*ret_there)
                return true;
        entry->inode = st.st_ino;
        for (unsigned take = 0; changed && take < TAKES_MAX; take++) {
                entry->earlier = take;
                if (!take_once(a, fd, place->path, entry, &changed, err))
                        return false;
        }
        int64_t newest = entry->ctime_ns > entry->mtime_ns ? entry->ctime_ns : entry->mtime_ns;
        entry->doubtful = changed || newest >= a->trusted_before_ns;
        return true;
}

bool file_content_sum(const WalkPlace *place, FileEntry *ret, bool *ret_there, Err *err) {
        scoped(close_fd) int fd = -1;
        bool changed;
        struct stat st;
        if (!walk_open_file(place, &fd, err))
                return false;
        *ret_there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
        return !*ret_there || take_once(NULL, fd, place->path, ret, &changed, err);
}

/* Another name of what is in the archive already, if it is still exactly that. */
static bool put_link(
        Archiver *a, FileEntry *entry, const struct stat *st, bool *ret_put, Err *err) {
        Link *link = st->st_nlink > 1 ? link_find(a, entry->inode) : NULL;
        *ret_put = link && file_entry_same(&link->first, entry);
        if (!*ret_put)
                return true;
        entry->type = FILE_HARDLINK;
        entry->link = str_copy(link->first.path);
        return tar_put(&a->tar, entry, NULL, err);
}

static bool put_other(Archiver *a, const WalkPlace *place, FileEntry *entry, Err *err) {
        char target[4097];
        if (entry->type == FILE_SOCKET)
                return true;
        if (entry->type != FILE_SYMLINK)
                return tar_put(&a->tar, entry, NULL, err);
        ssize_t n = readlinkat(place->dir_fd, place->name, target, sizeof(target) - 1);
        if (n < 0 && (errno == ENOENT || errno == EINVAL)) {
                file_entry_done(entry);
                return true;
        }
        if (n <= 0)
                return err_fail_errno(err, ERR_IO, errno, "reading link '%s'", place->path);
        entry->link = str_copy_n(target, (size_t)n);
        return tar_put(&a->tar, entry, NULL, err);
}

bool archiver_put(
        Archiver *a, const WalkPlace *place, const struct stat *st, FileEntry *ret, Err *err) {
        scoped(file_entry_done) FileEntry entry = {0};
        bool put = false, there = true;
        *ret = (FileEntry){0};
        if (!file_entry_of(place->path, st, &entry, err) || !entry_add_xattrs(place, &entry, err))
                return false;
        if (entry.type != FILE_REGULAR) {
                if (!put_other(a, place, &entry, err))
                        return false;
        } else if (!put_link(a, &entry, st, &put, err) ||
                   (!put && !put_regular(a, place, &entry, &there, err))) {
                return err_context(err, "reading '%s/%s'", a->root, place->path);
        }
        if (!there || !entry.path)
                return true;
        if (entry.type == FILE_REGULAR && st->st_nlink > 1 && !link_find(a, entry.inode))
                link_remember(a, &entry);
        a->files++;
        *ret = entry;
        entry = (FileEntry){0};
        watch_progress(a->watch, a->slug, *a->done, a->total);
        return true;
}
