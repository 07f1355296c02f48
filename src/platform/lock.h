/*
 * Locks that a dead owner cannot hold: flock on an open file, whose content says who has it.
 *
 *     scoped(lock_release) Lock lock = LOCK_NONE;
 *     if (!lock_take(path, &owner, wait_ms, &lock, err)) ...     // ERR_LOCKED names the owner, since when
 *
 * The kernel drops the lock with the last descriptor of that open file. Descriptors are O_CLOEXEC; a
 * program started with process_start_detached inherits those in its keep_fds, and with them the lock:
 * lock_release here then leaves it held there (call lock_describe in the program that now has it).
 */
#ifndef BELAY_PLATFORM_LOCK_H
#define BELAY_PLATFORM_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct Lock {
        int fd; /* -1: not held */
} Lock;
#define LOCK_NONE ((Lock){-1})

typedef struct LockOwner {
        const char *what; /* "update of notes, run #44" */
        unsigned run;     /* 0: none */
} LockOwner;

/* Takes the lock of a file (made when absent, as is its directory). Waits up to wait_ms (0: not at
 * all). ERR_LOCKED says who has it, its hint names --wait-lock. That the owner cannot be written down
 * (a full disk) is no failure. */
bool lock_take(const char *path, const LockOwner *owner, int64_t wait_ms, Lock *ret, Err *err);
/* Writes who has it, after more is known (the run's number). */
bool lock_describe(Lock *lock, const LockOwner *owner, Err *err);
/* Takes the lock of a directory on its own descriptor: nothing is left behind; the owner is found in
 * /proc/locks. Two state directories cannot both change one service. */
bool lock_take_directory(const char *path, int64_t wait_ms, Lock *ret, Err *err);
void lock_release(Lock *lock);
/* "run #44 (pid 4121, user root) since 2026-02-03T04:05:06Z", or NULL when nobody has it; owned. */
char *lock_owner_text(const char *path);

/* Who holds a lock of any kind (flock, fcntl) on a file of somebody else's: "backup.sh (pid 4121), running since
 * 2026-02-03T04:05:06Z"; NULL when nobody does, or it cannot be seen. Takes no lock to find out. Owned. */
char *lock_file_holder(const char *path);

#endif
