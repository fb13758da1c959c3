/*
 * yaml - a YAML document as a tree with line numbers
 *
 * Only what a configuration needs: maps with scalar keys, lists, scalars. Anchors, aliases and tags
 * are refused (no alias bombs), depth and number of nodes are bounded, and a second document is an
 * error. Duplicate keys are for the reader to find: it knows which keys there are.
 */
#ifndef SEAWAL_CONFIG_YAML_PRIV_H
#define SEAWAL_CONFIG_YAML_PRIV_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { YAML_DEPTH_MAX = 12, YAML_NODE_COUNT_MAX = 2000000 };

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    unsigned line;     /* counts from 1 */
    char *text;        /* NODE_SCALAR */
    bool quoted;       /* NODE_SCALAR: written in quotes or as a block, so never null */
    char *key;         /* inside a map */
    unsigned key_line; /* inside a map */

    struct node *first; /* children of a list or map, in order */
    struct node *last;
    struct node *next; /* sibling */

    struct node *all_next; /* every node of the tree, for release */
};

struct tree {
    struct node *root; /* NULL: the document is empty */
    struct node *all;
    size_t node_count;
};
#define TREE_INIT ((struct tree){ 0 })
#define auto_tree __attribute__((cleanup(tree_release)))
void tree_release(struct tree *tree);

/* RC_USAGE with "FILE:LINE: " in front. RET is to be released after a failure as well. */
must_use rc tree_parse(struct tree *ret, const char *file, struct bytes text, struct error *err);

/* Nothing was written: an empty plain scalar, "~" or "null". */
bool node_is_null(const struct node *node);

/* "a map", "a list", "a value". */
const char *node_kind_text(enum node_kind kind);

#endif
