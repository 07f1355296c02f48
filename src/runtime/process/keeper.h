/*
 * The keeper of one service: a process in a session of its own that starts the service's program, starts it
 * again when it crashes, rotates its log, and watches the runner of an update. One thread, one poll loop, no
 * state but its record (record.h): killed at any moment, it is replaced by one that reads the record and
 * watches the program, which did not notice, through a pidfd.
 *
 *     keeper.c   from start to end, the loop
 *     serve.c    requests (control.h)
 *     hold.c     the program: start, stop, crash, log
 *     watch.c    the runner: `belay resume` when it died
 */
#ifndef BELAY_RUNTIME_PROCESS_KEEPER_H
#define BELAY_RUNTIME_PROCESS_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "journal/state.h"
#include "platform/lock.h"
#include "platform/process.h"
#include "runtime/process/log.h"
#include "runtime/process/record.h"

enum { CONNECTIONS_MAX = 16 };

typedef struct Connection {
        int fd; /* -1: free */
        Str request;
        int64_t until; /* for the whole request to arrive */
        bool awaits_stop;
} Connection;

/* Times are clock_now_ms; 0: not set. Descriptors: -1, none. */
typedef struct Keeper {
        const State *state;
        const char *service;
        char *mark, *log_path;
        Lock lock;
        KeeperRecord record;
        int64_t save_at; /* the last save failed: try again then */

        int main_fd;        /* pidfd of the program; -1: it does not run */
        bool main_is_child; /* else adopted: nobody will know how it ended */
        bool main_reaped;
        int main_status; /* of waitpid, when reaped */
        int64_t main_since;
        bool swept;        /* nothing of the service lives, and this keeper has seen it */
        unsigned failures; /* in a row, for the pause before the next start */
        int64_t restart_at, rotate_at;
        LogLimits log_limits;
        unsigned rotate_failures;

        bool stopping, forced;
        int64_t kill_at, give_up_at;

        int runner_fd; /* pidfd of the guarded runner; -1: dead or none */
        int64_t resume_at;
        ProcessId resume; /* the `belay resume` that was started; pid 0: none */

        int listen_fd, signal_fd;
        Connection connections[CONNECTIONS_MAX];
        int64_t linger_until; /* a new keeper waits for its first request */
        bool leave;           /* asked to go; the program stays */
} Keeper;

/* keeper.c: writes the record; a failure is tried again later and stops nothing (a full disk must not
 * keep the old version from being started). */
void keeper_save(Keeper *keeper);

/* hold.c. hold_start takes what it needs out of `spec`. */
void hold_adopt(Keeper *keeper);
bool hold_start(Keeper *keeper, StartSpec *spec, Err *err);
/* Takes over `main`, which runs already and was started by nobody here. Takes what it needs out of `spec`. */
bool hold_take(
        Keeper *keeper, StartSpec *spec, const ProcessId *main, int64_t started_at_ms, Err *err);
/* Begins; true in *ret_done: nothing ran. Else serve_stopped is called when it is over. */
bool hold_stop(Keeper *keeper, int64_t timeout_ms, bool *ret_done, Err *err);
void hold_exited(Keeper *keeper);            /* main_fd says so */
void hold_tick(Keeper *keeper, int64_t now); /* what is due */
int64_t hold_next(const Keeper *keeper);     /* when hold_tick is due; INT64_MAX: never */

/* watch.c */
void watch_adopt(Keeper *keeper);
void watch_set(Keeper *keeper, const GuardRecord *guard);
void watch_lift(Keeper *keeper, unsigned run);
void watch_runner_died(Keeper *keeper); /* runner_fd says so */
void watch_reaped(Keeper *keeper, pid_t pid, int status);
void watch_tick(Keeper *keeper, int64_t now);
int64_t watch_next(const Keeper *keeper);
bool watch_holds(const Keeper *keeper); /* there is still something to wait for */

/* serve.c */
void serve_accept(Keeper *keeper);
void serve_readable(Keeper *keeper, Connection *connection);
void serve_stopped(Keeper *keeper, bool ok, const Err *failure);
void serve_tick(Keeper *keeper, int64_t now);
int64_t serve_next(const Keeper *keeper);
bool serve_idle(const Keeper *keeper);
bool serve_has_room(const Keeper *keeper); /* for one more connection */

#endif
