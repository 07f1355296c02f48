#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/process.h"
#include "platform/process_stat.h"

extern char **environ;

static bool is_kept(const Detached *what, int fd) {
        for (const int *keep = what->keep_fds; keep && *keep >= 0; keep++)
                if (*keep == fd)
                        return true;
        return false;
}

static int highest_kept(const Detached *what) {
        int highest = STDERR_FILENO;
        for (const int *keep = what->keep_fds; keep && *keep >= 0; keep++)
                if (*keep > highest)
                        highest = *keep;
        return highest;
}

/* A descriptor of this process, given as 0, 1 or 2: first copied out of the way of the others. */
static int give_stream(
        posix_spawn_file_actions_t *actions, int fd, int as, int above, int *ret_copy) {
        if (fd < 0)
                return posix_spawn_file_actions_addopen(actions, as, "/dev/null", O_RDWR, 0);
        *ret_copy = fcntl(fd, F_DUPFD_CLOEXEC, above + 1);
        return *ret_copy < 0 ? errno : posix_spawn_file_actions_adddup2(actions, *ret_copy, as);
}

/* Only what was inherited without O_CLOEXEC would leak; it is not known, so all others are closed. */
static int close_others(posix_spawn_file_actions_t *actions, const Detached *what, int highest) {
        scoped(close_dir) DIR *dir = opendir("/proc/self/fd");
        if (!dir)
                return errno;
        for (struct dirent *entry; (entry = readdir(dir));) {
                uint64_t fd = 0;
                if (!str_to_uint(entry->d_name, INT32_MAX, &fd) || fd <= STDERR_FILENO ||
                        (int)fd > highest || is_kept(what, (int)fd) || (int)fd == dirfd(dir))
                        continue;
                int failed = posix_spawn_file_actions_addclose(actions, (int)fd);
                if (failed)
                        return failed;
        }
        return posix_spawn_file_actions_addclosefrom_np(actions, highest + 1);
}

/* A dup2 of a number onto itself clears its O_CLOEXEC. */
static int plan_descriptors(
        posix_spawn_file_actions_t *actions, const Detached *what, int copies[3]) {
        const int given[3] = {what->stdin_fd, what->stdout_fd, what->stderr_fd};
        int highest = highest_kept(what), failed = 0;
        for (int i = 0; i < 3 && !failed; i++)
                failed = give_stream(actions, given[i], i, highest, &copies[i]);
        for (const int *keep = what->keep_fds; keep && *keep >= 0 && !failed; keep++)
                failed = posix_spawn_file_actions_adddup2(actions, *keep, *keep);
        return failed ? failed : close_others(actions, what, highest);
}

static Strv own_environment(void) {
        Strv copy = NULL;
        for (char **at = environ; at && *at; at++)
                if (!str_starts(*at, "BELAY_RUN=") && !str_starts(*at, "BELAY_CHILD="))
                        strv_add(&copy, *at);
        return copy;
}

static int spawn(const Detached *what, char *const *environment,
        posix_spawn_file_actions_t *actions, pid_t *ret) {
        posix_spawnattr_t attributes;
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        int failed = posix_spawnattr_init(&attributes);
        if (failed)
                return failed;
        failed = posix_spawnattr_setflags(
                &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        if (!failed)
                failed = posix_spawn(
                        ret, what->argv[0], actions, &attributes, what->argv, environment);
        posix_spawnattr_destroy(&attributes);
        return failed;
}

/* Not waited for yet, it has a start time even when it has ended already. */
static ProcessId identity_of_child(pid_t pid) {
        ProcessStat stat = {0};
        (void)process_stat_read(pid, &stat);
        ProcessId id = {.pid = pid, .start_time = stat.start_time};
        snprintf(id.boot_id, sizeof(id.boot_id), "%s", clock_boot_id());
        return id;
}

bool process_start_detached(const Detached *what, ProcessId *ret, Err *err) {
        posix_spawn_file_actions_t actions;
        int copies[3] = {-1, -1, -1};
        pid_t pid = 0;
        if (fault_before("spawn", what->argv[0]))
                return err_fail_errno(err, ERR_TOOL, errno, "starting '%s'", what->argv[0]);
        int failed = posix_spawn_file_actions_init(&actions);
        if (failed)
                return err_fail_errno(err, ERR_TOOL, failed, "starting '%s'", what->argv[0]);
        scoped(strv_freep) Strv own = what->environment ? NULL : own_environment();
        failed = plan_descriptors(&actions, what, copies);
        if (!failed)
                failed = spawn(what, what->environment ? what->environment : own, &actions, &pid);
        posix_spawn_file_actions_destroy(&actions);
        for (size_t i = 0; i < COUNT_OF(copies); i++)
                close_fd(&copies[i]);
        if (failed)
                return err_fail_errno(err, ERR_TOOL, failed, "starting '%s'", what->argv[0]);
        fault_after();
        *ret = identity_of_child(pid);
        return true;
}
