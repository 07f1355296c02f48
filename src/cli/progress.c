#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/table.h"
#include "platform/clock.h"
#include "update/runs.h"

enum { NAME_WIDTH = 16, TEXT_WIDTH = 62, BAR_WIDTH = 20, LIFE_SIGN_MS = 60000 };

static const char *const GREEN = "\033[32m", *const RED = "\033[31m", *const YELLOW = "\033[33m",
                         *const PLAIN = "\033[0m";

static void say(const Progress *progress, const char *color, const char *mark, const char *line) {
        bool paint = progress->app->color;
        if (progress->app->terminal)
                fprintf(stderr, "\r\033[K  %s%s%s %s\n", paint ? color : "", mark,
                        paint ? PLAIN : "", line);
        else {
                scoped(free_str) char *when =
                        time_text(progress->event_ms ? progress->event_ms : clock_wall_ms());
                fprintf(stderr, "%s  %s %s\n", when, mark, line);
        }
}

static char *padded(const char *text, size_t width) {
        size_t w = text_width(text);
        return str_format("%s%*s", text, (int)(w < width ? width - w : 0), "");
}

void progress_open(Progress *progress, App *app, unsigned run) {
        *progress = (Progress){.app = app, .run = run, .last_ms = clock_now_ms()};
        scoped(run_done) Run known = {0};
        if (run_load(&app->state, run, &known, NULL) && known.state.plan)
                progress->plan = json_incref(known.state.plan);
}

void progress_done(Progress *progress) {
        json_decref(progress->plan);
        free(progress->now);
        free(progress->detail);
}

/* The plan's own words for a step; else the title from the event. */
static const char *text_of(const Progress *progress, const json_t *event) {
        const char *name = js_str(event, "step"), *instance = js_str(event, "instance");
        size_t i;
        json_t *step;
        json_array_foreach(js_get(progress->plan, "steps"), i, step) {
                if (str_equal(js_str(step, "name"), name) &&
                        str_equal(js_str(step, "instance"), instance))
                        return js_str(step, "text");
        }
        return js_str(event, "title");
}

static const char *const undo_words[][2] = {
        {"start", "stop the new version"},
        {"place", "put the old files back"},
        {"config", "put the old settings back"},
        {"second-pass", "put the data back, if it differs"},
        {"stop", "start the old version"},
        {"reserve", "release reserved room"},
        {"swap-data", "put the data of before back"},
        {"backup", "remove the backup"},
        {"fetch", "remove what was fetched"},
        {"rehearse", "remove the copy"},
};

static char *line_of(const Progress *progress, const json_t *event) {
        const char *name = js_str(event, "step");
        const char *text = text_of(progress, event);
        if (js_bool(event, "undo", false))
                for (size_t i = 0; i < COUNT_OF(undo_words); i++)
                        if (str_equal(undo_words[i][0], name))
                                text = undo_words[i][1];
        /* "migrate: 03_tags.py" under the name "migrate" needs no second "migrate". */
        size_t n = name ? strlen(name) : 0;
        if (text && n && str_starts(text, name) && str_starts(text + n, ": "))
                text += n + 2;
        scoped(free_str) char *whole_name =
                str_format("%s%s", js_bool(event, "undo", false) ? "undo " : "", name ? name : "?");
        scoped(free_str) char *left = padded(whole_name, NAME_WIDTH);
        scoped(free_str) char *right = padded(text ? text : "", TEXT_WIDTH);
        return str_format("%s %s", left, right);
}

/* After ARM the backup stays, and so does its undo's line. */
static bool not_worth_a_line(const Progress *progress, const json_t *event) {
        return progress->armed && js_bool(event, "undo", false) &&
               str_equal(js_str(event, "step"), "backup");
}

static void announce_rollback(Progress *progress) {
        if (progress->going_back)
                return;
        progress->going_back = true;
        scoped(run_done) Run run = {0};
        const char *why = NULL;
        bool known = run_load(&progress->app->state, progress->run, &run, NULL);
        progress->armed = known && run.state.armed;
        if (known && run.state.rollback)
                why = js_str(js_get(run.state.rollback, "decision"), "why");
        scoped(free_str) char *name = padded("rollback", NAME_WIDTH);
        scoped(free_str) char *line =
                str_format("%s %s", name, why ? why : "nothing was changed yet");
        say(progress, YELLOW, "↩", line);
}

