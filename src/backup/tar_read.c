#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/tar.h"
#include "base/own.h"

enum { BLOCK = 512, PAX_BYTES_MAX = 1024 * 1024, SEGMENTS_MAX = 1000000 };

static bool bad(Err *err, const char *what) {
        return err_fail(err, ERR_CORRUPT, "the archive has %s", what);
}

/* Octal digits, ended by NUL or space; base-256 and signs are not of our dialect. */
static bool octal(const unsigned char *from, size_t room, uint64_t *ret) {
        uint64_t value = 0;
        size_t i = 0;
        for (; i < room && from[i] >= '0' && from[i] <= '7'; i++)
                value = value * 8 + (uint64_t)(from[i] - '0');
        if (i == 0 || (i < room && from[i] != '\0' && from[i] != ' '))
                return false;
        *ret = value;
        return true;
}

static bool checksum_ok(const unsigned char *h) {
        uint64_t wanted;
        unsigned sum = 0;
        for (size_t i = 0; i < BLOCK; i++)
                sum += i >= 148 && i < 156 ? ' ' : h[i];
        return octal(h + 148, 8, &wanted) && wanted == sum;
}

/* What pax records say of the entry that follows them. */
typedef struct Pax {
        char *path, *link, *sparse_name;
        uint64_t size, uid, gid, real_size;
        int64_t mtime_ns;
        bool has_size, has_uid, has_gid, has_mtime, has_real_size, major, minor;
        Xattr *xattrs;
        size_t n_xattrs;
} Pax;

static void pax_done(Pax *pax) {
        FileEntry rest = {.xattrs = pax->xattrs, .n_xattrs = pax->n_xattrs};
        file_entry_done(&rest);
        free(pax->path);
        free(pax->link);
        free(pax->sparse_name);
        *pax = (Pax){0};
}

static bool set_text(char **to, const char *value, size_t n) {
        if (*to || memchr(value, 0, n))
                return false;
        *to = str_copy_n(value, n);
        return true;
}

static bool set_number(bool *has, uint64_t *to, const char *value, size_t n, uint64_t max) {
        scoped(free_str) char *text = str_copy_n(value, n);
        bool first = !*has;
        *has = true;
        return first && strlen(text) == n && str_to_uint(text, max, to);
}

static bool set_time(Pax *pax, const char *value, size_t n) {
        scoped(free_str) char *text = str_copy_n(value, n);
        char *digits = text[0] == '-' ? text + 1 : text, *dot = strchr(digits, '.');
        uint64_t seconds, ns;
        if (pax->has_mtime || !dot || strlen(text) != n || strlen(dot + 1) != 9)
                return false;
        *dot = '\0';
        if (!str_to_uint(digits, INT64_MAX / 1000000000 - 1, &seconds) ||
                !str_to_uint(dot + 1, 999999999, &ns))
                return false;
        pax->has_mtime = true;
        pax->mtime_ns = (int64_t)(seconds * 1000000000 + ns) * (digits == text ? 1 : -1);
        return true;
}

static bool add_xattr(Pax *pax, const char *name, const void *value, size_t n) {
        for (size_t i = 0; i < pax->n_xattrs; i++)
                if (strcmp(pax->xattrs[i].name, name) == 0)
                        return false;
        Xattr x = {.name = str_copy(name), .value = mem_new(n + 1, 1), .n = n};
        memcpy(x.value, value, n);
        PUSH(pax->xattrs, pax->n_xattrs, x);
        return true;
}

static bool add_acl(Pax *pax, const char *name, const char *value, size_t n) {
        scoped(free_str) char *text = str_copy_n(value, n);
        size_t bytes;
        scoped(free_mem) unsigned char *acl = acl_from_text(text, &bytes);
        return acl && add_xattr(pax, name, acl, bytes);
}

static bool set_is(bool *to, const char *value, size_t n, char wanted) {
        bool first = !*to;
        *to = true;
        return first && n == 1 && value[0] == wanted;
}

