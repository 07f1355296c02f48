/* resume, cancel, accept: what becomes of a run that is open. */
#include "cli/verbs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/follow.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/lock.h"
#include "update/path.h"
#include "update/runner.h"
#include "update/runs.h"

static bool has(const App *app, Opt opt) { return app->opt[opt] != NULL; }

static bool is_open(const Run *run) { return !run->damaged && run->state.end == RUN_OPEN; }

/* Open, or the last of what was done of a way that goes on. */
static bool is_unfinished(const Run *run, bool newest) {
        return is_open(run) || (newest && path_rest(run));
}

/* A damaged run that others followed was a person's, and is settled. */
static bool is_newest(const Run *runs, size_t at) {
        for (size_t i = 0; i < at; i++)
                if (str_equal(run_service(&runs[i]), run_service(&runs[at])))
                        return false;
        return true;
}

/* The open run of this directory's service, else the only one. */
static bool find_open_run(App *app, unsigned *ret, Err *err) {
        scoped(free_str) char *here = NULL;
        Run *runs = NULL;
        size_t n = 0, found = 0;
        if (find_name(app, NULL, &here, NULL)) {
                scoped(run_done) Run newest = {0};
                bool any = false;
                if (!run_newest(&app->state, here, &newest, &any, err))
                        return false;
                if (any && (newest.damaged || is_unfinished(&newest, true))) {
                        *ret = newest.number;
                        return true;
                }
        }
        if (!run_list(&app->state, NULL, 10000, &runs, &n, err))
                return false;
        scoped(str_done) Str names = {0};
        for (size_t i = 0; i < n; i++)
                if (is_unfinished(&runs[i], is_newest(runs, i))) {
                        found++;
                        *ret = runs[i].number;
                        str_addf(&names, "#%u %s\n", runs[i].number, run_service(&runs[i]));
                }
        run_list_free(runs, n);
        if (found <= 1) {
                *ret = found ? *ret : 0;
                return true;
        }
        err_fail(err, ERR_USAGE, "%zu runs are open; say which", found);
        return err_hint(err, "%s", names.text);
}

bool recovery_begin(App *app, unsigned run, const char *wish, Follow *ret, Err *err) {
        scoped(runner_started_done) RunnerStarted started = {0};
        json_t *request = json_object();
        js_set_str(request, "do", "recover");
        js_set_int(request, "run", run);
        js_set_str(request, "wish", wish);
        js_set_bool(request, "again", has(app, OPT_TRY_AGAIN));
        /* Only what comes from now on is followed. */
        scoped(free_str) char *path = state_run_file(&app->state, run, "events");
        struct stat before = {0};
        bool there = false;
        (void)file_stat(path, &before, &there, NULL);
        if (!runner_start(&app->state, request, &started, err))
                return false;
        *ret = (Follow){
                .run = run, .runner = started.process, .from_byte = (int64_t)before.st_size};
        return true;
}

int recover_run(App *app, unsigned run, const char *wish) {
        scoped(err_clear) Err err = {0};
        Follow follow = {0};
        if (!recovery_begin(app, run, wish, &follow, &err))
                return app_fail(app, &err);
        return has(app, OPT_DETACH) ? say_detached(app, run) : follow_run(app, &follow);
}

static int say_ended(App *app, const Run *run) {
        scoped(free_str) char *how = run_state_text(run);
        json_t *object = json_object();
        js_set_int(object, "run", run->number);
        js_set_str(object, "state", run_end_name(run->state.end));
        app_print_json(app, object);
        if (!app->json)
                printf("run #%u of %s has ended: %s\n", run->number, run_service(run), how);
        if (!app->json && run->state.end == RUN_NEEDS_PERSON)
                printf("  What stopped it: belay report %u. Once that is mended: belay resume %u "
                       "--try-again\n",
                        run->number, run->number);
        static const int exits[] = {[RUN_SUCCEEDED] = 0,
                [RUN_ROLLED_BACK] = 3,
                [RUN_ABORTED] = 3,
                [RUN_NEEDS_PERSON] = 4,
                [RUN_OPEN] = 1};
        return exits[run->state.end];
}

/* What has succeeded is not undone by a word that means another run, perhaps. */
static bool too_late(const Run *run, Err *err) {
        err_fail(err, ERR_REFUSED, "run #%u of %s has succeeded: there is nothing to cancel",
                run->number, run_service(run));
        return err_hint(
                err, "`belay rollback %s` goes back to the version before.", run_service(run));
}

