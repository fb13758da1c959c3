/*
 * spool_merge - the level-0 segments that wait for a store become one merged segment, in slices
 *
 *   COLLECT   which pages the waiting segments changed: from their indexes, no block is read
 *   PAGES     those pages as of the transaction at which it began, ascending, into a pending file
 *   REMOVE    the segments that it covers
 *
 * Capture goes on between any two slices, and the pin moves as ever: a page that is about to change
 * and was not written yet is kept before (spool_merge_keep()). So the log does not grow because of
 * a merge, and no lock of the database is held for it. Every page is checked by the digest that it
 * had then: the map's as long as it has not changed, the kept one's afterwards.
 *
 * Memory: a bit a page (page_set.h), twice; the list of the spool; one block of the encoder.
 *
 * What if the process dies
 *   - before the rename: the pending file is swept and the scratch file has no name; all sources
 *     are there.
 *   - after the rename, or the folder's fsync fails: merged segment and sources are both there.
 *     Readers leave out what is covered, and a crash that undoes the rename leaves the sources.
 *   - among the removals: what is left of the sources is covered, and swept at the next open.
 * The newest level-0 segment is never removed: its trailer is the position. Sources are removed
 * only after the merged segment and its folder are synced.
 *
 * What if the store comes back meanwhile: sources that are stored and removed under our hands drop
 * out, together with what was before them; a source that is being uploaded stays readable when it
 * is removed, and then both it and the merged segment are in the store, which restores accept. When
 * little is left, the merge is given up.
 */
#include "capture_priv.h"

#include "base/alloc.h"
#include "base/text.h"
#include "codec/digest.h"
#include "kept_pages_priv.h"
#include "segment/dir.h"
#include "segment/page_set.h"
#include "segment/pages_encoder.h"
#include "segment/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    MERGE_SOURCES_PER_SLICE = 32,
    MERGE_BYTES_PER_SLICE = 1 << 20,
    MERGE_REMOVALS_PER_SLICE = 256,
    MERGE_RETRY_MS = 60 * 1000,
    MERGE_SIZE_MIN = 256 << 10, /* less is not worth a merge, however full the disk is */
    MERGE_ROOM_RATIO = 4,       /* pages are expected to pack to no less than this part */
};

enum merge_phase { MERGE_COLLECT, MERGE_PAGES, MERGE_REMOVE };

/* What the segments say that were collected so far; they follow one another without a gap. */
struct merge_sources {
    size_t count;
    struct segment_identity identity; /* of the merged segment that they make */
    struct segment_summary last;
    int64_t first_time_ms;
    uint64_t first_point; /* txid of the first one that they let choose */
    uint64_t size;        /* of the level-0 ones, on disk */
};

struct spool_merge {
    enum merge_phase phase;
    bool is_window;           /* of what capture_window() closed: nothing is collected or removed */
    char *folder;             /* where it appears */
    struct segment_list list; /* the spool when it began */
    size_t next;              /* of the list: to be collected, then to be removed */
    uint64_t worth_size;      /* given up when the sources are smaller */
    uint64_t stored_size;     /* of the merged segment */
    struct capture_position end;
    struct merge_sources sources;
    struct page_set pages;
    struct kept_pages kept;
    uint32_t last_pgno; /* written */
    uint8_t *page;
    struct pending_file pending;
    bool is_spent; /* its end was tried: there is no second time */
    struct pages_encoder *encoder;
    struct error failed; /* why it cannot go on */
};

static void spool_merge_free(struct spool_merge *merge)
{
    if (merge == NULL)
        return;
    pages_encoder_free(merge->encoder);
    pending_file_abort(&merge->pending);
    kept_pages_release(&merge->kept);
    page_set_release(&merge->pages);
    segment_list_release(&merge->list);
    free(merge->page);
    free(merge->folder);
    free(merge);
}

void spool_merge_abort(struct spool *spool)
{
    spool_merge_free(TAKE(spool->merge));
}

rc spool_merge_keep(
    struct capture *capture, uint32_t pgno, const struct log_place *place, struct error *err)
{
    struct spool_merge *merge = capture->spool.merge;

