/*
 * The manifest's format as a JSON Schema. What a key's table entry says is taken from there. Types that read
 * by functions of their own (lists of checks, mappings of secrets) say nothing of what they take: they are
 * given small nodes of each kind, and what they accept, or by which table they would read a mapping, is what
 * they take. So a new key is in the schema without a word here.
 */
#include <string.h>

#include "base/own.h"
#include "manifest/manifest.h"
#include "manifest/schema.h"

enum { ITEMS_MAX = 500, TEXT_MAX = 32 * 1024, DEPTH_MAX = 8, FIELD_ROOM = sizeof(Service) + 8192 };

static json_t *table_schema(const KeyTable *table, unsigned depth);

/* ---- kinds of values ---- */

/* YAML gives a plain 8000 or true as number and truth: where text is wanted, they are text. */
static json_t *text_schema(void) {
        return json_pack("{s:[sss]}", "type", "string", "number", "boolean");
}

static json_t *pattern_schema(const char *pattern) {
        return json_pack("{s:s, s:s}", "type", "string", "pattern", pattern);
}

static json_t *list_schema(json_t *owned_item, bool may_be_empty) {
        json_t *schema = json_pack("{s:s, s:o, s:i}", "type", "array", "items", owned_item,
                "maxItems", (int)ITEMS_MAX);
        if (!may_be_empty)
                js_set_int(schema, "minItems", 1);
        return schema;
}

static json_t *names_schema(json_t *owned_value) {
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", owned_value);
}

/* ---- types of the table ---- */

static json_t *key_text(const Key *key) {
        json_t *schema = text_schema();
        bool may_be_empty = key->problem && !key->problem("");
        if (!may_be_empty)
                js_set_int(schema, "minLength", 1);
        js_set_int(schema, "maxLength", TEXT_MAX);
        if (!(key->flags & KEY_LINES))
                js_set_str(schema, "pattern", "^[^\\n]*$");
        return schema;
}

static json_t *key_number(const Key *key) {
        return json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", (int)key->least,
                "maximum", key->most ? (int)key->most : 1000000000);
}

static json_t *key_words(const Key *key) { return list_schema(text_schema(), !key->least); }

static json_t *key_pairs(const Key *key) {
        (void)key;
        return names_schema(text_schema());
}

static json_t *key_flag(const Key *key) {
        (void)key;
        return json_pack("{s:s}", "type", "boolean");
}

static json_t *key_percent(const Key *key) {
        (void)key;
        return pattern_schema("^(0|[1-9][0-9]{0,5})%$");
}

static json_t *key_duration(const Key *key) {
        (void)key;
        return pattern_schema("^[0-9]{1,12}(ms|s|m|h|d|w)$");
}

static const struct {
        const KeyType *type;
        json_t *(*schema)(const Key *key);
} described[] = {
        {&type_text, key_text},
        {&type_flag, key_flag},
        {&type_number, key_number},
        {&type_percent, key_percent},
        {&type_duration, key_duration},
        {&type_words, key_words},
        {&type_pairs, key_pairs},
};

static json_t *choices_schema(const Choice *choices) {
        json_t *words = json_array();
        for (; choices->name; choices++)
                if (!choices->lacks)
                        json_array_append_new(words, json_string(choices->name));
        return json_pack("{s:o}", "enum", words);
}

/* ---- types that only their function knows ---- */

/* What was read into a field stays with the block, whose kind nobody knows here. */
typedef struct Scratch Scratch;
struct Scratch {
        Scratch *before;
        char room[FIELD_ROOM];
};
static Scratch *scratches;

typedef struct Answer {
        bool taken;
        const KeyTable *table;
} Answer;

static Answer offer(const Key *key, const Node *node) {
        Scratch *scratch = NEW(Scratch);
        scratch->before = scratches;
        scratches = scratch;
        scoped(findings_done) Findings findings = {.path = "", .text = ""};
        scoped(service_freep) Service *service = NEW(Service);
        Answer answer = {0};
        Reader r = {.findings = &findings,
                .service = service,
                .base = "/",
                .file = "",
                .probe = &answer.table};
        size_t where = path_enter(&r, key->name);
        answer.taken = key->type->read(&r, key, node, scratch->room + key->offset);
        path_leave(&r, where);
        str_done(&r.path);
        return answer;
}

static const Spot somewhere = {.line = 1, .column = 1};

/* Texts of every form that a manifest has. */
static bool takes_text(const Key *key, NodeKind within) {
        static const char *const samples[] = {"x", "none", "1", "10m", "80%", "2 of 3", "10%/10m",
                "localhost:80", "./x", "x/y", "*", "true", "2026-12-20", "02:00", "Mon",
                "http://localhost/", "env:NAME", "file:x", "1.2.3"};
        static char name_text[] = "NAME";
        for (size_t i = 0; i < COUNT_OF(samples); i++) {
                scoped(free_str) char *text = str_copy(samples[i]);
                Node scalar = {.kind = NODE_SCALAR, .plain = true, .at = somewhere, .text = text};
                Node name = {
                        .kind = NODE_SCALAR, .plain = true, .at = somewhere, .text = name_text};
                Node *items[] = {&scalar}, *keys[] = {&name};
                const Node around = {
                        .kind = within, .at = somewhere, .keys = keys, .items = items, .n = 1};
                if (offer(key, within == NODE_SCALAR ? &scalar : &around).taken)
                        return true;
        }
        return false;
}

