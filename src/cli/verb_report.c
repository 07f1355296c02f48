/* report: of one run, or what all of them add up to. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "platform/clock.h"
#include "update/history.h"
#include "update/report.h"
#include "update/statistics.h"

typedef enum Format { FORMAT_MD, FORMAT_HTML, FORMAT_JSON, FORMAT_COUNT } Format;

static bool read_format(const App *app, Format *ret) {
        static const char *const names[] = {"md", "html", "json"};
        const char *given = app->opt[OPT_FORMAT];
        *ret = app->json ? FORMAT_JSON : FORMAT_MD;
        for (size_t i = 0; given && i < FORMAT_COUNT; i++)
                if (strcmp(given, names[i]) == 0) {
                        *ret = (Format)i;
                        return true;
                }
        return !given;
}

static void print_json(json_t *owned) {
        scoped(js_freep) json_t *object = owned;
        scoped(free_str) char *text = js_pretty(object);
        puts(text);
}

static void print_text(char *owned) {
        scoped(free_str) char *text = owned;
        scoped(free_str) char *clean = str_printable(text, true);
        fputs(clean, stdout);
}

/* -- what runs add up to -- */

/* "7d" before now, or a day or moment. */
static bool read_since(const char *text, int64_t now, int64_t *ret, Err *err) {
        int64_t ms = 0;
        if (duration_parse(text, &ms)) {
                *ret = now - ms;
                return true;
        }
        if (time_parse(text, ret))
                return true;
        scoped(free_str) char *shown = str_printable(text, false);
        err_fail(err, ERR_USAGE, "--since: '%.40s' is no duration and no day", shown);
        return err_hint(
                err, "Say for example 24h, 7d, 2026-12-24 or 2026-12-24T18:00:00Z; at most 366d.");
}

static int report_statistics(App *app, Format format) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *name = NULL;
        scoped(history_done) History history = {0};
        scoped(statistics_done) StatisticsReport report = {0};
        int64_t now = clock_wall_ms(), since = 0;
        Summary *runs = NULL;
        size_t n = 0;
        if (!read_since(app->opt[OPT_SINCE], now, &since, &err) || !app_state(app, &err) ||
                (app->n_args && !find_name(app, app->args[0], &name, &err)) ||
                !history_open(&app->state, &history, &err))
                return app_fail(app, &err);
        history_list(&history, name, SIZE_MAX, &runs, &n);
        statistics_of(runs, n, since, now + 1, &report);
        if (format == FORMAT_JSON)
                print_json(statistics_json(&report));
        else
                print_text(format == FORMAT_HTML ? statistics_html(&report)
                                                 : statistics_markdown(&report));
        history_list_free(runs, n);
        return 0;
}

/* -- one run -- */

static int report_run(App *app, Format format) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        unsigned number = 0;
        if (!parse_run(app->args[0], &number, &err) || !app_state(app, &err) ||
                !run_load(&app->state, number, &run, &err))
                return app_fail(app, &err);
        if (format == FORMAT_JSON)
                print_json(report_json(&app->state, &run));
        else
                print_text(format == FORMAT_HTML ? report_html(&app->state, &run)
                                                 : report_markdown(&app->state, &run));
        return 0;
}

int verb_report(App *app) {
        Format format;
        if (!read_format(app, &format))
                return app_usage(
                        app, "--format takes md, html or json, not '%.40s'", app->opt[OPT_FORMAT]);
        if (app->json && format != FORMAT_JSON)
                return app_usage(app, "--json and '--format %s' contradict each other",
                        app->opt[OPT_FORMAT]);
        if (app->opt[OPT_SINCE])
                return report_statistics(app, format);
        if (!app->n_args)
                return app_usage(app, "'belay report' takes the number of a run, or --since");
        return report_run(app, format);
}