    if (merge == NULL || merge->phase == MERGE_REMOVE || merge->failed.code != RC_OK)
        return RC_OK;
    if (pgno > merge->end.page_count || pgno <= merge->last_pgno ||
        kept_pages_has(&merge->kept, pgno))
        return RC_OK;
    if (merge->phase == MERGE_PAGES && !page_set_has(&merge->pages, pgno) &&
        pgno <= merge->sources.identity.parent_page_count)
        return RC_OK;

    struct error failed = { 0 };
    rc kept = image_read_known(capture, place, pgno, merge->page, &failed);
    if (kept == RC_OK)
        kept = kept_pages_put(
            &merge->kept, pgno, merge->page, digest_map_page(capture->folder.map, pgno), &failed);
    if (kept != RC_BUSY) {
        merge->failed = failed;
        return RC_OK;
    }
    /* Somebody is writing the log's index: the frame is copied when it can be read again. */
    if (err != NULL)
        *err = failed;
    return kept;
}

/* ---- when */

/* How much level 0 may wait before it is merged. */
static rc spool_merge_limit(const struct capture *capture, uint64_t *ret, struct error *err)
{
    const struct spool *spool = &capture->spool;
    uint64_t limit = spool->merged_size / 2;
    uint64_t room = 0;

    if (limit < spool->size_max)
        limit = spool->size_max;
    TRY(spool_room(capture, &room, err));
    if (room < MERGE_SIZE_MIN)
        room = MERGE_SIZE_MIN;
    *ret = limit < room ? limit : room;
    return RC_OK;
}

static rc spool_merge_is_due(
    struct capture *capture, int64_t now_ms, uint64_t *ret_limit, bool *ret, struct error *err)
{
    struct spool *spool = &capture->spool;

    *ret = false;
    if (now_ms < spool->merge_due_ms || capture->in_doubt)
        return RC_OK;
    if (!spool->is_counted)
        TRY(spool_count(capture, err));
    TRY(spool_merge_limit(capture, ret_limit, err));
    if (spool->waiting_size <= *ret_limit)
        return RC_OK;
    /* What was stored meanwhile does not count. */
    TRY(spool_count(capture, err));
    TRY(spool_merge_limit(capture, ret_limit, err));
    *ret = spool->waiting_size > *ret_limit;
    return RC_OK;
}

static struct spool_merge *spool_merge_new(struct capture *capture)
{
    const struct capture_position *end = capture_now(capture);
    struct spool_merge *merge = mem_new(sizeof *merge);

    merge->end = *end;
    merge->pages = PAGE_SET_INIT;
    merge->pending = PENDING_FILE_INIT;
    merge->page = mem_new(end->page_size);
    kept_pages_init(&merge->kept, capture->folder.folder, end->page_size, end->page_count);
    return merge;
}

static rc spool_merge_begin(struct capture *capture, uint64_t limit, struct error *err)
{
    struct spool_merge *merge = spool_merge_new(capture);

    merge->worth_size = limit / 2;
    merge->folder = segment_dir_merged(capture->folder.spool);
    rc listed = segment_dir_list_spool(&merge->list, capture->folder.spool, err);
    if (listed != RC_OK) {
        spool_merge_free(merge);
        return listed;
    }
    capture->spool.merge = merge;
    return RC_OK;
}

/* ---- collect */

static void merge_sources_forget(struct spool_merge *merge)
{
    merge->sources = (struct merge_sources){ 0 };
    page_set_release(&merge->pages);
}

/* Whether the segment is of the history that ends where we are. */
static bool merge_is_ours(const struct spool_merge *merge, const struct segment_identity *identity)
{
    const struct capture_position *end = &merge->end;

    return identity->timeline == end->timeline && identity->page_size == end->page_size &&
           memcmp(&identity->database_id, &end->database_id, sizeof end->database_id) == 0;
}

static bool merge_follows(
    const struct merge_sources *sources, const struct segment_identity *identity)
{
    return sources->count > 0 && identity->min_txid == sources->last.max_txid + 1 &&
           identity->parent_digest == sources->last.digest;
}

static rc merge_add_page(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct spool_merge *merge = payload;

    (void)digest;
    (void)err;
    if (pgno <= merge->end.page_count)
        page_set_add(&merge->pages, pgno);
    return RC_OK;
}

static rc merge_add_source(struct spool_merge *merge, const struct segment_entry *entry,
    struct segment_reader *reader, struct error *err)
{
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    struct merge_sources *sources = &merge->sources;

