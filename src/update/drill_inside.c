/*
 * The inside of a drill: process 1 of namespaces of its own, on a copy. Starts the old version, begins an
 * update, kills its runner when the step that is asked for has begun, has the run resumed, and judges what is
 * there then.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/drill.h"
#include "update/known.h"
#include "update/rehearsal.h"
#include "update/request.h"
#include "update/runner.h"
#include "update/runs.h"
#include "update/steps.h"
#include "update/stories.h"

enum {
        REQUEST_MAX = 1024 * 1024,
        LOOK_EVERY_MS = 20,
        RESUMES_MAX = 20,
        PAUSE_MS = 100,
};

typedef struct Inside {
        const State *state;
        json_t *request, *said;
        World world;
        char *backup; /* of before, in the copy's own store */
} Inside;

static void inside_done(Inside *inside) {
        world_done(&inside->world);
        json_decref(inside->request);
        json_decref(inside->said);
        free(inside->backup);
}

/* -- the old version, as it was --------------------------------------------------------------- */

static bool serves(const World *world, const Release *release, Err *err) {
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        scoped(strv_freep) Strv only = NULL;
        strv_add(&only, "");
        for (size_t i = 0; i < world->service->n_checks; i++)
                if (rehearsal_can_ask(&world->service->checks[i]) &&
                        world->service->checks[i].kind != CHECK_LOG)
                        strv_add(&only, world->service->checks[i].title);
        const Ask ask = {.release = release, .only = only};
        return world_ask_checks(world, &ask, &outcome, err) &&
               (rehearsal_is_loopback(world->service->installed.http) ||
                                       !world->service->installed.http
                               ? check_reference(world, release, err)
                               : true);
}

static bool begin(Inside *inside, Err *err) {
        World *world = &inside->world;
        scoped(published_done) Published backup = {0};
        if (!request_world(inside->state, inside->request, world, err) ||
                !rehearsal_forget_sidecars(world->service, err) ||
                !world->source->alone(&world->source_at, &world->to, err) ||
                !start_release(world, &world->from, err) || !serves(world, &world->from, err) ||
                !backups_take(world, &world->from, "drill", &backup, err))
                return err_context(err, "the old version on the copy");
        inside->backup = str_copy(backup.id);
        return true;
}

/* -- the update, and its death ---------------------------------------------------------------- */

static json_t *update_request(const Inside *inside) {
        const World *world = &inside->world;
        const Options options = {.no_rehearsal = true,
                .accept_breaking = true,
                .allow_downgrade = true,
                .even_if_bad = true,
                .reinstall = js_bool(inside->request, "reinstall", false)};
        json_t *request = json_object();
        js_set_str(request, "do", "update");
        js_set_str(request, "manifest", world->service->manifest_path);
        js_set_str(request, "version", world->service->git.branch ? NULL : world->to.tag);
        js_set(request, "options", options_to_json(&options));
        return request;
}

/* Has the step begun? Sets *ret_over when it has ended before anybody looked. */
static bool has_begun(const Inside *inside, unsigned run, bool *ret_over) {
        const char *step = js_str(inside->request, "step"),
                   *instance = js_str(inside->request, "instance");
        scoped(run_done) Run now = {0};
        if (!run_load(inside->state, run, &now, NULL))
                return false;
        const StepRecord *record = run_state_step(&now.state, step, instance);
        *ret_over = now.state.end != RUN_OPEN ||
                    (record && record->forward != STEP_NOT_BEGUN && record->forward != STEP_OPEN);
        return record && record->forward == STEP_OPEN;
}

static void wait_for_news(int fd) {
        char room[4096];
        (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, LOOK_EVERY_MS);
        while (read(fd, room, sizeof(room)) > 0)
                ;
}

/* A step may be over in a millisecond: whoever waits for it is woken before others, where that is allowed. */
static void be_quick(bool quick) {
        const struct sched_param first = {.sched_priority = quick ? 1 : 0};
        (void)sched_setscheduler(0, quick ? SCHED_RR | SCHED_RESET_ON_FORK : SCHED_OTHER, &first);
}

/* Stopped while it is looked at, it cannot be past what is seen. */
static void kill_at_step(const Inside *inside, const RunnerStarted *started) {
        scoped(free_str) char *journal = state_run_file(inside->state, started->run, "journal");
        scoped(close_fd) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        bool over = false;
        if (fd >= 0)
                (void)inotify_add_watch(fd, journal, IN_MODIFY);
        be_quick(true);
        while (process_alive(&started->process)) {
                (void)process_signal(&started->process, SIGSTOP, NULL);
                bool now = has_begun(inside, started->run, &over);
                if (now || over) {
                        (void)process_signal(&started->process, SIGKILL, NULL);
                        break;
                }
                (void)process_signal(&started->process, SIGCONT, NULL);
                wait_for_news(fd);
        }
        be_quick(false);
}

static void wait_for_end(const RunnerStarted *started) {
        while (process_alive(&started->process))
                clock_sleep_ms(LOOK_EVERY_MS);
        (void)waitpid(started->process.pid, NULL, 0);
}

static void note_death(Inside *inside, unsigned run) {
        scoped(run_done) Run now = {0};
        if (!run_load(inside->state, run, &now, NULL) || now.state.end != RUN_OPEN)
                return;
        const StepRecord *open = run_open_step(&now.state);
        js_set_str(inside->said, "killed_at", open ? open->name : "between two steps");
}