static int damaged(App *app, const Run *run) {
        scoped(err_clear) Err err = {0};
        err_fail(&err, ERR_PERSON, "run #%u needs a person: %s", run->number, run->why);
        err_hint(&err,
                "Its files are in '%s/runs/%u'. Look at what runs (`belay status`), then move that "
                "directory away.",
                app->state.root, run->number);
        return app_fail(app, &err);
}

/* The run has succeeded, and the next on its way did not begin. A runner that lives is about to begin it. */
static int go_on(App *app, const Run *run) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (run_owner_alive(run)) {
                const Follow follow = {.run = run->number, .from_start = true};
                return has(app, OPT_DETACH) ? say_detached(app, run->number)
                                            : follow_run(app, &follow);
        }
        if (!run_newest(&app->state, run_service(run), &newest, &found, &err))
                return app_fail(app, &err);
        if (newest.number != run->number)
                return say_ended(app, run);
        if (!app->json)
                printf("run #%u of %s was a stop on the way to %s: the next update begins\n",
                        run->number, run_service(run), path_target_of(run));
        return begin_run(app, path_request(run));
}

enum { NEXT_BEGINS_WITHIN_MS = 60 * 1000 };

/* A runner that lives is about to begin the next, or to note that it cannot: two would write to one journal. */
static bool wait_for_its_runner(const Run *run, Err *err) {
        ProcessId owner = {0};
        if (!run->state.owner || !process_from_json(run->state.owner, &owner) ||
                process_wait_dead(&owner, clock_now_ms() + NEXT_BEGINS_WITHIN_MS))
                return true;
        err_fail(err, ERR_LOCKED, "the runner of run #%u is about to begin the next", run->number);
        return err_hint(err, "`belay runs %s` shows whether it has.", run_service(run));
}

/* What it was a stop of has gone on, or has ended, if another run came after it. */
static bool is_last(const App *app, const Run *run, Err *err) {
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (!run_newest(&app->state, run_service(run), &newest, &found, err))
                return false;
        return (found && newest.number == run->number) || too_late(run, err);
}

/* Under the lock of the service, so that no other run begins meanwhile; somebody may have ended it already. */
static bool end_way(const App *app, const Run *run, Err *err) {
        scoped(run_done) Run now = {0};
        if (!is_last(app, run, err) || !run_load(&app->state, run->number, &now, err))
                return false;
        return !path_rest(&now) || path_end(&app->state, &now, "a person left it at that", err);
}

