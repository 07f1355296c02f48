/* The env file's keys for one version: `configuration.set` with ${version} and the like expanded. */
#ifndef BELAY_UPDATE_SETTINGS_H
#define BELAY_UPDATE_SETTINGS_H

#include "config/config.h"
#include "update/world.h"

typedef struct Settings {
        Pair *set;
        size_t n_set;
        ConfigChange change; /* borrows from here and from the service; undo_path is the caller's */
} Settings;
bool settings_expand(const World *world, const Release *release, Settings *ret, Err *err);
void settings_done(Settings *settings);

#endif
