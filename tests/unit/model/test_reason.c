/* Reasons why not: the table, their order, what options clear, the error and the JSON made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "model/reason.h"

static void test_codes_are_unique_and_in_kebab_case(void **unused) {
        (void)unused;
        for (unsigned i = 0; i < REASON_COUNT; i++) {
                const char *code = reason_code((ReasonCode)i);
                assert_non_null(code);
                assert_int_equal(strspn(code, "abcdefghijklmnopqrstuvwxyz-"), strlen(code));
                assert_int_equal(reason_find(code), i);
                const char *option = reason_option((ReasonCode)i);
                assert_true(!option || str_starts(option, "--"));
                assert_true(!option || !reason_is_hard((ReasonCode)i));
        }
        assert_int_equal(reason_find("no-code"), REASON_REFUSED);
        assert_int_equal(reason_find(NULL), REASON_REFUSED);
}

static void fill(ReasonList *list) {
        reason_add(list, REASON_NO_ROOM, 0, NULL, "no room");
        reason_add(list, REASON_BREAKING, 0, "Add it.", "a %s step", "major");
        reason_add(list, REASON_LOCKED, 42, "Unlock.", "locked");
        reason_add(list, REASON_BREAKING, 0, "", "another");
}

static void test_told_in_the_order_of_the_table(void **unused) {
        (void)unused;
        scoped(reasons_done) ReasonList list = {0};
        fill(&list);
        static const char *const order[] = {"locked", "a major step", "another", "no room"};
        assert_int_equal(list.n, COUNT_OF(order));
        for (size_t i = 0; i < list.n; i++)
                assert_string_equal(list.items[i].message, order[i]);
        assert_null(list.items[2].hint);
}

static bool all_given(const void *context, const char *option) {
        return str_equal(context, option) || !context;
}

static void test_options_clear_the_soft_ones(void **unused) {
        (void)unused;
        scoped(reasons_done) ReasonList list = {0};
        scoped(strv_freep) Strv notes = NULL;
        fill(&list);
        reason_add(&list, REASON_UNHEALTHY, 0, NULL, "down");
        reasons_waive(&list, all_given, "--accept-unhealthy", &notes);
        assert_int_equal(list.n, 4);
        assert_string_equal(notes[0], "down");
        reasons_waive(&list, all_given, NULL, &notes);
        assert_int_equal(list.n, 2);
        assert_int_equal(list.items[0].code, REASON_LOCKED);
        assert_int_equal(list.items[1].code, REASON_NO_ROOM);
        assert_null(notes[1]);
        reason_add(&list, REASON_BREAKING, 0, NULL, "again");
        assert_int_equal(list.items[1].code, REASON_BREAKING);
}

static void test_as_an_error(void **unused) {
        (void)unused;
        scoped(reasons_done) ReasonList list = {0}, none = {0};
        scoped(err_clear) Err err = {0};
        assert_true(reasons_ok(&none, "x", &err));
        assert_int_equal(reasons_exit_status(&none), 0);
        fill(&list);
        assert_false(reasons_ok(&list, "notes", &err));
        assert_int_equal(err.code, ERR_LOCKED);
        assert_string_equal(err.message, "notes: locked [locked]");
        assert_string_equal(err.reason, "locked");
        assert_string_equal(err.hint, "Unlock.\nAlso: a major step [breaking]. Add it.\n"
                                      "      another [breaking]\n      no room [no-room]\n");
        assert_int_equal(reasons_exit_status(&list), 5);
}

static const struct {
        ErrCode err;
        const char *reason;
        bool taken;
        ReasonCode code;
} errors[] = {
        {ERR_REFUSED, "moved-tag", true, REASON_MOVED_TAG},
        {ERR_REFUSED, NULL, true, REASON_REFUSED},
        {ERR_REFUSED, "locked", true, REASON_REFUSED}, /* its exit status is another */
        {ERR_LOCKED, NULL, true, REASON_RUN_UNDER_WAY},
        {ERR_INTERRUPTED, "run-waits", true, REASON_RUN_WAITS},
        {ERR_IO, NULL, false, REASON_REFUSED},
        {ERR_REMOTE, NULL, false, REASON_REFUSED},
};

static void test_made_of_errors(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(errors); i++) {
                scoped(reasons_done) ReasonList list = {0};
                scoped(err_clear) Err err = {0};
                for (int twice = 0; twice < 2; twice++) {
                        err_fail(&err, errors[i].err, "no");
                        err_reason(&err, errors[i].reason);
                        assert_int_equal(reasons_take_err(&list, &err), errors[i].taken);
                        assert_int_equal(err.code, errors[i].taken ? ERR_NONE : errors[i].err);
                }
                assert_int_equal(list.n, errors[i].taken);
                if (list.n)
                        assert_int_equal(list.items[0].code, errors[i].code);
        }
}

static void test_json_there_and_back(void **unused) {
        (void)unused;
        scoped(reasons_done) ReasonList list = {0}, back = {0};
        fill(&list);
        scoped(js_freep) json_t *array = reasons_to_json(&list);
        json_t *first = json_array_get(array, 0), *second = json_array_get(array, 1);
        assert_string_equal(js_str(first, "code"), "locked");
        assert_true(js_bool(first, "hard", false));
        assert_int_equal(js_int(first, "lifts_at", 0), 42);
        assert_true(json_is_null(js_get(first, "option")));
        assert_string_equal(js_str(second, "option"), "--accept-breaking");
        assert_true(json_is_null(js_get(second, "lifts_at")));
        assert_true(reasons_from_json(array, &back));
        scoped(js_freep) json_t *again = reasons_to_json(&back);
        assert_true(json_equal(array, again));
        assert_false(reasons_from_json(first, &back));
        assert_false(reasons_from_json(NULL, &back));
        scoped(reasons_done) ReasonList all = {0};
        reasons_move(&all, &back);
        assert_int_equal(all.n, 4);
        assert_int_equal(back.n, 0);
}

static void test_text(void **unused) {
        (void)unused;
        scoped(reasons_done) ReasonList list = {0};
        reason_add(&list, REASON_LOCKED, 1000, "Unlock.", "locked");
        reason_add(&list, REASON_NO_ROOM, 0, NULL, "no room");
        scoped(free_str) char *text = reasons_text(&list, "  ");
        assert_string_equal(text,
                "  locked [locked]\n      Unlock.\n      Lifts by itself at 1970-01-01T00:00:01Z.\n"
                "  no room [no-room]\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_codes_are_unique_and_in_kebab_case),
                cmocka_unit_test(test_told_in_the_order_of_the_table),
                cmocka_unit_test(test_options_clear_the_soft_ones),
                cmocka_unit_test(test_as_an_error),
                cmocka_unit_test(test_made_of_errors),
                cmocka_unit_test(test_json_there_and_back),
                cmocka_unit_test(test_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
