/*
 * belay-exec: the helper between Belay and every program that it runs.
 *
 *     belay-exec --parent PID --status-fd 3 [--hold] [options] -- PROGRAM ARGUMENT...
 *     belay-exec --replace [options] -- PROGRAM ARGUMENT...
 *
 * The first form stays as the program's supervisor: whatever the program starts, in whatever session or
 * group, is dead before belay-exec ends. The second becomes the program. The environment is the
 * program's own: belay-exec is linked statically, so that nothing in it changes belay-exec.
 *
 * Options: --uid U --gid G --groups 1,2,3 (taken together), --chdir DIR (as that user), --grace-ms N,
 * --log FILE (appended to, opened before the change of user), --stdin-null.
 *
 * --private runs the program where it can touch nothing of the machine (seal.c): it sees only processes of its own,
 * has a network with nothing but loopback, and files that are all read-only but for the places named,
 * in the order in which they are laid out:
 *     --at PATH --overlay DIR   PATH as it is, with all changes kept in DIR/upper (DIR/work is the kernel's)
 *     --at PATH --bind DIR      DIR in PATH's place
 *     --at PATH --empty         an empty directory in memory in PATH's place
 * Who is not root needs a kernel that gives users namespaces. The program's death ends all that it started.
 *
 * Messages on the status socket (SOCK_SEQPACKET, one message each, without newline):
 *     "pid N"            the program was forked; with --hold it waits for one byte before it executes
 *     "error ERRNO STEP" it could not be executed; STEP is log, user, chdir, exec, fork, or a word
 *                        of --private: users, namespaces, loopback, mounts, proc
 *     "exit N", "signal N"   how the program ended
 * The socket's end means that Belay is gone, or wants the tree killed at once. SIGTERM asks for an
 * orderly end: TERM to the whole tree, KILL when the grace is over.
 */
#ifndef BELAY_EXEC_H
#define BELAY_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { EXIT_USAGE = 2, EXIT_ORPHAN = 125, EXIT_NOT_STARTED = 127, GROUPS_MAX = 1024 };

typedef enum SealKind { SEAL_OVERLAY, SEAL_BIND, SEAL_EMPTY } SealKind;
enum { SEAL_MAX = 256 };
typedef struct SealPlace {
        SealKind kind;
        const char *at, *from; /* from: NULL for SEAL_EMPTY */
} SealPlace;

typedef struct Options {
        char *const *argv;
        int status_fd; /* -1: none */
        pid_t parent;  /* of belay-exec; 0: not checked */
        long grace_ms;
        bool replace, hold, stdin_null, as_user, private;
        SealPlace places[SEAL_MAX];
        size_t n_places;
        uid_t uid;
        gid_t gid;
        gid_t groups[GROUPS_MAX];
        size_t n_groups;
        const char *directory, *log;
} Options;

/* main.c */
void report(
        const Options *options, const char *word, int value, const char *step); /* step or NULL */
/* Becomes the program, or reports why not and returns EXIT_NOT_STARTED. With `guardian`, the program is
 * killed when that process (its parent) dies. */
int become(const Options *options, pid_t guardian);

/* supervise.c */
int supervise(const Options *options);

/* seal.c, for --private: the first before the program is forked, the second in it. */
bool seal_before_fork(const Options *options);
/* NULL, or the step that failed (errno says why). */
const char *seal(const Options *options);

/* descendants.c: sends a signal to every process below this one. */
void signal_descendants(int signal);

#endif
