#include "runtime/process/record.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "platform/file.h"

enum { GROUPS_MAX = 65536 };

static const char *const phase_names[SERVICE_PHASE_COUNT] = {
        [SERVICE_STOPPED] = "stopped",
        [SERVICE_STARTING] = "starting",
        [SERVICE_RUNNING] = "running",
        [SERVICE_WAITING] = "waiting",
        [SERVICE_EXITED] = "exited",
};

static const char *const policy_names[] = {
        [RESTART_ON_FAILURE] = "on-failure",
        [RESTART_ALWAYS] = "always",
        [RESTART_NEVER] = "never",
};

/* `otherwise` when text is none of the names. */
static unsigned name_index(
        const char *const *names, size_t n, const char *text, unsigned otherwise) {
        for (unsigned i = 0; i < n; i++)
                if (text && strcmp(names[i], text) == 0)
                        return i;
        return otherwise;
}

/* -- how to start it -------------------------------------------------------------------------- */

static json_t *strv_to_json(char *const *v) {
        json_t *array = json_array();
        for (; v && *v; v++)
                json_array_append_new(array, json_string(*v));
        return array;
}

static Strv strv_from_json(const json_t *array) {
        Strv v = NULL;
        size_t i;
        json_t *item;
        json_array_foreach(array, i, item) {
                if (json_is_string(item))
                        strv_add(&v, json_string_value(item));
        }
        return v;
}

json_t *start_spec_to_json(const StartSpec *spec) {
        json_t *object = json_object(), *groups = json_array();
        for (size_t i = 0; i < spec->n_groups; i++)
                json_array_append_new(groups, json_integer(spec->groups[i]));
        js_set(object, "argv", strv_to_json(spec->argv));
        js_set_str(object, "directory", spec->directory);
        js_set_str(object, "env_file", spec->env_file);
        js_set(object, "environment", strv_to_json(spec->environment));
        js_set_int(object, "port", spec->port);
        js_set_int(object, "uid", spec->uid);
        js_set_int(object, "gid", spec->gid);
        js_set(object, "groups", groups);
        js_set_bool(object, "change_user", spec->change_user);
        js_set_str(object, "restart", policy_names[spec->restart]);
        js_set_str(object, "version", spec->version);
        js_set_str(object, "commit", spec->commit);
        js_set_str(object, "tag", spec->tag);
        js_set_str(object, "previous_version", spec->previous_version);
        return object;
}

static void groups_from_json(const json_t *array, StartSpec *spec) {
        size_t n = json_array_size(array);
        if (n == 0 || n > GROUPS_MAX)
                return;
        spec->groups = NEW_ARRAY(gid_t, n);
        for (size_t i = 0; i < n; i++)
                spec->groups[i] = (gid_t)json_integer_value(json_array_get(array, i));
        spec->n_groups = n;
}

bool start_spec_from_json(const json_t *object, StartSpec *ret, Err *err) {
        scoped(start_spec_done) StartSpec spec = {
                .argv = strv_from_json(js_get(object, "argv")),
                .directory = str_copy(js_str(object, "directory")),
                .env_file = str_copy(js_str(object, "env_file")),
                .environment = strv_from_json(js_get(object, "environment")),
                .change_user = js_bool(object, "change_user", false),
                .version = str_copy(js_str(object, "version")),
                .commit = str_copy(js_str(object, "commit")),
                .tag = str_copy(js_str(object, "tag")),
                .previous_version = str_copy(js_str(object, "previous_version")),
        };
        int64_t uid = js_int(object, "uid", -1), gid = js_int(object, "gid", -1);
        int64_t port = js_int(object, "port", 0);
        if (!spec.argv || !spec.directory || uid < 0 || uid >= UINT32_MAX || gid < 0 ||
                gid >= UINT32_MAX || port < 0 || port > UINT16_MAX)
                return err_fail(
                        err, ERR_CORRUPT, "the record of how to start the service is incomplete");
        spec.uid = (uid_t)uid;
        spec.gid = (gid_t)gid;
        spec.port = (unsigned)port;
        groups_from_json(js_get(object, "groups"), &spec);
        spec.restart = (RestartPolicy)name_index(policy_names, COUNT_OF(policy_names),
                js_str(object, "restart"), RESTART_ON_FAILURE);
        *ret = spec;
        spec = (StartSpec){0};
        return true;
}

void start_spec_done(StartSpec *spec) {
        strv_free(spec->argv);
        strv_free(spec->environment);
        free(spec->directory);
        free(spec->env_file);
        free(spec->groups);
        free(spec->version);
        free(spec->commit);
        free(spec->tag);
        free(spec->previous_version);
        *spec = (StartSpec){0};
}

