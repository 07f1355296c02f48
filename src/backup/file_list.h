/*
 * What a path content held at one moment: every file with what is needed to tell whether it changed, and
 * to make it again. Kept sorted by path_order, which is also the order of a walk, so that two lists are
 * compared in one pass. Paths are relative to the content, without "./"; its root directory is ".".
 *
 * On disk: FILES.jsonl.zst, one JSON object per line (file_line, file_from_line).
 */
#ifndef BELAY_BACKUP_FILE_LIST_H
#define BELAY_BACKUP_FILE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"

typedef enum FileType {
        FILE_NONE = 0,
        FILE_REGULAR = 'f',
        FILE_DIRECTORY = 'd',
        FILE_SYMLINK = 'l',
        FILE_HARDLINK = 'h', /* another name of `link`, which comes earlier */
        FILE_FIFO = 'p',
        FILE_SOCKET = 's',   /* noted, never archived or restored: its owner makes it */
        FILE_DATABASE = 'q', /* an object of its own; here only for what is where */
} FileType;

typedef struct Xattr {
        char *name;
        unsigned char *value;
        size_t n;
} Xattr;

typedef struct FileEntry {
        char *path;
        FileType type;
        mode_t mode; /* permission bits */
        uid_t uid;
        gid_t gid;
        uint64_t size, inode;
        int64_t mtime_ns, ctime_ns;
        char *link;
        Xattr *xattrs;
        size_t n_xattrs;
        unsigned char sha256[32]; /* regular files; of sparse ones over their segments */
        bool sparse;
        bool doubtful;    /* may have changed without its times saying so: compared by content */
        bool delta;       /* lies in the archive of the second pass */
        bool gone;        /* second pass: is no more */
        unsigned earlier; /* so many copies of it lie before the one that counts */
} FileEntry;

typedef struct FileList {
        FileEntry *items;
        size_t n;
} FileList;

int path_order(const char *a, const char *b);
/* type, mode, owner, size, times and inode; ERR_REFUSED for devices. */
bool file_entry_of(const char *path, const struct stat *st, FileEntry *ret, Err *err);
void file_entry_done(FileEntry *entry);
/* The same as far as lstat can tell. */
bool file_entry_same(const FileEntry *a, const FileEntry *b);
FileEntry *file_list_push(FileList *list, FileEntry *taken);
FileEntry *file_list_find(const FileList *list, const char *path);
/* Lays `newer` over `base` (both sorted): its entries replace, its gone ones remove. Empties `newer`. */
void file_list_overlay(FileList *base, FileList *newer);
void file_list_done(FileList *list);

/* One line with its newline. */
void file_line(Str *to, const char *content, const FileEntry *entry);
/* *ret_content is the slug, owned. ERR_CORRUPT. */
bool file_from_line(const char *line, size_t bytes, char **ret_content, FileEntry *ret, Err *err);

/* Nothing that leaves the directory: components of 1..255 bytes, none "." or "..", at most 256 of them and
 * 4095 bytes. */
bool file_path_ok(const char *path);
void bytes_to_hex(const unsigned char *bytes, size_t n, char *ret);
bool hex_to_bytes(const char *hex, unsigned char *ret, size_t n);

#endif
