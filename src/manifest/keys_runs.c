/* runtime, source, installed: how the service runs, where its versions come from, which one it is. */
#include "manifest/schema.h"
#include "manifest/value.h"

static const Choice restarts[] = {
        {"on-failure", RESTART_ON_FAILURE, NULL},
        {"always", RESTART_ALWAYS, NULL},
        {"never", RESTART_NEVER, NULL},
        {NULL, 0, NULL},
};

static const Key process_keys[] = {
        {.name = "command",
                .type = &type_words,
                .flags = KEY_REQUIRED | KEY_EXPANDS,
                .least = 1,
                .offset = offsetof(ProcessSpec, command),
                .problem = program_problem},
        {.name = "directory",
                .type = &type_text,
                .flags = KEY_ABSOLUTE,
                .offset = offsetof(ProcessSpec, directory),
                .problem = path_problem},
        {.name = "port",
                .type = &type_number,
                .least = 1,
                .most = 65535,
                .offset = offsetof(ProcessSpec, port)},
        {.name = "user",
                .type = &type_text,
                .offset = offsetof(ProcessSpec, user),
                .problem = user_problem},
        {.name = "environment",
                .type = &type_pairs,
                .flags = KEY_EXPANDS | KEY_SECRETS,
                .offset = offsetof(ProcessSpec, environment),
                .count_offset = offsetof(ProcessSpec, n_environment),
                .problem = env_name_problem},
        {.name = "restart",
                .type = &type_word,
                .choices = restarts,
                .offset = offsetof(ProcessSpec, restart),
                .otherwise = "on-failure"},
};
static const KeyTable process_table = KEY_TABLE("a process", process_keys);

static const Key runtime_keys[] = {
        {.name = "process",
                .type = &type_map,
                .inner = &process_table,
                .flags = KEY_ONE_OF,
                .offset = offsetof(Service, process)},
        LACKS("compose", "runtime 'compose'"),
        LACKS("docker", "runtime 'docker'"),
        LACKS("systemd", "runtime 'systemd'"),
        LACKS("make", "runtime 'make'"),
        LACKS("swarm", "runtime 'swarm'"),
};
const KeyTable runtime_table = KEY_TABLE("a runtime", runtime_keys);

static const Key source_keys[] = {
        {.name = "git",
                .type = &type_map,
                .inner = &git_table,
                .flags = KEY_ONE_OF,
                .offset = offsetof(Service, git)},
        LACKS("image", "source 'image'"),
};
const KeyTable source_table = KEY_TABLE("a source", source_keys);

/* A list of sources is for components that come from different places; a process is one component. */
static bool source_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        if (node->kind == NODE_LIST)
                return key_lacks(r, node, "list of sources: runtime 'process' has one component");
        return map_read(r, &source_table, node, field);
}
const KeyType type_source = {"source", "expected one of: git", false, source_read};

static const Key installed_keys[] = {
        {.name = "http",
                .type = &type_text,
                .flags = KEY_ONE_OF | KEY_EXPANDS,
                .problem = url_problem,
                .offset = offsetof(InstalledSpec, http)},
        {.name = "json",
                .type = &type_text,
                .problem = json_path_problem,
                .offset = offsetof(InstalledSpec, json)},
        {.name = "command",
                .type = &type_words,
                .flags = KEY_ONE_OF | KEY_EXPANDS,
                .least = 1,
                .offset = offsetof(InstalledSpec, command),
                .problem = program_problem},
        {.name = "file",
                .type = &type_text,
                .flags = KEY_ONE_OF | KEY_ABSOLUTE,
                .problem = path_problem,
                .offset = offsetof(InstalledSpec, file)},
        LACKS("exec", "installed 'exec'"),
        LACKS("components", "installed 'components'"),
};
const KeyTable installed_table =
        KEY_TABLE("the way to ask for the installed version", installed_keys);
