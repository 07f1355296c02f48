/*
 * Backups of a service's contents: taken while it runs, completed in the gap, proven, published,
 * found again, and in the end removed.
 *
 * The order of an update:
 *
 *     backup_plan(&request, &plan, err)              preflight: sizes, facts, what is in the way
 *     backup_new_id(id)                              goes into the journal before anything is written
 *     backup_begin(&request, &plan, &backup, err)    makes <store>/<service>/.partial-<id>/
 *     backup_first_pass(backup, err)                 live; the slow part
 *     backup_prove(backup, 2, err)                   reads all of it back; without it there is no ARM
 *     backup_reserve(&plan, mark, err)               before ARM: room that a restore will need
 *     ... ARM, the service is stopped ...
 *     backup_second_pass(backup, &stats, err)        what changed since; in proportion to it
 *     ... place, migrate, start: the gap is over ...
 *     backup_merge_publish(backup, &published, err)  applies, compresses, proves, names it
 *     backup_unreserve(...)                          at COMMIT, or by restore_prepare
 *     backup_freep(&backup)                          keeps everything on disk
 *
 * A backup outside of an update is the same without the gap: begin, first pass, prove, second pass,
 * publish. A process that did not begin the backup opens it again with backup_reopen and goes on at the
 * second pass or at merge_publish; both may be repeated after a death at any point. First passes are
 * never resumed: backup_discard, then begin again under a new id.
 *
 * Formats: everything can be restored with cp, tar, zstd and sqlite3; BACKUP_INFO.txt says how.
 *     path-<slug>.tar.zst            pax tar in independent zstd frames; names begin with "./"
 *     path-<slug>.delta.tar.zst      what the second pass found changed or new
 *     path-<slug>.deleted            what it found gone: names, each ended by a NUL
 *     sqlite-<slug>.db               plain database (also "<path's slug>.<n>" for those found in a path)
 *     config.tar.zst, service.json, logs.txt, BACKUP_INFO.txt, FILES.jsonl.zst, MANIFEST.json (last)
 *
 * Files are 0600, directories 0700, whoever owns the data: a backup holds secrets.
 *
 * SQLite in WAL mode: the Backup holds a read transaction on the live database from the first pass to
 * the second, so it must live in one process that long (it does not block the service). Nobody in that
 * process may open and close the database file by other means: POSIX locks would be dropped.
 *
 * Errors a caller may act on: ERR_REFUSED (the world says no: what and why, with a hint), ERR_CORRUPT
 * (a proof failed: stored bytes are not what was read), ERR_NO_SPACE, ERR_CANCELLED, ERR_UNKNOWN (no such
 * backup). All else is ERR_IO. After any error of a pass the only thing to do is backup_discard.
 */
#ifndef BELAY_BACKUP_BACKUP_H
#define BELAY_BACKUP_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"
#include "model/service.h"
#include "platform/process.h"

/* Progress and cancel of everything that can be long. All may be NULL. `what` is the content's slug. */
typedef struct BackupWatch {
        void (*progress)(
                void *context, const char *what, uint64_t done, uint64_t total); /* bytes */
        void *context;
        const Cancel *cancel; /* looked at between files and every few MB: ERR_CANCELLED */
} BackupWatch;

/* A file that goes into the backup besides the contents. Exactly one of `path` and `text`. */
typedef struct BackupExtra {
        const char *
                name; /* "belay.yaml", ".env": in config.tar.zst; "service.json", "logs.txt": beside it */
        const char *path; /* copied from here (absent: left out), or NULL */
        const char *text; /* these bytes, or NULL */
        const char
                *belongs; /* absolute path it is restored to by hand (BACKUP_INFO.txt), or NULL */
} BackupExtra;

typedef struct BackupRequest {
        const Service *service; /* its backup.contents are what is taken; must outlive the Backup */
        const char *store;      /* absolute directory; made when absent */
        char id[33];            /* from backup_new_id; not used by backup_plan */
        const char *version;    /* installed, without leading v; "unknown" when nobody knows */
        const char *reference;  /* commit, or NULL */
        const char *reason;     /* "update", "finish", "manual", "rollback" */
        unsigned run;           /* 0: none */
        const json_t
                *migrations; /* the record of migrations, which belongs to the data; may be NULL */
        const BackupExtra *extras;
        size_t n_extras;
        BackupWatch watch;
} BackupRequest;

