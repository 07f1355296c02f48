#include "update/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "engine/engine.h"
#include "manifest/manifest.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/lock.h"
#include "update/again.h"
#include "update/backups.h"
#include "update/known.h"
#include "update/path.h"
#include "update/plan.h"
#include "update/request.h"
#include "update/result.h"
#include "update/runs.h"
#include "update/stories.h"
#include "update/world.h"

/* Set by signal handlers only. */
static Cancel cancel_wish, watch_cancel;
static Wishes wishes;
static volatile int accepted;

typedef struct Runner {
        const State *state;
        json_t *request;
        World world;
        Plan plan;
        Lock service_lock, directory_lock;
        Journal *journal;
        RecordList records;
        RunState run_state;
        Events events;
} Runner;

static void runner_done(Runner *runner) {
        journal_close(runner->journal);
        record_list_done(&runner->records);
        run_state_done(&runner->run_state);
        events_close(&runner->events);
        plan_done(&runner->plan);
        world_done(&runner->world);
        lock_release(&runner->directory_lock);
        lock_release(&runner->service_lock);
        json_decref(runner->request);
}

/* ---- signals ---- */

static void on_signal(int signal_number) {
        if (signal_number == SIGUSR2)
                accepted = 1;
        else
                cancel_wish.requested = signal_number == SIGINT ? 2 : 1;
        if (signal_number != SIGUSR2 && !wishes.deaf)
                wishes.steps.requested = 1;
        /* During the watch Ctrl-C only ends the following of it. */
        if (signal_number != SIGINT)
                watch_cancel.requested = 1;
}

static void set_up_signals(void) {
        static const int taken[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
        static const int ignored[] = {SIGHUP, SIGPIPE, SIGTTOU, SIGTTIN};
        struct sigaction action = {.sa_handler = on_signal};
        for (size_t i = 0; i < COUNT_OF(taken); i++)
                sigaction(taken[i], &action, NULL);
        action.sa_handler = SIG_IGN;
        for (size_t i = 0; i < COUNT_OF(ignored); i++)
                sigaction(ignored[i], &action, NULL);
}

/* ---- the one line that the command waits for ---- */

/* False when nobody listens any more: whoever asked is gone, so nothing is begun. */
static bool answer(json_t *line) {
        scoped(free_str) char *text = js_line(line);
        json_decref(line);
        scoped(free_str) char *with_end = str_format("%s\n", text);
        size_t n = strlen(with_end);
        bool heard = write(STDOUT_FILENO, with_end, n) == (ssize_t)n;
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) {
                (void)dup2(null, STDOUT_FILENO);
                (void)close(null);
        }
        return heard;
}

static int answer_refused(const Err *err, const ReasonList *reasons) {
        json_t *error = json_object(), *line = json_object();
        js_set_str(error, "code", err_name(err->code));
        js_set_str(error, "message", err->message);
        js_set_str(error, "hint", err->hint);
        js_set_str(error, "reason", err->reason);
        js_set(line, "error", error);
        js_set(line, "reasons", reasons_to_json(reasons));
        (void)answer(line);
        return err_exit_status(err->code);
}

static json_t *answer_run(unsigned run) {
        json_t *line = json_object();
        js_set_int(line, "run", run);
        return line;
}

/* ---- locks ---- */

static bool take_locks(Runner *runner, int64_t wait_ms, Err *err) {
        const Service *service = runner->world.service;
        scoped(free_str) char *path = state_lock_file(runner->state, service->name);
        scoped(free_str) char *what = str_format("a run of %s", service->name);
        const LockOwner owner = {.what = what};
        if (!lock_take(path, &owner, wait_ms, &runner->service_lock, err) ||
                !lock_take_directory(service->directory, wait_ms, &runner->directory_lock, err))
                return err_context(err, "%s", service->name);
        return true;
}

static void let_locks_go(void *lock_holder) {
        Runner *runner = lock_holder;
        lock_release(&runner->directory_lock);
        lock_release(&runner->service_lock);
        runner->directory_lock = runner->service_lock = LOCK_NONE;
}

