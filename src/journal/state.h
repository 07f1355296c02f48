/*
 * The state directory: where everything that Belay knows lies.
 *
 *     <state>/runs/<number>/journal     the truth about a run (journal.h)
 *     <state>/runs/<number>/events      progress for followers, JSON lines, not synced (events.h)
 *     <state>/runs/<number>/undo/       files that an undo needs, saved before the record that names them
 *     <state>/runs/<number>/output/     output of migrations, checks and other programs
 *     <state>/runs/<number>/request     what a person asked of the run: cancel, accept (durable)
 *     <state>/runs/<number>/report.md, report.json, notes
 *     <state>/services/<name>/....json  what outlives runs: tags, bad versions, locks, keeper
 *     <state>/services/<name>/service.log   the log of a process service
 *     <state>/services/<name>/keeper.sock
 *     <state>/locks/<name>.lock
 *     <state>/backups/                  the default store
 *     <state>/CURRENT_STATE.md
 *
 * Directories are made with mode 0700, files 0600.
 */
#ifndef BELAY_JOURNAL_STATE_H
#define BELAY_JOURNAL_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/js.h"

typedef struct State {
        char *root; /* absolute, exists */
} State;

/* $BELAY_STATE or --state (given != NULL) or the default for this user; makes it when absent. */
bool state_open(const char *given, State *ret, Err *err);
/* The same, but makes nothing: false when it is not there. */
bool state_find(const char *given, State *ret);
void state_done(State *state);

/* All owned by the caller, never NULL. */
char *state_run_dir(const State *state, unsigned run);
char *state_run_file(const State *state, unsigned run, const char *name);
char *state_service_dir(const State *state, const char *service);
char *state_service_file(const State *state, const char *service, const char *name);
char *state_lock_file(const State *state, const char *service);

/* services/<service>/<name>: a JSON object; an absent file is an empty object. New reference. */
json_t *state_load(const State *state, const char *service, const char *name, Err *err);
bool state_save(
        const State *state, const char *service, const char *name, const json_t *object, Err *err);

/* Numbers of all runs, ascending; *ret is malloc'ed. */
bool state_runs(const State *state, unsigned **ret, size_t *ret_n, Err *err);
/* Makes runs/<next number>/ with undo/ and output/ inside, durably. Two at once get two numbers. */
bool state_new_run(const State *state, unsigned *ret_run, Err *err);

#endif
