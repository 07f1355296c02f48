#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "runtime/process/ports.h"

/* *ret_port 0: the kernel chooses. -1: this machine has no such address. */
static int listen_at(const char *address, unsigned *port) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)*port)};
        bool six = strchr(address, ':') != NULL;
        socklen_t size = six ? sizeof(v6) : sizeof(v4);
        struct sockaddr *at = six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
        inet_pton(six ? AF_INET6 : AF_INET, address,
                six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr);
        int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, at, size) < 0 || listen(fd, 1) < 0 ||
                getsockname(fd, at, &size) < 0) {
                if (fd >= 0)
                        close(fd);
                return -1;
        }
        *port = ntohs(six ? v6.sin6_port : v4.sin_port);
        return fd;
}

static void a_listener_is_found_on_every_kind_of_address(void **context) {
        (void)context;
        static const char *const addresses[] = {"127.0.0.1", "127.0.0.7", "0.0.0.0", "::", "::1",
                "::ffff:127.0.0.1", "::ffff:0.0.0.0"};
        scoped(free_str) char *user = user_name(geteuid());
        scoped(free_str) char *self = str_format("(pid %d, user %s)", (int)getpid(), user);
        unsigned found = 0;
        for (size_t i = 0; i < COUNT_OF(addresses); i++) {
                unsigned port = 0;
                int fd = listen_at(addresses[i], &port);
                if (fd < 0)
                        continue;
                scoped(port_holder_done) PortHolder holder = {0};
                assert_true(port_find_holder(port, &holder));
                assert_int_equal(holder.pid, getpid());
                assert_true(str_ends(holder.text, self));
                close(fd);
                PortHolder nobody = {0};
                assert_false(port_find_holder(port, &nobody));
                found++;
        }
        assert_true(found >= 3);
}

static void one_that_only_connects_is_in_nobody_s_way(void **context) {
        (void)context;
        unsigned port = 0, own = 0;
        int server = listen_at("127.0.0.1", &port);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in at = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)port),
                .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof(at);
        assert_int_equal(connect(client, (struct sockaddr *)&at, size), 0);
        assert_int_equal(getsockname(client, (struct sockaddr *)&at, &size), 0);
        own = ntohs(at.sin_port);
        PortHolder nobody = {0};
        assert_false(port_find_holder(own, &nobody));
        close(client);
        close(server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_listener_is_found_on_every_kind_of_address),
                cmocka_unit_test(one_that_only_connects_is_in_nobody_s_way),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
