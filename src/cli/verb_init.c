/* init: a manifest out of what is there. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/table.h"
#include "model/redact.h"
#include "update/init.h"

static json_t *running_to_json(const Init *init) {
        json_t *object = json_object();
        js_set_int(object, "pid", init->running->id.pid);
        js_set_str(object, "directory", init->running->directory);
        js_set_bool(object, "can_be_adopted", init->manifest_command && !init->running->holder);
        js_set_str(object, "held_by", init->running->holder);
        return object;
}

static json_t *to_json(const Init *init) {
        json_t *object = json_object(), *notes = json_array();
        js_set_str(object, "service", init->draft.service);
        js_set_str(object, "manifest", init->path);
        js_set_str(object, "directory", init->place);
        js_set_str(object, "version", init->installed.version);
        if (init->running)
                js_set(object, "running", running_to_json(init));
        js_set(object, "guesses", draft_reasons(&init->draft));
        for (size_t i = 0; init->draft.notes && init->draft.notes[i]; i++)
                json_array_append_new(notes, json_string(init->draft.notes[i]));
        js_set(object, "notes", notes);
        return object;
}

static void print_guesses(const Init *init) {
        scoped(js_freep) json_t *reasons = draft_reasons(&init->draft);
        scoped(table_done) Table table = {.columns = 2};
        size_t i;
        json_t *reason;
        json_array_foreach(reasons, i, reason) {
                scoped(free_str) char *safe = redact(js_str(reason, "value"), NULL);
                scoped(free_str) char *value = str_printable(safe, false);
                table_add_owned(&table, str_format("  %s", js_str(reason, "key")));
                table_add(&table, value);
        }
        table_print(&table, stdout);
}

/* The first line is the fact, the last what to type next. */
static void print_result(const Init *init) {
        const char *name = init->draft.service;
        printf("wrote %s: service '%s'%s%s\n", init->path, name,
                init->installed.version ? ", version " : "",
                init->installed.version ? init->installed.version : "");
        print_guesses(init);
        for (size_t i = 0; init->draft.notes && init->draft.notes[i]; i++)
                fprintf(stderr, "belay: note: %s\n", init->draft.notes[i]);
        if (init->running && init->manifest_command && !init->running->holder)
                printf("It runs now (pid %d): `belay start` takes it over as it is, without a "
                       "restart.\n",
                        (int)init->running->id.pid);
        printf("The reason for each value is in the file. Next: belay add %s && belay start %s\n",
                init->path, name);
}

int verb_init(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(init_done) Init init = {0};
        if (!init_look(operand(app, 0) ? operand(app, 0) : ".", &init, &err) ||
                !init_write(&init, &err))
                return app_fail(app, &err);
        app_print_json(app, to_json(&init));
        if (!app->json)
                print_result(&init);
        return 0;
}
