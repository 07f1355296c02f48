#include "update/boot.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/js.h"
#include "base/own.h"
#include "model/service.h"
#include "platform/clock.h"
#include "platform/file.h"

static const char *const ENABLED_FILE = "enabled.json";
static const char *const NOTE_FILE = "boot.json";
static const char *const SYSTEM_STATE = "/var/lib/belay";

/* -- enabled ---------------------------------------------------------------------------------- */

bool boot_is_enabled(const State *state, const char *service) {
        scoped(free_str) char *path = state_service_file(state, service, ENABLED_FILE);
        return file_exists(path);
}

char *boot_manifest(const State *state, const char *service) {
        scoped(js_freep) json_t *object = state_load(state, service, ENABLED_FILE, NULL);
        const char *manifest = object ? js_str(object, "manifest") : NULL;
        return manifest ? str_copy(manifest) : NULL;
}

bool boot_enable(const State *state, const char *service, const char *manifest, bool *ret_changed,
        Err *err) {
        scoped(free_str) char *known = boot_manifest(state, service);
        *ret_changed = !str_equal(known, manifest);
        if (!*ret_changed)
                return true;
        scoped(js_freep) json_t *object = json_object();
        js_set_str(object, "manifest", manifest);
        js_set_int(object, "since", clock_wall_ms());
        return state_save(state, service, ENABLED_FILE, object, err);
}

bool boot_disable(const State *state, const char *service, bool *ret_changed, Err *err) {
        scoped(free_str) char *path = state_service_file(state, service, ENABLED_FILE);
        *ret_changed = file_exists(path);
        return !*ret_changed || file_unlink(path, err);
}

static int by_name(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

bool boot_services(const State *state, bool only_enabled, Strv *ret, Err *err) {
        scoped(free_str) char *path = path_join(state->root, "services");
        scoped(close_dir) DIR *dir = opendir(path);
        scoped(strv_freep) Strv names = NULL;
        if (!dir && errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", path);
        while (dir) {
                errno = 0;
                const struct dirent *entry = readdir(dir);
                if (!entry && errno)
                        return err_fail_errno(err, ERR_IO, errno, "listing '%s'", path);
                if (!entry)
                        break;
                if (service_name_ok(entry->d_name) &&
                        (!only_enabled || boot_is_enabled(state, entry->d_name)))
                        strv_add(&names, entry->d_name);
        }
        if (names)
                qsort(names, strv_count(names), sizeof(*names), by_name);
        *ret = TAKE(names);
        return true;
}

/* -- what a boot did -------------------------------------------------------------------------- */

bool boot_note(const State *state, const char *service, const char *did, bool failed, Err *err) {
        scoped(js_freep) json_t *object = json_object();
        js_set_str(object, "boot_id", clock_boot_id());
        js_set_int(object, "at", clock_wall_ms());
        js_set_str(object, "did", did);
        js_set_bool(object, "failed", failed);
        return state_save(state, service, NOTE_FILE, object, err);
}

void boot_note_read(const State *state, const char *service, BootNote *ret) {
        scoped(js_freep) json_t *object = state_load(state, service, NOTE_FILE, NULL);
        *ret = (BootNote){0};
        if (!object || !str_equal(js_str(object, "boot_id"), clock_boot_id()))
                return;
        const char *did = js_str(object, "did");
        *ret = (BootNote){.did = did ? str_copy(did) : NULL,
                .failed = js_bool(object, "failed", false),
                .at_ms = js_int(object, "at", 0)};
}

void boot_note_done(BootNote *note) {
        free(note->did);
        *note = (BootNote){0};
}

/* -- is there anything that does it? ---------------------------------------------------------- */

static char *wants_link(void) {
        static const char unit[] = "belay-boot.service";
        if (geteuid() == 0)
                return str_format("/etc/systemd/system/multi-user.target.wants/%s", unit);
        const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
        if (config && config[0] == '/')
                return str_format("%s/systemd/user/default.target.wants/%s", config, unit);
        return str_format(
                "%s/.config/systemd/user/default.target.wants/%s", home ? home : "", unit);
}

/* A user's own services are started when that user's systemd is: at boot only when it lingers. */
static bool lingers(void) {
        const char *user = getenv("USER");
        scoped(free_str) char *path = str_format("/var/lib/systemd/linger/%s", user ? user : "");
        return geteuid() == 0 || !user || strchr(user, '/') || file_exists(path);
}

char *boot_missing(const State *state) {
        const char *other = getenv("BELAY_STATE");
        scoped(free_str) char *link = wants_link();
        if (geteuid() == 0 && !str_equal(state->root, SYSTEM_STATE))
                return str_format("belay-boot.service looks into '%s', and this state directory is "
                                  "'%s': `systemctl edit belay-boot.service`, and there "
                                  "Environment=BELAY_STATE=%s",
                        SYSTEM_STATE, state->root, state->root);
        if (!file_exists("/run/systemd/system"))
                return str_format("no systemd runs here: have `%sbelay --yes boot` run at boot, as "
                                  "with @reboot in `crontab -e`",
                        other && other[0] ? "BELAY_STATE=… " : "");
        if (!file_exists(link))
                return str_format("nothing starts it at boot before you type: systemctl%s enable "
                                  "--now belay-boot.service",
                        geteuid() == 0 ? "" : " --user");
        if (!lingers())
                return str_format("it is started when you log in; at boot after: loginctl "
                                  "enable-linger");
        return NULL;
}
