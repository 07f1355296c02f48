/* Good manifests: every leaf, every default, and where each value came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/manifest.h"

static const char SMALLEST[] = "version: 1\nservice: notes\nruntime: { process: { command: "
                               "[./server] } }\nsource: { git: {} }\n";

static const char WHOLE[] =
        "version: 1\n"
        "service: notes\n"
        "x-team: { anything: [goes, here] }\n"
        "runtime:\n"
        "  process: { command: [./server, --port, \"${port}\", 012, yes], directory: app, user: "
        "www-data,\n"
        "             environment: { A: b, B: 8000, C: \"\" }, restart: always }\n"
        "source:\n"
        "  git: { directory: app, remote: upstream, tags: \"v*\", branch: null, layout: in-place "
        "}\n"
        "channel: minor\n"
        "installed: { http: \"http://127.0.0.1:8000/health\", json: .version }\n"
        "configuration:\n"
        "  env_file: app/.env\n"
        "  set: { APP_VERSION: \"${version}\" }\n"
        "  secrets: { K1: { bytes: 16, as: base64 }, K2: {} }\n"
        "backup:\n"
        "  contents:\n"
        "    - path: config/\n"
        "    - sqlite: db/pocket.db\n"
        "    - path: other/config\n"
        "  stores: [ local: backups, local: /mnt/b ]\n"
        "  keep: { last: 3 }\n"
        "migrations:\n"
        "  - sql: { files: \"migrations/*.sql\", database: ../db/pocket.db, compatible: true }\n"
        "  - sql: { files: a.sql, database: env:DATABASE_URL, run: always, timeout: 1h }\n"
        "  - scripts: { files: \"scripts/*.py\", run_with: [python3, -u], run: once }\n"
        "  - manual: { text: \"Rebuild\", when: before-start }\n"
        "strategy: restart\n"
        "start: { timeout: 10s }\n"
        "stop: { timeout: 1500ms }\n"
        "checks:\n"
        "  - http: { url: \"http://localhost:${port}/health\", method: POST, status: 204, body: "
        "ok, protocol: HTTP/1.1,\n"
        "            headers: { Authorization: env:TOKEN, X-Key: file:key.txt, Accept: \"*/*\" },\n"
        "            expect_headers: { Content-Type: text/html }, json: { .version: "
        "\"${version}\", .ok: true }, within: 3s }\n"
        "  - tcp: \"[::1]:5432\"\n"
        "    within: 1s\n"
        "    interval: 100ms\n"
        "    threshold: 1 of 1\n"
        "  - command: { run: [./smoke.sh, -v], threshold: 3 of 5 }\n"
        "  - log: { expect: Server started, x-why: because }\n"
        "monitor:\n"
        "  for: 0s\n"
        "  every: 1s\n"
        "  logs: { fail: [migration failed], warn: [WARN], errors_per_minute: 2 }\n"
        "  memory: { warn: 0%, fail: 90%, growth: 10%/10m }\n"
        "  cpu: { warn: 250% }\n"
        "  outside: { url: https://notes.example.com }\n"
        "rollback: { automatic: false, data: ask }\n"
        "rehearse: never\n";

static Service *parsed(const char *text) {
        scoped(err_clear) Err err = {0};
        Service *service = NULL;
        if (!manifest_parse("/srv/notes/belay.yaml", text, strlen(text), &service, &err))
                fail_msg("%s", err.message);
        return service;
}

static const Origin *origin_of(const Service *service, const char *key) {
        for (size_t i = 0; i < service->n_origins; i++)
                if (strcmp(service->origins[i].key, key) == 0)
                        return &service->origins[i];
        fail_msg("%s has no origin", key);
        return NULL;
}

static void check_origin(
        const Service *service, const char *key, const char *value, const char *from) {
        const Origin *origin = origin_of(service, key);
        assert_string_equal(origin->value, value);
        assert_string_equal(origin->from, from);
}

