#include "runtime/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "model/environment.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process_stat.h"
#include "runtime/process/ports.h"
#include "runtime/process/record.h"

enum {
        BLOCK_MAX = 4 * 1024 * 1024, /* of a command line or an environment */
        FILES_MAX = 256,
        CLIMB_MAX = 32,
};

static void running_done(Running *process) {
        strv_free(process->argv);
        strv_free(process->environment);
        strv_free(process->files);
        free(process->program);
        free(process->directory);
        free(process->output);
        free(process->holder);
}

void running_list_done(RunningList *list) {
        for (size_t i = 0; i < list->n; i++)
                running_done(&list->items[i]);
        free(list->items);
        *list = (RunningList){0};
}

/* -- reading /proc/<pid> ---------------------------------------------------------------------- */

/* Owned; NULL when it may not be seen or is gone. */
static char *link_of(pid_t pid, const char *name) {
        char path[64], target[PATH_MAX];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        return n > 0 ? str_copy_n(target, (size_t)n) : NULL;
}

static Strv block_of(pid_t pid, const char *name) {
        scoped(free_str) char *path = str_format("/proc/%d/%s", (int)pid, name);
        scoped(free_str) char *block = NULL;
        size_t bytes = 0;
        Strv words = NULL;
        if (!file_read_if(path, BLOCK_MAX, &block, &bytes, NULL) || !block)
                return NULL;
        for (size_t at = 0; at < bytes; at += strnlen(block + at, bytes - at) + 1)
                strv_push(&words, str_copy_n(block + at, strnlen(block + at, bytes - at)));
        return words;
}

static void add_port(Running *process, unsigned port) {
        for (size_t i = 0; i < process->n_ports; i++)
                if (process->ports[i] == port)
                        return;
        if (process->n_ports < RUNNING_PORTS_MAX)
                process->ports[process->n_ports++] = port;
}

static void add_file(Running *process, const char *target, int flags) {
        struct stat st;
        if ((flags & O_ACCMODE) == O_RDONLY || strv_count(process->files) >= FILES_MAX ||
                stat(target, &st) < 0 || !S_ISREG(st.st_mode))
                return;
        if (!strv_contains(process->files, target))
                strv_add(&process->files, target);
}

/* proc(5), "/proc/pid/fdinfo": the flags in octal. */
static int flags_of(pid_t pid, const char *fd) {
        scoped(free_str) char *path = str_format("/proc/%d/fdinfo/%s", (int)pid, fd);
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, BLOCK_MAX, &text, NULL, NULL) || !text)
                return O_RDONLY;
        const char *at = strstr(text, "flags:");
        return at ? (int)strtol(at + strlen("flags:"), NULL, 8) : O_RDONLY;
}

static void read_descriptors(const ListeningPorts *listening, Running *process) {
        scoped(free_str) char *path = str_format("/proc/%d/fd", (int)process->id.pid);
        scoped(close_dir) DIR *dir = opendir(path);
        for (struct dirent *at; dir && (at = readdir(dir));) {
                char target[PATH_MAX];
                ssize_t n = readlinkat(dirfd(dir), at->d_name, target, sizeof(target) - 1);
                if (n <= 0)
                        continue;
                target[n] = '\0';
                unsigned port = ports_of_link(listening, target);
                if (port)
                        add_port(process, port);
                if (target[0] != '/' || str_starts(target, "/dev/") || str_starts(target, "/proc/"))
                        continue;
                if (strcmp(at->d_name, "1") == 0)
                        str_replace_owned(&process->output, str_copy(target));
                else
                        add_file(process, target, flags_of(process->id.pid, at->d_name));
        }
}

