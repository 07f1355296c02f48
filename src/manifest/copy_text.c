/* The manifest of a copy: what describes the service stays, what holds back or tells others goes. */
#include <string.h>

#include "base/js.h"
#include "base/own.h"
#include "manifest/manifest.h"
#include "manifest/yaml_tree.h"

/* A number, true, ~: what may be more than text without quotes needs none in flow style either. */
static bool is_bare(const Node *node) {
        static const char bare[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-~";
        return node->plain && node->text[0] && !node->text[strspn(node->text, bare)];
}

static void add_quoted(const char *text, Str *out) {
        scoped(js_freep) json_t *value = json_string(text);
        scoped(free_str) char *quoted = json_dumps(value, JSON_ENCODE_ANY);
        str_add(out, quoted ? quoted : "\"\"");
}

/* Without the entry of a mapping that is called `without`. */
static void add_node(const Node *node, const char *without, Str *out) {
        if (node->kind == NODE_SCALAR) {
                if (is_bare(node) || (node->plain && !node->text[0]))
                        str_add(out, node->text[0] ? node->text : "null");
                else
                        add_quoted(node->text, out);
                return;
        }
        str_add(out, node->kind == NODE_LIST ? "[" : "{");
        const char *between = "\n";
        for (size_t i = 0; i < node->n; i++) {
                if (node->kind == NODE_MAP && str_equal(node->keys[i]->text, without))
                        continue;
                str_add(out, between);
                between = ",\n";
                if (node->kind == NODE_MAP) {
                        add_quoted(node->keys[i]->text, out);
                        str_add(out, ": ");
                }
                add_node(node->items[i], NULL, out);
        }
        str_add(out, node->kind == NODE_LIST ? "]" : "}");
}

static bool stays(const char *key) {
        static const char *const gone[] = {"releases", "channel", "cooldown", "automatic",
                "requires", "busy", "hooks", "windows", "freeze", "maintain", "after", "notify",
                "monitor", "rehearse"};
        for (size_t i = 0; i < COUNT_OF(gone); i++)
                if (str_equal(key, gone[i]))
                        return false;
        return true;
}

bool manifest_of_copy(const char *path, const char *text, size_t bytes, char **ret, Err *err) {
        scoped(findings_done) Findings findings = {.path = path, .text = text, .bytes = bytes};
        scoped(node_freep) Node *root = NULL;
        if (!yaml_tree_parse(&findings, &root) || root->kind != NODE_MAP)
                return findings_fail(&findings, err);
        Str out = {0};
        str_add(&out,
                "{\"monitor\": {\"for\": \"300ms\", \"every\": \"50ms\"},\n\"rehearse\": never");
        for (size_t i = 0; i < root->n; i++) {
                if (!stays(root->keys[i]->text))
                        continue;
                str_add(&out, ",\n");
                add_quoted(root->keys[i]->text, &out);
                str_add(&out, ": ");
                /* Its backups lie in its own state directory: other stores are not the copy's to write. */
                bool backup = str_equal(root->keys[i]->text, "backup");
                add_node(root->items[i], backup ? "stores" : NULL, &out);
        }
        str_add(&out, "}\n");
        *ret = str_take(&out);
        return true;
}
