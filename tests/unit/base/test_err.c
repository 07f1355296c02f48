#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"

/* The table of spec/cli.md, written down a second time. */
static void codes(void **state) {
        (void)state;
        static const struct {
                ErrCode code;
                const char *name;
                int status;
        } cases[] = {
                {ERR_NONE, "none", 0},
                {ERR_USAGE, "usage", 2},
                {ERR_MANIFEST, "manifest", 2},
                {ERR_UNKNOWN, "unknown", 2},
                {ERR_IO, "io", 1},
                {ERR_NO_SPACE, "no_space", 1},
                {ERR_REMOTE, "remote", 1},
                {ERR_TOOL, "tool", 1},
                {ERR_TIMEOUT, "timeout", 1},
                {ERR_ANSWER_NO, "answer_no", 1},
                {ERR_CORRUPT, "corrupt", 1},
                {ERR_ROLLED_BACK, "rolled_back", 3},
                {ERR_PERSON, "needs_a_person", 4},
                {ERR_DRIFT, "drift", 4},
                {ERR_LOCKED, "locked", 5},
                {ERR_REFUSED, "refused", 6},
                {ERR_INTERRUPTED, "interrupted", 7},
                {ERR_INCONCLUSIVE, "inconclusive", 8},
                {ERR_UNFINISHED, "unfinished", 9},
                {ERR_IN_USE, "in_use", 1},
                {ERR_BUSY, "busy", 75},
                {ERR_CANCELLED, "cancelled", 130},
                {ERR_BUG, "bug", 1},
        };
        assert_int_equal(COUNT_OF(cases), ERR_BUG + 1);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                assert_string_equal(err_name(cases[i].code), cases[i].name);
                assert_int_equal(err_code_of_name(cases[i].name), cases[i].code);
                assert_int_equal(err_exit_status(cases[i].code), cases[i].status);
        }
        assert_int_equal(err_code_of_name("nonsense"), ERR_BUG);
        assert_int_equal(err_code_of_name(""), ERR_BUG);
        assert_int_equal(err_code_of_name(NULL), ERR_BUG);
}

static void failing_and_context(void **state) {
        (void)state;
        scoped(err_clear) Err err = {0};
        assert_false(err_context(&err, "too early"));
        assert_null(err.message);
        assert_false(err_fail(&err, ERR_REMOTE, "no answer from '%s'", "origin"));
        assert_false(err_hint(&err, "Is %s reachable?", "it"));
        assert_false(err_context(&err, "fetching run #%u", 4u));
        assert_string_equal(err.message, "fetching run #4: no answer from 'origin'");
        assert_string_equal(err.hint, "Is it reachable?");
        assert_int_equal(err.code, ERR_REMOTE);
        assert_int_equal(err.sys, 0);
        /* Made from what it replaces. */
        err_hint(&err, "%s Try.", err.hint);
        assert_string_equal(err.hint, "Is it reachable? Try.");
        err_fail(&err, ERR_IO, "after '%s'", err.message);
        assert_string_equal(err.message, "after 'fetching run #4: no answer from 'origin''");
        assert_null(err.hint);
        err_clear(&err);
        assert_int_equal(err.code, ERR_NONE);
        assert_null(err.message);
        /* A % that comes from outside is text. */
        err_fail(&err, ERR_IO, "%s", "100 %s %n");
        err_context(&err, "%s", "50 %d");
        assert_string_equal(err.message, "50 %d: 100 %s %n");
}

static void errnos(void **state) {
        (void)state;
        static const struct {
                ErrCode given;
                int errnum;
                ErrCode code;
                const char *message;
        } cases[] = {
                {ERR_IO, ENOENT, ERR_IO, "it: No such file or directory"},
                {ERR_IO, ENOSPC, ERR_NO_SPACE, "it: No space left on device"},
                {ERR_IO, EDQUOT, ERR_NO_SPACE, "it: Disk quota exceeded"},
                {ERR_TOOL, ENOSPC, ERR_TOOL, "it: No space left on device"},
                {ERR_IO, 99999, ERR_IO, "it: unknown error"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(err_clear) Err err = {0};
                assert_false(err_fail_errno(&err, cases[i].given, cases[i].errnum, "it"));
                assert_int_equal(err.code, cases[i].code);
                assert_int_equal(err.sys, cases[i].errnum);
                assert_string_equal(err.message, cases[i].message);
        }
        assert_string_equal(errno_text(EIO), "Input/output error");
}

static void nobody_listens(void **state) {
        (void)state;
        assert_false(err_fail(NULL, ERR_IO, "x %d", 1));
        assert_false(err_fail_errno(NULL, ERR_IO, EIO, "x"));
        assert_false(err_context(NULL, "x"));
        assert_false(err_hint(NULL, "x"));
}

static void moving(void **state) {
        (void)state;
        scoped(err_clear) Err from = {0};
        scoped(err_clear) Err to = {0};
        err_fail(&to, ERR_IO, "old");
        err_hint(&to, "Old.");
        err_fail(&from, ERR_LOCKED, "new");
        err_move(&to, &from);
        assert_int_equal(to.code, ERR_LOCKED);
        assert_string_equal(to.message, "new");
        assert_null(to.hint);
        assert_int_equal(from.code, ERR_NONE);
        assert_null(from.message);
        err_move(NULL, &to);
        assert_int_equal(to.code, ERR_NONE);
        assert_null(to.message);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(codes),
                cmocka_unit_test(failing_and_context),
                cmocka_unit_test(errnos),
                cmocka_unit_test(nobody_listens),
                cmocka_unit_test(moving),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
