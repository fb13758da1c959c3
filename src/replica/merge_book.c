/*
 * merge_book - see merge_book_priv.h
 */
#include "merge_book_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "replica/replica.h"

void merge_book_release(struct merge_book *book)
{
    free(book->sources);
    *book = MERGE_BOOK_INIT;
}

static bool merge_name_equal(const struct segment_name *left, const struct segment_name *right)
{
    return left->min_txid == right->min_txid && left->max_txid == right->max_txid &&
           left->time_ms == right->time_ms;
}

bool merge_book_has(const struct merge_book *book, unsigned level, const struct segment_name *name)
{
    for (size_t index = 0; index < book->count; index++) {
        if (book->sources[index].level == level &&
            merge_name_equal(&book->sources[index].name, name))
            return true;
    }
    return false;
}

/* Windows that are open at the next level come and go; their segments do not count. */
static bool merge_book_counts(const struct merge_book *book, unsigned level)
{
    return level > 1 || (level == 1 && book->top_level == 1);
}

static int merge_book_compare_ends(const void *left, const void *right)
{
    const struct merge_source *a = left;
    const struct merge_source *b = right;

    return (a->name.max_txid > b->name.max_txid) - (a->name.max_txid < b->name.max_txid);
}

/* What could not be merged for so long is left to the store as it is. */
static void merge_book_forget_oldest(struct merge_book *book)
{
    size_t count = book->count / 4;

    qsort(book->sources, book->count, sizeof *book->sources, merge_book_compare_ends);
    book->count -= count;
    memmove(book->sources, book->sources + count, book->count * sizeof *book->sources);
}

void merge_book_append(struct merge_book *book, const struct merge_source *source)
{
    if (book->count == MERGE_BOOK_COUNT_MAX)
        merge_book_forget_oldest(book);
    if (book->count == book->capacity) {
        book->capacity = book->capacity * 2 + 16;
        book->sources = mem_resize(book->sources, book->capacity * sizeof *book->sources);
    }
    book->sources[book->count++] = *source;
    if (merge_book_counts(book, source->level))
        book->size += source->size;
}

void merge_book_add(struct merge_book *book, const struct merge_source *source)
{
    if (!merge_book_has(book, source->level, &source->name))
        merge_book_append(book, source);
}

static void merge_book_take_out(struct merge_book *book, size_t index)
{
    book->sources[index] = book->sources[--book->count];
}

void merge_book_remove(struct merge_book *book, const struct merge_source *source)
{
    for (size_t index = 0; index < book->count; index++) {
        if (book->sources[index].level == source->level &&
            merge_name_equal(&book->sources[index].name, &source->name)) {
            merge_book_take_out(book, index);
            return;
        }
    }
}

/* By beginning; of those that begin together the longest and coarsest first. */
static int merge_book_compare(const void *left, const void *right)
{
    const struct merge_source *a = left;
    const struct merge_source *b = right;

    if (a->name.min_txid != b->name.min_txid)
        return a->name.min_txid < b->name.min_txid ? -1 : 1;
    if (a->name.max_txid != b->name.max_txid)
        return a->name.max_txid > b->name.max_txid ? -1 : 1;
    return (a->level < b->level) - (a->level > b->level);
}

/* Where the newest segment of the top level begins and ends; 0 when there is none. */
static struct segment_name merge_book_newest_top(const struct merge_book *book)
{
    struct segment_name newest = { 0 };

    for (size_t index = 0; index < book->count; index++) {
        const struct merge_source *source = &book->sources[index];
        if (source->level == book->top_level && source->name.max_txid > newest.max_txid)
            newest = source->name;
    }
    return newest;
}

/* FURTHEST: of each level, the largest end of the segments before this one. */
static bool merge_book_is_covered(const struct merge_source *source, const uint64_t *furthest)
{
    for (unsigned level = source->level + 1; level <= REPLICA_LEVEL_MAX; level++) {
        if (furthest[level] >= source->name.max_txid)
            return true;
    }
    return source->level > 0 && furthest[source->level] == source->name.max_txid;
}

void merge_book_prune(struct merge_book *book)
{
    struct segment_name top = merge_book_newest_top(book);
    uint64_t furthest[REPLICA_LEVEL_MAX + 1] = { 0 };
    size_t kept = 0;

    if (book->count > 0)
        qsort(book->sources, book->count, sizeof *book->sources, merge_book_compare);
    for (size_t index = 0; index < book->count; index++) {
        struct merge_source source = book->sources[index];
        bool is_covered = merge_book_is_covered(&source, furthest);
        uint64_t needed_txid = source.level == book->top_level ? top.max_txid : top.min_txid;

        if (source.name.max_txid > furthest[source.level])
            furthest[source.level] = source.name.max_txid;
        if (is_covered && merge_book_counts(book, source.level))
            book->size -= source.size < book->size ? source.size : book->size;
        if (!is_covered && source.name.max_txid >= needed_txid)
            book->sources[kept++] = source;
    }
    book->count = kept;
}

uint64_t merge_book_row_end(const struct merge_book *book, unsigned level)
{
    auto_free struct merge_source *row = mem_new_array(book->count + 1, sizeof *row);
    size_t count = 0;
    uint64_t end_txid = 0;

    for (size_t index = 0; index < book->count; index++) {
        if (book->sources[index].level >= level)
            row[count++] = book->sources[index];
    }
    qsort(row, count, sizeof *row, merge_book_compare);
    for (size_t index = 0; index < count; index++) {
        if (end_txid != 0 && row[index].name.min_txid > end_txid + 1)
            break;
        if (row[index].name.max_txid > end_txid)
            end_txid = row[index].name.max_txid;
    }
    return end_txid;
}

bool merge_book_has_hole(const struct merge_book *book)
{
    uint64_t newest_txid = 0;

    for (size_t index = 0; index < book->count; index++) {
        if (book->sources[index].name.max_txid > newest_txid)
            newest_txid = book->sources[index].name.max_txid;
    }
    return merge_book_row_end(book, 0) != newest_txid;
}
