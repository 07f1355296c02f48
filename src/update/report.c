#include "update/report.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "model/release.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "update/diagnose.h"
#include "update/known.h"

/* -- time without service -- */

static const json_t *observed(const Run *run, const char *step) {
        const StepRecord *record = run_state_step(&run->state, step, NULL);
        return record ? record->observed : NULL;
}

static int64_t done_at(const Run *run, const char *step) {
        const StepRecord *record = run_state_step(&run->state, step, NULL);
        return record && record->forward == STEP_DONE ? record->ended_ms : 0;
}

static int64_t measured_gap(const Run *run, const char *step) {
        const json_t *seen = observed(run, step);
        return seen ? js_int(seen, "gap_ms", -1) : -1;
}

int64_t report_gap_ms(const Run *run, bool *ret_measured) {
        const StepRecord *stop = run_state_step(&run->state, "stop", NULL);
        int64_t there = measured_gap(run, "verify"), back = measured_gap(run, "verify-old");
        *ret_measured = true;
        /* It has not ended yet. */
        if (run->state.end == RUN_NEEDS_PERSON && !done_at(run, "verify-old"))
                return -1;
        if (run->state.rolling_back && back >= 0)
                return back + (there > 0 ? there : 0);
        if (!run->state.rolling_back && there >= 0)
                return there;
        *ret_measured = false;
        int64_t up =
                done_at(run, "verify-old") ? done_at(run, "verify-old") : done_at(run, "verify");
        if (!stop || !stop->began_ms || !up)
                return -1;
        return up - stop->began_ms;
}

/* -- Markdown -- */

const char *report_outcome(const Run *run) {
        static const char *const sentences[] = {
                [RUN_OPEN] = "The run is open.",
                [RUN_SUCCEEDED] = "The new version serves, verified.",
                [RUN_ROLLED_BACK] =
                        "It failed and was rolled back: the old version serves, verified.",
                [RUN_ABORTED] = "It ended before anything was changed.",
                [RUN_NEEDS_PERSON] = "It needs a person: neither version could be verified, or "
                                     "somebody else changed "
                                     "the service.",
        };
        if (run->state.end == RUN_SUCCEEDED && str_equal(run_kind(run), "rehearse"))
                return "It went well on a copy. The service was not touched.";
        return run->state.waiting ? "The run waits for a person." : sentences[run->state.end];
}

static void add_fact(Str *out, const char *name, const char *value) {
        if (value)
                str_addf(out, "| %s | %s |\n", name, value);
}

static void add_head(Str *out, const Run *run) {
        const json_t *plan = run->state.plan;
        scoped(release_done) Release from = {0};
        scoped(release_done) Release to = {0};
        release_from_json(js_get(plan, "from"), &from);
        release_from_json(js_get(plan, "to"), &to);
        scoped(free_str) char *began = time_text(run->state.began_ms);
        scoped(free_str) char *took =
                run->state.ended_ms ? duration_text(run->state.ended_ms - run->state.began_ms)
                                    : NULL;
        scoped(free_str) char *how = run_state_text(run);
        bool measured = false;
        int64_t gap = report_gap_ms(run, &measured);
        scoped(free_str) char *gap_words = gap >= 0 ? duration_text(gap) : NULL;
        scoped(free_str) char *gap_cell =
                gap_words ? str_format("%s%s", gap_words,
                                    measured ? ", measured every 20 ms"
                                             : " at most, from the journal's times")
                          : NULL;
        scoped(free_str) char *from_cell = str_format("%s (%.12s)",
                from.version ? from.version : "?", from.reference ? from.reference : "?");
        scoped(free_str) char *to_cell = str_format(
                "%s (%.12s)", to.version ? to.version : "?", to.reference ? to.reference : "?");
        const char *title = js_str(plan, "title");
        str_addf(out, "# Run #%u: %s\n\n%s\n\n| | |\n|---|---|\n", run->number, title ? title : "?",
                report_outcome(run));
        add_fact(out, "Service", run_service(run));
        add_fact(out, "Kind", run_kind(run));
        add_fact(out, "From", from_cell);
        add_fact(out, "To", to_cell);
        add_fact(out, "Began", began);
        add_fact(out, "Took", took);
        add_fact(out, "Ended as", how);
        add_fact(out, "Without service", gap_cell);
}