static void test_defaults(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(SMALLEST);
        assert_string_equal(s->name, "notes");
        assert_string_equal(s->manifest_path, "/srv/notes/belay.yaml");
        assert_string_equal(s->manifest_text, SMALLEST);
        assert_int_equal(s->manifest_bytes, strlen(SMALLEST));
        assert_string_equal(s->directory, "/srv/notes");
        assert_string_equal(s->process.directory, "/srv/notes");
        assert_string_equal(s->git.directory, "/srv/notes");
        assert_int_equal(s->process.port, 0);
        assert_null(s->process.user);
        assert_int_equal(s->process.restart, RESTART_ON_FAILURE);
        assert_string_equal(s->git.remote, "origin");
        assert_string_equal(s->git.tags, "*");
        assert_null(s->git.branch);
        assert_int_equal(s->channel, CHANNEL_LATEST);
        assert_null(s->installed.http);
        assert_false(s->backup.contents_given);
        assert_int_equal(strv_count(s->backup.local_stores), 0);
        assert_int_equal(s->backup.keep_last, 5);
        assert_int_equal(s->backup.keep_days, 7);
        assert_int_equal(s->start_timeout_ms, 60000);
        assert_int_equal(s->stop_timeout_ms, 30000);
        assert_int_equal(s->n_checks, 0);
        assert_int_equal(s->monitor.for_ms, 120000);
        assert_int_equal(s->monitor.every_ms, 10000);
        assert_true(s->monitor.log_defaults);
        assert_int_equal(s->monitor.memory_warn, 80);
        assert_int_equal(s->monitor.memory_fail, 95);
        assert_int_equal(s->monitor.growth_percent, 0);
        assert_int_equal(s->monitor.cpu_warn, 80);
        assert_null(s->monitor.outside_url);
        assert_true(s->rollback_automatic);
        assert_int_equal(s->rollback_data, ROLLBACK_AUTO);
        assert_int_equal(s->rehearse, REHEARSE_AUTO);
        assert_int_equal(strv_count(s->warnings), 0);
        check_origin(s, "service", "notes", "belay.yaml:2");
        check_origin(s, "channel", "latest", "default");
        check_origin(s, "start.timeout", "60s", "default");
        check_origin(s, "monitor.memory.fail", "95%", "default");
        check_origin(s, "backup.keep", "{last: 5, days: 7}", "default");
        check_origin(
                s, "source.git.directory", "/srv/notes", "detected: the directory of the runtime");
}

static void test_what_runs(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(WHOLE);
        static const char *const command[] = {"./server", "--port", "${port}", "012", "yes"};
        assert_int_equal(strv_count(s->process.command), COUNT_OF(command));
        for (size_t i = 0; i < COUNT_OF(command); i++)
                assert_string_equal(s->process.command[i], command[i]);
        assert_string_equal(s->directory, "/srv/notes/app");
        assert_int_equal(s->process.port, 8000);
        check_origin(s, "runtime.process.port", "8000", "detected: installed.http");
        assert_string_equal(s->process.user, "www-data");
        assert_int_equal(s->process.n_environment, 3);
        assert_string_equal(s->process.environment[1].name, "B");
        assert_string_equal(s->process.environment[1].value, "8000");
        assert_string_equal(s->process.environment[2].value, "");
        assert_int_equal(s->process.restart, RESTART_ALWAYS);
        assert_string_equal(s->git.remote, "upstream");
        assert_string_equal(s->git.tags, "v*");
        assert_null(s->git.branch);
        assert_int_equal(s->channel, CHANNEL_MINOR);
        assert_string_equal(s->installed.json, ".version");
        check_origin(s, "runtime.process.command", "[./server, --port, ${port}, 012, yes]",
                "belay.yaml:5");
        check_origin(s, "runtime.process.restart", "always", "belay.yaml:6");
}

static void test_what_is_kept(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(WHOLE);
        assert_string_equal(s->configuration.env_file, "/srv/notes/app/.env");
        assert_string_equal(s->configuration.set[0].value, "${version}");
        assert_int_equal(s->configuration.n_secrets, 2);
        assert_int_equal(s->configuration.secrets[0].bytes, 16);
        assert_int_equal(s->configuration.secrets[0].as, SECRET_BASE64);
        assert_string_equal(s->configuration.secrets[1].key, "K2");
        assert_int_equal(s->configuration.secrets[1].bytes, 32);
        assert_int_equal(s->configuration.secrets[1].as, SECRET_HEX);
        assert_true(s->backup.contents_given);
        assert_int_equal(s->backup.n_contents, 3);
        assert_string_equal(s->backup.contents[0].path, "/srv/notes/config");
        assert_string_equal(s->backup.contents[0].slug, "config");
        assert_int_equal(s->backup.contents[1].kind, CONTENT_SQLITE);
        assert_string_equal(s->backup.contents[1].slug, "pocket.db");
        assert_string_equal(s->backup.contents[2].slug, "config-2");
        assert_string_equal(s->backup.local_stores[0], "/srv/notes/backups");
        assert_string_equal(s->backup.local_stores[1], "/mnt/b");
        assert_int_equal(s->backup.keep_last, 3);
        assert_int_equal(s->backup.keep_days, 0);
}

