#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "platform/child_parts.h"
#include "platform/clock.h"
#include "platform/fault.h"

enum {
        CANCEL_LOOK_MS = 50,
        WITHOUT_PIDFD_MS = 10,
        READ_BYTES = 64 * 1024,
};

/* -- output ------------------------------------------------------------------------------- */

/* Without fault points: how many pieces the output comes in is chance, and a log that misses some is
 * no reason to end the program. */
static void log_write(ChildRun *run, const char *at, size_t n) {
        while (run->log >= 0 && n > 0) {
                ssize_t put = write(run->log, at, n);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put <= 0)
                        return;
                at += put;
                n -= (size_t)put;
        }
}

static void keep_output(ChildRun *run, int stream, const char *bytes, size_t n) {
        Str *text = &run->text[stream];
        size_t room = LIMIT_CHILD_OUTPUT - text->len;
        if (n > room) {
                run->cut = true;
                n = room;
        }
        str_add_n(text, bytes, n);
}

/* What is there now. */
static void drain(ChildRun *run, int stream) {
        char bytes[READ_BYTES];
        while (run->streams[stream] >= 0) {
                ssize_t n = read(run->streams[stream], bytes, sizeof(bytes));
                if (n > 0) {
                        keep_output(run, stream, bytes, (size_t)n);
                        log_write(run, bytes, (size_t)n);
                        continue;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                close(run->streams[stream]);
                run->streams[stream] = -1;
        }
}

/* -- status ------------------------------------------------------------------------------- */

static void hear_pid(ChildRun *run, pid_t pid) {
        ProcessId id;
        if (!run->child->started)
                return;
        if (process_identify(pid, &id))
                run->child->started(run->child->context, &id);
        (void)send(run->status, "!", 1, MSG_NOSIGNAL);
}

/* "WORD NUMBER" or "WORD NUMBER STEP", as in exec/exec.h. */
static void hear_message(ChildRun *run, const char *text) {
        const char *space = strchr(text, ' ');
        if (!space)
                return;
        char *end = NULL;
        int value = (int)strtol(space, &end, 10);
        size_t word = (size_t)(space - text);
        if (strncmp(text, "pid", word) == 0)
                hear_pid(run, value);
        if (strncmp(text, "error", word) == 0) {
                run->error = value;
                snprintf(run->error_step, sizeof(run->error_step), "%s", *end ? end + 1 : "");
        }
        bool by_signal = strncmp(text, "signal", word) == 0;
        if (by_signal || strncmp(text, "exit", word) == 0) {
                run->exited = true;
                run->exit_status = by_signal ? 128 + value : value;
        }
}

static void hear(ChildRun *run) {
        char text[128];
        while (run->status >= 0) {
                ssize_t n = recv(run->status, text, sizeof(text) - 1, MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        close(run->status);
                        run->status = -1;
                        return;
                }
                text[n] = '\0';
                hear_message(run, text);
        }
}

/* -- ending ------------------------------------------------------------------------------- */

/* The limits of one run, each a time of clock_now_ms: asked to end, its tree killed by belay-exec,
 * belay-exec itself killed, given up on. */
typedef struct Limits {
        int64_t ask, kill, end, give_up;
} Limits;

static void limits_from_ask(Limits *limits, int64_t now) {
        limits->ask = INT64_MAX;
        limits->kill = now + CHILD_GRACE_MS + CHILD_BEYOND_MS / 2;
        limits->end = limits->kill + CHILD_BEYOND_MS / 2;
        limits->give_up = limits->end + CHILD_BEYOND_MS;
}

/* A failed signal leaves the later limits, of which the first needs none. */
static void send_signal(ChildRun *run, pid_t to, int signal) {
        if (fault_before("kill", run->child->what))
                return;
        if (kill(to, signal) == 0)
                fault_after();
}

static void ask_to_end(ChildRun *run, Limits *limits, ErrCode why, int64_t now) {
        limits_from_ask(limits, now);
        run->ended_for = why;
        send_signal(run, run->pid, SIGTERM);
}

static void enforce(ChildRun *run, Limits *limits) {
        int64_t now = clock_now_ms();
        bool cancelled = run->child->cancel && run->child->cancel->requested;
        if (limits->ask != INT64_MAX && run->exited)
                limits_from_ask(limits, now + CHILD_LINGER_MS - CHILD_GRACE_MS);
        else if (limits->ask != INT64_MAX && cancelled)
                ask_to_end(run, limits, ERR_CANCELLED, now);
        else if (now >= limits->ask)
                ask_to_end(run, limits, ERR_TIMEOUT, now);
        if (now >= limits->kill && run->status >= 0) {
                /* For belay-exec the end of the socket is the word to kill all at once. */
                close(run->status);
                run->status = -1;
        }
        if (now >= limits->end) {
                send_signal(run, -run->pid, SIGKILL);
                send_signal(run, run->pid, SIGKILL);
                limits->end = INT64_MAX;
        }
}

static int time_left(const ChildRun *run, const Limits *limits) {
        int64_t next = limits->give_up;
        const int64_t others[] = {
                limits->ask, run->status >= 0 ? limits->kill : INT64_MAX, limits->end};
        for (size_t i = 0; i < COUNT_OF(others); i++)
                if (others[i] < next)
                        next = others[i];
        int64_t left = next - clock_now_ms();
        int64_t most = run->pidfd < 0       ? WITHOUT_PIDFD_MS
                       : run->child->cancel ? CANCEL_LOOK_MS
                                            : 60000;
        return left < 0 ? 0 : (int)(left < most ? left : most);
}

/* -- watching ----------------------------------------------------------------------------- */

static bool helper_is_dead(const ChildRun *run) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
                return errno == ECHILD;
        return info.si_pid != 0;
}

static void listen_once(ChildRun *run, const Limits *limits) {
        struct pollfd news[] = {
                {.fd = run->streams[0], .events = POLLIN},
                {.fd = run->streams[1], .events = POLLIN},
                {.fd = run->status, .events = POLLIN},
                {.fd = run->pidfd, .events = POLLIN},
        };
        if (poll(news, COUNT_OF(news), time_left(run, limits)) < 0)
                return;
        for (int i = 0; i < 2; i++)
                if (news[i].revents)
                        drain(run, i);
        if (news[2].revents)
                hear(run);
}

/* The group is ended before belay-exec is waited for: until then nobody else can have its number. */
static bool reap(ChildRun *run) {
        int status = 0;
        siginfo_t info = {0};
        bool known = waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
                     info.si_pid != 0;
        bool in_order = !known || info.si_code == CLD_EXITED;
        if (!in_order)
                (void)kill(-run->pid, SIGKILL);
        while (waitpid(run->pid, &status, known ? 0 : WNOHANG) < 0 && errno == EINTR)
                ;
        return in_order;
}

bool child_watch(ChildRun *run) {
        int64_t timeout = run->child->timeout_ms > 0 ? run->child->timeout_ms : 60000;
        Limits limits = {.ask = clock_now_ms() + timeout,
                .kill = INT64_MAX,
                .end = INT64_MAX,
                .give_up = INT64_MAX};
        while (!helper_is_dead(run) && clock_now_ms() < limits.give_up) {
                listen_once(run, &limits);
                enforce(run, &limits);
        }
        for (int i = 0; i < 2; i++)
                drain(run, i);
        hear(run);
        return helper_is_dead(run) && reap(run);
}
