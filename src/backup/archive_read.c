#include "backup/archive_read.h"

#include <fcntl.h>
#include <string.h>

#include "base/own.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { COPY_BYTES = 256 * 1024, DELETED_BYTES_MAX = 1024 * 1024 * 1024 };

typedef struct Reading {
        const Set *set;
        const SetItem *item;
        const ArchiveSink *sink;
        const BackupWatch *watch;
        bool delta;          /* which archive it is */
        Strv deleted;        /* names that the second pass found gone, sorted */
        unsigned char *seen; /* for each of the list: how many copies, up to earlier + 1 */
        char *buffer;
        uint64_t done, total;
        TarReader tar;
} Reading;

static bool same_link(const FileEntry *a, const FileEntry *b) {
        return str_equal(a->link, b->link);
}

static bool same_xattrs(const FileEntry *a, const FileEntry *b) {
        if (a->n_xattrs != b->n_xattrs)
                return false;
        for (size_t i = 0; i < a->n_xattrs; i++) {
                size_t j = 0;
                while (j < b->n_xattrs && strcmp(a->xattrs[i].name, b->xattrs[j].name) != 0)
                        j++;
                if (j == b->n_xattrs || a->xattrs[i].n != b->xattrs[j].n ||
                        memcmp(a->xattrs[i].value, b->xattrs[j].value, a->xattrs[i].n) != 0)
                        return false;
        }
        return true;
}

static bool as_listed(const FileEntry *listed, const FileEntry *found) {
        return listed->type == found->type && listed->mode == found->mode &&
               listed->uid == found->uid && listed->gid == found->gid &&
               (listed->type != FILE_REGULAR || listed->size == found->size) &&
               listed->sparse == found->sparse && listed->mtime_ns == found->mtime_ns &&
               same_link(listed, found) &&
               (listed->type == FILE_HARDLINK || same_xattrs(listed, found));
}

static bool bad(const Reading *r, const char *path, const char *what, Err *err) {
        scoped(free_str) char *name = str_printable(path, false);
        return err_fail(
                err, ERR_CORRUPT, "the archive of '%s': '%s' %s", r->item->slug, name, what);
}

static bool read_segment(
        Reading *r, const FileEntry *listed, const Segment *s, Sha256 *sum, Err *err) {
        uint64_t at = s->at, end = s->at + s->bytes;
        while (at < end) {
                size_t wanted = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES, got;
                if (!tar_get_data(&r->tar, r->buffer, wanted, &got, err))
                        return false;
                if (got == 0)
                        return bad(r, listed->path, "is cut off", err);
                sha256_add(sum, r->buffer, got);
                if (r->sink && r->sink->data &&
                        !r->sink->data(r->sink->context, listed, at, r->buffer, got, err))
                        return false;
                at += got;
                r->done += got;
                if (watch_cancelled(r->watch, err))
                        return false;
        }
        return true;
}

static bool read_regular(Reading *r, const FileEntry *listed, const SegmentMap *map, Err *err) {
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        Segment whole = {0, listed->size};
        char hex[65], wanted[65];
        if (r->sink && r->sink->begin && !r->sink->begin(r->sink->context, listed, err))
                return false;
        if (!listed->sparse && !read_segment(r, listed, &whole, sum, err))
                return false;
        for (size_t i = 0; listed->sparse && i < map->n; i++) {
                sha256_add(sum, &map->items[i], sizeof(Segment));
                if (!read_segment(r, listed, &map->items[i], sum, err))
                        return false;
        }
        sha256_end(sum, hex);
        bytes_to_hex(listed->sha256, sizeof(listed->sha256), wanted);
        if (strcmp(hex, wanted) != 0)
                return bad(r, listed->path, "does not have the bytes that were read", err);
        return !r->sink || !r->sink->end || r->sink->end(r->sink->context, listed, err);
}

