/*
 * A LogReader on a file that its keeper rotates by copy and truncate ("service.log" is copied to
 * "service.log.1" and then cut to nothing).
 *
 *     LogFile file = {.path = log_path};
 *     LogReader log = log_file_reader(&file);
 */
#ifndef BELAY_CHECK_LOG_FILE_H
#define BELAY_CHECK_LOG_FILE_H

#include "model/log_reader.h"

typedef struct LogFile {
        const char *path;
        const char *rotated; /* NULL: path + ".1" */
} LogFile;

/* Borrows `file`, which must outlive the reader. */
LogReader log_file_reader(LogFile *file);

#endif
