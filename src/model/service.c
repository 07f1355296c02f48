#include "model/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"

static void pairs_free(Pair *pairs, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(pairs[i].name);
                free(pairs[i].value);
        }
        free(pairs);
}

static void config_done(ConfigSpec *config) {
        free(config->env_file);
        pairs_free(config->set, config->n_set);
        for (size_t i = 0; i < config->n_secrets; i++)
                free(config->secrets[i].key);
        free(config->secrets);
}

static void contents_free(BackupSpec *backup) {
        for (size_t i = 0; i < backup->n_contents; i++) {
                free(backup->contents[i].path);
                free(backup->contents[i].slug);
        }
        free(backup->contents);
        backup->contents = NULL;
        backup->n_contents = 0;
}

static void backup_done(BackupSpec *backup) {
        contents_free(backup);
        strv_free(backup->local_stores);
}

static void migration_done(MigrationSpec *migration) {
        free(migration->files);
        strv_free(migration->run_with);
        free(migration->database);
        free(migration->database_value.text);
        free(migration->text);
}

static void check_done(CheckSpec *check) {
        free(check->title);
        free(check->url);
        free(check->method);
        free(check->body);
        free(check->protocol);
        for (size_t i = 0; i < check->n_headers; i++) {
                free(check->headers[i].name);
                free(check->headers[i].value.text);
        }
        free(check->headers);
        pairs_free(check->expect_headers, check->n_expect_headers);
        pairs_free(check->json, check->n_json);
        free(check->host);
        strv_free(check->run);
        free(check->expect);
}

static void runtime_and_source_done(Service *service) {
        strv_free(service->process.command);
        free(service->process.directory);
        free(service->process.user);
        pairs_free(service->process.environment, service->process.n_environment);
        free(service->git.directory);
        strv_free(service->git.install);
        strv_free(service->git.build);
        strv_free(service->git.artifacts);
        strv_free(service->git.shared);
        free(service->git.remote);
        free(service->git.tags);
        free(service->git.branch);
        free(service->releases.feed);
        free(service->releases.github);
        free(service->releases.gitea);
        free(service->releases.files);
        free(service->releases.api);
        free(service->releases.token.text);
        free(service->installed.http);
        free(service->installed.json);
        strv_free(service->installed.command);
        free(service->installed.file);
}

static void around_done(Service *service) {
        for (size_t i = 0; i < service->n_windows; i++)
                free(service->windows[i].zone);
        free(service->windows);
        for (size_t i = 0; i < service->n_freezes; i++)
                free(service->freezes[i].zone);
        free(service->freezes);
        free(service->succeeded_on);
        strv_free(service->busy.command);
        free(service->busy.lock_file);
        for (size_t i = 0; i < PHASE_COUNT; i++) {
                strv_free(service->hooks.commands[i][0]);
                strv_free(service->hooks.commands[i][1]);
        }
}

void service_done(Service *service) {
        free(service->name);
        free(service->manifest_path);
        free(service->manifest_text);
        free(service->directory);
        runtime_and_source_done(service);
        config_done(&service->configuration);
        backup_done(&service->backup);
        for (size_t i = 0; i < service->n_migrations; i++)
                migration_done(&service->migrations[i]);
        free(service->migrations);
        for (size_t i = 0; i < service->n_checks; i++)
                check_done(&service->checks[i]);
        free(service->checks);
        strv_free(service->monitor.logs_fail);
        strv_free(service->monitor.logs_warn);
        free(service->monitor.outside_url);
        around_done(service);
        for (size_t i = 0; i < service->n_origins; i++) {
                free(service->origins[i].key);
                free(service->origins[i].value);
                free(service->origins[i].from);
        }
        free(service->origins);
        strv_free(service->warnings);
        *service = (Service){0};
}

void service_freep(Service **service) {
        if (!*service)
                return;
        service_done(*service);
        free(*service);
}

void service_explain(Service *service, const char *key, const char *value, const char *from) {
        Origin origin = {str_copy(key), str_copy(value), str_copy(from)};
        PUSH(service->origins, service->n_origins, origin);
}

bool service_name_ok(const char *name) {
        size_t n = name ? strlen(name) : 0;
        if (n == 0 || n > 63 || name[0] == '-')
                return false;
        return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

json_t *service_contents_to_json(const Service *service) {
        json_t *contents = json_array();
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const Content *content = &service->backup.contents[i];
                json_t *object = json_object();
                js_set_str(object, "kind", content->kind == CONTENT_SQLITE ? "sqlite" : "path");
                js_set_str(object, "path", content->path);
                js_set_str(object, "slug", content->slug);
                js_set_bool(object, "detected", content->detected);
                json_array_append_new(contents, object);
        }
        return contents;
}

void service_contents_from_json(Service *service, const json_t *contents) {
        contents_free(&service->backup);
        size_t i;
        json_t *object;
        json_array_foreach(contents, i, object) {
                const char *path = js_str(object, "path"), *slug = js_str(object, "slug");
                if (!path || !slug)
                        continue;
                const Content content = {
                        .kind = str_equal(js_str(object, "kind"), "sqlite") ? CONTENT_SQLITE
                                                                            : CONTENT_PATH,
                        .path = str_copy(path),
                        .slug = str_copy(slug),
                        .detected = js_bool(object, "detected", false),
                };
                PUSH(service->backup.contents, service->backup.n_contents, content);
        }
}