static void step_event(Progress *progress, const json_t *event) {
        const char *state = js_str(event, "state");
        scoped(free_str) char *line = line_of(progress, event);
        if (js_bool(event, "undo", false))
                announce_rollback(progress);
        if (not_worth_a_line(progress, event))
                return;
        if (str_equal(state, "begin")) {
                progress->began_ms = clock_now_ms();
                str_replace_owned(&progress->detail, NULL);
                str_replace_owned(&progress->now, TAKE(line));
                return;
        }
        scoped(free_str) char *took = duration_text(js_int(event, "took_ms", 0));
        scoped(free_str) char *whole = str_format("%s %s", line, took);
        bool good = str_equal(state, "done");
        say(progress, good ? GREEN : RED, good ? "✔" : "✘", whole);
        str_replace_owned(&progress->now, NULL);
        const char *text = js_str(event, "text");
        if (!good && text) {
                scoped(free_str) char *reason = str_format("%*s %s", NAME_WIDTH, "", text);
                say(progress, RED, " ", reason);
        }
}

static char *bar(const json_t *event) {
        int64_t done = js_int(event, "done", 0), total = js_int(event, "total", 0);
        const char *text = js_str(event, "text");
        if (total <= 0)
                return str_copy(text ? text : "");
        int64_t filled = done * BAR_WIDTH / total;
        Str out = {0};
        for (int i = 0; i < BAR_WIDTH; i++)
                str_add(&out, i < filled ? "█" : "░");
        str_addf(&out, " %" PRId64 " %%", done * 100 / total);
        return str_take(&out);
}

void progress_event(Progress *progress, const json_t *event) {
        const char *kind = js_str(event, "kind");
        progress->event_ms = js_int(event, "at", 0);
        if (str_equal(kind, "run") && js_str(event, "title"))
                fprintf(stderr, "%s   run #%u\n", js_str(event, "title"), progress->run);
        else if (str_equal(kind, "step"))
                step_event(progress, event);
        else if (str_equal(kind, "progress"))
                str_replace_owned(&progress->detail, bar(event));
        else if (str_equal(kind, "watch")) {
                scoped(free_str) char *left = duration_text(js_int(event, "left_ms", 0));
                str_replace_owned(&progress->detail, str_format("%s left", left));
        } else if (str_equal(kind, "note") && js_str(event, "text"))
                say(progress, YELLOW, "!", js_str(event, "text"));
}

void progress_tick(Progress *progress) {
        static const char *const frames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"};
        if (progress->app->json || progress->app->quiet || !progress->now)
                return;
        int64_t now = clock_now_ms();
        if (progress->app->terminal) {
                fprintf(stderr, "\r\033[K  %s %s %s",
                        frames[progress->spinner++ % COUNT_OF(frames)], progress->now,
                        progress->detail ? progress->detail : "");
                progress->drawn = true;
                fflush(stderr);
                return;
        }
        if (now - progress->last_ms < LIFE_SIGN_MS)
                return;
        progress->last_ms = now;
        progress->event_ms = 0;
        scoped(free_str) char *since = duration_text(now - progress->began_ms);
        scoped(free_str) char *line = str_format("%s since %s%s%s", progress->now, since,
                progress->detail ? ", " : "", progress->detail ? progress->detail : "");
        say(progress, PLAIN, "…", line);
}

static void print_log(const char *log) {
        scoped(strv_freep) Strv lines = strv_split(log, '\n');
        size_t n = strv_count(lines);
        for (size_t i = n > 6 ? n - 6 : 0; i < n; i++)
                fprintf(stderr, "       │ %s\n", lines[i]);
}

void progress_result(Progress *progress, const json_t *result) {
        const char *error = js_str(result, "error"), *likely = js_str(result, "likely"),
                   *hint = js_str(result, "hint");
        const char *log = js_str(result, "log"), *step = js_str(result, "step"),
                   *text = js_str(result, "text");
        if (progress->app->terminal && progress->drawn)
                fputs("\r\033[K", stderr);
        if (error) {
                fprintf(stderr, "belay: %s%s%s\n", step ? step : "", step ? ": " : "", error);
                if (likely)
                        fprintf(stderr, "       likely: %s%s\n", likely,
                                log && *log ? ". Its log said last" : "");
                if (log && *log)
                        print_log(log);
                if (hint)
                        fprintf(stderr, "  %s\n", hint);
        }
        if (text)
                printf("%s\n", text);
}
