/* The report as a page: the checklist of an update, with what was measured filled in, and lines to sign. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "update/diagnose.h"
#include "update/html.h"
#include "update/report.h"

enum { NOTE_LINES = 3 };

/* -- what was measured, in words -- */

typedef enum Form { FORM_TEXT, FORM_BYTES, FORM_NUMBER, FORM_TRUTH, FORM_REASON } Form;

typedef struct Seen {
        const char *key;
        Form form;
        const char *words; /* with %s for the value; of a truth: what it means */
} Seen;

/* What steps write down of what they saw, in the order in which a reader wants it. */
static const Seen seen[] = {
        {"checks", FORM_REASON, "%s"},
        {"monitor", FORM_REASON, "%s"},
        {"summary", FORM_TEXT, "%s"},
        {"bytes", FORM_BYTES, "%s"},
        {"files", FORM_NUMBER, "files: %s"},
        {"backup", FORM_TEXT, "backup %s, proven"},
        {"forced", FORM_TRUTH, "it had to be killed"},
        {"data", FORM_TEXT, "data %s"},
        {"salvage", FORM_TEXT, "what was there is kept as salvage-%s"},
        {"removed", FORM_NUMBER, "%s removed"},
        {"bad", FORM_TRUTH, "remembered as bad"},
        {"accepted", FORM_TEXT, "%s"},
        {"note", FORM_TEXT, "%s"},
        {"warning", FORM_TEXT, "warning: %s"},
};

static char *value_text(const json_t *value, Form form) {
        switch (form) {
        case FORM_BYTES:
                return json_is_integer(value) ? bytes_text((uint64_t)json_integer_value(value))
                                              : NULL;
        case FORM_NUMBER:
                return json_is_integer(value)
                               ? str_format("%lld", (long long)json_integer_value(value))
                               : NULL;
        case FORM_TRUTH:
                return json_is_true(value) ? str_copy("") : NULL;
        case FORM_REASON:
                return str_copy(js_str(value, "reason"));
        case FORM_TEXT:
        default:
                return str_copy(json_string_value(value));
        }
}

static void add_words(Str *out, const char *words, const char *value) {
        const char *at = strchr(words, '%');
        str_add(out, out->len ? " · " : "");
        if (!at) {
                str_add(out, words);
                return;
        }
        str_add_n(out, words, (size_t)(at - words));
        str_add(out, value);
        str_add(out, at + strlen("%s"));
}

/* "" when nothing was. */
static char *seen_text(const json_t *observed) {
        Str out = {0};
        for (size_t i = 0; i < COUNT_OF(seen); i++) {
                const json_t *value = js_get(observed, seen[i].key);
                scoped(free_str) char *text = value ? value_text(value, seen[i].form) : NULL;
                if (text)
                        add_words(&out, seen[i].words, text);
        }
        return str_take(&out);
}

/* -- one line of the checklist -- */

typedef struct Item {
        StepState state;
        const char *what, *seen;
        int64_t took_ms; /* -1: not said */
        bool to_do;      /* for a person to tick, not something that was left out */
} Item;

static void add_item(Str *out, const Item *item) {
        static const struct {
                const char *mark, *word;
        } boxes[] = {
                [STEP_NOT_BEGUN] = {"☐", "not done"},
                [STEP_OPEN] = {"☐", "interrupted"},
                [STEP_DONE] = {"☑", "done"},
                [STEP_FAILED] = {"☒", "failed"},
        };
        bool skipped = item->state == STEP_NOT_BEGUN && !item->to_do;
        str_addf(out, "<li%s><span class=\"box\" title=\"%s\">%s</span><span class=\"what\">",
                skipped ? " class=\"skipped\"" : "", boxes[item->state].word,
                boxes[item->state].mark);
        html_text(out, item->what);
        if (item->state == STEP_FAILED || item->state == STEP_OPEN)
                str_addf(out, " <strong>%s</strong>", boxes[item->state].word);
        if (item->seen && *item->seen) {
                str_add(out, "<span class=\"seen\">");
                html_text(out, item->seen);
                str_add(out, "</span>");
        }
        str_add(out, "</span>");
        if (item->took_ms >= 0) {
                scoped(free_str) char *took = duration_text(item->took_ms);
                str_addf(out, "<span class=\"took\">%s</span>", took);
        }
        str_add(out, "</li>\n");
}