static bool take_locks_again(void *lock_holder, int64_t wait_ms, Err *err) {
        Runner *runner = lock_holder;
        scoped(free_str) char *what =
                str_format("%s of %s", runner->plan.story->kind, runner->world.service->name);
        return take_locks(runner, wait_ms, err) &&
               lock_describe(&runner->service_lock,
                       &(LockOwner){.what = what, .run = runner->world.run}, err);
}

/* ---- beginning ---- */

static bool load_service(Runner *runner, Err *err) {
        const char *path = js_str(runner->request, "manifest");
        Service *service = NULL;
        if (!path)
                return err_fail(err, ERR_BUG, "the request names no manifest");
        if (!manifest_load(path, &service, err))
                return false;
        return world_open(runner->state, service, &runner->world, err);
}

static bool make_plan(Runner *runner, Err *err) {
        World *world = &runner->world;
        const char *what = js_str(runner->request, "do"),
                   *version = js_str(runner->request, "version");
        if (str_equal(what, "update"))
                return plan_update(world, version, &runner->plan, err);
        if (str_equal(what, "rehearse"))
                return plan_rehearse(world, version, &runner->plan, err);
        if (str_equal(what, "rollback"))
                return plan_rollback(world, version, &runner->plan, err);
        return plan_restore(world, js_str(runner->request, "backup"),
                js_str(runner->request, "only"), &runner->plan, err);
}

static bool check_plan_id(const Runner *runner, Err *err) {
        const char *wanted = js_str(runner->request, "plan");
        if (!wanted || str_equal(wanted, runner->plan.id))
                return true;
        err_fail(err, ERR_REFUSED, "plan %s is out of date: the plan would now be %s", wanted,
                runner->plan.id);
        err_reason(err, reason_code(REASON_PLAN_CHANGED));
        return err_hint(err, "Look at `belay plan %s` again.", runner->world.service->name);
}

/* Everything that recovery needs is on disk before PLAN names it. */
static bool begin_run(Runner *runner, Err *err) {
        World *world = &runner->world;
        unsigned run = 0;
        if (!state_new_run(runner->state, &run, err))
                return false;
        world_set_run(world, run);
        scoped(free_str) char *manifest = world_undo_file(world, "belay.yaml");
        scoped(free_str) char *journal = state_run_file(runner->state, run, "journal");
        scoped(free_str) char *events = state_run_file(runner->state, run, "events");
        const Service *service = world->service;
        if (!file_write_durable(
                    manifest, service->manifest_text, service->manifest_bytes, 0600, err) ||
                !events_open(events, &runner->events, err) ||
                !journal_create(journal, &runner->journal, err))
                return false;
        world->events = &runner->events;
        json_t *record = plan_to_record(&runner->plan, world);
        if (!journal_append(runner->journal, RECORD_PLAN, record, err))
                return false;
        scoped(free_str) char *what =
                str_format("%s of %s", runner->plan.story->kind, service->name);
        return lock_describe(&runner->service_lock, &(LockOwner){.what = what, .run = run}, err) &&
               journal_read(journal, &runner->records, err) &&
               run_state_of(&runner->records, &runner->run_state, err);
}

static void add_run_event(Runner *runner) {
        json_t *fields = json_object();
        js_set_int(fields, "run", runner->world.run);
        js_set_str(fields, "service", runner->world.service->name);
        js_set_str(fields, "title", runner->plan.title);
        js_set_str(fields, "run_kind", runner->plan.story->kind);
        if (runner->world.n_way > 1)
                js_set(fields, "path", path_to_json(&runner->world));
        events_add(&runner->events, "run", fields);
}

static Engine engine_of(Runner *runner, const Story *story) {
        runner->world.run_state = &runner->run_state;
        runner->world.accepted = &accepted;
        runner->world.let_locks_go = let_locks_go;
        runner->world.take_locks_again = take_locks_again;
        runner->world.lock_holder = runner;
        runner->world.watch_cancel = &watch_cancel;
        return (Engine){
                .story = story,
                .world = &runner->world,
                .journal = runner->journal,
                .run = &runner->run_state,
                .events = &runner->events,
                .cancel = &cancel_wish,
        };
}

/* ---- the way goes on ---- */

