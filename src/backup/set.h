/*
 * One backup as a value: what its PASS1.json, PASS2.json or MANIFEST.json says, and where it lies. The passes
 * fill it, everything else (proof, restore, comparison, catalogue) starts from one that was loaded.
 */
#ifndef BELAY_BACKUP_SET_H
#define BELAY_BACKUP_SET_H

#include "backup/backup.h"
#include "backup/file_list.h"
#include "client/sqlite.h"

enum { SET_FORMAT = 1 };

typedef enum ObjectKind {
        OBJECT_PATHS,   /* archive of a path */
        OBJECT_DELTA,   /* archive of what the second pass found */
        OBJECT_DELETED, /* names that it found gone */
        OBJECT_SQLITE,  /* plain database */
        OBJECT_WAL,     /* its WAL, until it is merged */
        OBJECT_FILES,   /* lists of files */
        OBJECT_OTHER,   /* config.tar.zst, service.json, logs.txt, BACKUP_INFO.txt */
        OBJECT_KIND_COUNT
} ObjectKind;

typedef struct Object {
        char *name;
        ObjectKind kind;
        char *content; /* slug, or NULL */
        uint64_t bytes, plain_bytes;
        char sha256[65];
        bool patched; /* SQLite: changed in place by the second pass; the sum is that of the first */
} Object;

/* What stat says of a database and its sidecars: as long as it is the same, nothing was written. */
typedef struct Stamp {
        int64_t size, mtime_ns, ctime_ns; /* size -1: absent, STAMP_UNKNOWN: like no other */
        uint64_t inode;
} Stamp;
enum { STAMP_DB, STAMP_WAL, STAMP_JOURNAL, STAMP_COUNT };
enum { STAMP_UNKNOWN = -2 };

typedef struct SetItem {
        ContentKind kind;
        char *slug, *path;
        char *within, *inner; /* SQLite in a path: the slug of the path, and where in it */
        bool present, is_file;
        uint64_t bytes, files;
        mode_t mode; /* of a database */
        uid_t uid;
        gid_t gid;
        int64_t mtime_ns;
        DatabaseFacts facts;       /* of what the copy holds (after the last pass) */
        Stamp stamps[STAMP_COUNT]; /* after the last pass */
        FileList list;             /* paths; loaded by set_load_files */
        FileList newer;            /* what the second pass found, until it is laid over */
} SetItem;

typedef struct Set {
        char *dir; /* absolute; where it lies now */
        char *id, *service, *version, *reference, *reason;
        char *host;
        unsigned run;
        int64_t began_ms, taken_ms; /* unix ms: begin of the first, end of the last pass */
        int pass;                   /* 1, 2; 3: published (or its manifest is written) */
        int level;
        json_t *migrations;
        json_t *config; /* object: name in config.tar.zst -> absolute path, or NULL */
        SetItem *items;
        size_t n_items;
        Object *objects;
        size_t n_objects;
        Strv warnings; /* "data/x changed three times while it was read" */
} Set;

void set_done(Set *set);
json_t *set_to_json(const Set *set);
bool set_from_json(json_t *object, Set *ret, Err *err); /* takes the sum out of `object` */
/* Writes PASS1.json, PASS2.json or MANIFEST.json, by set->pass. */
bool set_save(const Set *set, Err *err);
/* The furthest of the three. ERR_UNKNOWN when there is none, ERR_REFUSED when it is of a newer format. */
bool set_load(const char *dir, Set *ret, Err *err);
/* The lists of files, with those of the second pass laid over. */
bool set_load_files(Set *set, Err *err);
/* Writes the lists (newer: what the second pass found) and adds the object. */
bool set_write_files(Set *set, const char *name, bool newer, Err *err);
#define FILES_NAME  "FILES.jsonl.zst" /* of a published backup */
#define FILES_PASS1 "FILES.pass1.jsonl.zst"
#define FILES_PASS2 "FILES.pass2.jsonl.zst"

SetItem *set_item(const Set *set, const char *slug);
Object *set_object(const Set *set, ObjectKind kind, const char *content);
Object *set_object_named(const Set *set, const char *name);
/* Adds or replaces by name; takes `object`. */
void set_put_object(Set *set, Object *object);
void set_drop_object(Set *set, const char *name);
void set_add_config(Set *set, const char *name, const char *belongs);
void object_done(Object *object);
char *set_path(const Set *set, const char *name); /* owned */

/* -- where things lie in a store (all owned) -- */
char *store_service_dir(const char *store, const char *service);
char *store_partial_dir(const char *store, const char *service, const char *id);
/* The directory of a partial or published backup, by id. *ret NULL: there is none. */
bool store_locate(const char *store, const char *service, const char *id, char **ret,
        bool *ret_published, Err *err);
/* Loads the set of that id, or fails with ERR_UNKNOWN. */
bool store_load(const char *store, const char *service, const char *id, Set *ret, Err *err);
/* Makes <store>/<service>, and refuses it when others may write there. */
bool store_prepare(const char *store, const char *service, Err *err);

bool stamp_take(const char *database, Stamp ret[STAMP_COUNT], Err *err);
bool stamp_same(const Stamp a[STAMP_COUNT], const Stamp b[STAMP_COUNT]);

/* -- small things the files of this room share -- */
void watch_progress(const BackupWatch *watch, const char *what, uint64_t done, uint64_t total);
bool watch_cancelled(const BackupWatch *watch, Err *err); /* true: cancelled, err is set */
/* Drops what the page cache holds of a file, so that the next read is the disk's. */
void file_forget(int fd);

#endif
