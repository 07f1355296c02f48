/* runs, show, report, note. */
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
#include "update/report.h"
#include "update/runs.h"

enum { RUNS_SHOWN = 20, RUNS_ALL = 100000 };

static void add_row(Table *table, const Run *run) {
        const json_t *plan = run->state.plan;
        const char *from = js_str(js_get(plan, "from"), "version"),
                   *to = js_str(js_get(plan, "to"), "version");
        bool measured = false;
        int64_t gap = report_gap_ms(run, &measured);
        table_add_owned(table, str_format("#%u", run->number));
        table_add(table, run_service(run));
        table_add(table, run_kind(run));
        table_add_owned(table, str_format("%s → %s", from ? from : "?", to ? to : "?"));
        table_add_owned(table, run_state_text(run));
        table_add_owned(table, run->state.began_ms ? ago_text(run->state.began_ms, clock_wall_ms())
                                                   : str_copy("–"));
        table_add_owned(table, gap >= 0 ? duration_text(gap) : str_copy("–"));
}

int verb_runs(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *name = NULL;
        Run *runs = NULL;
        size_t n = 0;
        if (!app_state(app, &err) || (app->n_args && !find_name(app, app->args[0], &name, &err)) ||
                !run_list(&app->state, name, app->opt[OPT_ALL] ? RUNS_ALL : RUNS_SHOWN, &runs, &n,
                        &err))
                return app_fail(app, &err);
        static const char *const heads[] = {
                "RUN", "SERVICE", "KIND", "VERSIONS", "STATE", "BEGAN", "WITHOUT SERVICE"};
        scoped(table_done) Table table = {.columns = COUNT_OF(heads)};
        for (size_t i = 0; i < COUNT_OF(heads); i++)
                table_add(&table, heads[i]);
        json_t *array = json_array();
        for (size_t i = 0; i < n; i++) {
                add_row(&table, &runs[i]);
                if (app->json)
                        json_array_append_new(array, report_json(&app->state, &runs[i]));
        }
        run_list_free(runs, n);
        app_print_json(app, array);
        if (!app->json && n)
                table_print(&table, stdout);
        else if (!app->json)
                puts("no runs yet");
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
        if (text)
                printf("  %s", text);
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

int verb_report(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        const char *format = app->opt[OPT_FORMAT] ? app->opt[OPT_FORMAT]
                             : app->json          ? "json"
                                                  : "md";
        if (!str_equal(format, "md") && !str_equal(format, "json"))
                return app_usage(app, "--format takes md or json, not '%.40s'", format);
        if (!load(app, &run, &err))
                return app_fail(app, &err);
        if (str_equal(format, "md")) {
                scoped(free_str) char *text = report_markdown(&app->state, &run);
                fputs(text, stdout);
                return 0;
        }
        scoped(js_freep) json_t *object = report_json(&app->state, &run);
        scoped(free_str) char *text = js_pretty(object);
        puts(text);
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
