/*
 * adopt - take over a position whose page digests come from a replica
 *
 * The map is filled page by page and must add up to the position's digest. Segments in the spool
 * that continue that position (not uploaded before the state was damaged) are applied to the map as
 * well, each checked by its own digest, and the position moves along.
 */
#include "capture_priv.h"

#include "base/alloc.h"
#include "base/text.h"
#include "codec/digest.h"
#include "segment/reader.h"

#include <assert.h>

rc capture_drop_spool(struct capture *capture, struct error *err)
{
    assert(capture->state == CAPTURE_IDLE);
    return state_drop_spool(&capture->folder, err);
}

rc capture_adopt_begin(
    struct capture *capture, const struct capture_position *position, struct error *err)
{
    assert(capture->state == CAPTURE_IDLE);
    assert(position->txid > 0);

    struct capture_position from = *position; /* it may be our own, which is forgotten here */
    struct position_file before = capture->folder.now;
    TRY(state_forget(&capture->folder, &from.database_id, from.page_size, true, err));
    capture->folder.now.position = from;
    capture->folder.now.file = before.file;
    capture->folder.now.machine = before.machine;
    capture->folder.now.must_depart = before.must_depart;
    capture->adopted_over = before.position;
    capture->adopting = true;
    return RC_OK;
}

rc capture_adopt_page(struct capture *capture, uint32_t pgno, uint64_t digest, struct error *err)
{
    const struct capture_position *position = capture_now(capture);

    assert(capture->adopting);
    if (pgno == 0 || pgno > position->page_count || pgno == lock_page_of(position->page_size) ||
        digest == PAGE_DIGEST_UNKNOWN)
        FAIL(err, RC_MISMATCH, "page %u does not belong to a database of %u pages", pgno,
            position->page_count);
    return digest_map_fill(capture->folder.map, pgno, digest, err);
}

/* What one spooled segment changes. */
struct adopt_segment {
    struct capture *capture;
    struct capture_position position; /* becomes the one after it */
};

static rc adopt_set(
    struct adopt_segment *segment, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_map *map = segment->capture->folder.map;
    uint64_t before = digest_map_page(map, pgno);

    segment->position.digest = database_digest_replace(segment->position.digest, before, digest);
    return digest_map_set(map, pgno, digest, err);
}

static rc adopt_each_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    return adopt_set(payload, pgno, digest, err);
}

/*
 * A merged segment continues every position inside its range as well (FORMAT.md): what the store
 * has may have been on its way when it was merged here. That all digests add up to the merged
 * segment's proves it.
 */
static bool adopt_continues(
    const struct capture_position *position, const struct segment_identity *identity)
{
    if (identity->kind == SEGMENT_SNAPSHOT || identity->timeline != position->timeline ||
        identity->page_size != position->page_size ||
        memcmp(&identity->database_id, &position->database_id, sizeof identity->database_id) != 0)
        return false;
    if (identity->kind == SEGMENT_MERGED && identity->min_txid <= position->txid)
        return true;
    return identity->min_txid == position->txid + 1 && identity->parent_digest == position->digest;
}

static rc adopt_apply(
    struct adopt_segment *segment, struct segment_reader *reader, struct error *err)
{
    const struct segment_summary *summary = segment_reader_summary(reader);
    struct capture_position *position = &segment->position;

    TRY(segment_reader_each_digest(reader, adopt_each_digest, segment, err));
    for (uint32_t pgno = summary->page_count; pgno < position->page_count; pgno++)
        TRY(adopt_set(segment, pgno + 1, PAGE_DIGEST_UNKNOWN, err));
    if (position->digest != summary->digest)
        FAIL(err, RC_CORRUPT, "page digests do not add up to the segment's digest");

    position->txid = summary->max_txid;
    position->page_count = summary->page_count;
    position->time_ms = summary->last_time_ms;
    return RC_OK;
}

static rc adopt_open(struct capture *capture, const struct segment_entry *entry,
    struct segment_file *file, struct segment_reader **reader, struct error *err)
{
    auto_free char *merged = segment_dir_merged(capture->folder.spool);

    TRY(segment_dir_open(
        file, entry->is_merged ? merged : capture->folder.spool, &entry->name, err));
    return segment_reader_open(reader, file->source, err);
}

/* RC_MISMATCH: it does not continue the position; as after any failure, the map is as it was. */
static rc adopt_segment(
    struct capture *capture, const struct segment_entry *entry, struct error *err)
{
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;
    auto_segment_reader struct segment_reader *reader = NULL;
    struct adopt_segment segment = { .capture = capture, .position = *capture_now(capture) };

    TRY(adopt_open(capture, entry, &file, &reader, err));
    if (!adopt_continues(&segment.position, segment_reader_identity(reader)))
        FAIL(err, RC_MISMATCH, "segment does not continue the position");

