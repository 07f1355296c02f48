/*
 * Taking over a service that runs already, without a restart: what `belay start` does when it finds exactly what it
 * would start (runtime.h, `foreign`).
 *
 * The version that runs is recorded as the one that the checkout holds. That is not so when the checkout was moved
 * after the process began: then the service itself must name its version (a check or `installed` asks for it), or it is
 * refused. Its checks must pass first: nothing is taken over that could not be verified.
 */
#ifndef BELAY_UPDATE_ADOPT_H
#define BELAY_UPDATE_ADOPT_H

#include "base/err.h"
#include "update/world.h"

typedef struct Adopted {
        bool done; /* false: there was nothing to take over; nothing was changed */
        ProcessId main;
        char *output;      /* the file where its output goes on going to, or NULL */
        size_t migrations; /* of the installed version that were noted as done */
} Adopted;
void adopted_done(Adopted *adopted);

/* Under the locks of the service. ERR_REFUSED as runtime.h says; or its version cannot be known; ERR_ANSWER_NO: it
 * runs, but its checks fail. */
bool adopt_running(const World *world, Adopted *ret, Err *err);

#endif
