#include "cli/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/progress.h"
#include "platform/clock.h"
#include "update/path.h"
#include "update/runs.h"

enum { RECOVERY_WITHIN_MS = 15000, READ_BYTES = 65536 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
        (void)signal_number;
        interrupted = 1;
}

typedef struct Follower {
        App *app;
        const Follow *what;
        Progress progress;
        int events_fd, inotify_fd, runner_fd;
        Str partial; /* a line of which the end is not there yet */
        json_t *result;
        json_t *next;        /* what comes after the run on its way, or why nothing does */
        bool told_result;    /* it was printed, and another run is to follow */
        bool until_verified; /* of the run that is the last on its way */
        bool verified;       /* from here on Ctrl-C only stops following */
        bool asked, told;    /* Ctrl-C was typed; the runner knows about it */
        bool died;           /* "died" was read */
        int64_t alone_since; /* clock_now_ms when the runner was found dead; 0: it lives */
        int64_t last_sign;
} Follower;

static void follower_done(Follower *follower) {
        close_fd(&follower->events_fd);
        close_fd(&follower->inotify_fd);
        close_fd(&follower->runner_fd);
        str_done(&follower->partial);
        json_decref(follower->result);
        json_decref(follower->next);
        progress_done(&follower->progress);
}

static void keep_event(json_t **kept, const json_t *event) {
        json_decref(*kept);
        *kept = json_incref((json_t *)(uintptr_t)event);
}

static bool is_verified(const json_t *event) {
        return str_equal(js_str(event, "step"), "verify") &&
               str_equal(js_str(event, "state"), "done") && !js_bool(event, "undo", false);
}

/* What an event means for the following. */
static void learn(Follower *follower, const char *kind, const json_t *event) {
        if (str_equal(kind, "step") && is_verified(event))
                follower->verified = true;
        else if (str_equal(kind, "died"))
                follower->died = true;
        else if (str_equal(kind, "result"))
                keep_event(&follower->result, event);
        else if (str_equal(kind, "next"))
                keep_event(&follower->next, event);
        else if (str_equal(kind, "run") && json_array_size(js_get(event, "path")) > 1)
                follower->until_verified = false;
        follower->last_sign = clock_now_ms();
}

static void take_event(Follower *follower, const char *line, size_t bytes) {
        scoped(js_freep) json_t *event = js_parse(line, bytes, "an event", NULL);
        const char *kind = event ? js_str(event, "kind") : NULL;
        if (!kind)
                return;
        learn(follower, kind, event);
        if (follower->app->json && !str_equal(kind, "result"))
                printf("%.*s\n", (int)bytes, line);
        else if (!follower->app->json && !follower->app->quiet)
                progress_event(&follower->progress, event);
}

static void read_events(Follower *follower) {
        char bytes[READ_BYTES];
        ssize_t n;
        while ((n = read(follower->events_fd, bytes, sizeof(bytes))) > 0) {
                str_add_n(&follower->partial, bytes, (size_t)n);
                char *start = follower->partial.text, *end;
                while ((end = memchr(start, '\n',
                                follower->partial.len -
                                        (size_t)(start - follower->partial.text)))) {
                        take_event(follower, start, (size_t)(end - start));
                        start = end + 1;
                }
                size_t used = (size_t)(start - follower->partial.text);
                memmove(follower->partial.text, start, follower->partial.len - used);
                follower->partial.len -= used;
        }
}

