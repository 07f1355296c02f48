/* drill: shows on a copy that recovery works on this machine. */
#include <signal.h>
#include <stdio.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/verbs.h"
#include "update/drill.h"

static Cancel cancel;

static void on_signal(int signal_number) {
        (void)signal_number;
        cancel.requested = 1;
}

static void tell(void *context, const DrillAttempt *attempt) {
        const App *app = context;
        if (app->json || app->quiet)
                return;
        scoped(free_str) char *took =
                duration_text(attempt->recovery_ms > 0 ? attempt->recovery_ms : 0);
        if (!attempt->whole)
                printf("  ✘ killed at %-14s %s\n", attempt->step,
                        attempt->why ? attempt->why : "not whole");
        else if (!attempt->killed_at)
                printf("  ✔ killed at %-14s too late, it was over: %s; %s serves, data whole\n",
                        attempt->step, attempt->end, attempt->version);
        else
                printf("  ✔ killed %s %-14s resumed in %s: %s; %s serves, data whole\n",
                        str_equal(attempt->killed_at, attempt->step) ? "at" : "after",
                        attempt->step, took, attempt->end, attempt->version);
        fflush(stdout);
}

static int show(App *app, const World *world, const DrillResult *result) {
        bool all = result->whole == result->n;
        if (app->json) {
                json_t *object = drill_to_json(result);
                js_set_str(object, "service", world->service->name);
                app_print_json(app, object);
                return all ? 0 : 1;
        }
        printf("%zu of %zu: %s.\n", result->whole, result->n,
                all ? "each time the run came to one of its two ends, with the service whole"
                    : "recovery does not work here as it should");
        printf("  It was done on a copy. %s was not touched, and nothing of it is left.\n",
                world->service->name);
        return all ? 0 : 1;
}

int verb_drill(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {.cancel = &cancel};
        scoped(release_service) Held held = HELD_NONE;
        scoped(drill_result_done) DrillResult result = {0};
        if (!open_world(app, true, &world, &err) ||
                !hold_service(app, &world, "a drill", &held, &err))
                return app_fail(app, &err);
        const struct sigaction action = {.sa_handler = on_signal};
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
        /* Nobody reads any more (`| head`): it ends, and takes its copies along. */
        (void)sigaction(SIGPIPE, &action, NULL);
        if (!app->json && !app->quiet)
                printf("%s: an update is made on copies of it, and killed at each of its steps.\n",
                        world.service->name);
        fflush(stdout);
        if (!drill_run(&world, operand(app, 1), tell, app, &result, &err))
                return app_fail(app, &err);
        return show(app, &world, &result);
}