/* 12 characters [0-9a-f], random. */
void backup_new_id(char ret_id[33]);

/* -- preflight ------------------------------------------------------------------------------ */

typedef struct PlanItem {
        ContentKind kind;
        char *slug;            /* of the object */
        char *path;            /* absolute, without symbolic links */
        char *within;          /* SQLite inside a path: the slug of that path; else NULL */
        bool present;          /* false: declared, but nothing is there (a warning says so) */
        bool is_file;          /* a path that is a single file */
        uint64_t bytes, files; /* without the databases inside it */
        char *journal_mode;    /* "wal", "delete", ...; SQLite only */
        uint32_t page_size, page_count;
        const char *swap; /* how a restore is put in place: "directory rename", "file rename",
                                    "database rename", "with its directory" */
} PlanItem;

typedef struct BackupPlan {
        PlanItem *items; /* in the order of the manifest; databases found in a path follow it */
        size_t n_items;
        uint64_t bytes, files;
        uint64_t store_needs, store_free; /* bytes */
        char *store;
        Strv warnings; /* "the store is on the disk of the data ...": shown, no obstacle */
        Strv refusals; /* each a reason why no backup can be taken or undone; preflight: exit 6 */
} BackupPlan;

/* Looks, and makes only the store's directory. A list or stat that fails is an error. */
bool backup_plan(const BackupRequest *request, BackupPlan *ret, Err *err);
void backup_plan_done(BackupPlan *plan);

/* -- the passes ----------------------------------------------------------------------------- */

typedef struct Backup Backup;

typedef struct PassStats {
        uint64_t bytes, files; /* copied in this pass (SQLite: bytes of WAL or of changed pages) */
        uint64_t deleted;      /* files gone since the first pass */
        int64_t took_ms;
        char *slowest; /* content that took longest, or NULL; owned */
} PassStats;
void pass_stats_done(PassStats *stats);

/* ERR_REFUSED when the plan has refusals. */
bool backup_begin(const BackupRequest *request, const BackupPlan *plan, Backup **ret, Err *err);
bool backup_first_pass(Backup *backup, Err *err);
/* Level 1: every byte read back from disk against its SHA-256. Level 2: also the archive against the list,
 * the databases against their sources. Writes PASS1.json, durably, at the end. */
bool backup_prove(Backup *backup, int level, Err *err);
/* Nothing may write to the contents while this runs, if the reason is "update". Ends the hold on the databases: afterwards they may
 * be changed. Writes PASS2.json, durably, at the end. Once it stands, a second call does nothing. */
bool backup_second_pass(Backup *backup, PassStats *ret, Err *err);
/* Lets go of the live databases without a second pass (the run is aborted before ARM). */
void backup_let_go(Backup *backup);

typedef struct Published {
        char *id;
        char *name;     /* "20260203_040506-1.2.0-7f3a..." */
        char *dir;      /* absolute */
        uint64_t bytes; /* in the store */
        int level;      /* proof reached: 2 */
} Published;
void published_done(Published *published);

/* Publishes when PASS2.json stands. May be repeated at any point, also when it was published already. When the
 * proof of the merged copy fails (ERR_CORRUPT), what the passes wrote stays as a partial backup. */
bool backup_merge_publish(Backup *backup, Published *ret, Err *err);

/* In a recovering process. `request` as at backup_begin (service, store, id, watch are used). ERR_UNKNOWN:
 * neither partial nor published. */
bool backup_reopen(const BackupRequest *request, Backup **ret, Err *err);
void backup_freep(Backup **backup);

typedef enum BackupStage {
        BACKUP_ABSENT,
        BACKUP_BEGUN, /* no PASS1.json: worth nothing */
        BACKUP_PASS1, /* proven first pass */
        BACKUP_PASS2, /* complete: a restore can be made of it */
        BACKUP_PUBLISHED,
} BackupStage;
bool backup_stage(
        const char *store, const char *service, const char *id, BackupStage *ret, Err *err);

