/* What counts as data in a service's directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/manifest.h"
#include "platform/file.h"

static char *dir;

static int make_dir(void **unused) {
        (void)unused;
        scoped(free_str) char *made = str_copy("/tmp/belay-detect-XXXXXX");
        if (!mkdtemp(made))
                return -1;
        dir = file_real(made);
        return 0;
}

static int remove_dir(void **unused) {
        (void)unused;
        bool ok = tree_remove(dir, NULL);
        free(dir);
        return ok ? 0 : -1;
}

static void put(const char *name, const void *bytes, size_t n) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *parent = path_dirname(path);
        assert_true(dir_make(parent, NULL));
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        assert_int_equal(fclose(file), 0);
}

static void put_sqlite(const char *name) {
        char page[4096] = "SQLite format 3";
        put(name, page, sizeof(page));
}

static Service *service_with(const char *more) {
        scoped(free_str) char *path = path_join(dir, "belay.yaml");
        scoped(free_str) char *text =
                str_format("version: 1\nservice: notes\nruntime: { process: { command: [./s] } }\n"
                           "source: { git: {} }\n%s",
                        more);
        scoped(err_clear) Err err = {0};
        Service *service = NULL;
        if (!manifest_parse(path, text, strlen(text), &service, &err))
                fail_msg("%s", err.message);
        return service;
}

/* "sqlite:a.db path:data": kinds and paths below the directory, in their order. */
static char *found(const Service *service) {
        Str text = {0};
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const Content *content = &service->backup.contents[i];
                assert_true(content->detected);
                str_addf(&text, "%s%s:%s", i ? " " : "",
                        content->kind == CONTENT_PATH ? "path" : "sqlite",
                        content->path + strlen(dir) + 1);
        }
        return str_take(&text);
}

static void check_found(const char *const *tracked, const char *expected) {
        scoped(service_freep) Service *service = service_with("");
        scoped(err_clear) Err err = {0};
        if (!manifest_detect_contents(service, tracked, &err))
                fail_msg("%s", err.message);
        scoped(free_str) char *text = found(service);
        assert_string_equal(text, expected);
}

static void test_databases_and_directories(void **unused) {
        (void)unused;
        put_sqlite("app.db");
        put_sqlite("deep/er/pocket");
        put_sqlite("data/inner.db");
        put_sqlite("node_modules/cache.db");
        put_sqlite(".git/x.db");
        put_sqlite(".venv/x.db");
        put_sqlite("app.db.backup_20260101");
        put_sqlite("1/2/3/4/5/six.db");
        put_sqlite("1/2/3/4/5/6/seven.db");
        put("text.db",
                "SQLite format 4, not a database at all, but a text that is long enough to be "
                "looked at, "
                "hundred bytes and more",
                110);
        put("short.db", "SQLite format 3", 16);
        put("src/media/logo.png", "x", 1);
        put("src/uploads/user.png", "x", 1);
        scoped(free_str) char *link = path_join(dir, "link.db");
        assert_int_equal(symlink("app.db", link), 0);
        static const char *const tracked[] = {"src/media/logo.png", "src/main.c", NULL};
        check_found(tracked, "sqlite:1/2/3/4/5/six.db sqlite:app.db path:data "
                             "sqlite:deep/er/pocket path:src/uploads");
        check_found(NULL, "sqlite:1/2/3/4/5/six.db sqlite:app.db path:data sqlite:deep/er/pocket "
                          "path:src/media "
                          "path:src/uploads");
        static const char *const all[] = {
                "app.db", "data/readme.txt", "deep/er/pocket", "src/media/logo.png", NULL};
        check_found(all, "sqlite:1/2/3/4/5/six.db sqlite:data/inner.db path:src/uploads");
}

/* Only the names that Belay gives to what is made are passed over: a database beside may begin alike. */
static void test_data_named_like_an_artifact(void **unused) {
        (void)unused;
        put_sqlite("made/shop");
        put_sqlite("made/shop.db");
        put_sqlite("made/shop.0123456789ab");
        put_sqlite("made/shop.0123456789ab.db");
        put_sqlite("made/shop.before");
        put_sqlite("made/shop.before-7");
        put_sqlite("made/shop.beforehand");
        put_sqlite("made/shops");
        scoped(service_freep) Service *service = service_with("");
        strv_free(service->git.artifacts);
        service->git.artifacts = NULL;
        strv_add(&service->git.artifacts, "made/shop");
        assert_true(manifest_detect_contents(service, NULL, NULL));
        scoped(free_str) char *text = found(service);
        scoped(free_str) char *made = path_join(dir, "made");
        assert_true(tree_remove(made, NULL));
        assert_non_null(strstr(text, " sqlite:made/shop.0123456789ab.db sqlite:made/shop.beforehand"
                                     " sqlite:made/shop.db sqlite:made/shops "));
        assert_null(strstr(text, "made/shop "));
        assert_null(strstr(text, "made/shop.0123456789ab "));
        assert_null(strstr(text, "made/shop.before "));
        assert_null(strstr(text, "made/shop.before-7"));
}

