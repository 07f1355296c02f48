/* Statistics in words: Markdown, a page, JSON. Both texts are made of the same rows. */
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "update/html.h"
#include "update/statistics.h"

enum { CAUSES_SHOWN = 5 };

static void add_percent(Strv *row, size_t part, size_t n) {
        int percent = percent_of(part, n);
        if (percent < 0)
                strv_add(row, "–");
        else
                strv_addf(row, "%d %%", percent);
}

static char *spread_text(const Spread *spread) {
        if (spread->n == 0)
                return str_copy("–");
        scoped(free_str) char *median = duration_text(spread->median);
        scoped(free_str) char *p90 = duration_text(spread->p90);
        return str_format("%s / %s", median, p90);
}

static const char *const heads[] = {"service", "updates", "succeeded", "rolled back", "unchanged",
        "needs a person", "success", "took: median / p90", "without service: median / p90"};

static Strv head_row(void) {
        Strv row = NULL;
        for (size_t i = 0; i < COUNT_OF(heads); i++)
                strv_add(&row, heads[i]);
        return row;
}

static Strv service_row(const Statistics *of) {
        Strv row = NULL;
        const size_t counts[] = {
                of->updates, of->succeeded, of->rolled_back, of->unchanged, of->needs_person};
        strv_add(&row, of->service ? of->service : "all");
        for (size_t i = 0; i < COUNT_OF(counts); i++)
                strv_addf(&row, "%zu", counts[i]);
        add_percent(&row, of->succeeded, of->updates);
        strv_push(&row, spread_text(&of->took));
        strv_push(&row, spread_text(&of->gap));
        return row;
}

/* -- the figures that people keep -- */

typedef struct Figure {
        char *name, *value, *note;
} Figure;

typedef struct Figures {
        Figure *items;
        size_t n;
} Figures;

static void figures_done(Figures *figures) {
        for (size_t i = 0; i < figures->n; i++) {
                free(figures->items[i].name);
                free(figures->items[i].value);
                free(figures->items[i].note);
        }
        free(figures->items);
}

static void add_figure(Figures *figures, const char *name, char *value, char *note) {
        Figure figure = {.name = str_copy(name), .value = value, .note = note};
        PUSH(figures->items, figures->n, figure);
}

static void add_rate(Figures *figures, const char *name, size_t part, size_t n) {
        if (n == 0)
                return;
        add_figure(figures, name, str_format("%d %%", percent_of(part, n)),
                str_format("%zu of %zu", part, n));
}

static void add_spread(Figures *figures, const char *name, const Spread *spread) {
        if (spread->n == 0)
                return;
        scoped(free_str) char *p90 = duration_text(spread->p90);
        scoped(free_str) char *longest = duration_text(spread->longest);
        scoped(free_str) char *total = duration_text(spread->total);
        add_figure(figures, name, duration_text(spread->median),
                str_format("median of %zu; 90 %% within %s, longest %s, together %s", spread->n,
                        p90, longest, total));
}

static void add_count(Figures *figures, const char *name, size_t n, const char *note) {
        if (n)
                add_figure(figures, name, str_format("%zu", n), str_copy(note));
}

static Figures figures_of(const Statistics *all) {
        Figures figures = {0};
        add_rate(&figures, "Updates that succeeded", all->succeeded, all->updates);
        add_rate(&figures, "Ways back that ended well", all->back_ok, all->back);
        add_spread(&figures, "Time of an update", &all->took);
        add_spread(&figures, "Time without service", &all->gap);
        add_spread(&figures, "Time to restore data", &all->restore);
        add_count(&figures, "Rollbacks by hand", all->by_hand, "belay rollback");
        add_count(&figures, "Restores", all->restores, "belay backup restore");
        add_count(
                &figures, "Open runs", all->open, "running, interrupted, or waiting for a person");
        add_count(&figures, "Damaged journals", all->damaged, "counted nowhere else");
        return figures;
}

static char *sentence_of(const StatisticsReport *report) {
        const Statistics *all = &report->all;
        if (all->updates == 0)
                return str_copy("No update has ended in this time.");
        return str_format(
                "%zu update%s of %zu service%s: %zu succeeded, %zu rolled back, %zu ended "
                "before anything was changed, %zu need%s a person.",
                all->updates, all->updates == 1 ? "" : "s", report->n_services,
                report->n_services == 1 ? "" : "s", all->succeeded, all->rolled_back,
                all->unchanged, all->needs_person, all->needs_person == 1 ? "s" : "");
}

static char *title_of(const StatisticsReport *report) {
        scoped(free_str) char *since = time_text(report->since_ms);
        scoped(free_str) char *until = time_text(report->until_ms);
        return str_format("Updates from %s to %s", since, until);
}

/* -- Markdown -- */

static void add_markdown_row(Str *out, Strv row) {
        scoped(strv_freep) Strv cells = row;
        str_add(out, "|");
        for (size_t i = 0; cells[i]; i++)
                str_addf(out, " %s |", cells[i]);
        str_add(out, "\n");
}

static void add_markdown_figures(Str *out, const Statistics *all) {
        scoped(figures_done) Figures figures = figures_of(all);
        if (!figures.n)
                return;
        str_add(out, "\n## In figures\n\n| | | |\n|---|---|---|\n");
        for (size_t i = 0; i < figures.n; i++) {
                const Figure *figure = &figures.items[i];
                str_addf(out, "| %s | %s | %s |\n", figure->name, figure->value, figure->note);
        }
}

