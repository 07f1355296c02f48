/* What runs and verbs want of backup/, with the extras that belong to every backup of a service. */
#ifndef BELAY_UPDATE_BACKUPS_H
#define BELAY_UPDATE_BACKUPS_H

#include "update/world.h"

/* Plans (once per process) and begins a backup of the data as of `release`, with the manifest, the env file,
 * the service's description, the last 500 lines of its log and the record of migrations. */
bool backups_begin(World *world, const char *id, const Release *release, const char *reason,
        Backup **ret, Err *err);
/* The backup that this run took, in a process that did not begin it. */
bool backups_reopen(World *world, Backup **ret, Err *err);
/* The run ends with a person: what its undo would have needed becomes a listed backup, for them to restore. Without
 * a second pass there is nothing to restore, and nothing is done. */
bool backups_publish_for_person(World *world, Err *err);
/* Its id, from the journal; borrowed, NULL when the run took none. */
const char *backups_run_id(const World *world);
/* Looks at contents and store; keeps the plan in world->backup_plan. */
bool backups_plan(World *world, Err *err);
/* What it saw is of no moment any more: the next backup looks again. */
void backups_forget_plan(World *world);
/* A whole backup in one go, while the service runs: pass, proof, publication. */
bool backups_take(
        World *world, const Release *release, const char *reason, Published *ret, Err *err);
/* A published one, by its id, to every store but the first. All are tried; the first failure is told. */
bool backups_copy(const World *world, const char *id, Err *err);
/* Borrows from world and its arguments. `mark` names the files beside the data. */
RestoreRequest backups_restore_request(
        const World *world, const char *id, const char *only, const char *mark);
/* The record of migrations belongs to the data. Saved to runs/<n>/undo/migrations.json and put back from it;
 * or taken from a published backup. */
bool backups_save_migrations(const World *world, Err *err);
bool backups_put_back_migrations(const World *world, Err *err);
bool backups_import_migrations(const World *world, const char *id, Err *err);
/* Keeps what the manifest says; never what the running version and the one before it need. */
bool backups_prune(const World *world, bool dry_run, Strv *ret_names, Err *err);

#endif
