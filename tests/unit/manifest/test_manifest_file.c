/* The file itself: what is no manifest before a byte is read, links, and finding one. */
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
#include "journal/state.h"
#include "manifest/manifest.h"
#include "platform/file.h"

#define GOOD                                                                                       \
        "version: 1\nservice: notes\nruntime: { process: { command: [./s] } }\nsource: { git: {} " \
        "}\n"

static char *dir;

static int make_dir(void **unused) {
        (void)unused;
        scoped(free_str) char *made = str_copy("/tmp/belay-manifest-XXXXXX");
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

static char *in_dir(const char *name) { return path_join(dir, name); }

static char *put(const char *name, const char *text, mode_t mode) {
        char *path = in_dir(name);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
        assert_int_equal(fclose(file), 0);
        assert_int_equal(chmod(path, mode), 0);
        return path;
}

static void check_load(const char *path, ErrCode code, const char *message, const char *hint) {
        scoped(service_freep) Service *service = NULL;
        scoped(err_clear) Err err = {0};
        if (manifest_load(path, &service, &err))
                fail_msg("%s is accepted", path);
        assert_int_equal(err.code, code);
        if (!strstr(err.message, message))
                fail_msg("expected \"%s\", said \"%s\"", message, err.message);
        if (hint && (!err.hint || !strstr(err.hint, hint)))
                fail_msg("expected the hint \"%s\", said \"%s\"", hint,
                        err.hint ? err.hint : "nothing");
        assert_null(service);
}

static void test_load_keeps_the_bytes_and_the_real_path(void **unused) {
        (void)unused;
        scoped(free_str) char *path = put("good.yaml", GOOD, 0644);
        scoped(free_str) char *link = in_dir("sub/link.yaml"), *sub = in_dir("sub");
        assert_int_equal(mkdir(sub, 0755), 0);
        assert_int_equal(symlink("../good.yaml", link), 0);
        scoped(service_freep) Service *service = NULL;
        scoped(err_clear) Err err = {0};
        assert_true(manifest_load(link, &service, &err));
        assert_string_equal(service->manifest_path, path);
        assert_string_equal(service->manifest_text, GOOD);
        assert_string_equal(service->directory, dir);
        assert_string_equal(service->origins[0].from, "link.yaml:1");
}

static void test_messages_show_the_path_as_given(void **unused) {
        (void)unused;
        free(put("bad.yaml", GOOD "nonsense: 1\n", 0644));
        scoped(free_str) char *before = getcwd(NULL, 0);
        assert_int_equal(chdir(dir), 0);
        check_load("bad.yaml", ERR_MANIFEST, "bad.yaml:5:1: unknown key", NULL);
        check_load("./bad.yaml", ERR_MANIFEST, "./bad.yaml:5:1: unknown key", NULL);
        assert_int_equal(chdir(before), 0);
}

static void test_what_is_no_file(void **unused) {
        (void)unused;
        scoped(free_str) char *fifo = in_dir("fifo"), *a = in_dir("a"), *b = in_dir("b"),
                              *none = in_dir("none");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(symlink("b", a), 0);
        assert_int_equal(symlink("a", b), 0);
        check_load(fifo, ERR_MANIFEST, "this is a FIFO, not a manifest", "belay.yaml");
        check_load(dir, ERR_MANIFEST, "this is a directory, not a manifest", "belay.yaml");
        check_load("/dev/zero", ERR_MANIFEST, "this is a device", NULL);
        check_load(a, ERR_MANIFEST, "lead in a circle", NULL);
        check_load(none, ERR_UNKNOWN, "there is no manifest", "belay list");
        check_load("/dev/null/x", ERR_UNKNOWN, "there is no manifest", NULL);
}

static void test_world_writable_names_the_chmod(void **unused) {
        (void)unused;
        scoped(free_str) char *path = put("open.yaml", GOOD, 0666);
        scoped(free_str) char *hint = str_format("chmod o-w '%s'", path);
        check_load(path, ERR_MANIFEST, "everybody may write this file", hint);
        assert_int_equal(chmod(path, 0664), 0);
        scoped(service_freep) Service *service = NULL;
        assert_true(manifest_load(path, &service, NULL));
}

static void test_y24_sizes(void **unused) {
        (void)unused;
        scoped(free_str) char *empty = put("empty.yaml", "", 0644);
        check_load(empty, ERR_MANIFEST, "the manifest is empty", NULL);
        scoped(free_str) char *large = put("large.yaml", GOOD, 0644);
        assert_int_equal(truncate(large, 10 * 1024 * 1024), 0);
        check_load(large, ERR_MANIFEST, "larger than 256 KiB", NULL);
        assert_int_equal(truncate(large, 256 * 1024 + 1), 0);
        check_load(large, ERR_MANIFEST, "larger than 256 KiB", NULL);
        assert_int_equal(truncate(large, 256 * 1024), 0);
        check_load(large, ERR_MANIFEST, ":5:1: a NUL byte", NULL);
}

/* What is beside the zones in their directory is none. */
static void test_y23_a_file_that_is_no_zone(void **unused) {
        (void)unused;
        if (!file_exists("/usr/share/zoneinfo/leapseconds"))
                skip();
        scoped(free_str) char *path = put("zone.yaml",
                GOOD "freeze: [{ from: 2026-12-20, to: 2026-12-31, zone: leapseconds }]\n", 0644);
        check_load(path, ERR_MANIFEST, ":5:52: reading '/usr/share/zoneinfo/leapseconds'", NULL);
}

/* Journals and lists could not name it. */
static void test_paths_that_are_no_text(void **unused) {
        (void)unused;
        static const char *const names[] = {
                "a\nb", "a\033[31mb", "a\xff", "a\xc3", "a\xe2\x80\xae", "a\x7f"};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *odd = in_dir(names[i]);
                scoped(free_str) char *within = path_join(names[i], "belay.yaml");
                assert_int_equal(mkdir(odd, 0755), 0);
                scoped(free_str) char *path = put(within, GOOD, 0644);
                scoped(free_str) char *link = str_format("%s/link-%zu", dir, i);
                assert_int_equal(symlink(path, link), 0);
                check_load(path, ERR_MANIFEST, "is no text", "Rename");
                check_load(link, ERR_MANIFEST, "is no text", "Rename");
                State state = {0};
                scoped(err_clear) Err err = {0};
                assert_false(state_open(odd, &state, &err));
                assert_int_equal(err.code, ERR_USAGE);
        }
        scoped(free_str) char *fine = in_dir("a b'\"$é");
        assert_int_equal(mkdir(fine, 0755), 0);
        scoped(free_str) char *path = put("a b'\"$é/belay.yaml", GOOD, 0644);
        scoped(service_freep) Service *service = NULL;
        assert_true(manifest_load(path, &service, NULL));
}

