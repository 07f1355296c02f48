/*
 * A service as its manifest describes it: plain data, filled in by manifest/, read by everyone.
 * All strings are owned by the Service; paths are absolute unless said otherwise. Durations are
 * milliseconds. Defaults are those of spec "Defaults" and are already applied.
 */
#ifndef BELAY_MODEL_SERVICE_H
#define BELAY_MODEL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/js.h"
#include "base/str.h"
#include "model/phase.h"
#include "model/window.h"

/* ---- runtime ---- */
typedef enum RestartPolicy { RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_NEVER } RestartPolicy;

typedef struct Pair {
        char *name, *value;
} Pair;

typedef struct ProcessSpec {
        Strv command;    /* before expansion of ${port} and the like */
        char *directory; /* absolute; where the command runs */
        unsigned port;   /* 0: none known */
        char *user;      /* NULL: the owner of directory */
        Pair *environment;
        size_t n_environment;
        RestartPolicy restart;
} ProcessSpec;

/* ---- source ---- */
typedef enum Channel { CHANNEL_EXACT, CHANNEL_LATEST, CHANNEL_MINOR, CHANNEL_PATCH } Channel;

typedef enum GitLayout { LAYOUT_IN_PLACE, LAYOUT_RELEASES } GitLayout;

typedef struct GitSpec {
        char *directory; /* the checkout, or what holds releases/ and current; absolute */
        char *remote;    /* "origin" */
        char *tags;      /* glob, "*" by default */
        char *branch;    /* NULL: tags are followed */
        GitLayout layout;
        Strv install, build;        /* commands before expansion; NULL: none */
        int64_t command_timeout_ms; /* of each of the two */
        Strv artifacts;             /* what they make, relative to a version's files; settled */
        Strv shared;                /* releases: linked into each, relative; settled */
} GitSpec;

/* ---- secrets: where a value comes from; the value itself is never kept in here ---- */
typedef enum ValueFrom { VALUE_NONE, VALUE_TEXT, VALUE_FILE, VALUE_ENV } ValueFrom;
typedef struct Value {
        ValueFrom from;
        char *text; /* the text, the file's path, or the variable's name */
} Value;

/* ---- releases: where release data comes from; all of the first four NULL: nowhere ---- */
typedef struct ReleasesSpec {
        char *feed;   /* URL of a feed */
        char *github; /* "owner/name" */
        char *gitea;  /* URL of the repository's page */
        char *files;  /* below the service's directory, in the tree of a version */
        char *api;    /* with github: another server than api.github.com; or NULL */
        Value token;  /* sent to that server alone */
} ReleasesSpec;

/* ---- installed ---- */
typedef struct InstalledSpec {
        char *http;   /* URL, or NULL */
        char *json;   /* ".version", or NULL: the whole body, trimmed */
        Strv command; /* or NULL */
        char *file;   /* or NULL. All NULL: git describe of the checkout */
} InstalledSpec;

/* ---- configuration ---- */
typedef enum SecretForm { SECRET_HEX, SECRET_BASE64 } SecretForm;
typedef struct SecretSpec {
        char *key;
        unsigned bytes;
        SecretForm as;
} SecretSpec;
typedef struct ConfigSpec {
        char *env_file; /* absolute, or NULL */
        Pair *set;      /* values before expansion */
        size_t n_set;
        SecretSpec *secrets;
        size_t n_secrets;
} ConfigSpec;

/* ---- backup ---- */
typedef enum ContentKind { CONTENT_PATH, CONTENT_SQLITE } ContentKind;
typedef struct Content {
        ContentKind kind;
        char *path;    /* absolute */
        char *slug;    /* unique in the service: names its objects, "pocket.db", "config" */
        bool detected; /* not in the manifest: found by Belay */
} Content;
typedef struct BackupSpec {
        Content *contents;
        size_t n_contents;
        Strv local_stores; /* absolute directories; the first is the one restores read */
        unsigned keep_last, keep_days;
        bool contents_given; /* the manifest has the key, maybe empty */
} BackupSpec;

/* ---- migrations ---- */
typedef enum MigrationKind { MIGRATION_SQL, MIGRATION_SCRIPTS, MIGRATION_MANUAL } MigrationKind;
typedef struct MigrationSpec {
        MigrationKind kind;
        char *files;   /* glob, relative to the service's directory (sql, scripts) */
        Strv run_with; /* scripts: interpreter and its arguments, may be NULL */
        char *database; /* sql: absolute path of the SQLite file, or NULL when it is a `database_value` */
        Value database_value;
        char *text; /* manual */
        bool run_once, compatible, after_start;
        int64_t timeout_ms; /* 0: 10 minutes */
} MigrationSpec;

