#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/crc32c.h"
#include "base/js.h"
#include "base/own.h"
#include "base/str.h"

static json_t *parse(const char *text) { return js_parse(text, strlen(text), "test", NULL); }

static void getters(void **state) {
        (void)state;
        scoped(js_freep) json_t *object =
                parse("{\"s\":\"text\",\"i\":7,\"b\":true,\"n\":null,\"r\":1.5,\"o\":{\"x\":1}}");
        assert_non_null(object);
        assert_string_equal(js_str(object, "s"), "text");
        assert_int_equal(js_int(object, "i", -1), 7);
        assert_true(js_bool(object, "b", false));
        assert_int_equal(js_int(js_get(object, "o"), "x", -1), 1);
        static const char *const keys[] = {"s", "i", "b", "n", "r", "o", "absent"};
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
                assert_int_equal(js_str(object, keys[k]) != NULL, k == 0);
                assert_int_equal(js_int(object, keys[k], -5) != -5, k == 1);
                assert_int_equal(js_bool(object, keys[k], false), k == 2);
        }
        assert_null(js_get(object, "absent"));
        assert_null(js_str(NULL, "s"));
        assert_int_equal(js_int(NULL, "i", 3), 3);
}

static void setters_and_lines(void **state) {
        (void)state;
        scoped(js_freep) json_t *object = json_object();
        js_set_str(object, "z", "a\n\"b\"");
        js_set_int(object, "a", INT64_MIN);
        js_set_bool(object, "m", false);
        js_set_str(object, "none", NULL);
        js_set_str(object, "latin", "\xE9");
        js_set(object, "list", json_pack("[i,i]", 1, 2));
        scoped(free_str) char *line = js_line(object);
        assert_string_equal(line, "{\"z\":\"a\\n\\\"b\\\"\",\"a\":-9223372036854775808,\"m\":false,"
                                  "\"latin\":\"(not UTF-8)\",\"list\":[1,2]}");
        scoped(js_freep) json_t *again = parse(line);
        assert_true(json_equal(object, again));
        scoped(free_str) char *pretty = js_pretty(object);
        assert_non_null(strstr(pretty, "\n  \"z\": "));
        scoped(js_freep) json_t *text = json_string("x");
        scoped(free_str) char *quoted = js_line(text);
        assert_string_equal(quoted, "\"x\"");
}

static void refused(void **state) {
        (void)state;
        static const char *const cases[] = {
                "",
                "{",
                "{}x",
                "{\"a\":1,\"a\":2}",
                "[1,]",
                "{\"a\"}",
                "'a'",
                "nul",
                "{\"a\":\"\xFF\"}",
                "{\"a\":\"\\ud800\"}",
                "{\"a\":\"\\u0000\"}",
                "{\"a\":99999999999999999999}",
                "{\"a\":1e999}",
                "{\"a\":\"\n\"}",
                "{\"a\":01}",
                "{a:1}",
                "// x\n{}",
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(err_clear) Err err = {0};
                json_t *value = js_parse(cases[i], strlen(cases[i]), "the file", &err);
                if (value)
                        fail_msg("'%s' was taken", cases[i]);
                assert_int_equal(err.code, ERR_CORRUPT);
                assert_non_null(strstr(err.message, "'the file' is not valid JSON"));
                for (const char *c = err.message; *c; c++)
                        assert_false((unsigned char)*c < 0x20);
        }
        /* Deep nesting ends with an error, not with the stack. */
        Str deep = {0};
        for (int i = 0; i < 100000; i++)
                str_add_char(&deep, '[');
        assert_null(js_parse(deep.text, deep.len, "deep", NULL));
        str_done(&deep);
        /* The bytes end where it is said, not at the NUL. */
        assert_null(js_parse("{}\0", 3, "nul", NULL));
        scoped(js_freep) json_t *part = js_parse("{}garbage", 2, "part", NULL);
        assert_non_null(part);
}

/* RFC 3720, appendix B.4, and the check value of the catalogue. */
static void checksums(void **state) {
        (void)state;
        unsigned char bytes[32] = {0};
        assert_int_equal(crc32c("", 0), 0);
        assert_int_equal(crc32c("123456789", 9), 0xE3069283);
        assert_int_equal(crc32c(bytes, 32), 0x8A9136AA);
        memset(bytes, 0xFF, 32);
        assert_int_equal(crc32c(bytes, 32), 0x62A8AB43);
        for (unsigned char i = 0; i < 32; i++)
                bytes[i] = i;
        assert_int_equal(crc32c(bytes, 32), 0x46DD794E);
        for (unsigned char i = 0; i < 32; i++)
                bytes[i] = (unsigned char)(31 - i);
        assert_int_equal(crc32c(bytes, 32), 0x113FDB5C);
        for (size_t bit = 0; bit < 256; bit++) {
                uint32_t before = crc32c(bytes, 32);
                bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
                assert_int_not_equal(crc32c(bytes, 32), before);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(getters),
                cmocka_unit_test(setters_and_lines),
                cmocka_unit_test(refused),
                cmocka_unit_test(checksums),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
