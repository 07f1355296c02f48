/*
 * Other programs: started without a shell, under belay-exec, with a deadline, in a process group of
 * their own, their output bounded, and everything they leave behind ended.
 *
 *     Child child = {.argv = argv, .timeout_ms = 30000, .what = "git fetch"};
 *     scoped(child_result_done) ChildResult result = {0};
 *     if (!child_run(&child, &result, err))          // could not be started, timed out, was cancelled
 *             return false;
 *     if (result.exit_status != 0) ...
 *
 * A process is recognised by pid *and* start time (field 22 of /proc/<pid>/stat, clock ticks since
 * boot) *and* boot id, never by pid alone.
 */
#ifndef BELAY_PLATFORM_PROCESS_H
#define BELAY_PLATFORM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"

typedef struct ProcessId {
        pid_t pid; /* 0: none */
        uint64_t start_time;
        char boot_id[40];
} ProcessId;

ProcessId process_self(void);
bool process_identify(pid_t pid, ProcessId *ret); /* false: there is no such process, or a zombie */
bool process_alive(const ProcessId *id);          /* a zombie counts as dead */
json_t *process_to_json(const ProcessId *id); /* {"pid","start_time","boot_id"}; new reference */
bool process_from_json(const json_t *object, ProcessId *ret);
/* A pidfd of exactly this process, or -1 (errno ESRCH when it is gone). */
int process_open(const ProcessId *id);
bool process_signal(const ProcessId *id, int signal, Err *err); /* gone already is fine: true */
/* Waits until it is dead or `until` (clock_now_ms); true when it is dead. */
bool process_wait_dead(const ProcessId *id, int64_t until);

/* A cancel flag that signal handlers set; child_run and the waits look at it. */
typedef struct Cancel {
        volatile int requested;
} Cancel;

/* Namespaces of its own, in which a program can change nothing of this machine (exec/exec.h, --private). */
typedef enum SealKind { SEAL_OVERLAY, SEAL_BIND, SEAL_EMPTY } SealKind;
enum { SEAL_PLACES_MAX = 256 }; /* exec/exec.h has the same */
typedef struct SealPlace {
        SealKind kind;
        const char *at;   /* in the program's eyes */
        const char *from; /* the overlay's base, what is bound there; NULL for SEAL_EMPTY */
} SealPlace;
typedef struct Seal {
        const SealPlace *places; /* in the order in which they are laid out */
        size_t n;
} Seal;

typedef struct Child {
        char *const *argv;     /* NULL-terminated; argv[0] found in PATH */
        const char *directory; /* NULL: Belay's own */
        char *const *
                environment; /* the whole environment; NULL: a small clean one (PATH, HOME, LANG, TZ, USER) */
        uid_t uid;           /* only used when `as_user` */
        gid_t gid;
        bool as_user;         /* with initgroups for uid; another user than one's own needs root */
        const char *input;    /* standard input text, or NULL for /dev/null */
        int64_t timeout_ms;   /* 0: a minute. Then TERM to all of its tree, KILL 2 s later */
        const char *what;     /* "git fetch", for messages */
        const char *mark;     /* value of BELAY_RUN in its environment, or NULL */
        const char *log_path; /* both outputs are also appended here as they come, or NULL; a full
                                    * disk does not end the program: the log then misses what follows */
        const Cancel *cancel; /* may be NULL */
        /* NULL: it runs like any other. The seal failing is ERR_REFUSED, and nothing has run. */
        const Seal *seal;
        /* Called once with the identity of the program itself, which does not run its first instruction
         * before this returns: for what must be journaled (migrations); may be NULL. */
        void (*started)(void *context, const ProcessId *id);
        void *context;
} Child;

typedef struct ChildResult {
        int exit_status; /* 0..255; 128 + signal when a signal ended it */
        char *out,
                *err; /* owned, NUL-terminated, printable not guaranteed; cut at LIMIT_CHILD_OUTPUT */
        bool out_cut;
        int64_t took_ms;
} ChildResult;

/* False: not started (ERR_TOOL: not found, not permitted), ERR_TIMEOUT, ERR_CANCELLED. In every case all
 * that was started is dead when it returns, also when belay-exec itself was killed. A program's exit
 * status other than 0 is a result, not an error. `ret` is also filled (with what the program said) when
 * it timed out or was cancelled. To be called from the main thread: the kernel tells belay-exec of the
 * death of the thread that started it. What the program leaves in the background has half a second. */
bool child_run(const Child *child, ChildResult *ret, Err *err);
void child_result_done(ChildResult *result);
/* The last lines of stderr (else stdout) for messages: printable, at most `lines`; owned, never NULL. */
char *child_last_lines(const ChildResult *result, unsigned lines);

/* Ends every process whose environment has NAME=value, and the descendants of those, until two scans
 * of /proc find none: TERM first when grace_ms > 0, then KILL. Never this process; those of other users
 * only for root. False (ERR_TIMEOUT) when some survive `until` (clock_now_ms). */
bool process_sweep(const char *name, const char *value, int64_t grace_ms, int64_t until, Err *err);
/* Pids whose environment has NAME=value, without zombies and without this process; -1 on error. */
int process_find_marked(const char *name, const char *value, ProcessId *ret, int room, Err *err);

/* Starts a program of Belay's own that outlives this process: own session, no controlling terminal,
 * standard streams on /dev/null but those given, `keep_fds` kept open with the same numbers. */
typedef struct Detached {
        char *const *argv;
        char *const *environment;           /* NULL: this process's own, without BELAY_RUN */
        const int *keep_fds;                /* -1 terminated, or NULL */
        int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
} Detached;
/* It stays a child of the caller until the caller ends: a caller that lives on calls waitpid(ret->pid)
 * when process_alive(ret) has become false (a dead child counts as dead there, waited for or not). */
bool process_start_detached(const Detached *what, ProcessId *ret, Err *err);

char *process_own_path(void); /* /proc/self/exe resolved; owned */
char *process_helper_path(
        void); /* belay-exec: $BELAY_EXEC, beside the binary, or ../libexec/belay; owned */

#endif
