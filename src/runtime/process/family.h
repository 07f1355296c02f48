/*
 * Which processes belong to a service: its main process, everything in that one's session, everything that
 * carries the service's marker in its environment, all descendants of those, and the orphans that the keeper
 * (their subreaper) inherited. Belay's own programs are never part of it, also when the service started them.
 */
#ifndef BELAY_RUNTIME_PROCESS_FAMILY_H
#define BELAY_RUNTIME_PROCESS_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "platform/process.h"

typedef struct FamilyQuery {
        const ProcessId *main; /* may be dead or empty */
        const char *mark;      /* value of BELAY_SERVICE */
        pid_t keeper;          /* whose children are the service's orphans; 0: not known */
        /* Who asks knows that main was alive until now: its session is its own even when it is gone. Else a
         * dead main's number might belong to somebody else by now, and its session says nothing. */
        bool session_known;
        const ProcessId *known; /* belong as well, n_known of them; may be NULL */
        size_t n_known;
} FamilyQuery;

typedef struct Member {
        ProcessId id;
        uint64_t memory_bytes; /* resident */
        uint64_t cpu_ms;       /* its own and that of the children it has waited for */
} Member;

typedef struct Family {
        Member *members;
        size_t n;
} Family;

/* Living ones (no zombies), in no order. */
bool family_find(const FamilyQuery *query, Family *ret, Err *err);
void family_done(Family *family);

/* Ends all of it: TERM, `grace_ms` later KILL, until two scans in a row find none. Returns as soon as that is
 * so. ERR_TIMEOUT names one that is left at `until` (clock_now_ms). */
bool family_end(const FamilyQuery *query, int64_t grace_ms, int64_t until, Err *err);

#endif
