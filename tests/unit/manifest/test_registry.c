/* Known manifests: links by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/registry.h"
#include "platform/fault.h"
#include "platform/file.h"

static char *dir;

static char *in_dir(const char *name) { return path_join(dir, name); }

static char *touch(const char *name) {
        char *path = in_dir(name);
        assert_true(file_write_durable(path, "version: 1\n", 11, 0644, NULL));
        return path;
}

static int make_dir(void **unused) {
        (void)unused;
        scoped(free_str) char *made = str_copy("/tmp/belay-registry-XXXXXX");
        if (!mkdtemp(made))
                return -1;
        dir = file_real(made);
        scoped(free_str) char *config = path_join(dir, "config");
        return setenv("BELAY_CONFIG", config, 1);
}

static int remove_dir(void **unused) {
        (void)unused;
        bool ok = tree_remove(dir, NULL);
        free(dir);
        return ok ? 0 : -1;
}

static void test_where_it_is(void **unused) {
        (void)unused;
        scoped(free_str) char *own = registry_directory(NULL);
        scoped(free_str) char *expected = in_dir("config/services.d");
        assert_string_equal(own, expected);
        scoped(free_str) char *before = str_copy(getenv("BELAY_CONFIG"));
        scoped(err_clear) Err err = {0};
        setenv("BELAY_CONFIG", "relative", 1);
        assert_null(registry_directory(&err));
        assert_int_equal(err.code, ERR_USAGE);
        unsetenv("BELAY_CONFIG");
        scoped(free_str) char *usual = registry_directory(NULL);
        if (geteuid() == 0)
                assert_string_equal(usual, "/etc/belay/services.d");
        setenv("BELAY_CONFIG", before, 1);
}

/* As another user, in a child: the rules for those who are not root. */
static void test_where_it_is_for_others(void **unused) {
        (void)unused;
        pid_t child = fork();
        if (child == 0) {
                unsetenv("BELAY_CONFIG");
                if (geteuid() == 0 && seteuid(12345) < 0)
                        _exit(1);
                setenv("XDG_CONFIG_HOME", "/x", 1);
                setenv("HOME", "/h", 1);
                if (!str_equal(registry_directory(NULL), "/x/belay/services.d"))
                        _exit(2);
                setenv("XDG_CONFIG_HOME", "not/absolute", 1);
                if (!str_equal(registry_directory(NULL), "/h/.config/belay/services.d"))
                        _exit(3);
                unsetenv("HOME");
                Err err = {0};
                if (registry_directory(&err) || err.code != ERR_USAGE || !err.hint)
                        _exit(4);
                _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

static void test_absent_is_empty(void **unused) {
        (void)unused;
        scoped(registry_done) Registry registry = {0};
        assert_true(registry_list(&registry, NULL));
        assert_int_equal(registry.n, 0);
        scoped(err_clear) Err err = {0};
        char *found = NULL;
        assert_false(registry_find("notes", &found, &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
        assert_non_null(strstr(err.hint, "belay add FILE"));
}

static void test_add_find_list_remove(void **unused) {
        (void)unused;
        scoped(free_str) char *notes = touch("notes.yaml"), *auth = touch("auth.yaml"),
                              *link = in_dir("link.yaml");
        assert_int_equal(symlink("notes.yaml", link), 0);
        bool changed = false;
        assert_true(registry_add("notes", link, &changed, NULL));
        assert_true(changed);
        assert_true(registry_add("notes", notes, &changed, NULL));
        assert_false(changed);
        assert_true(registry_add("auth", auth, NULL, NULL));

        scoped(free_str) char *found = NULL;
        assert_true(registry_find("notes", &found, NULL));
        assert_string_equal(found, notes);

        scoped(registry_done) Registry registry = {0};
        assert_true(registry_list(&registry, NULL));
        assert_int_equal(registry.n, 2);
        assert_string_equal(registry.entries[0].name, "auth");
        assert_string_equal(registry.entries[1].path, notes);
        assert_false(registry.entries[1].missing);

        scoped(err_clear) Err err = {0};
        char *none = NULL;
        assert_false(registry_find("noets", &none, &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
        assert_non_null(strstr(err.hint, "Did you mean 'notes'?"));

        assert_true(registry_remove("auth", NULL));
        assert_false(registry_remove("auth", &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
        assert_true(registry_remove("notes", NULL));
        assert_true(file_exists(notes));
}

static void test_the_same_name_for_another_manifest(void **unused) {
        (void)unused;
        scoped(free_str) char *one = touch("one.yaml"), *two = touch("two.yaml");
        scoped(err_clear) Err err = {0};
        assert_true(registry_add("same", one, NULL, NULL));
        assert_false(registry_add("same", two, NULL, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, one));
        assert_non_null(strstr(err.hint, "belay remove same"));
        /* Gone is not free: the state of the service is still under that name. */
        assert_true(file_unlink(one, NULL));
        assert_false(registry_add("same", two, NULL, &err));
        scoped(registry_done) Registry registry = {0};
        assert_true(registry_list(&registry, NULL));
        assert_true(registry.entries[0].missing);
        assert_true(registry_remove("same", NULL));
        assert_true(registry_add("same", two, NULL, NULL));
        assert_true(registry_remove("same", NULL));
}

static void test_bad_names_and_paths(void **unused) {
        (void)unused;
        static const char *const names[] = {"", "../x", "A", "-f", "a/b", "a\n", "."};
        scoped(free_str) char *path = touch("p.yaml"), *none = in_dir("none.yaml");
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(err_clear) Err err = {0};
                char *found = NULL;
                assert_false(registry_add(names[i], path, NULL, &err));
                assert_int_equal(err.code, ERR_USAGE);
                assert_false(registry_find(names[i], &found, &err));
                assert_int_equal(err.code, ERR_USAGE);
                assert_false(registry_remove(names[i], &err));
                assert_int_equal(err.code, ERR_USAGE);
        }
        scoped(err_clear) Err err = {0};
        assert_false(registry_add("a", none, NULL, &err));
        assert_int_equal(err.code, ERR_UNKNOWN);
}

static void test_strange_things_in_the_directory(void **unused) {
        (void)unused;
        scoped(free_str) char *a = touch("config/services.d/own.yaml");
        free(touch("config/services.d/README"));
        free(touch("config/services.d/Not-A-Name.yaml"));
        scoped(free_str) char *relative = in_dir("config/services.d/rel.yaml");
        assert_int_equal(symlink("../../p.yaml", relative), 0);
        scoped(registry_done) Registry registry = {0};
        assert_true(registry_list(&registry, NULL));
        assert_int_equal(registry.n, 2);
        assert_string_equal(registry.entries[0].path, a);
        assert_false(registry.entries[1].missing);
        scoped(err_clear) Err err = {0};
        assert_false(registry_remove("own", &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_true(file_exists(a));
}

#ifdef BELAY_FAULT_POINTS
/* Wherever adding dies, the name is registered or free, and adding again works. */
static void test_add_survives_death_everywhere(void **unused) {
        (void)unused;
        scoped(free_str) char *path = touch("crash.yaml");
        unsigned tried = 0;
        for (;; tried++) {
                (void)registry_remove("crash", NULL);
                pid_t child = fork();
                if (child == 0) {
                        scoped(free_str) char *rule = str_format("*:die:%u", tried + 1);
                        fault_set(rule);
                        _exit(registry_add("crash", path, NULL, NULL) ? 0 : 1);
                }
                int status = 0;
                assert_int_equal(waitpid(child, &status, 0), child);
                scoped(registry_done) Registry registry = {0};
                assert_true(registry_list(&registry, NULL));
                for (size_t i = 0; i < registry.n; i++)
                        if (str_equal(registry.entries[i].name, "crash"))
                                assert_string_equal(registry.entries[i].path, path);
                assert_true(registry_add("crash", path, NULL, NULL));
                if (WIFEXITED(status)) {
                        assert_int_equal(WEXITSTATUS(status), 0);
                        break;
                }
        }
        assert_true(tried >= 3);
        scoped(err_clear) Err err = {0};
        assert_true(registry_remove("crash", NULL));
        fault_set("*:error:1:ENOSPC");
        assert_false(registry_add("crash", path, NULL, &err));
        fault_set("");
        assert_int_equal(err.code, ERR_NO_SPACE);
}
#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_where_it_is),
                cmocka_unit_test(test_where_it_is_for_others),
                cmocka_unit_test(test_absent_is_empty),
                cmocka_unit_test(test_add_find_list_remove),
                cmocka_unit_test(test_the_same_name_for_another_manifest),
                cmocka_unit_test(test_bad_names_and_paths),
                cmocka_unit_test(test_strange_things_in_the_directory),
#ifdef BELAY_FAULT_POINTS
                cmocka_unit_test(test_add_survives_death_everywhere),
#endif
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
