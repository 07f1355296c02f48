/*
 * enable, disable, boot. What belay-boot.service runs when the machine has started: the runs that were
 * interrupted go on, the enabled services are started, and what came of it is told and noted.
 */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"
#include "platform/process.h"
#include "update/boot.h"
#include "update/runs.h"

extern char **environ;

/* -- enable, disable -------------------------------------------------------------------------- */

static int say_enabled(App *app, const char *name, bool enabled, bool changed) {
        scoped(free_str) char *missing = enabled ? boot_missing(&app->state) : NULL;
        json_t *object = json_object();
        js_set_str(object, "service", name);
        js_set_bool(object, "enabled", enabled);
        js_set_bool(object, "changed", changed);
        js_set_str(object, "missing", missing);
        app_print_json(app, object);
        if (!app->json)
                printf("%s is %s%s\n", name,
                        !enabled  ? "not started at boot"
                        : missing ? "to be started at boot"
                                  : "started at boot",
                        changed ? "" : " already");
        if (missing)
                fprintf(stderr, "belay: %s\n", missing);
        return 0;
}

int verb_enable(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(service_freep) Service *service = NULL;
        bool changed = false;
        if (!app_state(app, &err) || !find_service(app, operand(app, 0), &service, &err) ||
                !boot_enable(&app->state, service->name, service->manifest_path, &changed, &err))
                return app_fail(app, &err);
        return say_enabled(app, service->name, true, changed);
}

int verb_disable(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *name = NULL;
        bool changed = false;
        if (!app_state(app, &err) || !find_name(app, operand(app, 0), &name, &err) ||
                !boot_disable(&app->state, name, &changed, &err))
                return app_fail(app, &err);
        return say_enabled(app, name, false, changed);
}

/* -- boot: one service ------------------------------------------------------------------------ */

typedef struct Job {
        char *name;
        unsigned run; /* the one that was open when the machine started; 0: none */
        bool enabled, started, failed;
        char *manifest;    /* of the run, for a service that is in no registry */
        char *did, *quiet; /* what was done; why nothing was to be done */
        World world;       /* open only while `started` */
        LogPlace log;
        Follow follow; /* of the run's recovery; run 0: there is none */
} Job;

typedef struct Jobs {
        Job **list;
        size_t n;
} Jobs;

static void jobs_done(Jobs *jobs) {
        for (size_t i = 0; i < jobs->n; i++) {
                world_done(&jobs->list[i]->world);
                free(jobs->list[i]->name);
                free(jobs->list[i]->manifest);
                free(jobs->list[i]->did);
                free(jobs->list[i]->quiet);
                free(jobs->list[i]);
        }
        free(jobs->list);
}

static Job *job_of(Jobs *jobs, const char *name) {
        for (size_t i = 0; i < jobs->n; i++)
                if (str_equal(jobs->list[i]->name, name))
                        return jobs->list[i];
        Job *job = NEW(Job);
        job->name = str_copy(name);
        PUSH(jobs->list, jobs->n, job);
        return job;
}

/* Told at once, so that the system's journal has it in the order of events, and noted for `status`. */
static void job_tell(App *app, Job *job, char *owned, bool failed) {
        str_replace_owned(&job->did, owned);
        job->failed = failed;
        (void)boot_note(&app->state, job->name, job->did, failed, NULL);
        if (!app->json)
                fprintf(failed ? stderr : stdout, "%s: %s\n", job->name, job->did);
        (void)fflush(stdout);
}

static void job_failed(App *app, Job *job, const char *what, Err *err) {
        job_tell(app, job, str_format("%s: %s", what, err->message), true);
        if (err->hint && !app->json)
                fprintf(stderr, "  %s\n", err->hint);
        err_clear(err);
}

static bool world_by_name(App *app, const char *name, const char *manifest, World *ret, Err *err) {
        scoped(free_str) char *path = NULL;
        Service *service = NULL;
        if (!registry_find(name, &path, NULL))
                path = boot_manifest(&app->state, name);
        if (!path)
                path = str_copy(manifest);
        if (!path && !registry_find(name, &path, err))
                return false;
        return manifest_load(path, &service, err) && world_open(&app->state, service, ret, err);
}

/* A run that waits, or that ended with a person needed, left the service as it was meant to be: what ran then
 * runs again, and nothing else does. */
static bool ran_so(const World *world, const RuntimeStatus *now) {
        return now->wanted_running && now->commit && world->from.reference &&
               str_equal(now->commit, world->from.reference);
}

static bool needs_person(const Run *run, bool found) {
        return found && (run->damaged || run->state.end == RUN_NEEDS_PERSON ||
                                (run->state.end == RUN_OPEN && run->state.waiting));
}