static bool pax_key(Pax *pax, const char *key, const char *value, size_t n) {
        if (strcmp(key, "path") == 0)
                return set_text(&pax->path, value, n);
        if (strcmp(key, "linkpath") == 0)
                return set_text(&pax->link, value, n);
        if (strcmp(key, "mtime") == 0)
                return set_time(pax, value, n);
        if (strcmp(key, "size") == 0)
                return set_number(&pax->has_size, &pax->size, value, n, INT64_MAX);
        if (strcmp(key, "uid") == 0)
                return set_number(&pax->has_uid, &pax->uid, value, n, UINT32_MAX - 1);
        if (strcmp(key, "gid") == 0)
                return set_number(&pax->has_gid, &pax->gid, value, n, UINT32_MAX - 1);
        if (strcmp(key, "GNU.sparse.major") == 0)
                return set_is(&pax->major, value, n, '1');
        if (strcmp(key, "GNU.sparse.minor") == 0)
                return set_is(&pax->minor, value, n, '0');
        if (strcmp(key, "GNU.sparse.name") == 0)
                return set_text(&pax->sparse_name, value, n);
        if (strcmp(key, "GNU.sparse.realsize") == 0)
                return set_number(&pax->has_real_size, &pax->real_size, value, n, INT64_MAX);
        if (strcmp(key, "SCHILY.acl.access") == 0)
                return add_acl(pax, "system.posix_acl_access", value, n);
        if (strcmp(key, "SCHILY.acl.default") == 0)
                return add_acl(pax, "system.posix_acl_default", value, n);
        return str_starts(key, "SCHILY.xattr.") &&
               add_xattr(pax, key + strlen("SCHILY.xattr."), value, n);
}

/* One "<length> <key>=<value>\n" at `text`; returns its length, 0 when it is none. */
static size_t pax_record(Pax *pax, const char *text, size_t bytes) {
        size_t length = 0, i = 0;
        for (; i < bytes && i < 8 && text[i] >= '0' && text[i] <= '9'; i++)
                length = length * 10 + (size_t)(text[i] - '0');
        if (i == 0 || i >= bytes || text[i] != ' ' || length > bytes || length < i + 4 ||
                text[length - 1] != '\n')
                return 0;
        const char *key = text + i + 1, *equals = memchr(key, '=', length - i - 2);
        if (!equals)
                return 0;
        scoped(free_str) char *name = str_copy_n(key, (size_t)(equals - key));
        size_t n = (size_t)(text + length - 1 - (equals + 1));
        return pax_key(pax, name, equals + 1, n) ? length : 0;
}

static bool read_pax(TarReader *tar, uint64_t bytes, Pax *pax, Err *err) {
        if (bytes == 0 || bytes > PAX_BYTES_MAX)
                return bad(err, "an extended header that is too large");
        size_t padded = (size_t)(bytes + BLOCK - 1) / BLOCK * BLOCK, n;
        scoped(free_str) char *text = mem_new(padded, 1);
        if (!zreader_need(tar->in, text, padded, err))
                return false;
        for (size_t at = 0; at < bytes; at += n)
                if ((n = pax_record(pax, text + at, (size_t)bytes - at)) == 0)
                        return bad(err, "an extended header that Belay does not write");
        return true;
}

static bool skip_rest(TarReader *tar, Err *err) {
        char buffer[16 * 1024];
        uint64_t left = tar->left + tar->pad;
        tar->left = tar->pad = 0;
        while (left > 0) {
                size_t part = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);
                if (!zreader_need(tar->in, buffer, part, err))
                        return false;
                left -= part;
        }
        return true;
}

static bool all_zero(const unsigned char *block) {
        for (size_t i = 0; i < BLOCK; i++)
                if (block[i] != 0)
                        return false;
        return true;
}