    TRY(digest_map_begin(capture->folder.map, segment.position.txid + 1, err));
    rc applied = adopt_apply(&segment, reader, err);
    if (applied != RC_OK) {
        TRY(digest_map_abort(capture->folder.map, err));
        return applied;
    }
    digest_map_commit(capture->folder.map);
    *capture_now(capture) = segment.position;
    *capture_place(capture) = segment_reader_summary(reader)->place;
    return RC_OK;
}

static rc adopt_remove(
    struct capture *capture, const struct segment_entry *entry, struct error *err)
{
    auto_free char *merged = segment_dir_merged(capture->folder.spool);

    return segment_dir_remove(entry->is_merged ? merged : capture->folder.spool, &entry->name, err);
}

/* Whether the segment ends in the position: the same transaction, not merely its number. */
static bool adopt_leads_up(struct capture *capture, const struct segment_entry *entry)
{
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;
    auto_segment_reader struct segment_reader *reader = NULL;

    if (entry->name.max_txid != capture_now(capture)->txid ||
        adopt_open(capture, entry, &file, &reader, NULL) != RC_OK)
        return false;
    return segment_reader_summary(reader)->digest == capture_now(capture)->digest;
}

/*
 * A level-0 segment that a merged one covers: nothing to apply, but the newest one alone knows the
 * place in the log.
 */
static rc adopt_place(struct capture *capture, const struct segment_entry *entry, struct error *err)
{
    struct capture_position position;

    if (entry->is_merged || entry->name.max_txid != capture_now(capture)->txid)
        return RC_OK;
    return position_from_segment(
        &position, capture_place(capture), capture->folder.spool, &entry->name, err);
}

/*
 * Apply what continues; the index of the first segment of what is left. What does not continue is
 * of another history, and what is damaged is of no use: the caller gives both up, and this call
 * removes them.
 */
static rc adopt_spool(
    struct capture *capture, const struct segment_list *list, size_t *ret_rest, struct error *err)
{
    size_t index = 0;

    while (index < list->count && list->entries[index].name.max_txid <= capture_now(capture)->txid)
        index++;
    bool leads_up = index > 0 && adopt_leads_up(capture, &list->entries[index - 1]);
    size_t first = index;
    for (; index < list->count; index++) {
        const struct segment_entry *entry = &list->entries[index];
        rc result = entry->is_covered ? adopt_place(capture, entry, err)
                                      : adopt_segment(capture, entry, err);
        if (result == RC_MISMATCH || result == RC_CORRUPT)
            break;
        if (result != RC_OK)
            return result;
    }

    /* Without a gap from there to the position, or not at all. */
    for (size_t before = 0; before < first && !leads_up; before++)
        TRY(adopt_remove(capture, &list->entries[before], err));
    *ret_rest = index;
    return RC_OK;
}

static rc adopt_sweep(
    struct capture *capture, const struct segment_list *list, size_t rest, struct error *err)
{
    for (size_t index = rest; index < list->count; index++)
        TRY(adopt_remove(capture, &list->entries[index], err));
    return state_sync_spool(&capture->folder, err);
}

/*
 * What the replica tells, and the spool behind it, is where this state folder stood: its timeline
 * is ours. Where they lead elsewhere, somebody else may be there, or was, and no process may come
 * back later and take the timeline for its own.
 */
static bool adopt_is_where_we_were(struct capture *capture)
{
    const struct capture_position *before = &capture->adopted_over;
    const struct capture_position *now = capture_now(capture);

    return before->txid == now->txid && before->digest == now->digest &&
           before->timeline == now->timeline;
}

rc capture_adopt_commit(struct capture *capture, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct state *folder = &capture->folder;
    uint64_t sum = 0;
    size_t rest = 0;

    assert(capture->state == CAPTURE_IDLE);
    assert(capture->adopting);
    if (!digest_map_sum(folder->map, folder->now.position.page_count, &sum) ||
        sum != folder->now.position.digest)
        FAIL(err, RC_MISMATCH, "page digests do not add up to the digest of transaction %llu",
            (unsigned long long)folder->now.position.txid);

    TRY(segment_dir_list_spool(&list, folder->spool, err));
    TRY(adopt_spool(capture, &list, &rest, err));
    TRY(adopt_sweep(capture, &list, rest, err));

    /*
     * The position does not speak of this file before capture_start() says so: a caller that finds
     * the file unrelated, or dies before it looked, must be asked again after the next open.
     */
    if (!adopt_is_where_we_were(capture))
        folder->now.must_depart = true;
    TRY(state_write_position(folder, err));
    folder->kind = folder->now.position.page_size == capture->file_page_size &&
                           file_mark_same(&folder->now.file, &capture->file_mark) &&
                           !folder->now.must_depart
                       ? CAPTURE_STATE_POSITION
                       : CAPTURE_STATE_REPLACED;
    capture->adopting = false;
    return RC_OK;
}