/* proc(5): the start time is in clock ticks since boot. */
static int64_t started_at(uint64_t ticks) {
        scoped(free_str) char *text = NULL;
        if (!file_read_if("/proc/uptime", BLOCK_MAX, &text, NULL, NULL) || !text)
                return 0;
        int64_t up_ms = (int64_t)(strtod(text, NULL) * 1000);
        return clock_wall_ms() - up_ms + (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* -- who would start it again ----------------------------------------------------------------- */

/* "0::/system.slice/shop.service": systemd.unit(5). Sessions and what is started in them are scopes. */
static char *unit_of(pid_t pid) {
        static const char *const shared[] = {"cron.service", "ssh.service", "sshd.service",
                "atd.service", "docker.service", "containerd.service", "getty@tty1.service"};
        scoped(free_str) char *path = str_format("/proc/%d/cgroup", (int)pid);
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, BLOCK_MAX, &text, NULL, NULL) || !text)
                return NULL;
        text[strcspn(text, "\n")] = '\0';
        const char *name = path_basename(text);
        for (size_t i = 0; i < COUNT_OF(shared); i++)
                if (strcmp(name, shared[i]) == 0)
                        return NULL;
        return str_ends(name, ".service") && !str_starts(name, "user@") ? str_copy(name) : NULL;
}

static bool is_supervisor(char *const *argv, const char **ret_name) {
        static const char *const names[] = {"supervisord", "runsv", "s6-supervise", "supervise",
                "nodemon", "forever", "pm2", "honcho", "foreman", "monit", "circusd",
                "start-stop-daemon"};
        for (size_t word = 0; word < 2 && argv && argv[word]; word++) {
                const char *name = path_basename(argv[word]);
                if (word == 0 && str_starts(name, "PM2 "))
                        name = "pm2";
                for (size_t i = 0; i < COUNT_OF(names); i++)
                        if (strcmp(name, names[i]) == 0) {
                                *ret_name = names[i];
                                return true;
                        }
                if (!argv[word + 1])
                        break;
        }
        return false;
}

static bool is_systemd(pid_t pid) {
        scoped(free_str) char *program = link_of(pid, "exe");
        return pid == 1 || (program && strcmp(path_basename(program), "systemd") == 0);
}

static char *find_holder(const Running *process) {
        if (environment_get(process->environment, SERVICE_MARK))
                return str_copy("a keeper of Belay's, of another service or state directory");
        pid_t at = process->parent;
        for (int i = 0; i < CLIMB_MAX && at > 1; i++) {
                scoped(strv_freep) Strv argv = block_of(at, "cmdline");
                const char *name = NULL;
                ProcessStat stat;
                if (is_supervisor(argv, &name))
                        return str_format("%s (pid %d)", name, (int)at);
                if (!process_stat_read(at, &stat))
                        break;
                at = stat.parent;
        }
        scoped(free_str) char *unit = is_systemd(process->parent) ? unit_of(process->id.pid) : NULL;
        return unit ? str_format("the systemd unit '%s'", unit) : NULL;
}

/* -- all of them ------------------------------------------------------------------------------ */

static bool is_belays(const char *program) {
        scoped(free_str) char *own = process_own_path();
        return own && program && strcmp(own, program) == 0;
}

/* "./sbin/shopd" that is /srv/shop/sbin/shopd was started in /srv/shop. Owned; NULL: it does not tell. */
static char *start_by_program(const Running *process) {
        const char *word = process->argv[0], *program = process->program;
        for (; str_starts(word, "./");)
                word += 2;
        if (!program || word[0] == '/' || !strchr(process->argv[0], '/') ||
                !str_ends(program, word))
                return NULL;
        size_t n = strlen(program) - strlen(word);
        return n > 1 && program[n - 1] == '/' ? str_copy_n(program, n - 1) : NULL;
}

/* What a shell told it of where it was typed, when that place has what is executed. Owned, or NULL. */
static char *start_by_shell(const Running *process) {
        const char *told = environment_get(process->environment, "PWD");
        scoped(free_str) char *place = told && told[0] == '/' ? file_real(told) : NULL;
        for (size_t i = 0; place && i < 2 && process->argv[i]; i++) {
                scoped(free_str) char *path = path_join(place, process->argv[i]);
                scoped(free_str) char *file = realpath(path, NULL);
                if (file && path_holds(place, file))
                        return TAKE(place);
        }
        return NULL;
}

