/* plan, update, rollback. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "base/version.h"
#include "cli/follow.h"
#include "cli/table.h"
#include "cli/when.h"
#include "manifest/manifest.h"
#include "platform/file.h"
#include "update/path.h"
#include "update/plan.h"
#include "update/predict.h"
#include "update/release_text.h"
#include "update/report.h"
#include "update/runner.h"
#include "update/runs.h"
#include "update/stories.h"

static bool has(const App *app, Opt opt) { return app->opt[opt] != NULL; }

static bool read_options(const App *app, Options *ret, Err *err) {
        bool force = has(app, OPT_FORCE);
        *ret = (Options){
                .no_backup = has(app, OPT_NO_BACKUP),
                .no_migrations = has(app, OPT_NO_MIGRATIONS),
                .no_rehearsal = has(app, OPT_NO_REHEARSAL),
                .accept_breaking = has(app, OPT_ACCEPT_BREAKING),
                .accept_unhealthy = has(app, OPT_ACCEPT_UNHEALTHY),
                .allow_downgrade = force || has(app, OPT_ALLOW_DOWNGRADE),
                .even_if_bad = force || has(app, OPT_EVEN_IF_BAD),
                .reinstall = force || has(app, OPT_REINSTALL),
                .fix = has(app, OPT_FIX),
                .any_time = has(app, OPT_ANY_TIME),
                .in_window = has(app, OPT_IN_WINDOW),
                .revert = has(app, OPT_REVERT),
                .restore = has(app, OPT_RESTORE),
        };
        const char *wait = app->opt[OPT_WAIT_LOCK], *at = app->opt[OPT_AT];
        if (ret->in_window && (at || ret->any_time))
                return err_fail(err, ERR_USAGE, "--in-window and %s contradict each other",
                        at ? "--at" : "--any-time");
        if (at && !parse_when("--at", at, &ret->at_ms, err))
                return false;
        if (!wait || duration_parse(wait, &ret->wait_lock_ms))
                return true;
        err_fail(err, ERR_USAGE, "--wait-lock: '%.40s' is not a duration", wait);
        return err_hint(err, "Say for example 30s, 15m or 2h.");
}

/* Text that cannot be a version is wrong usage; that there is none of that name is found out later. */
static bool check_version(const char *text, Err *err) {
        if (!text || version_text_ok(text))
                return true;
        scoped(free_str) char *shown = str_printable(text, false);
        err_fail(err, ERR_USAGE, "'%.80s' cannot be a version or tag", shown);
        return err_hint(err, "`belay check SERVICE --all` lists what there is.");
}

/* -- plan -- */

static void print_explanation(const Service *service) {
        scoped(table_done) Table table = {.columns = 3, .indent = "  "};
        for (size_t i = 0; i < service->n_origins; i++) {
                table_add(&table, service->origins[i].key);
                table_add(&table, service->origins[i].value);
                table_add(&table, service->origins[i].from);
        }
        printf("\n  Values in force and where they come from:\n");
        table_print(&table, stdout);
}

/* The column is there when there is something to say. */
static bool any_usual(const Plan *plan) {
        for (size_t i = 0; i < plan->n_lines; i++)
                if (plan->lines[i].usually_ms >= 0)
                        return true;
        return false;
}

static void print_plan_lines(const Plan *plan) {
        static const char *const heads[] = {" #", "STEP", "SERVICE", "UNDO", "USUALLY"};
        bool usual = any_usual(plan);
        scoped(table_done) Table table = {.columns = COUNT_OF(heads) - !usual, .indent = "  "};
        for (size_t i = 0; i < table.columns; i++)
                table_add(&table, heads[i]);
        unsigned number = 0;
        for (size_t i = 0; i < plan->n_lines; i++) {
                const PlanLine *line = &plan->lines[i];
                if ((line->step->flags & (STEP_BEFORE_UNDO | STEP_AFTER_UNDO)) &&
                        !(line->step->flags & STEP_IN_BOTH))
                        continue;
                table_add_owned(&table, str_format("%2u", ++number));
                table_add(&table, line->text);
                table_add(&table, line->service);
                table_add(&table, line->undo);
                if (usual)
                        table_add_owned(&table, usual_text(line->usually_ms));
        }
        table_print(&table, stdout);
}

