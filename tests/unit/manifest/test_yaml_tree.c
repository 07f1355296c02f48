/* YAML to nodes: what is refused before any key is looked at. Rows: research, 7.2 of the catalogue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "manifest/yaml_tree.h"

typedef struct Case {
        const char *row;
        const char *text;
        size_t bytes;        /* 0: strlen */
        const char *message; /* how the message begins, after "f:" */
} Case;

static const Case cases[] = {
        {"Y01", "a: &a [lol]\nb: [*a, *a]\n", 0, "1:4: anchors ('&a')"},
        {"Y01 alias", "b: [x, *a]\n", 0, "1:8: aliases ('*a')"},
        {"Y05", "image: a\nother: c\nimage: b\n", 0,
                "3:1: duplicate key \"image\" (first in line 1, column 1)"},
        {"Y05 flow", "m: { a: 1, 'a': 2 }\n", 0,
                "1:12: duplicate key \"a\" (first in line 1, column 6)"},
        {"Y07", "a: 1\nb:\n  <<: { c: d }\n", 0, "3:3: merge keys ('<<')"},
        {"Y08 python", "a: !!python/object:os.system x\n", 0,
                "1:4: tags ('tag:yaml.org,2002:python/object:os.system')"},
        {"Y08 binary", "a: !!binary aGk=\n", 0, "1:4: tags"},
        {"Y08 include", "a: !include b.yaml\n", 0, "1:4: tags ('!include')"},
        {"Y08 on a list", "a: !x [b]\n", 0, "1:4: tags ('!x')"},
        {"Y08 directive", "%TAG ! tag:x.org,2000:\n---\na: b\n", 0, "1:1: %TAG has no place"},
        {"Y09", "a: b\n---\nc: d\n", 0, "2:1: a second document"},
        {"Y10 UTF-16 LE",
                "\xFF\xFE"
                "a\0:\0",
                6, " the file is UTF-16"},
        {"Y10 UTF-16 BE", "\xFE\xFF\0a\0:", 6, " the file is UTF-16"},
        {"Y10 UTF-16 without a mark", "a\0:\0 \0b\0", 8, " the file is UTF-16"},
        {"Y10 invalid", "a: b\nc: \xC3\x28\n", 0, "2:4: byte 0xC3 is not valid UTF-8"},
        {"Y10 overlong", "a: \xC0\xAF\n", 0, "1:4: byte 0xC0 is not valid UTF-8"},
        {"Y10 surrogate", "a: \xED\xA0\x80\n", 0, "1:4: byte 0xED is not valid UTF-8"},
        {"Y10 cut off", "a: \xE2\x82", 0, "1:4: byte 0xE2 is not valid UTF-8"},
        {"Y10 NUL escape", "a: \"x\\0y\"\n", 0, "1:4: the text holds the control character \\x00"},
        {"Y10 NUL in a key", "\"x\\0y\": a\n", 0,
                "1:1: the text holds the control character \\x00"},
        {"Y10 NUL byte", "abc: x\0y\n", 9, "1:7: a NUL byte: this is no text"},
        {"Y10 escape byte", "a: \"\\e[2J\"\n", 0,
                "1:4: the text holds the control character \\x1B"},
        {"Y10 control byte", "a: b\x07\n", 0, "1:5: a control character"},
        {"Y10 mark inside",
                "a: \xEF\xBB\xBF"
                "b\n",
                0, "1:4: a byte order mark in the middle"},
        {"Y10 reordering",
                "a: \xE2\x80\xAE"
                "b\n",
                0, "1:4: a character that reorders text"},
        {"Y10 line separator",
                "a: b\xE2\x80\xA8"
                "c: d\n",
                0, "1:5: an invisible line break"},
        {"Y11", "a:\n\tb: c\n", 0, "2:1: a tab in the indentation"},
        {"Y11 after spaces", "a:\n  \tb: c\n", 0, "2:3: a tab in the indentation"},
        {"unclosed quote", "a: b\nc: \"d\ne: f\n", 0, "2:4: a quote that is never closed"},
        {"unclosed list", "a: [b, c\nd: e\n", 0, "2:2: no ',' or ']' where one is expected"},
        {"second colon", "a: b: c\n", 0, "1:5: a second ':' in one line"},
        {"wrong indentation", "a:\n  b: c\n d: e\n", 0, "3:2: no key where one is expected"},
        {"complex key", "? [a, b]\n: c\n", 0, "1:3: a list where a key is expected"},
        {"empty key", "{ '': c }\n", 0, "1:3: a key without a name"},
        {"null key", "~: c\n", 0, "1:1: a key without a name"},
};

