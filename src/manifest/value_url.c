#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/value.h"

enum { URL_MAX = 4096, HOST_MAX = 253 };

#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static const char METADATA[] = "is an address of the link itself, where clouds keep their keys";

static const char *ipv6_problem(const char *host) {
        struct in6_addr address;
        if (strchr(host, '%'))
                return "has an IPv6 address with a zone";
        if (inet_pton(AF_INET6, host, &address) != 1)
                return "has no valid IPv6 address between the brackets";
        bool link = address.s6_addr[0] == 0xFE && (address.s6_addr[1] & 0xC0) == 0x80;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 169 &&
                      address.s6_addr[13] == 254;
        return link || mapped ? METADATA : NULL;
}

/* A host whose last label begins with a digit is an IPv4 address to some programs and none to others
 * ("2852039166", "0x7f.1"): only the plain form with four parts is taken. */
static const char *name_problem(const char *host) {
        struct in_addr address;
        size_t n = strlen(host);
        if (n == 0)
                return "has no host";
        if (n > HOST_MAX || host[strspn(host, HOST_BYTES)] != '\0')
                return "has a host with characters that no host has (other alphabets: write it as "
                       "xn--)";
        if (host[0] == '-' || host[0] == '.' || strstr(host, ".."))
                return "has no valid host";
        const char *dot = strrchr(host, '.');
        const char *last = dot ? dot + 1 : host;
        if (!isdigit((unsigned char)last[0]))
                return NULL;
        if (inet_pton(AF_INET, host, &address) != 1)
                return "has a host that is neither a name nor an IPv4 address of four numbers";
        return (ntohl(address.s_addr) >> 16) == 0xA9FE ? METADATA : NULL;
}

/* Splits "host", "host:port", "[v6]:port". *ret_port is NULL without a colon. */
static bool authority_split(
        const char *authority, char **ret_host, char **ret_port, bool *ret_ipv6) {
        const char *rest = NULL;
        *ret_ipv6 = authority[0] == '[';
        if (*ret_ipv6) {
                const char *close = strchr(authority, ']');
                if (!close || (close[1] && close[1] != ':'))
                        return false;
                *ret_host = str_copy_n(authority + 1, (size_t)(close - authority - 1));
                rest = close + 1;
        } else {
                size_t n = strcspn(authority, ":");
                *ret_host = str_copy_n(authority, n);
                rest = authority + n;
        }
        *ret_port = *rest == ':' ? str_copy(rest + 1) : NULL;
        return true;
}

static const char *authority_problem(const char *authority, bool needs_port) {
        scoped(free_str) char *host = NULL;
        scoped(free_str) char *port = NULL;
        bool ipv6 = false;
        uint64_t number = 0;
        if (!authority_split(authority, &host, &port, &ipv6))
                return "has a '[' without a ']' or something after it";
        const char *problem = ipv6 ? ipv6_problem(host) : name_problem(host);
        if (problem)
                return problem;
        if (!port)
                return needs_port ? "has no port" : NULL;
        if (!str_to_uint(port, 65535, &number) || number == 0 || port[0] == '0')
                return "has a port that is not 1 to 65535";
        return NULL;
}

static const char *authority_of(const char *url) {
        static const char *const schemes[] = {"http://", "https://"};
        for (size_t i = 0; i < COUNT_OF(schemes); i++)
                if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
                        return url + strlen(schemes[i]);
        return NULL;
}

const char *url_problem(const char *url) {
        if (strlen(url) > URL_MAX)
                return "is longer than 4096 bytes";
        for (const char *c = url; *c; c++) {
                if ((unsigned char)*c <= 0x20 || *c == 0x7F)
                        return "has a space or a control character in it (a space is %20)";
                if ((unsigned char)*c > 0x7F || *c == '\\')
                        return "has characters that must be percent-encoded";
        }
        const char *start = authority_of(url);
        if (!start)
                return "does not begin with http:// or https://";
        scoped(free_str) char *authority = str_copy_n(start, strcspn(start, "/?#"));
        if (strchr(authority, '@'))
                return "has credentials in it: send them as a header, from env:NAME or file:PATH";
        return authority_problem(authority, false);
}

const char *address_problem(const char *address) {
        if (strlen(address) > HOST_MAX + 10)
                return "is too long";
        if (strstr(address, "://") || strchr(address, '/'))
                return "is a URL; host:port is expected";
        if (address[0] != '[' && strchr(address, ':') != strrchr(address, ':'))
                return "has several colons; an IPv6 address goes into brackets";
        return authority_problem(address, true);
}

void url_split(const char *url, char **ret_host, unsigned *ret_port) {
        const char *start = authority_of(url);
        scoped(free_str) char *authority =
                str_copy_n(start ? start : url, strcspn(start ? start : url, "/?#"));
        scoped(free_str) char *port = NULL;
        bool ipv6 = false;
        uint64_t number = 0;
        if (!authority_split(authority, ret_host, &port, &ipv6))
                *ret_host = str_copy("");
        if (port)
                (void)str_to_uint(port, 65535, &number);
        *ret_port = (unsigned)number;
}

bool host_is_loopback(const char *host) {
        bool v4 = str_starts(host, "127.") && host[strspn(host, "0123456789.")] == '\0';
        return strcasecmp(host, "localhost") == 0 || v4 || strcmp(host, "::1") == 0;
}
