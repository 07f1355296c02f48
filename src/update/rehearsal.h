/*
 * Rehearsal: the change, made on a copy of the service before the service itself is touched.
 *
 *     rehearsal_look(world, &can, err)         can it be done here, of this service, and what does it need?
 *     rehearsal_run(world, backup, &result, err)
 *         1. makes runs/<n>/rehearsal/: the proven backup's data, and an empty layer over every place
 *            that the service writes to
 *         2. starts `belay rehearsal` sealed off (platform/process.h, Seal): it sees every path as it is, may
 *            change all and changes nothing, and has a network of its own with the same port
 *         3. that one sets the configuration, places the new files, migrates, starts, asks the checks, says in one
 *            line of JSON how it went, and ends; with it ends everything that it started
 *     rehearsal_remove(world, err)             all of it goes; also after a death at any point
 *
 * What runs in there: the same steps' code on the same manifest, in a state directory that is empty but
 * for what is known of tags and migrations. BELAY_REHEARSAL=1 is in the environment of all.
 */
#ifndef BELAY_UPDATE_REHEARSAL_H
#define BELAY_UPDATE_REHEARSAL_H

#include "model/rehearsal.h"
#include "update/preflight.h"
#include "update/world.h"

/* Whether, and if not, why: words for a note or a refusal. */
typedef struct RehearsalPlan {
        bool can;
        char *why_not;          /* owned */
        uint64_t bytes_needed;  /* in the state directory */
        size_t asked, left_out; /* checks that can be asked of a copy, and not */
} RehearsalPlan;
/* Changes nothing. False only when Belay could not look. */
bool rehearsal_look(World *world, const Preflight *preflight, RehearsalPlan *ret, Err *err);
void rehearsal_plan_done(RehearsalPlan *plan);

typedef struct RehearsalResult {
        bool made;   /* false: it could not be sealed off, and nothing was run */
        bool beyond; /* it failed, and wanted to write where the copy has no layer */
        int64_t restore_ms, migrate_ms, start_ms, verify_ms; /* -1: not come to */
        json_t *said; /* all that the inner one said; owned */
} RehearsalResult;
/* `backup`: the id of one that is proven. False: the failing part with its reason, ERR_ANSWER_NO; ERR_REFUSED: it
 * cannot be sealed off here; ERR_NO_SPACE, ERR_CANCELLED. */
bool rehearsal_run(World *world, const char *backup, RehearsalResult *ret, Err *err);
void rehearsal_result_done(RehearsalResult *result);
bool rehearsal_remove(const World *world, Err *err);

/* The hidden verb `rehearsal`: the request from standard input, one line of JSON as the answer. */
int rehearsal_main(const State *state);

/* Inside, before anything is started: the live service's sidecars show through where the copy has none, and belong to
 * another database. */
bool rehearsal_forget_sidecars(const Service *service, Err *err);

/* -- rehearsal_copy.c, for rehearsal.c and the drill -- */

/* What a sealed program is given to see; owns its strings. */
typedef struct RehearsalCopy {
        RehearsalPlaces places;
        Strv bases;    /* of each place's overlay */
        char *state;   /* the directory that is seen as the state directory */
        char *nothing; /* an empty file, seen in the place of ... */
        Strv sockets;  /* ... these, which others listen on */
        SealPlace *seal;
        size_t n_seal;
} RehearsalCopy;
/* Below `base`, which does not exist. `backup` may be partial and proven, or published. */
bool rehearsal_copy(
        const World *world, const char *base, const char *backup, RehearsalCopy *ret, Err *err);
void rehearsal_copy_done(RehearsalCopy *copy);
/* What is played on it: a hidden verb of Belay's, sealed off, which is told `request` and answers in one line. */
typedef struct RehearsalCall {
        const char *verb, *what; /* `what` is for messages */
        const json_t *request;
        int64_t timeout_ms;
} RehearsalCall;
bool rehearsal_play(const World *world, const RehearsalCopy *copy, const RehearsalCall *call,
        ChildResult *ret, Err *err);
/* What the migrations to world->to may take, one after the other. */
bool rehearsal_migrate_limit_ms(World *world, int64_t *ret, Err *err);
/* The places of this service on this machine. */
bool rehearsal_find_places(const World *world, RehearsalPlaces *ret, char **ret_why, Err *err);

#endif
