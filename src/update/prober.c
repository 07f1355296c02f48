#include "update/prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"

enum { PROBE_EVERY_MS = 20, PROBE_WITHIN_MS = 2000 };

struct Prober {
        pthread_t thread;
        pthread_mutex_t lock;
        int stop_fd;
        char *request; /* NULL: a connection is enough */
        struct sockaddr_in address;
        int64_t gap_began_us; /* 0: it answers */
        int64_t longest_us, sum_us;
        bool ever;
};

/* "http://localhost:8000/health" to port and path; only addresses of this machine. ${port} is `own`. */
static bool loopback_url(const char *url, unsigned own, unsigned *ret_port, char **ret_path) {
        static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
        if (!url || !str_starts(url, "http://"))
                return false;
        const char *host = url + strlen("http://");
        for (size_t i = 0; i < COUNT_OF(hosts); i++) {
                const char *after = host + strlen(hosts[i]);
                if (!str_starts(host, hosts[i]) ||
                        (*after != ':' && *after != '/' && *after != '\0'))
                        continue;
                bool is_own = str_starts(after, ":${port}");
                unsigned long port = is_own          ? own
                                     : *after == ':' ? strtoul(after + 1, NULL, 10)
                                                     : 80;
                const char *path = strchr(after, '/');
                /* What else is to be expanded is asked in vain: a connection says more then. */
                if (port == 0 || port > 65535 || (path && strstr(path, "${")))
                        return false;
                *ret_port = (unsigned)port;
                *ret_path = str_copy(path ? path : "/");
                return true;
        }
        return false;
}

static bool find_target(const Service *service, unsigned *ret_port, char **ret_path) {
        for (size_t i = 0; i < service->n_checks; i++)
                if (service->checks[i].kind == CHECK_HTTP &&
                        loopback_url(
                                service->checks[i].url, service->process.port, ret_port, ret_path))
                        return true;
        if (loopback_url(service->installed.http, service->process.port, ret_port, ret_path))
                return true;
        *ret_port = service->process.port;
        return service->process.port != 0;
}

/* Waits for events on fd; false when the time is over. */
static bool wait_for(int fd, short events, int64_t until) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int64_t left = until - clock_now_ms();
        return left > 0 && poll(&poll_fd, 1, (int)left) == 1;
}

static bool connected(const Prober *prober, int fd, int64_t until) {
        if (connect(fd, (const struct sockaddr *)&prober->address, sizeof(prober->address)) == 0)
                return true;
        if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, until))
                return false;
        int problem = 0;
        socklen_t size = sizeof(problem);
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) == 0 && problem == 0;
}

/* Reads the answer to its end: to close earlier would reset the connection, and be an error in the
 * service's log. */
static void drain(int fd, int64_t until) {
        char bytes[4096];
        while (wait_for(fd, POLLIN, until) && recv(fd, bytes, sizeof(bytes), 0) > 0)
                ;
}

static bool answers(const Prober *prober) {
        int64_t until = clock_now_ms() + PROBE_WITHIN_MS;
        scoped(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || !connected(prober, fd, until))
                return false;
        if (!prober->request)
                return true;
        size_t bytes = strlen(prober->request);
        if (send(fd, prober->request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
                !wait_for(fd, POLLIN, until))
                return false;
        char line[16] = {0};
        ssize_t n = recv(fd, line, sizeof(line) - 1, 0);
        drain(fd, until);
        return n >= 12 && str_starts(line, "HTTP/1.") && line[9] >= '1' && line[9] <= '4';
}

static void note(Prober *prober, int64_t asked_us, bool answered) {
        int64_t now = clock_now_us();
        pthread_mutex_lock(&prober->lock);
        if (!answered && prober->gap_began_us == 0)
                prober->gap_began_us = asked_us;
        if (answered && prober->gap_began_us) {
                int64_t gap = now - prober->gap_began_us;
                prober->sum_us += gap;
                prober->longest_us = gap > prober->longest_us ? gap : prober->longest_us;
                prober->gap_began_us = 0;
        }
        prober->ever = prober->ever || answered;
        pthread_mutex_unlock(&prober->lock);
}

static void *probe(void *argument) {
        Prober *prober = argument;
        struct pollfd stop = {.fd = prober->stop_fd, .events = POLLIN};
        do {
                int64_t asked = clock_now_us();
                note(prober, asked, answers(prober));
        } while (poll(&stop, 1, PROBE_EVERY_MS) == 0);
        return NULL;
}

Prober *prober_start(const Service *service) {
        unsigned port = 0;
        scoped(free_str) char *path = NULL;
        if (!find_target(service, &port, &path))
                return NULL;
        Prober *prober = NEW(Prober);
        prober->address =
                (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        prober->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (path)
                prober->request =
                        str_format("GET %s HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: belay\r\n"
                                   "Connection: close\r\n\r\n",
                                path, port);
        pthread_mutex_init(&prober->lock, NULL);
        prober->stop_fd = eventfd(0, EFD_CLOEXEC);
        if (prober->stop_fd >= 0 && pthread_create(&prober->thread, NULL, probe, prober) == 0)
                return prober;
        free(prober->request);
        free(prober);
        return NULL;
}

void prober_read(Prober *prober, int64_t *ret_longest_ms, int64_t *ret_sum_ms) {
        pthread_mutex_lock(&prober->lock);
        int64_t open = prober->gap_began_us ? clock_now_us() - prober->gap_began_us : 0;
        int64_t longest = open > prober->longest_us ? open : prober->longest_us;
        *ret_sum_ms = prober->ever ? (prober->sum_us + open + 500) / 1000 : -1;
        *ret_longest_ms = prober->ever ? (longest + 500) / 1000 : -1;
        pthread_mutex_unlock(&prober->lock);
}

void prober_stop(Prober **prober) {
        Prober *p = *prober;
        if (!p)
                return;
        const uint64_t one = 1;
        if (write(p->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
                pthread_join(p->thread, NULL);
        close(p->stop_fd);
        pthread_mutex_destroy(&p->lock);
        free(p->request);
        free(p);
        *prober = NULL;
}
