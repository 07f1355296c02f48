/* JSON that a service answers: parsed with limits, one scalar of it picked by a dotted path. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"

enum { JSON_DEPTH = 32 };

/* Brackets outside of strings; jansson alone would take 2,048 levels. */
static bool too_deep(const char *text, size_t n) {
        unsigned depth = 0;
        bool in_string = false;
        for (size_t i = 0; i < n; i++) {
                if (in_string && text[i] == '\\')
                        i++;
                else if (text[i] == '"')
                        in_string = !in_string;
                else if (!in_string && (text[i] == '[' || text[i] == '{') && ++depth > JSON_DEPTH)
                        return true;
                else if (!in_string && (text[i] == ']' || text[i] == '}') && depth > 0)
                        depth--;
        }
        return false;
}

json_t *check_json_parse(const char *text, size_t n, Err *err) {
        json_error_t where;
        if (too_deep(text, n)) {
                err_fail(
                        err, ERR_ANSWER_NO, "the answer is JSON nested deeper than %d", JSON_DEPTH);
                return NULL;
        }
        json_t *document = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
        if (!document)
                err_fail(err, ERR_ANSWER_NO, "the answer is not JSON: %s", where.text);
        return document;
}

static json_t *element(const json_t *value, const char *digits, size_t n) {
        uint64_t index = 0;
        scoped(free_str) char *text = str_copy_n(digits, n);
        return str_to_uint(text, 1000000, &index) ? json_array_get(value, (size_t)index) : NULL;
}

static json_t *member(const json_t *value, const char *name, size_t n) {
        scoped(free_str) char *key = str_copy_n(name, n);
        return n > 0 ? json_object_get(value, key) : NULL;
}

/* ".a.b[0]", also "a.b"; "." is the document itself. */
static const json_t *walk(const json_t *value, const char *path) {
        if (strcmp(path, ".") == 0)
                return value;
        while (value && *path) {
                if (*path == '[') {
                        size_t n = strcspn(path, "]");
                        value = path[n] ? element(value, path + 1, n - 1) : NULL;
                        path += path[n] ? n + 1 : n;
                        continue;
                }
                if (*path == '.')
                        path++;
                size_t n = strcspn(path, ".[");
                value = member(value, path, n);
                path += n;
        }
        return value;
}

char *check_json_text(const json_t *document, const char *path) {
        const json_t *value = walk(document, path);
        if (!value || json_is_object(value) || json_is_array(value))
                return NULL;
        return json_is_string(value) ? str_copy(json_string_value(value)) : js_line(value);
}
