/* validate, add, remove, list. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/table.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"
#include "update/boot.h"
#include "update/runs.h"

static bool path_of(App *app, char **ret, Err *err) {
        if (app->n_args) {
                *ret = str_copy(app->args[0]);
                return true;
        }
        return find_manifest(app, NULL, ret, err);
}

static int print_schema(void) {
        scoped(js_freep) json_t *schema = manifest_schema();
        scoped(free_str) char *text = js_pretty(schema);
        puts(text);
        return 0;
}

int verb_validate(App *app) {
        if (app->opt[OPT_SCHEMA])
                return app->n_args ? app_usage(app, "'belay validate --schema' takes no file")
                                   : print_schema();
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *path = NULL;
        scoped(service_freep) Service *service = NULL;
        if (!path_of(app, &path, &err) || !manifest_load(path, &service, &err))
                return app_fail(app, &err);
        json_t *object = json_object(), *warnings = json_array();
        js_set_str(object, "service", service->name);
        js_set_bool(object, "valid", true);
        for (size_t i = 0; service->warnings && service->warnings[i]; i++) {
                json_array_append_new(warnings, json_string(service->warnings[i]));
                fprintf(stderr, "belay: warning: %s\n", service->warnings[i]);
        }
        js_set(object, "warnings", warnings);
        app_print_json(app, object);
        if (!app->json)
                printf("%s: valid, service '%s'\n", path, service->name);
        return 0;
}

int verb_add(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *path = NULL;
        scoped(service_freep) Service *service = NULL;
        bool changed = false;
        if (!path_of(app, &path, &err) || !manifest_load(path, &service, &err) ||
                !registry_add(service->name, path, &changed, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_str(object, "service", service->name);
        js_set_str(object, "manifest", service->manifest_path);
        js_set_bool(object, "changed", changed);
        app_print_json(app, object);
        if (!app->json)
                printf("%s is %s. Start it: belay start %s\n", service->name,
                        changed ? "known now" : "known already", service->name);
        return 0;
}

/* First what a boot would act on: a service that nobody knows any more is not to be started by it. */
static bool forget(App *app, const char *name, bool *ret_was_enabled, Err *err) {
        scoped(free_str) char *path = NULL;
        bool ignored = false;
        if (!registry_find(name, &path, err) ||
                !boot_disable(&app->state, name, ret_was_enabled, err))
                return false;
        if (registry_remove(name, err))
                return true;
        if (*ret_was_enabled)
                (void)boot_enable(&app->state, name, path, &ignored, NULL);
        return false;
}

int verb_remove(App *app) {
        scoped(err_clear) Err err = {0};
        const char *name = app->args[0];
        bool was_enabled = false;
        if (!service_name_ok(name))
                return app_usage(app, "'%.80s' cannot be the name of a service", name);
        if (!app_state(app, &err) || !run_refuse_open(&app->state, name, false, &err) ||
                !forget(app, name, &was_enabled, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_str(object, "removed", name);
        js_set_bool(object, "was_enabled", was_enabled);
        app_print_json(app, object);
        if (!app->json)
                printf("%s is no longer known%s. Its manifest, backups and reports stay; it is "
                       "neither stopped nor started.\n",
                        name, was_enabled ? ", nor started at boot" : "");
        return 0;
}

int verb_list(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(registry_done) Registry registry = {0};
        if (!registry_list(&registry, &err))
                return app_fail(app, &err);
        json_t *array = json_array();
        scoped(table_done) Table table = {.columns = 3};
        bool knows_state = app_state(app, NULL);
        table_add(&table, "SERVICE");
        table_add(&table, "AT BOOT");
        table_add(&table, "MANIFEST");
        for (size_t i = 0; i < registry.n; i++) {
                const RegistryEntry *entry = &registry.entries[i];
                json_t *object = json_object();
                js_set_str(object, "service", entry->name);
                js_set_str(object, "manifest", entry->path);
                js_set_bool(object, "missing", entry->missing);
                bool enabled = knows_state && boot_is_enabled(&app->state, entry->name);
                js_set_bool(object, "enabled", enabled);
                json_array_append_new(array, object);
                table_add(&table, entry->name);
                table_add(&table, enabled ? "started" : "–");
                table_add_owned(&table,
                        str_format("%s%s", entry->path, entry->missing ? "  (missing)" : ""));
        }
        app_print_json(app, array);
        if (!app->json && registry.n)
                table_print(&table, stdout);
        else if (!app->json)
                puts("no services are known yet. Add one: belay add path/to/belay.yaml");
        return 0;
}
