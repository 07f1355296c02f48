#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/tar.h"
#include "base/own.h"

enum { BLOCK = 512, OCTAL_ID_MAX = 2097151 };

/* The header of POSIX ustar, byte for byte. */
typedef struct Header {
        char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
        char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
} Header;
_Static_assert(sizeof(Header) == BLOCK, "a tar header is one block");

static const char zeros[2 * BLOCK];

static void octal(char *to, size_t room, uint64_t value) {
        char text[32];
        snprintf(text, sizeof(text), "%0*" PRIo64, (int)room - 1, value);
        memcpy(to, text, room);
}

static bool put_header(TarWriter *tar, const char *name, char type, uint64_t size,
        const FileEntry *entry, Err *err) {
        Header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
        memcpy(h.name, name, strlen(name) < sizeof(h.name) ? strlen(name) : sizeof(h.name));
        int64_t seconds = entry->mtime_ns / 1000000000;
        octal(h.mode, sizeof(h.mode), entry->mode);
        octal(h.uid, sizeof(h.uid), entry->uid > OCTAL_ID_MAX ? 0 : entry->uid);
        octal(h.gid, sizeof(h.gid), entry->gid > OCTAL_ID_MAX ? 0 : entry->gid);
        octal(h.size, sizeof(h.size), size >> 33 ? 0 : size);
        octal(h.mtime, sizeof(h.mtime), seconds < 0 || seconds >> 33 ? 0 : (uint64_t)seconds);
        octal(h.major, sizeof(h.major), 0);
        octal(h.minor, sizeof(h.minor), 0);
        if (entry->link && (type == '1' || type == '2'))
                memcpy(h.link, entry->link,
                        strlen(entry->link) < sizeof(h.link) ? strlen(entry->link)
                                                             : sizeof(h.link));
        memset(h.checksum, ' ', sizeof(h.checksum));
        unsigned sum = 0;
        for (size_t i = 0; i < BLOCK; i++)
                sum += ((const unsigned char *)&h)[i];
        octal(h.checksum, 7, sum);
        h.checksum[7] = ' ';
        return zwriter_add(tar->out, &h, sizeof(h), err);
}

/* "<length> <key>=<value>\n", where length counts itself. */
static void pax_bytes(Str *pax, const char *key, const void *value, size_t n) {
        size_t body = strlen(key) + n + 3, length = body + 1;
        char digits[24];
        while (length != body + (size_t)snprintf(digits, sizeof(digits), "%zu", length))
                length = body + strlen(digits);
        str_addf(pax, "%zu %s=", length, key);
        str_add_n(pax, value, n);
        str_add_char(pax, '\n');
}

static void pax_text(Str *pax, const char *key, const char *value) {
        pax_bytes(pax, key, value, strlen(value));
}

static void pax_number(Str *pax, const char *key, uint64_t value) {
        scoped(free_str) char *text = str_format("%" PRIu64, value);
        pax_text(pax, key, text);
}

static void pax_time(Str *pax, int64_t ns) {
        int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
        const char *sign = ns < 0 ? "-" : "";
        scoped(free_str) char *text = str_format("%s%" PRId64 ".%09" PRId64, sign,
                seconds < 0 ? -seconds : seconds, rest < 0 ? -rest : rest);
        pax_text(pax, "mtime", text);
}

static void pax_xattr(Str *pax, const Xattr *x) {
        static const char *const acls[][2] = {
                {"system.posix_acl_access", "SCHILY.acl.access"},
                {"system.posix_acl_default", "SCHILY.acl.default"},
        };
        for (size_t i = 0; i < COUNT_OF(acls); i++) {
                scoped(free_str) char *text =
                        strcmp(x->name, acls[i][0]) ? NULL : acl_to_text(x->value, x->n);
                if (text) {
                        pax_text(pax, acls[i][1], text);
                        return;
                }
        }
        scoped(free_str) char *key = str_format("SCHILY.xattr.%s", x->name);
        pax_bytes(pax, key, x->value, x->n);
}