static void test_what_migrates(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(WHOLE);
        assert_int_equal(s->n_migrations, 4);
        const MigrationSpec *m = s->migrations;
        assert_int_equal(m[0].kind, MIGRATION_SQL);
        assert_string_equal(m[0].files, "migrations/*.sql");
        assert_string_equal(m[0].database, "/srv/notes/db/pocket.db");
        assert_true(m[0].run_once);
        assert_true(m[0].compatible);
        assert_null(m[1].database);
        assert_int_equal(m[1].database_value.from, VALUE_ENV);
        assert_string_equal(m[1].database_value.text, "DATABASE_URL");
        assert_false(m[1].run_once);
        assert_int_equal(m[1].timeout_ms, 3600000);
        assert_int_equal(m[2].kind, MIGRATION_SCRIPTS);
        assert_int_equal(strv_count(m[2].run_with), 2);
        assert_true(m[2].run_once);
        assert_int_equal(m[3].kind, MIGRATION_MANUAL);
        assert_false(m[3].after_start);
}

static void test_what_is_asked(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(WHOLE);
        assert_int_equal(s->n_checks, 4);
        const CheckSpec *http = &s->checks[0], *tcp = &s->checks[1], *command = &s->checks[2],
                        *log = &s->checks[3];
        assert_string_equal(http->url, "http://localhost:${port}/health");
        assert_string_equal(http->title, http->url);
        assert_string_equal(http->method, "POST");
        assert_int_equal(http->status, 204);
        assert_int_equal(http->n_headers, 3);
        assert_int_equal(http->headers[0].value.from, VALUE_ENV);
        assert_string_equal(http->headers[0].value.text, "TOKEN");
        assert_int_equal(http->headers[1].value.from, VALUE_FILE);
        assert_string_equal(http->headers[1].value.text, "/srv/notes/key.txt");
        assert_int_equal(http->headers[2].value.from, VALUE_TEXT);
        assert_string_equal(http->expect_headers[0].value, "text/html");
        assert_int_equal(http->n_json, 2);
        assert_string_equal(http->json[1].value, "true");
        assert_int_equal(http->within_ms, 3000);
        assert_int_equal(http->interval_ms, 500);
        assert_int_equal(http->threshold, 2);
        assert_int_equal(http->window, 3);
        assert_int_equal(tcp->kind, CHECK_TCP);
        assert_string_equal(tcp->host, "::1");
        assert_int_equal(tcp->port, 5432);
        assert_int_equal(tcp->within_ms, 1000);
        assert_int_equal(tcp->interval_ms, 100);
        assert_int_equal(tcp->window, 1);
        assert_string_equal(command->title, "./smoke.sh -v");
        assert_int_equal(command->threshold, 3);
        assert_int_equal(command->within_ms, 5000);
        assert_string_equal(log->expect, "Server started");
        check_origin(s, "checks[0].http.within", "3s", "belay.yaml:33");
        check_origin(s, "checks[3].within", "5s", "default");
}

static void test_what_is_watched(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(WHOLE);
        assert_int_equal(s->start_timeout_ms, 10000);
        assert_int_equal(s->stop_timeout_ms, 1500);
        assert_int_equal(s->monitor.for_ms, 0);
        assert_true(s->monitor.log_defaults);
        assert_string_equal(s->monitor.logs_fail[0], "migration failed");
        assert_int_equal(s->monitor.errors_per_minute, 2);
        assert_int_equal(s->monitor.memory_warn, 0);
        assert_int_equal(s->monitor.memory_fail, 90);
        assert_int_equal(s->monitor.growth_percent, 10);
        assert_int_equal(s->monitor.growth_ms, 600000);
        assert_int_equal(s->monitor.cpu_warn, 250);
        assert_string_equal(s->monitor.outside_url, "https://notes.example.com");
        assert_int_equal(s->monitor.outside_every_ms, 300000);
        assert_false(s->rollback_automatic);
        assert_int_equal(s->rollback_data, ROLLBACK_ASK);
        assert_int_equal(s->rehearse, REHEARSE_NEVER);
}