static void test_y17_a_content_that_leads_elsewhere(void **unused) {
        (void)unused;
        scoped(free_str) char *root = in_dir("rootlink"), *proc = in_dir("proclink");
        assert_int_equal(symlink("/", root), 0);
        assert_int_equal(symlink("/proc/self", proc), 0);
        scoped(free_str) char *one =
                put("one.yaml", GOOD "backup: { contents: [ path: rootlink ] }\n", 0644);
        scoped(free_str) char *two =
                put("two.yaml", GOOD "backup: { contents: [ path: proclink ] }\n", 0644);
        check_load(one, ERR_MANIFEST, ":5:29: ", NULL);
        check_load(one, ERR_MANIFEST, "rootlink' leads to '/', which is a directory of the system",
                NULL);
        check_load(two, ERR_MANIFEST, "which lies in /proc", NULL);
        scoped(service_freep) Service *service = NULL;
        scoped(free_str) char *text = str_copy(GOOD "backup: { contents: [ path: rootlink ] }\n");
        assert_true(manifest_parse(one, text, strlen(text), &service, NULL));
}

static void test_y16_a_store_behind_a_link(void **unused) {
        (void)unused;
        scoped(free_str) char *data = in_dir("data"), *store = in_dir("data/b"),
                              *link = in_dir("store");
        assert_int_equal(mkdir(data, 0755), 0);
        assert_int_equal(mkdir(store, 0755), 0);
        assert_int_equal(symlink("data/b", link), 0);
        scoped(free_str) char *path = put("store.yaml",
                GOOD "backup: { contents: [ path: data ], stores: [ local: store ] }\n", 0644);
        check_load(path, ERR_MANIFEST, "holds the store", NULL);
}

static void test_find_here_and_above(void **unused) {
        (void)unused;
        scoped(free_str) char *deep = in_dir("find/x/y"), *top = in_dir("find"),
                              *none = in_dir("find/none");
        assert_true(dir_make(deep, NULL));
        scoped(free_str) char *path = put("find/belay.yaml", GOOD, 0644);
        scoped(free_str) char *trap = in_dir("find/x/belay.yaml");
        assert_int_equal(mkdir(trap, 0755), 0);
        scoped(free_str) char *found = NULL;
        scoped(free_str) char *found_here = NULL;
        assert_true(manifest_find(deep, &found, NULL));
        assert_string_equal(found, path);
        assert_true(manifest_find(top, &found_here, NULL));
        assert_string_equal(found_here, path);
        scoped(err_clear) Err err = {0};
        char *untouched = NULL;
        assert_false(manifest_find(none, &untouched, &err));
        assert_int_equal(err.code, ERR_IO);
        assert_false(manifest_find("/proc", &untouched, &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
        assert_non_null(strstr(err.hint, "-f FILE"));
        assert_null(untouched);
}

/* Only root can make a file of somebody else; as another user there is nothing to try. */
static void test_find_refuses_a_strangers_manifest_above(void **unused) {
        (void)unused;
        if (geteuid() != 0)
                skip();
        scoped(free_str) char *deep = in_dir("shared/mine");
        assert_true(dir_make(deep, NULL));
        scoped(free_str) char *path = put("shared/belay.yaml", GOOD, 0644);
        assert_int_equal(chown(path, 12345, 12345), 0);
        scoped(err_clear) Err err = {0};
        char *found = NULL;
        assert_false(manifest_find(deep, &found, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.hint, "-f '"));
        assert_int_equal(chown(deep, 12345, 12345), 0);
        scoped(free_str) char *owners = NULL;
        assert_true(manifest_find(deep, &owners, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_load_keeps_the_bytes_and_the_real_path),
                cmocka_unit_test(test_messages_show_the_path_as_given),
                cmocka_unit_test(test_what_is_no_file),
                cmocka_unit_test(test_world_writable_names_the_chmod),
                cmocka_unit_test(test_y24_sizes),
                cmocka_unit_test(test_y23_a_file_that_is_no_zone),
                cmocka_unit_test(test_paths_that_are_no_text),
                cmocka_unit_test(test_y17_a_content_that_leads_elsewhere),
                cmocka_unit_test(test_y16_a_store_behind_a_link),
                cmocka_unit_test(test_find_here_and_above),
                cmocka_unit_test(test_find_refuses_a_strangers_manifest_above),
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
