#include "update/known.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"

static const char *const INSTALLED_FILE = "installed.json";
static const char *const BAD_FILE = "bad.json";
static const char *const LOCK_FILE = "lock.json";

json_t *release_to_json(const Release *release) {
        json_t *object = json_object();
        js_set_str(object, "tag", release->tag);
        js_set_str(object, "version", release->version);
        js_set_str(object, "reference", release->reference);
        return object;
}

void release_from_json(const json_t *object, Release *ret) {
        *ret = (Release){
                .tag = str_copy(js_str(object, "tag")),
                .version = str_copy(js_str(object, "version")),
                .reference = str_copy(js_str(object, "reference")),
        };
}

bool installed_load(const State *state, const char *service, Installed *ret, Err *err) {
        scoped(js_freep) json_t *file = state_load(state, service, INSTALLED_FILE, err);
        if (!file)
                return false;
        json_t *current = js_get(file, "current"), *previous = js_get(file, "previous");
        *ret = (Installed){
                .previous_backup = str_copy(js_str(previous, "backup")),
                .run = (unsigned)js_int(current, "run", 0),
                .since_ms = js_int(current, "since", 0),
        };
        release_from_json(current, &ret->current);
        release_from_json(previous, &ret->previous);
        return true;
}

bool installed_save(const State *state, const char *service, const Installed *installed, Err *err) {
        scoped(js_freep) json_t *file = json_object();
        json_t *current = release_to_json(&installed->current);
        json_t *previous = release_to_json(&installed->previous);
        js_set_int(current, "run", installed->run);
        js_set_int(current, "since", clock_wall_ms());
        js_set_str(previous, "backup", installed->previous_backup);
        js_set(file, "current", current);
        js_set(file, "previous", previous);
        return state_save(state, service, INSTALLED_FILE, file, err);
}

void installed_done(Installed *installed) {
        release_done(&installed->current);
        release_done(&installed->previous);
        free(installed->previous_backup);
        *installed = (Installed){0};
}

bool bad_mark(const State *state, const char *service, const Release *release, unsigned run,
        const char *why, Err *err) {
        scoped(js_freep) json_t *file = state_load(state, service, BAD_FILE, err);
        if (!file)
                return false;
        json_t *entry = release_to_json(release);
        js_set_int(entry, "run", run);
        js_set_int(entry, "at", clock_wall_ms());
        js_set_str(entry, "why", why);
        js_set(file, release->reference, entry);
        return state_save(state, service, BAD_FILE, file, err);
}

bool bad_find(
        const State *state, const char *service, const char *reference, char **ret_why, Err *err) {
        scoped(js_freep) json_t *file = state_load(state, service, BAD_FILE, err);
        if (!file)
                return false;
        json_t *entry = js_get(file, reference);
        *ret_why = NULL;
        if (!entry)
                return true;
        const char *why = js_str(entry, "why");
        *ret_why = str_format("rolled back in run #%lld%s%s", (long long)js_int(entry, "run", 0),
                why ? ": " : "", why ? why : "");
        return true;
}

bool bad_forget(const State *state, const char *service, const char *reference, Err *err) {
        scoped(js_freep) json_t *file = state_load(state, service, BAD_FILE, err);
        if (!file)
                return false;
        if (!js_get(file, reference))
                return true;
        json_object_del(file, reference);
        return state_save(state, service, BAD_FILE, file, err);
}

bool person_lock_set(
        const State *state, const char *service, const char *reason, int64_t until_ms, Err *err) {
        scoped(js_freep) json_t *file = json_object();
        const struct passwd *who = getpwuid(getuid());
        js_set_str(file, "reason", reason);
        js_set_str(file, "user", who ? who->pw_name : NULL);
        js_set_int(file, "since", clock_wall_ms());
        if (until_ms)
                js_set_int(file, "until", until_ms);
        return state_save(state, service, LOCK_FILE, file, err);
}

bool person_lock_clear(const State *state, const char *service, bool *ret_was, Err *err) {
        scoped(person_lock_done) PersonLock lock = {0};
        if (!person_lock_get(state, service, &lock, ret_was, err))
                return false;
        scoped(js_freep) json_t *nothing = json_object();
        return !*ret_was || state_save(state, service, LOCK_FILE, nothing, err);
}

bool person_lock_get(
        const State *state, const char *service, PersonLock *ret, bool *ret_held, Err *err) {
        scoped(js_freep) json_t *file = state_load(state, service, LOCK_FILE, err);
        if (!file)
                return false;
        int64_t until = js_int(file, "until", 0);
        *ret_held = js_str(file, "reason") && (until == 0 || clock_wall_ms() < until);
        if (!*ret_held)
                return true;
        *ret = (PersonLock){
                .reason = str_copy(js_str(file, "reason")),
                .user = str_copy(js_str(file, "user")),
                .since_ms = js_int(file, "since", 0),
                .until_ms = until,
        };
        return true;
}

void person_lock_done(PersonLock *lock) {
        free(lock->reason);
        free(lock->user);
        *lock = (PersonLock){0};
}
