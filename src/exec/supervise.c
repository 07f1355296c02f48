#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exec/exec.h"

enum {
        LINGER_MS = 500, /* what the program left behind may still end by itself */
        KILL_AGAIN_MS = 5,
};

typedef enum Phase {
        PHASE_RUNNING,
        PHASE_LINGERING, /* the program has ended, others have not */
        PHASE_ENDING,    /* all were sent SIGTERM */
        PHASE_KILLING,
} Phase;

typedef struct Supervisor {
        const Options *options;
        Phase phase;
        int64_t until; /* of LINGERING and ENDING */
        pid_t program;
        int program_status;
        int signals;
        bool watch_socket;
} Supervisor;

static int64_t now_ms(void) {
        struct timespec now;
        clock_gettime(CLOCK_BOOTTIME, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void program_ended(Supervisor *s, int status) {
        bool by_signal = WIFSIGNALED(status);
        int value = by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
        s->program_status = by_signal ? 128 + value : value;
        report(s->options, by_signal ? "signal" : "exit", value, NULL);
        if (s->phase != PHASE_RUNNING)
                return;
        s->phase = PHASE_LINGERING;
        s->until = now_ms() + LINGER_MS;
}

/* False when nobody is left: as the subreaper, belay-exec is the parent of every orphan below it. */
static bool reap(Supervisor *s) {
        for (;;) {
                int status = 0;
                pid_t pid = waitpid(-1, &status, WNOHANG);
                if (pid <= 0)
                        return pid == 0;
                if (pid == s->program)
                        program_ended(s, status);
        }
}

/* Sent by Belay at a deadline or a cancel; by the kernel when Belay died, and then nobody waits. */
static void asked_to_end(Supervisor *s) {
        if (s->options->parent && getppid() != s->options->parent) {
                s->phase = PHASE_KILLING;
                return;
        }
        if (s->phase == PHASE_ENDING || s->phase == PHASE_KILLING)
                return;
        s->phase = PHASE_ENDING;
        s->until = now_ms() + s->options->grace_ms;
        signal_descendants(SIGTERM);
        signal_descendants(SIGCONT);
}

static void take_signals(Supervisor *s) {
        struct signalfd_siginfo info;
        while (read(s->signals, &info, sizeof(info)) == sizeof(info))
                if (info.ssi_signo != SIGCHLD)
                        asked_to_end(s);
}

static int time_left(const Supervisor *s) {
        if (s->phase == PHASE_RUNNING)
                return -1;
        if (s->phase == PHASE_KILLING)
                return KILL_AGAIN_MS;
        int64_t left = s->until - now_ms();
        return left > 0 ? (int)left : 0;
}

static void wait_for_news(Supervisor *s) {
        struct pollfd news[] = {
                {.fd = s->signals, .events = POLLIN},
                {.fd = s->watch_socket ? s->options->status_fd : -1, .events = POLLRDHUP},
        };
        (void)poll(news, 2, time_left(s));
        take_signals(s);
        if (news[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) {
                s->watch_socket = false;
                s->phase = PHASE_KILLING;
        }
}

static void watch(Supervisor *s) {
        while (reap(s)) {
                bool over = (s->phase == PHASE_LINGERING || s->phase == PHASE_ENDING) &&
                            now_ms() >= s->until;
                if (over)
                        s->phase = PHASE_KILLING;
                if (s->phase == PHASE_KILLING)
                        signal_descendants(SIGKILL);
                wait_for_news(s);
        }
}

static int open_signals(void) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGQUIT);
        /* An ignored SIGCHLD, inherited, would have the kernel throw the exit status away. */
        (void)sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        sigprocmask(SIG_SETMASK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int supervise(const Options *options) {
        Supervisor s = {.options = options, .program_status = EXIT_NOT_STARTED};
        s.watch_socket = options->status_fd >= 0;
        s.signals = open_signals();
        if (s.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
                prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
                report(options, "error", errno, "fork");
                return EXIT_NOT_STARTED;
        }
        /* It died before the kernel knew whom to tell. */
        if (options->parent && getppid() != options->parent)
                return EXIT_ORPHAN;
        pid_t self = getpid();
        if (options->private && !seal_before_fork(options)) {
                report(options, "error", errno, "users");
                return EXIT_NOT_STARTED;
        }
        s.program = fork();
        if (s.program == 0)
                _exit(become(options, self));
        if (s.program < 0) {
                report(options, "error", errno, "fork");
                return EXIT_NOT_STARTED;
        }
        report(options, "pid", s.program, NULL);
        watch(&s);
        return s.program_status;
}
