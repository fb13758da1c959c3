/*
 * directory - see directory_priv.h
 */
#include "directory_priv.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "pages_chunk_priv.h"
#include "segment/reader.h"

uint32_t directory_entry_plain_size(const struct directory_entry *entry)
{
    uint64_t count = 0;

    switch ((enum chunk_kind)entry->kind) { /* unreachable: another kind was refused before */
    case CHUNK_FRAMES:
        count = (uint64_t)entry->block_count + entry->transaction_count;
        break;
    case CHUNK_DIGESTS:
        count = entry->item_count;
        break;
    case CHUNK_PAGES:
        count = (uint64_t)entry->block_count + entry->item_count;
        break;
    }
    assert(count <= CHUNK_PLAIN_MAX / SEGMENT_DIGEST_SIZE);
    return (uint32_t)count * SEGMENT_DIGEST_SIZE;
}

void directory_entry_encode(struct buf *out, const struct directory_entry *entry)
{
    buf_put_u8(out, entry->kind);
    buf_put_u8(out, entry->encoding);
    buf_put_varint(out, entry->packed_size);
    buf_put_varint(out, entry->raw_size);
    buf_put_varint(out, entry->block_count);
    buf_put_varint(out, entry->blocks_size);
    buf_put_varint(out, entry->item_count);
    buf_put_varint(out, entry->transaction_count);
    buf_put_varint(out, entry->first_pgno);
    buf_put_be64(out, entry->checksum);
}

static void directory_entry_decode(struct directory_entry *ret, struct cursor *cursor)
{
    ret->kind = cursor_u8(cursor);
    ret->encoding = cursor_u8(cursor);
    ret->packed_size = cursor_varint32(cursor);
    ret->raw_size = cursor_varint32(cursor);
    ret->block_count = cursor_varint32(cursor);
    ret->blocks_size = cursor_varint(cursor);
    ret->item_count = cursor_varint32(cursor);
    ret->transaction_count = cursor_varint32(cursor);
    ret->first_pgno = cursor_varint32(cursor);
    ret->checksum = cursor_be64(cursor);
}

/* Which fields may not be 0, which must be, and how large they may be, for each kind of chunk. */
static rc directory_entry_check_counts(const struct directory_entry *entry, struct error *err)
{
    bool is_valid = false;

    switch ((enum chunk_kind)entry->kind) { /* unreachable: another kind was refused before */
    case CHUNK_FRAMES:
        is_valid = entry->item_count >= 1 && entry->item_count <= CHUNK_RAW_MAX &&
                   (uint64_t)entry->block_count + entry->transaction_count <=
                       CHUNK_PLAIN_MAX / SEGMENT_DIGEST_SIZE &&
                   entry->first_pgno == 0;
        break;
    case CHUNK_DIGESTS:
        is_valid = entry->item_count >= 1 && entry->item_count <= DIGESTS_PER_CHUNK_MAX &&
                   entry->block_count == 0 && entry->blocks_size == 0 &&
                   entry->transaction_count == 0 && entry->first_pgno == 0 && entry->raw_size == 0;
        break;
    case CHUNK_PAGES:
        is_valid = entry->block_count >= 1 && entry->block_count <= BLOCKS_PER_CHUNK_MAX &&
                   entry->item_count >= entry->block_count &&
                   entry->item_count <= BLOCKS_PER_CHUNK_MAX * PAGES_PER_BLOCK_MAX &&
                   entry->transaction_count == 0 && entry->first_pgno >= 1;
        break;
    }
    if (!is_valid)
        FAIL(err, RC_CORRUPT, "counts of an index chunk of kind %u are impossible", entry->kind);
    return RC_OK;
}

/* BEFORE is the entry before, NULL for the first. */
static rc directory_entry_check(const struct directory_entry *entry,
    const struct directory_entry *before, enum segment_kind segment_kind, struct error *err)
{
    bool is_log_chunk = entry->kind == CHUNK_FRAMES || entry->kind == CHUNK_DIGESTS;
    if (!is_log_chunk && entry->kind != CHUNK_PAGES)
        FAIL(err, RC_CORRUPT, "index chunk has unknown kind %u", entry->kind);
    if (is_log_chunk != (segment_kind == SEGMENT_LOG))
        FAIL(err, RC_CORRUPT, "index chunk of kind %u in a segment of kind %u", entry->kind,
            segment_kind);
    if (before != NULL &&
        (entry->kind < before->kind ||
            (entry->kind == CHUNK_PAGES && entry->first_pgno <= before->first_pgno)))
        FAIL(err, RC_CORRUPT, "index chunks are out of order");
    if (entry->raw_size > CHUNK_RAW_MAX || entry->packed_size > entry->raw_size)
        FAIL(err, RC_CORRUPT, "index chunk is %u bytes out of %u, more than possible",
            entry->packed_size, entry->raw_size);
    return directory_entry_check_counts(entry, err);
}

