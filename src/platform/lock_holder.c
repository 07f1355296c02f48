#include "platform/lock_holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/lock.h"
#include "platform/process.h"

enum { PROC_BYTES = 4 * 1024 * 1024 };

/* "7: FLOCK ADVISORY WRITE 4121 fe:00:1234 0 EOF": proc(5). Who only waits has "->" second. 0: it is about
 * another file; -1: locked, and by whom is not said, as of a lock of an open file (OFDLCK). */
static pid_t pid_in_line(char *line, const char *where) {
        enum { KIND = 1, PID = 4, WHERE = 5, FIELDS = 6 };
        const char *fields[FIELDS] = {NULL};
        char *rest = NULL, *at = strtok_r(line, " ", &rest);
        uint64_t pid = 0;
        for (size_t i = 0; i < FIELDS && at; i++, at = strtok_r(NULL, " ", &rest))
                fields[i] = at;
        if (str_equal(fields[KIND], "->") || !str_equal(fields[WHERE], where))
                return 0;
        return str_to_uint(fields[PID], INT32_MAX, &pid) && pid ? (pid_t)pid : -1;
}

static pid_t pid_in_proc_locks(const struct stat *st) {
        scoped(free_str) char *text = NULL;
        scoped(free_str) char *where = str_format(
                "%02x:%02x:%" PRIu64, major(st->st_dev), minor(st->st_dev), (uint64_t)st->st_ino);
        if (!file_read_if("/proc/locks", PROC_BYTES, &text, NULL, NULL) || !text)
                return 0;
        char *rest = NULL;
        pid_t pid = 0;
        for (char *line = strtok_r(text, "\n", &rest); line && pid <= 0;
                line = strtok_r(NULL, "\n", &rest)) {
                pid_t found = pid_in_line(line, where);
                pid = found ? found : pid;
        }
        return pid;
}

/* proc(5), "/proc/pid/fdinfo": "lock:\t1: FLOCK ADVISORY WRITE 4121 ...", of what the descriptor holds. */
static bool holds_lock(pid_t pid, const char *number) {
        scoped(free_str) char *path = str_format("/proc/%d/fdinfo/%s", (int)pid, number);
        scoped(free_str) char *text = NULL;
        return file_read_if(path, PROC_BYTES, &text, NULL, NULL) && text && strstr(text, "\nlock:");
}

static bool process_holds(pid_t pid, const struct stat *st) {
        scoped(free_str) char *path = str_format("/proc/%d/fd", (int)pid);
        scoped(close_dir) DIR *dir = opendir(path);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                struct stat other;
                if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &other, 0) < 0)
                        continue;
                if (other.st_dev == st->st_dev && other.st_ino == st->st_ino &&
                        holds_lock(pid, entry->d_name))
                        return true;
        }
        return false;
}

/* Where /proc/locks has no answer: it names who took the lock, which may be dead while its child holds
 * it, names nobody for one of an open file (fcntl, F_OFD_SETLK), and knows some file systems by another
 * device number. */
static pid_t pid_by_descriptors(const struct stat *st) {
        scoped(close_dir) DIR *dir = opendir("/proc");
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                uint64_t pid = 0;
                if (str_to_uint(entry->d_name, INT32_MAX, &pid) && process_holds((pid_t)pid, st))
                        return (pid_t)pid;
        }
        return 0;
}

static char *process_name(pid_t pid) {
        scoped(free_str) char *path = str_format("/proc/%d/comm", (int)pid);
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, PROC_BYTES, &text, NULL, NULL) || !text)
                return str_copy("a process");
        return str_printable(str_trim(text), false);
}

/* A start time is in clock ticks since boot. */
static char *since_text(const ProcessId *id) {
        int64_t ticks = sysconf(_SC_CLK_TCK);
        int64_t after_boot_ms = (int64_t)id->start_time * 1000 / (ticks > 0 ? ticks : 100);
        return time_text(clock_wall_ms() - clock_now_ms() + after_boot_ms);
}

static char *describe(pid_t pid) {
        ProcessId id;
        if (pid <= 0 || !process_identify(pid, &id))
                return NULL;
        scoped(free_str) char *name = process_name(pid);
        scoped(free_str) char *since = since_text(&id);
        return str_format("%s (pid %d), running since %s", name, (int)pid, since);
}

char *lock_holder_text(int fd) {
        struct stat st;
        if (fstat(fd, &st) < 0)
                return str_copy("another process");
        char *text = describe(pid_in_proc_locks(&st));
        if (!text)
                text = describe(pid_by_descriptors(&st));
        return text ? text : str_copy("another process that this user cannot see");
}

char *lock_file_holder(const char *path) {
        struct stat st;
        if (stat(path, &st) < 0)
                return NULL;
        pid_t pid = pid_in_proc_locks(&st);
        char *text = describe(pid);
        if (!text)
                text = describe(pid_by_descriptors(&st));
        return text || pid == 0 ? text : str_copy("another process that this user cannot see");
}