/* Nobody may begin it by surprise later: a next run that cannot begin ends the way, and the journal says so. */
static void end_way(Runner *runner, const Run *run, const char *what, const Err *why) {
        scoped(free_str) char *text = str_format(
                "%s%s%s", what, why->message ? ": " : "", why->message ? why->message : "");
        json_t *note = json_object();
        js_set_str(note, "kind", "path-ended");
        js_set_str(note, "text", text);
        if (!journal_dead(runner->journal))
                (void)journal_append(runner->journal, RECORD_NOTE, note, NULL);
        else
                json_decref(note);
        json_t *fields = json_object();
        js_set_str(fields, "target", path_target_of(run));
        js_set_str(fields, "text", text);
        js_set_str(fields, "error", why->message);
        js_set_str(fields, "hint", why->hint);
        js_set_str(fields, "code", why->message ? err_name(why->code) : NULL);
        js_set_int(fields, "exit", err_exit_status(why->code));
        events_add(&runner->events, "next", fields);
}

/* The run has succeeded, and others are to follow: the next has a runner of its own. Locks are released. */
static void go_on(Runner *runner) {
        scoped(run_done) Run run = {0};
        scoped(err_clear) Err why = {0};
        scoped(runner_started_done) RunnerStarted started = {0};
        if (!run_load(runner->state, runner->world.run, &run, NULL))
                return;
        json_t *request = path_request(&run);
        if (!request)
                return;
        if (!runner_start(runner->state, request, &started, &why)) {
                end_way(runner, &run, "the next run could not begin", &why);
                return;
        }
        if (!started.run) {
                end_way(runner, &run, started.nothing ? started.nothing : "nothing is left to do",
                        &why);
                return;
        }
        json_t *fields = json_object();
        js_set_str(fields, "target", path_target_of(&run));
        js_set_int(fields, "next", started.run);
        js_set(fields, "runner", process_to_json(&started.process));
        events_add(&runner->events, "next", fields);
}

/* The engine has returned: what is left is for people. Nothing here decides anything. */
static int finish(Runner *runner, bool whole, RunOutcome *outcome, Err *err) {
        if (!whole) {
                result_died(&runner->world, err);
                return err_exit_status(err->code) ? err_exit_status(err->code) : 1;
        }
        /* That it fails loses nothing: it stays where it is until a person has decided. */
        if (outcome->end == RUN_NEEDS_PERSON)
                (void)backups_publish_for_person(&runner->world, NULL);
        result_write(&runner->world);
        (void)runner->world.runtime->unguard(&runner->world.runtime_at, runner->world.run, NULL);
        scoped(free_str) char *text = result_text(&runner->world, outcome);
        /* Whoever reads the result may begin the next thing at once: it finds no lock. */
        lock_release(&runner->directory_lock);
        lock_release(&runner->service_lock);
        result_tell(&runner->world, outcome, text);
        go_on(runner);
        return outcome->exit_status;
}

/* Whoever began another run meanwhile had something else in mind. */
static bool still_on_the_way(const Runner *runner, Err *err) {
        scoped(run_done) Run newest = {0};
        bool found = false;
        unsigned before = runner->world.after_run;
        if (!before)
                return true;
        if (!run_newest(runner->state, runner->world.service->name, &newest, &found, err))
                return false;
        if (found && newest.number == before && path_rest(&newest))
                return true;
        err_fail(err, ERR_REFUSED, "run #%u came in between", found ? newest.number : 0);
        return err_hint(err, "`belay update %s` goes on from where it stands now.",
                runner->world.service->name);
}

static bool prepare_new(Runner *runner, Err *err) {
        Options options = options_from_json(js_get(runner->request, "options"));
        if (!load_service(runner, err))
                return false;
        runner->world.options = options;
        runner->world.after_run = (unsigned)js_int(runner->request, "after", 0);
        if (!take_locks(runner, options.wait_lock_ms, err) || !still_on_the_way(runner, err) ||
                !make_plan(runner, err))
                return false;
        /* What keeps an update from being begun is in nobody's way when there is nothing to do. */
        return runner->plan.nothing || (plan_ok(&runner->plan, err) && check_plan_id(runner, err));
}

