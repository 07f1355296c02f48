/* A manifest that is about to be written: it is held to what it says, whatever the values are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/draft.h"
#include "manifest/manifest.h"

static const char *const odd[] = {"a", "", "~", "null", "Yes", "off", "1", "0x1f", "1.5e3", "1_000",
        "-", "--x", "-n", ".5", "./s", "a b", "a: b", "a:", ":a", "#x", "a #x", "'", "\"", "\\",
        "\\n", "a\\", "{", "}", "[", "]", ",", "&a", "*a", "!x", "|", ">", "%x", "@x", "`x", "?",
        "? x", "a?", "2026-01-01", "12:30:45", "<<", "=", "n", "N", "true", "\xC3\xA4\xE2\x82\xAC",
        "a/b:c", "k=v", "http://h:1/?q=1&r=2#f"};

static Draft draft_new(void) {
        Draft draft = {.service = str_copy("shop"), .checkout = str_copy(".")};
        strv_add(&draft.command, "./server");
        return draft;
}

static Service *parsed(const Draft *draft) {
        scoped(free_str) char *text = draft_write(draft);
        scoped(err_clear) Err err = {0};
        Service *service = NULL;
        if (!manifest_parse("/srv/shop/belay.yaml", text, strlen(text), &service, &err))
                fail_msg("%s\n%s", err.message, text);
        return service;
}

static void test_words_come_back_as_they_were(void **unused) {
        (void)unused;
        scoped(draft_done) Draft draft = draft_new();
        for (size_t i = 0; i < COUNT_OF(odd); i++)
                strv_add(&draft.command, odd[i]);
        scoped(service_freep) Service *service = parsed(&draft);
        assert_int_equal(strv_count(service->process.command), COUNT_OF(odd) + 1);
        for (size_t i = 0; i < COUNT_OF(odd); i++)
                assert_string_equal(service->process.command[i + 1], odd[i]);
}

static void test_settings_come_back_as_they_were(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(odd); i++) {
                scoped(draft_done) Draft draft = draft_new();
                Pair pair = {str_copy("NAME"), str_copy(odd[i])};
                PUSH(draft.environment, draft.n_environment, pair);
                scoped(service_freep) Service *service = parsed(&draft);
                assert_int_equal(service->process.n_environment, 1);
                assert_string_equal(service->process.environment[0].value, odd[i]);
        }
}

/* A reason is a comment and nothing else, whatever stands in it. */
static void test_reasons_are_comments(void **unused) {
        (void)unused;
        scoped(draft_done) Draft draft = draft_new();
        scoped(str_done) Str why = {0};
        for (int i = 0; i < 40; i++)
                str_add(&why, "runtime: {} \n service: other # x ");
        str_add(&why, "averyverylongwordwithoutanyspacethatdoesnotfitintoalineofthefileatallbecause"
                      "itisover"
                      "onehundredbyteslong and more");
        draft.service_why = str_copy(why.text);
        draft.command_why = str_copy(why.text);
        strv_add(&draft.notes, why.text);
        strv_add(&draft.notes, "\x01\x1b[31m\xff");
        scoped(service_freep) Service *service = parsed(&draft);
        assert_string_equal(service->name, "shop");
        scoped(free_str) char *text = draft_write(&draft);
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        for (size_t i = 0; lines && lines[i]; i++)
                assert_null(strpbrk(lines[i], "\x01\x1b\xff"));
}

static void test_all_of_it(void **unused) {
        (void)unused;
        scoped(draft_done) Draft draft = draft_new();
        draft.directory = str_copy("apps/api");
        draft.port = 8000;
        draft.user = str_copy("shop");
        draft.remote = str_copy("upstream");
        draft.branch = str_copy("main");
        strv_add(&draft.install, "npm");
        strv_add(&draft.install, "ci");
        strv_add(&draft.build, "make");
        strv_add(&draft.artifacts, "node_modules");
        draft.env_file = str_copy("apps/api/.env");
        DraftContent content = {CONTENT_SQLITE, str_copy("apps/api/a.db"), str_copy("why")};
        PUSH(draft.contents, draft.n_contents, content);
        DraftMigration sql = {.kind = MIGRATION_SQL,
                .files = str_copy("migrations/[0-9]*.sql"),
                .database = str_copy("a.db")};
        PUSH(draft.migrations, draft.n_migrations, sql);
        DraftMigration scripts = {.kind = MIGRATION_SCRIPTS,
                .files = str_copy("scripts/*.py"),
                .run_with = str_copy("python3")};
        PUSH(draft.migrations, draft.n_migrations, scripts);
        draft.check_url = str_copy("http://127.0.0.1:${port}/health");
        draft.check_status = 204;
        draft.check_json = str_copy(".app.version");
        draft.check_value = str_copy("${version}");
        scoped(service_freep) Service *service = parsed(&draft);
        assert_string_equal(service->directory, "/srv/shop/apps/api");
        assert_string_equal(service->git.directory, "/srv/shop");
        assert_string_equal(service->git.remote, "upstream");
        assert_string_equal(service->git.branch, "main");
        assert_string_equal(service->git.install[1], "ci");
        assert_string_equal(service->git.artifacts[0], "node_modules");
        assert_int_equal(service->process.port, 8000);
        assert_string_equal(service->process.user, "shop");
        assert_string_equal(service->configuration.env_file, "/srv/shop/apps/api/.env");
        assert_string_equal(service->backup.contents[0].path, "/srv/shop/apps/api/a.db");
        assert_int_equal(service->n_migrations, 2);
        assert_true(service->migrations[0].run_once && service->migrations[1].run_once);
        assert_int_equal(service->checks[0].status, 204);
        assert_string_equal(service->checks[0].json[0].name, ".app.version");
        scoped(js_freep) json_t *reasons = draft_reasons(&draft);
        assert_int_equal(json_array_size(reasons), 14);
}

static void test_a_tcp_check(void **unused) {
        (void)unused;
        scoped(draft_done) Draft draft = draft_new();
        draft.port = 25;
        draft.check_tcp = str_copy("[::1]:${port}");
        scoped(service_freep) Service *service = parsed(&draft);
        assert_int_equal(service->checks[0].port, 25);
}

static void test_names_of_services(void **unused) {
        (void)unused;
        static const struct {
                const char *text, *name;
        } cases[] = {{"Shop", "shop"}, {"my shop (2)", "my-shop-2"}, {"--a--", "a"},
                {"\xE5\x90\x8D", NULL}, {"", NULL}, {"@acme/Shop.js", "acme-shop-js"}, {"9", "9"}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *name = draft_service_name(cases[i].text);
                assert_true(str_equal(name, cases[i].name));
                assert_true(!name || service_name_ok(name));
        }
        char longer[201];
        memset(longer, 'x', 200);
        longer[200] = '\0';
        scoped(free_str) char *name = draft_service_name(longer);
        assert_true(service_name_ok(name));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words_come_back_as_they_were),
                cmocka_unit_test(test_settings_come_back_as_they_were),
                cmocka_unit_test(test_reasons_are_comments),
                cmocka_unit_test(test_all_of_it),
                cmocka_unit_test(test_a_tcp_check),
                cmocka_unit_test(test_names_of_services),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
