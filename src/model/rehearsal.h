/*
 * What a rehearsal has to put between a service and its copy: which directories are laid over, so that
 * every path stays what it is and no write reaches what is there; what cannot be isolated, and why; which
 * checks can be asked of a copy. Pure: nothing here looks at the machine.
 *
 * A copy runs in namespaces of its own (exec/exec.h, --private): with the files of the machine, all
 * read-only; with its own writable layer over each of `places`; with a network in which there is nobody
 * else, so that it has the service's own port.
 */
#ifndef BELAY_MODEL_REHEARSAL_H
#define BELAY_MODEL_REHEARSAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "model/service.h"

typedef struct RehearsalPlaces {
        Strv paths; /* absolute directories, what lies above before what lies below */
} RehearsalPlaces;
void rehearsal_places_done(RehearsalPlaces *places);

/* The directories that the new version, its migrations and Belay write to: of the service, of its checkout,
 * around contents, databases and env file that lie elsewhere. `also` (may be NULL): others that are
 * wanted, like /tmp, left out where they hold `state`. False: *ret_why says why the service cannot be
 * isolated. */
bool rehearsal_places(const Service *service, const char *state, char *const *also,
        RehearsalPlaces *ret, char **ret_why);
/* The index of the place that `path` is written to, and where in it ("" for the place itself); *ret_in is
 * borrowed from path. False: it lies in none. */
bool rehearsal_place_of(
        const RehearsalPlaces *places, const char *path, size_t *ret_index, const char **ret_in);

/* A setting ("NAME=value") that leads to something of which a rehearsal has no copy: a database server, a
 * queue, mail. Owned words for people, never the value; NULL: none. */
char *rehearsal_needs_others(char *const *settings);

/* Whether the address is one of this machine's loopback: "http://localhost:8000/health", "127.0.0.1". */
bool rehearsal_is_loopback(const char *url_or_host);
/* A check of a copy can be asked where the copy is, and of the copy. */
bool rehearsal_can_ask(const CheckSpec *check);

#endif
