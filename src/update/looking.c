/* What a check, a migration or the watch is told about the service. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "manifest/value.h"
#include "model/envfile.h"
#include "model/value.h"
#include "platform/file.h"
#include "update/world.h"

enum { SECRET_LEAST = 4, SECRET_LINE_LEAST = 8 };

/* Looks at NAME in "NAME=value". What the manifest lists under configuration.secrets is one by any name. */
bool setting_is_secret(const ConfigSpec *spec, const char *setting) {
        static const char *const words[] = {
                "SECRET", "TOKEN", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL", "DSN", "_URL"};
        scoped(free_str) char *name = str_copy_n(setting, strcspn(setting, "="));
        for (size_t i = 0; i < COUNT_OF(words); i++)
                if (strcasestr(name, words[i]))
                        return true;
        for (size_t i = 0; i < spec->n_secrets; i++)
                if (str_equal(spec->secrets[i].key, name))
                        return true;
        return false;
}

/* Output is looked through line by line: of a key of several lines each is one. */
static void add_secret(Looking *looking, const char *value) {
        scoped(strv_freep) Strv lines = strchr(value, '\n') ? strv_split(value, '\n') : NULL;
        if (strlen(value) >= SECRET_LEAST)
                strv_add(&looking->secrets, value);
        for (size_t i = 0; lines && lines[i]; i++)
                if (strlen(lines[i]) >= SECRET_LINE_LEAST)
                        strv_add(&looking->secrets, lines[i]);
}

/* What a manifest has in clear (with a warning) is no less secret. */
static void add_manifest_secrets(const Service *service, Looking *looking) {
        const ProcessSpec *process = &service->process;
        for (size_t i = 0; i < process->n_environment; i++)
                if (setting_is_secret(&service->configuration, process->environment[i].name))
                        add_secret(looking, process->environment[i].value);
}

static bool read_env(const Service *service, Looking *looking, Err *err) {
        const char *path = service->configuration.env_file;
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!path)
                return true;
        if (!file_read_if(path, LIMIT_ENV_FILE, &text, &bytes, err))
                return false;
        if (!text)
                return true;
        if (!envfile_values(text, &looking->env, err))
                return err_context(err, "reading '%s'", path);
        explicit_bzero(text, bytes);
        for (size_t i = 0; looking->env && looking->env[i]; i++) {
                const char *value = strchr(looking->env[i], '=');
                if (value && setting_is_secret(&service->configuration, looking->env[i]))
                        add_secret(looking, value + 1);
        }
        return true;
}

/* In the manifest in clear, which validate warns of: no reason to show them elsewhere, too. */
static void add_process_secrets(const Service *service, Looking *looking) {
        const ProcessSpec *process = &service->process;
        for (size_t i = 0; i < process->n_environment; i++) {
                const Pair *pair = &process->environment[i];
                if (strlen(pair->value) >= 4 && name_is_secret(pair->name))
                        strv_add(&looking->secrets, pair->value);
        }
}

static void add_header_secrets(const Service *service, Looking *looking) {
        for (size_t i = 0; i < service->n_checks; i++)
                for (size_t k = 0; k < service->checks[i].n_headers; k++) {
                        scoped(value_freep) char *text = NULL;
                        const Value *value = &service->checks[i].headers[k].value;
                        if (value_resolve(value, looking->env, &text, NULL) && strlen(text) >= 8)
                                strv_add(&looking->secrets, text);
                }
}

static Expansion expansion_of(const World *world, const Release *release, const char *port) {
        return (Expansion){
                .version = release->version,
                .tag = release->tag,
                .commit = release->reference,
                .previous_version = release == &world->to ? world->from.version : NULL,
                .service = world->service->name,
                .port = port,
        };
}

bool looking_open(const World *world, const Release *release, Looking *ret, Err *err) {
        const Service *service = world->service;
        Looking *looking = ret;
        *looking = (Looking){0};
        if (!read_env(service, looking, err) ||
                !world->source->runs_in(&world->source_at, &looking->directory, err) ||
                !world->runtime->describe(&world->runtime_at, &looking->user, err)) {
                looking_done(looking);
                return false;
        }
        add_manifest_secrets(service, looking);
        looking->service = *service;
        looking->service.directory = looking->directory;
        add_process_secrets(service, looking);
        add_header_secrets(service, looking);
        if (service->process.port)
                snprintf(looking->port, sizeof(looking->port), "%u", service->process.port);
        looking->log_path = world->runtime->log_path(&world->runtime_at);
        looking->log_file.path = looking->log_path;
        looking->log = log_file_reader(&looking->log_file);
        looking->as_user = looking->user.uid != geteuid();
        looking->check = (CheckContext){
                .service = &looking->service,
                .values = expansion_of(world, release, looking->port),
                .env = looking->env,
                .log = &looking->log,
                .uid = looking->user.uid,
                .gid = looking->user.gid,
                .as_user = looking->as_user,
                .mark = world->mark,
                .secrets = looking->secrets,
                .cancel = world->cancel,
        };
        return true;
}