static void print_downtime(const Plan *plan) {
        scoped(free_str) char *text = downtime_text(plan);
        if (text)
                printf("  Expected downtime %s.", text);
        else
                printf("  Expected downtime: not known yet; it is measured at every update.");
}

static bool is_blocked(const Plan *plan) { return reasons_exit_status(&plan->reasons) != 0; }

static void print_reasons(const Plan *plan) {
        scoped(free_str) char *text = reasons_text(&plan->reasons, "    ");
        if (plan->reasons.n)
                printf("  %s\n%s",
                        is_blocked(plan) ? "Blocked. In the way:" : "It will wait:", text);
}

static void print_way(const World *world) {
        if (world->n_way < 2)
                return;
        printf("  The way: %s", world->from.version);
        for (size_t i = 0; i < world->n_way; i++)
                printf(" → %s", world->way[i].version);
        printf(", %zu updates, one after the other, each verified. This plan is of the first.\n",
                world->n_way);
        for (size_t i = 0; i + 1 < world->n_way; i++)
                printf("    %s: %s\n", world->way[i].version, world->way_why[i]);
}

enum { SHORT_NOTES = 140, NOTES_SHOWN = 20, GUIDE_LINES = 40 };

static void print_guide(const ReleaseInfo *info, const char *service) {
        unsigned lines = 0;
        printf("  Migration guide of %s%s:\n", info->version,
                info->migrations == RELEASE_MIGRATIONS_MANUAL
                        ? " (yours to follow: the run waits until you confirm it)"
                        : "");
        for (const char *line = info->migration_guide; line && *line && lines < GUIDE_LINES;
                lines++) {
                size_t bytes = strcspn(line, "\n");
                printf("    │ %.*s\n", (int)bytes, line);
                line += bytes + (line[bytes] == '\n');
        }
        if (lines == GUIDE_LINES)
                printf("    The whole of it: belay notes %s %s\n", service, info->version);
}

/* What is said of the releases on the way, the newest first. */
static void print_releases(const World *world) {
        const ReleaseData *data = &world->releases.data;
        const char *from = world->from.version, *to = path_target(world)->version;
        size_t n = 0;
        scoped(free_mem) const ReleaseInfo **infos = release_data_between(data, from, to, &n);
        scoped(free_str) char *support = release_support_text(data, from, to);
        scoped(free_str) char *trouble = release_trouble_text(&world->releases);
        size_t older = n > NOTES_SHOWN ? n - NOTES_SHOWN : 0;
        for (size_t i = n; i-- > older;) {
                scoped(free_str) char *marks =
                        release_marks(infos[i], i ? infos[i - 1]->version : from);
                scoped(free_str) char *notes = release_notes_short(infos[i]->notes, SHORT_NOTES);
                printf("  Notes %s: %s%s%s\n", infos[i]->version, marks,
                        marks[0] && notes[0] ? ": " : "", notes);
        }
        if (older)
                printf("    and %zu older\n", older);
        if (n)
                printf("    All of it: belay notes %s\n", world->service->name);
        for (size_t i = 0; i < n; i++)
                if (infos[i]->migration_guide)
                        print_guide(infos[i], world->service->name);
        if (support)
                printf("  Support: %s\n", support);
        for (size_t i = 0; data->warnings && data->warnings[i]; i++)
                printf("  Note: %s\n", data->warnings[i]);
        if (trouble)
                printf("  Note: %s\n", trouble);
}

