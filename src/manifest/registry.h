/*
 * The registry of known manifests: a directory with one symbolic link "<service>.yaml" to each
 * manifest's real path. It is /etc/belay/services.d for root, $XDG_CONFIG_HOME/belay/services.d (by
 * default ~/.config/belay/services.d) for others, and $BELAY_CONFIG/services.d where that is set.
 * Links are made durably, by rename; readers see the old or the new one.
 *
 * A service name that is not registered is ERR_UNKNOWN with the nearest names in the hint; text that
 * cannot be a name is ERR_USAGE.
 */
#ifndef BELAY_MANIFEST_REGISTRY_H
#define BELAY_MANIFEST_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct RegistryEntry {
        char *name;
        char *path; /* what the link says: absolute; a manifest that lies here itself is its own path */
        bool missing; /* the manifest is not there any more */
} RegistryEntry;

typedef struct Registry {
        RegistryEntry *entries; /* by name */
        size_t n;
} Registry;

/* Owned path; NULL with ERR_USAGE when neither HOME nor a variable says where. */
char *registry_directory(Err *err);
/*
 * Registers `name` (a valid service name) for the manifest at `path`, which is made real and absolute
 * and must exist. *ret_changed (may be NULL) is false when exactly this was registered already. The name
 * registered for another path is ERR_REFUSED, naming that path.
 */
bool registry_add(const char *name, const char *path, bool *ret_changed, Err *err);
/* Takes the link away. A manifest that lies in the registry itself is not deleted: ERR_REFUSED. */
bool registry_remove(const char *name, Err *err);
/* All entries by name; an absent registry is empty. What is not named like a service is left out. */
bool registry_list(Registry *ret, Err *err);
/* The manifest's path, owned. ERR_UNKNOWN when the name is not registered. */
bool registry_find(const char *name, char **ret_path, Err *err);
void registry_done(Registry *registry);

#endif
