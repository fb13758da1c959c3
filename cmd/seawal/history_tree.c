/*
 * history_tree - which timeline departs from which, one line each
 */
#include "history_tree.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "output.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    TREE_DEPTH_MAX = 24, /* deeper branches are not indented further */
    TREE_NONE = -1,
};

/* Indexes into the history's timelines; TREE_NONE: there is none. A parent has a smaller one. */
struct tree_node {
    ptrdiff_t parent;
    ptrdiff_t first_child;
    ptrdiff_t next_sibling;
};

struct tree_row {
    const char *name; /* owned */
    uint64_t parent_txid;
    int64_t parent_ms;
    uint64_t first_txid; /* that can be restored, of its own */
    uint64_t last_txid;
    int64_t last_ms;
    int64_t claimed_ms;
    const char *writer;
};

#define TREE_COLUMN(...) COLUMN_OF(struct tree_row, __VA_ARGS__)
static const struct column tree_columns[] = {
    TREE_COLUMN(NULL, "timeline", COLUMN_TEXT, name),
    TREE_COLUMN(NULL, "departs after txid", COLUMN_TXID, parent_txid),
    TREE_COLUMN(NULL, "of", COLUMN_TIME, parent_ms),
    TREE_COLUMN(NULL, "first txid", COLUMN_TXID, first_txid),
    TREE_COLUMN(NULL, "last txid", COLUMN_TXID, last_txid),
    TREE_COLUMN(NULL, "of", COLUMN_TIME, last_ms),
    TREE_COLUMN(NULL, "claimed", COLUMN_TIME, claimed_ms),
    TREE_COLUMN(NULL, "by", COLUMN_TEXT, writer),
};

static ptrdiff_t tree_index_of(const struct history *history, uint32_t timeline, size_t below)
{
    size_t low = 0;
    size_t high = below;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history->timelines[middle].info.timeline < timeline)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_found = low < below && history->timelines[low].info.timeline == timeline;
    return is_found ? (ptrdiff_t)low : TREE_NONE;
}

/* The node behind the last one hangs below no timeline: its first child is the first root. */
static void tree_link(struct tree_node *nodes, const struct history *history)
{
    size_t count = history->timeline_count;

    for (size_t i = 0; i <= count; i++)
        nodes[i] = (struct tree_node){ TREE_NONE, TREE_NONE, TREE_NONE };
    for (size_t i = count; i-- > 0;) {
        uint32_t parent = history->timelines[i].info.parent_timeline;
        nodes[i].parent = parent == 0 ? TREE_NONE : tree_index_of(history, parent, i);
        struct tree_node *above =
            &nodes[nodes[i].parent == TREE_NONE ? (ptrdiff_t)count : nodes[i].parent];
        nodes[i].next_sibling = above->first_child;
        above->first_child = (ptrdiff_t)i;
    }
}

/* Owned: "|  `- 00000005". */
static char *tree_name(
    const struct history *history, const struct tree_node *nodes, ptrdiff_t index)
{
    const char *leads[TREE_DEPTH_MAX];
    size_t depth = 0;
    auto_buf struct buf name = BUF_INIT(TREE_DEPTH_MAX * 3 + 32);

    for (ptrdiff_t i = index; nodes[i].parent != TREE_NONE && depth < TREE_DEPTH_MAX;
         i = nodes[i].parent) {
        bool has_more = nodes[i].next_sibling != TREE_NONE;
        if (i == index)
            leads[depth++] = has_more ? "|- " : "`- ";
        else
            leads[depth++] = has_more ? "|  " : "   ";
    }
    while (depth-- > 0)
        buf_put_format(&name, "%s", leads[depth]);
    buf_put_format(&name, "%08x", history->timelines[index].info.timeline);
    if (index > 0 && (size_t)index + 1 == history->timeline_count)
        buf_put_format(&name, " (newest)");
    buf_put_u8(&name, 0);
    return text_copy((const char *)name.data);
}

static struct tree_row tree_row_of(
    const struct history *history, const struct tree_node *nodes, ptrdiff_t index)
{
    const struct history_timeline *timeline = &history->timelines[index];
    struct tree_row row = {
        .name = tree_name(history, nodes, index),
        .parent_txid = timeline->info.parent_txid,
        .parent_ms = timeline->parent_ms,
        .claimed_ms = timeline->info.time_ms,
        .writer = timeline->info.writer,
    };

    if (timeline->window_count > 0) {
        row.first_txid = timeline->windows[0].first_txid;
        row.last_txid = timeline->windows[timeline->window_count - 1].last_txid;
        row.last_ms = timeline->windows[timeline->window_count - 1].last_ms;
    }
    return row;
}

/* Depth first: below, else beside, else beside the nearest one above that has something there. */
static ptrdiff_t tree_next(const struct tree_node *nodes, ptrdiff_t index)
{
    if (nodes[index].first_child != TREE_NONE)
        return nodes[index].first_child;
    while (index != TREE_NONE && nodes[index].next_sibling == TREE_NONE)
        index = nodes[index].parent;
    return index == TREE_NONE ? TREE_NONE : nodes[index].next_sibling;
}

void history_tree_print(const struct history *history)
{
    size_t count = history->timeline_count;
    auto_free struct tree_node *nodes = mem_new_array(count + 1, sizeof *nodes);
    auto_free struct tree_row *rows = mem_new_array(count + 1, sizeof *rows);
    struct output_rows list = { tree_columns, array_count(tree_columns), rows, sizeof *rows, 0 };

    tree_link(nodes, history);
    for (ptrdiff_t i = nodes[count].first_child; i != TREE_NONE; i = tree_next(nodes, i))
        rows[list.row_count++] = tree_row_of(history, nodes, i);
    output_table(&list, 0);
    for (size_t i = 0; i < list.row_count; i++)
        free((char *)(uintptr_t)rows[i].name);
}