static void add_markdown_causes(Str *out, const Statistics *all) {
        if (!all->n_causes)
                return;
        str_add(out, "\n## Most common causes of failure\n\n");
        for (size_t i = 0; i < all->n_causes && i < CAUSES_SHOWN; i++)
                str_addf(out, "%zu. %s (%zu of %zu)\n", i + 1, all->causes[i].text,
                        all->causes[i].n, all->updates - all->succeeded);
}

char *statistics_markdown(const StatisticsReport *report) {
        Str out = {0};
        scoped(free_str) char *title = title_of(report);
        scoped(free_str) char *sentence = sentence_of(report);
        str_addf(&out, "# %s\n\n%s\n", title, sentence);
        if (report->n_services) {
                str_add(&out, "\n## Services\n\n");
                add_markdown_row(&out, head_row());
                str_add(&out, "|");
                for (size_t i = 0; i < COUNT_OF(heads); i++)
                        str_add(&out, "---|");
                str_add(&out, "\n");
                for (size_t i = 0; i < report->n_services; i++)
                        add_markdown_row(&out, service_row(&report->services[i]));
                if (report->n_services > 1)
                        add_markdown_row(&out, service_row(&report->all));
        }
        add_markdown_figures(&out, &report->all);
        add_markdown_causes(&out, &report->all);
        return str_take(&out);
}

/* -- a page -- */

static void add_html_row(Str *out, const char *tag, Strv row) {
        scoped(strv_freep) Strv cells = row;
        html_row(out, tag, cells);
}

static void add_html_services(Str *out, const StatisticsReport *report) {
        if (!report->n_services)
                return;
        str_add(out, "<h2>Services</h2>\n<div class=\"wide\"><table>\n");
        add_html_row(out, "th", head_row());
        for (size_t i = 0; i < report->n_services; i++)
                add_html_row(out, "td", service_row(&report->services[i]));
        if (report->n_services > 1)
                add_html_row(out, "td", service_row(&report->all));
        str_add(out, "</table></div>\n");
}

static void add_html_figures(Str *out, const Statistics *all) {
        scoped(figures_done) Figures figures = figures_of(all);
        if (!figures.n)
                return;
        str_add(out, "<h2>In figures</h2>\n<table>\n");
        for (size_t i = 0; i < figures.n; i++) {
                char *const cells[] = {
                        figures.items[i].name, figures.items[i].value, figures.items[i].note, NULL};
                html_row(out, "td", cells);
        }
        str_add(out, "</table>\n");
}

static void add_html_causes(Str *out, const Statistics *all) {
        if (!all->n_causes)
                return;
        str_add(out, "<h2>Most common causes of failure</h2>\n<ol>\n");
        for (size_t i = 0; i < all->n_causes && i < CAUSES_SHOWN; i++) {
                str_add(out, "<li>");
                html_text(out, all->causes[i].text);
                str_addf(out, " (%zu of %zu)</li>\n", all->causes[i].n,
                        all->updates - all->succeeded);
        }
        str_add(out, "</ol>\n");
}

char *statistics_html(const StatisticsReport *report) {
        Str out = {0};
        scoped(free_str) char *title = title_of(report);
        scoped(free_str) char *sentence = sentence_of(report);
        html_begin(&out, title);
        str_add(&out, "<h1>");
        html_text(&out, title);
        str_add(&out, "</h1>\n<p class=\"verdict\">");
        html_text(&out, sentence);
        str_add(&out, "</p>\n");
        add_html_services(&out, report);
        add_html_figures(&out, &report->all);
        add_html_causes(&out, &report->all);
        html_end(&out);
        return str_take(&out);
}

/* -- JSON -- */

static json_t *spread_json(const Spread *spread) {
        json_t *object = json_object();
        js_set_int(object, "n", (int64_t)spread->n);
        if (spread->n == 0)
                return object;
        js_set_int(object, "median_ms", spread->median);
        js_set_int(object, "p90_ms", spread->p90);
        js_set_int(object, "longest_ms", spread->longest);
        js_set_int(object, "total_ms", spread->total);
        return object;
}

static json_t *group_json(const Statistics *of) {
        json_t *object = json_object(), *causes = json_array();
        js_set_str(object, "service", of->service);
        const struct {
                const char *key;
                size_t n;
        } counts[] = {
                {"updates", of->updates},
                {"succeeded", of->succeeded},
                {"rolled_back", of->rolled_back},
                {"unchanged", of->unchanged},
                {"needs_a_person", of->needs_person},
                {"open", of->open},
                {"damaged", of->damaged},
                {"rollbacks_by_hand", of->by_hand},
                {"restores", of->restores},
                {"ways_back", of->back},
                {"ways_back_ended_well", of->back_ok},
        };
        for (size_t i = 0; i < COUNT_OF(counts); i++)
                js_set_int(object, counts[i].key, (int64_t)counts[i].n);
        if (of->updates)
                js_set_int(object, "success_percent", percent_of(of->succeeded, of->updates));
        js_set(object, "took", spread_json(&of->took));
        js_set(object, "without_service", spread_json(&of->gap));
        js_set(object, "restored_in", spread_json(&of->restore));
        for (size_t i = 0; i < of->n_causes; i++) {
                json_t *cause = json_object();
                js_set_str(cause, "cause", of->causes[i].text);
                js_set_int(cause, "n", (int64_t)of->causes[i].n);
                json_array_append_new(causes, cause);
        }
        js_set(object, "causes", causes);
        return object;
}

json_t *statistics_json(const StatisticsReport *report) {
        json_t *object = json_object(), *services = json_array();
        js_set_int(object, "since", report->since_ms);
        js_set_int(object, "until", report->until_ms);
        js_set(object, "all", group_json(&report->all));
        for (size_t i = 0; i < report->n_services; i++)
                json_array_append_new(services, group_json(&report->services[i]));
        js_set(object, "services", services);
        return object;
}