static const char *state_mark(StepState state) {
        static const char *const marks[] = {[STEP_NOT_BEGUN] = "–",
                [STEP_OPEN] = "interrupted",
                [STEP_DONE] = "done",
                [STEP_FAILED] = "FAILED"};
        return marks[state];
}

static void add_steps(Str *out, const Run *run) {
        str_add(out, "\n## Steps\n\n| step | result | took | undone |\n|---|---|---|---|\n");
        for (size_t i = 0; i < run->state.n_steps; i++) {
                const StepRecord *step = &run->state.steps[i];
                if (step->forward == STEP_NOT_BEGUN && step->undo == STEP_NOT_BEGUN)
                        continue;
                scoped(free_str) char *took =
                        step->ended_ms ? duration_text(step->ended_ms - step->began_ms)
                                       : str_copy("–");
                str_addf(out, "| %s%s%s | %s | %s | %s |\n", step->name, step->instance ? " " : "",
                        step->instance ? step->instance : "", state_mark(step->forward), took,
                        step->undo == STEP_NOT_BEGUN ? "–" : state_mark(step->undo));
        }
}

static void add_indented(Str *out, const char *text) {
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        for (size_t i = 0; lines && lines[i]; i++)
                str_addf(out, "    %s\n", lines[i]);
}

const char *report_log(const Run *run) {
        const json_t *back = run->state.rollback;
        return js_str(back ? js_get(back, "decision") : run->state.wait, "log");
}

static void add_cause(Str *out, const Run *run, const StepRecord *failed) {
        const char *message = js_str(failed->error, "message"), *log = report_log(run);
        const char *likely = likely_cause(message, log);
        str_addf(out, "\n## What failed\n\n`%s`:\n\n", failed->name);
        add_indented(out, message ? message : "?");
        if (likely)
                str_addf(out, "\nLikely: %s.\n", likely);
        if (!log || !*log)
                return;
        str_add(out, "\nThe end of the service's log then:\n\n");
        add_indented(out, log);
}

static void add_way_back(Str *out, const Run *run, const json_t *back) {
        const StepRecord *data = run_state_step(&run->state, "second-pass", NULL);
        const json_t *undone = data && data->undo == STEP_DONE ? data->undo_observed : NULL;
        const char *why = js_str(js_get(back, "decision"), "why");
        str_addf(out, "\n## Rollback\n\nWhy: %s.\n", why ? why : "?");
        if (undone && str_equal(js_str(undone, "data"), "restored"))
                str_addf(out,
                        "The data was restored from the backup of this run. What was there is kept "
                        "as `salvage-%s`.\n",
                        js_str(undone, "salvage"));
        else if (data && data->undo == STEP_NOT_BEGUN && run->state.end == RUN_NEEDS_PERSON)
                str_add(out, "It ended before the data was looked at: that is as the new version "
                             "left it.\n");
        else
                str_add(out, "The data was left as it was.\n");
}

static void add_failure(Str *out, const Run *run) {
        const StepRecord *failed = run_failed_step(&run->state);
        const json_t *back = run->state.rollback;
        if (failed && failed->error)
                add_cause(out, run, failed);
        if (back)
                add_way_back(out, run, back);
}

