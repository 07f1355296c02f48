/* Which URLs are asked at all, and which of them are this machine's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "client/http.h"

static void good(void **state) {
        (void)state;
        static const char *const urls[] = {"http://localhost", "https://example.com/",
                "HTTP://x:1/y?z#w", "http://127.0.0.1:65535/", "http://[::1]:8000/health",
                "http://host/a@b", "http://host?x=a@b"};
        for (size_t i = 0; i < COUNT_OF(urls); i++) {
                scoped(err_clear) Err err = {0};
                if (!http_url_ok(urls[i], &err))
                        fail_msg("'%s': %s", urls[i], err.message);
        }
}

static void bad(void **state) {
        (void)state;
        static const char *const urls[] = {"", "localhost:80", "file:///etc/passwd", "ftp://x",
                "http:/x", "http://", "http://:80", "http://user@host/",
                "http://user:password@host/", "http://host:0/", "http://host:65536/",
                "http://host:/", "http://host:8o/", "http://ho st/", "http://host\\@other/",
                "http://host/\n", "http://h\xc3\xb6st/", "http://[::1", "http://[::1]x/",
                "http://[]/", "https//x"};
        for (size_t i = 0; i < COUNT_OF(urls); i++) {
                scoped(err_clear) Err err = {0};
                if (http_url_ok(urls[i], &err))
                        fail_msg("'%s' is taken", urls[i]);
                assert_int_equal(err.code, ERR_USAGE);
                assert_non_null(err.hint);
                assert_null(strstr(err.message, "password@"));
        }
        assert_false(http_url_ok(NULL, NULL));
}

static void length(void **state) {
        (void)state;
        scoped(free_str) char *url = mem_new(HTTP_URL_MAX + 2, 1);
        memset(url, 'a', HTTP_URL_MAX + 1);
        memcpy(url, "http://", 7);
        assert_false(http_url_ok(url, NULL));
        url[HTTP_URL_MAX] = '\0';
        assert_true(http_url_ok(url, NULL));
}

static void loopback(void **state) {
        (void)state;
        static const char *const yes[] = {"http://localhost", "http://LOCALHOST:1/x",
                "http://127.0.0.1/", "https://127.9.8.7/", "http://[::1]/",
                "http://shop.localhost:8000/"};
        static const char *const no[] = {"http://localhost.example.com/", "http://128.0.0.1/",
                "http://127.0.0.1.example.com/", "http://[::2]/", "http://example.com/localhost",
                "http://0.0.0.0/", "http://notlocalhost/", "", "ftp://localhost"};
        for (size_t i = 0; i < COUNT_OF(yes); i++)
                if (!http_url_loopback(yes[i]))
                        fail_msg("'%s' is here", yes[i]);
        for (size_t i = 0; i < COUNT_OF(no); i++)
                if (http_url_loopback(no[i]))
                        fail_msg("'%s' is not here", no[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(good),
                cmocka_unit_test(bad),
                cmocka_unit_test(length),
                cmocka_unit_test(loopback),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
