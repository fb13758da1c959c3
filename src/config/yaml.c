/*
 * yaml - libyaml's events to a tree, without recursion and with limits
 */
#include "yaml_priv.h"

#include "base/alloc.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <yaml.h>

struct builder {
    struct tree *tree;
    const char *file;
    struct node *stack[YAML_DEPTH_MAX]; /* open lists and maps */
    unsigned depth;
    char *key; /* of the next value in the map on top of the stack; NULL: a key comes next */
    unsigned key_line;
    unsigned document_count;
};

void tree_release(struct tree *tree)
{
    struct node *node = tree->all;

    while (node != NULL) {
        struct node *next = node->all_next;

        free(node->text);
        free(node->key);
        free(node);
        node = next;
    }
    *tree = TREE_INIT;
}

bool node_is_null(const struct node *node)
{
    if (node->kind != NODE_SCALAR || node->quoted)
        return false;
    return node->text[0] == '\0' || text_equal(node->text, "~") || text_equal(node->text, "null");
}

const char *node_kind_text(enum node_kind kind)
{
    switch (kind) {
    case NODE_SCALAR:
        return "a value";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a map";
    }
    abort();
}

static unsigned yaml_line(const yaml_event_t *event)
{
    return (unsigned)event->start_mark.line + 1;
}

static bool builder_wants_key(const struct builder *builder)
{
    return builder->depth > 0 && builder->stack[builder->depth - 1]->kind == NODE_MAP &&
           builder->key == NULL;
}

static void builder_attach(struct builder *builder, struct node *node)
{
    if (builder->depth == 0) {
        assert(builder->tree->root == NULL);
        builder->tree->root = node;
        return;
    }

    struct node *parent = builder->stack[builder->depth - 1];
    if (parent->first == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
    if (parent->kind == NODE_MAP) {
        node->key = TAKE(builder->key);
        node->key_line = builder->key_line;
    }
}

static rc builder_add(struct builder *builder, const yaml_event_t *event, enum node_kind kind,
    struct node **ret, struct error *err)
{
    if (builder_wants_key(builder))
        FAIL(err, RC_USAGE, "%s:%u: a key must be a word, not %s", builder->file, yaml_line(event),
            node_kind_text(kind));
    if (builder->tree->node_count == YAML_NODE_COUNT_MAX)
        FAIL(err, RC_USAGE, "%s:%u: more than %d values", builder->file, yaml_line(event),
            YAML_NODE_COUNT_MAX);

    struct node *node = mem_new(sizeof *node);
    node->kind = kind;
    node->line = yaml_line(event);
    node->all_next = builder->tree->all;
    builder->tree->all = node;
    builder->tree->node_count++;
    builder_attach(builder, node);
    *ret = node;
    return RC_OK;
}

static rc builder_open(
    struct builder *builder, const yaml_event_t *event, enum node_kind kind, struct error *err)
{
    struct node *node;

    TRY(builder_add(builder, event, kind, &node, err));
    if (builder->depth == YAML_DEPTH_MAX)
        FAIL(err, RC_USAGE, "%s:%u: nested deeper than %d levels", builder->file, yaml_line(event),
            YAML_DEPTH_MAX);
    builder->stack[builder->depth++] = node;
    return RC_OK;
}

static rc builder_scalar(struct builder *builder, const yaml_event_t *event, struct error *err)
{
    const char *text = (const char *)event->data.scalar.value;

    if (strlen(text) != event->data.scalar.length)
        FAIL(err, RC_USAGE, "%s:%u: a NUL character in a value", builder->file, yaml_line(event));
    if (builder_wants_key(builder)) {
        builder->key = text_copy(text);
        builder->key_line = yaml_line(event);
        return RC_OK;
    }

    struct node *node;
    TRY(builder_add(builder, event, NODE_SCALAR, &node, err));
    node->text = text_copy(text);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return RC_OK;
}

/* Anchors and tags hide in three events. */
static rc builder_refuse_extras(
    const struct builder *builder, const yaml_event_t *event, struct error *err)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL || event->type == YAML_ALIAS_EVENT)
        FAIL(err, RC_USAGE, "%s:%u: anchors and aliases are not supported", builder->file,
            yaml_line(event));
    if (tag != NULL)
        FAIL(err, RC_USAGE, "%s:%u: tags are not supported", builder->file, yaml_line(event));
    return RC_OK;
}

static rc builder_take(struct builder *builder, const yaml_event_t *event, struct error *err)
{
    TRY(builder_refuse_extras(builder, event, err));
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (builder->document_count++ > 0)
            FAIL(err, RC_USAGE, "%s:%u: more than one YAML document", builder->file,
                yaml_line(event));
        return RC_OK;
    case YAML_SCALAR_EVENT:
        return builder_scalar(builder, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return builder_open(builder, event, NODE_LIST, err);
    case YAML_MAPPING_START_EVENT:
        return builder_open(builder, event, NODE_MAP, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        assert(builder->depth > 0);
        builder->depth--;
        return RC_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_ALIAS_EVENT:
        return RC_OK;
    }
    abort();
}

static rc tree_run(yaml_parser_t *parser, struct builder *builder, struct error *err)
{
    for (;;) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            FAIL(err, RC_USAGE, "%s:%zu: %s%s%s", builder->file, parser->problem_mark.line + 1,
                parser->problem != NULL ? parser->problem : "not YAML",
                parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
        bool done = event.type == YAML_STREAM_END_EVENT;
        rc result = builder_take(builder, &event, err);
        yaml_event_delete(&event);
        if (result != RC_OK || done)
            return result;
    }
}

rc tree_parse(struct tree *ret, const char *file, struct bytes text, struct error *err)
{
    assert(ret->all == NULL);

    struct builder builder = { .tree = ret, .file = file };
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        abort();
    /* libyaml asserts that there is something to point at, even for nothing. */
    yaml_parser_set_input_string(
        &parser, text.data != NULL ? text.data : (const uint8_t *)"", text.size);
    rc result = tree_run(&parser, &builder, err);
    yaml_parser_delete(&parser);
    free(builder.key);
    return result;
}