static int run_new(Runner *runner) {
        scoped(err_clear) Err err = {0};
        if (!prepare_new(runner, &err))
                return answer_refused(&err, &runner->plan.reasons);
        if (runner->plan.nothing) {
                json_t *line = json_object();
                js_set_str(line, "nothing", runner->plan.nothing);
                (void)answer(line);
                return 0;
        }
        if (!begin_run(runner, &err))
                return answer_refused(&err, &runner->plan.reasons);
        add_run_event(runner);
        if (!answer(answer_run(runner->world.run)))
                cancel_wish.requested = 2;
        Engine engine = engine_of(runner, runner->plan.story);
        scoped(run_outcome_done) RunOutcome outcome = {0};
        bool whole = engine_run(&engine, &outcome, &err);
        return finish(runner, whole, &outcome, &err);
}

/* ---- recovery ---- */

static bool read_run(Runner *runner, unsigned run, Err *err) {
        scoped(free_str) char *path = state_run_file(runner->state, run, "journal");
        if (!file_exists(path))
                return err_fail(err, ERR_UNKNOWN, "there is no run #%u", run);
        if (!journal_read(path, &runner->records, err) ||
                !run_state_of(&runner->records, &runner->run_state, err))
                return err_context(err, "run #%u needs a person", run);
        return world_of_run(runner->state, run, &runner->run_state, &runner->world, err);
}

/* A run that waits for its time holds no locks, and is nobody else's while its runner lives. */
static bool refuse_living(const Runner *runner, unsigned run, Err *err) {
        scoped(run_done) Run known = {0};
        if (!run_load(runner->state, run, &known, err))
                return false;
        if (!run_waits_for_time(&known) || !run_owner_alive(&known))
                return true;
        return err_fail(err, ERR_LOCKED, "run #%u waits for its time, and its runner lives", run);
}

/* Between reading and locking another process may have gone on: under the lock everything is read again. */
static bool prepare_recovery(Runner *runner, unsigned run, Err *err) {
        if (!read_run(runner, run, err) ||
                !take_locks(runner, js_int(runner->request, "wait_lock_ms", 0), err) ||
                !refuse_living(runner, run, err))
                return false;
        record_list_done(&runner->records);
        run_state_done(&runner->run_state);
        scoped(free_str) char *journal = state_run_file(runner->state, run, "journal");
        scoped(free_str) char *events = state_run_file(runner->state, run, "events");
        if (!journal_open(journal, &runner->journal, &runner->records, err) ||
                !run_state_of(&runner->records, &runner->run_state, err))
                return err_context(err, "run #%u needs a person", run);
        if (!events_open(events, &runner->events, err))
                return false;
        runner->world.events = &runner->events;
        scoped(free_str) char *what = str_format("recovery of %s", runner->world.service->name);
        return lock_describe(&runner->service_lock, &(LockOwner){.what = what, .run = run}, err);
}

/* A person asked for it, and the runner died before it could: the wish is still on disk. Of a run that waits it was
 * heard: what it waits for is another question, and nobody has answered that. Ctrl-C counts until verify has
 * passed. */
static RunWish wish_left_behind(const Runner *runner, unsigned run) {
        const RunState *is = &runner->run_state;
        const StepRecord *verify = run_state_step(is, "verify", NULL);
        scoped(free_str) char *path = state_run_file(runner->state, run, "request");
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (is->waiting || !file_read_if(path, LIMIT_JOURNAL_RECORD, &text, &bytes, NULL) || !text)
                return WISH_FINISH;
        const char *word = str_trim(text);
        if (str_equal(word, "accept"))
                return WISH_ACCEPT;
        bool undo = str_equal(word, "cancel") ||
                    (str_equal(word, "interrupt") && (!verify || verify->forward != STEP_DONE));
        return undo ? WISH_UNDO : WISH_FINISH;
}

static RunWish wish_of(const Runner *runner, unsigned run) {
        const char *wish = js_str(runner->request, "wish");
        if (str_equal(wish, "accept"))
                return WISH_ACCEPT;
        return str_equal(wish, "undo") ? WISH_UNDO : wish_left_behind(runner, run);
}

