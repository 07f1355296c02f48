/*
 * Preflight: everything that is looked at before anything is touched. `belay plan` shows it, the runner
 * refuses on it, and the run's own preflight step looks again.
 */
#ifndef BELAY_UPDATE_PREFLIGHT_H
#define BELAY_UPDATE_PREFLIGHT_H

#include "update/world.h"

typedef struct Preflight {
        unsigned points; /* how many were looked at */
        Strv refusals,
                hints; /* parallel: a reason, and how to clear it ("" when there is no way) */
        Strv warnings;
        MigrationList migrations;
        Looking looking; /* what migrations borrow from */
        RuntimeStatus status;
        ChecksOutcome health;
        bool healthy;
        Strv passed; /* titles of checks that pass now */
} Preflight;

/* Looks at all of it for world->from to world->to. False only when Belay could not look. `ask_checks`: also
 * ask the service how it is. */
bool preflight_look(World *world, bool ask_checks, Preflight *ret, Err *err);
/* The first refusal, with the others, as ERR_REFUSED. */
bool preflight_ok(const Preflight *preflight, const char *title, Err *err);
/* {"points", "passed", "warnings"}, for the journal. New reference. */
json_t *preflight_to_json(const Preflight *preflight);
void preflight_done(Preflight *preflight);

#endif