static int64_t took(int64_t began, int64_t ended) {
        return began && ended >= began ? ended - began : -1;
}

static void add_checks(Str *out, const json_t *outcome) {
        size_t i;
        json_t *check;
        json_array_foreach(js_get(outcome, "checks"), i, check) {
                const char *verdict = js_str(check, "verdict"), *title = js_str(check, "title");
                const char *reason = js_str(check, "reason"), *last = js_str(check, "evidence");
                scoped(free_str) char *seen_now = str_format("%s%s%s", reason ? reason : "",
                        reason && last ? " · " : "", last ? last : "");
                const Item item = {
                        .state = str_equal(verdict, "pass") ? STEP_DONE : STEP_FAILED,
                        .what = title ? title : "check",
                        .seen = seen_now,
                        .took_ms = -1,
                };
                add_item(out, &item);
        }
}

/* What the service answered before anything was touched. */
static void add_passed(Str *out, const json_t *titles) {
        for (size_t i = 0; i < json_array_size(titles); i++) {
                const Item item = {.state = STEP_DONE,
                        .what = json_string_value(json_array_get(titles, i)),
                        .seen = "passes before the update",
                        .took_ms = -1};
                add_item(out, &item);
        }
}

static void add_lines(Str *out, const json_t *texts) {
        size_t i;
        json_t *line;
        json_array_foreach(texts, i, line) {
                const char *text =
                        json_is_string(line) ? json_string_value(line) : js_str(line, "text");
                str_add(out, "<li class=\"skipped\"><span class=\"box\"></span>"
                             "<span class=\"what\"><span class=\"seen\">");
                html_text(out, text);
                str_add(out, "</span></span></li>\n");
        }
}

/* What the plan said of a step, in the order of both. */
static const char *planned(const Run *run, size_t i, const char *key) {
        return js_str(json_array_get(js_get(run->state.plan, "steps"), i), key);
}

static void add_step(Str *out, const Run *run, size_t i) {
        const StepRecord *step = &run->state.steps[i];
        scoped(free_str) char *text = seen_text(step->observed);
        const char *what = planned(run, i, "text");
        const Item item = {
                .state = step->forward,
                .what = what ? what : step->name,
                .seen = text,
                .took_ms =
                        step->forward == STEP_NOT_BEGUN ? -1 : took(step->began_ms, step->ended_ms),
        };
        add_item(out, &item);
        add_passed(out, js_get(step->observed, "passed"));
        add_checks(out, js_get(step->observed, "checks"));
        add_lines(out, js_get(step->observed, "warnings"));
        add_lines(out, js_get(js_get(step->observed, "monitor"), "evidence"));
}

/* -- the phases -- */

typedef struct Part {
        const char *title;
        const char *phases[6];
} Part;

static const Part parts[] = {
        {"Validation before the update", {"preflight"}},
        {"Backup", {"backup"}},
        {"Rehearsal on a copy", {"rehearse"}},
        {"The update", {"fetch", "quiesce", "place", "migrate", "start"}},
        {"Verification", {"verify"}},
        {"Monitoring", {"monitor"}},
        {"Completion", {"finish"}},
};

static bool is_in(const Part *part, const char *phase) {
        for (size_t i = 0; i < COUNT_OF(part->phases) && part->phases[i]; i++)
                if (str_equal(part->phases[i], phase))
                        return true;
        return false;
}

static void add_part(Str *out, const Run *run, const Part *part) {
        bool any = false;
        for (size_t i = 0; i < run->state.n_steps; i++) {
                if (!is_in(part, planned(run, i, "phase")))
                        continue;
                if (!any)
                        str_addf(out, "<h2>%s</h2>\n<ul class=\"list\">\n", part->title);
                any = true;
                add_step(out, run, i);
        }
        str_add(out, any ? "</ul>\n" : "");
}

static void add_undo(Str *out, const Run *run, size_t i) {
        const StepRecord *step = &run->state.steps[i];
        const char *undo = planned(run, i, "undo"), *what = planned(run, i, "text");
        scoped(free_str) char *saw = seen_text(step->undo_observed);
        scoped(free_str) char *text =
                str_format("undo of: %s%s%s", what ? what : step->name, *saw ? " · " : "", saw);
        const Item item = {
                .state = step->undo,
                .what = undo ? undo : step->name,
                .seen = text,
                .took_ms = took(step->undo_began_ms, step->undo_ended_ms),
        };
        add_item(out, &item);
}

