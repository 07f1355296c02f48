/*
 * The log of a service: one file that the service itself appends to, so that it needs no reader. When it
 * is over its limit its content is copied to <log>.1, the older ones move up by one, and the file is cut to
 * nothing; the service goes on writing to the same open file. A line that is written between the last read of
 * the copy and the cut is lost; the copy is made to the very end first, so that this is microseconds.
 */
#ifndef BELAY_RUNTIME_PROCESS_LOG_H
#define BELAY_RUNTIME_PROCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

typedef struct LogLimits {
        uint64_t max_bytes;
        unsigned keep;    /* older files */
        int64_t every_ms; /* how often the keeper looks */
} LogLimits;

/* 10 MB, 5 older ones, every 15 s. In a build with fault points BELAY_LOG_LIMIT="<bytes> <ms>" overrides. */
LogLimits log_limits(void);

/* Makes the file when absent, owned by the user that the service runs under. */
bool log_prepare(const char *path, uid_t uid, gid_t gid, Err *err);
/* Does nothing while the file is within the limit or absent. *ret_rotated may be NULL. */
bool log_rotate(const char *path, const LogLimits *limits, bool *ret_rotated, Err *err);

#endif