static void print_plan(const App *app, const World *world, const Plan *plan) {
        printf("%s", plan->title);
        if (plan->to.reference)
                printf("   %s %.12s", plan->to.tag, plan->to.reference);
        putchar('\n');
        print_reasons(plan);
        print_way(world);
        print_releases(world);
        for (size_t i = 0; plan->notes && plan->notes[i]; i++)
                printf("  Note: %s\n", plan->notes[i]);
        if (!plan->n_lines) {
                if (has(app, OPT_EXPLAIN))
                        print_explanation(world->service);
                return;
        }
        putchar('\n');
        print_plan_lines(plan);
        putchar('\n');
        print_downtime(plan);
        if (plan->store) {
                scoped(free_str) char *needs = bytes_text(plan->bytes_needed);
                scoped(free_str) char *has_free = bytes_text(plan->bytes_free);
                printf(" Needs %s in %s (%s free).", needs, plan->store, has_free);
        }
        printf("\n  If verify fails after data changed, data is restored too; what %s wrote is "
               "kept as salvage for 30 days.\n",
                plan->to.version);
        printf("  If the watch fails after users wrote data that the old version may not read, "
               "Belay stops and asks "
               "(rollback.data).\n");
        if (has(app, OPT_EXPLAIN))
                print_explanation(world->service);
        if (plan->story == &update_story && !is_blocked(plan))
                printf("  Plan %s. Run it: belay update %s %s --plan %s\n", plan->id,
                        world->service->name, path_target(world)->version, plan->id);
}

typedef bool (*MakePlan)(World *, const char *, Plan *, Err *);

static bool make_plan(
        App *app, MakePlan make, const char *version, World *world, Plan *plan, Err *err) {
        Service *service = NULL;
        Options options;
        if (!read_options(app, &options, err) || !check_version(version, err) ||
                !app_state(app, err) || !find_service(app, operand(app, 0), &service, err) ||
                !world_open(&app->state, service, world, err))
                return false;
        world->options = options;
        if (!make(world, version, plan, err))
                return false;
        plan_predict(plan, world);
        return true;
}

static void add_release_facts(const World *world, json_t *object) {
        size_t n = 0;
        const char *to = path_target(world)->version;
        scoped(free_mem) const ReleaseInfo **infos =
                release_data_between(&world->releases.data, world->from.version, to, &n);
        json_t *array = json_array();
        for (size_t i = n; i-- > 0;)
                json_array_append_new(array, release_info_to_json(infos[i]));
        js_set(object, "releases", array);
        js_set(object, "path", path_to_json(world));
        js_set_str(object, "support",
                support_name(release_data_support(&world->releases.data, world->from.version)));
        js_set_str(object, "support_of_target",
                support_name(release_data_support(&world->releases.data, to)));
        release_data_facts(world, object);
}

static int show_plan(App *app, const World *world, const Plan *plan) {
        if (app->json) {
                json_t *object = plan_to_json(plan);
                add_release_facts(world, object);
                if (has(app, OPT_EXPLAIN)) {
                        json_t *values = json_array();
                        for (size_t i = 0; i < world->service->n_origins; i++) {
                                json_t *value = json_object();
                                js_set_str(value, "key", world->service->origins[i].key);
                                js_set_str(value, "value", world->service->origins[i].value);
                                js_set_str(value, "from", world->service->origins[i].from);
                                json_array_append_new(values, value);
                        }
                        js_set(object, "values", values);
                }
                app_print_json(app, object);
        } else if (plan->nothing) {
                printf("%s\n", plan->nothing);
                if (has(app, OPT_EXPLAIN))
                        print_explanation(world->service);
        } else {
                print_plan(app, world, plan);
        }
        if (plan->nothing)
                return 0;
        if (is_blocked(plan))
                return reasons_exit_status(&plan->reasons);
        return has(app, OPT_EXIT_CODE) ? 10 : 0;
}

int verb_plan(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(plan_done) Plan plan = {0};
        if (!make_plan(app, plan_update, operand(app, 1), &world, &plan, &err))
                return app_fail(app, &err);
        return show_plan(app, &world, &plan);
}

/* -- update and rollback -- */

/* The run, or the one that came after it on its way. */
static bool load_last_of_way(App *app, unsigned number, Run *ret) {
        scoped(run_done) Run run = {0};
        bool found = false;
        if (!run_load(&app->state, number, &run, NULL))
                return false;
        if (run.state.end == RUN_SUCCEEDED)
                return run_newest(&app->state, run_service(&run), ret, &found, NULL) && found;
        *ret = run;
        run = (Run){0};
        return true;
}