static void wipe(Strv secrets) {
        for (size_t i = 0; secrets && secrets[i]; i++)
                explicit_bzero(secrets[i], strlen(secrets[i]));
        strv_free(secrets);
}

void looking_done(Looking *looking) {
        check_context_done(&looking->check);
        wipe(looking->env);
        wipe(looking->secrets);
        free(looking->log_path);
        free(looking->directory);
        runtime_description_done(&looking->user);
        *looking = (Looking){0};
}

MigrateContext looking_migrate(const World *world, const Looking *looking) {
        return (MigrateContext){
                .service = &looking->service,
                .state = world->state,
                .env = looking->env,
                .uid = looking->user.uid,
                .gid = looking->user.gid,
                .as_user = looking->as_user,
                .run = world->run,
                .mark = world->mark,
                .secrets = looking->secrets,
                .cancel = world->cancel,
        };
}

Child looking_child(
        const World *world, const Looking *looking, char *const *words, char *const *environment) {
        return (Child){.argv = words,
                .directory = looking->directory,
                .environment = environment,
                .uid = looking->user.uid,
                .gid = looking->user.gid,
                .as_user = looking->as_user,
                .mark = world->mark,
                .cancel = world->cancel};
}

bool looking_words(char *const *command, const Expansion *values, Strv *ret, Err *err) {
        for (size_t i = 0; command[i]; i++) {
                char *word = expand(command[i], values, err);
                if (!word)
                        return false;
                strv_push(ret, word);
        }
        return true;
}

typedef struct Alive {
        const World *world;
        ProcessId main;
        unsigned restarts;
} Alive;

static bool still_runs(void *context, char **ret_why) {
        const Alive *alive = context;
        /* The cheap question first: it is asked before every check. */
        if (process_alive(&alive->main))
                return true;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!alive->world->runtime->inspect(&alive->world->runtime_at, &now, NULL))
                return true;
        if (now.last_exit_known && now.last_exit >= 128)
                *ret_why = str_format("the process was ended by signal %d", now.last_exit - 128);
        else if (now.last_exit_known)
                *ret_why = str_format("the process exited with status %d", now.last_exit);
        else
                *ret_why = str_copy("the process is gone");
        return false;
}

static void show_checks(void *context, size_t passed, size_t total, const char *text) {
        const World *world = context;
        if (!world->events)
                return;
        json_t *fields = json_object();
        js_set_str(fields, "text", text);
        js_set_int(fields, "done", (int64_t)passed);
        js_set_int(fields, "total", (int64_t)total);
        events_add(world->events, "progress", fields);
}

/* Borrowed copies of those checks whose titles are in `only`; log checks ask about a start. */
static size_t choose(const Service *service, bool now, char *const *only, CheckSpec *ret) {
        size_t n = 0;
        for (size_t i = 0; i < service->n_checks; i++) {
                const CheckSpec *check = &service->checks[i];
                if ((now && check->kind == CHECK_LOG) ||
                        (only && !strv_contains(only, check->title)))
                        continue;
                ret[n++] = *check;
        }
        return n;
}

bool world_ask_checks(const World *world, const Ask *ask, ChecksOutcome *ret, Err *err) {
        scoped(looking_done) Looking looking = {0};
        scoped(runtime_status_done) RuntimeStatus status = {0};
        if (!looking_open(world, ask->release, &looking, err) ||
                !world->runtime->inspect(&world->runtime_at, &status, err))
                return false;
        if (ask->log_from)
                looking.check.log_from = *ask->log_from;
        const Service *service = world->service;
        scoped(free_mem) CheckSpec *checks = NEW_ARRAY(CheckSpec, service->n_checks);
        Alive alive = {.world = world,
                .main = ask->main ? *ask->main : status.main,
                .restarts = status.restarts};
        ChecksWait wait = {
                .checks = checks,
                .n_checks = choose(service, ask->now, ask->only, checks),
                .context = &looking.check,
                .timeout_ms = service->start_timeout_ms,
                .now = ask->now,
                .alive = still_runs,
                .alive_context = &alive,
                .progress = show_checks,
        };
        memcpy(&wait.progress_context, &world, sizeof(world));
        return checks_wait(&wait, ret, err);
}