static void test_every_leaf_has_one_origin(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(WHOLE);
        for (size_t i = 0; i < s->n_origins; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(s->origins[i].key, s->origins[j].key) == 0)
                                fail_msg("%s has two origins", s->origins[i].key);
        assert_true(s->n_origins > 60);
}

#define REST "source: { git: {} }\n"
#define PROCESS(inner)                                                                             \
        "version: 1\nservice: notes\nruntime: { process: { command: [./s]" inner " } }\n"

typedef struct PortCase {
        const char *text;
        unsigned port;
        const char *from;
} PortCase;

static void test_port_is_found_where_it_is_named(void **unused) {
        (void)unused;
        static const PortCase cases[] = {
                {PROCESS(", port: 7") REST "installed: { http: 'http://localhost:8/' }\n", 7,
                        "belay.yaml:3"},
                {PROCESS("") REST "installed: { http: 'http://[::1]:8/' }\n", 8,
                        "detected: installed.http"},
                {PROCESS("") REST
                        "checks: [ tcp: 'localhost:5432', http: { url: 'http://127.0.0.1:9/' } ]\n",
                        9, "detected: checks[1].http"},
                {PROCESS("") REST "checks: [ tcp: 'localhost:5432' ]\n", 5432,
                        "detected: checks[0].tcp"},
                {PROCESS("") REST "checks: [ tcp: 'db.example.com:5432' ]\n", 0, NULL},
                {PROCESS("") REST "installed: { http: 'http://shop.example.com:80/' }\n", 0, NULL},
                {PROCESS("") REST "installed: { http: 'http://localhost/' }\n", 0, NULL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(service_freep) Service *s = parsed(cases[i].text);
                assert_int_equal(s->process.port, cases[i].port);
                if (cases[i].from)
                        assert_string_equal(
                                origin_of(s, "runtime.process.port")->from, cases[i].from);
        }
}

static void test_tcp_on_the_port_of_the_process(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(PROCESS(", port: 7") REST
                "checks: [ tcp: 'localhost:${port}', tcp: '[::1]:${port}' ]\n");
        assert_int_equal(s->checks[0].port, 7);
        assert_string_equal(s->checks[0].host, "localhost");
        assert_string_equal(s->checks[0].title, "localhost:7");
        assert_string_equal(s->checks[1].title, "[::1]:7");
}

static void test_directories_follow_each_other(void **unused) {
        (void)unused;
        scoped(service_freep) Service *git =
                parsed(PROCESS("") "source: { git: { directory: ../code } }\n");
        assert_string_equal(git->directory, "/srv/code");
        scoped(service_freep) Service *run = parsed(PROCESS(", directory: /opt/app/") REST);
        assert_string_equal(run->git.directory, "/opt/app");
        scoped(service_freep) Service *both = parsed(
                PROCESS(", directory: code/server") "source: { git: { directory: code } }\n");
        assert_string_equal(both->directory, "/srv/notes/code/server");
        assert_string_equal(both->git.directory, "/srv/notes/code");
}

static void test_y21_a_secret_in_clear_is_a_warning(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s =
                parsed(PROCESS(", environment: { API_TOKEN: abc, PORT_KEY: '', TOKEN_FILE: /t, DB: "
                               "'postgres://u:canary@h/d' }") REST
                        "configuration: { env_file: .env, set: { SESSION_SECRET: canary, V_KEY: "
                        "'${version}', D: 'file:./x' } }\n"
                        "checks: [ http: { url: 'http://a', headers: { Authorization: 'Bearer "
                        "canary', Cookie: env:C } } ]\n");
        static const char *const expected[] = {
                "secret 'API_TOKEN' is written in clear at belay.yaml:3",
                "secret 'DB' is written in clear at belay.yaml:3",
                "secret 'SESSION_SECRET' is written in clear at belay.yaml:5",
                "the value of 'D' is taken as it is, with its 'file:', at belay.yaml:5",
                "secret 'Authorization' is written in clear at belay.yaml:6",
        };
        assert_int_equal(strv_count(s->warnings), COUNT_OF(expected));
        for (size_t i = 0; i < COUNT_OF(expected); i++)
                assert_string_equal(s->warnings[i], expected[i]);
        for (size_t i = 0; i < s->n_origins; i++)
                if (strstr(s->origins[i].value, "canary"))
                        fail_msg("%s shows its value", s->origins[i].key);
}

static void test_logs_none(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s = parsed(PROCESS("") REST "monitor: { logs: none }\n");
        assert_false(s->monitor.log_defaults);
        assert_int_equal(s->monitor.for_ms, 120000);
}

static void test_empty_contents_are_given(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s =
                parsed(PROCESS("") REST "backup: { contents: [] }\nchecks: []\n");
        assert_true(s->backup.contents_given);
        assert_int_equal(s->backup.n_contents, 0);
}

static void test_y26_literal_dollars(void **unused) {
        (void)unused;
        scoped(service_freep) Service *s =
                parsed("version: 1\nservice: notes\nruntime: { process: { command: [./s, "
                       "'$${port}', '$HOME', '$$'] } }\n" REST);
        assert_string_equal(s->process.command[1], "$${port}");
}

static void test_ret_is_untouched_by_failure(void **unused) {
        (void)unused;
        Service *mark = (Service *)&mark, *service = mark;
        assert_false(manifest_parse("/a/b.yaml", "x: 1", 4, &service, NULL));
        assert_ptr_equal(service, mark);
}

static void test_a_bom_and_crlf(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        str_add(&text, "\xEF\xBB\xBF");
        for (const char *c = SMALLEST; *c; c++)
                str_addf(&text, *c == '\n' ? "\r%c" : "%c", *c);
        scoped(service_freep) Service *s = parsed(text.text);
        check_origin(s, "runtime.process.command", "[./server]", "belay.yaml:3");
}

/* Relative to where migrations run, which with releases is what `current` leads to, or what all share. */
static void releases_layout(void **state) {
        (void)state;
        static const char text[] =
                "version: 1\nservice: notes\n"
                "runtime: { process: { command: [./server], directory: /srv/notes/current } }\n"
                "source: { git: { directory: /srv/notes, layout: releases, install: [npm, ci], "
                "build: [make, \"${version}\"],\n"
                "  timeout: 90s, artifacts: [./node_modules/, web/dist], shared: [data/] } }\n"
                "migrations:\n"
                "  - sql: { files: \"*.sql\", database: data/app.db }\n"
                "  - sql: { files: \"*.sql\", database: app.db }\n"
                "  - sql: { files: \"*.sql\", database: /var/lib/app.db }\n";
        scoped(err_clear) Err err = {0};
        scoped(service_freep) Service *service = NULL;
        if (!manifest_parse("/srv/belay.yaml", text, strlen(text), &service, &err))
                fail_msg("%s", err.message);
        const GitSpec *git = &service->git;
        assert_int_equal(git->layout, LAYOUT_RELEASES);
        assert_string_equal(git->directory, "/srv/notes");
        assert_string_equal(service->process.directory, "/srv/notes");
        assert_string_equal(service->directory, "/srv/notes");
        assert_string_equal(git->install[1], "ci");
        assert_string_equal(git->build[1], "${version}");
        assert_int_equal(git->command_timeout_ms, 90000);
        assert_string_equal(git->artifacts[0], "node_modules");
        assert_string_equal(git->artifacts[1], "web/dist");
        assert_string_equal(git->shared[0], "data");
        assert_string_equal(service->migrations[0].database, "/srv/notes/shared/data/app.db");
        assert_string_equal(service->migrations[1].database, "/srv/notes/current/app.db");
        assert_string_equal(service->migrations[2].database, "/var/lib/app.db");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(releases_layout),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_what_runs),
                cmocka_unit_test(test_what_is_kept),
                cmocka_unit_test(test_what_migrates),
                cmocka_unit_test(test_what_is_asked),
                cmocka_unit_test(test_what_is_watched),
                cmocka_unit_test(test_every_leaf_has_one_origin),
                cmocka_unit_test(test_port_is_found_where_it_is_named),
                cmocka_unit_test(test_tcp_on_the_port_of_the_process),
                cmocka_unit_test(test_directories_follow_each_other),
                cmocka_unit_test(test_y21_a_secret_in_clear_is_a_warning),
                cmocka_unit_test(test_logs_none),
                cmocka_unit_test(test_empty_contents_are_given),
                cmocka_unit_test(test_y26_literal_dollars),
                cmocka_unit_test(test_ret_is_untouched_by_failure),
                cmocka_unit_test(test_a_bom_and_crlf),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
