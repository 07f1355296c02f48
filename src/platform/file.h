/*
 * Files that matter. Everything that changes a file system goes through here (the fault points are
 * in these functions); nobody else calls rename, unlink or fsync.
 *
 * Durable: when true is returned, the effect survives a power cut. A failed sync is never retried:
 * the error says so, and the caller's run dies and is recovered.
 * All paths are owned by the caller; errors name the path; ERR_IO, or ERR_NO_SPACE for a full disk.
 */
#ifndef BELAY_PLATFORM_FILE_H
#define BELAY_PLATFORM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

/* -- reading ------------------------------------------------------------------------------ */
/* The whole file, NUL-terminated; at most `limit` bytes (ERR_CORRUPT beyond). A missing file is
 * ERR_UNKNOWN when `*ret_text` should be there; use file_read_if for "may be absent". */
bool file_read(const char *path, size_t limit, char **ret_text, size_t *ret_bytes, Err *err);
/* The same; an absent file gives true and *ret_text NULL. */
bool file_read_if(const char *path, size_t limit, char **ret_text, size_t *ret_bytes, Err *err);
bool file_exists(const char *path); /* lstat succeeds */
const char *file_kind(mode_t mode); /* "a directory", "a FIFO": for messages; static */
/* lstat. *ret_there false when there is nothing; any other failure is an error. */
bool file_stat(const char *path, struct stat *ret, bool *ret_there, Err *err);
bool file_sha256(const char *path, char ret_hex[65], Err *err);
void sha256_hex(const void *bytes, size_t n, char ret_hex[65]);
/* Absolute, without symbolic links; the last component may be absent. Owned; NULL when there is not
 * even its directory. */
char *file_real(const char *path);
/* Journals are JSON and lists are lines: a path that is to be found in them must be one line of text. */
bool file_name_check(const char *path, ErrCode code, Err *err);

/* -- writing ------------------------------------------------------------------------------ */
/* Replaces the file by rename: temporary file beside it (".<name>.belay-tmp"), write, fsync, rename,
 * fsync the directory. With `like`, mode and owner are those of the struct; else `mode`, whatever the
 * umask. Two writers of one file take turns. A symbolic link at `path` is itself replaced (file_real
 * first, to write through it). */
bool file_write_durable(const char *path, const void *bytes, size_t n, mode_t mode, Err *err);
/* The same, but never over a file that is there: ERR_REFUSED, and that one is as it was. */
bool file_create_durable(const char *path, const void *bytes, size_t n, mode_t mode, Err *err);
bool file_write_durable_like(
        const char *path, const void *bytes, size_t n, const struct stat *like, Err *err);
/* Copies bytes, mode and owner to `to` durably (by the same steps). */
bool file_copy_durable(const char *from, const char *to, Err *err);
/* Writes all bytes to a descriptor; a fault point each. */
bool fd_write_all(int fd, const void *bytes, size_t n, const char *what, Err *err);
bool fd_sync(int fd, const char *what, Err *err); /* fdatasync */
bool dir_sync(const char *path, Err *err);        /* fsync of a directory */
/* mkdir -p with mode 0700 (for what it makes); syncs the parents of what it made. Links to directories
 * on the way are followed. */
bool dir_make(const char *path, Err *err);
bool file_rename(const char *from, const char *to, Err *err); /* and syncs both directories */
bool file_exchange(const char *a, const char *b, Err *err);   /* RENAME_EXCHANGE, synced */
bool file_unlink(const char *path, Err *err);                 /* absent is fine; synced */
/* Makes `path` a symbolic link to `target`; a file or link that is there is replaced by rename (a
 * temporary link beside it first), so that it leads to the one or the other at any moment. */
bool link_write_durable(const char *path, const char *target, Err *err);
char *link_read(const char *path); /* where it leads, as written; owned; NULL: no link */
/* Removes what a writer of this file or link that died may have left beside it. */
bool file_forget_temporary(const char *path, Err *err);
/* Everything written so far on the file system of path, in one call: for trees of thousands of files. */
bool disk_sync(const char *path, Err *err);
/* Removes a file or a whole tree, without following links; absent is fine. With a mount point inside,
 * nothing is removed and the error names it. */
bool tree_remove(const char *path, Err *err);
/* Syncs a whole tree bottom-up: files, then directories. */
bool tree_sync(const char *path, Err *err);
/* Bytes in regular files below path (or of the file), apparent size. */
bool tree_size(const char *path, uint64_t *ret_bytes, Err *err);
/* Bytes that an ordinary user may still write on the file system of path (nearest existing parent). */
bool disk_free(const char *path, uint64_t *ret_bytes, Err *err);
/* Reserves room without changing the size (fallocate KEEP_SIZE); a file system without it is fine. */
bool fd_reserve(int fd, uint64_t bytes, const char *what, Err *err);

#endif
