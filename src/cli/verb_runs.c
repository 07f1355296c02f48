/* runs, show, note. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/table.h"
#include "platform/clock.h"
#include "update/history.h"
#include "update/report.h"
#include "update/runs.h"

enum { RUNS_SHOWN = 20 };

static void add_row(const App *app, Table *table, const Summary *run) {
        const char *from = run->from, *to = run->to;
        table_add_owned(table, str_format("#%u", run->run));
        table_add(table, run->service ? run->service : "?");
        table_add(table, run->kind ? run->kind : "?");
        table_add_owned(table, str_format("%s → %s", from ? from : "?", to ? to : "?"));
        table_add_owned(table, history_state_text(&app->state, run));
        table_add_owned(
                table, run->began_ms ? ago_text(run->began_ms, clock_wall_ms()) : str_copy("–"));
        table_add_owned(table, run->gap_ms >= 0 ? duration_text(run->gap_ms) : str_copy("–"));
}

static json_t *runs_json(const State *state, const Summary *runs, size_t n) {
        json_t *array = json_array();
        for (size_t i = 0; i < n; i++) {
                scoped(run_done) Run run = {0};
                if (run_load(state, runs[i].run, &run, NULL))
                        json_array_append_new(array, report_json(state, &run));
        }
        return array;
}

static void print_runs(const App *app, const Summary *runs, size_t n) {
        static const char *const heads[] = {
                "RUN", "SERVICE", "KIND", "VERSIONS", "STATE", "BEGAN", "WITHOUT SERVICE"};
        scoped(table_done) Table table = {.columns = COUNT_OF(heads)};
        for (size_t i = 0; i < COUNT_OF(heads); i++)
                table_add(&table, heads[i]);
        for (size_t i = 0; i < n; i++)
                add_row(app, &table, &runs[i]);
        if (n)
                table_print(&table, stdout);
        else
                puts("no runs yet");
}

int verb_runs(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *name = NULL;
        scoped(history_done) History history = {0};
        Summary *runs = NULL;
        size_t n = 0;
        if (!app_state(app, &err) || (app->n_args && !find_name(app, app->args[0], &name, &err)) ||
                !history_open(&app->state, &history, &err))
                return app_fail(app, &err);
        history_list(&history, name, app->opt[OPT_ALL] ? SIZE_MAX : RUNS_SHOWN, &runs, &n);
        if (app->json)
                app_print_json(app, runs_json(&app->state, runs, n));
        else
                print_runs(app, runs, n);
        history_list_free(runs, n);
        return 0;
}

static bool load(App *app, Run *ret, Err *err) {
        unsigned number = 0;
        return parse_run(app->args[0], &number, err) && app_state(app, err) &&
               run_load(&app->state, number, ret, err);
}

/* -- show: the journal, readable -- */

static void print_record(const Record *record) {
        scoped(free_str) char *when = time_text(js_int(record->payload, "at", 0));
        const char *step = js_str(record->payload, "step"),
                   *instance = js_str(record->payload, "instance");
        printf("%4llu  %s  %-8s", (unsigned long long)record->sequence, when,
                record_type_name(record->type));
        if (step)
                printf(" %s%s%s%s", js_bool(record->payload, "undo", false) ? "undo " : "", step,
                        instance ? " " : "", instance ? instance : "");
        json_t *error = js_get(record->payload, "error");
        const char *text = error ? js_str(error, "message") : js_str(record->payload, "text");
        const char *state = js_str(record->payload, "state");
        scoped(free_str) char *clean = text ? str_printable(text, true) : NULL;
        if (clean)
                printf("  %s", clean);
        if (state)
                printf("  %s", state);
        putchar('\n');
}

int verb_show(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        if (!load(app, &run, &err))
                return app_fail(app, &err);
        if (app->json) {
                app_print_json(app, report_json(&app->state, &run));
                return 0;
        }
        scoped(free_str) char *how = run_state_text(&run);
        const char *title = run.state.plan ? js_str(run.state.plan, "title") : NULL;
        printf("Run #%u  %s  %s\n", run.number, title ? title : "?", how);
        if (run.damaged)
                printf("  %s\n", run.why);
        for (size_t i = 0; i < run.records.n; i++)
                print_record(&run.records.records[i]);
        if (run.records.torn)
                puts("      (the last record was torn by a crash, and does not count)");
        return 0;
}

int verb_note(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        Strv words = NULL;
        for (int i = 1; i < app->n_args; i++)
                strv_add(&words, app->args[i]);
        scoped(free_str) char *text = strv_join(words, " ");
        strv_free(words);
        if (strlen(text) > LIMIT_WORDS_OF_A_PERSON)
                return app_usage(app, "the note is longer than %d bytes", LIMIT_WORDS_OF_A_PERSON);
        if (!load(app, &run, &err) || !report_add_note(&app->state, run.number, text, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_int(object, "run", run.number);
        js_set_str(object, "note", text);
        app_print_json(app, object);
        if (!app->json)
                printf("noted for run #%u; it is in `belay report %u`\n", run.number, run.number);
        return 0;
}
