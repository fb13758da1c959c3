/*
 * merge_book - what a merger knows of its timeline: the segments that can still be sources
 *
 * A segment that a coarser one holds is forgotten, and of the coarsest level all but the newest: a
 * bounded number, however long the history is. Pure.
 */
#ifndef SEAWAL_REPLICA_MERGE_BOOK_PRIV_H
#define SEAWAL_REPLICA_MERGE_BOOK_PRIV_H

#include "replica/merge_plan.h"

enum { MERGE_BOOK_COUNT_MAX = 65536 };

struct merge_book {
    struct merge_source *sources;
    size_t count;
    size_t capacity;
    unsigned top_level;
    uint64_t size; /* see merger_size() */
};
#define MERGE_BOOK_INIT ((struct merge_book){ 0 })
void merge_book_release(struct merge_book *book);

/* One that is certainly not there yet. */
void merge_book_append(struct merge_book *book, const struct merge_source *source);

/* One that is there already changes nothing. When it is full, the oldest ones are forgotten. */
void merge_book_add(struct merge_book *book, const struct merge_source *source);

/* Forget what is not needed any more. */
void merge_book_prune(struct merge_book *book);

/* Forget the source itself: it cannot be used. */
void merge_book_remove(struct merge_book *book, const struct merge_source *source);

bool merge_book_has(const struct merge_book *book, unsigned level, const struct segment_name *name);

/*
 * The end of the row without a hole that the segments of LEVEL and coarser ones begin with; 0 when
 * there are none.
 */
uint64_t merge_book_row_end(const struct merge_book *book, unsigned level);

/* Whether a transaction is in no segment, though earlier and later ones are. */
bool merge_book_has_hole(const struct merge_book *book);

#endif
