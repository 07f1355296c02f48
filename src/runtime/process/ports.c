#include "runtime/process/ports.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

enum { TCP_LISTEN = 0x0A, NAME_ROOM = 64, USER_ROOM = 16384 };

void port_holder_done(PortHolder *holder) {
        free(holder->text);
        *holder = (PortHolder){0};
}

char *user_name(uid_t uid) {
        struct passwd entry, *found = NULL;
        scoped(free_str) char *room = mem_new(USER_ROOM, 1);
        if (getpwuid_r(uid, &entry, room, USER_ROOM, &found) == 0 && found)
                return str_copy(found->pw_name);
        return str_format("%u", uid);
}

/* Addresses are 32-bit words in the machine's byte order, in hexadecimal: 127.0.0.1 is 0100007F here. */
static bool is_wide_or_loopback(const char *address) {
        static const char *const v6[] = {
                "00000000000000000000000000000000", /* :: */
                "00000000000000000000000001000000", /* ::1 */
                "0000000000000000FFFF000000000000", /* ::ffff:0.0.0.0 */
        };
        if (strlen(address) == 8)
                return str_equal(address, "00000000") || str_ends(address, "7F");
        for (size_t i = 0; i < COUNT_OF(v6); i++)
                if (str_equal(address, v6[i]))
                        return true;
        return str_starts(address, "0000000000000000FFFF0000") && str_ends(address, "7F");
}

/* "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 12345 ..." */
static bool line_parse(const char *line, unsigned *ret_port, uid_t *ret_uid, uint64_t *ret_inode) {
        char address[33];
        unsigned state, uid;
        if (sscanf(line, " %*d: %32[0-9A-F]:%x %*s %x %*s %*s %*s %u %*d %" SCNu64, address,
                    ret_port, &state, &uid, ret_inode) != 5)
                return false;
        *ret_uid = uid;
        return state == TCP_LISTEN && is_wide_or_loopback(address);
}

static bool line_listens(const char *line, unsigned port, uid_t *ret_uid, uint64_t *ret_inode) {
        unsigned at_port = 0;
        return line_parse(line, &at_port, ret_uid, ret_inode) && at_port == port;
}

static void close_file(FILE **file) {
        if (*file)
                fclose(*file);
}

static void table_list(const char *path, ListeningPorts *ret) {
        scoped(close_file) FILE *file = fopen(path, "re");
        char line[512];
        while (file && fgets(line, sizeof(line), file)) {
                ListeningPort at = {0};
                uid_t uid = 0;
                if (line_parse(line, &at.port, &uid, &at.inode))
                        PUSH(ret->items, ret->n, at);
        }
}

void ports_listening(ListeningPorts *ret) {
        table_list("/proc/self/net/tcp", ret);
        table_list("/proc/self/net/tcp6", ret);
}

void listening_ports_done(ListeningPorts *ports) {
        free(ports->items);
        *ports = (ListeningPorts){0};
}

unsigned ports_of_link(const ListeningPorts *ports, const char *link) {
        uint64_t inode = 0;
        if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
                return 0;
        for (size_t i = 0; i < ports->n; i++)
                if (ports->items[i].inode == inode)
                        return ports->items[i].port;
        return 0;
}

static bool table_find(const char *path, unsigned port, uid_t *ret_uid, uint64_t *ret_inode) {
        scoped(close_file) FILE *file = fopen(path, "re");
        char line[512];
        while (file && fgets(line, sizeof(line), file))
                if (line_listens(line, port, ret_uid, ret_inode))
                        return true;
        return false;
}

static bool has_socket(pid_t pid, const char *wanted) {
        scoped(free_str) char *path = str_format("/proc/%d/fd", (int)pid);
        scoped(close_dir) DIR *dir = opendir(path);
        for (struct dirent *at; dir && (at = readdir(dir));) {
                char target[64];
                ssize_t n = readlinkat(dirfd(dir), at->d_name, target, sizeof(target) - 1);
                if (n <= 0)
                        continue;
                target[n] = '\0';
                if (strcmp(target, wanted) == 0)
                        return true;
        }
        return false;
}

static char *socket_link(uint64_t inode) { return str_format("socket:[%" PRIu64 "]", inode); }

static pid_t socket_owner(uint64_t inode) {
        scoped(free_str) char *wanted = socket_link(inode);
        scoped(close_dir) DIR *dir = opendir("/proc");
        uint64_t pid = 0;
        for (struct dirent *at; dir && (at = readdir(dir));)
                if (str_to_uint(at->d_name, INT32_MAX, &pid) && has_socket((pid_t)pid, wanted))
                        return (pid_t)pid;
        return 0;
}

static char *program_name(pid_t pid) {
        scoped(free_str) char *path = str_format("/proc/%d/comm", (int)pid);
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char name[NAME_ROOM];
        ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
        if (n <= 0)
                return str_copy("a process");
        name[n] = '\0';
        return str_printable(str_trim(name), false);
}

static bool find_listener(unsigned port, uid_t *ret_uid, uint64_t *ret_inode) {
        return table_find("/proc/self/net/tcp", port, ret_uid, ret_inode) ||
               table_find("/proc/self/net/tcp6", port, ret_uid, ret_inode);
}

bool port_is_free_or_held_by(unsigned port, pid_t pid) {
        uid_t uid = 0;
        uint64_t inode = 0;
        if (!find_listener(port, &uid, &inode))
                return true;
        scoped(free_str) char *wanted = socket_link(inode);
        return pid > 0 && has_socket(pid, wanted);
}

bool port_find_holder(unsigned port, PortHolder *ret) {
        uid_t uid = 0;
        uint64_t inode = 0;
        if (!find_listener(port, &uid, &inode))
                return false;
        scoped(free_str) char *user = user_name(uid);
        *ret = (PortHolder){.pid = socket_owner(inode), .uid = uid};
        if (ret->pid == 0) {
                ret->text = str_format("a process of user %s", user);
                return true;
        }
        scoped(free_str) char *program = program_name(ret->pid);
        ret->text = str_format("%s (pid %d, user %s)", program, (int)ret->pid, user);
        return true;
}

void ports_of_process(const ListeningPorts *all, pid_t pid, unsigned **ports, size_t *n) {
        scoped(free_str) char *path = str_format("/proc/%d/fd", (int)pid);
        scoped(close_dir) DIR *dir = opendir(path);
        for (struct dirent *at; dir && (at = readdir(dir));) {
                char link[64];
                ssize_t bytes = readlinkat(dirfd(dir), at->d_name, link, sizeof(link) - 1);
                link[bytes > 0 ? bytes : 0] = '\0';
                unsigned port = ports_of_link(all, link);
                if (port)
                        PUSH(*ports, *n, port);
        }
}