static void add_way_back(Str *out, const Run *run) {
        const RunState *state = &run->state;
        const char *why = js_str(js_get(state->rollback, "decision"), "why");
        if (!state->rollback)
                return;
        str_add(out, "<h2>The way back</h2>\n");
        if (why) {
                str_add(out, "<p>Why: ");
                html_text(out, why);
                str_add(out, ".</p>\n");
        }
        str_add(out, "<ul class=\"list\">\n");
        for (size_t i = state->n_steps; i-- > 0;)
                if (state->steps[i].undo != STEP_NOT_BEGUN)
                        add_undo(out, run, i);
        for (size_t i = 0; i < state->n_steps; i++)
                if (str_equal(planned(run, i, "phase"), "rollback"))
                        add_step(out, run, i);
        str_add(out, "</ul>\n");
}

static void add_failure(Str *out, const Run *run) {
        const StepRecord *failed = run_failed_step(&run->state);
        const char *log = report_log(run);
        const char *message = failed ? js_str(failed->error, "message") : NULL;
        if (!message)
                return;
        const char *likely = likely_cause(message, log);
        str_add(out, "<h2>What failed</h2>\n<p><strong>");
        html_text(out, failed->name);
        str_add(out, "</strong></p>\n<pre>");
        html_lines(out, message);
        str_add(out, "</pre>\n");
        if (likely) {
                str_add(out, "<p>Likely: ");
                html_text(out, likely);
                str_add(out, ".</p>\n");
        }
        if (!log || !*log)
                return;
        str_add(out, "<p>The end of the service's log then:</p>\n<pre>");
        html_lines(out, log);
        str_add(out, "</pre>\n");
}

/* -- head and foot -- */

static void add_fact(Str *out, const char *name, char *owned) {
        scoped(free_str) char *value = owned;
        if (!value)
                return;
        str_addf(out, "<tr><th>%s</th><td>", name);
        html_text(out, value);
        str_add(out, "</td></tr>\n");
}

static char *version_text(const Run *run, const char *key) {
        const json_t *release = js_get(run->state.plan, key);
        const char *version = js_str(release, "version"), *reference = js_str(release, "reference");
        return str_format("%s (%.12s)", version ? version : "?", reference ? reference : "?");
}

static char *gap_text(const Run *run) {
        bool measured = false;
        int64_t gap = report_gap_ms(run, &measured);
        if (gap < 0)
                return NULL;
        scoped(free_str) char *text = duration_text(gap);
        return str_format("%s%s", text,
                measured ? ", measured every 20 ms" : " at most, from the journal's times");
}

static void add_head(Str *out, const Run *run) {
        const RunState *state = &run->state;
        static const char *const classes[] = {
                [RUN_OPEN] = "open",
                [RUN_SUCCEEDED] = "good",
                [RUN_ROLLED_BACK] = "bad",
                [RUN_ABORTED] = "open",
                [RUN_NEEDS_PERSON] = "bad",
        };
        str_addf(out, "<p class=\"verdict %s\">", classes[state->end]);
        html_text(out, report_outcome(run));
        str_add(out, "</p>\n<table class=\"facts\">\n");
        add_fact(out, "Service", str_copy(run_service(run)));
        add_fact(out, "Run", str_format("#%u, %s", run->number, run_kind(run)));
        add_fact(out, "Old version", version_text(run, "from"));
        add_fact(out, "New version", version_text(run, "to"));
        add_fact(out, "Began", time_text(state->began_ms));
        add_fact(out, "Ended", state->ended_ms ? time_text(state->ended_ms) : NULL);
        add_fact(out, "Took",
                state->ended_ms ? duration_text(state->ended_ms - state->began_ms) : NULL);
        add_fact(out, "Without service", gap_text(run));
        add_fact(out, "Ended as", run_state_text(run));
        str_add(out, "</table>\n");
}

static void add_choices(Str *out, const Run *run) {
        scoped(strv_freep) Strv lines = report_choices(run);
        str_add(out, lines ? "<h2>What a person decides</h2>\n<ul class=\"list\">\n" : "");
        for (size_t i = 0; lines && lines[i]; i++) {
                const Item item = {.what = lines[i], .took_ms = -1, .to_do = true};
                add_item(out, &item);
        }
        str_add(out, lines ? "</ul>\n" : "");
}

