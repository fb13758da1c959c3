/*
 * merge - see replica/merge.h
 */
#include "replica/merge.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "merge_files_priv.h"
#include "merge_step_priv.h"
#include "segment/dir.h"
#include "segment/reader.h"
#include "view_priv.h"

/*
 * How long a hole is believed before the store is asked again: until the window is over, a minute
 * at most; doubled each time.
 */
enum { MERGE_LOOK_FIRST_MS_MAX = 60 * 1000, MERGE_LOOK_MAX_MS = 60 * 60 * 1000 };

struct merger {
    struct merge_place place;
    struct database_id database_id;
    struct rules rules;
    uint64_t kept_size_max;
    char *windows_folder;
    char *kept_folder;

    struct merge_book book;
    bool is_loaded;
    bool is_cut;              /* there was more to list */
    uint64_t made_since_load; /* merged segments */
    bool is_lost;             /* a window was lost since the book was loaded */
    int64_t look_ms;          /* wall clock: not loaded again before, though there is a hole */
    int64_t look_wait_ms;
};

static int64_t merger_look_first_ms(const struct merger *merger)
{
    int64_t wait_ms = merger->rules.count > 1 ? 2 * merger->rules.rules[1].every_ms : 0;

    return wait_ms < MERGE_LOOK_FIRST_MS_MAX ? wait_ms : MERGE_LOOK_FIRST_MS_MAX;
}

struct merger *merger_new(struct replica *replica, const struct merger_options *options)
{
    struct merger *merger = mem_new(sizeof *merger);

    assert(options->rules->count > 0);
    merger->windows_folder = text_copy(options->windows_folder);
    merger->kept_folder = text_copy(options->kept_folder);
    merger->place = (struct merge_place){
        .replica = replica,
        .timeline = options->timeline,
        .windows_folder = merger->windows_folder,
        .kept_folder = merger->kept_folder,
        .cancel = options->cancel,
    };
    merger->database_id = options->database_id;
    merger->rules = *options->rules;
    merger->kept_size_max = options->kept_size_max;
    merger->book = MERGE_BOOK_INIT;
    merger->book.top_level = (unsigned)options->rules->count - 1;
    merger->look_wait_ms = merger_look_first_ms(merger);
    return merger;
}

void merger_free(struct merger *merger)
{
    if (merger == NULL)
        return;
    merge_book_release(&merger->book);
    free(merger->windows_folder);
    free(merger->kept_folder);
    free(merger);
}

void merger_note_lost(struct merger *merger)
{
    merger->is_lost = true;
}

uint64_t merger_size(const struct merger *merger)
{
    return merger->book.size;
}

void merger_reset_size(struct merger *merger)
{
    merger->book.size = 0;
}

/* ---- what the store has */

struct merge_listing {
    struct merge_book *book;
    size_t coarser_count; /* of the book: its first ones are of coarser levels */
    size_t count;
    uint64_t from_txid; /* what ends before is not needed */
    bool is_cut;
};

static bool merge_listing_has(const struct merge_listing *listing, const struct segment_name *name)
{
    for (size_t index = 0; index < listing->coarser_count; index++) {
        const struct segment_name *coarser = &listing->book->sources[index].name;
        if (coarser->min_txid <= name->min_txid && coarser->max_txid >= name->max_txid)
            return true;
    }
    return false;
}

static rc merge_list_each(void *payload, const struct store_object *object, struct error *err)
{
    struct merge_listing *listing = payload;
    struct replica_key key;

    TRY(replica_key_parse(&key, object->key, err));
    if (key.kind != REPLICA_KEY_SEGMENT || key.name.max_txid < listing->from_txid ||
        merge_listing_has(listing, &key.name))
        return RC_OK;
    if (listing->count++ == MERGE_BOOK_COUNT_MAX / 2) {
        listing->is_cut = true;
        return RC_EXISTS; /* the rest when these are merged */
    }
    struct merge_source source = { key.level, key.name, object->size };
    merge_book_append(listing->book, &source);
    return RC_OK;
}

/* The segments of LEVEL that end at FROM_TXID or behind, the oldest of them when they are many. */
static rc merge_list_level(
    struct merger *merger, unsigned level, uint64_t from_txid, struct error *err)
{
    char prefix[REPLICA_KEY_SIZE];
    struct merge_listing listing = {
        .book = &merger->book,
        .coarser_count = merger->book.count,
        .from_txid = from_txid,
    };