    if (!merge_follows(sources, identity))
        merge_sources_forget(merge);
    if (!merge_is_ours(merge, identity)) {
        merge_sources_forget(merge);
        return RC_OK;
    }
    TRY(segment_reader_each_digest(reader, merge_add_page, merge, err));

    if (sources->count == 0) {
        sources->identity = *identity;
        sources->identity.kind = SEGMENT_MERGED;
        sources->first_time_ms = summary->first_time_ms;
        sources->first_point = entry->is_merged ? summary->max_txid : identity->min_txid;
    }
    sources->last = *summary;
    sources->count++;
    if (!entry->is_merged)
        sources->size += spool_disk_size(entry->size);
    return RC_OK;
}

static rc merge_collect_one(struct spool_merge *merge, const char *spool_folder,
    const struct segment_entry *entry, struct error *err)
{
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;
    auto_segment_reader struct segment_reader *reader = NULL;
    auto_free char *merged_folder = segment_dir_merged(spool_folder);

    rc opened =
        segment_dir_open(&file, entry->is_merged ? merged_folder : spool_folder, &entry->name, err);
    if (opened == RC_NOT_FOUND) {
        /* Stored since the spool was listed, and so is all that was before it. */
        merge_sources_forget(merge);
        return RC_OK;
    }
    TRY(opened);
    TRY(segment_reader_open(&reader, file.source, err));
    return merge_add_source(merge, entry, reader, err);
}

/* It is known what is to be written: whether there is room. */
static rc merge_begin_pages(struct capture *capture, struct spool_merge *merge, struct error *err)
{
    uint64_t size = merge->pages.count * merge->end.page_size;
    uint64_t room = 0;

    TRY(spool_room(capture, &room, err));
    if (room < size / MERGE_ROOM_RATIO)
        FAIL(err, RC_NO_SPACE, "no room to merge %llu pages; %llu KiB are free above the reserve",
            (unsigned long long)merge->pages.count, (unsigned long long)room >> 10);

    TRY(segment_dir_begin(&merge->pending, merge->folder, err));
    TRY(pages_encoder_new(&merge->encoder, &merge->sources.identity,
        pending_file_sink(&merge->pending), capture->folder.folder, err));
    merge->phase = MERGE_PAGES;
    return RC_OK;
}

/* Everything was collected: whether it is worth it. */
static rc merge_collect_end(
    struct capture *capture, struct spool_merge *merge, bool *ret_worth, struct error *err)
{
    const struct merge_sources *sources = &merge->sources;

    *ret_worth = sources->count > 0 && sources->last.max_txid == merge->end.txid &&
                 sources->size > merge->worth_size;
    if (!*ret_worth)
        return RC_OK;
    if (sources->last.digest != merge->end.digest)
        FAIL(err, RC_CORRUPT, "the newest segment in '%s' is not the position's",
            capture->folder.spool);
    return merge_begin_pages(capture, merge, err);
}

/* A slice; *RET_WORTH false: there is nothing to merge after all. */
static rc merge_collect(
    struct capture *capture, struct spool_merge *merge, bool *ret_worth, struct error *err)
{
    *ret_worth = true;
    for (unsigned count = 0; count < MERGE_SOURCES_PER_SLICE && merge->next < merge->list.count;) {
        const struct segment_entry *entry = &merge->list.entries[merge->next++];
        if (entry->is_covered || entry->name.max_txid <= capture->spool.stored_txid)
            continue;
        TRY(merge_collect_one(merge, capture->folder.spool, entry, err));
        count++;
    }
    if (merge->next < merge->list.count)
        return RC_OK;
    return merge_collect_end(capture, merge, ret_worth, err);
}

/* ---- pages */

/* The next page to write: those that changed, and all that the database grew by. 0: none. */
static uint32_t merge_next_pgno(const struct spool_merge *merge)
{
    uint32_t pgno = merge->last_pgno + 1;

    if (pgno <= merge->sources.identity.parent_page_count) {
        uint32_t member = page_set_after(&merge->pages, merge->last_pgno);
        uint32_t grown = merge->sources.identity.parent_page_count + 1;
        pgno = member != 0 && member < grown ? member : grown;
    }
    if (pgno == lock_page_of(merge->end.page_size))
        pgno++;
    return pgno <= merge->end.page_count ? pgno : 0;
}

