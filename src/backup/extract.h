/*
 * Makes the files of a backup, in a fresh directory that only this process may enter until it is whole.
 */
#ifndef BELAY_BACKUP_EXTRACT_H
#define BELAY_BACKUP_EXTRACT_H

#include "backup/set.h"

typedef struct Extraction {
        const Set *set; /* lists loaded */
        bool keep_setuid;
        const BackupWatch *watch;
} Extraction;

/* `dir` must not exist. Its own mode and owner are those of the content's root (of a single file: 0700). Synced. */
bool extract_path(const Extraction *x, const SetItem *item, const char *dir, Err *err);
/* The database as the file `to`, which must not exist; complete, without sidecars, synced. */
bool extract_database(const Extraction *x, const SetItem *item, const char *to, Err *err);
bool make_private_dir(const char *path, Err *err); /* must not exist; 0700 */

#endif
