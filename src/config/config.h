/*
 * The service's `.env` during an update: `set` and `secrets` of the manifest, at the bytes of the
 * values, with everything else kept (model/envfile.h).
 *
 *     ConfigChange change = {.spec = &service->configuration, .directory = service->directory,
 *                            .set = expanded, .n_set = n, .from_version = "1.0.0",
 *                            .state = state, .service = name, .undo_path = ".../undo/env"};
 *     config_prepare(&change, facts, err)       // reads; saves old and new text beside undo_path
 *     config_apply(facts, err)                  // one durable write; ERR_DRIFT when the file has changed
 *     config_undo(facts, &took_back, err)       // old bytes, or key by key when the user edited meanwhile
 *     config_observe(facts, &truth, err)
 *     config_cleanup(state, name, facts, err)   // after COMMIT: the saved new text goes, and older .env.backup.*
 *
 * facts = {path, undo, backup, existed, changed, before, after, mode, uid, gid, set: [{key, existed}],
 * secrets: [key]}: what changes, as hashes and names, never a value. Values are only in the env file, in `.env.backup.<version>` beside
 * it and in the two files below runs/<n>/undo/, all with the mode of the env file or 0600.
 *
 * Every function may be killed and called again. prepare changes nothing but its own two files.
 * Errors: ERR_DRIFT the file was changed by somebody else; ERR_REFUSED it cannot be read as an env
 * file; ERR_USAGE a value with a line break; ERR_IO, ERR_NO_SPACE.
 */
#ifndef BELAY_CONFIG_CONFIG_H
#define BELAY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"
#include "journal/state.h"
#include "model/service.h"

typedef struct ConfigChange {
        const ConfigSpec *spec; /* env_file and secrets */
        const char *directory;  /* of the service: its owner gets a file that is made new */
        const Pair *set;        /* spec->set with the values expanded */
        size_t n_set;
        const char *from_version; /* names the backup; what cannot be in a file name becomes '_' */
        const State
                *state; /* services/<service>/env_backups.json lists the backups that Belay left */
        const char *service;
        const char *undo_path; /* absolute, below runs/<n>/undo/; "<undo_path>.new" is used, too */
} ConfigChange;

/* The same order as the engine's StepTruth. */
typedef enum ConfigTruth {
        CONFIG_NOT_APPLIED,
        CONFIG_PARTLY,
        CONFIG_APPLIED,
        CONFIG_UNKNOWN,
        CONFIG_DRIFT,
} ConfigTruth;

/* Whether the manifest asks for any change of the env file. */
bool config_wanted(const ConfigSpec *spec);
/* "2 keys set (SHOP_VERSION, SHOP_IMAGE), 1 secret made (WEBUI_SECRET_KEY)", "nothing to change"; names only. Only
 * reads. *ret is owned. */
bool config_explain(const ConfigChange *change, char **ret, Err *err);

/* Fills `facts` (an empty object). */
bool config_prepare(const ConfigChange *change, json_t *facts, Err *err);
/* Leaves `.env.backup.<from_version>` (numbered .1, .2 when it is there already), then writes. */
bool config_apply(const json_t *facts, Err *err);
/* *ret_by_key (may be NULL): the user had edited the file, and only Belay's own keys were taken back. */
bool config_undo(const json_t *facts, bool *ret_by_key, Err *err);
/* APPLIED and NOT_APPLIED by hash; PARTLY: other bytes, but each of Belay's keys means the old or the new
 * value, so undo can take it back; DRIFT: it cannot. */
bool config_observe(const json_t *facts, ConfigTruth *ret, Err *err);
/* After a success: removes the saved new text and every backup that earlier runs left; this run's backup
 * stays until the next success. (A run that was undone leaves all of them.) */
bool config_cleanup(const State *state, const char *service, const json_t *facts, Err *err);

#endif
