/*
 * The writable layer of an overlay (exec/exec.h, --at PATH --overlay DIR), filled before it is mounted.
 *
 *     overlay_make(base, lower, err)              makes base/upper (like lower) and base/work
 *     overlay_place(base, lower, "data/notes.db", &place, err)
 *                                                 makes base/upper/data like lower/data; put something at `place`
 *     overlay_replace(dir, err)                   what lower has in the place of this directory does not show through
 */
#ifndef BELAY_PLATFORM_OVERLAY_H
#define BELAY_PLATFORM_OVERLAY_H

#include <stdbool.h>

#include "base/err.h"

bool overlay_make(const char *base, const char *lower, Err *err);
/* Where the entry `in` of the merged directory lies in the upper one; its parents are made with owner and mode of
 * those in `lower`. *ret is owned. */
bool overlay_place(const char *base, const char *lower, const char *in, char **ret, Err *err);
bool overlay_replace(const char *dir, Err *err);
/* Whether an overlay's writable layer can lie there; *ret_why (owned) says why not. */
bool overlay_can_write(const char *path, char **ret_why);

#endif
