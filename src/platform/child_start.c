#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/child_parts.h"
#include "platform/fault.h"

/* Above all numbers that belay-exec gets, so that moving one into its place closes no other. */
enum { FIRST_FREE = 16 };

/* What belay-exec is given: its standard streams and the status socket. */
typedef struct Ends {
        int given[CHILD_STATUS_FD + 1];
} Ends;

static void ends_done(Ends *ends) {
        for (size_t i = 0; i < COUNT_OF(ends->given); i++)
                close_fd(&ends->given[i]);
}

static int moved_up(int fd) {
        if (fd < 0)
                return -1;
        int up = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
        close(fd);
        return up;
}

/* Text for the program waits in memory: no pipe that somebody must feed. */
static int open_input(const char *text) {
        if (!text)
                return moved_up(open("/dev/null", O_RDONLY | O_CLOEXEC));
        int fd = memfd_create("input", MFD_CLOEXEC);
        size_t n = strlen(text);
        for (size_t at = 0; fd >= 0 && at < n;) {
                ssize_t put = write(fd, text + at, n - at);
                if (put <= 0) {
                        close(fd);
                        return -1;
                }
                at += (size_t)put;
        }
        if (fd >= 0)
                (void)lseek(fd, 0, SEEK_SET);
        return moved_up(fd);
}

/* The program's user owns its ends, or it could not open /dev/stdout. */
static bool open_stream(const Child *child, int *ret_read, int *ret_write) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return false;
        *ret_read = moved_up(ends[0]);
        *ret_write = moved_up(ends[1]);
        if (*ret_read < 0 || *ret_write < 0 || fcntl(*ret_read, F_SETFL, O_NONBLOCK) < 0)
                return false;
        return !child->as_user || geteuid() != 0 || fchown(*ret_write, child->uid, child->gid) == 0;
}

static bool open_ends(const Child *child, ChildRun *run, Ends *ends) {
        int pair[2];
        ends->given[0] = open_input(child->input);
        if (ends->given[0] < 0 || !open_stream(child, &run->streams[0], &ends->given[1]) ||
                !open_stream(child, &run->streams[1], &ends->given[2]) ||
                socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return false;
        run->status = moved_up(pair[0]);
        ends->given[CHILD_STATUS_FD] = moved_up(pair[1]);
        return run->status >= 0 && ends->given[CHILD_STATUS_FD] >= 0;
}

static bool open_log(const Child *child, ChildRun *run, Err *err) {
        if (!child->log_path)
                return true;
        if (fault_before("create", child->log_path))
                return err_fail_errno(err, ERR_IO, errno, "opening log '%s'", child->log_path);
        scoped(close_fd) int fd = open(child->log_path,
                O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                0600);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening log '%s'", child->log_path);
        if (!S_ISREG(st.st_mode))
                return err_fail(err, ERR_IO, "log '%s' is not a regular file", child->log_path);
        fault_after();
        run->log = TAKE_FD(fd);
        return true;
}

/* A session of its own: without a terminal, a question for a password fails instead of waiting. */
static int spawn(const ChildPlan *plan, const Ends *ends, pid_t *ret_pid) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return ENOMEM;
        }
        int failed = posix_spawnattr_setflags(
                &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        for (int i = 0; i <= CHILD_STATUS_FD && !failed; i++)
                failed = posix_spawn_file_actions_adddup2(&actions, ends->given[i], i);
        if (!failed)
                failed = posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_STATUS_FD + 1);
        if (!failed)
                failed = posix_spawn(ret_pid, plan->argv[0], &actions, &attributes, plan->argv,
                        plan->environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return failed;
}

static bool helper_failed(const ChildPlan *plan, int failed, Err *err) {
        err_fail_errno(err, ERR_TOOL, failed, "starting Belay's helper '%s'", plan->argv[0]);
        if (failed == ENOENT || failed == EACCES || failed == ENOEXEC)
                return err_hint(err, "It belongs beside the program 'belay': install Belay again.");
        if (failed == EAGAIN || failed == ENOMEM)
                return err_hint(err, "This machine has no room for another process: look at "
                                     "'ulimit -u' and memory.");
        return false;
}

bool child_start(const Child *child, const ChildPlan *plan, ChildRun *run, Err *err) {
        scoped(ends_done) Ends ends = {{-1, -1, -1, -1}};
        if (!open_log(child, run, err))
                return false;
        if (!open_ends(child, run, &ends))
                return err_fail_errno(err, ERR_IO, errno, "making the pipes for %s", child->what);
        if (fault_before("spawn", child->what))
                return helper_failed(plan, errno, err);
        int failed = spawn(plan, &ends, &run->pid);
        if (failed)
                return helper_failed(plan, failed, err);
        run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
        fault_after();
        return true;
}