static void pax_details(Str *pax, const FileEntry *entry, uint64_t stored, bool is_sparse) {
        pax_time(pax, entry->mtime_ns);
        if (stored >> 33)
                pax_number(pax, "size", stored);
        if (entry->uid > OCTAL_ID_MAX)
                pax_number(pax, "uid", entry->uid);
        if (entry->gid > OCTAL_ID_MAX)
                pax_number(pax, "gid", entry->gid);
        for (size_t i = 0; i < entry->n_xattrs && entry->type != FILE_HARDLINK; i++)
                pax_xattr(pax, &entry->xattrs[i]);
        if (is_sparse) {
                pax_text(pax, "GNU.sparse.major", "1");
                pax_text(pax, "GNU.sparse.minor", "0");
                pax_number(pax, "GNU.sparse.realsize", entry->size);
        }
}

static bool put_pax(TarWriter *tar, const Str *pax, const FileEntry *entry, Err *err) {
        FileEntry plain = {.mode = 0600, .mtime_ns = entry->mtime_ns};
        size_t pad = (BLOCK - pax->len % BLOCK) % BLOCK;
        return put_header(tar, "./PaxHeaders/belay", 'x', pax->len, &plain, err) &&
               zwriter_add(tar->out, pax->text, pax->len, err) &&
               zwriter_add(tar->out, zeros, pad, err);
}

static char type_flag(FileType type) {
        switch (type) {
        case FILE_DIRECTORY:
                return '5';
        case FILE_SYMLINK:
                return '2';
        case FILE_HARDLINK:
                return '1';
        case FILE_FIFO:
                return '6';
        case FILE_REGULAR:
        case FILE_NONE:
        case FILE_SOCKET:
        case FILE_DATABASE:
        default:
                return '0';
        }
}

/* The map of a sparse file is the beginning of its data: number of segments, then offset and length of each,
 * one per line, filled up to whole blocks. */
static void sparse_map_text(Str *to, const SegmentMap *map) {
        str_addf(to, "%zu\n", map->n);
        for (size_t i = 0; i < map->n; i++)
                str_addf(to, "%" PRIu64 "\n%" PRIu64 "\n", map->items[i].at, map->items[i].bytes);
        str_add_n(to, zeros, (BLOCK - to->len % BLOCK) % BLOCK);
}

bool tar_put(TarWriter *tar, const FileEntry *entry, const SegmentMap *map, Err *err) {
        scoped(str_done) Str pax = {0}, sparse = {0};
        bool is_root = strcmp(entry->path, ".") == 0;
        scoped(free_str) char *name = is_root ? str_copy("./")
                                              : str_format("./%s%s", entry->path,
                                                        entry->type == FILE_DIRECTORY ? "/" : "");
        FileEntry shown = *entry;
        scoped(free_str) char *target =
                entry->type == FILE_HARDLINK ? str_format("./%s", entry->link) : NULL;
        if (target)
                shown.link = target;
        uint64_t stored = entry->type == FILE_REGULAR ? entry->size : 0;
        if (map) {
                sparse_map_text(&sparse, map);
                stored = sparse.len;
                for (size_t i = 0; i < map->n; i++)
                        stored += map->items[i].bytes;
        }
        pax_details(&pax, entry, stored, map != NULL);
        if (map)
                pax_text(&pax, "GNU.sparse.name", name);
        else if (strlen(name) > sizeof(((Header *)0)->name))
                pax_text(&pax, "path", name);
        if (shown.link && strlen(shown.link) > sizeof(((Header *)0)->link))
                pax_text(&pax, "linkpath", shown.link);
        if (!put_pax(tar, &pax, entry, err) ||
                !put_header(tar, name, type_flag(entry->type), stored, &shown, err))
                return false;
        tar->left = stored - sparse.len;
        tar->pad = (BLOCK - stored % BLOCK) % BLOCK;
        return zwriter_add(tar->out, sparse.text ? sparse.text : "", sparse.len, err);
}

bool tar_put_data(TarWriter *tar, const void *bytes, size_t n, Err *err) {
        if (n > tar->left)
                return err_fail(err, ERR_BUG, "more data than the archive was told");
        tar->left -= n;
        return zwriter_add(tar->out, bytes, n, err);
}

bool tar_put_end(TarWriter *tar, Err *err) {
        if (tar->left != 0)
                return err_fail(err, ERR_BUG, "less data than the archive was told");
        size_t pad = tar->pad;
        tar->pad = 0;
        return zwriter_add(tar->out, zeros, pad, err);
}

bool tar_finish(TarWriter *tar, Err *err) { return zwriter_add(tar->out, zeros, 2 * BLOCK, err); }

void segment_map_done(SegmentMap *map) {
        free(map->items);
        *map = (SegmentMap){0};
}
