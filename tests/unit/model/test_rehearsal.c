/* What is laid over for a rehearsal, what cannot be isolated, what can be asked of a copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "model/rehearsal.h"

#define TEXTS(...) ((char *[]){__VA_ARGS__, NULL})
#define T(text)    ((char[]){text})

typedef struct PlaceCase {
        const char *directory, *process, *content, *database, *env_file, *state, *also;
        const char *places;  /* joined by blanks; NULL: cannot */
        const char *because; /* in the reason */
} PlaceCase;

static const PlaceCase place_cases[] = {
        /* all of it in one directory */
        {.directory = "/srv/app",
                .content = "/srv/app/data",
                .env_file = "/srv/app/.env",
                .state = "/var/lib/belay",
                .places = "/srv/app"},
        /* a process that runs in a part of the checkout */
        {.directory = "/srv/app",
                .process = "/srv/app/server",
                .state = "/var/lib/belay",
                .places = "/srv/app"},
        {.directory = "/srv/app",
                .process = "/srv/apple",
                .state = "/var/lib/belay",
                .places = "/srv/app /srv/apple"},
        /* data and settings elsewhere: what they lie in */
        {.directory = "/srv/app",
                .content = "/var/lib/app/app.db",
                .env_file = "/etc/app/env",
                .state = "/var/lib/belay",
                .places = "/srv/app /etc/app /var/lib/app"},
        {.directory = "/srv/app",
                .content = "/var/lib/app/app.db",
                .database = "/var/lib/app/app.db",
                .state = "/var/lib/belay",
                .places = "/srv/app /var/lib/app"},
        /* wanted places, but for those that hold the state directory or are there already */
        {.directory = "/srv/app",
                .state = "/var/lib/belay",
                .also = "/tmp",
                .places = "/tmp /srv/app"},
        {.directory = "/srv/app", .state = "/tmp/state", .also = "/tmp", .places = "/srv/app"},
        {.directory = "/srv/app",
                .state = "/var/lib/belay",
                .also = "/srv/app/tmp",
                .places = "/srv/app"},
        {.directory = "/home/me/app",
                .state = "/home/me/.local/state/belay",
                .also = "/home/me",
                .places = "/home/me/app"},
        /* what cannot be */
        {.directory = "/srv/app", .state = "/srv/app/state", .because = "the state directory"},
        {.directory = "/srv/app",
                .content = "/data",
                .state = "/var/lib/belay",
                .because = "top of the file system"},
        {.directory = "/srv/app",
                .content = "/srv/app",
                .state = "/var/lib/belay",
                .because = "holds the checkout"},
        {.directory = "/srv/app",
                .content = "/srv/app/data",
                .database = "/srv/app/other.db",
                .state = "/var/lib/belay",
                .because = "'/srv/app/other.db', which is not in the backup"},
};

static void test_places(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(place_cases); i++) {
                const PlaceCase *c = &place_cases[i];
                scoped(free_str) char *directory = str_copy(c->directory);
                scoped(free_str) char *process = str_copy(c->process);
                scoped(free_str) char *path = str_copy(c->content);
                scoped(free_str) char *database = str_copy(c->database);
                scoped(free_str) char *env_file = str_copy(c->env_file);
                scoped(free_str) char *also = str_copy(c->also);
                Content content = {.path = path};
                MigrationSpec migration = {.database = database};
                const Service service = {.directory = process ? process : directory,
                        .git = {.directory = directory},
                        .process = {.directory = process ? process : directory},
                        .backup = {.contents = &content, .n_contents = path != NULL},
                        .migrations = &migration,
                        .n_migrations = database != NULL,
                        .configuration = {.env_file = env_file}};
                scoped(rehearsal_places_done) RehearsalPlaces places = {0};
                scoped(free_str) char *why = NULL;
                bool can = rehearsal_places(&service, c->state, TEXTS(also), &places, &why);
                scoped(free_str) char *joined = strv_join(places.paths, " ");
                if (c->places) {
                        assert_true(can);
                        assert_string_equal(joined, c->places);
                } else {
                        assert_false(can);
                        assert_non_null(strstr(why, c->because));
                }
        }
}

