/* The keys of the manifest's first level. */
#include "manifest/schema.h"
#include "manifest/value.h"

#define ABSENT(key_name)                                                                           \
        { .name = (key_name), .lacks = "'" key_name "'" }

static const Choice channels[] = {
        {"exact", CHANNEL_EXACT, NULL},
        {"latest", CHANNEL_LATEST, NULL},
        {"minor", CHANNEL_MINOR, NULL},
        {"patch", CHANNEL_PATCH, NULL},
        {NULL, 0, NULL},
};

static const Choice strategies[] = {
        {"restart", 0, NULL},
        {"rolling", 0, "strategy 'rolling'"},
        {"blue-green", 0, "strategy 'blue-green'"},
        {"hold", 0, "strategy 'hold'"},
        {NULL, 0, NULL},
};

static const Choice rollback_data[] = {
        {"auto", ROLLBACK_AUTO, NULL},
        {"always", ROLLBACK_ALWAYS, NULL},
        {"never", ROLLBACK_NEVER, NULL},
        {"ask", ROLLBACK_ASK, NULL},
        {NULL, 0, NULL},
};

static const Choice rehearsals[] = {
        {"auto", REHEARSE_AUTO, NULL},
        {"never", REHEARSE_NEVER, NULL},
        {"always", REHEARSE_ALWAYS, NULL},
        {NULL, 0, NULL},
};

static const Key start_keys[] = {
        {.name = "timeout",
                .type = &type_duration,
                .offset = offsetof(Service, start_timeout_ms),
                .least = 1,
                .most = 86400000,
                .otherwise = "60s"},
        LACKS("order", "'start.order': runtime 'process' has one component"),
};
static const KeyTable start_table = KEY_TABLE("what is known of the start", start_keys);

static const Key stop_keys[] = {
        {.name = "timeout",
                .type = &type_duration,
                .offset = offsetof(Service, stop_timeout_ms),
                .least = 1,
                .most = 86400000,
                .otherwise = "30s"},
        LACKS("first", "'stop.first': runtime 'process' has one component"),
};
static const KeyTable stop_table = KEY_TABLE("what is known of the stop", stop_keys);

static const Key rollback_keys[] = {
        {.name = "automatic",
                .type = &type_flag,
                .offset = offsetof(Service, rollback_automatic),
                .otherwise = "true"},
        {.name = "data",
                .type = &type_word,
                .choices = rollback_data,
                .offset = offsetof(Service, rollback_data),
                .otherwise = "auto"},
};
static const KeyTable rollback_table = KEY_TABLE("the rule for rollback", rollback_keys);

static const Key traffic_keys[] = {
        LACKS("haproxy", "traffic 'haproxy'"),
        LACKS("nginx", "traffic 'nginx'"),
        LACKS("caddy", "traffic 'caddy'"),
        LACKS("drain", "'traffic.drain'"),
};
static const KeyTable traffic_table = KEY_TABLE("traffic", traffic_keys);

/* The number itself was looked at before anything else (manifest.c). */
static bool version_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)r;
        (void)key;
        (void)node;
        (void)field;
        return true;
}
static const KeyType type_version = {"version", "expected 1", true, version_read};

static const Key manifest_keys[] = {
        {.name = "version", .type = &type_version, .flags = KEY_REQUIRED},
        {.name = "service",
                .type = &type_text,
                .flags = KEY_REQUIRED,
                .offset = offsetof(Service, name),
                .problem = service_problem},
        {.name = "runtime", .type = &type_map, .inner = &runtime_table, .flags = KEY_REQUIRED},
        {.name = "source", .type = &type_source, .flags = KEY_REQUIRED},
        {.name = "releases",
                .type = &type_map,
                .inner = &releases_table,
                .offset = offsetof(Service, releases)},
        {.name = "channel",
                .type = &type_word,
                .choices = channels,
                .offset = offsetof(Service, channel),
                .otherwise = "latest"},
        {.name = "cooldown", .type = &type_duration, .offset = offsetof(Service, cooldown_ms)},
        ABSENT("automatic"),
        {.name = "requires", .type = &type_map, .inner = &requires_table},
        {.name = "installed",
                .type = &type_map,
                .inner = &installed_table,
                .offset = offsetof(Service, installed)},
        {.name = "configuration",
                .type = &type_map,
                .inner = &configuration_table,
                .offset = offsetof(Service, configuration)},
        {.name = "backup", .type = &type_map, .inner = &backup_table},
        {.name = "migrations", .type = &type_migrations},
        {.name = "strategy",
                .type = &type_word,
                .choices = strategies,
                .flags = KEY_NOWHERE,
                .otherwise = "restart"},
        {.name = "start", .type = &type_map, .inner = &start_table, .flags = KEY_DEFAULTS},
        {.name = "stop", .type = &type_map, .inner = &stop_table, .flags = KEY_DEFAULTS},
        {.name = "traffic", .lacks = "'traffic'", .inner = &traffic_table},
        {.name = "checks", .type = &type_checks},
        {.name = "monitor",
                .type = &type_map,
                .inner = &monitor_table,
                .offset = offsetof(Service, monitor),
                .flags = KEY_DEFAULTS},
        {.name = "rollback", .type = &type_map, .inner = &rollback_table, .flags = KEY_DEFAULTS},
        {.name = "rehearse",
                .type = &type_word,
                .choices = rehearsals,
                .offset = offsetof(Service, rehearse),
                .otherwise = "auto"},
        {.name = "busy",
                .type = &type_map,
                .inner = &busy_table,
                .offset = offsetof(Service, busy)},
        {.name = "hooks",
                .type = &type_map,
                .inner = &hooks_table,
                .offset = offsetof(Service, hooks)},
        {.name = "windows", .type = &type_windows},
        {.name = "freeze", .type = &type_freezes},
        ABSENT("maintain"),
        ABSENT("after"),
        ABSENT("notify"),
        LACKS("fleet", "fleets: this file is to describe one service"),
};
const KeyTable manifest_table = KEY_TABLE("a manifest", manifest_keys);