static bool open_events(Follower *follower, Err *err) {
        scoped(free_str) char *path =
                state_run_file(&follower->app->state, follower->what->run, "events");
        follower->events_fd = open(
                path, O_RDONLY | O_CLOEXEC | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (follower->events_fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        int64_t from = follower->what->from_byte;
        if (!follower->what->from_start)
                (void)lseek(
                        follower->events_fd, from < 0 ? 0 : from, from < 0 ? SEEK_END : SEEK_SET);
        follower->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (follower->inotify_fd >= 0)
                (void)inotify_add_watch(follower->inotify_fd, path, IN_MODIFY);
        return true;
}

/* Whoever the journal names as the owner now. */
static void find_runner(Follower *follower) {
        close_fd(&follower->runner_fd);
        follower->runner_fd = -1;
        const ProcessId *started = &follower->what->runner;
        scoped(run_done) Run run = {0};
        ProcessId owner = {0};
        /* One that was just started has not written its OWNER record yet. */
        if (started->pid && (follower->runner_fd = process_open(started)) >= 0)
                return;
        if (run_load(&follower->app->state, follower->what->run, &run, NULL) && run.state.owner &&
                process_from_json(run.state.owner, &owner))
                follower->runner_fd = process_open(&owner);
}

static void wait_for_more(Follower *follower) {
        struct pollfd fds[] = {
                {.fd = follower->inotify_fd, .events = POLLIN},
                {.fd = follower->runner_fd, .events = POLLIN},
        };
        int wait_ms = follower->inotify_fd < 0 || follower->runner_fd < 0 ? 50 : 1000;
        if (follower->app->terminal)
                wait_ms = 100;
        (void)poll(fds, COUNT_OF(fds), wait_ms);
        char drop[4096];
        while (follower->inotify_fd >= 0 && read(follower->inotify_fd, drop, sizeof(drop)) > 0)
                ;
        if (follower->runner_fd >= 0 && (fds[1].revents & POLLIN)) {
                close_fd(&follower->runner_fd);
                follower->runner_fd = -1;
        }
}

static void tell_runner(Follower *follower) {
        if (follower->told)
                return;
        if (!follower->asked && !follower->app->quiet)
                fprintf(stderr,
                        "belay: Ctrl-C: run #%u ends, or is rolled back; this takes a moment\n",
                        follower->what->run);
        follower->asked = true;
        /* One that has just begun has not signed its journal yet, and can be told in a moment. */
        follower->told = runner_signal(&follower->app->state, follower->what->run, SIGINT, NULL);
}

/* The runner is dead and has not said how it ended: its keeper starts a recovery, which is then followed. */
static bool wait_for_recovery(Follower *follower) {
        scoped(run_done) Run run = {0};
        if (!run_load(&follower->app->state, follower->what->run, &run, NULL) || run.damaged ||
                !run.state.armed || run.state.end != RUN_OPEN)
                return false;
        if (str_equal(getenv("BELAY_NO_KEEPER_RESUME"), "1"))
                return false;
        int64_t now = clock_now_ms();
        if (!follower->alone_since) {
                follower->alone_since = now;
                if (!follower->app->quiet && !follower->app->json)
                        fprintf(stderr,
                                "belay: the runner of run #%u died; its keeper finishes the run\n",
                                follower->what->run);
        }
        find_runner(follower);
        if (follower->runner_fd >= 0)
                follower->alone_since = 0;
        return follower->runner_fd >= 0 || now - follower->alone_since < RECOVERY_WITHIN_MS;
}

static int follow_next(const Follower *follower, unsigned run, const json_t *runner) {
        Follow next = {
                .run = run, .from_start = true, .until_verified = follower->what->until_verified};
        if (runner)
                (void)process_from_json(runner, &next.runner);
        return follow_run(follower->app, &next);
}

/* Its runner is gone, and did not say what comes next: the next run may have begun all the same. */
static int way_left(Follower *follower) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        scoped(run_done) Run newest = {0};
        bool found = false;
        unsigned number = follower->what->run;
        if (!run_load(&follower->app->state, number, &run, &err) ||
                !run_newest(&follower->app->state, run_service(&run), &newest, &found, &err))
                return app_fail(follower->app, &err);
        if (found && path_run_before(&newest) == number)
                return follow_next(follower, newest.number, NULL);
        if (!path_rest(&run))
                return 0;
        err_fail(&err, ERR_INTERRUPTED,
                "the rest of the way to %s is still to go (the runner of run "
                "#%u died)",
                path_target_of(&run), number);
        err_hint(&err, "`belay resume %u` goes on, `belay cancel %u` leaves it at that.", number,
                number);
        return app_fail(follower->app, &err);
}

static void hint_plan(const Follower *follower, const char *target, Err *err) {
        scoped(run_done) Run run = {0};
        if (run_load(&follower->app->state, follower->what->run, &run, NULL))
                err_hint(err,
                        "What was reached stays. `belay plan %s %s` shows the rest of the way.",
                        run_service(&run), target);
}

/* Another run follows, or the way ends here and this says why. */
static int take_next(Follower *follower) {
        scoped(err_clear) Err err = {0};
        const json_t *next = follower->next;
        unsigned run = (unsigned)js_int(next, "next", 0);
        const char *error = js_str(next, "error"), *hint = js_str(next, "hint");
        if (run)
                return follow_next(follower, run, js_get(next, "runner"));
        if (!error) {
                if (!follower->app->json)
                        printf("%s\n", js_str(next, "text"));
                return 0;
        }
        err_fail(&err, err_code_of_name(js_str(next, "code")), "the way to %s ends here: %s",
                js_str(next, "target"), error);
        if (hint)
                err_hint(&err, "%s", hint);
        else
                hint_plan(follower, js_str(next, "target"), &err);
        return app_fail(follower->app, &err);
}

/* The runner died between END and its last words: the journal says how the run ended. */
static int report_ended(Follower *follower, const Run *run) {
        scoped(free_str) char *how = run_state_text(run);
        int status = (int)js_int(run->state.end_record, "exit", 1);
        json_t *object = json_object();
        js_set_int(object, "run", run->number);
        js_set_str(object, "state", run_end_name(run->state.end));
        js_set_int(object, "exit", status);
        app_print_json(follower->app, object);
        if (!follower->app->json)
                printf("run #%u of %s has ended: %s\n", run->number, run_service(run), how);
        return path_target_of(run) && run->state.end == RUN_SUCCEEDED ? way_left(follower) : status;
}

static int report_interrupted(Follower *follower) {
        scoped(err_clear) Err err = {0};
        scoped(run_done) Run run = {0};
        unsigned number = follower->what->run;
        if (!run_load(&follower->app->state, number, &run, &err))
                return app_fail(follower->app, &err);
        if (!run.damaged && run.state.end != RUN_OPEN)
                return report_ended(follower, &run);
        scoped(free_str) char *how = run_state_text(&run);
        err_fail(&err, ERR_INTERRUPTED, "run #%u of %s was %s (its runner died)", number,
                run_service(&run), how);
        err_hint(&err, "`belay resume %u` finishes it, `belay cancel %u` rolls it back.", number,
                number);
        return app_fail(follower->app, &err);
}

static int goes_on(Follower *follower, const char *why) {
        if (follower->app->json) {
                json_t *object = json_object();
                js_set_int(object, "run", follower->what->run);
                js_set_str(object, "state", "running");
                app_print_json(follower->app, object);
        } else {
                printf("%s: run #%u goes on. Follow it: belay resume %u\n", why,
                        follower->what->run, follower->what->run);
        }
        return 0;
}

static int finish(Follower *follower) {
        int status = (int)js_int(follower->result, "exit", 1);
        if (follower->app->json) {
                app_print_json(follower->app, json_incref(follower->result));
                return status;
        }
        progress_result(&follower->progress, follower->result);
        return status;
}

/* What there is to say when the run, or its way, has come to an end; false: it goes on. */
static bool has_ended(Follower *follower, int *ret_status) {
        if (follower->result && !follower->told_result) {
                *ret_status = finish(follower);
                if (!js_get(follower->result, "path"))
                        return true;
                follower->told_result = true;
        }
        if (!follower->next)
                return false;
        /* What an earlier run has left to do (9) is not over because a later one has all. */
        int status = take_next(follower);
        *ret_status = status ? status : *ret_status;
        return true;
}

/* Nobody runs it: what it wrote last may have come after the reading. False: somebody may still take it up. */
static bool is_abandoned(Follower *follower, int *ret_status) {
        read_events(follower);
        if (follower->told_result) {
                if (!follower->next)
                        *ret_status = way_left(follower);
                return !follower->next;
        }
        if (follower->result || wait_for_recovery(follower))
                return false;
        *ret_status = report_interrupted(follower);
        return true;
}

static int follow_loop(Follower *follower) {
        int status = 0;
        for (;;) {
                read_events(follower);
                if (has_ended(follower, &status))
                        return status;
                if (follower->until_verified && follower->verified)
                        return goes_on(follower, "Verified");
                if (interrupted && follower->verified)
                        return goes_on(follower, "Stopped following");
                if (interrupted)
                        tell_runner(follower);
                if (follower->runner_fd < 0 && is_abandoned(follower, &status))
                        return status;
                progress_tick(&follower->progress);
                wait_for_more(follower);
        }
}

static void mask_interrupt(int how) {
        sigset_t interrupt;
        sigemptyset(&interrupt);
        sigaddset(&interrupt, SIGINT);
        (void)sigprocmask(how, &interrupt, NULL);
}

void follow_prepare(void) {
        const struct sigaction action = {.sa_handler = on_interrupt};
        mask_interrupt(SIG_BLOCK);
        sigaction(SIGINT, &action, NULL);
}

int follow_run(App *app, const Follow *follow) {
        scoped(err_clear) Err err = {0};
        scoped(follower_done) Follower follower = {.app = app,
                .what = follow,
                .until_verified = follow->until_verified,
                .events_fd = -1,
                .inotify_fd = -1,
                .runner_fd = -1};
        progress_open(&follower.progress, app, follow->run);
        follow_prepare(); /* who follows a run that others began has not */
        mask_interrupt(SIG_UNBLOCK);
        if (!open_events(&follower, &err))
                return app_fail(app, &err);
        find_runner(&follower);
        return follow_loop(&follower);
}
