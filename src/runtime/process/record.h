/*
 * What the keeper of a service knows, in services/<name>/keeper.json: written by the keeper alone, read by
 * everyone. It is enough for another keeper to go on where a killed one stopped.
 *
 * The identity of the program is in the record only once it has been started; before that the phase says
 * "starting". Whatever carries the service's marker in its environment and is not in the record belongs to
 * a start that nobody lived to record.
 */
#ifndef BELAY_RUNTIME_PROCESS_RECORD_H
#define BELAY_RUNTIME_PROCESS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"
#include "journal/state.h"
#include "model/service.h"
#include "platform/process.h"

enum { MEMBERS_MAX = 1000 };

#define KEEPER_RECORD "keeper.json"
#define KEEPER_SOCKET "keeper.sock"
#define KEEPER_LOCK   "keeper.lock"
#define SERVICE_LOG   "service.log"
#define SERVICE_MARK  "BELAY_SERVICE"

/* How to start the program, again and again: nothing in here needs the manifest. No value of the env file. */
typedef struct StartSpec {
        Strv argv; /* expanded */
        char *directory;
        char *env_file;   /* or NULL */
        Strv environment; /* NAME=value of the manifest, expanded */
        unsigned port;    /* 0: none known */
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* supplementary */
        size_t n_groups;
        bool change_user; /* false: the keeper's own user */
        RestartPolicy restart;
        char *version, *commit, *tag, *previous_version; /* NULL: not known */
} StartSpec;

typedef enum ServicePhase {
        SERVICE_STOPPED,
        SERVICE_STARTING, /* before the program's identity is known */
        SERVICE_RUNNING,
        SERVICE_WAITING, /* crashed, to be started again when its pause is over */
        SERVICE_EXITED,  /* ended by itself, and its restart policy leaves it so */
        SERVICE_PHASE_COUNT
} ServicePhase;

enum { GUARD_ATTEMPTS_MAX = 5 };

typedef struct GuardRecord {
        unsigned run; /* 0: no guard */
        ProcessId runner;
        bool resume;       /* start `belay resume` when the runner dies */
        unsigned attempts; /* how often that was done for this run */
} GuardRecord;

typedef struct KeeperRecord {
        ProcessId keeper; /* pid 0: never one */
        bool wanted_running;
        ServicePhase phase;
        ProcessId main; /* the program's; of the last one when it does not run */
        bool adopted;   /* main runs, and was not started by a keeper */
        /* Of an adopted one, what belonged to it when last looked: it carries no marker, and its orphans are
         * nobody's children once it is gone. */
        ProcessId *members;
        size_t n_members;
        StartSpec spec; /* argv NULL: never started */
        unsigned restarts;
        bool last_exit_known;
        int last_exit; /* exit status or 128 + signal */
        char *last_error;
        int64_t started_at_ms;
        GuardRecord guard;
} KeeperRecord;

/* An absent file gives an empty record. */
bool keeper_record_load(const State *state, const char *service, KeeperRecord *ret, Err *err);
bool keeper_record_save(
        const State *state, const char *service, const KeeperRecord *record, Err *err);
void keeper_record_done(KeeperRecord *record);

json_t *keeper_record_to_json(const KeeperRecord *record); /* new reference */
bool keeper_record_from_json(const json_t *object, KeeperRecord *ret, Err *err);

json_t *start_spec_to_json(const StartSpec *spec); /* new reference */
bool start_spec_from_json(const json_t *object, StartSpec *ret, Err *err);
void start_spec_done(StartSpec *spec);

/* The value of SERVICE_MARK in the environment of everything that belongs to the service:
 * "<hash of the state directory>/<name>"; owned. */
char *service_mark(const State *state, const char *service);

#endif
