#include "manifest/schema.h"

#include <stdarg.h>
#include <string.h>

/* Rules between items compare each with each. */
enum { ITEMS_MAX = 500 };

/* ---- the walk's place ---- */

size_t path_enter(Reader *r, const char *name) {
        size_t where = r->path.len;
        str_addf(&r->path, "%s%s", where ? "." : "", name);
        return where;
}

size_t path_enter_index(Reader *r, size_t index) {
        size_t where = r->path.len;
        str_addf(&r->path, "[%zu]", index);
        return where;
}

void path_leave(Reader *r, size_t where) {
        r->path.len = where;
        r->path.text[where] = '\0';
}

static char *origin_of(const Reader *r, const Node *node) {
        return node->at.line ? str_format("%s:%zu", r->file, node->at.line) : str_copy("default");
}

void value_explain(Reader *r, const Node *node, const char *text) {
        scoped(free_str) char *from = origin_of(r, node);
        scoped(free_str) char *whole = text ? str_copy(text) : node_flow_text(node);
        scoped(free_str) char *line = str_printable(whole, false);
        service_explain(r->service, r->path.text, line, from);
}

void warning_add(Reader *r, const Node *node, const char *format, ...) {
        va_list args;
        va_start(args, format);
        scoped(free_str) char *text = str_vformat(format, args);
        va_end(args);
        strv_addf(&r->service->warnings, "%s at %s:%zu", text, r->file, node->at.line);
}

/* ---- keys that are not in the table, or without a type in it ---- */

static const Key *key_find(const KeyTable *table, const char *name) {
        for (size_t i = 0; i < table->n; i++)
                if (strcmp(table->keys[i].name, name) == 0)
                        return &table->keys[i];
        return NULL;
}

/* "expected one of: a, b": what this build has. */
static char *expected_keys(const KeyTable *table) {
        scoped(strv_freep) Strv names = NULL;
        for (size_t i = 0; i < table->n; i++)
                if (table->keys[i].type)
                        strv_add(&names, table->keys[i].name);
        scoped(free_str) char *joined = strv_join(names, ", ");
        return str_format("expected %s%s", strv_count(names) > 1 ? "one of: " : "", joined);
}

static bool key_unknown(Reader *r, const KeyTable *table, const Node *key) {
        const char **names = NEW_ARRAY(const char *, table->n + 1);
        for (size_t i = 0; i < table->n; i++)
                names[i] = table->keys[i].name;
        const char *nearest = str_nearest(key->text, names);
        scoped(free_str) char *hint = nearest ? str_format("Did you mean \"%s\"?", nearest) : NULL;
        scoped(free_str) char *expected = expected_keys(table);
        free_mem(&names);
        const Finding finding = {
                .at = key->at, .expected = table->n ? expected : NULL, .hint = hint};
        return finding_add(r->findings, &finding, "unknown key \"%s\" %s%s", key->text,
                r->path.len ? "under " : "in a manifest", r->path.len ? r->path.text : "");
}

bool key_lacks(Reader *r, const Node *at, const char *lacks) {
        return finding_add(r->findings,
                &(Finding){.at = at->at,
                        .hint = "The format knows it, this build of Belay does not do it. Take it "
                                "out."},
                "this build has no %s", lacks);
}

/* A lacking mapping is answered by the keys in it where those have answers of their own. */
static bool lacking_answer(Reader *r, const Key *key, const Node *name, const Node *value) {
        if (!key->inner || value->kind != NODE_MAP || value->n == 0)
                return key_lacks(r, name, key->lacks);
        size_t where = path_enter(r, key->name);
        (void)map_read(r, key->inner, value, NULL);
        path_leave(r, where);
        return false;
}

/* ---- the walk ---- */

static bool null_answer(Reader *r, const Key *key, const Node *node) {
        return finding_add(r->findings, &(Finding){.at = node->at, .expected = key->type->expected},
                "\"%s\" has no value", r->path.text);
}

static bool value_read(Reader *r, const Key *key, const Node *node, void *target) {
        void *field = target ? (char *)target + key->offset : NULL;
        if (!key->type->read(r, key, node, field))
                return false;
        if (key->type->explains)
                value_explain(r, node, NULL);
        return true;
}

bool default_read(Reader *r, const Key *key, void *target) {
        static const Node empty = {.kind = NODE_MAP};
        if (key->flags & KEY_DEFAULTS) {
                size_t where = path_enter(r, key->name);
                bool good = value_read(r, key, &empty, target);
                path_leave(r, where);
                return good;
        }
        if (!key->otherwise)
                return true;
        scoped(free_str) char *text = str_copy(key->otherwise);
        const Node written = {.kind = NODE_SCALAR, .plain = true, .text = text};
        size_t where = path_enter(r, key->name);
        bool good = value_read(r, key, &written, target);
        path_leave(r, where);
        return good;
}