static void add_left(Str *out, const Run *run) {
        const json_t *left = js_get(run->state.end_record, "unfinished");
        if (!json_array_size(left))
                return;
        str_add(out, "<h2>Left to do</h2>\n<ul class=\"list\">\n");
        for (size_t i = 0; i < json_array_size(left); i++) {
                const char *what = json_string_value(json_array_get(left, i));
                const Item item = {.what = what, .took_ms = -1, .to_do = true};
                add_item(out, &item);
        }
        str_add(out, "</ul>\n");
}

/* What a person would tick, were it not known. */
static void add_decision(Str *out, const Run *run) {
        RunEnd end = run->state.end;
        bool is_update = str_equal(run_kind(run), "update");
        const Item good = {.state = end == RUN_SUCCEEDED ? STEP_DONE : STEP_NOT_BEGUN,
                .what = is_update ? "Update successful; written to CURRENT_STATE.md"
                                  : "Done, and verified; written to CURRENT_STATE.md",
                .took_ms = -1};
        const Item back = {.state = end == RUN_ROLLED_BACK ? STEP_DONE : STEP_NOT_BEGUN,
                .what = "Issues found: rolled back, the old version verified",
                .took_ms = -1};
        const Item nothing = {.state = end == RUN_ABORTED ? STEP_DONE : STEP_NOT_BEGUN,
                .what = "Ended before anything was changed",
                .took_ms = -1};
        const Item person = {.state = end == RUN_NEEDS_PERSON ? STEP_DONE : STEP_NOT_BEGUN,
                .what = "A person has to act",
                .took_ms = -1};
        str_add(out, "<h2>Decision</h2>\n<ul class=\"list\">\n");
        add_item(out, &good);
        add_item(out, &back);
        add_item(out, &nothing);
        add_item(out, &person);
        str_add(out, "</ul>\n");
}

/* Machines know that it answers. What only a person sees is a person's to tick. */
static void add_by_hand(Str *out, const Run *run) {
        static const char *const questions[] = {
                "The service's pages load without errors, also in the browser's console",
                "What was there before is there: data, settings, logins",
                "A usual task works from beginning to end",
        };
        /* Of a rehearsal nothing is left to look at. */
        if (str_equal(run_kind(run), "rehearse"))
                return;
        str_add(out, "<h2>To look at by hand</h2>\n<ul class=\"list\">\n");
        for (size_t i = 0; i < COUNT_OF(questions); i++) {
                const Item item = {.what = questions[i], .took_ms = -1, .to_do = true};
                add_item(out, &item);
        }
        str_add(out, "</ul>\n");
}

static void add_notes(Str *out, const State *state, const Run *run) {
        scoped(free_str) char *notes = report_notes(state, run->number);
        str_add(out, "<section class=\"together\"><h2>Notes</h2>\n");
        if (notes) {
                str_add(out, "<pre>");
                html_lines(out, notes);
                str_add(out, "</pre>\n");
        }
        for (int i = 0; i < NOTE_LINES; i++)
                str_add(out, "<div class=\"line\"></div>\n");
        str_add(out, "<div class=\"sign\"><div>Carried out by</div><div>Checked by</div>"
                     "<div>Date</div></div></section>\n");
}

char *report_html(const State *state, const Run *run) {
        Str out = {0};
        const char *title = js_str(run->state.plan, "title");
        scoped(free_str) char *head =
                str_format("Run #%u: %s", run->number, title ? title : run_service(run));
        html_begin(&out, head);
        str_add(&out, "<h1>");
        html_text(&out, head);
        str_add(&out, "</h1>\n");
        if (run->damaged) {
                str_add(&out, "<p class=\"verdict bad\">Its journal is damaged: ");
                html_text(&out, run->why);
                str_add(&out, "</p>\n");
        } else {
                add_head(&out, run);
                add_failure(&out, run);
                add_choices(&out, run);
                for (size_t i = 0; i < COUNT_OF(parts); i++)
                        add_part(&out, run, &parts[i]);
                add_way_back(&out, run);
                add_left(&out, run);
                if (run->state.end == RUN_SUCCEEDED || run->state.end == RUN_ROLLED_BACK)
                        add_by_hand(&out, run);
                add_decision(&out, run);
        }
        add_notes(&out, state, run);
        html_end(&out);
        return str_take(&out);
}