/* The next header that is not one of the end marks. */
static bool read_header(TarReader *tar, unsigned char *h, bool *ret_end, Err *err) {
        *ret_end = false;
        if (!zreader_need(tar->in, h, BLOCK, err))
                return false;
        if (all_zero(h)) {
                *ret_end = true;
                return zreader_need(tar->in, h, BLOCK, err) &&
                       (all_zero(h) || bad(err, "one end mark only"));
        }
        if (!checksum_ok(h))
                return bad(err, "a header with a wrong checksum");
        if (memcmp(h + 257,
                    "ustar\0"
                    "00",
                    8) != 0)
                return bad(err, "a header of another format");
        return true;
}

static FileType type_of(unsigned char flag) {
        static const struct {
                char flag;
                FileType type;
        } types[] = {
                {'0', FILE_REGULAR},
                {'1', FILE_HARDLINK},
                {'2', FILE_SYMLINK},
                {'5', FILE_DIRECTORY},
                {'6', FILE_FIFO},
        };
        for (size_t i = 0; i < COUNT_OF(types); i++)
                if (types[i].flag == (char)flag)
                        return types[i].type;
        return FILE_NONE;
}

/* "./a/b" or "./a/b/" without its ends; the root is ".". NULL when it leaves the content. */
static char *inner_path(const char *name) {
        if (strcmp(name, "./") == 0)
                return str_copy(".");
        if (!str_starts(name, "./"))
                return NULL;
        size_t n = strlen(name + 2);
        scoped(free_str) char *path = str_copy_n(name + 2, n > 0 && name[n + 1] == '/' ? n - 1 : n);
        return file_path_ok(path) ? TAKE(path) : NULL;
}

static bool set_names(const unsigned char *h, Pax *pax, FileEntry *entry, Err *err) {
        scoped(free_str) char *short_name =
                str_copy_n((const char *)h, strnlen((const char *)h, 100));
        scoped(free_str) char *short_link =
                str_copy_n((const char *)h + 157, strnlen((const char *)h + 157, 100));
        if (h[345] != 0)
                return bad(err, "a header of another format");
        entry->path = inner_path(pax->sparse_name ? pax->sparse_name
                                 : pax->path      ? pax->path
                                                  : short_name);
        if (!entry->path)
                return bad(err, "a name that leads out of it");
        const char *link = pax->link ? pax->link : short_link;
        if (entry->type == FILE_SYMLINK)
                entry->link = str_copy(link);
        if (entry->type == FILE_HARDLINK)
                entry->link = inner_path(link);
        bool linked = entry->type == FILE_SYMLINK || entry->type == FILE_HARDLINK;
        return !linked || (entry->link && entry->link[0]) ||
               bad(err, "a link that leads out of it");
}

static bool set_numbers(const unsigned char *h, Pax *pax, FileEntry *entry, Err *err) {
        uint64_t mode, uid, gid, size, seconds;
        if (!octal(h + 100, 8, &mode) || !octal(h + 108, 8, &uid) || !octal(h + 116, 8, &gid) ||
                !octal(h + 124, 12, &size) || !octal(h + 136, 12, &seconds) || mode > 07777)
                return bad(err, "a number that is none");
        entry->mode = (mode_t)mode;
        entry->uid = (uid_t)(pax->has_uid ? pax->uid : uid);
        entry->gid = (gid_t)(pax->has_gid ? pax->gid : gid);
        entry->size = pax->has_size ? pax->size : size;
        entry->mtime_ns = pax->has_mtime ? pax->mtime_ns : (int64_t)seconds * 1000000000;
        if (entry->size > 0 && entry->type != FILE_REGULAR)
                return bad(err, "data where there can be none");
        return true;
}

/* A decimal number and its newline, from the map of a sparse file. */
static bool map_number(TarReader *tar, uint64_t *ret, Err *err) {
        uint64_t value = 0;
        for (unsigned i = 0; i < 20; i++) {
                char c;
                if (tar->left-- == 0 || !zreader_need(tar->in, &c, 1, err))
                        return bad(err, "a map of holes that is cut off");
                if (c == '\n' && i > 0) {
                        *ret = value;
                        return true;
                }
                if (c < '0' || c > '9' || value > INT64_MAX / 10 - 1)
                        break;
                value = value * 10 + (uint64_t)(c - '0');
        }
        return bad(err, "a map of holes that is none");
}

