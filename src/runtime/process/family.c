#include "runtime/process/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process_stat.h"
#include "runtime/process/record.h"

enum {
        KTHREADD = 2, /* parent of all kernel threads: they have no environment */
        ENVIRON_MAX = 4 * 1024 * 1024,
        EXE_MAX = 4096,
};

typedef struct Entry {
        pid_t pid;
        ProcessStat stat;
        uint64_t ticks, pages;
        bool member, in_run; /* in_run: carries BELAY_RUN */
        bool judged, belays; /* belays: Belay's own, valid when judged */
} Entry;

typedef struct Table {
        Entry *entries;
        size_t n;
        char *own_program;
} Table;

static void table_done(Table *table) {
        free(table->entries);
        free(table->own_program);
}

void family_done(Family *family) {
        free(family->members);
        *family = (Family){0};
}

/* -- reading /proc ---------------------------------------------------------------------------- */

/* proc(5): after the name, field 3 is the state; 14 to 17 are utime, stime, cutime, cstime; 24 is rss. */
static void usage_parse(const char *text, Entry *entry) {
        const char *at = strrchr(text, ')');
        if (!at)
                return;
        at++;
        for (int field = 3; field <= 24 && *at; field++) {
                at += strspn(at, " ");
                if (field >= 14 && field <= 17)
                        entry->ticks += strtoull(at, NULL, 10);
                if (field == 24)
                        entry->pages = strtoull(at, NULL, 10);
                at += strcspn(at, " ");
        }
}

static bool entry_read(int proc, const char *name, Entry *ret) {
        uint64_t pid = 0;
        char path[32], text[1024];
        if (!str_to_uint(name, INT32_MAX, &pid))
                return false;
        snprintf(path, sizeof(path), "%d/stat", (int)pid);
        scoped(close_fd) int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return false;
        text[n] = '\0';
        *ret = (Entry){.pid = (pid_t)pid};
        if (!process_stat_parse(text, &ret->stat) || process_stat_is_dead(&ret->stat))
                return false;
        usage_parse(text, ret);
        return true;
}

static int by_pid(const void *a, const void *b) {
        pid_t x = ((const Entry *)a)->pid, y = ((const Entry *)b)->pid;
        return (x > y) - (x < y);
}

static bool table_read(Table *table, Err *err) {
        scoped(close_dir) DIR *dir = opendir("/proc");
        if (!dir)
                return err_fail_errno(err, ERR_IO, errno, "reading '/proc'");
        for (struct dirent *at; (at = readdir(dir));) {
                Entry entry;
                if (entry_read(dirfd(dir), at->d_name, &entry) && entry.stat.parent != KTHREADD)
                        PUSH(table->entries, table->n, entry);
        }
        if (table->n > 1)
                qsort(table->entries, table->n, sizeof(Entry), by_pid);
        return true;
}

/* -- who belongs ------------------------------------------------------------------------------ */

/* Whole entries only: a mark that begins alike is another service's. */
static bool has_entry(const char *block, size_t bytes, const char *entry, bool prefix) {
        size_t length = strlen(entry) + (prefix ? 0 : 1);
        for (size_t at = 0; at < bytes; at += strnlen(block + at, bytes - at) + 1)
                if (bytes - at >= length && memcmp(block + at, entry, length) == 0)
                        return true;
        return false;
}

static char *program_of(pid_t pid) {
        char path[32], target[EXE_MAX];
        snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n <= 0)
                return NULL;
        target[n] = '\0';
        char *gone = strstr(target, " (deleted)");
        if (gone && gone[sizeof(" (deleted)") - 1] == '\0')
                *gone = '\0';
        return str_copy(target);
}

/* A run that the keeper resumed, or one that the service itself asked for, inherits marker or parent; it
 * must not be ended with the service. Asked of few: those that would belong otherwise. */
static bool is_belays(const Table *table, Entry *entry) {
        if (entry->judged)
                return entry->belays;
        scoped(free_str) char *program = entry->in_run ? NULL : program_of(entry->pid);
        entry->judged = true;
        entry->belays = entry->in_run ||
                        (program && table->own_program && strcmp(program, table->own_program) == 0);
        return entry->belays;
}

static bool is_main(const Entry *entry, const ProcessId *main) {
        return main->pid > 0 && entry->pid == main->pid &&
               entry->stat.start_time == main->start_time &&
               strcmp(main->boot_id, clock_boot_id()) == 0;
}