Strv report_choices(const Run *run) {
        const json_t *wait = run->state.waiting ? run->state.wait : NULL;
        const char *why = js_str(wait, "why"),
                   *old = js_str(js_get(run->state.plan, "from"), "version");
        const char *new = js_str(js_get(run->state.plan, "to"), "version");
        bool is_step = str_equal(js_str(wait, "for"), "step");
        Strv lines = NULL;
        size_t i;
        json_t *line;
        if (!wait)
                return NULL;
        if (why)
                strv_addf(&lines,
                        is_step ? "a person has to do this: %s" : "not decided by itself: %s", why);
        json_array_foreach(js_get(wait, "would_lose"), i, line) if (json_is_string(line))
                strv_addf(&lines, "going back would change: %s", json_string_value(line));
        if (is_step)
                strv_addf(&lines, "`belay accept %u` says that it was done, and the run goes on",
                        run->number);
        else
                strv_addf(&lines, "`belay accept %u` keeps %s", run->number,
                        new ? new : "the new version");
        strv_addf(&lines,
                "`belay cancel %u` goes back to %s; what is there now is then kept as salvage",
                run->number, old ? old : "the old version");
        return lines;
}

static void add_choices(Str *out, const Run *run) {
        scoped(strv_freep) Strv lines = report_choices(run);
        if (lines)
                str_add(out, "\n## What a person decides\n\n");
        for (size_t i = 0; lines && lines[i]; i++)
                str_addf(out, "- %s\n", lines[i]);
}

/* What a person needs who takes over: why nothing more was done, and where the old files and data are. */
static void add_what_is_where(Str *out, const Run *run) {
        if (run->state.end != RUN_NEEDS_PERSON)
                return;
        const json_t *error = js_get(run->state.end_record, "error");
        const char *message = js_str(error, "message"), *hint = js_str(error, "hint");
        const StepRecord *backup = run_state_step(&run->state, "backup", NULL);
        const StepRecord *pass = run_state_step(&run->state, "second-pass", NULL);
        const char *id = backup ? js_str(backup->facts, "backup") : NULL;
        const char *old = js_str(js_get(run->state.plan, "from"), "reference");
        str_add(out, "\n## What is where\n\n");
        if (message)
                str_addf(out, "Nothing more was done because:\n\n    %s\n\n", message);
        if (hint)
                str_addf(out, "%s\n\n", hint);
        str_addf(out,
                "- once what stopped it is mended, `belay resume %u --try-again` goes on with it, "
                "and "
                "looks again before it does anything\n",
                run->number);
        if (old)
                str_addf(out, "- the old version is %s\n", old);
        if (id && pass && pass->forward == STEP_DONE)
                str_addf(out,
                        "- the data from before the change is in backup `%s`: with the old version "
                        "in place, `belay stop %s`, `belay backup restore %s %s` and `belay start "
                        "%s` go back to it; what is there then is kept as salvage\n",
                        id, run_service(run), run_service(run), id, run_service(run));
}

static void add_backups(Str *out, const Run *run) {
        static const char *const steps[] = {"merge", "publish", "publish-old", "backup-after"};
        scoped(strv_freep) Strv names = NULL;
        for (size_t i = 0; i < COUNT_OF(steps); i++) {
                const json_t *seen = observed(run, steps[i]);
                const char *name = seen ? js_str(seen, "backup") : NULL;
                if (!name || strv_contains(names, name))
                        continue;
                if (!names)
                        str_add(out, "\n## Backups\n\n");
                strv_add(&names, name);
                scoped(free_str) char *bytes = bytes_text((uint64_t)js_int(seen, "bytes", 0));
                str_addf(out, "- `%s`, %s, proven\n", name, bytes);
        }
}

static void add_unfinished(Str *out, const Run *run) {
        const json_t *left =
                run->state.end_record ? js_get(run->state.end_record, "unfinished") : NULL;
        size_t i;
        json_t *line;
        if (json_array_size(left) > 0)
                str_add(out, "\n## Left to do\n\n");
        json_array_foreach(left, i, line) str_addf(out, "- %s\n", json_string_value(line));
}

char *report_markdown(const State *state, const Run *run) {
        Str out = {0};
        if (run->damaged) {
                str_addf(&out, "# Run #%u\n\nIts journal is damaged: %s\n", run->number, run->why);
                return str_take(&out);
        }
        add_head(&out, run);
        add_failure(&out, run);
        add_choices(&out, run);
        add_what_is_where(&out, run);
        add_steps(&out, run);
        add_backups(&out, run);
        add_unfinished(&out, run);
        scoped(free_str) char *notes = report_notes(state, run->number);
        if (notes)
                str_addf(&out, "\n## Notes\n\n%s", notes);
        return str_take(&out);
}