static rc merge_write_page(
    struct capture *capture, struct spool_merge *merge, uint32_t pgno, struct error *err)
{
    uint64_t digest = digest_map_page(capture->folder.map, pgno);
    struct bytes page = bytes_of(merge->page, merge->end.page_size);

    if (kept_pages_has(&merge->kept, pgno))
        TRY(kept_pages_get(&merge->kept, pgno, merge->page, &digest, err));
    else
        TRY(capture_read_page(capture, pgno, merge->page, err));
    TRY(pages_encoder_add(merge->encoder, pgno, page, merge->end.txid, digest, err));
    merge->last_pgno = pgno;
    return RC_OK;
}

static rc merge_commit(struct capture *capture, struct spool_merge *merge, struct error *err)
{
    const struct merge_sources *sources = &merge->sources;
    struct segment_summary summary = {
        .max_txid = merge->end.txid,
        .digest = merge->end.digest,
        .page_count = merge->end.page_count,
        .first_time_ms = sources->first_time_ms,
        .last_time_ms = merge->end.time_ms,
    };
    struct segment_name name = {
        .min_txid = sources->identity.min_txid,
        .max_txid = merge->end.txid,
        .time_ms = merge->end.time_ms,
    };

    merge->is_spent = true;
    TRY(pages_encoder_finish(merge->encoder, &summary, err));
    TRY(segment_dir_commit(&merge->pending, merge->folder, &name, err));
    merge->stored_size = summary.stored_size;
    if (!merge->is_window) {
        capture->spool.merged_size = spool_disk_size(summary.stored_size);
        capture->spool.is_counted = false;
    }
    kept_pages_release(&merge->kept);
    merge->phase = MERGE_REMOVE;
    merge->next = 0;
    return RC_OK;
}

static rc merge_pages(struct capture *capture, struct spool_merge *merge, struct error *err)
{
    uint64_t room = 0;

    if (capture->in_doubt)
        FAIL(err, RC_BUSY, "the database must be compared with its digests first");
    TRY(spool_room(capture, &room, err));
    if (room < MERGE_BYTES_PER_SLICE)
        FAIL(err, RC_NO_SPACE, "no room to go on merging the spool '%s'", capture->folder.spool);
    for (uint64_t size = 0; size < MERGE_BYTES_PER_SLICE; size += merge->end.page_size) {
        uint32_t pgno = merge_next_pgno(merge);
        if (pgno == 0)
            return merge_commit(capture, merge, err);
        TRY(merge_write_page(capture, merge, pgno, err));
    }
    return RC_OK;
}

/* ---- remove */

static bool merge_covers(const struct capture *capture, const struct spool_merge *merge,
    const struct segment_entry *entry)
{
    const struct segment_name *name = &entry->name;

    if (name->min_txid < merge->sources.identity.min_txid || name->max_txid > merge->end.txid)
        return false;
    bool is_position = !entry->is_merged && name->max_txid == merge->end.txid &&
                       capture->folder.now.position.txid == merge->end.txid;
    return !is_position;
}

static rc merge_remove(struct capture *capture, struct spool_merge *merge, struct error *err)
{
    const char *folder = capture->folder.spool;
    auto_free char *merged_folder = segment_dir_merged(folder);

    for (unsigned count = 0; count < MERGE_REMOVALS_PER_SLICE; count++) {
        if (merge->next == merge->list.count)
            return RC_OK;
        const struct segment_entry *entry = &merge->list.entries[merge->next++];
        if (merge_covers(capture, merge, entry))
            TRY(segment_dir_remove(entry->is_merged ? merged_folder : folder, &entry->name, err));
    }
    return RC_OK;
}

/* ---- slices */

static rc merge_slice(struct capture *capture, struct spool_merge *merge, bool *ret_end,
    struct capture_merge_report *report, struct error *err)
{
    bool is_worth = true;

