/* The manifest of a copy means the same service, and nothing that holds back or tells others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "manifest/manifest.h"

static const char MANIFEST[] =
        "version: 1\n"
        "service: notes\n"
        "# a comment, with: a colon\n"
        "runtime:\n"
        "  process:\n"
        "    command: [./server, --port, \"${port}\", 'it''s', \"tab\\there\", \"8000\", -v]\n"
        "    directory: app\n"
        "    port: 8000\n"
        "    environment: { MODE: \"yes\", DEBUG: \"0\", ODD_NAME: \"{a: b}\" }\n"
        "    restart: always\n"
        "source: { git: { directory: app, tags: \"v*\" } }\n"
        "channel: minor\n"
        "cooldown: 7d\n"
        "configuration: { env_file: app/.env, set: { A: \"1.10\", B: \"\" } }\n"
        "backup: { contents: [ { sqlite: app/n.db }, { path: \"app/up loads\" } ],\n"
        "  stores: [ { local: backups }, { local: /mnt/other } ], keep: { last: 3 } }\n"
        "migrations: [ { sql: { files: \"m/*.sql\", database: n.db, run: once } } ]\n"
        "checks:\n"
        "  - http: { url: \"http://localhost:8000/health\", json: { .version: \"${version}\" } }\n"
        "  - log: { expect: \"ready: #1\" }\n"
        "monitor: { for: 10m, memory: { warn: 70% } }\n"
        "hooks: { after-verify: [./tell-everybody.sh] }\n"
        "freeze: [ { from: 2026-01-01, to: 2027-01-01 } ]\n"
        "rehearse: always\n"
        "x-owner: nobody\n";

static Service *parsed(const char *text) {
        Service *service = NULL;
        scoped(err_clear) Err err = {0};
        if (!manifest_parse("/srv/belay.yaml", text, strlen(text), &service, &err))
                fail_msg("%s", err.message);
        return service;
}

static void same_words(char *const *a, char *const *b) {
        assert_int_equal(strv_count(a), strv_count(b));
        for (size_t i = 0; a && a[i]; i++)
                assert_string_equal(a[i], b[i]);
}

static void test_it_means_the_same_service(void **unused) {
        (void)unused;
        scoped(free_str) char *text = NULL;
        assert_true(manifest_of_copy("/srv/belay.yaml", MANIFEST, strlen(MANIFEST), &text, NULL));
        scoped(service_freep) Service *is = parsed(MANIFEST);
        scoped(service_freep) Service *copy = parsed(text);
        assert_string_equal(copy->name, is->name);
        same_words(copy->process.command, is->process.command);
        assert_string_equal(copy->process.directory, is->process.directory);
        assert_int_equal(copy->process.port, 8000);
        assert_int_equal(copy->process.restart, is->process.restart);
        assert_int_equal(copy->process.n_environment, 3);
        for (size_t i = 0; i < 3; i++)
                assert_string_equal(
                        copy->process.environment[i].value, is->process.environment[i].value);
        assert_string_equal(copy->git.tags, "v*");
        assert_string_equal(copy->configuration.set[0].value, "1.10");
        assert_string_equal(copy->configuration.set[1].value, "");
        assert_int_equal(copy->backup.n_contents, 2);
        assert_string_equal(copy->backup.contents[1].path, is->backup.contents[1].path);
        assert_string_equal(copy->migrations[0].files, "m/*.sql");
        assert_int_equal(copy->n_checks, 2);
        assert_string_equal(copy->checks[1].expect, "ready: #1");
}

static void test_what_holds_back_is_gone(void **unused) {
        (void)unused;
        scoped(free_str) char *text = NULL;
        assert_true(manifest_of_copy("/srv/belay.yaml", MANIFEST, strlen(MANIFEST), &text, NULL));
        scoped(service_freep) Service *copy = parsed(text);
        assert_int_equal(copy->rehearse, REHEARSE_NEVER);
        assert_true(copy->monitor.for_ms < 1000);
        assert_int_equal(copy->cooldown_ms, 0);
        /* Its backups are in the copy's own state directory. */
        assert_int_equal(strv_count(copy->backup.local_stores), 0);
        assert_int_equal(copy->backup.keep_last, 3);
        static const char *const gone[] = {
                "tell-everybody", "2027", "10m", "minor", "stores", "/mnt/other"};
        for (size_t i = 0; i < COUNT_OF(gone); i++)
                assert_null(strstr(text, gone[i]));
}

static void test_what_is_no_manifest(void **unused) {
        (void)unused;
        scoped(free_str) char *text = NULL;
        scoped(err_clear) Err err = {0};
        assert_false(manifest_of_copy("/srv/belay.yaml", "a: [", 4, &text, &err));
        assert_int_equal(err.code, ERR_MANIFEST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_means_the_same_service),
                cmocka_unit_test(test_what_holds_back_is_gone),
                cmocka_unit_test(test_what_is_no_manifest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