/* -- JSON -- */

static json_t *step_json(const StepRecord *step) {
        static const char *const names[] = {[STEP_NOT_BEGUN] = "not_begun",
                [STEP_OPEN] = "open",
                [STEP_DONE] = "done",
                [STEP_FAILED] = "failed"};
        json_t *object = json_object();
        js_set_str(object, "step", step->name);
        js_set_str(object, "instance", step->instance);
        js_set_str(object, "state", names[step->forward]);
        if (step->undo != STEP_NOT_BEGUN)
                js_set_str(object, "undo", names[step->undo]);
        if (step->began_ms)
                js_set_int(object, "began", step->began_ms);
        if (step->ended_ms)
                js_set_int(object, "ended", step->ended_ms);
        if (step->observed)
                js_set(object, "observed", json_incref(step->observed));
        if (step->error)
                js_set(object, "error", json_incref(step->error));
        return object;
}

/* A run that died before its PLAN was written has none. */
static void set_shared(json_t *object, const char *key, json_t *value) {
        if (value)
                js_set(object, key, json_incref(value));
}

json_t *report_json(const State *state, const Run *run) {
        json_t *object = json_object();
        js_set_int(object, "run", run->number);
        scoped(free_str) char *how = run_state_text(run);
        js_set_str(object, "state",
                run->damaged         ? "damaged"
                : run->state.waiting ? "waits"
                                     : run_end_name(run->state.end));
        js_set_str(object, "text", how);
        js_set_str(object, "why", run->why);
        if (run->damaged)
                return object;
        js_set_str(object, "service", run_service(run));
        js_set_str(object, "kind", run_kind(run));
        set_shared(object, "from", js_get(run->state.plan, "from"));
        set_shared(object, "to", js_get(run->state.plan, "to"));
        js_set_int(object, "began", run->state.began_ms);
        if (run->state.ended_ms)
                js_set_int(object, "ended", run->state.ended_ms);
        bool measured = false;
        int64_t gap = report_gap_ms(run, &measured);
        if (gap >= 0) {
                js_set_int(object, "without_service_ms", gap);
                js_set_bool(object, "without_service_measured", measured);
        }
        json_t *steps = json_array();
        for (size_t i = 0; i < run->state.n_steps; i++)
                json_array_append_new(steps, step_json(&run->state.steps[i]));
        js_set(object, "steps", steps);
        if (run->state.rollback)
                js_set(object, "rollback", json_incref(run->state.rollback));
        if (run->state.waiting)
                set_shared(object, "wait", run->state.wait);
        if (run->state.end_record)
                js_set(object, "end", json_incref(run->state.end_record));
        scoped(free_str) char *notes = report_notes(state, run->number);
        js_set_str(object, "notes", notes);
        return object;
}

/* -- notes -- */

char *report_notes(const State *state, unsigned run) {
        scoped(free_str) char *path = state_run_file(state, run, "notes");
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!file_read_if(path, LIMIT_STATE_FILE, &text, &bytes, NULL) || !text)
                return NULL;
        return str_printable(text, true);
}

bool report_add_note(const State *state, unsigned run, const char *text, Err *err) {
        scoped(free_str) char *path = state_run_file(state, run, "notes");
        scoped(free_str) char *old = NULL;
        size_t bytes = 0;
        /* What cannot be read is not written over. */
        if (!file_read_if(path, LIMIT_STATE_FILE, &old, &bytes, err))
                return false;
        scoped(free_str) char *when = time_text(clock_wall_ms());
        scoped(free_str) char *clean = str_printable(text, false);
        const struct passwd *who = getpwuid(getuid());
        scoped(free_str) char *all = str_format(
                "%s- %s %s: %s\n", old ? old : "", when, who ? who->pw_name : "?", clean);
        return file_write_durable(path, all, strlen(all), 0600, err);
}
