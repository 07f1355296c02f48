/*
 * A place in a service's log and the way to read on from it. The runtime knows where the log is, checks and
 * monitor only read: this is what they are given. check/log_file.h fills one in for a log that is a file and
 * is rotated by copy and truncate.
 *
 * A LogPlace is plain data: it may be journaled (log_place_to_json) and used by a later process. Zero means
 * the start of the log.
 */
#ifndef BELAY_MODEL_LOG_READER_H
#define BELAY_MODEL_LOG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"

enum { LOG_HEAD_MAX = 64 };

typedef struct LogPlace {
        uint64_t offset; /* bytes from the start of the file */
        uint32_t
                head_bytes; /* how many of its first bytes are known (at most LOG_HEAD_MAX), and their CRC-32C: */
        uint32_t head; /* so that a file which was truncated and has grown again is noticed */
} LogPlace;

typedef struct LogReader {
        void *context;
        /* Where the log ends now. A log that does not exist yet ends at zero. */
        bool (*end)(void *context, LogPlace *ret, Err *err);
        /* Reads at most `room` bytes from `place` and moves it. After a rotation: first what is left of the old
         * file, then the new one from its start. *ret_bytes 0: nothing more for now. */
        bool (*read)(void *context, LogPlace *place, char *buffer, size_t room, size_t *ret_bytes,
                Err *err);
} LogReader;

json_t *log_place_to_json(const LogPlace *place);              /* new reference */
void log_place_from_json(const json_t *object, LogPlace *ret); /* absent or odd: zero */

#endif
