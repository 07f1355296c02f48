#include "manifest/yaml_tree.h"

#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"

enum { KEYS_MAX = 1000, FLOW_TEXT_MAX = 200 };

typedef struct Parse {
        yaml_parser_t yaml;
        Findings *findings;
        unsigned events, depth;
} Parse;

void node_freep(Node **node) {
        Node *old = *node;
        if (!old)
                return;
        for (size_t i = 0; i < old->n; i++) {
                if (old->keys)
                        node_freep(&old->keys[i]);
                node_freep(&old->items[i]);
        }
        free(old->keys);
        free(old->items);
        free(old->text);
        free(old);
        *node = NULL;
}

static Spot spot_of(const yaml_mark_t *mark) { return (Spot){mark->line + 1, mark->column + 1, 1}; }

/* The parser's words for what people meet most, in ours. */
static const char *plain_words(const char *problem) {
        static const char *const words[][2] = {
                {"mapping values are not allowed in this context",
                        "a second ':' in one line, or wrong indentation"},
                {"could not find expected ':'", "a key without ':'"},
                {"did not find expected key", "no key where one is expected (wrong indentation?)"},
                {"found unexpected end of stream", "a quote that is never closed"},
                {"did not find expected '-' indicator",
                        "no '-' where the next item of a list is expected"},
                {"did not find expected ',' or ']'", "no ',' or ']' where one is expected"},
                {"did not find expected ',' or '}'", "no ',' or '}' where one is expected"},
                {"block sequence entries are not allowed in this context",
                        "a list item that does not belong here"},
                {"did not find expected <document start>", "text after the end of the document"},
        };
        for (size_t i = 0; i < COUNT_OF(words); i++)
                if (problem && strcmp(problem, words[i][0]) == 0)
                        return words[i][1];
        return problem ? problem : "no valid YAML";
}

/* What was opened and never closed is shown where it was opened; anything else where it stopped. */
static bool syntax_error(Parse *p) {
        const yaml_parser_t *yaml = &p->yaml;
        bool unclosed = yaml->context && yaml->problem &&
                        strcmp(yaml->problem, "found unexpected end of stream") == 0;
        Spot at = spot_of(unclosed ? &yaml->context_mark : &yaml->problem_mark);
        scoped(free_str) char *hint = NULL;
        if (!unclosed && yaml->context && yaml->context_mark.line + 1 < at.line)
                hint = str_format("It happened %s that begins in line %zu.", yaml->context,
                        yaml->context_mark.line + 1);
        return finding_add(
                p->findings, &(Finding){.at = at, .hint = hint}, "%s", plain_words(yaml->problem));
}

static bool event_next(Parse *p, yaml_event_t *ret) {
        if (!yaml_parser_parse(&p->yaml, ret)) {
                *ret = (yaml_event_t){0};
                return syntax_error(p);
        }
        if (++p->events > LIMIT_MANIFEST_EVENTS)
                return finding_add(p->findings, &(Finding){.at = spot_of(&ret->start_mark)},
                        "more than %d pieces of YAML", LIMIT_MANIFEST_EVENTS);
        return true;
}

static Spot event_spot(const yaml_event_t *event) {
        Spot at = spot_of(&event->start_mark);
        bool one_line = event->end_mark.line == event->start_mark.line;
        if (event->type == YAML_SCALAR_EVENT && event->end_mark.column > event->start_mark.column &&
                one_line)
                at.width = event->end_mark.column - event->start_mark.column;
        if (event->type == YAML_SCALAR_EVENT && !one_line)
                at.width = SIZE_MAX; /* to the end of its line */
        return at;
}

static bool is_core_tag(const char *tag) {
        static const char *const core[] = {
                "!",
                YAML_STR_TAG,
                YAML_INT_TAG,
                YAML_BOOL_TAG,
                YAML_FLOAT_TAG,
                YAML_NULL_TAG,
                YAML_SEQ_TAG,
                YAML_MAP_TAG,
        };
        for (size_t i = 0; i < COUNT_OF(core); i++)
                if (strcmp(tag, core[i]) == 0)
                        return true;
        return false;
}

/* Anchors and tags are the parts of YAML by which small files become large or become programs. */
static bool properties_check(
        Parse *p, const Spot *at, const yaml_char_t *anchor, const yaml_char_t *tag) {
        const Finding here = {.at = *at};
        if (anchor)
                return finding_add(p->findings, &here,
                        "anchors ('&%s') have no place in a manifest", (const char *)anchor);
        if (tag && !is_core_tag((const char *)tag))
                return finding_add(p->findings, &here, "tags ('%s') have no place in a manifest",
                        (const char *)tag);
        return true;
}

