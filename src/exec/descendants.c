#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/exec.h"

typedef struct Process {
        pid_t pid, parent;
        long long start;
        bool below; /* this process */
} Process;

typedef struct Table {
        Process *all;
        size_t count, room;
} Table;

static bool read_text(pid_t pid, char *room, size_t size) {
        char path[32];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, room, size - 1);
        if (fd >= 0)
                close(fd);
        if (n <= 0)
                return false;
        room[n] = '\0';
        return true;
}

/* "4121 (a name) with) parentheses) S 1 ...": fields 3, 4, 20 and 22 of proc(5); false for the dead. A
 * "zombie" with other threads is one whose first thread has ended: it lives. */
static bool read_process(pid_t pid, Process *ret) {
        enum { FIRST = 4, LAST = 22 };
        char text[1024];
        long long fields[LAST + 1];
        if (!read_text(pid, text, sizeof(text)))
                return false;
        char *at = strrchr(text, ')');
        if (!at || at[1] != ' ' || !at[2])
                return false;
        char state = at[2];
        at += 3;
        for (int i = FIRST; i <= LAST; i++) {
                char *end = at;
                fields[i] = strtoll(at, &end, 10);
                if (end == at)
                        return false;
                at = end;
        }
        *ret = (Process){.pid = pid, .parent = (pid_t)fields[4], .start = fields[22]};
        return (state != 'Z' && state != 'X') || fields[20] > 1;
}

static void add(Table *table, Process process) {
        if (table->count == table->room) {
                size_t room = table->room ? 2 * table->room : 256;
                Process *grown = realloc(table->all, room * sizeof(Process));
                if (!grown)
                        return;
                table->all = grown;
                table->room = room;
        }
        table->all[table->count++] = process;
}

static void read_table(Table *table) {
        DIR *dir = opendir("/proc");
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                char *end = NULL;
                long pid = strtol(entry->d_name, &end, 10);
                Process process;
                if (pid > 0 && !*end && read_process((pid_t)pid, &process))
                        add(table, process);
        }
        if (dir)
                closedir(dir);
}

static bool has_parent_below(const Table *table, const Process *process, pid_t self) {
        if (process->parent == self)
                return true;
        for (size_t i = 0; i < table->count; i++)
                if (table->all[i].pid == process->parent)
                        return table->all[i].below;
        return false;
}

static void mark_descendants(Table *table) {
        pid_t self = getpid();
        for (bool changed = true; changed;) {
                changed = false;
                for (size_t i = 0; i < table->count; i++) {
                        Process *process = &table->all[i];
                        if (process->below || !has_parent_below(table, process, self))
                                continue;
                        process->below = true;
                        changed = true;
                }
        }
}

/* By descriptor, after a second look: the number may have gone to a stranger since the scan. */
static void signal_exactly(const Process *process, int signal) {
        int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
        Process now;
        if (fd < 0)
                return;
        if (read_process(process->pid, &now) && now.start == process->start)
                (void)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
        close(fd);
}

void signal_descendants(int signal) {
        Table table = {0};
        read_table(&table);
        mark_descendants(&table);
        for (size_t i = 0; i < table.count; i++)
                if (table.all[i].below)
                        signal_exactly(&table.all[i], signal);
        free(table.all);
}