/* ---- checks ---- */
typedef enum CheckKind {
        CHECK_HTTP,
        CHECK_TCP,
        CHECK_COMMAND,
        CHECK_LOG,
        CHECK_KIND_COUNT
} CheckKind;
typedef struct HeaderSpec {
        char *name;
        Value value;
} HeaderSpec;
typedef struct CheckSpec {
        CheckKind kind;
        char *title; /* for people: the URL, the address, the command, the text */
        int64_t within_ms, interval_ms;
        unsigned threshold, window; /* "2 of 3": threshold 2, window 3 */
        /* http */
        char *url, *method, *body, *protocol;
        unsigned status;     /* 200 by default */
        HeaderSpec *headers; /* sent */
        size_t n_headers;
        Pair *expect_headers;
        size_t n_expect_headers;
        Pair *json; /* dotted path: value, before expansion */
        size_t n_json;
        /* tcp */
        char *host;
        unsigned port;
        /* command */
        Strv run;
        /* log */
        char *expect;
} CheckSpec;

/* ---- monitor ---- */
typedef struct MonitorSpec {
        int64_t for_ms, every_ms;
        Strv logs_fail, logs_warn;         /* added to the defaults */
        bool log_defaults;                 /* false when `logs: none` */
        unsigned errors_per_minute;        /* 0: not looked at */
        unsigned memory_warn, memory_fail; /* percent; 0: off */
        unsigned growth_percent;           /* of the start, in growth_ms; 0: off */
        int64_t growth_ms;
        unsigned cpu_warn; /* percent of one core, sustained; 0: off */
        char *outside_url; /* NULL: none */
        int64_t outside_every_ms;
} MonitorSpec;

/* ---- around an update ---- */
/* The command's exit 75, or a living lock on the file: not now. Neither: never busy. */
typedef struct BusySpec {
        Strv command;    /* run in the service's directory; or NULL */
        char *lock_file; /* absolute; or NULL */
        int64_t every_ms, for_ms, within_ms;
} BusySpec;

typedef struct HooksSpec {
        Strv commands[PHASE_COUNT][2]; /* before and after each phase; NULL: none */
        int64_t timeout_ms;
} HooksSpec;

typedef enum RollbackData {
        ROLLBACK_AUTO,
        ROLLBACK_ALWAYS,
        ROLLBACK_NEVER,
        ROLLBACK_ASK
} RollbackData;

typedef enum Rehearse { REHEARSE_AUTO, REHEARSE_ALWAYS, REHEARSE_NEVER } Rehearse;

/* Where each value in force came from, for `plan --explain`. */
typedef struct Origin {
        char *key;   /* "checks[0].http.within" */
        char *value; /* as text */
        char *from;  /* "belay.yaml:14", "default", "detected: origin of the checkout" */
} Origin;

typedef struct Service {
        char *name;
        char *manifest_path; /* absolute */
        char *manifest_text; /* the bytes that were parsed */
        size_t manifest_bytes;
        char *directory; /* the service's directory: that of its runtime */
        ProcessSpec process;
        GitSpec git;
        Channel channel;
        ReleasesSpec releases;
        int64_t cooldown_ms; /* how old a release must be before it is gone to; 0: any age */
        InstalledSpec installed;
        ConfigSpec configuration;
        BackupSpec backup;
        MigrationSpec *migrations;
        size_t n_migrations;
        int64_t start_timeout_ms, stop_timeout_ms;
        CheckSpec *checks;
        size_t n_checks;
        MonitorSpec monitor;
        bool rollback_automatic;
        RollbackData rollback_data;
        Rehearse rehearse;
        WindowSpec *windows; /* none: updates may begin at any time */
        size_t n_windows;
        FreezeSpec *freezes;
        size_t n_freezes;
        char *succeeded_on; /* the service whose update must have succeeded first, or NULL */
        BusySpec busy;
        HooksSpec hooks;
        Origin *origins;
        size_t n_origins;
        Strv warnings; /* "secret 'X' is written in clear at belay.yaml:12" */
} Service;

void service_done(Service *service);
void service_freep(Service **service);
void service_explain(Service *service, const char *key, const char *value,
        const char *from); /* adds an Origin */
/* backup.contents as a run journals them, detected ones included; and back (replaces what is there). */
json_t *service_contents_to_json(const Service *service);
void service_contents_from_json(Service *service, const json_t *contents);
/* ^[a-z0-9][a-z0-9-]{0,62}$ */
bool service_name_ok(const char *name);

#endif
