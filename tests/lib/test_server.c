#include "lib/test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SERVERS_MAX = 256, BLOCK = 65536 };

static pid_t servers[SERVERS_MAX];
static size_t n_servers;

static int listen_on(unsigned port, unsigned *ret_port) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
        struct sockaddr_in address = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(address);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 64) < 0 ||
                getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
                close(fd);
                return -1;
        }
        *ret_port = ntohs(address.sin_port);
        return fd;
}

/* Up to the empty line, so that the client has said all it wants to say. */
static void read_request(int fd) {
        char text[8192];
        size_t have = 0;
        while (have < sizeof(text) - 1) {
                ssize_t n = read(fd, text + have, sizeof(text) - 1 - have);
                if (n <= 0)
                        return;
                have += (size_t)n;
                text[have] = '\0';
                if (text[0] == 0x16 ||
                        strstr(text, "\r\n\r\n")) /* or a TLS greeting (RFC 8446, 5.1) */
                        return;
        }
}

/* Ends with its parent, also when that died before this was called. */
static void end_with(pid_t parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(0);
}

static _Noreturn void serve(int listener, TestBehaviour *behave, const char *context) {
        pid_t self = getpid();
        signal(SIGCHLD, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        for (;;) {
                int fd = accept(listener, NULL, NULL);
                if (fd < 0)
                        continue;
                if (fork() == 0) {
                        end_with(self);
                        close(listener);
                        if (behave != reset_at_once && behave != close_at_once)
                                read_request(fd);
                        behave(fd, context);
                        /* Unread bytes would turn the close into a reset. */
                        shutdown(fd, SHUT_WR);
                        close(fd);
                        _exit(0);
                }
                close(fd);
        }
}

static unsigned start(unsigned port, TestBehaviour *behave, const char *context) {
        unsigned got = 0;
        int listener = listen_on(port, &got);
        if (listener < 0)
                return 0;
        fflush(NULL);
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                end_with(parent);
                serve(listener, behave, context);
        }
        close(listener);
        if (n_servers < SERVERS_MAX)
                servers[n_servers++] = pid;
        return got;
}

unsigned test_server(TestBehaviour *behave, const char *context) {
        unsigned port = start(0, behave, context);
        if (port == 0)
                abort();
        return port;
}

int test_server_on(unsigned port, TestBehaviour *behave, const char *context) {
        return start(port, behave, context) == port ? 0 : -1;
}

unsigned test_free_port(void) {
        unsigned port = 0;
        int fd = listen_on(0, &port);
        if (fd < 0)
                abort();
        close(fd);
        return port;
}

void test_servers_stop(void) {
        while (n_servers > 0) {
                pid_t pid = servers[--n_servers];
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
        }
}

static bool send_bytes(int fd, const char *bytes, size_t n) {
        while (n > 0) {
                ssize_t sent = write(fd, bytes, n);
                if (sent <= 0)
                        return false;
                bytes += sent;
                n -= (size_t)sent;
        }
        return true;
}

void send_text(int fd, const char *context) { send_bytes(fd, context, strlen(context)); }

void never_answer(int fd, const char *context) {
        (void)fd;
        (void)context;
        for (;;)
                pause();
}

void reset_at_once(int fd, const char *context) {
        (void)context;
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        close(fd);
        _exit(0);
}

void close_at_once(int fd, const char *context) {
        (void)fd;
        (void)context;
}

/* A byte of the context every 20 ms, then spaces for ever. */
void send_slowly(int fd, const char *context) {
        for (const char *at = context;; at += *at != '\0') {
                if (!send_bytes(fd, *at ? at : " ", 1))
                        return;
                usleep(20000);
        }
}

/* The context up to a bar, then what is after the bar, again and again, as fast as it is taken. */
void send_without_end(int fd, const char *context) {
        const char *bar = strchr(context, '|');
        size_t piece = strlen(bar + 1), n = 0;
        static char block[BLOCK];
        while (n + piece <= sizeof(block)) {
                memcpy(block + n, bar + 1, piece);
                n += piece;
        }
        if (send_bytes(fd, context, (size_t)(bar - context)))
                while (send_bytes(fd, block, n))
                        ;
}
