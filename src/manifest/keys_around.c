/* busy, hooks, requires: what is asked and what is done around an update. */
#include "manifest/schema.h"
#include "manifest/value.h"

/* ---- busy ---- */

static const Key busy_keys[] = {
        {.name = "command",
                .type = &type_words,
                .flags = KEY_ONE_OF | KEY_EXPANDS,
                .least = 1,
                .problem = program_problem,
                .offset = offsetof(BusySpec, command)},
        {.name = "lock_file",
                .type = &type_text,
                .flags = KEY_ONE_OF | KEY_ABSOLUTE,
                .problem = path_problem,
                .offset = offsetof(BusySpec, lock_file)},
        {.name = "every",
                .type = &type_duration,
                .least = 10,
                .most = 3600000,
                .offset = offsetof(BusySpec, every_ms),
                .otherwise = "1m"},
        {.name = "for",
                .type = &type_duration,
                .most = 86400000,
                .offset = offsetof(BusySpec, for_ms),
                .otherwise = "30m"},
        {.name = "within",
                .type = &type_duration,
                .least = 10,
                .most = 600000,
                .offset = offsetof(BusySpec, within_ms),
                .otherwise = "30s"},
};
const KeyTable busy_table = KEY_TABLE("the way to ask whether the service is busy", busy_keys);

/* ---- requires ---- */

static const Key requires_keys[] = {
        {.name = "succeeded_on",
                .type = &type_text,
                .flags = KEY_REQUIRED,
                .problem = service_problem,
                .offset = offsetof(Service, succeeded_on)},
};
const KeyTable requires_table = KEY_TABLE("what an update requires", requires_keys);

/* ---- hooks ---- */

#define HOOK(when, phase_of, after)                                                                \
        {                                                                                          \
                .name = (when), .type = &type_words, .least = 1, .problem = program_problem,       \
                .flags = KEY_EXPANDS,                                                              \
                .offset =                                                                          \
                        offsetof(HooksSpec, commands) + sizeof(Strv) * (2 * (phase_of) + (after)), \
        }
#define HOOKS(name_of, phase_of)                                                                   \
        HOOK("before-" name_of, phase_of, 0), HOOK("after-" name_of, phase_of, 1)

static const Key hooks_keys[] = {
        HOOKS("preflight", PHASE_PREFLIGHT),
        HOOKS("fetch", PHASE_FETCH),
        HOOKS("backup", PHASE_BACKUP),
        HOOKS("rehearse", PHASE_REHEARSE),
        HOOKS("quiesce", PHASE_QUIESCE),
        HOOKS("place", PHASE_PLACE),
        HOOKS("migrate", PHASE_MIGRATE),
        HOOKS("start", PHASE_START),
        HOOKS("verify", PHASE_VERIFY),
        HOOKS("monitor", PHASE_MONITOR),
        HOOKS("finish", PHASE_FINISH),
        HOOKS("rollback", PHASE_ROLLBACK),
        {.name = "timeout",
                .type = &type_duration,
                .least = 10,
                .most = 86400000,
                .offset = offsetof(HooksSpec, timeout_ms),
                .otherwise = "5m"},
};
const KeyTable hooks_table = KEY_TABLE("hooks", hooks_keys);
