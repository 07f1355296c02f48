/* Ends what carries a mark in its environment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process.h"

enum {
        ENVIRON_MAX = 4 * 1024 * 1024,
        FOUND_MAX = 256, /* more are found by the next scan */
        SCAN_PAUSE_MS = 5,
};

static void close_dir(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

/* Whole entries only: "BELAY_RUN=4" is not "BELAY_RUN=44". */
static bool has_entry(const char *block, size_t bytes, const char *entry) {
        for (size_t at = 0; at < bytes; at += strnlen(block + at, bytes - at) + 1)
                if (strncmp(block + at, entry, bytes - at) == 0)
                        return true;
        return false;
}

/* The processes of other users do not show their environment to this one: they are not its own. */
static bool carries(pid_t pid, const char *entry) {
        scoped(free_str) char *path = str_format("/proc/%d/environ", (int)pid);
        scoped(free_str) char *block = NULL;
        size_t bytes = 0;
        return file_read_if(path, ENVIRON_MAX, &block, &bytes, NULL) && block &&
               has_entry(block, bytes, entry);
}

int process_find_marked(const char *name, const char *value, ProcessId *ret, int room, Err *err) {
        scoped(free_str) char *entry = str_format("%s=%s", name, value);
        scoped(close_dir) DIR *dir = opendir("/proc");
        if (!dir) {
                err_fail_errno(err, ERR_IO, errno, "reading '/proc'");
                return -1;
        }
        int found = 0;
        for (struct dirent *at; found < room && (at = readdir(dir));) {
                uint64_t pid = 0;
                if (!str_to_uint(at->d_name, INT32_MAX, &pid) || (pid_t)pid == getpid())
                        continue;
                /* Identified before and after: the environment read is that of this process. */
                ProcessId id;
                if (process_identify((pid_t)pid, &id) && carries((pid_t)pid, entry) &&
                        process_alive(&id))
                        ret[found++] = id;
        }
        return found;
}

static bool signal_all(const ProcessId *found, int n, int signal, Err *err) {
        for (int i = 0; i < n; i++)
                if (!process_signal(&found[i], signal, err))
                        return false;
        return true;
}

bool process_sweep(const char *name, const char *value, int64_t grace_ms, int64_t until, Err *err) {
        ProcessId found[FOUND_MAX];
        int64_t kill_from = clock_now_ms() + grace_ms;
        bool asked = grace_ms <= 0;
        for (int empty = 0; empty < 2;) {
                int n = process_find_marked(name, value, found, FOUND_MAX, err);
                if (n < 0)
                        return false;
                empty = n == 0 ? empty + 1 : 0;
                if (n == 0)
                        continue;
                if (!asked && !signal_all(found, n, SIGTERM, err))
                        return false;
                asked = true;
                if (clock_now_ms() >= kill_from && !signal_all(found, n, SIGKILL, err))
                        return false;
                if (clock_now_ms() > until)
                        return err_fail(err, ERR_TIMEOUT,
                                "%d processes with %s=%s cannot be ended, the first is %d", n, name,
                                value, (int)found[0].pid);
                clock_sleep_ms(SCAN_PAUSE_MS);
        }
        return true;
}
