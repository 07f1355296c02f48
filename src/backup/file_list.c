#include "backup/file_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"

enum { DEPTH_MAX = 256, PATH_BYTES_MAX = 4095, NAME_BYTES_MAX = 255 };

/* '/' counts as less than any other byte, and the root as less than everything: a directory is followed
 * at once by what is in it. */
int path_order(const char *a, const char *b) {
        if (strcmp(a, ".") == 0 || strcmp(b, ".") == 0)
                return (strcmp(a, ".") != 0) - (strcmp(b, ".") != 0);
        while (*a && *a == *b) {
                a++;
                b++;
        }
        unsigned char x = (unsigned char)*a, y = (unsigned char)*b;
        if (x == y)
                return 0;
        if (x == '/' && y)
                return -1;
        if (y == '/' && x)
                return 1;
        return x < y ? -1 : 1;
}

static int64_t ns_of(const struct timespec *t) {
        return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static FileType type_of(mode_t mode) {
        switch (mode & S_IFMT) {
        case S_IFREG:
                return FILE_REGULAR;
        case S_IFDIR:
                return FILE_DIRECTORY;
        case S_IFLNK:
                return FILE_SYMLINK;
        case S_IFIFO:
                return FILE_FIFO;
        case S_IFSOCK:
                return FILE_SOCKET;
        default:
                return FILE_NONE;
        }
}

bool file_entry_of(const char *path, const struct stat *st, FileEntry *ret, Err *err) {
        FileType type = type_of(st->st_mode);
        if (type == FILE_NONE) {
                err_fail(err, ERR_REFUSED, "'%s' is a device, which no backup can hold", path);
                return err_hint(err, "Move the device out of what is backed up.");
        }
        *ret = (FileEntry){
                .path = str_copy(path),
                .type = type,
                .mode = st->st_mode & 07777,
                .uid = st->st_uid,
                .gid = st->st_gid,
                .size = type == FILE_REGULAR ? (uint64_t)st->st_size : 0,
                .inode = st->st_ino,
                .mtime_ns = ns_of(&st->st_mtim),
                .ctime_ns = ns_of(&st->st_ctim),
        };
        return true;
}

void file_entry_done(FileEntry *entry) {
        free(entry->path);
        free(entry->link);
        for (size_t i = 0; i < entry->n_xattrs; i++) {
                free(entry->xattrs[i].name);
                free(entry->xattrs[i].value);
        }
        free(entry->xattrs);
        *entry = (FileEntry){0};
}

static FileType plain_type(const FileEntry *entry) {
        return entry->type == FILE_HARDLINK ? FILE_REGULAR : entry->type;
}

bool file_entry_same(const FileEntry *a, const FileEntry *b) {
        return plain_type(a) == plain_type(b) && a->mode == b->mode && a->uid == b->uid &&
               a->gid == b->gid && a->size == b->size && a->inode == b->inode &&
               a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

FileEntry *file_list_push(FileList *list, FileEntry *taken) {
        PUSH(list->items, list->n, *taken);
        *taken = (FileEntry){0};
        return &list->items[list->n - 1];
}

FileEntry *file_list_find(const FileList *list, const char *path) {
        size_t low = 0, high = list->n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = path_order(path, list->items[middle].path);
                if (order == 0)
                        return &list->items[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

static void push_unless_gone(FileList *list, FileEntry *entry) {
        if (entry->gone)
                file_entry_done(entry);
        else
                file_list_push(list, entry);
}

void file_list_overlay(FileList *base, FileList *newer) {
        FileList out = {0};
        size_t i = 0, j = 0;
        while (i < base->n || j < newer->n) {
                int order = i == base->n    ? 1
                            : j == newer->n ? -1
                                            : path_order(base->items[i].path, newer->items[j].path);
                if (order < 0) {
                        push_unless_gone(&out, &base->items[i++]);
                        continue;
                }
                if (order == 0)
                        file_entry_done(&base->items[i++]);
                push_unless_gone(&out, &newer->items[j++]);
        }
        free(base->items);
        free(newer->items);
        *base = out;
        *newer = (FileList){0};
}

void file_list_done(FileList *list) {
        for (size_t i = 0; i < list->n; i++)
                file_entry_done(&list->items[i]);
        free(list->items);
        *list = (FileList){0};
}

bool file_path_ok(const char *path) {
        unsigned depth = 0;
        if (!*path || strlen(path) > PATH_BYTES_MAX)
                return false;
        for (const char *p = path;; p++) {
                size_t n = strcspn(p, "/");
                bool dots = (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.');
                if (n == 0 || n > NAME_BYTES_MAX || dots || ++depth > DEPTH_MAX)
                        return false;
                p += n;
                if (!*p)
                        return true;
        }
}

void bytes_to_hex(const unsigned char *bytes, size_t n, char *ret) {
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < n; i++) {
                *ret++ = digits[bytes[i] >> 4];
                *ret++ = digits[bytes[i] & 15];
        }
        *ret = '\0';
}

static int nibble(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_to_bytes(const char *hex, unsigned char *ret, size_t n) {
        if (strlen(hex) != 2 * n)
                return false;
        for (size_t i = 0; i < n; i++) {
                int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
                if (high < 0 || low < 0)
                        return false;
                ret[i] = (unsigned char)(high << 4 | low);
        }
        return true;
}
