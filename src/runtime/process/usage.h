/* What a service uses of the machine. */
#ifndef BELAY_RUNTIME_PROCESS_USAGE_H
#define BELAY_RUNTIME_PROCESS_USAGE_H

#include <stdint.h>
#include <sys/types.h>

#include "runtime/process/family.h"

typedef struct Usage {
        uint64_t memory_bytes, memory_limit, cpu_ms;
        unsigned oom_kills;
} Usage;

/* Of a family whose main process is `main`. What cannot be read is 0. */
void usage_read(const Family *family, pid_t main, Usage *ret);

#endif
