/* Where a server sends whoever asks: next pages and redirects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "source/feed/driver.h"

typedef struct TextCase {
        const char *given, *found;
} TextCase;

static void is_same(const char *given, const char *found, const char *expected) {
        if (!found != !expected || (found && strcmp(found, expected) != 0))
                fail_msg("%s: %s, and not %s", given, found ? found : "(none)",
                        expected ? expected : "(none)");
}

static void test_next_pages(void **unused) {
        (void)unused;
        static const TextCase cases[] = {
                {"<https://a/x?page=2>; rel=\"next\", <https://a/x?page=9>; rel=\"last\"",
                        "https://a/x?page=2"},
                {"<https://a/x?page=1>; rel=\"prev\", <https://a/x?page=3>; rel=\"next\"",
                        "https://a/x?page=3"},
                {"<https://a/x>; rel=next", "https://a/x"},
                {"<https://a/x>; rel=\"last\"", NULL},
                {"<https://a/x", NULL},
                {"", NULL},
                {"rel=\"next\"", NULL},
                {"<>; rel=\"next\"", ""},
                {"<<<<", NULL},
                {">; rel=\"next\"<", NULL},
        };
        assert_null(feed_next_link(NULL));
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *found = feed_next_link(cases[i].given);
                is_same(cases[i].given, found, cases[i].found);
        }
}

static void test_where_a_redirect_leads(void **unused) {
        (void)unused;
        static const TextCase cases[] = {
                {"https://b/y", "https://b/y"},
                {"/y?z=1", "https://a:8443/y?z=1"},
                {"//b/y", NULL},
                {"y", NULL},
                {"", NULL},
                {"javascript:alert(1)//://", NULL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *found = feed_location("https://a:8443/x?q", cases[i].given);
                is_same(cases[i].given, found, cases[i].found);
        }
}

static void test_one_server(void **unused) {
        (void)unused;
        static const struct {
                const char *a, *b;
                bool same;
        } cases[] = {
                {"https://a.example/x", "https://A.example/y?z", true},
                {"https://a.example", "https://a.example/", true},
                {"https://a.example/", "http://a.example/", false},
                {"https://a.example/", "https://a.example:8443/", false},
                {"https://a.example/", "https://a.example.evil/", false},
                {"https://a.example/", "https://a.example@evil/", false},
                {"https://a.example/", "https://b.example/", false},
                {"https://a.example/", "", false},
                {"", "", false},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++)
                if (feed_same_server(cases[i].a, cases[i].b) != cases[i].same)
                        fail_msg("%s and %s", cases[i].a, cases[i].b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_next_pages),
                cmocka_unit_test(test_where_a_redirect_leads),
                cmocka_unit_test(test_one_server),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