/* "python3 srv.py" with no srv.py where it works: it was started elsewhere. */
static bool lacks_its_script(const Running *process) {
        const char *word = process->argv[1];
        scoped(free_str) char *path = word ? path_join(process->directory, word) : NULL;
        return word && word[0] != '-' && word[0] != '/' && !file_exists(path);
}

/* Servers go to their pages or to "/" once they run: then the place that counts is where they were started. */
static bool lies_in(const char *directory, Running *process) {
        bool works_there = path_holds(directory, process->directory);
        scoped(free_str) char *start = start_by_program(process);
        if (!start && (!works_there || lacks_its_script(process)))
                start = start_by_shell(process);
        if (!start || !path_holds(directory, start))
                return works_there;
        str_replace_owned(&process->directory, TAKE(start));
        return true;
}

/* What it executes lies there, and it neither works nor was started there. */
static bool only_executes(const char *directory, Running *process) {
        bool there = process->program && path_holds(directory, process->program);
        for (size_t i = 0; i < 3 && !there && process->argv[i]; i++)
                there = process->argv[i][0] == '/' && path_holds(directory, process->argv[i]);
        return there && !lies_in(directory, process);
}

/*
 * As whom it was started. A server that root started and that became somebody else once it had its port is known by
 * two things together: proc(5), "dumpable": what a process may not show after such a change belongs to root; and its
 * environment is that of root. Either alone may have other reasons (a program with capabilities; sudo -u).
 */
static uid_t started_as(const Running *process, uid_t now) {
        static const char *const names[] = {"USER", "LOGNAME"};
        struct stat st;
        char path[48];
        snprintf(path, sizeof(path), "/proc/%d/environ", (int)process->id.pid);
        if (now == 0 || lstat(path, &st) < 0 || st.st_uid != 0)
                return now;
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (str_equal(environment_get(process->environment, names[i]), "root"))
                        return 0;
        return str_equal(environment_get(process->environment, "HOME"), "/root") ? 0 : now;
}

typedef bool ProcessFits(const char *directory, Running *process);

static bool read_one(pid_t pid, const char *directory, ProcessFits *fits, Running *ret) {
        Running process = {.directory = link_of(pid, "cwd")};
        ProcessStat stat;
        struct stat owner;
        char path[32];
        snprintf(path, sizeof(path), "/proc/%d", (int)pid);
        if (process.directory) {
                process.program = link_of(pid, "exe");
                process.argv = block_of(pid, "cmdline");
                process.environment = block_of(pid, "environ");
        }
        if (!process.argv || !process_identify(pid, &process.id) ||
                !process_stat_read(pid, &stat) || !fits(directory, &process) ||
                is_belays(process.program) || lstat(path, &owner) < 0) {
                running_done(&process);
                return false;
        }
        process.uid = started_as(&process, owner.st_uid);
        process.parent = stat.parent;
        process.group = stat.group;
        process.started_at_ms = started_at(process.id.start_time);
        *ret = process;
        return true;
}

static bool find(const char *directory, ProcessFits *fits, RunningList *ret, Err *err) {
        scoped(running_list_done) RunningList list = {0};
        scoped(listening_ports_done) ListeningPorts listening = {0};
        scoped(free_str) char *real = file_real(directory);
        scoped(close_dir) DIR *dir = opendir("/proc");
        if (!real || !dir)
                return err_fail_errno(
                        err, ERR_IO, errno, "looking at what runs in '%s'", directory);
        ports_listening(&listening);
        for (struct dirent *at; (at = readdir(dir));) {
                uint64_t pid = 0;
                Running process;
                if (!str_to_uint(at->d_name, INT32_MAX, &pid) || (pid_t)pid == getpid() ||
                        !read_one((pid_t)pid, real, fits, &process))
                        continue;
                read_descriptors(&listening, &process);
                process.holder = find_holder(&process);
                PUSH(list.items, list.n, process);
        }
        *ret = list;
        list = (RunningList){0};
        return true;
}