/* *ret_why NULL: it is to be started. */
static bool why_not(const Job *job, const RuntimeStatus *now, char **ret_why, Err *err) {
        const World *world = &job->world;
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (now->running) {
                *ret_why = str_copy("runs");
                return true;
        }
        if (!run_newest(world->state, job->name, &newest, &found, err))
                return false;
        if (ran_so(world, now) && (job->run || needs_person(&newest, found)))
                return true;
        if (needs_person(&newest, found)) {
                scoped(free_str) char *how = run_state_text(&newest);
                err_fail(err, ERR_PERSON, "run #%u: %s", newest.number, how);
                return err_hint(err, "`belay report %u` says what is where.", newest.number);
        }
        if (found && newest.state.end == RUN_OPEN)
                return run_refuse_open(world->state, job->name, false, err);
        if (!job->enabled)
                *ret_why = str_copy("not started: it did not run before");
        return true;
}

static bool job_launch(Job *job, char **ret_why, Err *err) {
        const World *world = &job->world;
        scoped(release_service) Held held = HELD_NONE;
        scoped(runtime_status_done) RuntimeStatus now = {0};
        return hold_locks(world, "boot", &held, err) &&
               world->runtime->inspect(&world->runtime_at, &now, err) &&
               why_not(job, &now, ret_why, err) && (*ret_why || start_begin(world, &job->log, err));
}

static void job_start(App *app, Job *job) {
        scoped(err_clear) Err err = {0};
        char *why = NULL;
        if (!world_by_name(app, job->name, job->manifest, &job->world, &err) ||
                !world_look(&job->world, &err) || !job_launch(job, &why, &err)) {
                job_failed(app, job, "not started", &err);
                return;
        }
        job->started = !why;
        str_replace_owned(&job->quiet, why);
        if (why && !app->json)
                printf("%s: %s\n", job->name, why);
}

static void job_wait(App *app, Job *job) {
        scoped(err_clear) Err err = {0};
        const char *version = job->world.from.version ? job->world.from.version : "";
        if (!start_wait(&job->world, &job->log, &err)) {
                job_failed(app, job, "started, but", &err);
                return;
        }
        record_first(&job->world);
        job_tell(app, job,
                str_format(
                        "%s%sstarted %s", job->did ? job->did : "", job->did ? "; " : "", version),
                false);
}

/* -- boot: runs ------------------------------------------------------------------------------- */

/* Only the newest run of a service can be open; run_list gives the newest first. */
static bool find_jobs(App *app, Jobs *jobs, Err *err) {
        scoped(strv_freep) Strv seen = NULL;
        scoped(strv_freep) Strv enabled = NULL;
        Run *runs = NULL;
        size_t n = 0;
        if (!boot_services(&app->state, true, &enabled, err) ||
                !run_list(&app->state, NULL, SIZE_MAX, &runs, &n, err))
                return false;
        for (size_t i = 0; i < n; i++) {
                const char *name = run_service(&runs[i]);
                bool newest = !strv_contains(seen, name);
                /* One that waits for its time may do so for days, and nothing was interrupted. */
                bool patient = run_waits_for_time(&runs[i]) && run_owner_alive(&runs[i]);
                bool open = runs[i].damaged || (runs[i].state.end == RUN_OPEN && !patient);
                if (newest)
                        strv_add(&seen, name);
                if (!newest || !open || !service_name_ok(name))
                        continue;
                Job *job = job_of(jobs, name);
                job->run = runs[i].number;
                job->manifest = str_copy(js_str(runs[i].state.plan, "manifest"));
        }
        run_list_free(runs, n);
        for (size_t i = 0; enabled && enabled[i]; i++)
                job_of(jobs, enabled[i])->enabled = true;
        return true;
}

/* Each run has a runner of its own: none waits for another's watch to be over. */
static void resume_begin(App *app, Job *job) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        if (!run_load(&app->state, job->run, &run, NULL) || run.damaged || run.state.waiting)
                return;
        if (run_owner_alive(&run))
                job->follow = (Follow){.run = job->run, .from_byte = -1};
        else if (!recovery_begin(app, job->run, "finish", &job->follow, &err))
                job_failed(app, job, "resuming its run", &err);
}

static void resume_finish(App *app, Job *job) {
        scoped(run_done) Run run = {0};
        if (job->follow.run)
                (void)follow_run(app, &job->follow);
        if (!run_load(&app->state, job->run, &run, NULL))
                return;
        scoped(free_str) char *how = run_state_text(&run);
        bool done = !run.damaged &&
                    (run.state.end == RUN_SUCCEEDED || run.state.end == RUN_ROLLED_BACK ||
                            run.state.end == RUN_ABORTED);
        job_tell(app, job, str_format("run #%u, which was interrupted: %s", job->run, how), !done);
}