static bool parse(const char *text, size_t bytes, Node **ret, char **ret_message) {
        scoped(findings_done) Findings findings = {.path = "f", .text = text, .bytes = bytes};
        if (yaml_tree_parse(&findings, ret))
                return true;
        scoped(err_clear) Err err = {0};
        assert_int_not_equal(findings.n, 0);
        assert_false(findings_fail(&findings, &err));
        assert_int_equal(err.code, ERR_MANIFEST);
        *ret_message = TAKE(err.message);
        return false;
}

static void check_refused(const char *row, const char *text, size_t bytes, const char *message) {
        scoped(node_freep) Node *root = NULL;
        scoped(free_str) char *said = NULL;
        scoped(free_str) char *expected = str_format("f:%s", message);
        if (parse(text, bytes, &root, &said))
                fail_msg("%s is accepted", row);
        if (!str_starts(said, expected))
                fail_msg("%s: expected \"%s\", said \"%s\"", row, expected, said);
        assert_null(root);
}

static void test_refused(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(cases); i++)
                check_refused(cases[i].row, cases[i].text,
                        cases[i].bytes ? cases[i].bytes : strlen(cases[i].text), cases[i].message);
}

static char *repeated(const char *head, const char *piece, size_t bytes) {
        Str text = {0};
        str_add(&text, head);
        while (text.len + strlen(piece) <= bytes)
                str_add(&text, piece);
        return str_take(&text);
}

static void test_y02_brackets_are_stopped_by_depth(void **unused) {
        (void)unused;
        scoped(free_str) char *one_line = repeated("a: ", "[", 200 * 1024);
        scoped(free_str) char *lines = repeated("a: ", "[\n ", 200 * 1024);
        check_refused("Y02", one_line, strlen(one_line), "1:35: nested more than 32 deep");
        check_refused("Y02 lines", lines, strlen(lines), "32:2: nested more than 32 deep");
}

static void test_y03_anchors_are_stopped_at_the_first(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        for (int i = 0; text.len < 250 * 1024; i++)
                str_addf(&text, "- &a%d x\n", i);
        check_refused("Y03", text.text, text.len, "1:3: anchors ('&a0')");
}

static void test_y04_indentation_is_stopped_by_depth(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        for (int i = 0; text.len < 250 * 1024; i++)
                str_addf(&text, "%*sa:\n", i, "");
        check_refused("Y04", text.text, text.len, "33:33: nested more than 32 deep");
}

/* `depth` lists around an x. */
static char *nested(int depth) {
        Str text = {0};
        for (int i = 0; i < depth; i++)
                str_add(&text, "[");
        str_add(&text, "x");
        for (int i = 0; i < depth; i++)
                str_add(&text, "]");
        return str_take(&text);
}

static void test_limits_hold_at_the_limit_and_one_beyond(void **unused) {
        (void)unused;
        scoped(free_str) char *deep = nested(LIMIT_MANIFEST_DEPTH),
                              *deeper = nested(LIMIT_MANIFEST_DEPTH + 1);
        scoped(node_freep) Node *root = NULL;
        scoped(free_str) char *said = NULL;
        assert_true(parse(deep, strlen(deep), &root, &said));
        check_refused("depth", deeper, strlen(deeper), "1:33: nested more than 32 deep");
        node_freep(&root);

        scoped(free_str) char *large = repeated("a: b\n", "#", LIMIT_MANIFEST_BYTES);
        assert_int_equal(strlen(large), LIMIT_MANIFEST_BYTES);
        assert_true(parse(large, strlen(large), &root, &said));
        node_freep(&root);
        scoped(free_str) char *larger = str_format("%s#", large);
        check_refused("Y24", larger, strlen(larger), " the file is larger than 256 KiB");
}

