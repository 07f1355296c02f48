/* version, help; and the hidden verbs that are processes of their own. */
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/table.h"
#include "platform/fault.h"
#include "runtime/runtime.h"
#include "update/drill.h"
#include "update/rehearsal.h"
#include "update/runner.h"

#ifndef BELAY_VERSION
#define BELAY_VERSION "0.1.0"
#endif

int verb_version(App *app) {
        json_t *object = json_object();
        js_set_str(object, "version", BELAY_VERSION);
        app_print_json(app, object);
        if (!app->json)
                puts("belay " BELAY_VERSION);
        return 0;
}

static const Verb *verb_named(const char *name) {
        for (size_t i = 0; i < n_verbs; i++)
                if (strcmp(verbs[i].name, name) == 0 && !verbs[i].hidden)
                        return &verbs[i];
        return NULL;
}

static int help_on(App *app) {
        scoped(free_str) char *name = app->n_args == 2
                                              ? str_format("%s %s", app->args[0], app->args[1])
                                              : str_copy(app->args[0]);
        const Verb *verb = verb_named(name);
        bool any = verb != NULL;
        if (verb)
                options_print_help(verb, stdout);
        scoped(free_str) char *prefix = str_format("%s ", name);
        for (size_t i = 0; !verb && i < n_verbs; i++)
                if (str_starts(verbs[i].name, prefix)) {
                        options_print_help(&verbs[i], stdout);
                        any = true;
                }
        return any ? 0 : app_usage(app, "'%.60s' is no command of belay", name);
}

int verb_help(App *app) {
        if (app->n_args)
                return help_on(app);
        puts("Belay updates self-hosted services without losing data or uptime.\n\n"
             "belay [GLOBAL OPTIONS] COMMAND [OPTIONS]\n");
        scoped(table_done) Table table = {.columns = 2, .indent = "  "};
        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].hidden)
                        continue;
                table_add_owned(&table, str_format("%s %s", verbs[i].name, verbs[i].operands));
                table_add(&table, verbs[i].help);
        }
        table_print(&table, stdout);
        putchar('\n');
        options_print_global_help(stdout);
        puts("\n`belay help COMMAND` says more of one. SERVICE may be left out where a belay.yaml "
             "is, or is above.");
        return 0;
}

/* -- processes of their own -- */

int verb_runner(App *app) {
        scoped(err_clear) Err err = {0};
        if (!app_state(app, &err))
                return app_fail(app, &err);
        return runner_main(&app->state);
}

int verb_rehearsal(App *app) {
        scoped(err_clear) Err err = {0};
        if (!app_state(app, &err))
                return app_fail(app, &err);
        return rehearsal_main(&app->state);
}

int verb_drill_inside(App *app) {
        scoped(err_clear) Err err = {0};
        if (!app_state(app, &err))
                return app_fail(app, &err);
        return drill_main(&app->state);
}

int verb_keeper(App *app) {
        scoped(err_clear) Err err = {0};
        const char *service = app->opt[OPT_SERVICE];
        fault_role("keeper");
        if (!service || !service_name_ok(service))
                return app_usage(app, "the keeper needs --service NAME");
        if (!app_state(app, &err))
                return app_fail(app, &err);
        return keeper_main(&app->state, service);
}
