/* The slots of the driver that take over a process which runs already; see runtime.h. */
#ifndef BELAY_RUNTIME_PROCESS_ADOPT_H
#define BELAY_RUNTIME_PROCESS_ADOPT_H

#include "runtime/runtime.h"

bool adopt_find(
        const RuntimeContext *at, const StartRequest *wanted, RuntimeForeign *ret, Err *err);
bool adopt_take(const RuntimeContext *at, const StartRequest *wanted, const RuntimeForeign *foreign,
        Err *err);

#endif
