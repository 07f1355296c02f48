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
#include "platform/clock.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/log_tail.h"
#include "update/runs.h"

enum { LINES_DEFAULT = 50, LINES_MAX = 5000, LOOK_EVERY_MS = 200 };

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

static int print_output(App *app, const char *path) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!file_read(path, 64 * 1024 * 1024, &text, &bytes, &err))
                return app_fail(app, &err);
        scoped(free_str) char *clean = str_printable(text, true);
        fputs(clean, stdout);
        return 0;
}

/* Of a step that failed the journal names no output: a hook's is called as it is. */
static char *output_of(const StepRecord *step, const char *dir) {
        const char *name = step->observed ? js_str(step->observed, "output") : NULL;
        scoped(free_str) char *hook = str_format("%s.txt", step->name);
        scoped(free_str) char *path = path_join(dir, name ? name : hook);
        return name || file_exists(path) ? TAKE(path) : NULL;
}

/* The step `build` runs two commands; the first has a file of its own. */
static int print_install(App *app, const StepRecord *step, const char *dir, bool *any) {
        scoped(free_str) char *path = path_join(dir, "install.txt");
        if (!str_equal(step->name, "build") || !file_exists(path))
                return 0;
        *any = true;
        printf("== install\n");
        return print_output(app, path);
}

/* The output of the migrations, hooks, install and build of a run. */
static int run_logs(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        unsigned number = 0;
        bool any = false;
        if (!parse_run(app->opt[OPT_RUN], &number, &err) || !app_state(app, &err) ||
                !run_load(&app->state, number, &run, &err))
                return app_fail(app, &err);
        scoped(free_str) char *dir = state_run_file(&app->state, number, "output");
        for (size_t i = 0; i < run.state.n_steps; i++) {
                const StepRecord *step = &run.state.steps[i];
                scoped(free_str) char *path = output_of(step, dir);
                int status = print_install(app, step, dir, &any);
                if (status)
                        return status;
                if (!path)
                        continue;
                any = true;
                printf("== %s%s%s\n", step->name, step->instance ? " " : "",
                        step->instance ? step->instance : "");
                status = print_output(app, path);
                if (status)
                        return status;
        }
        const char *then =
                run.state.rollback ? js_str(js_get(run.state.rollback, "decision"), "log") : NULL;
        if (then)
                printf("== the service, when it failed\n%s\n", then);
        if (!any && !then)
                printf("run #%u has no output of install, build, migrations or hooks\n", number);
        return 0;
}

int verb_logs(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        uint64_t lines = LINES_DEFAULT;
        if (app->opt[OPT_RUN])
                return run_logs(app);
        if (app->opt[OPT_LINES] &&
                (!str_to_uint(app->opt[OPT_LINES], LINES_MAX, &lines) || lines == 0))
                return app_usage(app, "--lines takes a number from 1 to %d", LINES_MAX);
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