    *ret_end = false;
    if (merge->failed.code != RC_OK && merge->phase != MERGE_REMOVE) {
        (void)error_copy(err, &merge->failed);
        return error_wrap(err, merge->failed.code, "keep a page for the merge");
    }
    if (merge->phase == MERGE_COLLECT) {
        TRY(merge_collect(capture, merge, &is_worth, err));
    } else if (merge->phase == MERGE_PAGES) {
        TRY(merge_pages(capture, merge, err));
    } else {
        TRY(merge_remove(capture, merge, err));
        *ret_end = merge->next == merge->list.count;
    }
    if (!is_worth)
        *ret_end = true;
    if (*ret_end && is_worth)
        *report = (struct capture_merge_report){
            .done = true,
            .is_window = merge->is_window,
            .min_txid = merge->sources.identity.min_txid,
            .max_txid = merge->end.txid,
            .lost_point_count = merge->is_window ? 0 : merge->end.txid - merge->sources.first_point,
            .stored_size = merge->stored_size,
            .source_size = merge->sources.size,
        };
    return RC_OK;
}

/* What became of a slice, of which RESULT came. */
static rc merge_settle(
    struct capture *capture, int64_t now_ms, rc result, bool is_end, struct error *err)
{
    struct spool *spool = &capture->spool;

    if (result == RC_BUSY && !spool->merge->is_spent)
        return RC_OK; /* the same slice again, a little later */
    if (result == RC_OK && !is_end)
        return RC_OK;
    if (spool->merge->is_window) {
        spool_merge_abort(spool);
        return result == RC_OK ? RC_OK : error_wrap(err, result, "merge a window");
    }
    /* Also when it turned out to be not worth it: what waits is not of this history, or moves. */
    spool->merge_due_ms =
        result == RC_OK && spool->merge->phase == MERGE_REMOVE ? now_ms : now_ms + MERGE_RETRY_MS;
    spool->is_counted = false;
    spool_merge_abort(spool);
    return result == RC_OK ? RC_OK : error_wrap(err, result, "merge the spool");
}

/* More may have come to wait during a merge than the cap; one that was given up is tried again. */
static int64_t merge_due_ms(const struct spool *spool, bool was_in_progress, int64_t now_ms)
{
    if (spool->merge_due_ms > now_ms)
        return spool->merge_due_ms;
    return was_in_progress ? now_ms : 0;
}

rc capture_merge(struct capture *capture, uint64_t stored_txid, int64_t monotonic_ms,
    struct capture_merge_report *ret, struct error *err)
{
    struct spool *spool = &capture->spool;
    bool is_due = true;
    bool is_end = false;
    uint64_t limit = 0;

    *ret = (struct capture_merge_report){ 0 };
    if (capture->state != CAPTURE_FOLLOWING)
        FAIL(err, RC_MISMATCH, "capture has stopped; the database must be opened again");
    spool->stored_txid = stored_txid;
    ret->due_ms = merge_due_ms(spool, false, monotonic_ms);
    if (spool->merge == NULL) {
        TRY(spool_merge_is_due(capture, monotonic_ms, &limit, &is_due, err));
        if (!is_due)
            return RC_OK;
        TRY(spool_merge_begin(capture, limit, err));
    }
    bool is_window = spool->merge->is_window;
    rc sliced = merge_slice(capture, spool->merge, &is_end, ret, err);
    rc settled = merge_settle(capture, monotonic_ms, sliced, is_end, err);
    ret->is_window = is_window;
    ret->window_lost = is_window && settled != RC_OK;
    ret->in_progress = spool->merge != NULL;
    ret->due_ms = merge_due_ms(spool, true, monotonic_ms);
    return settled;
}

rc spool_merge_window(struct capture *capture, struct capture_window *window, struct error *err)
{
    assert(capture->spool.merge == NULL);

    const struct capture_position *before = &window->before;
    struct spool_merge *merge = spool_merge_new(capture);
    merge->is_window = true;
    merge->folder = text_copy(capture->folder.windows);
    merge->pages = window->pages;
    window->pages = PAGE_SET_INIT;
    merge->sources = (struct merge_sources){
        .count = 1,
        .identity = {
            .kind = SEGMENT_MERGED,
            .database_id = merge->end.database_id,
            .timeline = merge->end.timeline,
            .page_size = merge->end.page_size,
            .min_txid = before->txid + 1,
            .parent_digest = before->digest,
            .parent_page_count = before->page_count,
        },
        .first_time_ms = window->first_time_ms,
        .first_point = merge->end.txid,
    };
    capture->spool.merge = merge;
    rc begun = merge_begin_pages(capture, merge, err);
    if (begun != RC_OK)
        spool_merge_abort(&capture->spool);
    return begun;
}