static json_t *not_empty(json_t *mapping) {
        js_set_int(mapping, "minProperties", 1);
        return mapping;
}

static void add_ways(const Key *key, json_t *ways, unsigned depth) {
        static char name_text[] = "NAME";
        Node name = {.kind = NODE_SCALAR, .plain = true, .at = somewhere, .text = name_text};
        Node empty = {.kind = NODE_MAP, .at = somewhere};
        Node *items[] = {&empty}, *keys[] = {&name};
        const Node named = {
                .kind = NODE_MAP, .at = somewhere, .keys = keys, .items = items, .n = 1};
        const Node list = {.kind = NODE_LIST, .at = somewhere, .items = items, .n = 1};
        const Node nothing = {.kind = NODE_LIST, .at = somewhere};
        /* Some refuse an empty mapping before they look at its keys. */
        const Answer as_map = offer(key, &empty), as_named = offer(key, &named),
                     as_list = offer(key, &list);
        if (as_map.table)
                json_array_append_new(ways, table_schema(as_map.table, depth));
        else if (as_named.table && as_map.taken)
                json_array_append_new(ways, names_schema(table_schema(as_named.table, depth)));
        else if (as_named.table)
                json_array_append_new(ways, not_empty(table_schema(as_named.table, depth)));
        else if (takes_text(key, NODE_MAP))
                json_array_append_new(ways, names_schema(text_schema()));
        bool may_be_empty = offer(key, &nothing).taken;
        if (as_list.table)
                json_array_append_new(
                        ways, list_schema(table_schema(as_list.table, depth), may_be_empty));
        else if (takes_text(key, NODE_LIST))
                json_array_append_new(ways, list_schema(text_schema(), may_be_empty));
        if (takes_text(key, NODE_SCALAR))
                json_array_append_new(ways, text_schema());
}

static json_t *tried_schema(const Key *key, unsigned depth) {
        scoped(js_freep) json_t *ways = json_array();
        add_ways(key, ways, depth);
        if (json_array_size(ways) == 0)
                return json_object();
        if (json_array_size(ways) == 1)
                return json_incref(json_array_get(ways, 0));
        return json_pack("{s:O}", "anyOf", ways);
}

/* ---- a key ---- */

static json_t *value_schema(const Key *key, unsigned depth) {
        if (key->choices)
                return choices_schema(key->choices);
        for (size_t i = 0; i < COUNT_OF(described); i++)
                if (described[i].type == key->type)
                        return described[i].schema(key);
        if (key->type == &type_map)
                return table_schema(key->inner, depth + 1);
        return tried_schema(key, depth + 1);
}

static json_t *default_of(const Key *key) {
        uint64_t number = 0;
        if (key->type == &type_number && str_to_uint(key->otherwise, 1000000000, &number))
                return json_integer((json_int_t)number);
        if (key->type == &type_flag)
                return json_boolean(str_equal(key->otherwise, "true"));
        return json_string(key->otherwise);
}

static json_t *key_schema(const Key *key, unsigned depth) {
        static const char prefix[] = "expected ";
        json_t *schema = value_schema(key, depth);
        const char *expected = key->type->expected;
        if (!key->choices && !js_get(schema, "properties") && str_starts(expected, prefix))
                js_set_str(schema, "description", expected + strlen(prefix));
        if (key->otherwise)
                js_set(schema, "default", default_of(key));
        if (!(key->flags & KEY_NULL_OK))
                return schema;
        return json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "null");
}

/* ---- a mapping ---- */

static void add_rules(const KeyTable *table, json_t *schema) {
        json_t *required = json_array(), *one_of = json_array();
        for (size_t i = 0; i < table->n; i++) {
                const Key *key = &table->keys[i];
                if (key->type && key->flags & KEY_REQUIRED)
                        json_array_append_new(required, json_string(key->name));
                if (key->type && key->flags & KEY_ONE_OF)
                        json_array_append_new(one_of, json_pack("{s:[s]}", "required", key->name));
        }
        if (json_array_size(required))
                js_set(schema, "required", required);
        else
                json_decref(required);
        if (json_array_size(one_of))
                js_set(schema, "oneOf", one_of);
        else
                json_decref(one_of);
}

static json_t *table_schema(const KeyTable *table, unsigned depth) {
        json_t *schema = json_object(), *properties = json_object();
        js_set_str(schema, "type", "object");
        js_set_str(schema, "description", table->what);
        for (size_t i = 0; i < table->n && depth < DEPTH_MAX; i++)
                if (table->keys[i].type)
                        js_set(properties, table->keys[i].name, key_schema(&table->keys[i], depth));
        js_set(schema, "properties", properties);
        js_set(schema, "patternProperties", json_pack("{s:{}}", "^x-"));
        js_set_bool(schema, "additionalProperties", false);
        add_rules(table, schema);
        return schema;
}

json_t *manifest_schema(void) {
        json_t *schema = table_schema(&manifest_table, 0);
        js_set_str(schema, "$schema", "http://json-schema.org/draft-07/schema#");
        js_set_str(schema, "title", "belay.yaml");
        js_set(js_get(schema, "properties"), "version", json_pack("{s:i}", "const", 1));
        return schema;
}