static bool scalar_build(Parse *p, const yaml_event_t *event, Node *node) {
        const char *text = (const char *)event->data.scalar.value;
        size_t bytes = event->data.scalar.length;
        if (!properties_check(p, &node->at, event->data.scalar.anchor, event->data.scalar.tag))
                return false;
        for (size_t i = 0; i < bytes; i++) {
                unsigned char c = (unsigned char)text[i];
                if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F)
                        return finding_add(p->findings, &(Finding){.at = node->at},
                                "the text holds the control character \\x%02X", c);
        }
        node->kind = NODE_SCALAR;
        node->plain = event->data.scalar.plain_implicit &&
                      event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node->text = str_copy_n(text, bytes);
        return true;
}

static bool node_build(Parse *p, const yaml_event_t *event, Node **ret);

static bool item_build(Parse *p, yaml_event_type_t end, Node **ret, bool *ret_ended) {
        scoped(yaml_event_delete) yaml_event_t event = {0};
        if (!event_next(p, &event))
                return false;
        *ret_ended = event.type == end;
        return *ret_ended || node_build(p, &event, ret);
}

static bool list_build(Parse *p, Node *list) {
        list->kind = NODE_LIST;
        for (bool ended = false;;) {
                scoped(node_freep) Node *item = NULL;
                if (!item_build(p, YAML_SEQUENCE_END_EVENT, &item, &ended))
                        return false;
                if (ended)
                        return true;
                PUSH(list->items, list->n, item);
                item = NULL;
        }
}

static bool key_check(Parse *p, const Node *map, const Node *key) {
        const Finding here = {.at = key->at};
        if (key->kind != NODE_SCALAR)
                return finding_add(
                        p->findings, &here, "%s where a key is expected", node_kind_text(key));
        if (key->plain && strcmp(key->text, "<<") == 0)
                return finding_add(
                        p->findings, &here, "merge keys ('<<') have no place in a manifest");
        if (node_is_null(key) || !key->text[0])
                return finding_add(p->findings, &here, "a key without a name");
        if (map->n == KEYS_MAX)
                return finding_add(
                        p->findings, &here, "more than %d keys in one mapping", KEYS_MAX);
        for (size_t i = 0; i < map->n; i++) {
                const Spot *first = &map->keys[i]->at;
                if (strcmp(map->keys[i]->text, key->text) == 0)
                        return finding_add(p->findings, &here,
                                "duplicate key \"%s\" (first in line %zu, column %zu)", key->text,
                                first->line, first->column);
        }
        return true;
}

static bool map_build(Parse *p, Node *map) {
        map->kind = NODE_MAP;
        for (bool ended = false;;) {
                scoped(node_freep) Node *key = NULL, *value = NULL;
                if (!item_build(p, YAML_MAPPING_END_EVENT, &key, &ended))
                        return false;
                if (ended)
                        return true;
                if (!key_check(p, map, key) || !item_build(p, YAML_NO_EVENT, &value, &ended))
                        return false;
                size_t n = map->n;
                PUSH(map->keys, n, TAKE(key));
                PUSH(map->items, map->n, TAKE(value));
        }
}

static bool collection_build(Parse *p, const yaml_event_t *event, Node *node) {
        bool is_map = event->type == YAML_MAPPING_START_EVENT;
        const yaml_char_t *anchor =
                is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
        const yaml_char_t *tag =
                is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
        if (!properties_check(p, &node->at, anchor, tag))
                return false;
        if (p->depth == LIMIT_MANIFEST_DEPTH)
                return finding_add(p->findings, &(Finding){.at = node->at},
                        "nested more than %d deep", LIMIT_MANIFEST_DEPTH);
        p->depth++;
        bool good = is_map ? map_build(p, node) : list_build(p, node);
        p->depth--;
        return good;
}

static bool node_build(Parse *p, const yaml_event_t *event, Node **ret) {
        scoped(node_freep) Node *node = NEW(Node);
        node->at = event_spot(event);
        if (event->type == YAML_ALIAS_EVENT)
                return finding_add(p->findings, &(Finding){.at = node->at},
                        "aliases ('*%s') have no place in a manifest",
                        (const char *)event->data.alias.anchor);
        bool good = event->type == YAML_SCALAR_EVENT ? scalar_build(p, event, node)
                                                     : collection_build(p, event, node);
        if (good)
                *ret = TAKE(node);
        return good;
}

