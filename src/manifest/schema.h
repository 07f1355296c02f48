/*
 * The keys of the manifest as tables, and the one walk that reads a mapping by its table: unknown keys,
 * missing keys, defaults, origins and the keys that this build knows but lacks are handled here, once.
 * The tables are in keys_*.c; a description of the format for editors can be made from them.
 *
 * A key with a type is read into the field at `offset` of the table's target. A key without a type is
 * known to the format and lacking in this build: its answer is "this build has no <lacks>".
 */
#ifndef BELAY_MANIFEST_SCHEMA_H
#define BELAY_MANIFEST_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/finding.h"
#include "manifest/yaml_tree.h"
#include "model/service.h"

typedef struct Reader {
        Findings *findings;
        Service *service;
        const char *base;       /* the manifest's directory, absolute */
        const char *file;       /* "belay.yaml", for origins */
        Str path;               /* "checks[0].http": where the walk is */
        const Node *wants_port; /* the first text with ${port} in it, or NULL */
        /* Only to find out by which table a mapping would be read: map_read says so here, and reads nothing. */
        const struct KeyTable **probe;
} Reader;

typedef struct Key Key;
typedef struct KeyTable {
        const char *what; /* "a check": what the mapping is, for messages */
        const Key *keys;
        size_t n;
} KeyTable;

typedef struct KeyType {
        const char *name;
        const char *expected; /* "expected a duration such as 30s or 5m" */
        bool explains;        /* the value is one line of `plan --explain` */
        bool (*read)(Reader *r, const Key *key, const Node *node, void *field);
} KeyType;

/* One of several words. A word with `lacks` is known, but not in this build. */
typedef struct Choice {
        const char *name; /* NULL ends the list */
        unsigned value;
        const char *lacks; /* "strategy 'rolling'" */
} Choice;

enum {
        KEY_REQUIRED = 1,
        KEY_ONE_OF = 2,     /* exactly one of the keys so marked must be there */
        KEY_NULL_OK = 4,    /* null means: as if it were absent */
        KEY_EXPANDS = 8,    /* ${version} and the like are filled in later */
        KEY_LINES = 16,     /* may have several lines */
        KEY_DEFAULTS = 32,  /* a mapping whose defaults hold when it is absent */
        KEY_SECRETS = 64,   /* pairs: a secret in clear is worth a warning */
        KEY_ABSOLUTE = 128, /* a path that is made absolute from the manifest's directory */
        KEY_NOWHERE = 256,  /* a word that has no field: only one choice is there to take */
};

struct Key {
        const char *name;
        const KeyType *type; /* NULL: lacking in this build */
        const char *lacks;   /* "runtime 'compose'"; with a type: NULL */
        const KeyTable *
                inner; /* of mappings, and of lacking keys whose own keys are answered one by one */
        size_t offset; /* of the field in the target */
        size_t count_offset; /* pairs: of the field that counts them */
        unsigned flags;
        unsigned least, most;  /* numbers and percents; both 0: no limits */
        const char *otherwise; /* the default, as it would be written */
        const Choice *choices;
        const char *(*problem)(const char *text); /* value.h; for pairs of their names */
};

#define KEY_TABLE(label, rows)                                                                     \
        { .what = (label), .keys = (rows), .n = COUNT_OF(rows) }
#define LACKS(key_name, text)                                                                      \
        { .name = (key_name), .lacks = (text) }

extern const KeyTable manifest_table; /* keys.c; its target is a Service */
extern const KeyTable runtime_table;  /* keys_runs.c; their target is a Service, too */
extern const KeyTable source_table;
extern const KeyTable installed_table;
extern const KeyTable git_table;           /* keys_git.c; its target is a GitSpec */
extern const KeyTable releases_table;      /* keys_releases.c; its target is a ReleasesSpec */
extern const KeyTable configuration_table; /* keys_data.c */
extern const KeyTable backup_table;
extern const KeyTable monitor_table;  /* keys_watch.c */
extern const KeyTable busy_table;     /* keys_around.c */
extern const KeyTable requires_table; /* its target is a Service */
extern const KeyTable hooks_table;
extern const KeyType type_windows; /* keys_times.c */
extern const KeyType type_freezes;
extern const KeyType type_source;     /* keys_runs.c; their field is the Service itself */
extern const KeyType type_migrations; /* keys_migrate.c */
extern const KeyType type_checks;     /* keys_check.c */

/* Reads a mapping into target by its table. False: there are findings. */
bool map_read(Reader *r, const KeyTable *table, const Node *map, void *target);
/* What keys of a git source must have to do with each other (keys_git.c). `node` may be NULL. */
bool git_check(Reader *r, const Node *node);
/* Reads the key's default as if it were written at the walk's place. */
bool default_read(Reader *r, const Key *key, void *target);
/* An item of a list, read by a function that may add what it made to the service. */
typedef bool ItemRead(Reader *r, const Node *item);
bool items_read(Reader *r, const Node *list, ItemRead *read);

/* The walk's place: enter gives what leave needs. Names are joined by '.', "[0]" is put behind. */
size_t path_enter(Reader *r, const char *name);
size_t path_enter_index(Reader *r, size_t index);
void path_leave(Reader *r, size_t where);

/* Adds the origin of the value at the walk's place; `text` NULL: as the node is written. */
void value_explain(Reader *r, const Node *node, const char *text);
void warning_add(Reader *r, const Node *node, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
bool key_lacks(Reader *r, const Node *at, const char *lacks);

/* types.c */
extern const KeyType type_text;     /* char * */
extern const KeyType type_word;     /* unsigned or an enum, by choices */
extern const KeyType type_flag;     /* bool */
extern const KeyType type_number;   /* unsigned */
extern const KeyType type_percent;  /* unsigned */
extern const KeyType type_duration; /* int64_t ms; least and most in ms */
extern const KeyType type_words;    /* Strv: a list of texts */
extern const KeyType type_map;      /* a mapping into the same target, by `inner`, at `offset` */
extern const KeyType type_pairs;    /* Pair * and its count */

/* The text of a scalar that key allows, owned, or NULL with a finding. */
char *text_read(Reader *r, const Key *key, const Node *node);
/* Reads "file:PATH", "env:NAME" or text. `name` is what the value is called, for warnings. */
bool secret_read(Reader *r, const Key *key, const char *name, const Node *node, Value *ret);

#endif