/* The version that it has come to stays. */
static int leave_it_at_that(App *app, const Run *run) {
        scoped(err_clear) Err err = {0};
        scoped(lock_release) Lock lock = LOCK_NONE;
        scoped(free_str) char *path = state_lock_file(&app->state, run_service(run));
        const LockOwner owner = {.what = "ending a way"};
        if (!wait_for_its_runner(run, &err) || !is_last(app, run, &err) ||
                !lock_take(path, &owner, 0, &lock, &err) || !end_way(app, run, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_int(object, "run", run->number);
        js_set_str(object, "state", "succeeded");
        app_print_json(app, object);
        if (!app->json)
                printf("%s stays at %s: the way to %s is not gone on\n", run_service(run),
                        js_str(js_get(run->state.plan, "to"), "version"), path_target_of(run));
        return 0;
}

enum { BEGIN_LIMIT_MS = 3000, BEGIN_LOOK_MS = 20 };

/* A runner that has just begun tells its number an instant before it has signed its journal: while somebody
 * holds the service and nobody has signed, it is waited for. */
static bool load_signed(const App *app, unsigned number, Run *ret, Err *err) {
        for (int64_t until = clock_now_ms() + BEGIN_LIMIT_MS;;) {
                scoped(free_str) char *path = NULL;
                scoped(free_str) char *holder = NULL;
                if (!run_load(&app->state, number, ret, err))
                        return false;
                if (!is_open(ret) || ret->state.owner || clock_now_ms() >= until)
                        return true;
                path = state_lock_file(&app->state, run_service(ret));
                holder = lock_owner_text(path);
                if (!holder)
                        return true;
                clock_sleep_ms(BEGIN_LOOK_MS);
                run_done(ret);
        }
}

bool not_inside(const App *app, unsigned run, const char *manifest, Err *err) {
        unsigned own = run_around_us(&app->state);
        scoped(run_done) Run around = {0};
        if (!own || (run && run != own) || !run_load(&app->state, own, &around, NULL) ||
                around.damaged || around.state.end != RUN_OPEN ||
                (manifest && !str_equal(js_str(around.state.plan, "manifest"), manifest)))
                return true;
        err_fail(err, ERR_LOCKED, "run #%u of %s is what calls this: it cannot be waited for", own,
                run_service(&around));
        err_reason(err, reason_code(REASON_INSIDE_RUN));
        return err_hint(err,
                "Hooks and migrations may look (status, runs, plan, logs), and `cancel --detach` "
                "or `accept --detach` the run that they are part of.");
}

/* Its runner lives: it is told, and followed to its end. */
static int ask_living(App *app, unsigned number, const char *wish) {
        scoped(err_clear) Err err = {0};
        bool finish = str_equal(wish, "finish"), accept = str_equal(wish, "accept");
        if (!has(app, OPT_DETACH) && !not_inside(app, number, NULL, &err))
                return app_fail(app, &err);
        if (!finish && !runner_signal(&app->state, number, accept ? SIGUSR2 : SIGUSR1, &err))
                return app_fail(app, &err);
        if (has(app, OPT_DETACH))
                return say_detached(app, number);
        const Follow follow = {.run = number, .from_start = finish, .from_byte = -1};
        return follow_run(app, &follow);
}

static int resume_one(App *app, unsigned number, const char *wish) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        if (!load_signed(app, number, &run, &err))
                return app_fail(app, &err);
        if (run.damaged)
                return damaged(app, &run);
        if (path_rest(&run) && !str_equal(wish, "accept"))
                return str_equal(wish, "finish") ? go_on(app, &run) : leave_it_at_that(app, &run);
        if (run.state.end == RUN_SUCCEEDED && str_equal(wish, "undo")) {
                (void)too_late(&run, &err);
                return app_fail(app, &err);
        }
        if (run.state.end == RUN_NEEDS_PERSON && has(app, OPT_TRY_AGAIN))
                return recover_run(app, number, wish);
        if (run.state.end != RUN_OPEN)
                return say_ended(app, &run);
        if (run_owner_alive(&run) && !run.state.waiting)
                return ask_living(app, number, wish);
        return recover_run(app, number, wish);
}

static int say_nothing_open(App *app) {
        json_t *object = json_object();
        js_set_str(object, "nothing_to_do", "no run is open");
        app_print_json(app, object);
        if (!app->json)
                puts("no run is open: there is nothing to resume");
        return 0;
}

static int resume_all(App *app) {
        scoped(err_clear) Err err = {0};
        Run *runs = NULL;
        size_t n = 0;
        int worst = 0;
        bool any = false;
        if (!run_list(&app->state, NULL, 10000, &runs, &n, &err))
                return app_fail(app, &err);
        for (size_t i = n; i-- > 0;) {
                bool stuck = runs[i].damaged && is_newest(runs, i);
                /* One that waits for its time may do so for days. */
                bool patient = run_waits_for_time(&runs[i]) && run_owner_alive(&runs[i]);
                if (!stuck && (!is_unfinished(&runs[i], is_newest(runs, i)) ||
                                      runs[i].state.waiting || patient))
                        continue;
                any = true;
                int status =
                        stuck ? damaged(app, &runs[i]) : resume_one(app, runs[i].number, "finish");
                worst = status > worst ? status : worst;
        }
        run_list_free(runs, n);
        if (!any)
                return say_nothing_open(app);
        return worst;
}

static int recovery_verb(App *app, const char *wish, bool may_be_none) {
        scoped(err_clear) Err err = {0};
        unsigned run = 0;
        if (!app_state(app, &err))
                return app_fail(app, &err);
        if (has(app, OPT_TRY_AGAIN) && !app->n_args)
                return app_usage(app, "--try-again wants the number of the run");
        if (has(app, OPT_ALL))
                return app->n_args ? app_usage(app, "'belay resume' takes either a run or --all")
                                   : resume_all(app);
        if (app->n_args ? !parse_run(app->args[0], &run, &err) : !find_open_run(app, &run, &err))
                return app_fail(app, &err);
        if (run)
                return resume_one(app, run, wish);
        if (!may_be_none)
                return app_usage(app, "no run is open");
        return say_nothing_open(app);
}

int verb_resume(App *app) { return recovery_verb(app, "finish", true); }
int verb_cancel(App *app) { return recovery_verb(app, "undo", false); }
int verb_accept(App *app) { return recovery_verb(app, "accept", false); }