/* Removes a partial or published backup, manifest first; absent is fine. Asks no question: retention and
 * persons decide. */
bool backup_discard(const char *store, const char *service, const char *id, Err *err);
/* Removes every .partial- of a service but those of `keep` (ids; may be NULL). */
bool backup_discard_leftovers(const char *store, const char *service, char *const *keep, Err *err);

/* Room for a restore, beside each content; names end in `mark`, the run's number. Idempotent. */
bool backup_reserve(const BackupPlan *plan, const char *mark, Err *err);
bool backup_unreserve(const Service *service, const char *mark, Err *err);

/* -- what a restore now would lose ---------------------------------------------------------- */

typedef struct LossTable {
        char *content, *table;
        int64_t then_rows, now_rows; /* -1: the table is not there */
} LossTable;

/* The live contents compared with the last pass. */
typedef struct BackupLoss {
        bool changed;        /* anything differs; written by whom cannot be known */
        bool schema_changed; /* of any database, or a database that cannot be read now */
        bool fewer_rows;     /* in any table */
        bool missing_files;  /* also a missing database */
        uint64_t files_missing, files_added, files_changed, bytes_changed;
        int64_t rows_fewer, rows_more;
        LossTable *tables; /* those whose number of rows differs */
        size_t n_tables;
        int64_t last_change_ms; /* unix ms of the newest change seen in files; 0 unknown */
        Strv lines;             /* for people: "note: 300 rows then, 296 now" */
} BackupLoss;

/* Is anything different? Cheap when files were not touched. Changes nothing. */
bool backup_changed(const char *store, const char *service, const char *id, bool *ret, Err *err);
/* All of it. The backup may be partial (with PASS2.json) or published. Changes nothing live. */
bool backup_loss(const char *store, const char *service, const char *id, BackupLoss *ret, Err *err);
void backup_loss_done(BackupLoss *loss);
/* A short text that is the same as long as nothing in the contents is written (size, times, WAL): two of
 * them compared tell whether anything was written in between. Owned. */
bool backup_fingerprint(const Service *service, char **ret, Err *err);

/* -- the catalogue -------------------------------------------------------------------------- */

typedef struct BackupInfo {
        char *id, *name, *dir;
        char *version, *reference, *reason;
        bool salvage; /* `name` is "salvage-<mark>" */
        bool damaged; /* no readable manifest, or objects of a wrong size; `why` says it */
        char *why;
        unsigned run;
        int64_t taken_ms; /* unix ms: end of the last pass */
        uint64_t bytes, files;
        int level;        /* proof reached; 0 for salvage */
        json_t *manifest; /* whole MANIFEST.json, or NULL when damaged */
} BackupInfo;

typedef struct BackupList {
        BackupInfo *items; /* newest first */
        size_t n;
} BackupList;

/* Partial ones are left out. A directory that cannot be read is an error. An absent store: an empty list. */
bool backup_list(const char *store, const char *service, BackupList *ret, Err *err);
/* NULL: the newest that is neither salvage nor damaged. Else an id, its beginning, a name, "salvage-44", or a
 * version (the newest of it). ERR_UNKNOWN names what there is. */
bool backup_find(
        const char *store, const char *service, const char *what, BackupInfo *ret, Err *err);
/* Reads a backup again and proves it. False with ERR_CORRUPT, naming object and reason. */
bool backup_verify(const char *dir, int level, const BackupWatch *watch, Err *err);
/* The same backup in the store `to`, proven there; true when it is there already. May be repeated after a death. */
bool backup_copy(const char *store, const char *service, const char *id, const char *to, Err *err);
/* The store is there, is this user's alone and can be written. */
bool backup_store_ready(const char *store, const char *service, Err *err);
/* The text of "belay.yaml" or ".env" as a published backup kept it; *ret (owned) NULL: it has none. */
bool backup_config_text(const char *dir, const char *name, char **ret, Err *err);
void backup_info_done(BackupInfo *info);
void backup_list_done(BackupList *list);

#endif
