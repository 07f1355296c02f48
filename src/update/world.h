/*
 * What the steps of a run work on: the service, where it comes from and goes to, the open backup, the
 * drivers. Made either from a manifest (a new run) or from runs/<n>/ alone (recovery).
 */
#ifndef BELAY_UPDATE_WORLD_H
#define BELAY_UPDATE_WORLD_H

#include "backup/backup.h"
#include "backup/restore.h"
#include "base/err.h"
#include "check/check.h"
#include "check/log_file.h"
#include "journal/events.h"
#include "journal/run_state.h"
#include "journal/state.h"
#include "migrate/migrate.h"
#include "model/release.h"
#include "model/service.h"
#include "platform/process.h"
#include "runtime/runtime.h"
#include "source/releases.h"
#include "source/source.h"
#include "update/options.h"
#include "update/prober.h"

/* What signals ask of the steps of a run. Going back and finishing are deaf: nobody cancels them. */
typedef struct Wishes {
        Cancel steps;
        volatile int deaf;
} Wishes;

typedef struct World {
        const State *state;
        Service *service; /* owned */
        Options options;
        Release from, to;
        unsigned run;      /* 0: none yet */
        char run_text[12]; /* "44": mark of files beside the data */
        char *undo_dir;    /* runs/<n>/undo */
        char *mark;        /* value of BELAY_RUN in children: unique on this machine */
        const Runtime *runtime;
        RuntimeContext runtime_at; /* brief */
        const Source *source;
        Strv allowed; /* for source_at */
        SourceContext source_at;
        Releases releases; /* what is said of them; choose.c loads it */
        Release waiting;   /* the newest that is too young yet, empty when there is none */
        int64_t waiting_until_ms;
        Release *
                way; /* all the versions to go through, `to` first; path.c. Empty outside of updates */
        size_t n_way;
        Strv way_why;       /* for each: why it is one, "" for the last */
        unsigned after_run; /* the run before on the same way; 0: none */
        json_t *needs;      /* release_needs.c; NULL: nothing */
        Strv young;         /* versions of which only their commits said so */
        const Cancel *cancel;
        Wishes *wishes; /* the runner's, of which `cancel` is part; NULL in commands */
        Events *events;
        Backup *backup;         /* open between the two passes, only where they were begun */
        BackupPlan backup_plan; /* of preflight in this process */
        bool backup_planned;
        /* What an open backup borrows. */
        BackupExtra extras[4];
        Strv extra_texts;
        json_t *extra_migrations;
        json_t *preflight; /* what it found, when this process planned under its locks a moment ago */
        Prober *prober;
        const RunState *run_state; /* of the run, once it has a journal */
        /* Ends the watch early: set with `accepted` by `belay accept`, with `cancel` by `belay cancel`. */
        const Cancel *watch_cancel;
        const volatile int *accepted;
        /* Of whoever holds the locks of the run: it holds none while it waits for a time. */
        void (*let_locks_go)(void *lock_holder);
        bool (*take_locks_again)(void *lock_holder, int64_t wait_ms, Err *err);
        void *lock_holder;
} World;

/* Takes `service`; fills in what only the state directory knows (the default store). */
bool world_open(const State *state, Service *service, World *ret, Err *err);
/* From runs/<n>/undo/belay.yaml and the PLAN record, nothing else. */
bool world_of_run(
        const State *state, unsigned run, const RunState *run_state, World *ret, Err *err);
void world_done(World *world);
/* For what runtime_at leaves out: memory, processor time, who holds the port. */
RuntimeContext world_runtime_whole(const World *world);
/* Names the run's files and the mark of its children. */
void world_set_run(World *world, unsigned run);

/* Below runs/<n>/undo/ and runs/<n>/output; owned. */
char *world_undo_file(const World *world, const char *name);
char *world_output_dir(const World *world);
const char *world_store(const World *world); /* where this run's backup is */

/*
 * What checks, migrations and the watch need to know of the service as it is for one version: values
 * for ${version}, the env file, the user, the log. Secrets are in here: it is never printed.
 */
typedef struct Looking {
        Strv env;     /* "NAME=value" of the env file */
        Strv secrets; /* values that no message may show */
        char port[12];
        char *log_path;
        LogFile log_file;
        LogReader log;
        RuntimeDescription user;
        bool as_user;
        char *directory;    /* where what is in place runs */
        Service service;    /* borrows all but this directory from the world's */
        CheckContext check; /* ready for use; borrows from here */
} Looking;
bool looking_open(const World *world, const Release *release, Looking *ret, Err *err);
void looking_done(Looking *looking);
/* By its name, or because the manifest lists it; `setting` is "NAME" or "NAME=value". */
bool setting_is_secret(const ConfigSpec *spec, const char *setting);
MigrateContext looking_migrate(const World *world, const Looking *looking);
/* A program of the service's: in its directory, as its user. `words` and `environment` are the caller's; the limit,
 * what it is called and what it reads are to be added. */
Child looking_child(
        const World *world, const Looking *looking, char *const *words, char *const *environment);
/* The words of a command with their values; owned. */
bool looking_words(char *const *command, const Expansion *values, Strv *ret, Err *err);

/* Asks the checks, as they are `now` or waiting for a start; with `only` (titles) only those. */
typedef struct Ask {
        const Release *release;
        bool now;
        const LogPlace *log_from; /* may be NULL */
        char *const *only;        /* may be NULL */
        const ProcessId *main;    /* whose answers they are; NULL: the service's process */
} Ask;
bool world_ask_checks(const World *world, const Ask *ask, ChecksOutcome *ret, Err *err);
/* What is installed, into world->from; and, when the manifest declares no contents, which there are. */
bool world_look(World *world, Err *err);
/* The facts of a step's INTENT, or what it observed, of this run; borrowed, NULL when there are none. */
json_t *world_facts(const World *world, const char *step);
json_t *world_observed(const World *world, const char *step);
/* A request for passes of this run's backup, by its id. Extras are the caller's. */
BackupRequest world_backup_request(const World *world, const char *id);

#endif