static int by_bytes(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_deleted(const Reading *r, const char *path) {
        size_t n = strv_count(r->deleted);
        return n > 0 && bsearch(&path, r->deleted, n, sizeof(char *), by_bytes) != NULL;
}

/* Names as "./a", each ended by a NUL. */
static bool load_deleted(Reading *r, Err *err) {
        const Object *object = set_object(r->set, OBJECT_DELETED, r->item->slug);
        scoped(free_str) char *path = object ? set_path(r->set, object->name) : NULL;
        scoped(free_str) char *names = NULL;
        size_t bytes = 0;
        if (!object)
                return true;
        if (!file_read(path, DELETED_BYTES_MAX, &names, &bytes, err))
                return false;
        for (size_t at = 0; at < bytes; at += strlen(names + at) + 1)
                strv_add(&r->deleted, str_starts(names + at, "./") ? names + at + 2 : names + at);
        if (strv_count(r->deleted) > 1)
                qsort(r->deleted, strv_count(r->deleted), sizeof(char *), by_bytes);
        return true;
}

/* What the second pass replaced or removed is still in the first archive, and passed over. */
static bool is_superseded(const Reading *r, const FileEntry *listed, const char *path) {
        return !r->delta && r->set->pass >= 2 && (listed ? listed->delta : is_deleted(r, path));
}

static bool read_entry(Reading *r, const FileEntry *found, const SegmentMap *map, Err *err) {
        const FileEntry *listed = file_list_find(&r->item->list, found->path);
        if (!listed || listed->delta != r->delta)
                return is_superseded(r, listed, found->path) ||
                       bad(r, found->path, "is not in its list of files", err);
        unsigned char *seen = &r->seen[listed - r->item->list.items];
        if (*seen > listed->earlier)
                return bad(r, found->path, "is there twice", err);
        if ((*seen)++ < listed->earlier)
                return true;
        if (!as_listed(listed, found))
                return bad(r, found->path, "is not what its list of files says", err);
        return listed->type != FILE_REGULAR || read_regular(r, listed, map, err);
}

static bool read_entries(Reading *r, Err *err) {
        for (;;) {
                scoped(file_entry_done) FileEntry found = {0};
                scoped(segment_map_done) SegmentMap map = {0};
                bool end = false;
                if (!tar_get(&r->tar, &found, &map, &end, err))
                        return false;
                if (end)
                        return true;
                if (!read_entry(r, &found, &map, err))
                        return false;
                watch_progress(r->watch, r->item->slug, r->done, r->total);
        }
}

static bool read_archive(Reading *r, const Object *object, Err *err) {
        scoped(free_str) char *path = set_path(r->set, object->name);
        scoped(zreader_freep) ZReader *in = NULL;
        StreamSum sum;
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
                file_forget(fd);
        close_fd(&fd);
        if (!zreader_open(path, str_ends(object->name, ".zst"), object->plain_bytes, &in, err))
                return false;
        r->tar = (TarReader){.in = in};
        if (!read_entries(r, err) || !zreader_end(in, &sum, err))
                return err_context(err, "reading '%s'", path);
        if (strcmp(sum.sha256, object->sha256) == 0 && sum.bytes == object->bytes)
                return true;
        return err_fail(err, ERR_CORRUPT, "'%s' is not what was written", path);
}

static bool all_seen(const Reading *r, Err *err) {
        for (size_t i = 0; i < r->item->list.n; i++) {
                const FileEntry *listed = &r->item->list.items[i];
                if (listed->type != FILE_SOCKET && r->seen[i] != listed->earlier + 1)
                        return bad(r, listed->path, "is missing", err);
        }
        return true;
}

/* A directory begins with itself (its owner and mode are half of what a restore is for); a file is one entry. */
static bool has_shape(const SetItem *item) {
        const FileList *list = &item->list;
        if (item->is_file)
                return list->n == 1 && list->items[0].type == FILE_REGULAR &&
                       strcmp(list->items[0].path, path_basename(item->path)) == 0;
        return list->n > 0 && list->items[0].type == FILE_DIRECTORY &&
               strcmp(list->items[0].path, ".") == 0;
}

bool archives_read(const Set *set, const SetItem *item, const ArchiveSink *sink,
        const BackupWatch *watch, Err *err) {
        static const ObjectKind kinds[] = {OBJECT_PATHS, OBJECT_DELTA};
        scoped(free_mem) unsigned char *seen = mem_new(item->list.n + 1, 1);
        scoped(free_mem) char *buffer = mem_new(COPY_BYTES, 1);
        Reading r = {.set = set,
                .item = item,
                .sink = sink,
                .watch = watch,
                .seen = seen,
                .buffer = buffer,
                .total = item->bytes};
        if (!has_shape(item))
                return err_fail(
                        err, ERR_CORRUPT, "the list of files of '%s' is not whole", item->slug);
        bool ok = load_deleted(&r, err);
        for (size_t i = 0; ok && i < COUNT_OF(kinds); i++) {
                const Object *object = set_object(set, kinds[i], item->slug);
                r.delta = kinds[i] == OBJECT_DELTA;
                ok = !object || read_archive(&r, object, err);
        }
        strv_free(r.deleted);
        return ok && all_seen(&r, err);
}
