/*
 * How services run: one contract, a driver each (here: process/, a bare program held by a keeper).
 *
 *     const RuntimeContext at = {.service = service, .state = state};
 *     const Runtime *runtime = runtime_for(service);
 *
 *     scoped(runtime_status_done) RuntimeStatus now = {0};
 *     if (!runtime->inspect(&at, &now, err)) ...          // what runs; changes nothing
 *
 *     runtime->ensure(&at, err);                          // every runner, first: somebody keeps it
 *     runtime->guard(&at, run, &me, err);                 // at ARM and after every OWNER record
 *     runtime->stop(&at, service->stop_timeout_ms, &forced, err);
 *     runtime->start(&at, &(StartRequest){.version = ...}, err);
 *     runtime->unguard(&at, run, err);                    // when the run has ended or waits
 *
 * Every slot is idempotent and may be called again after any crash of the caller or of what the driver
 * keeps running: starting what runs, stopping what is stopped, lifting a guard that is not set all
 * succeed. Everything is found in the state directory, nothing in memory: any process of the same user
 * (or root) may call any slot. No slot prints; each fills an Err. Calls block, with limits of their own.
 */
#ifndef BELAY_RUNTIME_RUNTIME_H
#define BELAY_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "journal/state.h"
#include "model/service.h"
#include "platform/process.h"

/* Borrowed; both must outlive the call. */
typedef struct RuntimeContext {
        const Service *service;
        const State *state;
        /* What all of /proc must be searched for is left out: inspect's processes, memory, CPU, ports and kills
         * for memory, describe's port_taken_by. Steps ask often, some while nothing serves. */
        bool brief;
} RuntimeContext;

/* What is so now. Strings are owned by the struct; runtime_status_done frees them. */
typedef struct RuntimeStatus {
        bool running; /* its main process lives: the one that was recorded, by pid, start time and boot */
        bool wanted_running; /* the last order was start; with !running: it crashed, or the machine restarted */
        bool adopted;         /* it runs, and Belay did not start it */
        bool keeper_present;  /* somebody restarts it, rotates its log, watches the runner */
        bool restart_pending; /* not running, the keeper waits before it starts it again */
        ProcessId main; /* of the running process, else of the last one; pid 0: never started */
        char *version, *commit, *tag,
                *previous_version; /* of what was started; NULL when not known */
        char *log_path;            /* never NULL */
        unsigned
                restarts; /* starts by the keeper itself since the last start order: any change is a crash */
        bool last_exit_known; /* false: still the first process, or nobody saw how it ended */
        int last_exit;        /* exit status, 128 + signal; -1 when not known */
        char *last_error;     /* why the keeper could not start it again, or NULL */
        int64_t started_at_ms; /* unix ms of the last start of the process (restarts count); 0 never */
        unsigned processes;    /* of the service, descendants included; 0 when it does not run */
        uint64_t memory_bytes; /* resident, all its processes */
        uint64_t memory_limit; /* its cgroup's (the tightest above it), else the machine's memory */
        uint64_t cpu_ms; /* used by all its processes since each began, ended children included */
        unsigned oom_kills; /* counted by its cgroup since that was made; compare two readings */
        unsigned *ports; /* TCP ports that its processes listen on, on the loopback or everywhere */
        size_t n_ports;
        unsigned guarded_run; /* run whose runner the keeper watches; 0: none */
        unsigned resumed; /* how often it began to finish that run, because its runner had died */
        bool resume_given_up; /* so often that it does not again */
} RuntimeStatus;
void runtime_status_done(RuntimeStatus *status);

/* What to start. Borrowed for the call; NULL where not known. */
typedef struct StartRequest {
        const char *version, *commit, *tag,
                *previous_version; /* recorded, and expanded in command and environment */
        const char *directory;     /* where the command runs; NULL: the manifest's */
        /* The file with NAME=value settings, or NULL. Only its path is kept; it is read at every start, so
         * that no secret is on disk twice or on a command line. Absent at a start: an error. */
        const char *env_file;
        const Cancel *cancel; /* may be NULL */
} StartRequest;

/* What a plan or preflight wants to know before anything is touched; owned, runtime_description_done frees. */
typedef struct RuntimeDescription {
        const char *kind; /* "process"; static */
        char *user;       /* name it runs under */
        uid_t uid;
        gid_t gid;
        char *directory;
        char *command; /* one line for people, ${...} not expanded */
        unsigned port; /* 0: none known */
        char *port_taken_by; /* "node (pid 812, user www-data)": somebody else's; NULL: free, or the service itself */
        Strv warnings; /* whole sentences: "runs as root: ..." */
} RuntimeDescription;
void runtime_description_done(RuntimeDescription *description);

