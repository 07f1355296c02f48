/*
 * The environment of a program that Belay starts for a service: small and clean, nothing of the caller's but
 * its TZ and LANG, so that a run started from a terminal, at boot or by the keeper is the same.
 */
#ifndef BELAY_MODEL_ENVIRONMENT_H
#define BELAY_MODEL_ENVIRONMENT_H

#include <sys/types.h>

#include "base/str.h"

/* PATH, HOME, USER, LOGNAME, LANG, TZ (if set) of that user, and on a copy BELAY_REHEARSAL=1; owned ("NAME=value" each). */
Strv environment_clean(uid_t uid);
/* Sets one; an earlier value of that name goes. */
void environment_set(Strv *environment, const char *name, const char *value);
/* Sets each of a NULL-terminated vector of "NAME=value"; NULL adds nothing. */
void environment_add(Strv *environment, char *const *settings);
/* The value of a name, borrowed, or NULL; of a name that is there twice the last one. */
const char *environment_get(char *const *environment, const char *name);

#endif
