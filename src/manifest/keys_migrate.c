/* migrations: what a new version needs done to the data. */
#include <string.h>

#include "manifest/schema.h"
#include "manifest/value.h"

static const Choice runs[] = {{"once", true, NULL}, {"always", false, NULL}, {NULL, 0, NULL}};
static const Choice whens[] = {
        {"after-start", true, NULL}, {"before-start", false, NULL}, {NULL, 0, NULL}};

/* The fields of these two are bool, not unsigned. */
static bool bool_word_read(Reader *r, const Key *key, const Node *node, void *field) {
        unsigned value = 0;
        if (!type_word.read(r, key, node, &value))
                return false;
        *(bool *)field = value != 0;
        return true;
}
static const KeyType type_bool_word = {"word", "expected a word", true, bool_word_read};

/* The path is made absolute when the service's directory is known (settle.c). */
static bool database_read(Reader *r, const Key *key, const Node *node, void *field) {
        MigrationSpec *migration =
                (MigrationSpec *)(void *)((char *)field - offsetof(MigrationSpec, database));
        static const char expected[] = "expected the path of an SQLite file, or env:NAME";
        scoped(free_str) char *text = text_read(r, key, node);
        if (!text)
                return false;
        bool variable = str_starts(text, "env:");
        const char *problem = variable ? env_name_problem(text + 4) : path_problem(text);
        if (!variable && (strstr(text, "://") || str_starts(text, "file:")))
                problem = "is no plain path";
        if (problem)
                return finding_add(r->findings, &(Finding){.at = node->at, .expected = expected},
                        "\"%s\" %s", r->path.text, problem);
        if (variable)
                migration->database_value = (Value){.from = VALUE_ENV, .text = str_copy(text + 4)};
        else
                migration->database = TAKE(text);
        return true;
}
static const KeyType type_database = {
        "database", "expected the path of an SQLite file, or env:NAME", true, database_read};

#define FILES                                                                                      \
        {                                                                                          \
                .name = "files", .type = &type_text, .flags = KEY_REQUIRED,                        \
                .problem = glob_problem, .offset = offsetof(MigrationSpec, files)                  \
        }
#define RUN(value)                                                                                 \
        {                                                                                          \
                .name = "run", .type = &type_bool_word, .choices = runs,                           \
                .offset = offsetof(MigrationSpec, run_once), .otherwise = (value)                  \
        }
#define COMPATIBLE                                                                                 \
        {                                                                                          \
                .name = "compatible", .type = &type_flag,                                          \
                .offset = offsetof(MigrationSpec, compatible), .otherwise = "false"                \
        }
#define TIMEOUT                                                                                    \
        {                                                                                          \
                .name = "timeout", .type = &type_duration,                                         \
                .offset = offsetof(MigrationSpec, timeout_ms), .least = 1, .otherwise = "10m"      \
        }

static const Key sql_keys[] = {
        FILES,
        {.name = "database",
                .type = &type_database,
                .flags = KEY_REQUIRED,
                .offset = offsetof(MigrationSpec, database)},
        RUN("once"),
        COMPATIBLE,
        TIMEOUT,
};
static const KeyTable sql_table = KEY_TABLE("an sql migration", sql_keys);

static const Key scripts_keys[] = {
        FILES,
        {.name = "run_with",
                .type = &type_words,
                .offset = offsetof(MigrationSpec, run_with),
                .least = 1,
                .problem = program_problem},
        RUN("always"),
        COMPATIBLE,
        TIMEOUT,
};
static const KeyTable scripts_table = KEY_TABLE("a scripts migration", scripts_keys);

static const Key manual_keys[] = {
        {.name = "text",
                .type = &type_text,
                .flags = KEY_REQUIRED | KEY_LINES,
                .offset = offsetof(MigrationSpec, text)},
        {.name = "when",
                .type = &type_bool_word,
                .choices = whens,
                .offset = offsetof(MigrationSpec, after_start),
                .otherwise = "after-start"},
};
static const KeyTable manual_table = KEY_TABLE("a manual step", manual_keys);

static const Key kind_keys[] = {
        {.name = "sql", .type = &type_map, .inner = &sql_table, .flags = KEY_ONE_OF},
        {.name = "scripts", .type = &type_map, .inner = &scripts_table, .flags = KEY_ONE_OF},
        {.name = "manual", .type = &type_map, .inner = &manual_table, .flags = KEY_ONE_OF},
        LACKS("container", "migration 'container'"),
        LACKS("exec", "migration 'exec'"),
};
static const KeyTable kind_table = KEY_TABLE("a migration", kind_keys);

static bool migration_read(Reader *r, const Node *item) {
        MigrationSpec migration = {0};
        bool good = map_read(r, &kind_table, item, &migration);
        migration.kind = node_get(item, "sql")       ? MIGRATION_SQL
                         : node_get(item, "scripts") ? MIGRATION_SCRIPTS
                                                     : MIGRATION_MANUAL;
        PUSH(r->service->migrations, r->service->n_migrations, migration);
        return good;
}

static bool migrations_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        (void)field;
        return items_read(r, node, migration_read);
}
const KeyType type_migrations = {"migrations", "expected a list", false, migrations_read};
