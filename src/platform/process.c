#include "platform/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/process_stat.h"

/* -- identity ----------------------------------------------------------------------------- */

static bool read_stat_text(pid_t pid, char *room, size_t size) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, room, size - 1);
        if (n <= 0)
                return false;
        room[n] = '\0';
        return true;
}

/* "4121 (a name) with) parentheses) S 1 ...": the name ends at the last parenthesis; proc(5). */
bool process_stat_parse(const char *text, ProcessStat *ret) {
        enum { FIRST = 4, LAST = 22 };
        long long fields[LAST + 1];
        const char *at = strrchr(text, ')');
        if (!at || at[1] != ' ' || !at[2])
                return false;
        char state = at[2];
        at += 3;
        for (int i = FIRST; i <= LAST; i++) {
                char *end = NULL;
                fields[i] = strtoll(at, &end, 10);
                if (end == at)
                        return false;
                at = end;
        }
        *ret = (ProcessStat){
                .state = state,
                .parent = (pid_t)fields[4],
                .group = (pid_t)fields[5],
                .session = (pid_t)fields[6],
                .threads = (int)fields[20],
                .start_time = (uint64_t)fields[22],
        };
        return true;
}

bool process_stat_read(pid_t pid, ProcessStat *ret) {
        char text[1024];
        return pid > 0 && read_stat_text(pid, text, sizeof(text)) && process_stat_parse(text, ret);
}

/* A "zombie" with other threads is one whose first thread has ended: it lives. */
bool process_stat_is_dead(const ProcessStat *stat) {
        return (stat->state == 'Z' || stat->state == 'X' || stat->state == 'x') &&
               stat->threads <= 1;
}

static void fill(pid_t pid, uint64_t start_time, ProcessId *ret) {
        *ret = (ProcessId){.pid = pid, .start_time = start_time};
        snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", clock_boot_id());
}

bool process_identify(pid_t pid, ProcessId *ret) {
        ProcessStat stat;
        if (!process_stat_read(pid, &stat) || process_stat_is_dead(&stat))
                return false;
        fill(pid, stat.start_time, ret);
        return true;
}

ProcessId process_self(void) {
        ProcessStat stat = {0};
        ProcessId self;
        process_stat_read(getpid(), &stat);
        fill(getpid(), stat.start_time, &self);
        return self;
}

bool process_alive(const ProcessId *id) {
        ProcessStat stat;
        return id->pid > 0 && strcmp(id->boot_id, clock_boot_id()) == 0 &&
               process_stat_read(id->pid, &stat) && !process_stat_is_dead(&stat) &&
               stat.start_time == id->start_time;
}

json_t *process_to_json(const ProcessId *id) {
        json_t *object = json_object();
        js_set_int(object, "pid", id->pid);
        js_set_int(object, "start_time", (int64_t)id->start_time);
        js_set_str(object, "boot_id", id->boot_id);
        return object;
}

bool process_from_json(const json_t *object, ProcessId *ret) {
        int64_t pid = js_int(object, "pid", -1), start = js_int(object, "start_time", -1);
        const char *boot_id = js_str(object, "boot_id");
        if (pid < 0 || pid > INT32_MAX || start < 0 || !boot_id ||
                strlen(boot_id) >= sizeof(ret->boot_id))
                return false;
        *ret = (ProcessId){.pid = (pid_t)pid, .start_time = (uint64_t)start};
        snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", boot_id);
        return true;
}

/* -- acting on it ------------------------------------------------------------------------- */

/* Opened first, identified after: what the descriptor names can no longer be replaced by another
 * process of the same number. */
int process_open(const ProcessId *id) {
        scoped(close_fd) int fd = id->pid > 0 ? (int)syscall(SYS_pidfd_open, id->pid, 0) : -1;
        if (fd < 0 && id->pid > 0 && errno != ESRCH && errno != EINVAL)
                return -1;
        if (fd < 0 || !process_alive(id)) {
                errno = ESRCH;
                return -1;
        }
        return TAKE_FD(fd);
}

bool process_signal(const ProcessId *id, int signal, Err *err) {
        scoped(close_fd) int fd = process_open(id);
        if (fd < 0)
                return errno == ESRCH ||
                       err_fail_errno(err, ERR_IO, errno, "reaching process %d", (int)id->pid);
        char what[24];
        snprintf(what, sizeof(what), "signal %d", signal);
        bool failed = fault_before("kill", what) ||
                      syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0;
        if (failed && errno != ESRCH)
                return err_fail_errno(err, ERR_IO, errno, "sending signal %d to process %d", signal,
                        (int)id->pid);
        if (!failed)
                fault_after();
        return true;
}

/* A pidfd becomes readable when the process is a zombie, that is, dead. */
bool process_wait_dead(const ProcessId *id, int64_t until) {
        scoped(close_fd) int fd = process_open(id);
        while (process_alive(id)) {
                int64_t left = until - clock_now_ms();
                if (left <= 0)
                        return false;
                if (left > 1000)
                        left = 1000;
                if (fd < 0)
                        clock_sleep_ms(left < 10 ? left : 10);
                else
                        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, (int)left);
        }
        return true;
}

/* -- where Belay is ----------------------------------------------------------------------- */

/* Where this program was started from; when it was replaced meanwhile, the kernel says "(deleted)". */
static char *started_from(void) {
        static const char gone[] = " (deleted)";
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        if (n <= 0)
                return str_copy("/proc/self/exe");
        path[n] = '\0';
        size_t length = (size_t)n;
        if (str_ends(path, gone) && access(path, F_OK) < 0)
                length -= sizeof(gone) - 1;
        return str_copy_n(path, length);
}

/* A keeper lives through the installation of a newer Belay: what it starts then is that, or, when there is
 * none in its place, itself. */
char *process_own_path(void) {
        scoped(free_str) char *path = started_from();
        return access(path, X_OK) == 0 ? TAKE(path) : str_copy("/proc/self/exe");
}

/* The third serves tests: theirs are one below the build directory. */
char *process_helper_path(void) {
        static const char *const places[] = {
                "belay-exec",
                "../libexec/belay/belay-exec",
                "../belay-exec",
        };
        const char *named = getenv("BELAY_EXEC");
        if (named && named[0])
                return str_copy(named);
        scoped(free_str) char *own = started_from();
        scoped(free_str) char *dir = path_dirname(own);
        for (size_t i = 0; i < COUNT_OF(places); i++) {
                scoped(free_str) char *path = path_join(dir, places[i]);
                if (access(path, X_OK) == 0)
                        return file_real(path);
        }
        return path_join(dir, places[0]);
}
