/* Every step of every story, one file for each phase. See engine.h for what a step promises. */
#ifndef BELAY_UPDATE_STEPS_H
#define BELAY_UPDATE_STEPS_H

#include "engine/engine.h"
#include "update/world.h"

extern const Step step_preflight;                                          /* step_preflight.c */
extern const Step step_fetch, step_build;                                  /* step_place.c */
extern const Step step_backup, step_prove, step_reserve, step_second_pass; /* step_backup.c */
extern const Step step_merge, step_publish, step_backup_after, step_prune; /* step_finish.c */
extern const Step step_record, step_tidy, step_publish_old, step_tidy_old; /* step_finish.c */
extern const Step step_stop, step_start;                                   /* step_start.c */
extern const Step step_config, step_place;                                 /* step_place.c */
extern const Step step_migrate, step_migrate_after;                        /* step_migrate.c */
extern const Step step_verify, step_monitor, step_verify_old, step_remember_bad; /* step_verify.c */
extern const Step step_rehearse, step_leave;         /* step_rehearse.c */
extern const Step step_prepare_data, step_swap_data; /* step_restore.c */

/* Which way back (decide.c); the same for all stories. */
bool decide_rollback(void *world, const RunState *run, const RollbackReason *reason,
        json_t *decision, bool *ret_wait, Err *err);
/* Ends what a dead runner left behind (step_start.c). */
bool end_leftovers(void *world, Err *err);
/* From here on the steps of this run are not cancelled (step_start.c). */
void let_finish(void *world);
/* Tells the keeper whom to watch (step_start.c). */
void tell_keeper(void *world, bool armed);

/* Removes what the source keeps for runs, but not what is installed and what was before (step_finish.c). */
bool clean_source(const World *world, bool with_target, Err *err);
/* Starts `release` in the service's directory with its env file; shared by start and the undo of stop. */
bool start_release(const World *world, const Release *release, Err *err);
/* The mark of remember-bad, when that could not write it (step_verify.c). */
bool remember_bad_again(const World *world, const RunState *run, Err *err);
/* How `release` is started, now; `ret_directory` is owned by the caller and borrowed by *ret. */
bool start_request(const World *world, const Release *release, char **ret_directory,
        StartRequest *ret, Err *err);
/* What the service says of itself, where the manifest says how to ask (step_verify.c). */
bool check_installed(const World *world, const Release *release, Err *err);
/* Does what runs now claim to be this release? ERR_ANSWER_NO when it is another one. */
bool check_reference(const World *world, const Release *release, Err *err);

#endif