static bool document_begin(Parse *p, const yaml_event_t *event) {
        if (event->data.document_start.tag_directives.start !=
                event->data.document_start.tag_directives.end)
                return finding_add(p->findings, &(Finding){.at = spot_of(&event->start_mark)},
                        "%%TAG has no place in a manifest");
        return true;
}

/* stream start, document start, one node, document end, stream end: nothing else. */
static bool stream_build(Parse *p, Node **ret) {
        for (;;) {
                scoped(yaml_event_delete) yaml_event_t event = {0};
                if (!event_next(p, &event))
                        return false;
                const Finding here = {
                        .at = spot_of(&event.start_mark), .hint = "One file holds one service."};
                if (event.type == YAML_STREAM_END_EVENT)
                        return true;
                if (event.type == YAML_DOCUMENT_START_EVENT && *ret)
                        return finding_add(p->findings, &here, "a second document");
                if (event.type == YAML_DOCUMENT_START_EVENT && !document_begin(p, &event))
                        return false;
                if (event.type == YAML_STREAM_START_EVENT ||
                        event.type == YAML_DOCUMENT_START_EVENT ||
                        event.type == YAML_DOCUMENT_END_EVENT)
                        continue;
                if (!node_build(p, &event, ret))
                        return false;
        }
}

static Node *nothing_new(void) {
        Node *node = NEW(Node);
        *node = (Node){.kind = NODE_SCALAR, .plain = true, .at = {1, 1, 1}, .text = str_copy("")};
        return node;
}

bool yaml_tree_parse(Findings *findings, Node **ret) {
        if (findings->bytes > LIMIT_MANIFEST_BYTES)
                return finding_add(findings, &(Finding){0}, "the file is larger than %d KiB",
                        LIMIT_MANIFEST_BYTES / 1024);
        if (!yaml_text_check(findings))
                return false;
        size_t skip =
                findings->bytes >= 3 && memcmp(findings->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
        Parse p = {.findings = findings};
        if (!yaml_parser_initialize(&p.yaml))
                abort();
        yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(
                &p.yaml, (const unsigned char *)findings->text + skip, findings->bytes - skip);
        scoped(node_freep) Node *root = NULL;
        bool good = stream_build(&p, &root);
        yaml_parser_delete(&p.yaml);
        if (good)
                *ret = root ? TAKE(root) : nothing_new();
        return good;
}

const Node *node_get(const Node *map, const char *key) {
        for (size_t i = 0; map && map->kind == NODE_MAP && i < map->n; i++)
                if (strcmp(map->keys[i]->text, key) == 0)
                        return map->items[i];
        return NULL;
}

bool node_is_null(const Node *node) {
        static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
        for (size_t i = 0; node->kind == NODE_SCALAR && node->plain && i < COUNT_OF(nulls); i++)
                if (strcmp(node->text, nulls[i]) == 0)
                        return true;
        return false;
}

const char *node_kind_text(const Node *node) {
        if (node->kind != NODE_SCALAR)
                return node->kind == NODE_MAP ? "a mapping" : "a list";
        if (node_is_null(node))
                return "nothing";
        return node->plain && node->text[strspn(node->text, "0123456789")] == '\0' ? "a number"
                                                                                   : "text";
}

static void flow_add(const Node *node, Str *out) {
        if (out->len > FLOW_TEXT_MAX)
                return;
        if (node->kind == NODE_SCALAR) {
                str_add(out, node->text);
                return;
        }
        str_add(out, node->kind == NODE_MAP ? "{" : "[");
        for (size_t i = 0; i < node->n; i++) {
                str_add(out, i ? ", " : "");
                if (node->kind == NODE_MAP)
                        str_addf(out, "%s: ", node->keys[i]->text);
                flow_add(node->items[i], out);
        }
        str_add(out, node->kind == NODE_MAP ? "}" : "]");
}

char *node_flow_text(const Node *node) {
        scoped(str_done) Str out = {0};
        flow_add(node, &out);
        scoped(free_str) char *whole = str_take(&out);
        if (strlen(whole) > FLOW_TEXT_MAX) {
                size_t cut = FLOW_TEXT_MAX;
                while (cut > 0 && ((unsigned char)whole[cut] & 0xC0) == 0x80)
                        cut--;
                whole[cut] = '\0';
                return str_format("%s…", whole);
        }
        return TAKE(whole);
}