/* A step that a person does is confirmed on the terminal, if there is one; else by `belay accept`. */
static int ask_person(App *app, unsigned number, int status) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        if (status != 8 || !app->can_ask || app->yes || !load_last_of_way(app, number, &run) ||
                !run.state.waiting || !str_equal(js_str(run.state.wait, "for"), "step"))
                return status;
        const char *why = js_str(run.state.wait, "why");
        scoped(free_str) char *question =
                str_format("%s. Is it done?", why ? why : "A step is a person's to do");
        bool yes = false;
        if (!app_ask(app, question, &yes, &err))
                return app_fail(app, &err);
        return yes ? ask_person(app, run.number, recover_run(app, run.number, "accept")) : status;
}

int say_detached(App *app, unsigned run) {
        json_t *object = json_object();
        js_set_int(object, "run", run);
        app_print_json(app, object);
        if (!app->json)
                printf("run #%u goes on by itself. Follow it: belay resume %u\n", run, run);
        return 0;
}

int begin_run(App *app, json_t *request) {
        scoped(err_clear) Err err = {0};
        scoped(runner_started_done) RunnerStarted started = {0};
        if (!not_inside(app, 0, js_str(request, "manifest"), &err)) {
                json_decref(request);
                return app_fail(app, &err);
        }
        follow_prepare();
        if (!runner_start(&app->state, request, &started, &err))
                return app_refuse(app, &err, &started.reasons);
        if (started.nothing) {
                json_t *object = json_object();
                js_set_str(object, "nothing_to_do", started.nothing);
                app_print_json(app, object);
                if (!app->json)
                        printf("%s\n", started.nothing);
                return 0;
        }
        if (has(app, OPT_DETACH))
                return say_detached(app, started.run);
        const Follow follow = {.run = started.run,
                .runner = started.process,
                .from_start = true,
                .until_verified = has(app, OPT_NO_WAIT)};
        return ask_person(app, started.run, follow_run(app, &follow));
}

/* --wait-lock: what there is to do is only known when the other run has ended. */
static bool must_wait(const World *world, const Plan *plan) {
        return world->options.wait_lock_ms && plan->reasons.n == 1 &&
               plan->reasons.items[0].code == REASON_RUN_UNDER_WAY;
}

/* One question, before what interrupts service or discards data. */
static bool confirmed(App *app, const World *world, const Plan *plan, bool *ret_yes, Err *err) {
        *ret_yes = true;
        if (app->yes)
                return true;
        if (!app->json && !app->quiet)
                print_plan(app, world, plan);
        if (must_wait(world, plan))
                return app_ask(app, "Wait for its end, and then do it without asking again?",
                        ret_yes, err);
        scoped(free_str) char *question = str_format("%s: %s is stopped for a moment%s. Go on?",
                plan->title, world->service->name,
                plan->data ? ", and its data replaced (what is there now is kept as salvage)" : "");
        return app_ask(app, question, ret_yes, err);
}

typedef struct Wanted {
        MakePlan make;
        const char *what;    /* "update", "rollback" */
        const char *version; /* NULL: what the channel says, or the version before */
        const char *plan;    /* the id of the plan that a person has seen; NULL: none */
} Wanted;

static json_t *request_of(
        const App *app, const char *manifest, const Wanted *wanted, const Options *options) {
        json_t *request = json_object();
        js_set_str(request, "do", wanted->what);
        js_set_str(request, "manifest", manifest);
        js_set_str(request, "version", wanted->version);
        js_set_str(request, "plan", app->opt[OPT_PLAN] ? app->opt[OPT_PLAN] : wanted->plan);
        js_set(request, "options", options_to_json(options));
        return request;
}

