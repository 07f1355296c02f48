/* logs, lock, unlock. */
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "check/log_file.h"
#include "cli/when.h"
#include "migrate/migrate.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/log_tail.h"
#include "update/runs.h"

enum { LINES_DEFAULT = 50, LINES_MAX = 5000, LOOK_EVERY_MS = 200, OUTPUT_MAX = 64 * 1024 * 1024 };

static volatile sig_atomic_t ended;

static void on_end(int signal_number) {
        (void)signal_number;
        ended = 1;
}

static int follow_log(App *app, const char *path, Err *err) {
        LogFile file = {.path = path};
        const LogReader reader = log_file_reader(&file);
        LogPlace place = {0};
        const struct sigaction action = {.sa_handler = on_end};
        sigaction(SIGINT, &action, NULL);
        if (!reader.end(reader.context, &place, err))
                return app_fail(app, err);
        while (!ended) {
                char bytes[8192];
                size_t n = 0;
                if (!reader.read(reader.context, &place, bytes, sizeof(bytes) - 1, &n, err))
                        return app_fail(app, err);
                if (n == 0) {
                        if (fflush(stdout) != 0)
                                return 1;
                        (void)poll(NULL, 0, LOOK_EVERY_MS);
                        continue;
                }
                bytes[n] = '\0';
                scoped(free_str) char *clean = str_printable(bytes, true);
                fputs(clean, stdout);
        }
        return 0;
}

/* What a run's programs wrote, under the name of each: shown, or gathered for --json. */
typedef struct Words {
        App *app;
        json_t *parts;
        bool any;
} Words;

static void say(Words *said, const char *name, const char *instance, const char *text) {
        scoped(free_str) char *clean = str_printable(text, true);
        json_t *part = json_object();
        js_set_str(part, "step", name);
        js_set_str(part, "instance", instance);
        js_set_str(part, "text", clean);
        json_array_append_new(said->parts, part);
        said->any = true;
        if (!said->app->json)
                printf("== %s%s%s\n%s%s", name, instance ? " " : "", instance ? instance : "",
                        clean, clean[0] && !str_ends(clean, "\n") ? "\n" : "");
}

static bool say_file(
        Words *said, const char *name, const char *instance, const char *path, Err *err) {
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!file_read(path, OUTPUT_MAX, &text, &bytes, err))
                return false;
        say(said, name, instance, text);
        return true;
}

/* Of a step that failed the journal names no output; what it is called follows from what the step is. */
static char *output_of(const StepRecord *step, const char *dir) {
        const char *name = step->observed ? js_str(step->observed, "output") : NULL;
        scoped(free_str) char *usual = step->instance ? migrate_output_name(step->instance)
                                                      : str_format("%s.txt", step->name);
        scoped(free_str) char *path = path_join(dir, name ? name : usual);
        return name || file_exists(path) ? TAKE(path) : NULL;
}

/* The step `build` runs two commands; the first has a file of its own. */
static bool say_step(Words *said, const StepRecord *step, const char *dir, Err *err) {
        scoped(free_str) char *first = path_join(dir, "install.txt");
        scoped(free_str) char *path = output_of(step, dir);
        if (str_equal(step->name, "build") && file_exists(first) &&
                !say_file(said, "install", NULL, first, err))
                return false;
        return !path || say_file(said, step->name, step->instance, path, err);
}

static void say_log_of_failure(Words *said, const Run *run) {
        const char *log =
                run->state.rollback ? js_str(js_get(run->state.rollback, "decision"), "log") : NULL;
        if (!log)
                return;
        say(said, "the service, when it failed", NULL, log);
}

/* What install, build, migrations, hooks and the rehearsal of a run wrote, and the service when it failed. */
static int run_logs(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        scoped(js_freep) json_t *parts = json_array();
        Words said = {.app = app, .parts = parts};
        unsigned number = 0;
        if (!parse_run(app->opt[OPT_RUN], &number, &err) || !app_state(app, &err) ||
                !run_load(&app->state, number, &run, &err))
                return app_fail(app, &err);
        scoped(free_str) char *dir = state_run_file(&app->state, number, "output");
        for (size_t i = 0; i < run.state.n_steps; i++)
                if (!say_step(&said, &run.state.steps[i], dir, &err))
                        return app_fail(app, &err);
        say_log_of_failure(&said, &run);
        json_t *object = json_object();
        js_set_int(object, "run", number);
        js_set(object, "output", json_incref(parts));
        app_print_json(app, object);
        if (!said.any && !app->json)
                printf("run #%u has no output of install, build, rehearsal, migrations or hooks\n",
                        number);
        return 0;
}

int verb_logs(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        uint64_t lines = LINES_DEFAULT;
        if (app->opt[OPT_RUN] && app->opt[OPT_FOLLOW])
                return app_usage(app, "what a run wrote does not go on: --run has no --follow");
        if (app->opt[OPT_RUN])
                return run_logs(app);
        if (app->opt[OPT_LINES] &&
                (!str_to_uint(app->opt[OPT_LINES], LINES_MAX, &lines) || lines == 0))
                return app_usage(app, "--lines takes a number from 1 to %d", LINES_MAX);
        if (app->json && app->opt[OPT_FOLLOW])
                return app_usage(app, "--follow goes on as text: it has no --json");
        if (!open_world(app, false, &world, &err))
                return app_fail(app, &err);
        scoped(free_str) char *path = world.runtime->log_path(&world.runtime_at);
        scoped(free_str) char *tail = log_tail(path, (unsigned)lines);
        if (app->json) {
                json_t *object = json_object();
                js_set_str(object, "service", world.service->name);
                js_set_str(object, "path", path);
                js_set_str(object, "text", tail);
                app_print_json(app, object);
                return 0;
        }
        fputs(tail, stdout);
        if (app->opt[OPT_FOLLOW])
                return follow_log(app, path, &err);
        return 0;
}

/* -- lock, unlock -- */

int verb_lock(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *name = NULL;
        const char *reason = app->opt[OPT_MESSAGE];
        int64_t until = 0;
        if (!reason || !*reason)
                return app_usage(app, "'belay lock' needs a reason: -m REASON");
        if (strlen(reason) > LIMIT_WORDS_OF_A_PERSON)
                return app_usage(
                        app, "the reason is longer than %d bytes", LIMIT_WORDS_OF_A_PERSON);
        scoped(free_str) char *clean = str_printable(reason, false);
        if ((app->opt[OPT_UNTIL] && !parse_when("--until", app->opt[OPT_UNTIL], &until, &err)) ||
                !app_state(app, &err) || !find_name(app, operand(app, 0), &name, &err) ||
                !person_lock_set(&app->state, name, clean, until, &err))
                return app_fail(app, &err);
        scoped(free_str) char *when = until ? time_text(until) : NULL;
        json_t *object = json_object();
        js_set_str(object, "service", name);
        js_set_str(object, "reason", clean);
        js_set_str(object, "until", when);
        app_print_json(app, object);
        if (!app->json)
                printf("%s is locked%s%s: %s\n", name, when ? " until " : "", when ? when : "",
                        clean);
        return 0;
}

int verb_unlock(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *name = NULL;
        bool was = false;
        if (!app_state(app, &err) || !find_name(app, operand(app, 0), &name, &err) ||
                !person_lock_clear(&app->state, name, &was, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_str(object, "service", name);
        js_set_bool(object, "was_locked", was);
        app_print_json(app, object);
        if (!app->json)
                printf("%s %s\n", name, was ? "is unlocked" : "was not locked");
        return 0;
}
