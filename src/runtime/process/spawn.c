#include "runtime/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "model/envfile.h"
#include "model/environment.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/process_stat.h"
#include "runtime/process/log.h"

enum {
        STATUS_FD = 3,            /* where belay-exec tells what went wrong */
        EXECUTE_LIMIT_MS = 20000, /* a directory on a network file system may be slow */
};

/* -- the environment -------------------------------------------------------------------------- */

/* The keeper may be root and the directory another user's, who could put a link to a file there that only
 * root can read: its content would come out in the environment of that user's program. */
static bool env_file_allowed(int fd, const StartSpec *spec, Err *err) {
        struct stat st;
        char at[32], real[4096];
        snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(at, real, sizeof(real) - 1);
        if (fstat(fd, &st) < 0 || n <= 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", spec->env_file);
        real[n] = '\0';
        if (!S_ISREG(st.st_mode))
                return err_fail(err, ERR_REFUSED, "'%s' is not a regular file", spec->env_file);
        if (st.st_uid == spec->uid || !spec->change_user || str_equal(real, spec->env_file))
                return true;
        err_fail(err, ERR_REFUSED,
                "'%s' leads to '%s', which belongs to another user than the service",
                spec->env_file, real);
        return err_hint(err, "Name '%s' itself as the env file if that is meant.", real);
}

static bool env_file_read(const StartSpec *spec, char **ret, Err *err) {
        scoped(close_fd) int fd =
                open(spec->env_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return err_fail_errno(
                        err, ERR_REFUSED, errno, "opening the env file '%s'", spec->env_file);
        if (!env_file_allowed(fd, spec, err))
                return false;
        char at[32];
        snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
        return file_read(at, LIMIT_ENV_FILE, ret, NULL, err);
}

static bool add_env_file(const StartSpec *spec, Strv *environment, Err *err) {
        scoped(free_str) char *text = NULL;
        scoped(strv_freep) Strv values = NULL;
        if (!spec->env_file)
                return true;
        if (!env_file_read(spec, &text, err) || !envfile_values(text, &values, err))
                return err_context(err, "reading the settings of the service");
        environment_add(environment, values);
        return true;
}

static bool make_environment(const SpawnRequest *request, Strv *ret, Err *err) {
        const StartSpec *spec = request->spec;
        scoped(strv_freep) Strv environment = environment_clean(spec->uid);
        environment_add(&environment, spec->environment);
        if (!add_env_file(spec, &environment, err))
                return false;
        if (spec->port && !environment_get(environment, "PORT")) {
                scoped(free_str) char *port = str_format("%u", spec->port);
                environment_set(&environment, "PORT", port);
        }
        environment_set(&environment, SERVICE_MARK, request->mark);
        *ret = TAKE(environment);
        return true;
}

/* -- the command line of belay-exec ----------------------------------------------------------- */

static void add_user(const StartSpec *spec, Strv *argv) {
        if (!spec->change_user)
                return;
        scoped(str_done) Str groups = {0};
        for (size_t i = 0; i < spec->n_groups; i++)
                str_addf(&groups, "%s%u", i ? "," : "", spec->groups[i]);
        strv_add(argv, "--uid");
        strv_addf(argv, "%u", spec->uid);
        strv_add(argv, "--gid");
        strv_addf(argv, "%u", spec->gid);
        strv_add(argv, "--groups");
        strv_push(argv, str_take(&groups));
}

static Strv helper_argv(const SpawnRequest *request) {
        Strv argv = NULL;
        strv_push(&argv, process_helper_path());
        strv_add(&argv, "--replace");
        strv_add(&argv, "--status-fd");
        strv_addf(&argv, "%d", STATUS_FD);
        strv_add(&argv, "--stdin-null");
        strv_add(&argv, "--log");
        strv_add(&argv, request->log_path);
        add_user(request->spec, &argv);
        strv_add(&argv, "--chdir");
        strv_add(&argv, request->spec->directory);
        strv_add(&argv, "--");
        for (char *const *word = request->spec->argv; *word; word++)
                strv_add(&argv, *word);
        return argv;
}

/* -- what went wrong -------------------------------------------------------------------------- */

static bool exec_failed(const SpawnRequest *request, int errnum, Err *err) {
        const StartSpec *spec = request->spec;
        err_fail_errno(err, ERR_ANSWER_NO, errnum, "starting '%s' in '%s'", spec->argv[0],
                spec->directory);
        if (errnum == ENOENT)
                return err_hint(err,
                        "The program, or the interpreter that its first line names, is not there: "
                        "look at 'command' in the manifest.");
        if (errnum == EACCES)
                return err_hint(err,
                        "Make it executable ('chmod +x') and its directories accessible to the "
                        "service's user.");
        if (errnum == ENOEXEC)
                return err_hint(err,
                        "It is no program of this machine, or a script without '#!' in its "
                        "first line.");
        return false;
}

static bool not_started(const SpawnRequest *request, const char *report, Err *err) {
        int errnum = 0;
        char step[16] = "";
        if (sscanf(report, "error %d %15s", &errnum, step) != 2)
                return err_fail(err, ERR_TOOL, "starting '%s': the helper said '%s'",
                        request->spec->argv[0], report);
        if (str_equal(step, "exec"))
                return exec_failed(request, errnum, err);
        if (str_equal(step, "chdir"))
                return err_fail_errno(err, ERR_ANSWER_NO, errnum,
                        "entering '%s' as the service's user", request->spec->directory);
        if (str_equal(step, "log"))
                return err_fail_errno(
                        err, ERR_IO, errnum, "opening the log '%s'", request->log_path);
        return err_fail_errno(
                err, ERR_ANSWER_NO, errnum, "becoming the service's user (step '%s')", step);
}

/* The socket ends when the program has been executed, or when all is over. */
static bool wait_executed(const SpawnRequest *request, int fd, Err *err) {
        char report[64];
        int64_t until = clock_now_ms() + EXECUTE_LIMIT_MS;
        for (;;) {
                int64_t left = until - clock_now_ms();
                struct pollfd at = {.fd = fd, .events = POLLIN};
                int ready = left > 0 ? poll(&at, 1, (int)left) : 0;
                if (ready == 0)
                        return err_fail(err, ERR_TIMEOUT, "'%s' could not be executed within %d s",
                                request->spec->argv[0], EXECUTE_LIMIT_MS / 1000);
                ssize_t n = ready > 0 ? recv(fd, report, sizeof(report) - 1, 0) : -1;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != ECONNRESET)
                        return err_fail_errno(err, ERR_IO, errno, "waiting for '%s' to be executed",
                                request->spec->argv[0]);
                if (n <= 0)
                        return true;
                report[n] = '\0';
                return not_started(request, report, err);
        }
}

/* -- starting it ------------------------------------------------------------------------------ */

static int spawn_helper(char *const *argv, char *const *environment, int status, pid_t *ret) {
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attributes;
        sigset_t none;
        sigemptyset(&none);
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
        posix_spawn_file_actions_adddup2(&files, STDIN_FILENO, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, STDIN_FILENO, STDERR_FILENO);
        posix_spawn_file_actions_adddup2(&files, status, STATUS_FD);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
        int failed = posix_spawn(ret, argv[0], &files, &attributes, argv, environment);
        posix_spawn_file_actions_destroy(&files);
        posix_spawnattr_destroy(&attributes);
        return failed;
}

static void reap(pid_t pid) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* Its number is its own until the caller has waited for it, whether it still lives or not. */
static void identify(pid_t pid, ProcessId *ret) {
        ProcessStat stat = {0};
        process_stat_read(pid, &stat);
        *ret = (ProcessId){.pid = pid, .start_time = stat.start_time};
        snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", clock_boot_id());
}

bool program_spawn(const SpawnRequest *request, ProcessId *ret, Err *err) {
        scoped(strv_freep) Strv environment = NULL;
        scoped(strv_freep) Strv argv = helper_argv(request);
        if (!make_environment(request, &environment, err) ||
                !log_prepare(request->log_path, request->spec->uid, request->spec->gid, err))
                return false;
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return err_fail_errno(err, ERR_IO, errno, "making a socket");
        scoped(close_fd) int ours = ends[0];
        scoped(close_fd) int theirs = ends[1];
        pid_t pid = 0;
        int failed = fault_before("spawn", request->spec->argv[0])
                             ? errno
                             : spawn_helper(argv, environment, theirs, &pid);
        if (failed)
                return err_fail_errno(err, ERR_TOOL, failed, "starting '%s'", argv[0]);
        fault_after();
        close(TAKE_FD(theirs));
        if (!wait_executed(request, ours, err)) {
                reap(pid);
                return false;
        }
        identify(pid, ret);
        return true;
}
