#include "model/phase.h"

#include "base/own.h"

const char *phase_name(Phase phase) {
        static const char *const names[] = {
                [PHASE_PREFLIGHT] = "preflight",
                [PHASE_FETCH] = "fetch",
                [PHASE_BACKUP] = "backup",
                [PHASE_REHEARSE] = "rehearse",
                [PHASE_QUIESCE] = "quiesce",
                [PHASE_PLACE] = "place",
                [PHASE_MIGRATE] = "migrate",
                [PHASE_START] = "start",
                [PHASE_VERIFY] = "verify",
                [PHASE_MONITOR] = "monitor",
                [PHASE_FINISH] = "finish",
                [PHASE_ROLLBACK] = "rollback",
        };
        return phase < COUNT_OF(names) ? names[phase] : "?";
}