static bool read_map(TarReader *tar, uint64_t real_size, SegmentMap *map, Err *err) {
        uint64_t n, stored = tar->left, data = 0, end = 0;
        if (!map_number(tar, &n, err))
                return false;
        if (n > SEGMENTS_MAX)
                return bad(err, "too many holes");
        for (uint64_t i = 0; i < n; i++) {
                Segment s;
                if (!map_number(tar, &s.at, err) || !map_number(tar, &s.bytes, err))
                        return false;
                if (s.at < end || s.at > real_size || s.bytes > real_size - s.at)
                        return bad(err, "holes that contradict each other");
                end = s.at + s.bytes;
                data += s.bytes;
                PUSH(map->items, map->n, s);
        }
        char fill[BLOCK];
        size_t rest = (BLOCK - (stored - tar->left) % BLOCK) % BLOCK;
        if (tar->left < rest || tar->left - rest != data)
                return bad(err, "holes that contradict each other");
        tar->left = data;
        return zreader_need(tar->in, fill, rest, err);
}

/* The header of the next entry, with the extended one before it. */
static bool read_headers(TarReader *tar, unsigned char *h, Pax *pax, bool *ret_end, Err *err) {
        uint64_t bytes;
        if (!skip_rest(tar, err) || !read_header(tar, h, ret_end, err))
                return false;
        if (*ret_end || h[156] != 'x')
                return true;
        if (!octal(h + 124, 12, &bytes))
                return bad(err, "a number that is none");
        if (!read_pax(tar, bytes, pax, err) || !read_header(tar, h, ret_end, err))
                return false;
        return !*ret_end || bad(err, "an extended header without what it extends");
}

static bool set_sparse(
        TarReader *tar, const Pax *pax, FileEntry *entry, SegmentMap *map, Err *err) {
        entry->sparse = pax->major || pax->minor || pax->has_real_size || pax->sparse_name;
        if (!entry->sparse)
                return true;
        bool whole = pax->major && pax->minor && pax->has_real_size && pax->sparse_name;
        if (!whole || entry->type != FILE_REGULAR)
                return bad(err, "a sparse file of another format");
        entry->size = pax->real_size;
        return read_map(tar, pax->real_size, map, err);
}

bool tar_get(TarReader *tar, FileEntry *ret, SegmentMap *ret_map, bool *ret_end, Err *err) {
        scoped(pax_done) Pax pax = {0};
        scoped(file_entry_done) FileEntry entry = {0};
        scoped(segment_map_done) SegmentMap map = {0};
        unsigned char h[BLOCK];
        if (!read_headers(tar, h, &pax, ret_end, err))
                return false;
        if (*ret_end)
                return true;
        entry.type = type_of(h[156]);
        if (entry.type == FILE_NONE)
                return bad(err, "an entry that is neither file, directory, link nor FIFO");
        if (!set_names(h, &pax, &entry, err) || !set_numbers(h, &pax, &entry, err))
                return false;
        tar->left = entry.size;
        tar->pad = (BLOCK - entry.size % BLOCK) % BLOCK;
        if (!set_sparse(tar, &pax, &entry, &map, err))
                return false;
        entry.xattrs = TAKE(pax.xattrs);
        entry.n_xattrs = pax.n_xattrs;
        pax.n_xattrs = 0;
        *ret = entry;
        *ret_map = map;
        entry = (FileEntry){0};
        map = (SegmentMap){0};
        return true;
}

bool tar_get_data(TarReader *tar, void *buffer, size_t n, size_t *ret_got, Err *err) {
        *ret_got = tar->left < n ? (size_t)tar->left : n;
        tar->left -= *ret_got;
        return zreader_need(tar->in, buffer, *ret_got, err);
}
