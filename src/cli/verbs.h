/* Every verb's function; the table is in verbs.c. Each returns the exit status of spec/cli.md. */
#ifndef BELAY_CLI_VERBS_H
#define BELAY_CLI_VERBS_H

#include "cli/app.h"
#include "cli/follow.h"
#include "update/world.h"

int verb_validate(App *app), verb_add(App *app), verb_remove(App *app),
        verb_list(App *app); /* verb_manifest.c */
int verb_init(App *app);     /* verb_init.c */
int verb_start(App *app), verb_stop(App *app), verb_restart(App *app),
        verb_verify(App *app);                                           /* verb_service.c */
int verb_logs(App *app), verb_lock(App *app), verb_unlock(App *app);     /* verb_log.c */
int verb_status(App *app);                                               /* verb_status.c */
int verb_check(App *app), verb_notes(App *app);                          /* verb_check.c */
int verb_plan(App *app), verb_update(App *app), verb_rollback(App *app); /* verb_update.c */
int verb_rehearse(App *app);
int verb_drill(App *app);                                                /* verb_drill.c */
int verb_resume(App *app), verb_cancel(App *app), verb_accept(App *app); /* verb_recover.c */
int verb_enable(App *app), verb_disable(App *app), verb_boot(App *app);  /* verb_boot.c */
int verb_runs(App *app), verb_show(App *app), verb_report(App *app),
        verb_note(App *app); /* verb_runs.c */
int verb_backup_create(App *app), verb_backup_list(App *app),
        verb_backup_show(App *app); /* verb_backup.c */
int verb_backup_verify(App *app), verb_backup_restore(App *app), verb_backup_prune(App *app);
int verb_diagnose(App *app), verb_doctor(App *app);            /* verb_diagnose.c */
int verb_migrate_status(App *app), verb_migrate_run(App *app); /* verb_migrate.c */
int verb_completion(App *app), verb_complete(App *app);        /* complete.c, completion.c */
int verb_version(App *app), verb_help(App *app), verb_runner(App *app), verb_rehearsal(App *app),
        verb_drill_inside(App *app), verb_keeper(App *app); /* verb_help.c */

/* -- shared by verbs -- */
/* services/<name>/<this>: what the last `belay check` found, for status, which asks no network. */
#define OFFERS_FILE "offers.json"
/* The service named by operand 0 (or found), with what is installed when `look`. */
bool open_world(App *app, bool look, World *ret, Err *err);
/* The locks that a run takes, for verbs that change a service without a run; refuses (7) an open run. */
typedef struct Held {
        int service_fd, directory_fd;
} Held;
#define HELD_NONE ((Held){-1, -1})
bool hold_service(App *app, const World *world, const char *what, Held *ret, Err *err);
/* The same without a look at runs: for what a boot does on behalf of one that waits. */
bool hold_locks(const World *world, const char *what, Held *ret, Err *err);
void release_service(Held *held);
/* A start in its two halves: the program is executed; it is healthy. `place`: where its log was before. */
bool start_begin(const World *world, LogPlace *ret_place, Err *err);
bool start_wait(const World *world, const LogPlace *place, Err *err);
/* The first start is when a version becomes the installed one. */
void record_first(const World *world);
const char *operand(const App *app, int i); /* NULL when absent */
/* Starts the run that the request describes and follows it as the flags say. Takes `request`. */
int begin_run(App *app, json_t *request);
/* What --detach says of a run that goes on without being followed; 0. */
int say_detached(App *app, unsigned run);
/* False (5, inside-run) when this process was started by that run itself, of this manifest (NULL: of any): a
 * hook that waited for it would wait for itself. `run` 0: whichever it is. */
bool not_inside(const App *app, unsigned run, const char *manifest, Err *err);
/* Starts the recovery of a run with a wish ("finish", "undo", "accept") and follows it. */
int recover_run(App *app, unsigned run, const char *wish);
/* Its first half: the runner of the recovery is there, and follow_run(app, ret) shows it to its end. */
bool recovery_begin(App *app, unsigned run, const char *wish, Follow *ret, Err *err);

#endif