static bool update_and_die(Inside *inside, unsigned *ret_run, Err *err) {
        scoped(runner_started_done) RunnerStarted started = {0};
        if (!runner_start(inside->state, update_request(inside), &started, err))
                return false;
        if (!started.run)
                return err_fail(err, ERR_ANSWER_NO, "%s", started.nothing);
        if (js_str(inside->request, "step"))
                kill_at_step(inside, &started);
        wait_for_end(&started);
        if (js_str(inside->request, "step"))
                note_death(inside, started.run);
        *ret_run = started.run;
        return true;
}

/* -- its recovery ----------------------------------------------------------------------------- */

static bool is_open(const Inside *inside, unsigned run) {
        scoped(run_done) Run now = {0};
        return run_load(inside->state, run, &now, NULL) && now.state.end == RUN_OPEN &&
               !now.state.waiting;
}

static bool resume(Inside *inside, unsigned run, Err *err) {
        int64_t began = clock_now_ms();
        for (int i = 0; i < RESUMES_MAX && is_open(inside, run); i++) {
                scoped(runner_started_done) RunnerStarted started = {0};
                json_t *request = json_object();
                js_set_str(request, "do", "recover");
                js_set_int(request, "run", run);
                js_set_str(request, "wish", "finish");
                err_clear(err);
                if (runner_start(inside->state, request, &started, err))
                        wait_for_end(&started);
                else if (err->code != ERR_LOCKED)
                        return err_context(err, "resuming it");
                else
                        clock_sleep_ms(PAUSE_MS);
        }
        js_set_int(inside->said, "recovery_ms", clock_now_ms() - began);
        return true;
}

/* -- what is there then ----------------------------------------------------------------------- */

/* The old version's data is all there; what the new one made of it can be read and backed up. */
static bool data_is_whole(Inside *inside, bool is_new, Err *err) {
        World *world = &inside->world;
        scoped(backup_loss_done) BackupLoss loss = {0};
        scoped(published_done) Published backup = {0};
        if (is_new)
                return backups_take(world, &world->to, "drill", &backup, err);
        if (!backup_loss(world_store(world), world->service->name, inside->backup, &loss, err))
                return false;
        if (!loss.schema_changed && !loss.fewer_rows && !loss.missing_files)
                return true;
        return err_fail(err, ERR_ANSWER_NO, "data is not as it was: %s",
                loss.lines ? loss.lines[0] : "something is missing");
}

static bool judge(Inside *inside, unsigned run, Err *err) {
        const World *world = &inside->world;
        scoped(run_done) Run now = {0};
        if (!run_load(inside->state, run, &now, err))
                return false;
        bool is_new = now.state.end == RUN_SUCCEEDED;
        const Release *release = is_new ? &world->to : &world->from;
        scoped(free_str) char *text = run_state_text(&now);
        js_set_str(inside->said, "end", text);
        if (now.state.end == RUN_OPEN || now.state.end == RUN_NEEDS_PERSON)
                return err_fail(err, ERR_ANSWER_NO, "the run did not come to an end: %s", text);
        if (!js_str(inside->request, "step") && !is_new) {
                const char *why = js_str(js_get(now.state.end_record, "error"), "message");
                return err_fail(err, ERR_ANSWER_NO, "%s", why ? why : text);
        }
        if (!serves(world, release, err))
                return err_context(err, "%s", release->version);
        js_set_str(inside->said, "version", release->version);
        return data_is_whole(inside, is_new, err);
}

/* Those that go forward: each of them can be met by a death. */
static void name_steps(Inside *inside, unsigned run) {
        json_t *steps = json_array();
        scoped(run_done) Run now = {0};
        js_set(inside->said, "steps", steps);
        if (!run_load(inside->state, run, &now, NULL))
                return;
        for (size_t i = 0; i < now.state.n_steps; i++) {
                const StepRecord *record = &now.state.steps[i];
                if (record->forward != STEP_DONE)
                        continue;
                json_t *step = json_object();
                js_set_str(step, "step", record->name);
                js_set_str(step, "instance", record->instance);
                json_array_append_new(steps, step);
        }
}

static bool play(Inside *inside, Err *err) {
        unsigned run = 0;
        inside->request = request_read(REQUEST_MAX, err);
        if (!inside->request)
                return false;
        js_set_str(inside->said, "step", js_str(inside->request, "step"));
        js_set_str(inside->said, "instance", js_str(inside->request, "instance"));
        if (!begin(inside, err) || !update_and_die(inside, &run, err))
                return false;
        if (js_str(inside->request, "step")) {
                if (!resume(inside, run, err))
                        return false;
        } else {
                name_steps(inside, run);
        }
        return judge(inside, run, err);
}

static void on_signal(int signal_number) {
        (void)signal_number;
        _exit(1);
}

int drill_main(const State *state) {
        fault_role("drill");
        /* Who recovers is the one that is watched here. */
        (void)setenv("BELAY_NO_KEEPER_RESUME", "1", 1);
        scoped(err_clear) Err err = {0};
        scoped(inside_done) Inside inside = {.state = state, .said = json_object()};
        (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
        bool whole = play(&inside, &err);
        js_set_bool(inside.said, "whole", whole);
        js_set_str(inside.said, "why", whole ? NULL : err.message);
        scoped(free_str) char *line = js_line(inside.said);
        return fd_write_all(STDOUT_FILENO, line, strlen(line), "the answer", NULL) ? 0 : 1;
}