/* -- the record ------------------------------------------------------------------------------- */

static json_t *guard_to_json(const GuardRecord *guard) {
        json_t *object = json_object();
        js_set_int(object, "run", guard->run);
        js_set(object, "runner", process_to_json(&guard->runner));
        js_set_bool(object, "resume", guard->resume);
        js_set_int(object, "attempts", guard->attempts);
        return object;
}

static json_t *members_to_json(const KeeperRecord *record) {
        json_t *array = json_array();
        for (size_t i = 0; i < record->n_members; i++)
                json_array_append_new(array, process_to_json(&record->members[i]));
        return array;
}

static void members_from_json(const json_t *array, KeeperRecord *ret) {
        ret->adopted = json_is_array(array);
        for (size_t i = 0; i < json_array_size(array) && i < MEMBERS_MAX; i++) {
                ProcessId member;
                if (process_from_json(json_array_get(array, i), &member))
                        PUSH(ret->members, ret->n_members, member);
        }
}

json_t *keeper_record_to_json(const KeeperRecord *record) {
        json_t *object = json_object();
        js_set(object, "keeper", process_to_json(&record->keeper));
        js_set_str(object, "wanted", record->wanted_running ? "running" : "stopped");
        js_set_str(object, "phase", phase_names[record->phase]);
        js_set(object, "main", process_to_json(&record->main));
        js_set_int(object, "restarts", record->restarts);
        if (record->last_exit_known)
                js_set_int(object, "last_exit", record->last_exit);
        js_set_str(object, "last_error", record->last_error);
        js_set_int(object, "started_at_ms", record->started_at_ms);
        if (record->adopted)
                js_set(object, "members", members_to_json(record));
        if (record->spec.argv)
                js_set(object, "spec", start_spec_to_json(&record->spec));
        if (record->guard.run)
                js_set(object, "guard", guard_to_json(&record->guard));
        return object;
}

static void guard_from_json(const json_t *object, GuardRecord *ret) {
        int64_t run = js_int(object, "run", 0);
        if (run <= 0 || run > UINT_MAX ||
                !process_from_json(js_get(object, "runner"), &ret->runner))
                return;
        ret->run = (unsigned)run;
        ret->resume = js_bool(object, "resume", false);
        ret->attempts = (unsigned)js_int(object, "attempts", 0);
}

bool keeper_record_from_json(const json_t *object, KeeperRecord *ret, Err *err) {
        scoped(keeper_record_done) KeeperRecord record = {
                .wanted_running = str_equal(js_str(object, "wanted"), "running"),
                .restarts = (unsigned)js_int(object, "restarts", 0),
                .last_exit_known = json_is_integer(js_get(object, "last_exit")),
                .last_exit = (int)js_int(object, "last_exit", -1),
                .last_error = str_copy(js_str(object, "last_error")),
                .started_at_ms = js_int(object, "started_at_ms", 0),
        };
        record.phase = (ServicePhase)name_index(
                phase_names, SERVICE_PHASE_COUNT, js_str(object, "phase"), SERVICE_STOPPED);
        process_from_json(js_get(object, "keeper"), &record.keeper);
        process_from_json(js_get(object, "main"), &record.main);
        guard_from_json(js_get(object, "guard"), &record.guard);
        members_from_json(js_get(object, "members"), &record);
        const json_t *spec = js_get(object, "spec");
        if (spec && !start_spec_from_json(spec, &record.spec, err))
                return false;
        *ret = record;
        record = (KeeperRecord){0};
        return true;
}

bool keeper_record_load(const State *state, const char *service, KeeperRecord *ret, Err *err) {
        scoped(js_freep) json_t *object = state_load(state, service, KEEPER_RECORD, err);
        if (!object || !keeper_record_from_json(object, ret, err))
                return err_context(err, "reading what the keeper of '%s' recorded", service);
        return true;
}

bool keeper_record_save(
        const State *state, const char *service, const KeeperRecord *record, Err *err) {
        scoped(js_freep) json_t *object = keeper_record_to_json(record);
        return state_save(state, service, KEEPER_RECORD, object, err);
}

void keeper_record_done(KeeperRecord *record) {
        start_spec_done(&record->spec);
        free(record->members);
        free(record->last_error);
        *record = (KeeperRecord){0};
}

char *service_mark(const State *state, const char *service) {
        char hex[65];
        sha256_hex(state->root, strlen(state->root), hex);
        return str_format("%.16s/%s", hex, service);
}