    replica_key_level(prefix, merger->place.timeline, level);
    rc code =
        store_list(merger->place.replica->store, prefix, NULL, merge_list_each, &listing, err);
    merger->is_cut = merger->is_cut || listing.is_cut;
    return code == RC_OK || listing.is_cut ? RC_OK : error_wrap(err, code, "list '%s'", prefix);
}

/* From the coarsest level to the finest: what a coarser one holds without a hole is left out. */
static rc merger_load(struct merger *merger, struct error *err)
{
    uint64_t size = merger->book.size;

    merger->book.count = 0;
    merger->is_cut = false;
    merger->made_since_load = 0;
    for (unsigned level = (unsigned)merger->rules.count; level-- > 0;) {
        uint64_t from_txid = merge_book_row_end(&merger->book, level + 1);
        TRY(merge_list_level(merger, level, from_txid, err));
    }
    merge_book_prune(&merger->book);
    merger->book.size = size;
    merger->is_loaded = true;
    merger->is_lost = false;
    return RC_OK;
}

/* ---- what waits */

/* Whether FILE is of the timeline; what was left by another history is not to be stored. */
static rc merge_file_is_ours(const struct merger *merger, const struct segment_file *file,
    const struct segment_name *name, bool *ret, struct error *err)
{
    auto_segment_reader struct segment_reader *reader = NULL;

    TRY(segment_reader_open(&reader, file->source, err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    *ret = identity->kind == SEGMENT_MERGED && identity->timeline == merger->place.timeline &&
           memcmp(&identity->database_id, &merger->database_id, sizeof merger->database_id) == 0 &&
           identity->min_txid == name->min_txid &&
           segment_reader_summary(reader)->max_txid == name->max_txid;
    return RC_OK;
}

static rc merge_put_file(struct merger *merger, unsigned level, const struct segment_entry *entry,
    const struct segment_file *file, struct merge_report *report, struct error *err)
{
    struct replica_segment segment = {
        .timeline = merger->place.timeline,
        .level = level,
        .name = entry->name,
    };
    rc put = replica_put_segment(merger->place.replica, &segment, &file->source, err);

    /* Made before and stored, then made again from other sources: one is as good as the other. */
    if (put != RC_OK && put != RC_MISMATCH)
        return put;
    struct merge_source source = { level, entry->name, entry->size };
    merge_book_add(&merger->book, &source);
    report->stored_count += put == RC_OK;
    report->stored_size += put == RC_OK ? entry->size : 0;
    return put == RC_OK ? merge_file_keep(
                              merger->windows_folder, merger->kept_folder, level, &entry->name, err)
                        : RC_EXISTS;
}

/* Of a level that the rules had once. */
static rc merge_drop_level(struct merger *merger, unsigned level, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *folder = merge_folder(merger->windows_folder, level);

    TRY(merge_folder_list(&list, merger->windows_folder, level, err));
    for (size_t index = 0; index < list.count; index++)
        TRY(segment_dir_remove(folder, &list.entries[index].name, err));
    return RC_OK;
}

/* Stored and kept, or removed when it is nothing that could be. */
static rc merge_store_file(struct merger *merger, unsigned level, const struct segment_entry *entry,
    struct merge_report *report, struct error *err)
{
    auto_free char *folder = merge_folder(merger->windows_folder, level);
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;
    bool is_ours = false;

    TRY(segment_dir_open(&file, folder, &entry->name, err));
    rc code = merge_file_is_ours(merger, &file, &entry->name, &is_ours, err);
    if (code != RC_OK && code != RC_CORRUPT)
        return code;
    if (is_ours) {
        code = merge_put_file(merger, level, entry, &file, report, err);
        if (code != RC_EXISTS)
            return code;
    }
    return segment_dir_remove(folder, &entry->name, err);
}

static rc merger_store_waiting(
    struct merger *merger, uint64_t durable_txid, struct merge_report *report, struct error *err)
{
    for (unsigned level = (unsigned)merger->rules.count; level <= REPLICA_LEVEL_MAX; level++)
        TRY(merge_drop_level(merger, level, err));
    for (unsigned level = 1; level < merger->rules.count; level++) {
        auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
        TRY(merge_folder_list(&list, merger->windows_folder, level, err));
        for (size_t index = 0; index < list.count; index++) {
            if (cancel_asked(merger->place.cancel))
                FAIL(err, RC_CANCELLED, "merging was cancelled");
            if (list.entries[index].name.max_txid <= durable_txid)
                TRY(merge_store_file(merger, level, &list.entries[index], report, err));
        }
    }
    return RC_OK;
}

/* ---- what is due */

static struct merge_sight merger_sight(
    const struct merger *merger, uint64_t durable_txid, int64_t wall_ms)
{
    return (struct merge_sight){
        .sources = merger->book.sources,
        .source_count = merger->book.count,
        .rules = &merger->rules,
        .now_ms = wall_ms,
        .newest_txid = durable_txid,
    };
}

/* The sources cannot be merged: without them, what is behind them can. */
static void merger_give_up(struct merger *merger, const struct merge_step *step)
{
    for (size_t index = 0; index < step->source_count; index++)
        merge_book_remove(&merger->book, &step->sources[index]);
}

/* Kept files are the first to be suspected, since the store's are checked by others as well. */
static rc merger_make(struct merger *merger, const struct merge_step *step, struct merge_made *made,
    struct error *err)
{
    struct merge_place stored = merger->place;

    rc run = merge_step_run(&merger->place, step, made, err);
    if (run != RC_CORRUPT && run != RC_MISMATCH)
        return run;
    stored.kept_folder = NULL;
    return merge_step_run(&stored, step, made, err);
}

static rc merger_step(struct merger *merger, uint64_t durable_txid, int64_t wall_ms,
    struct merge_report *report, struct error *err)
{
    struct merge_sight sight = merger_sight(merger, durable_txid, wall_ms);
    auto_merge_step struct merge_step step = MERGE_STEP_INIT;
    struct merge_made made;
    struct error why = { 0 };

    if (!merge_plan_next(&step, &sight)) {
        report->due_ms = merge_plan_due_ms(&sight);
        return RC_OK;
    }
    report->is_more = true;
    rc run = merger_make(merger, &step, &made, &why);
    report->fetched_size += made.fetched_size;
    if (run == RC_NOT_FOUND || run == RC_CORRUPT || run == RC_MISMATCH || run == RC_UNSUPPORTED) {
        merger_give_up(merger, &step);
        report->given_up++;
        report->why = why;
        return RC_OK;
    }
    if (run != RC_OK) {
        *err = why;
        return run;
    }
    report->made_count++;
    merger->made_since_load++;
    report->source_size += made.source_size;
    return merger_store_waiting(merger, durable_txid, report, err);
}

/* A hole is what another look at the store may close. */
static void merger_note_hole(struct merger *merger, int64_t wall_ms, struct merge_report *report)
{
    bool is_due = merger->is_lost || merge_book_has_hole(&merger->book);

    if (merger->is_cut && merger->made_since_load > 0) {
        merger->is_loaded = false;
        report->is_more = true;
        return;
    }
    if (!is_due) {
        merger->look_wait_ms = merger_look_first_ms(merger);
        merger->look_ms = 0;
        return;
    }
    if (merger->look_ms == 0) {
        merger->look_ms = wall_ms + merger->look_wait_ms;
        if (merger->look_wait_ms < MERGE_LOOK_MAX_MS)
            merger->look_wait_ms *= 2;
    }
    if (wall_ms >= merger->look_ms) {
        merger->look_ms = 0;
        merger->is_loaded = false;
        report->is_more = true;
        return;
    }
    if (report->due_ms == 0 || merger->look_ms < report->due_ms)
        report->due_ms = merger->look_ms;
}

static rc merger_run_all(struct merger *merger, uint64_t durable_txid, int64_t wall_ms,
    struct merge_report *report, struct error *err)
{
    if (!merger->is_loaded)
        TRY(merger_load(merger, err));
    TRY(merger_store_waiting(merger, durable_txid, report, err));
    merge_book_prune(&merger->book);
    TRY(merger_step(merger, durable_txid, wall_ms, report, err));
    merge_book_prune(&merger->book);
    if (!report->is_more)
        merger_note_hole(merger, wall_ms, report);
    return merge_files_sweep(merger->kept_folder, &merger->book, merger->kept_size_max, err);
}

rc merger_run(struct merger *merger, uint64_t durable_txid, int64_t wall_ms,
    struct merge_report *ret, struct error *err)
{
    *ret = (struct merge_report){ 0 };
    if (merger->rules.count < 2)
        return RC_OK;
    return merger_run_all(merger, durable_txid, wall_ms, ret, err);
}