/* -- boot: all -------------------------------------------------------------------------------- */

static int say_all(App *app, const Jobs *jobs) {
        json_t *array = json_array();
        bool failed = false;
        for (size_t i = 0; i < jobs->n; i++) {
                const Job *job = jobs->list[i];
                json_t *object = json_object();
                js_set_str(object, "service", job->name);
                js_set_str(object, "did", job->did ? job->did : job->quiet);
                js_set_bool(object, "failed", job->failed);
                if (job->run)
                        js_set_int(object, "run", job->run);
                json_array_append_new(array, object);
                failed = failed || job->failed;
        }
        app_print_json(app, array);
        if (!app->json && jobs->n == 0)
                puts("no run was interrupted, and no service is enabled");
        return failed ? 1 : 0;
}

/* Services without a run come up first: a run may have a long watch ahead. */
static int boot(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(jobs_done) Jobs jobs = {0};
        if (!app_state(app, &err) || !not_inside(app, 0, NULL, &err) ||
                !find_jobs(app, &jobs, &err))
                return app_fail(app, &err);
        for (size_t i = 0; i < jobs.n; i++)
                if (jobs.list[i]->run)
                        resume_begin(app, jobs.list[i]);
        for (size_t i = 0; i < jobs.n; i++)
                if (!jobs.list[i]->run)
                        job_start(app, jobs.list[i]);
        for (size_t i = 0; i < jobs.n; i++)
                if (jobs.list[i]->started)
                        job_wait(app, jobs.list[i]);
        for (size_t i = 0; i < jobs.n; i++) {
                Job *job = jobs.list[i];
                if (!job->run)
                        continue;
                resume_finish(app, job);
                job_start(app, job);
                if (job->started)
                        job_wait(app, job);
        }
        return say_all(app, &jobs);
}

/* -- boot --shutdown -------------------------------------------------------------------------- */

/* A person who stops or restarts belay-boot.service does not mean the services. */
static bool machine_goes_down(void) {
        static char systemctl[] = "systemctl", user[] = "--user", asked[] = "is-system-running";
        char *argv[] = {systemctl, asked, geteuid() == 0 ? NULL : user, NULL};
        const Child child = {.argv = argv,
                .environment = environ,
                .timeout_ms = 10000,
                .what = "systemctl is-system-running"};
        scoped(child_result_done) ChildResult result = {0};
        if (!getenv("INVOCATION_ID"))
                return true;
        return child_run(&child, &result, NULL) && str_starts(result.out, "stopping");
}

/* One `belay stop` for each: they have limits of their own, and none waits for another. */
static bool stop_begin(App *app, const char *name, ProcessId *ret) {
        scoped(world_done) World world = {0};
        scoped(runtime_status_done) RuntimeStatus now = {0};
        scoped(free_str) char *self = process_own_path();
        scoped(free_str) char *root = str_copy(app->state.root);
        static char state[] = "--state", file[] = "-f", stop[] = "stop";
        if (!self || !world_by_name(app, name, NULL, &world, NULL) ||
                !world.runtime->inspect(&world.runtime_at, &now, NULL) ||
                (!now.running && !now.restart_pending))
                return false;
        char *argv[] = {self, state, root, file, world.service->manifest_path, stop, NULL};
        const Detached command = {.argv = argv,
                .stdin_fd = -1,
                .stdout_fd = STDOUT_FILENO,
                .stderr_fd = STDERR_FILENO};
        return process_start_detached(&command, ret, NULL);
}

static int going_down(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(strv_freep) Strv names = NULL;
        if (!machine_goes_down()) {
                puts("the machine is not going down: the services run on");
                return 0;
        }
        if (!app_state(app, &err) || !boot_services(&app->state, false, &names, &err))
                return app_fail(app, &err);
        scoped(free_mem) ProcessId *stops = NEW_ARRAY(ProcessId, strv_count(names) + 1);
        int status = 0, worst = 0;
        for (size_t i = 0; names && names[i]; i++)
                if (!stop_begin(app, names[i], &stops[i]))
                        stops[i].pid = 0;
        for (size_t i = 0; names && names[i]; i++)
                if (stops[i].pid && waitpid(stops[i].pid, &status, 0) > 0)
                        worst = status ? 1 : worst;
        return worst;
}

int verb_boot(App *app) { return app->opt[OPT_SHUTDOWN] ? going_down(app) : boot(app); }
