/*
 * Preflight: everything that is looked at before anything is touched. `belay plan` shows it, the runner
 * refuses on it, and the run's own preflight step looks again.
 */
#ifndef BELAY_UPDATE_PREFLIGHT_H
#define BELAY_UPDATE_PREFLIGHT_H

#include "model/reason.h"
#include "update/world.h"

typedef struct Preflight {
        unsigned points;    /* how many were looked at */
        ReasonList reasons; /* what is in the way, but for what the options clear */
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
/* Open runs and a person's lock: what is in the way of any run. */
bool preflight_obstacles(const World *world, ReasonList *reasons, Err *err);
/* What can be said of going to world->to from what is on disk, without network; nothing is waived here. */
bool preflight_known(const World *world, ReasonList *reasons, Err *err);
void reason_add_unhealthy(ReasonList *reasons, const char *service, const char *why);
/* Those of world->to, whose objects are here, on disk or not. */
bool preflight_migrations(World *world, const Looking *looking, MigrationList *ret, Err *err);
/* {"points", "passed", "warnings"}, for the journal. New reference. */
json_t *preflight_to_json(const Preflight *preflight);
void preflight_done(Preflight *preflight);

#endif
