/* The process driver: a bare program, held by a keeper of Belay's own. */
#ifndef BELAY_RUNTIME_PROCESS_DRIVER_H
#define BELAY_RUNTIME_PROCESS_DRIVER_H

#include <stdbool.h>

#include "runtime/runtime.h"

extern const Runtime process_runtime;

bool process_runs(const Service *service);

#endif