/* What a person accepts is kept as it is: it has to be there. A step that comes before verify is only gone on from. */
static bool may_accept(const Runner *runner, unsigned run, Err *err) {
        const World *world = &runner->world;
        const RunState *is = &runner->run_state;
        const StepRecord *verify = run_state_step(is, "verify", NULL);
        bool goes_on = str_equal(js_str(is->wait, "for"), "step") &&
                       (!verify || verify->forward != STEP_DONE);
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!is->waiting || goes_on)
                return true;
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        if (now.running && (!now.commit || str_equal(now.commit, world->to.reference)))
                return true;
        err_fail(err, ERR_REFUSED, "%s %s does not run, so it cannot be accepted",
                world->service->name, world->to.version ? world->to.version : "");
        return err_hint(err, "`belay cancel %u` goes back to %s.", run,
                world->from.version ? world->from.version : "what was there");
}

static int run_recovery(Runner *runner) {
        scoped(err_clear) Err err = {0};
        unsigned run = (unsigned)js_int(runner->request, "run", 0);
        if (!prepare_recovery(runner, run, &err))
                return answer_refused(&err, &runner->plan.reasons);
        const Story *story = story_of(js_str(runner->run_state.plan, "kind"));
        if (!story) {
                err_fail(&err, ERR_REFUSED, "run #%u is of a kind that this build does not know",
                        run);
                return answer_refused(&err, &runner->plan.reasons);
        }
        (void)runner->world.runtime->ensure(&runner->world.runtime_at, NULL);
        RunWish wish = wish_of(runner, run);
        bool again = runner->run_state.end == RUN_NEEDS_PERSON &&
                     js_bool(runner->request, "again", false);
        if (again && !again_check(&runner->world, &runner->run_state, &err))
                return answer_refused(&err, &runner->plan.reasons);
        if (wish == WISH_ACCEPT && !may_accept(runner, run, &err))
                return answer_refused(&err, &runner->plan.reasons);
        (void)answer(answer_run(run));
        Engine engine = engine_of(runner, story);
        engine.again = again;
        scoped(run_outcome_done) RunOutcome outcome = {0};
        bool whole = engine_recover(&engine, wish, &outcome, &err);
        return finish(runner, whole, &outcome, &err);
}

int runner_main(const State *state) {
        fault_role("runner");
        set_up_signals();
        scoped(err_clear) Err err = {0};
        scoped(runner_done) Runner runner = {
                .state = state,
                .world = {.cancel = &wishes.steps, .wishes = &wishes},
                .service_lock = LOCK_NONE,
                .directory_lock = LOCK_NONE,
                .events = {.fd = -1},
        };
        runner.request = request_read(LIMIT_JOURNAL_RECORD, &err);
        if (!runner.request)
                return answer_refused(&err, &runner.plan.reasons);
        if (str_equal(js_str(runner.request, "do"), "recover"))
                return run_recovery(&runner);
        return run_new(&runner);
}

/* ---- the other side ---- */

enum { LAST_WORDS_MS = 2000 };

void runner_started_done(RunnerStarted *started) {
        free(started->nothing);
        reasons_done(&started->reasons);
        *started = (RunnerStarted){0};
}

static bool send_request(int fd, json_t *request, Err *err) {
        scoped(free_str) char *text = js_line(request);
        size_t n = strlen(text);
        if (write(fd, text, n) != (ssize_t)n)
                return err_fail_errno(err, ERR_IO, errno, "speaking to the runner");
        return true;
}

/* A caller that has SIGINT blocked, and a handler for it, can be ended by it here, but not once the answer is there:
 * from then on somebody has to tell the run. (With the default action the kernel would end it even then: it
 * decides when the signal is sent.) */
