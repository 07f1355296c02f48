/*
 * Which backups may go. The decision is a pure function of a complete list; the executor lists, decides,
 * deletes, and deletes nothing after any error.
 *
 * Kept: the union of the newest `last` and all of the last `days`; the newest proven backup of the
 * running version and of the version a rollback would go to; everything in `pinned`; salvage for 30 days.
 * Refused, with nothing deleted: a newest backup more than 5 minutes in the future (the clock is wrong), a
 * policy that keeps nothing, a decision that would leave no proven backup.
 */
#ifndef BELAY_BACKUP_RETENTION_H
#define BELAY_BACKUP_RETENTION_H

#include "backup/backup.h"

enum { SALVAGE_KEEP_DAYS = 30 };

typedef struct RetentionPolicy {
        unsigned last, days;
        const char *running_version;  /* may be NULL */
        const char *rollback_version; /* may be NULL */
        char *const *pinned;          /* ids, names; of open runs; may be NULL */
        int64_t now_ms;               /* unix ms */
} RetentionPolicy;

/* Sets ret_delete[i] for each of list->items. ERR_REFUSED with everything false. */
bool retention_decide(
        const BackupList *list, const RetentionPolicy *policy, bool *ret_delete, Err *err);
/* Deletes what retention_decide says, newest to oldest, each manifest first. The names of what was (with
 * dry_run: would be) deleted are added to *ret_names. */
bool retention_run(const char *store, const char *service, const RetentionPolicy *policy,
        bool dry_run, Strv *ret_names, Err *err);
/* One backup or salvage, by a person's wish; salvage with the data it names. */
bool backup_remove(const char *store, const char *service, const char *name, Err *err);

#endif