static bool main_is_in(const Table *table, const ProcessId *main) {
        for (size_t i = 0; i < table->n; i++)
                if (is_main(&table->entries[i], main))
                        return true;
        return false;
}

static bool is_known(const Entry *entry, const FamilyQuery *query) {
        for (size_t i = 0; i < query->n_known; i++)
                if (is_main(entry, &query->known[i]))
                        return true;
        return false;
}

static void look_at(const Table *table, const FamilyQuery *query, bool session, Entry *entry) {
        if (is_main(entry, query->main) || is_known(entry, query)) {
                entry->member = true;
                return;
        }
        scoped(free_str) char *path = str_format("/proc/%d/environ", (int)entry->pid);
        scoped(free_str) char *wanted = str_format("%s=%s", SERVICE_MARK, query->mark);
        scoped(free_str) char *block = NULL;
        size_t bytes = 0;
        if (!file_read_if(path, ENVIRON_MAX, &block, &bytes, NULL))
                bytes = 0;
        bool marked = block && has_entry(block, bytes, wanted, false);
        bool in_session = session && (entry->stat.session == query->main->pid ||
                                             entry->stat.group == query->main->pid);
        bool orphan = query->keeper > 0 && entry->stat.parent == query->keeper;
        entry->in_run = block && has_entry(block, bytes, "BELAY_RUN=", true);
        entry->member = (marked || in_session || orphan) && !is_belays(table, entry);
}

static const Entry *entry_find(const Table *table, pid_t pid) {
        const Entry key = {.pid = pid};
        return bsearch(&key, table->entries, table->n, sizeof(key), by_pid);
}

/* Children of members are members, to any depth. */
static void add_descendants(const Table *table) {
        for (bool grown = true; grown;) {
                grown = false;
                for (size_t i = 0; i < table->n; i++) {
                        Entry *entry = &table->entries[i];
                        if (entry->member)
                                continue;
                        const Entry *parent = entry_find(table, entry->stat.parent);
                        if (parent && parent->member && !is_belays(table, entry)) {
                                entry->member = true;
                                grown = true;
                        }
                }
        }
}

static void collect(const Table *table, Family *ret) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), hertz = (uint64_t)sysconf(_SC_CLK_TCK);
        for (size_t i = 0; i < table->n; i++) {
                const Entry *entry = &table->entries[i];
                if (!entry->member)
                        continue;
                Member member = {
                        .id = {.pid = entry->pid, .start_time = entry->stat.start_time},
                        .memory_bytes = entry->pages * page,
                        .cpu_ms = entry->ticks * 1000 / hertz,
                };
                snprintf(member.id.boot_id, sizeof(member.id.boot_id), "%s", clock_boot_id());
                PUSH(ret->members, ret->n, member);
        }
}

bool family_find(const FamilyQuery *query, Family *ret, Err *err) {
        scoped(table_done) Table table = {.own_program = program_of(getpid())};
        if (!table_read(&table, err))
                return false;
        bool session =
                query->main->pid > 0 && (query->session_known || main_is_in(&table, query->main));
        for (size_t i = 0; i < table.n; i++)
                if (table.entries[i].pid != getpid() && table.entries[i].pid != query->keeper)
                        look_at(&table, query, session, &table.entries[i]);
        add_descendants(&table);
        collect(&table, ret);
        return true;
}

/* -- ending it -------------------------------------------------------------------------------- */

static bool signal_all(const Family *family, int signal, Err *err) {
        for (size_t i = 0; i < family->n; i++)
                if (!process_signal(&family->members[i].id, signal, err))
                        return false;
        return true;
}

static void wait_all(const Family *family, int64_t until) {
        for (size_t i = 0; i < family->n; i++)
                process_wait_dead(&family->members[i].id, until);
}

bool family_end(const FamilyQuery *query, int64_t grace_ms, int64_t until, Err *err) {
        int64_t kill_from = clock_now_ms() + grace_ms;
        for (int empty = 0; empty < 2;) {
                scoped(family_done) Family family = {0};
                if (!family_find(query, &family, err))
                        return false;
                empty = family.n == 0 ? empty + 1 : 0;
                if (family.n == 0)
                        continue;
                int64_t now = clock_now_ms();
                if (now > until)
                        return err_fail(err, ERR_TIMEOUT,
                                "%zu processes cannot be ended, the first is %d", family.n,
                                (int)family.members[0].id.pid);
                bool force = now >= kill_from;
                if (!signal_all(&family, force ? SIGKILL : SIGTERM, err))
                        return false;
                wait_all(&family, force ? until : kill_from);
        }
        return true;
}
