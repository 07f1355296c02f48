/*
 * JSON values by jansson, with shorter words for reading and owning them. Objects handed out by the
 * getters are borrowed. Text from outside is parsed with js_parse, which limits size and depth and
 * rejects duplicate keys.
 */
#ifndef BELAY_BASE_JS_H
#define BELAY_BASE_JS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* For scoped(js_freep) json_t *value. */
void js_freep(json_t **value);
const char *js_str(const json_t *object, const char *key); /* NULL when absent or no string */
int64_t js_int(const json_t *object, const char *key, int64_t otherwise);
bool js_bool(const json_t *object, const char *key, bool otherwise);
json_t *js_get(const json_t *object, const char *key);       /* borrowed; NULL when absent */
void js_set(json_t *object, const char *key, json_t *owned); /* takes `owned`; aborts on misuse */
void js_set_str(json_t *object, const char *key,
        const char *text); /* NULL text removes nothing, sets nothing */
void js_set_int(json_t *object, const char *key, int64_t number);
void js_set_bool(json_t *object, const char *key, bool truth);
/* One line, keys in insertion order; owned by the caller. */
char *js_line(const json_t *value);
char *js_pretty(const json_t *value);
/* Parses `bytes` of text; `what` names it in the error (ERR_CORRUPT). New reference. */
json_t *js_parse(const char *text, size_t bytes, const char *what, Err *err);

#endif