static void wait_for_answer(int fd) {
        struct pollfd answer_there = {.fd = fd, .events = POLLIN};
        sigset_t mask;
        (void)sigprocmask(SIG_SETMASK, NULL, &mask);
        bool blocked = sigismember(&mask, SIGINT) == 1;
        sigdelset(&mask, SIGINT);
        if (ppoll(&answer_there, 1, NULL, &mask) >= 0 || !blocked || poll(&answer_there, 1, 0) > 0)
                return;
        (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        (void)raise(SIGINT);
        (void)sigprocmask(SIG_SETMASK, &mask, NULL);
}

static char *read_answer(int fd) {
        scoped(str_done) Str text = {0};
        char bytes[4096];
        for (;;) {
                wait_for_answer(fd);
                ssize_t n = read(fd, bytes, sizeof(bytes));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return NULL;
                str_add_n(&text, bytes, (size_t)n);
                if (text.text[text.len - 1] == '\n')
                        return str_take(&text);
        }
}

static bool take_answer(const char *line, RunnerStarted *ret, Err *err) {
        if (!line) {
                err_fail(err, ERR_IO,
                        "the runner ended before it had begun a run; nothing was changed");
                return err_hint(err, "Try again; `belay runs` shows whether a run is open.");
        }
        scoped(js_freep) json_t *answer_line =
                js_parse(line, strlen(line), "the runner's answer", err);
        if (!answer_line)
                return false;
        json_t *error = js_get(answer_line, "error");
        if (!error) {
                ret->run = (unsigned)js_int(answer_line, "run", 0);
                ret->nothing = str_copy(js_str(answer_line, "nothing"));
                return true;
        }
        const char *message = js_str(error, "message"), *hint = js_str(error, "hint");
        const char *reason = js_str(error, "reason");
        (void)reasons_from_json(js_get(answer_line, "reasons"), &ret->reasons);
        err_fail(err, err_code_of_name(js_str(error, "code")), "%s", message ? message : "refused");
        err_reason(err, reason ? reason_code(reason_find(reason)) : NULL);
        return hint ? err_hint(err, "%s", hint) : false;
}

bool runner_start(const State *state, json_t *request, RunnerStarted *ret, Err *err) {
        scoped(js_freep) json_t *owned = request;
        int in[2], out[2];
        if (pipe2(in, O_CLOEXEC) != 0)
                return err_fail_errno(err, ERR_IO, errno, "starting the runner");
        scoped(close_fd) int in_read = in[0];
        scoped(close_fd) int in_write = in[1];
        if (pipe2(out, O_CLOEXEC) != 0)
                return err_fail_errno(err, ERR_IO, errno, "starting the runner");
        scoped(close_fd) int out_read = out[0];
        scoped(close_fd) int out_write = out[1];
        scoped(free_str) char *program = process_own_path();
        char *const argv[] = {program, (char[]){"--state"}, state->root, (char[]){"runner"}, NULL};
        const Detached what = {
                .argv = argv, .stdin_fd = in_read, .stdout_fd = out_write, .stderr_fd = -1};
        ProcessId process = {0};
        if (!process_start_detached(&what, &process, err) || !send_request(in_write, owned, err))
                return err_context(err, "starting the runner");
        close_fd(&in_write);
        close_fd(&out_write);
        in_write = out_write = -1;
        scoped(free_str) char *line = read_answer(out_read);
        ret->process = process;
        bool begun = take_answer(line, ret, err);
        /* It goes, and its locks with it: whoever types the next command must not find them. */
        if (ret->run == 0)
                (void)process_wait_dead(&process, clock_now_ms() + LAST_WORDS_MS);
        return begun;
}

static bool write_wish(const State *state, unsigned run, int signal, Err *err) {
        const char *word = signal == SIGUSR2  ? "accept\n"
                           : signal == SIGINT ? "interrupt\n"
                                              : "cancel\n";
        scoped(free_str) char *path = state_run_file(state, run, "request");
        return file_write_durable(path, word, strlen(word), 0600, err);
}

bool runner_signal(const State *state, unsigned run, int signal, Err *err) {
        scoped(run_done) Run known = {0};
        if (!run_load(state, run, &known, err))
                return false;
        ProcessId owner = {0};
        if (!known.state.owner || !process_from_json(known.state.owner, &owner) ||
                !process_alive(&owner))
                return err_fail(err, ERR_UNKNOWN, "run #%u has no living runner", run);
        return write_wish(state, run, signal, err) && process_signal(&owner, signal, err);
}