/* Stream, document and list make 5 events besides the items; the document's end comes after them. */
static void test_events_are_counted(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        for (int i = 0; i < LIMIT_MANIFEST_EVENTS - 6; i++)
                str_add(&text, "- x\n");
        scoped(node_freep) Node *root = NULL;
        scoped(free_str) char *said = NULL;
        assert_true(parse(text.text, text.len, &root, &said));
        assert_int_equal(root->n, LIMIT_MANIFEST_EVENTS - 6);
        str_add(&text, "- x\n");
        check_refused("events", text.text, text.len, "19996:1: more than 20000 pieces of YAML");
}

static void test_y24_one_long_line_is_quoted_in_part(void **unused) {
        (void)unused;
        scoped(free_str) char *line = repeated("a: \"", "x", 200 * 1024);
        scoped(free_str) char *text = str_format("%s\" }\n", line);
        scoped(node_freep) Node *root = NULL;
        scoped(free_str) char *said = NULL;
        assert_false(parse(text, strlen(text), &root, &said));
        assert_true(str_starts(said, "f:1:2048"));
        assert_true(strlen(said) < 600);
}

static void test_what_is_accepted(void **unused) {
        (void)unused;
        static const char *const texts[] = {
                "\xEF\xBB\xBF\x61: b\n",
                "a: b\r\nc: d\r\n",
                "a: b\rc: d\r",
                "--- \na: b\n...\n",
                "%YAML 1.1\n---\na: b\n",
                "a: !!str 12\n",
                "a: !!map {}\n",
                "a: \"\xF0\x9F\x98\x80\"\n",
                "a: b\t# tab\n",
                "a: |\n  two\n  lines\n",
                "'a': \"b\"\n",
                "? a\n: b\n",
        };
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
                scoped(node_freep) Node *root = NULL;
                scoped(free_str) char *said = NULL;
                if (!parse(texts[i], strlen(texts[i]), &root, &said))
                        fail_msg("\"%s\": %s", texts[i], said);
                assert_non_null(node_get(root, "a"));
        }
}

static void test_places_are_code_points(void **unused) {
        (void)unused;
        static const char text[] =
                "\xEF\xBB\xBF# \xC3\xA4\r\n\"\xF0\x9F\x98\x80\": { \xC3\xA4: 'c d' }\r\n";
        scoped(node_freep) Node *root = NULL;
        scoped(free_str) char *said = NULL;
        assert_true(parse(text, strlen(text), &root, &said));
        const Node *inner = root->items[0];
        assert_int_equal(root->keys[0]->at.line, 2);
        assert_int_equal(root->keys[0]->at.column, 1);
        assert_int_equal(root->keys[0]->at.width, 3);
        assert_int_equal(inner->keys[0]->at.column, 8);
        assert_int_equal(inner->items[0]->at.column, 11);
        assert_int_equal(inner->items[0]->at.width, 5);
        assert_false(inner->items[0]->plain);
        assert_true(inner->keys[0]->plain);
}

static void test_only_plain_text_is_null(void **unused) {
        (void)unused;
        static const char text[] = "[~, null, Null, '~', \"\", 'null', nil, !!str ~]";
        static const bool nulls[] = {true, true, true, false, false, false, false, false};
        scoped(node_freep) Node *root = NULL;
        scoped(free_str) char *said = NULL;
        assert_true(parse(text, strlen(text), &root, &said));
        assert_int_equal(root->n, COUNT_OF(nulls));
        for (size_t i = 0; i < COUNT_OF(nulls); i++)
                assert_int_equal(node_is_null(root->items[i]), nulls[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_y02_brackets_are_stopped_by_depth),
                cmocka_unit_test(test_y03_anchors_are_stopped_at_the_first),
                cmocka_unit_test(test_y04_indentation_is_stopped_by_depth),
                cmocka_unit_test(test_limits_hold_at_the_limit_and_one_beyond),
                cmocka_unit_test(test_events_are_counted),
                cmocka_unit_test(test_y24_one_long_line_is_quoted_in_part),
                cmocka_unit_test(test_what_is_accepted),
                cmocka_unit_test(test_places_are_code_points),
                cmocka_unit_test(test_only_plain_text_is_null),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
