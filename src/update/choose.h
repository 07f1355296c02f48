/*
 * Which version an update goes to, in the light of what is said about the releases: their data is loaded first, and
 * what is too young (`cooldown`) or said to be a pre-release is not offered when the user names no version.
 */
#ifndef BELAY_UPDATE_CHOOSE_H
#define BELAY_UPDATE_CHOOSE_H

#include "update/world.h"

/* Sets world->to, and world->releases and world->waiting on the way; world->from is known. False also when release
 * data is wanted, cannot be had, and none is kept. */
bool choose_target(World *world, const char *wanted, ReleasesWhen when, Err *err);
/* The release data alone; `tree` is whose tree `files` means, may be NULL. */
bool choose_load_releases(World *world, ReleasesWhen when, const Release *tree, Err *err);
/* When the cooldown of a version is over, unix ms; 0: it need not wait (old enough, a security release, no
 * cooldown, or nobody knows its age). */
int64_t choose_lifts_at(const World *world, const Release *release);
/* "released 2 d ago; cooldown: 7 d"; owned. */
char *choose_age_text(const World *world, const Release *release);
/* What is said of world's target, or NULL; borrowed. */
const ReleaseInfo *choose_info(const World *world, const char *version);

#endif
