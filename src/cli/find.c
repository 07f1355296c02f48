/* Which service is meant: an operand, -f, the registry, or the belay.yaml here or above. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/app.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"
#include "platform/file.h"

static bool find_here(char **ret_path, Err *err) {
        scoped(free_str) char *here = getcwd(NULL, 0);
        if (!here)
                return err_fail_errno(err, ERR_IO, errno, "finding the current directory");
        if (manifest_find(here, ret_path, err))
                return true;
        return err_hint(err,
                "Name a service (`belay list` shows the known ones), or a manifest with -f FILE.");
}

/* With -f or a manifest here, an operand must be the name that the manifest says. */
static bool check_name(const char *path, const char *name, Err *err) {
        scoped(service_freep) Service *service = NULL;
        if (!manifest_load(path, &service, err))
                return false;
        if (str_equal(service->name, name))
                return true;
        err_fail(err, ERR_UNKNOWN, "'%s' describes the service '%s', not '%s'", path, service->name,
                name);
        return err_hint(err, "Leave the name out, or correct it.");
}

bool find_manifest(App *app, const char *name, char **ret_path, Err *err) {
        if (name && !service_name_ok(name)) {
                scoped(free_str) char *shown = str_printable(name, false);
                err_fail(err, ERR_USAGE, "'%.80s' cannot be the name of a service", shown);
                return err_hint(
                        err, "A name has lower-case letters, digits and hyphens, at most 63.");
        }
        if (app->file) {
                if (name && !check_name(app->file, name, err))
                        return false;
                *ret_path = str_copy(app->file);
                return true;
        }
        if (!name)
                return find_here(ret_path, err);
        scoped(err_clear) Err unknown = {0};
        if (registry_find(name, ret_path, &unknown))
                return true;
        scoped(free_str) char *here = NULL;
        if (find_here(&here, NULL) && check_name(here, name, NULL)) {
                *ret_path = TAKE(here);
                return true;
        }
        err_move(err, &unknown);
        return false;
}

bool find_service(App *app, const char *name, Service **ret, Err *err) {
        scoped(free_str) char *path = NULL;
        return find_manifest(app, name, &path, err) && manifest_load(path, ret, err);
}

bool find_name(App *app, const char *name, char **ret_name, Err *err) {
        scoped(service_freep) Service *service = NULL;
        if (find_service(app, name, &service, err)) {
                *ret_name = str_copy(service->name);
                return true;
        }
        /* What Belay knows of a service outlives its manifest. */
        if (!name || !service_name_ok(name) || !app_state(app, NULL))
                return false;
        scoped(free_str) char *directory = state_service_dir(&app->state, name);
        if (!file_exists(directory))
                return false;
        if (err)
                err_clear(err);
        *ret_name = str_copy(name);
        return true;
}

bool parse_run(const char *text, unsigned *ret, Err *err) {
        uint64_t number = 0;
        if (!str_to_uint(text[0] == '#' ? text + 1 : text, 1000000000, &number) || number == 0) {
                scoped(free_str) char *shown = str_printable(text, false);
                err_fail(err, ERR_USAGE, "'%.80s' is not the number of a run", shown);
                return err_hint(err, "`belay runs` lists them.");
        }
        *ret = (unsigned)number;
        return true;
}
