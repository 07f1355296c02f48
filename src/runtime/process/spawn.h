/* Starts the program of a service as its recorded specification says. */
#ifndef BELAY_RUNTIME_PROCESS_SPAWN_H
#define BELAY_RUNTIME_PROCESS_SPAWN_H

#include <stdbool.h>

#include "base/err.h"
#include "platform/process.h"
#include "runtime/process/record.h"

typedef struct SpawnRequest {
        const StartSpec *spec;
        const char *mark; /* value of BELAY_SERVICE */
        const char *log_path;
} SpawnRequest;

/* The program is a child of the caller, leads a session and group of its own, and has been executed when
 * this returns. Its environment is a small clean one, then the manifest's, then the env file's as it is now,
 * then PORT (unless one of them set it) and the marker. Not safe with threads. ERR_ANSWER_NO: it could not be
 * executed, with the reason; nothing is left of it. */
bool program_spawn(const SpawnRequest *request, ProcessId *ret, Err *err);

#endif
