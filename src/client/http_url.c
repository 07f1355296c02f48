#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"
#include "client/http.h"

/* After the scheme; NULL when it is neither http nor https. */
static const char *after_scheme(const char *url) {
        if (strncasecmp(url, "http://", 7) == 0)
                return url + 7;
        if (strncasecmp(url, "https://", 8) == 0)
                return url + 8;
        return NULL;
}

/* The host without brackets and the text of the port (NULL: none) of an authority, owned. */
static bool split_authority(const char *authority, size_t bytes, char **ret_host, char **ret_port) {
        scoped(free_str) char *text = str_copy_n(authority, bytes);
        char *host = text, *end = strchr(text, ':');
        if (text[0] == '[') {
                host = text + 1;
                end = strchr(host, ']');
                if (!end)
                        return false;
                *end++ = '\0';
                if (*end != '\0' && *end != ':')
                        return false;
        }
        const char *port = end && *end == ':' ? end + 1 : NULL;
        if (end && text[0] != '[')
                *end = '\0';
        if (host[0] == '\0')
                return false;
        *ret_port = str_copy(port);
        *ret_host = str_copy(host);
        return true;
}

/* Also a shell's or browser's idea of a URL must be ours: no spaces, no backslashes, nothing but ASCII. */
static bool plain_bytes(const char *url) {
        for (; *url; url++)
                if (*url <= ' ' || *url >= 0x7f || *url == '\\')
                        return false;
        return true;
}

static bool refuse(Err *err, const char *what) {
        err_fail(err, ERR_USAGE, "%s", what);
        return err_hint(err, "A URL looks like http://localhost:8000/health.");
}

bool http_url_ok(const char *url, Err *err) {
        const char *authority = url ? after_scheme(url) : NULL;
        if (!authority)
                return refuse(err, "the URL begins with neither 'http://' nor 'https://'");
        if (strlen(url) > HTTP_URL_MAX)
                return refuse(err, "the URL is longer than 4096 bytes");
        if (!plain_bytes(url))
                return refuse(
                        err, "the URL holds a space, a backslash or a byte that is not ASCII");
        size_t bytes = strcspn(authority, "/?#");
        if (memchr(authority, '@', bytes))
                return err_fail(err, ERR_USAGE, "the URL holds a user or a password") ||
                       err_hint(err, "Send them in a header, its value from file: or env:.");
        scoped(free_str) char *host = NULL, *port = NULL;
        if (!split_authority(authority, bytes, &host, &port))
                return refuse(err, "the URL names no host");
        uint64_t number = 0;
        if (port && (!str_to_uint(port, 65535, &number) || number == 0))
                return refuse(err, "the URL's port is no number from 1 to 65535");
        return true;
}

bool http_url_loopback(const char *url) {
        const char *authority = url ? after_scheme(url) : NULL;
        scoped(free_str) char *host = NULL, *port = NULL;
        if (!authority || !split_authority(authority, strcspn(authority, "/?#"), &host, &port))
                return false;
        size_t n = strlen(host);
        if (strcasecmp(host, "localhost") == 0 ||
                (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0))
                return true;
        struct in_addr v4;
        struct in6_addr v6;
        if (inet_pton(AF_INET, host, &v4) == 1)
                return ntohl(v4.s_addr) >> 24 == 127;
        return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