static void test_where_a_path_lies(void **unused) {
        (void)unused;
        const RehearsalPlaces places = {.paths = TEXTS(T("/srv"), T("/srv/app"))};
        size_t at = 9;
        const char *in = NULL;
        assert_true(rehearsal_place_of(&places, "/srv/app/data/notes.db", &at, &in));
        assert_int_equal(at, 1);
        assert_string_equal(in, "data/notes.db");
        assert_true(rehearsal_place_of(&places, "/srv/apple", &at, &in));
        assert_int_equal(at, 0);
        assert_string_equal(in, "apple");
        assert_true(rehearsal_place_of(&places, "/srv/app", &at, &in));
        assert_string_equal(in, "");
        assert_false(rehearsal_place_of(&places, "/var/lib", &at, &in));
}

static void test_settings_that_lead_elsewhere(void **unused) {
        (void)unused;
        static const struct {
                const char *setting, *because;
        } cases[] = {
                {"DATABASE_URL=postgres://u:word@h/d", "DATABASE_URL leads to a postgres server"},
                {"DB=postgresql+psycopg2://u@h/d", "postgresql server"},
                {"CACHE=redis://localhost:6379", "redis server"},
                {"QUEUE=amqps://h", "amqps server"},
                {"MAIL=smtp://mail", "smtp server"},
                {"DATABASE_URL=sqlite:///data/x.db", NULL},
                {"DATABASE_URL=sqlite+aiosqlite:///data/x.db", NULL},
                {"BASE=https://shop.example.com", NULL},
                {"PLAIN=postgres", NULL},
                {"EMPTY=", NULL},
                {"ODD=://x", NULL},
                {"no setting at all", NULL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *setting = str_copy(cases[i].setting);
                scoped(free_str) char *why = rehearsal_needs_others(TEXTS(T("A=1"), setting));
                if (!cases[i].because) {
                        assert_null(why);
                        continue;
                }
                assert_non_null(why);
                assert_non_null(strstr(why, cases[i].because));
                assert_null(strstr(why, "word"));
        }
        assert_null(rehearsal_needs_others(NULL));
}

static void test_loopback(void **unused) {
        (void)unused;
        static const char *const here[] = {"http://localhost:8000/health", "http://LOCALHOST",
                "http://127.0.0.1:80/", "https://127.1.2.3", "http://[::1]:8000/x", "localhost",
                "127.0.0.1", "::1", "http://127.0.0.1:${port}/health", "http://127.0.0.1:${port}",
                "http://localhost:${port}/", "http://[::1]:${port}/"};
        static const char *const elsewhere[] = {"https://shop.example.com/", "http://10.0.0.1:8000",
                "http://localhost.example.com", "http://127.0.0.1.example.com/", "db", "",
                "http://shop/?to=http://localhost/", "http://127.0.0.1:80@shop/",
                "http://localhost:x@shop", "http://shop/${port}", "http://127.shop:80/"};
        for (size_t i = 0; i < COUNT_OF(here); i++)
                assert_true(rehearsal_is_loopback(here[i]));
        for (size_t i = 0; i < COUNT_OF(elsewhere); i++)
                assert_false(rehearsal_is_loopback(elsewhere[i]));
        assert_false(rehearsal_is_loopback(NULL));
}

static void test_checks_of_a_copy(void **unused) {
        (void)unused;
        const CheckSpec checks[] = {
                {.kind = CHECK_HTTP, .url = T("http://localhost:8000/")},
                {.kind = CHECK_TCP, .host = T("127.0.0.1")},
                {.kind = CHECK_COMMAND},
                {.kind = CHECK_LOG},
                {.kind = CHECK_HTTP, .url = T("https://shop.example.com/")},
                {.kind = CHECK_TCP, .host = T("db")},
        };
        for (size_t i = 0; i < COUNT_OF(checks); i++)
                assert_int_equal(rehearsal_can_ask(&checks[i]), i < 4);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_where_a_path_lies),
                cmocka_unit_test(test_settings_that_lead_elsewhere),
                cmocka_unit_test(test_loopback),
                cmocka_unit_test(test_checks_of_a_copy),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
