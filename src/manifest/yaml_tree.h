/*
 * YAML text to a tree of nodes that know where they are written. libyaml finds the tokens; the limits
 * and refusals are here: what belay.yaml does not need (anchors, aliases, merge keys, tags beyond the
 * core ones, several documents) is refused with its place, and so are duplicate keys, bytes that are no
 * UTF-8, control characters, and NUL in a scalar.
 *
 *     scoped(node_freep) Node *root = NULL;
 *     if (!yaml_tree_parse(&findings, &root))
 *             return findings_fail(&findings, err);
 */
#ifndef BELAY_MANIFEST_YAML_TREE_H
#define BELAY_MANIFEST_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "manifest/finding.h"

typedef enum NodeKind { NODE_SCALAR, NODE_LIST, NODE_MAP } NodeKind;

typedef struct Node Node;
struct Node {
        NodeKind kind;
        bool plain; /* a scalar without quotes: only such can be a number, true, false or null */
        Spot at;
        char *text;   /* scalars */
        Node **keys;  /* maps: scalars, each text once */
        Node **items; /* lists, and the values of maps */
        size_t n;
};

/* Parses findings->text. False leaves at least one finding. An empty document is a null scalar. */
bool yaml_tree_parse(Findings *findings, Node **ret);
void node_freep(Node **node);

/* NULL when the map has no such key. */
const Node *node_get(const Node *map, const char *key);
bool node_is_null(const Node *node);
/* "a mapping", "a list", "text", "a number", "nothing": for messages. */
const char *node_kind_text(const Node *node);
/* One line in flow style, cut when long; owned. */
char *node_flow_text(const Node *node);

/* Is every byte fit for a manifest? UTF-8, no UTF-16, no control characters, no tabs in front. */
bool yaml_text_check(Findings *findings);

#endif
