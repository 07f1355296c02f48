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
#include "platform/process_stat.h"

enum {
        ENVIRON_MAX = 4 * 1024 * 1024,
        SCAN_PAUSE_MS = 5,
};

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

/* One look at /proc. */
typedef struct Seen {
        ProcessId id;
        pid_t parent;
        bool marked;
} Seen;

typedef struct Scan {
        Seen *all;
        size_t count, marked;
} Scan;

static void scan_done(Scan *scan) { free(scan->all); }

static void look_at(Scan *scan, pid_t pid, const char *entry) {
        Seen seen = {0};
        ProcessStat stat;
        if (!process_identify(pid, &seen.id) || !process_stat_read(pid, &stat))
                return;
        /* Identified before and after: the environment read is that of this process. */
        seen.marked = carries(pid, entry) && process_alive(&seen.id);
        seen.parent = stat.parent;
        scan->marked += seen.marked;
        PUSH(scan->all, scan->count, seen);
}

static bool scan_processes(const char *name, const char *value, Scan *ret, Err *err) {
        scoped(free_str) char *entry = str_format("%s=%s", name, value);
        scoped(close_dir) DIR *dir = opendir("/proc");
        if (!dir)
                return err_fail_errno(err, ERR_IO, errno, "reading '/proc'");
        for (struct dirent *at; (at = readdir(dir));) {
                uint64_t pid = 0;
                if (str_to_uint(at->d_name, INT32_MAX, &pid) && (pid_t)pid != getpid())
                        look_at(ret, (pid_t)pid, entry);
        }
        return true;
}

int process_find_marked(const char *name, const char *value, ProcessId *ret, int room, Err *err) {
        scoped(scan_done) Scan scan = {0};
        if (!scan_processes(name, value, &scan, err))
                return -1;
        int found = 0;
        for (size_t i = 0; i < scan.count && found < room; i++)
                if (scan.all[i].marked)
                        ret[found++] = scan.all[i].id;
        return found;
}

static bool has_marked_parent(const Scan *scan, const Seen *seen) {
        for (size_t i = 0; i < scan->count; i++)
                if (scan->all[i].id.pid == seen->parent)
                        return scan->all[i].marked;
        return false;
}

/* Who has thrown the mark away still has its parent, as long as that one lives. */
static void mark_descendants(Scan *scan) {
        for (size_t before = 0; scan->marked != before;) {
                before = scan->marked;
                for (size_t i = 0; i < scan->count; i++) {
                        Seen *seen = &scan->all[i];
                        if (seen->marked || !has_marked_parent(scan, seen))
                                continue;
                        seen->marked = true;
                        scan->marked++;
                }
        }
}

static bool signal_marked(const Scan *scan, int signal, Err *err) {
        for (size_t i = 0; i < scan->count; i++)
                if (scan->all[i].marked && !process_signal(&scan->all[i].id, signal, err))
                        return false;
        return true;
}

typedef struct Sweep {
        const char *name, *value;
        int64_t kill_from, until;
        bool asked;
} Sweep;

/* One round; *ret_left says how many it found. */
static bool sweep_once(Sweep *sweep, size_t *ret_left, Err *err) {
        scoped(scan_done) Scan scan = {0};
        if (!scan_processes(sweep->name, sweep->value, &scan, err))
                return false;
        mark_descendants(&scan);
        *ret_left = scan.marked;
        if (!sweep->asked && !signal_marked(&scan, SIGTERM, err))
                return false;
        sweep->asked = true;
        if (clock_now_ms() >= sweep->kill_from && !signal_marked(&scan, SIGKILL, err))
                return false;
        if (scan.marked && clock_now_ms() > sweep->until)
                return err_fail(err, ERR_TIMEOUT, "%zu processes with %s=%s cannot be ended",
                        scan.marked, sweep->name, sweep->value);
        return true;
}

bool process_sweep(const char *name, const char *value, int64_t grace_ms, int64_t until, Err *err) {
        Sweep sweep = {name, value, clock_now_ms() + grace_ms, until, grace_ms <= 0};
        for (int empty = 0;;) {
                size_t left = 0;
                if (!sweep_once(&sweep, &left, err))
                        return false;
                empty = left ? 0 : empty + 1;
                if (empty == 2)
                        return true;
                /* In the midst of an exec, a process shows no environment for a moment. */
                clock_sleep_ms(SCAN_PAUSE_MS);
        }
}
