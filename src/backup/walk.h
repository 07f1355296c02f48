/*
 * A walk over a content: every entry once, directories before what is in them, names in the order of
 * path_order, links not followed, mounts not crossed (ERR_REFUSED names them), at most 256 deep.
 */
#ifndef BELAY_BACKUP_WALK_H
#define BELAY_BACKUP_WALK_H

#include "backup/file_list.h"
#include "platform/process.h"

typedef struct WalkPlace {
        int dir_fd;       /* of the directory that holds the entry */
        const char *name; /* in it */
        const char *path; /* relative to the content; "." for its root */
} WalkPlace;

typedef struct Walk {
        const char *root; /* absolute, no links */
        bool is_file;     /* a single file: one entry, its base name */
        Strv skip;        /* paths in it that are left out, with their sidecars: databases */
        const Cancel *cancel;
        bool (*visit)(void *context, const WalkPlace *place, const struct stat *st, Err *err);
        void *context;
} Walk;

/* ERR_UNKNOWN when the root is not there. Files that vanish while it walks are passed over. */
bool walk(const Walk *walk, Err *err);
/* Opens a regular file of the walk for reading; *ret_fd -1 when it vanished or is no regular file any more. */
bool walk_open_file(const WalkPlace *place, int *ret_fd, Err *err);
/* "x.db-wal", "x.db-shm", "x.db-journal" and "x.db" itself belong to the database "x.db". */
bool path_is_of_database(const char *path, const char *database);
/* openat2 beneath dir_fd, no links, no mounts crossed when `same_mount`; falls back to openat where the kernel has none. */
int open_beneath(int dir_fd, const char *path, int flags, mode_t mode, bool same_mount);

#endif
