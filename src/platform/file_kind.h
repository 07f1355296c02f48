/* What file.c and tree.c share; not for other rooms. */
#ifndef BELAY_PLATFORM_FILE_KIND_H
#define BELAY_PLATFORM_FILE_KIND_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* "a directory", "a FIFO": for messages; static. */
const char *file_kind(mode_t mode);
bool fd_sync_whole(int fd, const char *what, Err *err); /* fsync: mode and owner, too */
bool fd_sync_directory(int fd, const char *path, Err *err);

#endif