struct directory_sums {
    uint64_t chunk_end;
    uint64_t block_end;
    uint64_t items; /* frames or pages */
    uint64_t digests;
    uint64_t transactions;
};

/* Place the entry behind what came before it; no sum can run past the object. */
static rc directory_entry_place(struct directory_entry *entry, struct directory_sums *sums,
    const struct segment_layout *layout, struct error *err)
{
    entry->plain_size = directory_entry_plain_size(entry);
    entry->offset = sums->chunk_end;
    entry->blocks_offset = sums->block_end;

    uint64_t stored_size = (uint64_t)entry->packed_size + entry->plain_size;
    if (stored_size > layout->directory_offset - sums->chunk_end)
        FAIL(err, RC_CORRUPT, "index chunks reach behind the directory");
    if (entry->blocks_size > layout->index_offset - sums->block_end)
        FAIL(err, RC_CORRUPT, "blocks reach behind the index");

    sums->chunk_end += stored_size;
    sums->block_end += entry->blocks_size;
    sums->transactions += entry->transaction_count;
    if (entry->kind == CHUNK_DIGESTS)
        sums->digests += entry->item_count;
    else
        sums->items += entry->item_count;
    return RC_OK;
}

static rc directory_check_sums(
    const struct directory_sums *sums, const struct segment_trailer *trailer, struct error *err)
{
    const struct segment_layout *layout = &trailer->layout;

    if (sums->chunk_end != layout->directory_offset || sums->block_end != layout->index_offset)
        FAIL(err, RC_CORRUPT, "directory leaves bytes of the object unexplained");
    if (sums->items != trailer->summary.frame_count)
        FAIL(err, RC_CORRUPT, "directory holds another number of pages than the trailer says");
    uint64_t transaction_count = trailer->summary.max_txid - trailer->identity.min_txid + 1;
    if (trailer->identity.kind == SEGMENT_LOG && sums->transactions != transaction_count)
        FAIL(err, RC_CORRUPT,
            "directory holds another number of transactions than the trailer says");
    if (sums->digests > sums->items)
        FAIL(err, RC_CORRUPT, "directory holds more digests than frames");
    return RC_OK;
}

static rc directory_decode_into(struct directory_entry *entries, struct bytes in,
    const struct segment_trailer *trailer, struct error *err)
{
    const struct segment_layout *layout = &trailer->layout;
    struct cursor cursor = cursor_over(in);
    struct directory_sums sums = {
        .chunk_end = layout->index_offset,
        .block_end = layout->header_size,
    };

    for (uint32_t index = 0; index < layout->chunk_count; index++) {
        struct directory_entry *entry = &entries[index];
        directory_entry_decode(entry, &cursor);
        if (cursor.failed)
            FAIL(err, RC_CORRUPT, "directory is cut off in entry %u", index);
        const struct directory_entry *before = index == 0 ? NULL : &entries[index - 1];
        TRY(directory_entry_check(entry, before, trailer->identity.kind, err));
        TRY(directory_entry_place(entry, &sums, layout, err));
    }
    if (!cursor_is_spent(&cursor))
        FAIL(err, RC_CORRUPT, "directory has %zu bytes too many", cursor.rest.size);
    uint64_t first_pgno = layout->chunk_count == 0 ? UINT64_MAX : entries[0].first_pgno;
    if (pages_must_lie_between(&trailer->identity, &trailer->summary, 0, first_pgno))
        FAIL(err, RC_CORRUPT, "merged segment lacks pages that the database grew by");
    return directory_check_sums(&sums, trailer, err);
}

rc directory_decode(struct directory_entry **ret, struct bytes in,
    const struct segment_trailer *trailer, struct error *err)
{
    if (bytes_digest(in) != trailer->layout.directory_checksum)
        FAIL(err, RC_CORRUPT, "directory does not match its checksum");
    uint32_t chunk_count = trailer->layout.chunk_count;
    if (chunk_count > in.size / DIRECTORY_ENTRY_SIZE_MIN)
        FAIL(
            err, RC_CORRUPT, "directory of %zu bytes cannot hold %u entries", in.size, chunk_count);

    auto_free struct directory_entry *entries =
        chunk_count == 0 ? NULL : mem_new_array(chunk_count, sizeof entries[0]);
    TRY(directory_decode_into(entries, in, trailer, err));
    *ret = TAKE(entries);
    return RC_OK;
}