bool running_find(const char *directory, RunningList *ret, Err *err) {
        return find(directory, lies_in, ret, err);
}

bool running_find_elsewhere(const char *directory, RunningList *ret, Err *err) {
        return find(directory, only_executes, ret, err);
}

static const Running *find_pid(const RunningList *list, pid_t pid) {
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].id.pid == pid)
                        return &list->items[i];
        return NULL;
}

const Running *running_serving(const RunningList *list) {
        const Running *best = NULL;
        for (size_t i = 0; i < list->n; i++) {
                const Running *process = &list->items[i];
                if (process->n_ports && (!best || process->id.start_time < best->id.start_time))
                        best = process;
        }
        /* A worker is what its master is. What only starts it (a shell, a supervisor) has other words. */
        for (int i = 0; best && i < CLIMB_MAX; i++) {
                const Running *parent = find_pid(list, best->parent);
                if (!parent || parent->group != best->group || parent->uid != best->uid ||
                        !str_equal(parent->directory, best->directory) ||
                        !running_is(best, parent->argv))
                        break;
                best = parent;
        }
        return best;
}

bool running_belongs(const RunningList *list, const Running *process, const Running *of) {
        for (int up = 0; process && up < CLIMB_MAX; up++) {
                if (process->id.pid == of->id.pid)
                        return true;
                process = find_pid(list, process->parent);
        }
        return false;
}

bool running_listens(const RunningList *list, const Running *process, unsigned port) {
        for (size_t i = 0; i < list->n; i++)
                for (size_t p = 0; p < list->items[i].n_ports; p++)
                        if (list->items[i].ports[p] == port &&
                                running_belongs(list, &list->items[i], process))
                                return true;
        return false;
}

/* -- is it what a command starts? ------------------------------------------------------------- */

static char *real_in(const char *directory, const char *word) {
        scoped(free_str) char *path = path_join(directory, word);
        return realpath(path, NULL);
}

static bool same_word(const Running *process, const char *word, const char *wanted) {
        if (strcmp(word, wanted) == 0)
                return true;
        scoped(free_str) char *a = real_in(process->directory, word);
        scoped(free_str) char *b = real_in(process->directory, wanted);
        return a && str_equal(a, b);
}

static bool same_rest(const Running *process, char *const *words, char *const *wanted) {
        for (; *words && *wanted; words++, wanted++)
                if (!same_word(process, *words, *wanted))
                        return false;
        return !*words && !*wanted;
}

/* By the file that it executes where the command says which; else by name. */
static bool same_program(const Running *process, const char *wanted) {
        if (same_word(process, process->argv[0], wanted))
                return true;
        scoped(free_str) char *file =
                strchr(wanted, '/') ? real_in(process->directory, wanted) : NULL;
        if (file && str_equal(file, process->program))
                return true;
        return strcmp(path_basename(process->argv[0]), path_basename(wanted)) == 0 &&
               (!strchr(wanted, '/') || !strchr(process->argv[0], '/'));
}

/* execve(2), "Interpreter scripts": interpreter, at most one argument, the script's path. */
bool running_is(const Running *process, char *const *command) {
        char *const *argv = process->argv;
        if (!argv || !command || !command[0])
                return false;
        if (same_program(process, command[0]) && same_rest(process, argv + 1, command + 1))
                return true;
        for (size_t at = 1; at <= 2 && argv[at]; at++) {
                bool script = same_word(process, argv[at], command[0]) ||
                              (!strchr(command[0], '/') &&
                                      strcmp(path_basename(argv[at]), command[0]) == 0);
                if (script && same_rest(process, argv + at + 1, command + 1))
                        return true;
        }
        return false;
}