/* With --yes there is nothing to show first: the runner makes its own plan, under the locks. */
static int run_unasked(App *app, const Wanted *wanted) {
        scoped(err_clear) Err err = {0};
        scoped(service_freep) Service *service = NULL;
        Options options;
        if (!read_options(app, &options, &err) || !check_version(wanted->version, &err) ||
                !app_state(app, &err) || !find_service(app, operand(app, 0), &service, &err))
                return app_fail(app, &err);
        return begin_run(app, request_of(app, service->manifest_path, wanted, &options));
}

static int run_planned(App *app, const Wanted *wanted) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(plan_done) Plan plan = {0};
        bool yes = false;
        if (app->yes && !has(app, OPT_DRY_RUN))
                return run_unasked(app, wanted);
        if (!make_plan(app, wanted->make, wanted->version, &world, &plan, &err))
                return app_fail(app, &err);
        if (plan.nothing || has(app, OPT_DRY_RUN))
                return show_plan(app, &world, &plan);
        if (!must_wait(&world, &plan) && !plan_ok(&plan, &err))
                return app_refuse(app, &err, &plan.reasons);
        Options options;
        if (!confirmed(app, &world, &plan, &yes, &err) || !read_options(app, &options, &err))
                return app_fail(app, &err);
        /* What was agreed to is done, or nothing. */
        const Wanted agreed = {wanted->make, wanted->what, wanted->version,
                must_wait(&world, &plan) ? NULL : plan.id};
        return yes ? begin_run(
                             app, request_of(app, world.service->manifest_path, &agreed, &options))
                   : 0;
}

int verb_update(App *app) {
        return run_planned(
                app, &(Wanted){.make = plan_update, .what = "update", .version = operand(app, 1)});
}

/* It interrupts nothing and discards nothing: there is nothing to ask. */
int verb_rehearse(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        scoped(plan_done) Plan plan = {0};
        const Wanted wanted = {
                .make = plan_rehearse, .what = "rehearse", .version = operand(app, 1)};
        if (!has(app, OPT_DRY_RUN))
                return run_unasked(app, &wanted);
        if (!make_plan(app, wanted.make, wanted.version, &world, &plan, &err))
                return app_fail(app, &err);
        return show_plan(app, &world, &plan);
}

static const char *rollback_target(App *app, Err *err) {
        bool two_ways = has(app, OPT_REVERT) && has(app, OPT_RESTORE);
        bool two_targets = has(app, OPT_TO) && has(app, OPT_RUN);
        if (two_ways || two_targets) {
                err_fail(err, ERR_USAGE, "%s contradict each other",
                        two_ways ? "--revert and --restore" : "--to and --run");
                return NULL;
        }
        return app->opt[OPT_TO];
}

/* --run ID: the run whose update is taken back; its version must be the installed one's predecessor. */
static bool version_before_run(App *app, char **ret, Err *err) {
        scoped(run_done) Run run = {0};
        scoped(free_str) char *name = NULL;
        unsigned number = 0;
        if (!parse_run(app->opt[OPT_RUN], &number, err) || !app_state(app, err) ||
                !run_load(&app->state, number, &run, err))
                return false;
        if (!find_name(app, operand(app, 0), &name, err))
                return false;
        if (!str_equal(run_service(&run), name)) {
                err_fail(err, ERR_USAGE, "run #%u is one of %s, not of %s", number,
                        run_service(&run), name);
                return err_hint(err, "`belay runs %s` lists its runs.", name);
        }
        const char *version =
                run.damaged ? NULL : js_str(js_get(run.state.plan, "from"), "version");
        if (!version) {
                err_fail(err, ERR_REFUSED, "run #%u does not say from which version it went",
                        number);
                return err_hint(err, "`belay rollback %s --to VERSION` names one.", name);
        }
        *ret = str_copy(version);
        return true;
}

int verb_rollback(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *before = NULL;
        const char *to = rollback_target(app, &err);
        if (err.code)
                return app_fail(app, &err);
        if (has(app, OPT_RUN) && !version_before_run(app, &before, &err))
                return app_fail(app, &err);
        return run_planned(app, &(Wanted){.make = plan_rollback,
                                        .what = "rollback",
                                        .version = before ? before : to});
}
