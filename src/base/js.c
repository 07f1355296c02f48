#include "base/js.h"

#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"

void js_freep(json_t **value) { json_decref(*value); }

json_t *js_get(const json_t *object, const char *key) { return json_object_get(object, key); }

const char *js_str(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

int64_t js_int(const json_t *object, const char *key, int64_t otherwise) {
        json_t *value = json_object_get(object, key);
        return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool js_bool(const json_t *object, const char *key, bool otherwise) {
        json_t *value = json_object_get(object, key);
        return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

void js_set(json_t *object, const char *key, json_t *owned) {
        if (json_object_set_new(object, key, owned) != 0)
                abort();
}

void js_set_str(json_t *object, const char *key, const char *text) {
        if (!text)
                return;
        json_t *value = json_string(text);
        js_set(object, key, value ? value : json_string("(not UTF-8)"));
}

void js_set_int(json_t *object, const char *key, int64_t number) {
        js_set(object, key, json_integer(number));
}

void js_set_bool(json_t *object, const char *key, bool truth) {
        js_set(object, key, json_boolean(truth));
}

static char *dump(const json_t *value, size_t flags) {
        char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
        if (!text)
                abort();
        return text;
}

char *js_line(const json_t *value) { return dump(value, JSON_COMPACT); }

char *js_pretty(const json_t *value) { return dump(value, JSON_INDENT(2)); }

json_t *js_parse(const char *text, size_t bytes, const char *what, Err *err) {
        json_error_t where;
        json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
        if (value)
                return value;
        /* The library's text shows what it stumbled over, as it was. */
        scoped(free_str) char *why = str_printable(where.text, false);
        err_fail(err, ERR_CORRUPT, "'%s' is not valid JSON: %s (line %d)", what, why, where.line);
        return NULL;
}
