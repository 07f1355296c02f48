/* What the files of the passes share; not for other rooms. */
#ifndef BELAY_BACKUP_SESSION_H
#define BELAY_BACKUP_SESSION_H

#include "backup/pages.h"
#include "backup/set.h"
#include "backup/tar.h"
#include "backup/walk.h"

struct Backup {
        Set set;
        const Service *service;
        char *store;
        BackupWatch watch;
        const BackupExtra *extras; /* only valid until the first pass is over */
        size_t n_extras;
        sqlite3 **
                holds; /* for each item: the connection whose read transaction keeps the WAL; or NULL */
        bool lists_loaded;
        bool reopened;        /* another process began it, and may have died in the second pass */
        uint64_t done, total; /* for progress */
};

/* -- archiving: both passes -- */

typedef struct Archiver {
        TarWriter tar;
        const char *root; /* for messages */
        const BackupWatch *watch;
        const char *slug;
        uint64_t *done, total;
        int64_t trusted_before_ns; /* times from here on do not prove that a file is unchanged */
        void *links;               /* inodes with several names that were put in (tsearch) */
        uint64_t bytes, files;
} Archiver;

/* Puts what `place` is into the archive; on true *ret describes what was put, or has no path when the file vanished. A
 * file that changes while it is read is taken three times, then it is doubtful. */
bool archiver_put(
        Archiver *a, const WalkPlace *place, const struct stat *st, FileEntry *ret, Err *err);
void archiver_done(Archiver *a);
/* The sum of a live file as archiver_put would make it. *ret_there false: vanished. */
bool file_content_sum(const WalkPlace *place, FileEntry *ret, bool *ret_there, Err *err);
bool entry_add_xattrs(const WalkPlace *place, FileEntry *entry, Err *err);
int64_t kernel_now_ns(void);
/* Times of a file within it of the reading prove nothing about what was written later. */
static const int64_t doubt_ns = 2000000000;

/* -- parts of the passes -- */
Strv item_databases(const Set *set, const SetItem *path_item); /* inner names; owned */
Walk item_walk(const SetItem *item, Strv skip, const Cancel *cancel);
char *database_object_name(const Set *set, const char *slug);
bool database_stat(SetItem *item, Err *err); /* mode, owner and time of the live one */
bool open_copy(const char *path, int *ret, Err *err);
bool sync_file(const char *path, Err *err);
bool first_pass_database(Backup *backup, size_t index, Err *err);
bool second_pass_path(Backup *backup, SetItem *item, PassStats *stats, Err *err);
bool second_pass_database(Backup *backup, size_t index, PassStats *stats, Err *err);
bool take_extras(Backup *backup, Err *err);
bool write_backup_info(Set *set, Err *err);
bool put_stream_object(
        Set *set, const char *name, ObjectKind kind, const char *content, ZWriter *w, Err *err);
/* Sums a file of the set that was written by other means, and adds it. */
bool put_file_object(Set *set, const char *name, ObjectKind kind, const char *content, Err *err);
bool backup_load_lists(Backup *backup, Err *err);
/* Kernel buffers of shared mappings go to the files, so that the next write through one shows in the times. */
bool write_back(const char *path, Err *err);

/* -- proof, of a set wherever it lies -- */
bool set_prove(const Set *set, int level, const BackupWatch *watch, Err *err);
/* Applies the WAL to the copy, takes its facts. For a set of pass 2; may be repeated. */
bool set_merge_databases(Set *set, Err *err);
/* Applies the -wal beside a private copy and removes it. */
bool wal_apply(const char *path, Err *err);

#endif
