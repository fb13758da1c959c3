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

rc capture_adopt_begin(
    struct capture *capture, const struct capture_position *position, struct error *err)
{
    assert(capture->state == CAPTURE_IDLE);
    assert(position->txid > 0);

    struct capture_position from = *position; /* it may be our own, which is forgotten here */
    struct file_mark made_from = capture->folder.now.file;
    TRY(state_forget(&capture->folder, &from.database_id, from.page_size, true, err));
    capture->folder.now.position = from;
    capture->folder.now.file = made_from;
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

static char *adopt_folder(const struct capture *capture, const struct segment_entry *entry)
{
    const char *spool = capture->folder.spool;

    return entry->is_merged ? segment_dir_merged(spool) : text_copy(spool);
}

static void adopt_reader_release(struct segment_reader **reader)
{
    segment_reader_free(*reader);
}

static rc adopt_set(
    struct adopt_segment *segment, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_map *map = segment->capture->folder.map;
    uint64_t before = digest_map_page(map, pgno);

    segment->position.digest = database_digest_replace(segment->position.digest, before, digest);
    return digest_map_fill(map, pgno, digest, err);
}

static rc adopt_each_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    return adopt_set(payload, pgno, digest, err);
}

/*
 * A merged segment continues every position inside its range as well (FORMAT.md): the segment that
 * the store got may have been merged here while it was on its way. That all digests add up to the
 * merged segment's proves it.
 */
static bool adopt_continues(
    const struct segment_identity *identity, const struct capture_position *position)
{
    if (identity->timeline != position->timeline || identity->page_size != position->page_size ||
        memcmp(&identity->database_id, &position->database_id, sizeof identity->database_id) != 0)
        return false;
    if (identity->kind == SEGMENT_MERGED && identity->min_txid <= position->txid)
        return true;
    return identity->min_txid == position->txid + 1 && identity->parent_digest == position->digest;
}

/* RC_MISMATCH: the segment does not continue the position. */
static rc adopt_apply(
    struct adopt_segment *segment, struct segment_reader *reader, struct error *err)
{
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    struct capture_position *position = &segment->position;

    if (!adopt_continues(identity, position))
        FAIL(err, RC_MISMATCH, "segment does not continue the position");

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

static rc adopt_segment(
    struct capture *capture, const struct segment_entry *entry, struct error *err)
{
    auto_free char *folder = adopt_folder(capture, entry);
    __attribute__((cleanup(segment_dir_close))) struct segment_file file = { .fd = -1 };
    __attribute__((cleanup(adopt_reader_release))) struct segment_reader *reader = NULL;
    struct adopt_segment segment = { .capture = capture, .position = *capture_now(capture) };

    TRY(segment_dir_open(&file, folder, &entry->name, err));
    TRY(segment_reader_open(&reader, file.source, err));
    TRY(adopt_apply(&segment, reader, err));
    *capture_now(capture) = segment.position;
    *capture_place(capture) = segment_reader_summary(reader)->place;
    return RC_OK;
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
 * Apply what continues; the index of the first segment of what is left. Everything before it leads
 * up to the position or was stored long ago.
 */
static rc adopt_spool(
    struct capture *capture, const struct segment_list *list, size_t *ret_rest, struct error *err)
{
    size_t index = 0;

    while (index < list->count && list->entries[index].name.max_txid <= capture_now(capture)->txid)
        index++;
    for (; index < list->count; index++) {
        const struct segment_entry *entry = &list->entries[index];
        rc result = entry->is_covered ? adopt_place(capture, entry, err)
                                      : adopt_segment(capture, entry, err);
        if (result == RC_MISMATCH)
            break; /* of another history: the caller gives it up, and this call removes it */
        if (result != RC_OK)
            return result;
    }
    *ret_rest = index;
    return RC_OK;
}

/* Only the segments directly before the position lead up to it; an older gap would be an error. */
static rc adopt_sweep(
    struct capture *capture, const struct segment_list *list, size_t rest, struct error *err)
{
    bool leads_up = rest > 0 && list->entries[rest - 1].name.max_txid == capture_now(capture)->txid;

    for (size_t index = 0; index < list->count; index++) {
        if (leads_up && index < rest)
            continue;
        auto_free char *folder = adopt_folder(capture, &list->entries[index]);
        TRY(segment_dir_remove(folder, &list->entries[index].name, err));
    }
    return RC_OK;
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
    TRY(state_write_position(folder, err));
    folder->kind = folder->now.position.page_size == capture->file_page_size &&
                           file_mark_same(&folder->now.file, &capture->file_mark)
                       ? CAPTURE_STATE_POSITION
                       : CAPTURE_STATE_REPLACED;
    capture->adopting = false;
    return RC_OK;
}
