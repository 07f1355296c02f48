#include "update/result.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/diagnose.h"
#include "update/report.h"
#include "update/runs.h"

static void write_file(const State *state, unsigned run, const char *name, const char *text) {
        scoped(free_str) char *path =
                run ? state_run_file(state, run, name) : path_join(state->root, name);
        (void)file_write_durable(path, text, strlen(text), 0600, NULL);
}

/* -- the last sentences -- */

static void add_gap(Str *out, const Run *run) {
        bool measured = false;
        int64_t gap = report_gap_ms(run, &measured);
        if (gap < 0)
                return;
        scoped(free_str) char *text = duration_text(gap);
        str_addf(out, " Without service: %s%s.", measured ? "" : "at most ", text);
}

static const char *salvage_of(const Run *run) {
        const StepRecord *data = run_state_step(&run->state, "second-pass", NULL);
        const json_t *seen = data ? data->undo_observed : NULL;
        return seen && str_equal(js_str(seen, "data"), "restored") ? js_str(seen, "salvage") : NULL;
}

static void add_time(Str *out, const json_t *seen, const char *key, const char *what) {
        int64_t ms = js_int(seen, key, -1);
        if (ms < 0)
                return;
        scoped(free_str) char *text = duration_text(ms);
        str_addf(out, "%s%s %s", out->len ? ", " : "", what, text);
}

static void rehearsed(Str *out, const World *world, const Run *run) {
        const StepRecord *step = run_state_step(&run->state, "rehearse", NULL);
        scoped(str_done) Str times = {0};
        add_time(&times, step ? step->observed : NULL, "restore_ms", "the copy");
        add_time(&times, step ? step->observed : NULL, "migrate_ms", "migrate");
        add_time(&times, step ? step->observed : NULL, "start_ms", "start");
        add_time(&times, step ? step->observed : NULL, "verify_ms", "verify");
        str_addf(out,
                "%s %s works on a copy (%s).\n  Nothing was changed and nothing is left of it. Run "
                "it: belay update %s %s",
                world->service->name, world->to.version, times.text ? times.text : "",
                world->service->name, world->to.version);
}

static void succeeded(Str *out, const World *world, const Run *run, const RunOutcome *outcome) {
        const char *name = world->service->name;
        const StepRecord *verify = run_state_step(&run->state, "verify", NULL);
        bool verified = world->service->n_checks && verify && verify->forward == STEP_DONE;
        str_addf(out, "%s %s serves%s.", name, world->to.version ? world->to.version : "",
                verified ? ", verified" : "");
        add_gap(out, run);
        const StepRecord *swap = run_state_step(&run->state, "swap-data", NULL);
        const char *kept = swap && swap->observed ? js_str(swap->observed, "salvage") : NULL;
        if (kept)
                str_addf(out,
                        "\n  The data that was replaced is kept: belay backup show %s salvage-%s",
                        name, kept);
        const json_t *path = js_get(world->run_state->plan, "path");
        if (json_array_size(js_get(path, "rest")))
                str_addf(out, "\n  It was a stop: on the way to %s the next update begins.",
                        js_str(path, "target"));
        for (size_t i = 0; outcome->unfinished && outcome->unfinished[i]; i++)
                str_addf(out, "\n  Left to do: %s", outcome->unfinished[i]);
}

/* More rows than before may hide that some are gone: a person can look, and knows where. */
static void add_left_data(Str *out, const World *world, const Run *run) {
        static const char *const steps[] = {"publish-old", "merge"};
        const char *backup = NULL;
        for (size_t i = 0; !backup && i < COUNT_OF(steps); i++) {
                const StepRecord *step = run_state_step(&run->state, steps[i], NULL);
                backup = step && step->observed ? js_str(step->observed, "backup") : NULL;
        }
        if (!backup || !js_bool(js_get(run->state.rollback, "decision"), "changed", false)) {
                str_add(out, " The data was left as it was.");
                return;
        }
        str_addf(out,
                "\n  The data stays as it is now. As it was before the update it is in a backup; "
                "what differs: "
                "belay backup restore %s %s --dry-run",
                world->service->name, backup);
}

static void rolled_back(Str *out, const World *world, const Run *run) {
        const char *name = world->service->name, *salvage = salvage_of(run);
        const StepRecord *bad = run_state_step(&run->state, "remember-bad", NULL);
        str_addf(out, "%s %s serves again.", name, world->from.version ? world->from.version : "");
        add_gap(out, run);
        const StepRecord *taken_out = run_state_step(&run->state, "prepare-data", NULL);
        const char *kept = taken_out && taken_out->undo_observed
                                   ? js_str(taken_out->undo_observed, "kept")
                                   : NULL;
        if (kept)
                str_addf(out,
                        "\n  What was written meanwhile is kept beside the data, in "
                        ".<name>.salvage-%s",
                        kept);
        else if (!salvage)
                add_left_data(out, world, run);
        if (salvage)
                str_addf(out, "\n  What %s had written is kept: belay backup show %s salvage-%s",
                        world->to.version, name, salvage);
        if (bad && bad->observed && js_bool(bad->observed, "bad", false))
                str_addf(out,
                        "\n  %s (%.7s) is remembered as bad and will not be tried again unless you "
                        "say "
                        "--even-if-bad.",
                        world->to.version, world->to.reference);
}

