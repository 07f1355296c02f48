/*
 * Processes that nobody told Belay about: those that run from a directory, as `belay init` and the taking over of a
 * running service see them. Only what this user may look into: all for root, one's own for others.
 *
 *     scoped(running_list_done) RunningList list = {0};
 *     if (!running_find("/srv/shop", &list, err))
 *             return false;
 *     const Running *serving = running_serving(&list);     // the one that listens, or NULL
 */
#ifndef BELAY_RUNTIME_RUNNING_H
#define BELAY_RUNTIME_RUNNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "platform/process.h"

enum { RUNNING_PORTS_MAX = 16 };

typedef struct Running {
        ProcessId id;
        pid_t parent, group;
        uid_t uid;        /* as whom it was started; it may have changed that since */
        Strv argv;        /* as the kernel has it; a program may have written over it */
        char *program;    /* the file it executes */
        char *directory;  /* where it works, or was started if it left that; links resolved */
        Strv environment; /* "NAME=value": holds secrets, is never printed */
        unsigned ports[RUNNING_PORTS_MAX]; /* TCP, on all addresses or the loopback */
        size_t n_ports;
        Strv files;   /* regular files that it has open for writing; absolute */
        char *output; /* the file that its standard output goes to, or NULL */
        char *holder; /* who would start it again: "the systemd unit 'shop.service'", or NULL */
        int64_t started_at_ms; /* unix ms */
} Running;

typedef struct RunningList {
        Running *items;
        size_t n;
} RunningList;
void running_list_done(RunningList *list);

/* Living processes that work in `directory` or below it, or were started there and went elsewhere since; Belay's own
 * left out. */
bool running_find(const char *directory, RunningList *ret, Err *err);
/* Those whose program or script lies in there, and that were started elsewhere: `cd /; node /srv/shop/server.js`. */
bool running_find_elsewhere(const char *directory, RunningList *ret, Err *err);
/* The process that serves: of those that listen the one started first, or the process of the same program
 * that it is a worker of. Borrowed; NULL: none listens. */
const Running *running_serving(const RunningList *list);
/* Whether it is what this command (expanded) in its directory starts: the same words, where a word that
 * is a path may be written differently, and a script may stand behind its interpreter. */
bool running_is(const Running *process, char *const *command);
/* Whether `process` is `of`, or descends from it by processes of the list. */
bool running_belongs(const RunningList *list, const Running *process, const Running *of);
/* Whether it, or a process of the list that descends from it, listens on the port. */
bool running_listens(const RunningList *list, const Running *process, unsigned port);

#endif