static bool key_read(Reader *r, const Key *key, const Node *name, const Node *value, void *target) {
        if (!key->type)
                return lacking_answer(r, key, name, value);
        if (node_is_null(value) && (key->flags & KEY_NULL_OK))
                return default_read(r, key, target);
        size_t where = path_enter(r, key->name);
        bool good = node_is_null(value) ? null_answer(r, key, value)
                                        : value_read(r, key, value, target);
        path_leave(r, where);
        return good;
}

static bool wants_one(const KeyTable *table) {
        for (size_t i = 0; i < table->n; i++)
                if (table->keys[i].flags & KEY_ONE_OF)
                        return true;
        return false;
}

/* A key that nobody knows has its finding: it is probably the missing one, misspelt. */
static bool has_unknown(const KeyTable *table, const Node *map) {
        for (size_t i = 0; i < map->n; i++)
                if (!str_starts(map->keys[i]->text, "x-") && !key_find(table, map->keys[i]->text))
                        return true;
        return false;
}

/* Of the keys marked KEY_ONE_OF exactly one; a lacking one has its finding and stands for it. */
static bool one_of_check(Reader *r, const KeyTable *table, const Node *map) {
        const Node *first = NULL;
        bool lacking = false;
        for (size_t i = 0; i < map->n; i++) {
                const Key *key = key_find(table, map->keys[i]->text);
                lacking = lacking || (key && !key->type);
                if (!key || !(key->flags & KEY_ONE_OF))
                        continue;
                if (first)
                        return finding_add(r->findings, &(Finding){.at = map->keys[i]->at},
                                "%s is one thing: there is \"%s\" already", table->what,
                                first->text);
                first = map->keys[i];
        }
        if (first || lacking || !wants_one(table) || has_unknown(table, map))
                return true;
        scoped(free_str) char *expected = expected_keys(table);
        return finding_add(r->findings, &(Finding){.at = map->at, .expected = expected},
                "%s is missing", table->what);
}

static bool missing_check(Reader *r, const KeyTable *table, const Node *map) {
        bool good = true;
        for (size_t i = 0; i < table->n; i++) {
                const Key *key = &table->keys[i];
                if (!(key->flags & KEY_REQUIRED) || node_get(map, key->name))
                        continue;
                scoped(free_str) char *place =
                        r->path.len ? str_format(" under %s", r->path.text) : str_copy("");
                good = finding_add(r->findings, &(Finding){.at = map->at}, "\"%s\" is missing%s",
                        key->name, place);
        }
        return good;
}

bool map_read(Reader *r, const KeyTable *table, const Node *map, void *target) {
        if (r->probe) {
                *r->probe = map->kind == NODE_MAP ? table : NULL;
                return false;
        }
        if (map->kind != NODE_MAP) {
                scoped(free_str) char *keys = expected_keys(table);
                scoped(free_str) char *expected = str_format("%s (a mapping)", keys);
                return finding_add(r->findings, &(Finding){.at = map->at, .expected = expected},
                        "%s where %s is expected", node_kind_text(map), table->what);
        }
        bool good = true;
        for (size_t i = 0; i < map->n; i++) {
                const Node *name = map->keys[i];
                if (str_starts(name->text, "x-"))
                        continue;
                const Key *key = key_find(table, name->text);
                bool read = key ? key_read(r, key, name, map->items[i], target)
                                : key_unknown(r, table, name);
                good = read && good;
        }
        good = one_of_check(r, table, map) && good;
        good = missing_check(r, table, map) && good;
        for (size_t i = 0; target && i < table->n; i++)
                if (table->keys[i].type && !node_get(map, table->keys[i].name))
                        good = default_read(r, &table->keys[i], target) && good;
        return good;
}

bool items_read(Reader *r, const Node *list, ItemRead *read) {
        if (list->kind != NODE_LIST)
                return finding_add(r->findings,
                        &(Finding){.at = list->at, .expected = "expected a list"}, "\"%s\" is %s",
                        r->path.text, node_kind_text(list));
        if (list->n > ITEMS_MAX)
                return finding_add(r->findings, &(Finding){.at = list->items[ITEMS_MAX]->at},
                        "\"%s\" has more than %d items", r->path.text, ITEMS_MAX);
        bool good = true;
        for (size_t i = 0; i < list->n; i++) {
                size_t where = path_enter_index(r, i);
                bool read_one =
                        node_is_null(list->items[i])
                                ? finding_add(r->findings, &(Finding){.at = list->items[i]->at},
                                          "\"%s\" has no value", r->path.text)
                                : read(r, list->items[i]);
                good = read_one && good;
                path_leave(r, where);
        }
        return good;
}