static bool find_in_releases(const char *extra, char **ret, Err *err) {
        static const char *const tracked[] = {"fixture.db", NULL};
        static const char text[] = "version: 1\nservice: notes\n"
                                   "runtime: { process: { command: [./s] } }\n"
                                   "source: { git: { layout: releases, directory: rel } }\n";
        scoped(free_str) char *path = path_join(dir, "belay.yaml");
        scoped(service_freep) Service *service = NULL;
        scoped(free_str) char *made = path_join(dir, extra);
        put_sqlite(extra);
        assert_true(manifest_parse(path, text, sizeof(text) - 1, &service, err));
        bool good = manifest_detect_contents(service, tracked, err);
        scoped(free_str) char *what = good ? found(service) : NULL;
        bool warned = service->warnings && strstr(service->warnings[0], extra);
        *ret = what ? str_format("%s%s", what, warned ? " warns" : "") : NULL;
        assert_int_equal(unlink(made), 0);
        return good;
}

static void not_found_in_releases(const char *extra) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *what = NULL;
        assert_false(find_in_releases(extra, &what, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, extra));
        assert_non_null(strstr(err.hint, "source.git.shared"));
}

/* With releases only what is in shared/ is there for the next one; the rest would be left behind, unseen. */
static void test_data_that_a_release_would_not_have(void **unused) {
        (void)unused;
        scoped(free_str) char *current = path_join(dir, "rel/current");
        scoped(free_str) char *all = path_join(dir, "rel");
        scoped(free_str) char *before = NULL, *during = NULL, *after = NULL, *beside = NULL;
        put_sqlite("rel/shared/data.db");
        put_sqlite("rel/fixture.db");
        not_found_in_releases("rel/notes.db");
        assert_true(find_in_releases("rel/node_modules/x.db", &before, NULL));
        assert_string_equal(before, "sqlite:rel/shared/data.db");
        put_sqlite("rel/releases/1.0/fixture.db");
        put_sqlite("rel/releases/0.9/old.db");
        assert_int_equal(symlink("releases/1.0", current), 0);
        assert_true(find_in_releases("rel/releases/1.0/notes.db", &during, NULL));
        assert_string_equal(during, "sqlite:rel/shared/data.db warns");
        assert_true(find_in_releases("rel/releases/0.9/more.db", &after, NULL));
        assert_string_equal(after, "sqlite:rel/shared/data.db");
        /* Named by its whole path, as a program may that was there before. */
        assert_true(find_in_releases("rel/notes.db", &beside, NULL));
        assert_string_equal(beside, "sqlite:rel/notes.db sqlite:rel/shared/data.db");
        assert_true(tree_remove(all, NULL));
}

static void test_origins_and_slugs(void **unused) {
        (void)unused;
        scoped(service_freep) Service *service = service_with("");
        assert_true(manifest_detect_contents(service, NULL, NULL));
        assert_true(manifest_detect_contents(service, NULL, NULL));
        assert_int_equal(service->backup.n_contents, 6);
        assert_string_equal(service->backup.contents[1].slug, "app.db");
        const Origin *last = &service->origins[service->n_origins - 1];
        assert_string_equal(last->key, "backup.contents[5]");
        assert_string_equal(last->from, "detected: a directory of data");
}

static void test_mixed_directories_are_said(void **unused) {
        (void)unused;
        static const char *const tracked[] = {"a", "b", "data/seed/a.csv", "k", "src/main.c",
                "src/media-x/a", "src/media/logo.png", "src/uploads-x/a", "src/uploads/.gitkeep",
                "w", "x", "y", "z", NULL};
        scoped(service_freep) Service *service = service_with("");
        assert_true(manifest_detect_contents(service, tracked, NULL));
        scoped(free_str) char *before = found(service);
        assert_non_null(strstr(before, "path:src/uploads"));
        assert_non_null(strstr(before, "sqlite:data/inner.db"));
        assert_null(service->warnings);
        put("src/media/user.png", "x", 1);
        put("src/media/other.png", "x", 1);
        put("data/seed/b.csv", "x", 1);
        scoped(service_freep) Service *mixed = service_with("");
        assert_true(manifest_detect_contents(mixed, tracked, NULL));
        assert_int_equal(strv_count(mixed->warnings), 2);
        assert_non_null(strstr(mixed->warnings[0], "/data' holds files of git and others"));
        assert_non_null(strstr(mixed->warnings[1], "/src/media' holds files of git and others"));
}

