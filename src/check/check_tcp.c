/* tcp: does anybody accept a connection there? */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"
#include "platform/clock.h"

enum { SLICE_MS = 50, WITHIN_MS = 5000 };

static bool local_errno(int number) {
        return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS ||
               number == EADDRNOTAVAIL || number == EAFNOSUPPORT;
}

/* 0, or why it did not connect; ECANCELED, ETIMEDOUT included. */
static int wait_connected(int fd, int64_t until, const CheckContext *context) {
        for (;;) {
                int64_t left = until - clock_now_ms();
                if (check_cancelled(context))
                        return ECANCELED;
                if (left <= 0)
                        return ETIMEDOUT;
                struct pollfd wanted = {.fd = fd, .events = POLLOUT};
                if (poll(&wanted, 1, (int)(left < SLICE_MS ? left : SLICE_MS)) <= 0)
                        continue;
                int number = 0;
                socklen_t size = sizeof(number);
                return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0 ? errno : number;
        }
}

static int try_address(const struct addrinfo *address, int64_t until, const CheckContext *context) {
        scoped(close_fd) int fd = socket(address->ai_family,
                address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
        if (fd < 0)
                return errno;
        if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
                return 0;
        return errno == EINPROGRESS ? wait_connected(fd, until, context) : errno;
}

static void answer_errno(
        const CheckSpec *check, CheckContext *context, int number, CheckAnswer *ret) {
        AnswerKind kind = local_errno(number) || number == ECANCELED ? ANSWER_ERROR : ANSWER_NONE;
        check_say(ret, context, kind, "%s:%u: %s", check->host, check->port, errno_text(number));
}

/* Names are looked up by libc, whose own time limits hold; numbers are not looked up at all. */
static struct addrinfo *look_up(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        scoped(free_str) char *host = check_expand(check->host, context, ret);
        scoped(free_str) char *port = str_format("%u", check->port);
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV},
                        *found = NULL;
        int failed = host ? getaddrinfo(host, port, &hints, &found) : 0;
        if (failed)
                check_say(ret, context, ANSWER_ERROR, "%s: %s", host, gai_strerror(failed));
        return failed ? NULL : found;
}

static void ask(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        int64_t until = clock_now_ms() + (check->within_ms > 0 ? check->within_ms : WITHIN_MS);
        struct addrinfo *addresses = look_up(check, context, ret);
        if (!addresses)
                return;
        int number = 0;
        for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
                number = try_address(at, until, context);
                if (number == 0 || number == ECANCELED)
                        break;
        }
        freeaddrinfo(addresses);
        if (number == 0)
                check_say(ret, context, ANSWER_PASS, "%s:%u accepts connections", check->host,
                        check->port);
        else
                answer_errno(check, context, number, ret);
}

const CheckDriver check_tcp_driver = {.name = "tcp", .ask = ask};
