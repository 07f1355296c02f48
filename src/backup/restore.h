/*
 * Restores: never over what is there, always beside it, then swapped; what was there is kept as salvage.
 *
 *     restore_prepare(&request, err)     writes everything beside, verified; nothing live is touched
 *     restore_swap(&request, err)        service stopped: exchanges, keeps the old as salvage
 *     restore_undo(&request, err)        puts back what restore_swap had moved away
 *     restore_discard(&request, err)     removes what was prepared and not (or no longer) needed
 *
 * Each may be repeated after a death at any point; what is done already is seen by inode, from notes in
 * `note_dir`, and not done twice. The names beside a content /srv/app/data of mark "44":
 *     /srv/app/.data.belay-44       prepared, or after restore_undo what was restored
 *     /srv/app/.data.salvage-44     what was there (a directory also for a database: with its -wal)
 *
 * The sources are a published backup, or a partial one whose second pass stands: nothing is written to
 * the store but the salvage's catalogue entry, so that a full store does not stop a rollback.
 *
 * Archives are hostile input. A backup with one bad entry is refused whole (ERR_CORRUPT) with nothing
 * live touched; there are no device nodes, and set-uid and set-gid bits and capabilities of files are
 * left out unless asked for. Owners are restored when this process may (root), else they must be its own.
 */
#ifndef BELAY_BACKUP_RESTORE_H
#define BELAY_BACKUP_RESTORE_H

#include "backup/backup.h"

typedef struct RestoreRequest {
        const char *store, *service;
        const char *backup; /* id (partial or published); or the name of a salvage */
        const char *only;   /* slug of one content, or NULL: all */
        const char *mark;   /* in names beside the data: the run's number */
        unsigned run;       /* for the salvage's manifest */
        const char *
                version; /* of the data that is live now, for the salvage's manifest; may be NULL */
        const char
                *note_dir; /* exists; of this restore alone (of one backup): below runs/<n>/undo */
        bool keep_setuid;
        BackupWatch watch; /* restore_swap and restore_undo look at no cancel */
} RestoreRequest;

/* Is there what `only` names? ERR_UNKNOWN when not. Needs store, service, backup, only; looks, changes nothing. */
bool restore_has(const RestoreRequest *request, bool salvage, Err *err);
bool restore_prepare(const RestoreRequest *request, Err *err);
bool restore_swap(const RestoreRequest *request, Err *err);
/* Was never swapped: only discards. ERR_DRIFT when what is live is neither the restored nor the old. */
bool restore_undo(const RestoreRequest *request, Err *err);
/* After restore_undo, when the service had been started on what was restored: that may hold what users were told is
 * saved, so it becomes the salvage (of request->version) before restore_discard removes the rest. May be repeated. */
bool restore_keep_undone(const RestoreRequest *request, Err *err);
bool restore_discard(const RestoreRequest *request, Err *err);

typedef enum RestoreStage {
        RESTORE_NONE,
        RESTORE_PREPARED, /* all contents lie beside, complete */
        RESTORE_PARTLY,   /* some are swapped */
        RESTORE_SWAPPED,
        RESTORE_UNDONE,
} RestoreStage;
bool restore_stage(const RestoreRequest *request, RestoreStage *ret, Err *err);

/* Extracts below `dir` (absent or empty), each content under its slug; verified the same way. A partial backup whose
 * first pass is proven is enough. */
bool restore_to(const RestoreRequest *request, const char *dir, Err *err);

#endif
