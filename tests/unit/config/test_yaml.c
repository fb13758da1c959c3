/* The tree has what was written and where; what is not wanted is refused with its line. */
#include "yaml_priv.h"

#include "base/buf.h"
#include "harness/check.h"

#include <string.h>

static void tree_has_lines_and_kinds(void **state)
{
    auto_tree struct tree tree = TREE_INIT;
    struct error err;

    (void)state;
    CHECK_OK(tree_parse(&tree, "f.yml",
        bytes_of_text("a: 1\n# comment\nb:\n  - x\n  - \"~\"\nc: {d: ~, e: }\n"), &err));
    assert_int_equal(tree.root->kind, NODE_MAP);

    const struct node *a = tree.root->first;
    assert_string_equal(a->key, "a");
    assert_string_equal(a->text, "1");
    assert_int_equal(a->line, 1);

    const struct node *b = a->next;
    assert_int_equal(b->kind, NODE_LIST);
    assert_int_equal(b->key_line, 3);
    assert_int_equal(b->first->next->line, 5);
    assert_false(node_is_null(b->first->next));

    const struct node *c = b->next;
    assert_int_equal(c->kind, NODE_MAP);
    assert_true(node_is_null(c->first));
    assert_true(node_is_null(c->first->next));
    assert_null(c->next);
}

static void tree_of_nothing_has_no_root(void **state)
{
    auto_tree struct tree tree = TREE_INIT;
    struct error err;

    (void)state;
    CHECK_OK(tree_parse(&tree, "f.yml", bytes_of_text("# only a comment\n"), &err));
    assert_null(tree.root);
}

static void tree_refuses(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        { "a: &x 1\n", "f.yml:1: anchors and aliases are not supported" },
        { "a: 1\nb: *a\n", "f.yml:2: anchors and aliases are not supported" },
        { "a: !!int 1\n", "f.yml:1: tags are not supported" },
        { "a: 1\n---\nb: 2\n", "f.yml:2: more than one YAML document" },
        { "[a]: 1\n", "f.yml:1: a key must be a word, not a list" },
        { "a: \"x\\0y\"\n", "f.yml:1: a NUL character in a value" },
        { "[[[[[[[[[[[[[1]]]]]]]]]]]]]\n", "f.yml:1: nested deeper than 12 levels" },
    };

    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        auto_tree struct tree tree = TREE_INIT;
        struct error err;

        CHECK_RC(tree_parse(&tree, "f.yml", bytes_of_text(rows[index].text), &err), RC_USAGE);
        assert_string_equal(err.text, rows[index].message);
    }
}

static void tree_tells_the_line_of_broken_yaml(void **state)
{
    static const struct {
        const char *text;
        const char *place;
    } rows[] = {
        { "a: 1\nb: [\n", "f.yml:3: " },
        { "a: 1\n\tb: 2\n", "f.yml:2: " },
        { "a: \"open\n", "f.yml:2: " },
        { "a: \xff\n", "f.yml:" },
    };

    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        auto_tree struct tree tree = TREE_INIT;
        struct error err;

        CHECK_RC(tree_parse(&tree, "f.yml", bytes_of_text(rows[index].text), &err), RC_USAGE);
        assert_ptr_equal(strstr(err.text, rows[index].place), err.text);
    }
}

static void tree_is_bounded(void **state)
{
    auto_buf struct buf text = BUF_INIT(16 << 20);
    auto_tree struct tree tree = TREE_INIT;
    struct error err;

    (void)state;
    for (size_t index = 0; index <= YAML_NODE_COUNT_MAX; index++)
        buf_put_text(&text, "- 1\n");
    CHECK_RC(tree_parse(&tree, "f.yml", buf_bytes(&text), &err), RC_USAGE);
    assert_non_null(strstr(err.text, "more than 2000000 values"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_has_lines_and_kinds),
        cmocka_unit_test(tree_of_nothing_has_no_root),
        cmocka_unit_test(tree_refuses),
        cmocka_unit_test(tree_tells_the_line_of_broken_yaml),
        cmocka_unit_test(tree_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