static void test_every_tracked_database_is_left_out(void **unused) {
        (void)unused;
        scoped(strv_freep) Strv tracked = NULL;
        for (int i = 0; i < 37; i++) {
                scoped(free_str) char *name = str_format("fixtures/%d.db", i);
                put_sqlite(name);
                strv_push(&tracked, TAKE(name));
        }
        scoped(service_freep) Service *service = service_with("");
        assert_true(manifest_detect_contents(service, (const char *const *)tracked, NULL));
        scoped(free_str) char *text = found(service);
        assert_null(strstr(text, "fixtures"));
        scoped(free_str) char *fixtures = path_join(dir, "fixtures");
        assert_true(tree_remove(fixtures, NULL));
}

static void test_given_contents_are_left_alone(void **unused) {
        (void)unused;
        scoped(service_freep) Service *service = service_with("backup: { contents: [] }\n");
        assert_true(manifest_detect_contents(service, NULL, NULL));
        assert_int_equal(service->backup.n_contents, 0);
}

static void test_a_store_among_the_data(void **unused) {
        (void)unused;
        scoped(service_freep) Service *beside =
                service_with("backup: { stores: [ local: var ] }\n");
        put_sqlite("var/old.db");
        assert_true(manifest_detect_contents(beside, NULL, NULL));
        scoped(free_str) char *text = found(beside);
        assert_null(strstr(text, "var"));
        scoped(service_freep) Service *inside =
                service_with("backup: { stores: [ local: data/backups ] }\n");
        scoped(err_clear) Err err = {0};
        assert_false(manifest_detect_contents(inside, NULL, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "holds the store"));
        scoped(free_str) char *var = path_join(dir, "var");
        assert_true(tree_remove(var, NULL));
}

static void test_too_many_entries(void **unused) {
        (void)unused;
        scoped(free_str) char *many = path_join(dir, "many");
        assert_int_equal(mkdir(many, 0755), 0);
        for (int i = 0; i < 20001; i++) {
                scoped(free_str) char *path = str_format("%s/%d", many, i);
                assert_int_equal(symlink("x", path), 0);
        }
        scoped(service_freep) Service *service = service_with("");
        scoped(err_clear) Err err = {0};
        assert_false(manifest_detect_contents(service, NULL, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.hint, "backup.contents"));
        assert_true(tree_remove(many, NULL));
}

static void test_too_many_finds(void **unused) {
        (void)unused;
        for (int i = 0; i < 201; i++) {
                scoped(free_str) char *name = str_format("tenants/%d/app.db", i);
                put_sqlite(name);
        }
        scoped(service_freep) Service *service = service_with("");
        scoped(err_clear) Err err = {0};
        assert_false(manifest_detect_contents(service, NULL, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "more than 200 places"));
        scoped(free_str) char *tenants = path_join(dir, "tenants");
        assert_true(tree_remove(tenants, NULL));
}

static void test_a_directory_that_is_not_there(void **unused) {
        (void)unused;
        scoped(service_freep) Service *service = service_with("");
        str_replace_owned(&service->directory, path_join(dir, "gone"));
        scoped(err_clear) Err err = {0};
        assert_false(manifest_detect_contents(service, NULL, &err));
        assert_int_equal(err.code, ERR_IO);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_databases_and_directories),
                cmocka_unit_test(test_data_named_like_an_artifact),
                cmocka_unit_test(test_data_that_a_release_would_not_have),
                cmocka_unit_test(test_origins_and_slugs),
                cmocka_unit_test(test_mixed_directories_are_said),
                cmocka_unit_test(test_every_tracked_database_is_left_out),
                cmocka_unit_test(test_given_contents_are_left_alone),
                cmocka_unit_test(test_a_store_among_the_data),
                cmocka_unit_test(test_too_many_entries),
                cmocka_unit_test(test_too_many_finds),
                cmocka_unit_test(test_a_directory_that_is_not_there),
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
