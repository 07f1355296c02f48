/*
 * Reads the archives of a path content against its list of files: what proof and restore have in common.
 * Every entry must be in the list as the list says, once, with its bytes; every file of the list must be there;
 * the archives themselves must have the sums of the manifest. The set's lists must be loaded.
 */
#ifndef BELAY_BACKUP_ARCHIVE_READ_H
#define BELAY_BACKUP_ARCHIVE_READ_H

#include "backup/set.h"
#include "backup/tar.h"

/* Told of each regular file that is in force, while its bytes come; `at` is where they belong. The file counts
 * only when `end` was called: then its sum was right. All may be NULL. */
typedef struct ArchiveSink {
        bool (*begin)(void *context, const FileEntry *entry, Err *err);
        bool (*data)(void *context, const FileEntry *entry, uint64_t at, const void *bytes,
                size_t n, Err *err);
        bool (*end)(void *context, const FileEntry *entry, Err *err);
        void *context;
} ArchiveSink;

bool archives_read(const Set *set, const SetItem *item, const ArchiveSink *sink,
        const BackupWatch *watch, Err *err);

#endif
