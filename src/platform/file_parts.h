/* What file.c, file_write.c and tree.c share; not for other rooms. */
#ifndef BELAY_PLATFORM_FILE_PARTS_H
#define BELAY_PLATFORM_FILE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

bool fd_sync_whole(int fd, const char *what, Err *err); /* fsync: mode and owner, too */
bool fd_sync_directory(int fd, const char *path, Err *err);

/* Never blocks; anything but a regular file is an error that names it. *ret_fd -1: there is nothing. */
bool file_open_regular(const char *path, int *ret_fd, struct stat *ret, Err *err);
ssize_t fd_read_some(int fd, void *room, size_t n); /* read, over interruptions */

#endif
