/*
 * Fault points: every call of platform/ that changes the world passes one first. In a release build
 * they are nothing. In a build with -Dfault=true the environment decides:
 *
 *     BELAY_FAULT=<role>:<action>:<n>[:<errno name>]    for the n-th point (from 1) this process passes
 *         action die     SIGKILL itself before the call
 *                stop    SIGSTOP itself before the call: for who wants to do something to all at this moment;
 *                        "stop:<n>:<end>:<m>" counts from the m-th point on whose detail ends so
 *                after   SIGKILL itself after the call succeeded
 *                torn    (writes) half of the bytes are written, then SIGKILL
 *                error   the call fails with the named errno (default EIO), once
 *                fails   the same from the n-th point on, for ever
 *         role   the word given to fault_role(): "command", "runner", "keeper", "helper", or "*"
 *     BELAY_FAULT_TRACE=<file>   appends "<role> <n> <call> <detail>\n" for each point passed, so that a
 *                                sweep can enumerate them
 *
 * A process counts its own points from its start. Children inherit the environment and decide by role.
 */
#ifndef BELAY_PLATFORM_FAULT_H
#define BELAY_PLATFORM_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#ifdef BELAY_FAULT_POINTS

void fault_role(const char *role);
/* True: the call is to fail, errno is set. `detail` is a path or a name, may be NULL. */
bool fault_before(const char *call, const char *detail);
void fault_after(void); /* after a call that succeeded, for action "after" */
/* For writes: how many of n bytes to write before dying; n when nothing is to happen. */
size_t fault_torn(size_t n);
/* Is called before each call, to look at what the ones before it did; NULL: nobody looks. */
void fault_watch(void (*look)(void));
_Noreturn void fault_die(void);
/* For sweeps inside one test process: sets the rule as BELAY_FAULT would, restarts the count. */
void fault_set(const char *rule);
unsigned fault_count(void);

#else

static inline void fault_role(const char *role) { (void)role; }
static inline bool fault_before(const char *call, const char *detail) {
        (void)call;
        (void)detail;
        return false;
}
static inline void fault_after(void) {}

#endif
#endif
