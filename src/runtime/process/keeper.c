#include "runtime/process/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "runtime/process/control.h"
#include "runtime/process/launch.h"
#include "runtime/runtime.h"

enum {
        LINGER_MS = 5000,
        SAVE_AGAIN_MS = 5000,
        LOOP_PAUSE_MS =
                1000, /* after a poll that failed, which means that the kernel has no memory */
};

void keeper_save(Keeper *keeper) {
        bool saved = keeper_record_save(keeper->state, keeper->service, &keeper->record, NULL);
        keeper->save_at = saved ? 0 : clock_now_ms() + SAVE_AGAIN_MS;
}

/* -- what happens ----------------------------------------------------------------------------- */

/* The keeper is subreaper: orphans of the service and of resumed runs end here as well. */
static void reap(Keeper *keeper) {
        int status = 0;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
                if (keeper->main_is_child && keeper->main_fd >= 0 &&
                        pid == keeper->record.main.pid) {
                        keeper->main_reaped = true;
                        keeper->main_status = status;
                }
                watch_reaped(keeper, pid, status);
        }
}

static void take_signal(Keeper *keeper) {
        struct signalfd_siginfo info;
        while (read(keeper->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                if (info.ssi_signo != SIGCHLD)
                        keeper->leave = true;
        reap(keeper);
}

static void main_exited(Keeper *keeper) {
        reap(keeper);
        hold_exited(keeper);
}

static void tick(Keeper *keeper) {
        int64_t now = clock_now_ms();
        serve_tick(keeper, now);
        hold_tick(keeper, now);
        watch_tick(keeper, now);
        if (keeper->save_at && now >= keeper->save_at)
                keeper_save(keeper);
}

static int timeout_of(const Keeper *keeper) {
        const int64_t times[] = {
                serve_next(keeper),
                hold_next(keeper),
                watch_next(keeper),
                keeper->save_at ? keeper->save_at : INT64_MAX,
                keeper->linger_until ? keeper->linger_until : INT64_MAX,
        };
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < COUNT_OF(times); i++)
                next = times[i] < next ? times[i] : next;
        if (next == INT64_MAX)
                return -1;
        int64_t left = next - clock_now_ms();
        return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

enum {
        AT_SIGNAL,
        AT_LISTEN,
        AT_MAIN,
        AT_RUNNER,
        AT_CONNECTIONS,
        AT_COUNT = AT_CONNECTIONS + CONNECTIONS_MAX
};

/* Waits, then does one round of what happened. poll passes over descriptors that are -1. */
static void turn(Keeper *keeper) {
        struct pollfd at[AT_COUNT] = {
                [AT_SIGNAL] = {.fd = keeper->signal_fd, .events = POLLIN},
                [AT_LISTEN] = {.fd = keeper->listen_fd, .events = POLLIN},
                [AT_MAIN] = {.fd = keeper->main_fd, .events = POLLIN},
                [AT_RUNNER] = {.fd = keeper->runner_fd, .events = POLLIN},
        };
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                at[AT_CONNECTIONS + i] =
                        (struct pollfd){.fd = keeper->connections[i].fd, .events = POLLIN};
        if (!serve_has_room(keeper))
                at[AT_LISTEN].fd = -1;
        if (poll(at, AT_COUNT, timeout_of(keeper)) < 0) {
                if (errno != EINTR)
                        clock_sleep_ms(LOOP_PAUSE_MS);
                return;
        }
        if (at[AT_SIGNAL].revents)
                take_signal(keeper);
        if (at[AT_MAIN].revents)
                main_exited(keeper);
        if (at[AT_RUNNER].revents)
                watch_runner_died(keeper);
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                if (at[AT_CONNECTIONS + i].revents && keeper->connections[i].fd >= 0)
                        serve_readable(keeper, &keeper->connections[i]);
        if (at[AT_LISTEN].revents)
                serve_accept(keeper);
        tick(keeper);
}

/* Nothing to keep, nobody to watch, nobody who asks. */
static bool is_over(const Keeper *keeper) {
        if (keeper->leave)
                return true;
        bool kept = keeper->main_fd >= 0 || keeper->restart_at;
        bool lingers = keeper->linger_until && clock_now_ms() < keeper->linger_until;
        return !kept && !lingers && !watch_holds(keeper) && !keeper->save_at && serve_idle(keeper);
}

/* -- start and end ---------------------------------------------------------------------------- */

/* Nothing of whoever started it stays open: a terminal, a pipe, a lock. */
static void close_inherited(void) {
        (void)close_range(STDERR_FILENO + 1, ~0u, 0);
        umask(077);
        (void)!chdir("/");
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static bool open_signals(Keeper *keeper, Err *err) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_SETMASK, &set, NULL);
        const struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigaction(SIGHUP, &ignore, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        keeper->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return keeper->signal_fd >= 0 ||
               err_fail_errno(err, ERR_IO, errno, "making a signal descriptor");
}

static bool take_lock(Keeper *keeper, Err *err) {
        scoped(free_str) char *path =
                state_service_file(keeper->state, keeper->service, KEEPER_LOCK);
        scoped(free_str) char *what = str_format("keeper of %s", keeper->service);
        return lock_take(path, &(LockOwner){.what = what}, 0, &keeper->lock, err);
}

/* Listening comes last: who is answered is answered by one that knows. */
static bool keeper_open(Keeper *keeper, Err *err) {
        if (!take_lock(keeper, err) || !open_signals(keeper, err) ||
                !keeper_record_load(keeper->state, keeper->service, &keeper->record, err))
                return false;
        hold_adopt(keeper);
        watch_adopt(keeper);
        keeper->record.keeper = process_self();
        keeper_save(keeper);
        keeper->linger_until = clock_now_ms() + LINGER_MS;
        return control_listen(keeper->state, keeper->service, &keeper->listen_fd, err);
}

static void keeper_done(Keeper *keeper) {
        const int fds[] = {
                keeper->listen_fd, keeper->signal_fd, keeper->main_fd, keeper->runner_fd};
        for (size_t i = 0; i < COUNT_OF(fds); i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        keeper_record_done(&keeper->record);
        free(keeper->mark);
        free(keeper->log_path);
        lock_release(&keeper->lock);
}

/* Whoever started it waits for this word, then its end of the pipe is given up. */
static void tell(const char *word) {
        (void)!write(STDOUT_FILENO, word, strlen(word));
        scoped(close_fd) int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (nowhere >= 0)
                (void)dup2(nowhere, STDOUT_FILENO);
}

static void tell_failure(const Err *failure) {
        if (failure->code == ERR_LOCKED) {
                tell(KEEPER_BUSY);
                return;
        }
        scoped(js_freep) json_t *message = control_answer(false, failure);
        scoped(free_str) char *line = js_line(message);
        scoped(free_str) char *word = str_format("%s\n", line);
        tell(word);
}

int keeper_main(const State *state, const char *service_name) {
        scoped(keeper_done) Keeper keeper = {
                .state = state,
                .service = service_name,
                .mark = service_mark(state, service_name),
                .log_path = state_service_file(state, service_name, SERVICE_LOG),
                .lock = LOCK_NONE,
                .log_limits = log_limits(),
                .main_fd = -1,
                .runner_fd = -1,
                .listen_fd = -1,
                .signal_fd = -1,
        };
        scoped(err_clear) Err failure = {0};
        fault_role("keeper");
        close_inherited();
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                keeper.connections[i].fd = -1;
        if (!keeper_open(&keeper, &failure)) {
                tell_failure(&failure);
                return err_exit_status(failure.code);
        }
        tell(KEEPER_READY);
        while (!is_over(&keeper))
                turn(&keeper);
        return 0;
}