/* What either choice would lose: a person has to know it here, not in a file. */
static void add_choices(Str *out, const World *world, const json_t *wait) {
        const char *why = js_str(wait, "why");
        size_t i;
        json_t *line;
        if (why && !str_equal(js_str(wait, "for"), "step"))
                str_addf(out, "\n  Not decided by itself: %s.", why);
        json_array_foreach(js_get(wait, "would_lose"), i, line) {
                if (json_is_string(line))
                        str_addf(out, "\n  Going back would change: %s", json_string_value(line));
        }
        str_addf(out,
                "\n  `belay accept %u` keeps %s. `belay cancel %u` goes back to %s; what is there "
                "now is then kept as salvage.",
                world->run, world->to.version, world->run,
                world->from.version ? world->from.version : "the old version");
}

static void waits(Str *out, const World *world, const Run *run, const RunOutcome *outcome) {
        str_addf(out, "%s waits for a person: %s.", world->service->name,
                outcome->failure.message ? outcome->failure.message : "inconclusive");
        add_choices(out, world, run->state.wait);
}

/* The first question of whoever is called at night. */
static char *runs_text(const World *world) {
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, NULL))
                return str_copy("Whether it runs could not be found out");
        if (!now.running)
                return str_copy("It does not run now");
        return str_format("It runs now, started as %s", now.version ? now.version : "?");
}

static void needs_person(Str *out, const World *world, const RunOutcome *outcome) {
        const char *name = world->service->name;
        scoped(free_str) char *runs = runs_text(world);
        str_addf(out,
                "%s needs a person: %s.\n  %s. Nothing more was touched. `belay report %u` says "
                "what "
                "is where; "
                "`belay status %s` what runs. Once what stopped it is mended: belay resume %u "
                "--try-again",
                name,
                outcome->failure.message ? outcome->failure.message
                                         : "neither version could be verified",
                runs, world->run, name, world->run);
}

static void aborted(Str *out, const World *world, const RunOutcome *outcome) {
        scoped(runtime_status_done) RuntimeStatus now = {0};
        bool runs = world->runtime->inspect(&world->runtime_at, &now, NULL) && now.running;
        str_addf(out,
                runs ? "Nothing was changed: %s %s runs as before."
                     : "Nothing was changed, but %s %s does not run.",
                world->service->name, world->from.version ? world->from.version : "");
        if (!runs)
                str_addf(out, "\n  `belay start %s` starts it.", world->service->name);
        (void)outcome;
}

char *result_text(const World *world, const RunOutcome *outcome) {
        Str out = {0};
        scoped(run_done) Run run = {0};
        if (!run_load(world->state, world->run, &run, NULL))
                return str_copy("");
        switch (outcome->end) {
        case RUN_SUCCEEDED:
                if (str_equal(run_kind(&run), "rehearse"))
                        rehearsed(&out, world, &run);
                else
                        succeeded(&out, world, &run, outcome);
                break;
        case RUN_ROLLED_BACK:
                rolled_back(&out, world, &run);
                break;
        case RUN_NEEDS_PERSON:
                needs_person(&out, world, outcome);
                break;
        case RUN_ABORTED:
                aborted(&out, world, outcome);
                break;
        case RUN_OPEN:
                waits(&out, world, &run, outcome);
                break;
        }
        str_addf(&out, "\n  Report: belay report %u", world->run);
        return str_take(&out);
}

/* -- what followers read last -- */

static const char *log_then(const World *world) {
        const json_t *back = world->run_state ? world->run_state->rollback : NULL;
        return back ? js_str(js_get(back, "decision"), "log") : NULL;
}

void result_tell(const World *world, const RunOutcome *outcome, const char *text) {
        json_t *fields = json_object();
        const char *log = log_then(world);
        js_set_int(fields, "run", world->run);
        js_set_str(fields, "service", world->service->name);
        js_set_str(
                fields, "state", outcome->end == RUN_OPEN ? "waits" : run_end_name(outcome->end));
        js_set_int(fields, "exit", outcome->exit_status);
        js_set_str(fields, "step", outcome->failed_step);
        js_set_str(fields, "error", outcome->failure.message);
        js_set_str(
                fields, "code", outcome->failure.message ? err_name(outcome->failure.code) : NULL);
        js_set_str(fields, "hint", outcome->failure.hint);
        js_set_str(fields, "likely",
                outcome->failure.message ? likely_cause(outcome->failure.message, log) : NULL);
        js_set_str(fields, "log", log);
        js_set_str(fields, "text", text);
        const json_t *path = js_get(world->run_state->plan, "path");
        if (outcome->end == RUN_SUCCEEDED && json_array_size(js_get(path, "rest")))
                js_set(fields, "path", json_incref((json_t *)(uintptr_t)path));
        events_add(world->events, "result", fields);
}

void result_write(const World *world) {
        scoped(run_done) Run run = {0};
        if (run_load(world->state, world->run, &run, NULL)) {
                scoped(free_str) char *markdown = report_markdown(world->state, &run);
                scoped(js_freep) json_t *object = report_json(world->state, &run);
                scoped(free_str) char *json = js_pretty(object);
                write_file(world->state, world->run, "report.md", markdown);
                write_file(world->state, world->run, "report.json", json);
                scoped(free_str) char *page = report_html(world->state, &run);
                write_file(world->state, world->run, "report.html", page);
        }
        scoped(free_str) char *current = report_current_state(world->state, NULL);
        if (current)
                write_file(world->state, 0, "CURRENT_STATE.md", current);
}

void result_died(const World *world, const Err *err) {
        json_t *fields = json_object();
        js_set_int(fields, "run", world->run);
        js_set_str(fields, "text", err->message);
        events_add(world->events, "died", fields);
}