/* What runs already as this service's command would start it, though Belay did not; owned,
 * runtime_foreign_done frees. */
typedef struct RuntimeForeign {
        ProcessId main;        /* pid 0: there is none */
        int64_t started_at_ms; /* unix ms */
        char *output; /* the file that its output goes to, or NULL: it is not in log_path */
} RuntimeForeign;
void runtime_foreign_done(RuntimeForeign *foreign);

typedef struct Runtime {
        const char *name; /* "process" */

        /* What runs. Must change nothing and need nothing that runs: answers from the state directory and
         * the kernel also when the keeper is gone. Fails only when the state cannot be read. */
        bool (*inspect)(const RuntimeContext *at, RuntimeStatus *ret, Err *err);

        /* Before anything is touched: user, directory, program, port. ERR_REFUSED: it could not be started
         * as described (no such user, directory missing, not allowed to become that user). A port that somebody
         * else holds is no error here; it is in the description. */
        bool (*describe)(const RuntimeContext *at, RuntimeDescription *ret, Err *err);

        /* Starts it and returns when the program has been executed and its identity is recorded durably;
         * whether it is healthy is for checks to say. Running already with the same version and commit: true, nothing
         * happens. Running with another: ERR_DRIFT, stop first. ERR_ANSWER_NO: the program cannot be executed,
         * or the port is taken (names pid, program and user). What an earlier crash left behind of the service is
         * ended first, so that there is never more than one. */
        bool (*start)(const RuntimeContext *at, const StartRequest *request, Err *err);

        /* To be asked when it does not run: is there a process that nobody of Belay's started, and that is exactly
         * this: the command's words, its directory, its user, and, where a port is known, it or what descends from it
         * listens there? Changes nothing. ERR_REFUSED: there is, but several, or one that somebody else (systemd, a
         * supervisor) would start again. */
        bool (*foreign)(const RuntimeContext *at, const StartRequest *request, RuntimeForeign *ret,
                Err *err);
        /* Takes it over, with all that descends from it, without a restart: from here on it is as if Belay had
         * started it so. Made twice: true. ERR_ANSWER_NO: it is gone. */
        bool (*adopt)(const RuntimeContext *at, const StartRequest *request,
                const RuntimeForeign *foreign, Err *err);

        /* Asks it to end, waits up to timeout_ms, then ends it by force, with all its descendants. True only
         * when nothing of it is left. *ret_forced (may be NULL): it did not go by itself. It is not started again
         * by anyone before the next start. */
        bool (*stop)(const RuntimeContext *at, int64_t timeout_ms, bool *ret_forced, Err *err);

        /* Where it writes its output; owned, never NULL; the file may be absent. The older ones are
         * <path>.1 (newest) to <path>.5. Rotated by copy and truncate: a reader that finds the file shorter than its
         * position begins again at 0. */
        char *(*log_path)(const RuntimeContext *at);

        /* Watch this runner: if it dies before unguard, `belay resume <run>` is started after 2 s, at most 5
         * times per run with growing pauses. Replaces the guard of an earlier runner. Survives the death of the
         * keeper (the next one arms it again). With BELAY_NO_KEEPER_RESUME=1 in the caller's environment the
         * runner is recorded and nothing is started. */
        bool (*guard)(const RuntimeContext *at, unsigned run, const ProcessId *runner, Err *err);
        /* Lifts the guard of that run; that of another run stays. */
        bool (*unguard)(const RuntimeContext *at, unsigned run, Err *err);

        /* What should keep the service does so again: replaces a dead keeper by one that adopts the process
         * that still runs, and starts it when it is wanted and died meanwhile. Nothing wanted, nothing guarded:
         * does nothing. Called by every runner first, and by `start`. */
        bool (*ensure)(const RuntimeContext *at, Err *err);
} Runtime;

/* The driver that runs this service; never NULL for a service that manifest/ accepted. */
const Runtime *runtime_for(const Service *service);

/* `belay keeper --state DIR --service NAME`, the hidden verb: runs until the service is stopped and no
 * run is guarded. The exit status of the process. */
int keeper_main(const State *state, const char *service_name);

#endif
