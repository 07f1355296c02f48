/* configuration and backup: what belongs to the service besides its code. */
#include "manifest/contents.h"
#include "manifest/schema.h"
#include "manifest/value.h"

/* ---- configuration ---- */

static const Choice secret_forms[] = {
        {"hex", SECRET_HEX, NULL},
        {"base64", SECRET_BASE64, NULL},
        {NULL, 0, NULL},
};

static const Key secret_keys[] = {
        {.name = "bytes",
                .type = &type_number,
                .least = 16,
                .most = 1024,
                .offset = offsetof(SecretSpec, bytes),
                .otherwise = "32"},
        {.name = "as",
                .type = &type_word,
                .choices = secret_forms,
                .offset = offsetof(SecretSpec, as),
                .otherwise = "hex"},
};
static const KeyTable secret_table = KEY_TABLE("a secret", secret_keys);

static bool secret_key_read(Reader *r, const Node *name, const Node *value, SecretSpec *ret) {
        const char *problem = env_name_problem(name->text);
        if (problem)
                return finding_add(
                        r->findings, &(Finding){.at = name->at}, "\"%s\" %s", name->text, problem);
        return map_read(r, &secret_table, value, ret);
}

static bool secrets_read(Reader *r, const Key *key, const Node *node, void *field) {
        ConfigSpec *config = (ConfigSpec *)(void *)((char *)field - offsetof(ConfigSpec, secrets));
        if (node->kind != NODE_MAP)
                return finding_add(r->findings,
                        &(Finding){.at = node->at, .expected = key->type->expected}, "\"%s\" is %s",
                        r->path.text, node_kind_text(node));
        bool good = true;
        for (size_t i = 0; i < node->n; i++) {
                SecretSpec secret = {0};
                size_t where = path_enter(r, node->keys[i]->text);
                bool read = secret_key_read(r, node->keys[i], node->items[i], &secret);
                path_leave(r, where);
                good = read && good;
                secret.key = str_copy(node->keys[i]->text);
                PUSH(config->secrets, config->n_secrets, secret);
        }
        return good;
}
static const KeyType type_secrets = {"secrets",
        "expected a mapping such as { KEY: { bytes: 32, as: hex } }", false, secrets_read};

static const Key configuration_keys[] = {
        {.name = "env_file",
                .type = &type_text,
                .flags = KEY_ABSOLUTE,
                .problem = path_problem,
                .offset = offsetof(ConfigSpec, env_file)},
        {.name = "set",
                .type = &type_pairs,
                .flags = KEY_EXPANDS | KEY_SECRETS,
                .problem = env_name_problem,
                .offset = offsetof(ConfigSpec, set),
                .count_offset = offsetof(ConfigSpec, n_set)},
        {.name = "secrets", .type = &type_secrets, .offset = offsetof(ConfigSpec, secrets)},
        LACKS("images", "configuration 'images'"),
};
const KeyTable configuration_table = KEY_TABLE("a configuration", configuration_keys);

/* ---- backup ---- */

typedef struct ContentItem {
        char *path, *sqlite;
} ContentItem;

static const Key content_keys[] = {
        {.name = "path",
                .type = &type_text,
                .flags = KEY_ONE_OF | KEY_ABSOLUTE,
                .problem = path_problem,
                .offset = offsetof(ContentItem, path)},
        {.name = "sqlite",
                .type = &type_text,
                .flags = KEY_ONE_OF | KEY_ABSOLUTE,
                .problem = path_problem,
                .offset = offsetof(ContentItem, sqlite)},
        LACKS("volume", "content 'volume'"),
        LACKS("postgres", "content 'postgres'"),
        LACKS("mysql", "content 'mysql'"),
};
static const KeyTable content_table = KEY_TABLE("a content", content_keys);

static bool content_read(Reader *r, const Node *item) {
        ContentItem read = {0};
        bool good = map_read(r, &content_table, item, &read);
        scoped(free_str) char *path = read.path;
        scoped(free_str) char *sqlite = read.sqlite;
        if (!good)
                return false;
        content_add(r->service, path ? CONTENT_PATH : CONTENT_SQLITE, path ? path : sqlite, false);
        return true;
}

static bool contents_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        (void)field;
        r->service->backup.contents_given = true;
        return items_read(r, node, content_read);
}
static const KeyType type_contents = {
        "contents", "expected a list ([] for none)", false, contents_read};

static const Key store_keys[] = {
        {.name = "local",
                .type = &type_text,
                .flags = KEY_ONE_OF | KEY_ABSOLUTE,
                .problem = path_problem,
                .offset = 0},
        LACKS("s3", "store 's3'"),
        LACKS("restic", "store 'restic'"),
};
static const KeyTable store_table = KEY_TABLE("a store", store_keys);

static bool store_read(Reader *r, const Node *item) {
        char *local = NULL;
        bool good = map_read(r, &store_table, item, &local);
        if (good)
                strv_push(&r->service->backup.local_stores, local);
        else
                free(local);
        return good;
}

static bool stores_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        (void)field;
        if (node->kind == NODE_LIST && node->n == 0)
                return finding_add(r->findings,
                        &(Finding){
                                .at = node->at, .hint = "Leave the key out for the default store."},
                        "\"backup.stores\" is an empty list: backups would be nowhere");
        return items_read(r, node, store_read);
}
static const KeyType type_stores = {"stores", "expected a list of stores", false, stores_read};

static const Key keep_keys[] = {
        {.name = "last",
                .type = &type_number,
                .least = 1,
                .most = 10000,
                .offset = offsetof(BackupSpec, keep_last)},
        {.name = "days",
                .type = &type_number,
                .least = 1,
                .most = 36500,
                .offset = offsetof(BackupSpec, keep_days)},
        LACKS("hourly", "'keep.hourly'"),
        LACKS("daily", "'keep.daily'"),
        LACKS("weekly", "'keep.weekly'"),
        LACKS("monthly", "'keep.monthly'"),
        LACKS("yearly", "'keep.yearly'"),
};
static const KeyTable keep_table = KEY_TABLE("a rule for keeping backups", keep_keys);

/* A rule that is written is the whole rule: what it does not name does not count. */
static bool keep_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        if (node->kind == NODE_MAP && node->n == 0)
                return finding_add(r->findings,
                        &(Finding){.at = node->at, .expected = "expected one of: last, days"},
                        "\"backup.keep\" is empty: nothing would be kept");
        return map_read(r, &keep_table, node, field);
}
static const KeyType type_keep = {
        "keep", "expected a mapping such as { last: 5, days: 7 }", false, keep_read};

static const Key backup_keys[] = {
        {.name = "contents", .type = &type_contents},
        {.name = "stores", .type = &type_stores},
        {.name = "keep", .type = &type_keep, .offset = offsetof(Service, backup)},
        LACKS("schedule", "'backup.schedule'"),
};
const KeyTable backup_table = KEY_TABLE("what is known of backups", backup_keys);
