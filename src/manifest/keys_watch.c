/* monitor: what is watched for a while after the new version serves. */
#include <string.h>

#include "base/units.h"
#include "manifest/schema.h"
#include "manifest/value.h"

static bool growth_read(Reader *r, const Key *key, const Node *node, void *field) {
        MonitorSpec *monitor =
                (MonitorSpec *)(void *)((char *)field - offsetof(MonitorSpec, growth_percent));
        const char *slash = node->kind == NODE_SCALAR ? strchr(node->text, '/') : NULL;
        scoped(free_str) char *share =
                slash ? str_copy_n(node->text, (size_t)(slash - node->text)) : NULL;
        unsigned percent = 0;
        int64_t ms = 0;
        if (!slash || !percent_parse(share, 10000, &percent) || !duration_parse(slash + 1, &ms) ||
                percent == 0 || ms == 0)
                return finding_add(r->findings,
                        &(Finding){.at = node->at, .expected = key->type->expected},
                        "\"%s\" is no growth", r->path.text);
        monitor->growth_percent = percent;
        monitor->growth_ms = ms;
        return true;
}
static const KeyType type_growth = {
        "growth", "expected a share in a time, such as 10%/10m", true, growth_read};

static const Key memory_keys[] = {
        {.name = "warn",
                .type = &type_percent,
                .most = 100,
                .offset = offsetof(MonitorSpec, memory_warn),
                .otherwise = "80%"},
        {.name = "fail",
                .type = &type_percent,
                .most = 100,
                .offset = offsetof(MonitorSpec, memory_fail),
                .otherwise = "95%"},
        {.name = "growth", .type = &type_growth, .offset = offsetof(MonitorSpec, growth_percent)},
};
static const KeyTable memory_table = KEY_TABLE("a limit of memory", memory_keys);

static const Key cpu_keys[] = {
        {.name = "warn",
                .type = &type_percent,
                .most = 100000,
                .offset = offsetof(MonitorSpec, cpu_warn),
                .otherwise = "80%"},
};
static const KeyTable cpu_table = KEY_TABLE("a limit of processor time", cpu_keys);

static const Key outside_keys[] = {
        {.name = "url",
                .type = &type_text,
                .flags = KEY_REQUIRED | KEY_EXPANDS,
                .problem = url_problem,
                .offset = offsetof(MonitorSpec, outside_url)},
        {.name = "every",
                .type = &type_duration,
                .least = 1000,
                .most = 86400000,
                .offset = offsetof(MonitorSpec, outside_every_ms),
                .otherwise = "5m"},
};
static const KeyTable outside_table = KEY_TABLE("a look from outside", outside_keys);

static const Key logs_keys[] = {
        {.name = "fail", .type = &type_words, .offset = offsetof(MonitorSpec, logs_fail)},
        {.name = "warn", .type = &type_words, .offset = offsetof(MonitorSpec, logs_warn)},
        {.name = "errors_per_minute",
                .type = &type_number,
                .most = 1000000,
                .offset = offsetof(MonitorSpec, errors_per_minute)},
};
static const KeyTable logs_table = KEY_TABLE("what is looked for in logs", logs_keys);

/* "none" switches the usual patterns off; a mapping adds to them. */
static bool logs_read(Reader *r, const Key *key, const Node *node, void *field) {
        MonitorSpec *monitor = field;
        (void)key;
        bool none = node->kind == NODE_SCALAR && strcmp(node->text, "none") == 0;
        monitor->log_defaults = !none;
        if (none || node->at.line == 0) {
                value_explain(r, node, none ? "none" : "the usual patterns");
                return true;
        }
        return map_read(r, &logs_table, node, monitor);
}
static const KeyType type_logs = {"logs", "expected a mapping or none", false, logs_read};

static const Key monitor_keys[] = {
        {.name = "for",
                .type = &type_duration,
                .offset = offsetof(MonitorSpec, for_ms),
                .otherwise = "2m"},
        {.name = "every",
                .type = &type_duration,
                .least = 10,
                .most = 86400000,
                .offset = offsetof(MonitorSpec, every_ms),
                .otherwise = "10s"},
        {.name = "logs", .type = &type_logs, .flags = KEY_DEFAULTS},
        {.name = "memory", .type = &type_map, .inner = &memory_table, .flags = KEY_DEFAULTS},
        {.name = "cpu", .type = &type_map, .inner = &cpu_table, .flags = KEY_DEFAULTS},
        {.name = "outside", .type = &type_map, .inner = &outside_table},
};
const KeyTable monitor_table = KEY_TABLE("what is watched", monitor_keys);
