/* Text that comes from git, or goes into messages about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "source/git/preflight.h"

static const struct {
        const char *text, *shown;
} addresses[] = {
        {"fatal: unable to access 'https://me:secret@host/x.git/'",
                "fatal: unable to access 'https://***@host/x.git/'"},
        {"ssh://git@host/x", "ssh://***@host/x"},
        {"https://t0ken@a/ and https://u:p@ss@b/", "https://***@a/ and https://***@b/"},
        {"https://host/path@v1", "https://host/path@v1"},
        {"git@host:x.git", "git@host:x.git"},
        {"nothing", "nothing"},
        {"https://", "https://"},
        {"", ""},
};

static void passwords_are_left_out(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(addresses); i++) {
                scoped(free_str) char *shown = repo_redact(addresses[i].text);
                assert_string_equal(shown, addresses[i].shown);
        }
}

static const struct {
        const char *quoted, *path; /* NULL: not well formed */
} paths[] = {
        {"plain/a b", "plain/a b"},
        {"\"a\\tb\\\"c\\\\d\\n\"", "a\tb\"c\\d\n"},
        {"\"\\303\\244\"", "\xc3\xa4"},
        {"\"\\000\"", NULL},
        {"\"\\400\"", NULL},
        {"\"\\9\"", NULL},
        {"\"\\30\"", NULL},
        {"\"open", NULL},
        {"\"a\"b", NULL},
        {"\"\\", NULL},
};

static void paths_are_unquoted(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(paths); i++) {
                scoped(free_str) char *path = repo_path_unquote(paths[i].quoted);
                if (!str_equal(path, paths[i].path))
                        fail_msg("'%s' gives '%s'", paths[i].quoted, path ? path : "nothing");
        }
}

static const struct {
        const char *lines;
        RefspecFault fault;
} refspecs[] = {
        {"remote.origin.fetch=+refs/heads/*:refs/remotes/origin/*\n", REFSPEC_FINE},
        {"remote.origin.fetch=+refs/*:refs/*\n", REFSPEC_FINE},
        {"remote.origin.fetch=refs/tags/*:refs/tags/*\nremote.origin.fetch=+refs/heads/*:refs/"
         "remotes/origin/*\n",
                REFSPEC_FINE},
        {"remote.origin.fetch=^refs/heads/x\nremote.origin.fetch=refs/heads/*:refs/r/*\n",
                REFSPEC_FINE},
        {"remote.other.fetch=+refs/heads/*:refs/remotes/other/*\n", REFSPEC_NONE},
        {"", REFSPEC_NONE},
        {"remote.origin.fetch=+refs/heads/main:refs/remotes/origin/main\n", REFSPEC_NARROW},
        {"remote.origin.fetch=refs/heads/main\n", REFSPEC_NARROW},
        {"remote.origin.fetch=\n", REFSPEC_INVALID},
        {"remote.origin.fetch=refs/heads/*\n", REFSPEC_INVALID},
        {"remote.origin.fetch=refs/heads/*:x\n", REFSPEC_INVALID},
        {"remote.origin.fetch=a b:c\n", REFSPEC_INVALID},
};

static void refspecs_are_judged(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(refspecs); i++) {
                scoped(repo_settings_done)
                        RepoSettings settings = {.lines = strv_split(refspecs[i].lines, '\n')};
                if (refspec_fault(&settings, "origin") != refspecs[i].fault)
                        fail_msg("'%s'", refspecs[i].lines);
        }
}

static void object_names(void **state) {
        (void)state;
        assert_true(repo_is_object_name("0123456789abcdef0123456789abcdef01234567"));
        assert_true(repo_is_object_name(
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
        assert_false(repo_is_object_name("0123456789abcdef0123456789abcdef0123456"));
        assert_false(repo_is_object_name("0123456789ABCDEF0123456789abcdef01234567"));
        assert_false(repo_is_object_name("0123456789abcdef0123456789abcdef01234567\n"));
        assert_false(repo_is_object_name(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(passwords_are_left_out),
                cmocka_unit_test(paths_are_unquoted),
                cmocka_unit_test(refspecs_are_judged),
                cmocka_unit_test(object_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
