/*
 * crafted: segments whose every checksum is right, made by hand to say what cannot be
 *
 * The parts come from the product's own encoders, so that a case differs from a good segment in one
 * number only.
 */
#include "base/alloc.h"
#include "codec/digest.h"
#include "directory_priv.h"
#include "harness/check.h"
#include "history.h"
#include "log_chunk_priv.h"
#include "pages_chunk_priv.h"
#include "segment_writer_priv.h"

#include <stdlib.h>

enum { PAGE_SIZE = 512, LOCK_PAGE = (1 << 30) / PAGE_SIZE + 1, COUNT_MAX = 4 };

/* A chunk of frames that store nothing: page numbers and transactions as they are said to be. */
struct crafted_chunk {
    int64_t pgno_changes[COUNT_MAX];
    unsigned frame_count;
    struct log_transaction_change transactions[COUNT_MAX];
    unsigned transaction_count;
    uint64_t flags;      /* of every transaction, where more than 32 bits */
    uint64_t operations; /* raw size of the block */
};

struct crafted {
    struct crafted_chunk chunks[2];
    unsigned chunk_count;
    unsigned digest_counts[2]; /* of each chunk of digests */
    uint32_t parent_page_count;
    struct segment_summary summary;
};

/* One transaction that writes page 1 of a database of one page. */
static struct crafted crafted_good(void)
{
    return (struct crafted){
        .chunks[0] = {
            .pgno_changes = { 1 },
            .frame_count = 1,
            .transactions[0] = { .frame_count = 1, .time_ms = 5, .digest = 9 },
            .transaction_count = 1,
        },
        .chunk_count = 1,
        .digest_counts = { 1 },
        .parent_page_count = 1,
        .summary = {
            .max_txid = 1,
            .digest = 9,
            .page_count = 1,
            .first_time_ms = 1000,
            .last_time_ms = 1005,
            .frame_count = 1,
        },
    };
}

static void put_block(struct segment_writer *writer, struct log_chunk_builder *builder,
    const struct crafted_chunk *chunk)
{
    struct log_block block = {
        .frame_count = chunk->frame_count,
        .operations_raw = (uint32_t)chunk->operations,
    };

    assert_int_equal(segment_writer_add_block(writer, bytes_of(NULL, 0), NULL), RC_OK);
    log_chunk_put_block(builder, &block);
    if (chunk->operations <= UINT32_MAX)
        return;
    buf_clear(&builder->columns[LOG_BLOCK_OPERATIONS_RAW]);
    buf_put_varint(&builder->columns[LOG_BLOCK_OPERATIONS_RAW], chunk->operations);
}

static void put_chunk(struct segment_writer *writer, const struct crafted_chunk *chunk)
{
    struct log_chunk_builder builder;
    struct directory_entry entry = {
        .kind = CHUNK_FRAMES,
        .item_count = chunk->frame_count,
        .transaction_count = chunk->transaction_count,
    };
    auto_buf struct buf raw = BUF_INIT(CHUNK_RAW_MAX);

    log_chunk_builder_init(&builder);
    put_block(writer, &builder, chunk);
    for (unsigned index = 0; index < chunk->transaction_count; index++)
        log_chunk_put_transaction(&builder, &chunk->transactions[index]);
    if (chunk->flags != 0) {
        buf_clear(&builder.columns[LOG_TRANSACTION_FLAGS]);
        buf_put_varint(&builder.columns[LOG_TRANSACTION_FLAGS], chunk->flags);
    }
    for (unsigned index = 0; index < chunk->frame_count; index++)
        log_chunk_put_frame(&builder, FRAME_CODE_ZERO, chunk->pgno_changes[index]);
    log_chunk_assemble(&builder, &raw);
    assert_int_equal(segment_writer_add_chunk(
                         writer, &entry, buf_bytes(&raw), buf_bytes(&builder.digests), NULL),
        RC_OK);
    log_chunk_builder_release(&builder);
}

static void put_digests(struct segment_writer *writer, unsigned count)
{
    struct directory_entry entry = { .kind = CHUNK_DIGESTS, .item_count = count };
    auto_buf struct buf digests = BUF_INIT(1024);

    for (unsigned index = 0; index < count; index++)
        buf_put_be64(&digests, 9);
    assert_int_equal(
        segment_writer_add_chunk(writer, &entry, bytes_of(NULL, 0), buf_bytes(&digests), NULL),
        RC_OK);
}

static void craft(const struct crafted *crafted, struct memory_object *object)
{
    struct segment_writer writer;
    struct segment_summary summary = crafted->summary;
    struct segment_identity identity = {
        .kind = SEGMENT_LOG,
        .timeline = 1,
        .page_size = PAGE_SIZE,
        .min_txid = 1,
        .parent_page_count = crafted->parent_page_count,
    };

    segment_writer_init(&writer, memory_object_sink(object), "/tmp");
    assert_int_equal(segment_writer_begin(&writer, &identity, NULL), RC_OK);
    for (unsigned index = 0; index < crafted->chunk_count; index++)
        put_chunk(&writer, &crafted->chunks[index]);
    for (unsigned index = 0; index < array_count(crafted->digest_counts); index++)
        if (crafted->digest_counts[index] > 0)
            put_digests(&writer, crafted->digest_counts[index]);
    assert_int_equal(segment_writer_finish(&writer, &summary, NULL), RC_OK);
    segment_writer_release(&writer);
}

static rc see_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)payload;
    (void)pgno;
    (void)digest;
    (void)err;
    return RC_OK;
}

static rc read_crafted(const struct crafted *crafted, struct error *err)
{
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader = NULL;
    struct log_event event;
    rc result;

    craft(crafted, &object);
    TRY(segment_reader_open(&reader, memory_object_source(&object), err));
    while ((result = log_reader_next(reader, &event, err)) == RC_OK) {
    }
    if (result == RC_NOT_FOUND)
        result = segment_reader_each_digest(reader, see_digest, NULL, err);
    segment_reader_free(reader);
    return result;
}

static void check_refused(const struct crafted *crafted, rc wanted, const char *says)
{
    struct error err = { 0 };

    CHECK_RC(read_crafted(crafted, &err), wanted);
    CHECK_SAYS(err, says);
}

static void a_good_one_is_read(void **state)
{
    struct crafted crafted = crafted_good();
    struct error err = { 0 };

    (void)state;
    CHECK_OK(read_crafted(&crafted, &err));
}

static void frames_must_add_up(void **state)
{
    static const uint64_t counts[] = { 0, 2, UINT64_MAX };
    struct crafted crafted = crafted_good();

    (void)state;
    for (size_t index = 0; index < array_count(counts); index++) {
        crafted.chunks[0].transactions[0].frame_count = counts[index];
        check_refused(&crafted, RC_CORRUPT, "frames of transaction 1 do not add up");
    }

    /* More frames were there before the transaction began than it is said to have. */
    crafted = crafted_good();
    crafted.chunks[1] = crafted.chunks[0];
    crafted.chunks[0].transaction_count = 0;
    crafted.chunks[0].frame_count = 2;
    crafted.chunks[0].pgno_changes[1] = 1;
    crafted.chunk_count = 2;
    crafted.summary.frame_count = 3;
    check_refused(&crafted, RC_CORRUPT, "frames of transaction 1 do not add up");

    /* And the frames that are left belong to none. */
    crafted = crafted_good();
    crafted.chunks[0].frame_count = 2;
    crafted.chunks[0].pgno_changes[1] = 1;
    crafted.summary.frame_count = 2;
    check_refused(&crafted, RC_CORRUPT, "segment ends within a transaction");

    /* The transaction is not over when the frames are. */
    crafted = crafted_good();
    crafted.chunks[0].transactions[0].frame_count = 2;
    crafted.chunks[1] = crafted_good().chunks[0];
    crafted.chunks[1].transaction_count = 0;
    crafted.chunk_count = 2;
    crafted.summary.frame_count = 2;
    check_refused(&crafted, RC_CORRUPT, "transaction 1 lacks frames");
}

static void page_counts_must_be_possible(void **state)
{
    static const int64_t changes[] = { INT64_MAX, INT64_MIN, -1, -2, UINT32_MAX };

    (void)state;
    for (size_t index = 0; index < array_count(changes); index++) {
        struct crafted crafted = crafted_good();
        crafted.chunks[0].transactions[0].page_count = changes[index];
        check_refused(&crafted, RC_CORRUPT, "page count of transaction 1 is impossible");
    }
}

static void page_numbers_must_be_possible(void **state)
{
    static const struct {
        int64_t first;
        int64_t change;
        const char *says;
    } rows[] = {
        { 1, INT64_MAX, "page number of a frame is impossible" },
        { 1, -1, "page number of a frame is impossible" },
        { 1, UINT32_MAX, "page number of a frame is impossible" },
        { 1, LOCK_PAGE - 1, "segment holds the lock page" },
    };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        struct crafted crafted = crafted_good();
        crafted.chunks[0].frame_count = 2;
        crafted.chunks[0].pgno_changes[0] = rows[index].first;
        crafted.chunks[0].pgno_changes[1] = rows[index].change;
        crafted.chunks[0].transactions[0].frame_count = 2;
        crafted.summary.frame_count = 2;
        check_refused(&crafted, RC_CORRUPT, rows[index].says);
    }
}

static void unknown_flags_are_left_to_a_later_version(void **state)
{
    static const uint64_t flags[] = { 2, UINT32_MAX, UINT64_C(1) << 40 };

    (void)state;
    for (size_t index = 0; index < array_count(flags); index++) {
        struct crafted crafted = crafted_good();
        crafted.chunks[0].flags = flags[index];
        check_refused(&crafted, RC_UNSUPPORTED, "of transaction 1 are not known");
    }
}

static void blocks_have_a_largest_size(void **state)
{
    static const uint64_t sizes[] = { LOG_BLOCK_RAW_MAX + 1, UINT64_C(1) << 32, UINT64_MAX };

    (void)state;
    for (size_t index = 0; index < array_count(sizes); index++) {
        struct crafted crafted = crafted_good();
        crafted.chunks[0].operations = sizes[index];
        check_refused(&crafted, RC_CORRUPT, "block unpacks to");
    }
}

static void the_end_must_be_what_the_trailer_says(void **state)
{
    struct crafted crafted = crafted_good();

    (void)state;
    crafted.summary.digest++;
    check_refused(&crafted, RC_CORRUPT, "last transaction is not what the trailer says");
    crafted = crafted_good();
    crafted.summary.page_count++;
    check_refused(&crafted, RC_CORRUPT, "last transaction is not what the trailer says");
    crafted = crafted_good();
    crafted.summary.last_time_ms++;
    check_refused(&crafted, RC_CORRUPT, "last transaction is not what the trailer says");
    crafted = crafted_good();
    crafted.summary.last_time_ms--;
    check_refused(&crafted, RC_CORRUPT, "time of transaction 1 is after the segment's last");
}

static void there_is_a_digest_for_each_page(void **state)
{
    struct crafted crafted = crafted_good();

    (void)state;
    crafted.digest_counts[0] = 0;
    check_refused(&crafted, RC_CORRUPT, "fewer digests than pages");

    /* Two frames of one page, and as many digests as frames: in one chunk, and in two. */
    crafted = crafted_good();
    crafted.chunks[0].frame_count = 2;
    crafted.chunks[0].transactions[0].frame_count = 2;
    crafted.summary.frame_count = 2;
    crafted.digest_counts[0] = 2;
    check_refused(&crafted, RC_CORRUPT, "more digests than pages");
    crafted.digest_counts[0] = 1;
    crafted.digest_counts[1] = 1;
    check_refused(&crafted, RC_CORRUPT, "more digests than pages");
}

/* ---- whole pages */

/* A snapshot's chunk of COUNT pages that are said to begin at FIRST_PGNO, and EXTRA bytes more. */
struct crafted_pages {
    uint32_t first_pgno;
    uint32_t count;
    unsigned extra;
};

static void put_pages(struct segment_writer *writer, const struct crafted_pages *pages)
{
    struct pages_chunk_builder builder;
    struct pages_block block = { .page_count = pages->count, .txid = 1 };
    struct directory_entry entry = {
        .kind = CHUNK_PAGES,
        .item_count = pages->count,
        .first_pgno = pages->first_pgno,
    };
    auto_buf struct buf raw = BUF_INIT(CHUNK_RAW_MAX);

    pages_chunk_builder_init(&builder);
    pages_chunk_builder_clear(&builder, 1);
    for (uint32_t index = 0; index < pages->count; index++)
        pages_chunk_put_page(&builder, 1 + index, 9);
    assert_int_equal(segment_writer_add_block(writer, bytes_of(NULL, 0), NULL), RC_OK);
    pages_chunk_put_block(&builder, &block);
    pages_chunk_assemble(&builder, &raw);
    for (unsigned index = 0; index < pages->extra; index++)
        buf_put_u8(&raw, 0);
    assert_int_equal(segment_writer_add_chunk(
                         writer, &entry, buf_bytes(&raw), buf_bytes(&builder.digests), NULL),
        RC_OK);
    pages_chunk_builder_release(&builder);
}

static rc read_crafted_pages(const struct crafted_pages pages[2], struct error *err)
{
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_writer writer;
    struct segment_reader *reader = NULL;
    struct segment_identity identity = {
        .kind = SEGMENT_SNAPSHOT,
        .page_size = PAGE_SIZE,
        .min_txid = 1,
    };
    struct segment_summary summary = {
        .max_txid = 1,
        .page_count = 10,
        .frame_count = pages[0].count + pages[1].count,
    };

    segment_writer_init(&writer, memory_object_sink(&object), "/tmp");
    assert_int_equal(segment_writer_begin(&writer, &identity, NULL), RC_OK);
    put_pages(&writer, &pages[0]);
    put_pages(&writer, &pages[1]);
    assert_int_equal(segment_writer_finish(&writer, &summary, NULL), RC_OK);
    segment_writer_release(&writer);
    TRY(segment_reader_open(&reader, memory_object_source(&object), err));
    rc result = segment_reader_each_digest(reader, see_digest, NULL, err);
    segment_reader_free(reader);
    return result;
}

static void whole_pages_must_be_possible(void **state)
{
    static const struct {
        struct crafted_pages pages[2];
        const char *says;
    } rows[] = {
        { { { 1, 3, 0 }, { 3, 1, 0 } }, "index chunks overlap" },
        { { { 1, 3, 1 }, { 4, 1, 0 } }, "index chunk has 1 bytes too many" },
        { { { 1, 3, 0 }, { UINT32_MAX, 2, 0 } }, "page numbers run past the largest there is" },
        { { { 1, 3, 0 }, { LOCK_PAGE - 1, 2, 0 } }, "segment holds the lock page" },
        { { { 1, 3, 0 }, { LOCK_PAGE, 1, 0 } }, "segment holds the lock page" },
    };
    static const struct crafted_pages good[2] = { { 1, 3, 0 }, { LOCK_PAGE + 1, 2, 0 } };
    struct error err = { 0 };

    (void)state;
    CHECK_OK(read_crafted_pages(good, &err));
    for (size_t index = 0; index < array_count(rows); index++) {
        CHECK_RC(read_crafted_pages(rows[index].pages, &err), RC_CORRUPT);
        CHECK_SAYS(err, rows[index].says);
    }
}

/* A block's bytes that are not as many as its chunk says. */
static void blocks_of_another_size_are_refused(void **state)
{
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    auto_history struct history history = history_new(31, PAGE_SIZE, 3);
    struct segment_reader *reader = NULL;
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    uint8_t out[3 * PAGE_SIZE];
    struct error err = { 0 };

    (void)state;
    history_write_snapshot(&history, &object);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    CHECK_OK(pages_reader_load_chunk(reader, 0, &chunk, &err));
    const struct pages_block *block = &chunk.blocks[0];
    struct pages_block_input input = {
        .chunk = &chunk,
        .stored = bytes_part(buf_bytes(&object.bytes), block->offset, block->stored_size - 1),
    };
    CHECK_RC(pages_block_decode(reader, &input, NULL, out, &err), RC_CORRUPT);
    CHECK_SAYS(err, "does not match its checksum");
    pages_chunk_release(&chunk);
    segment_reader_free(reader);
}

/* ---- directories */

/* A directory of ENTRIES behind a header, for an index of one chunk after the other. */
static rc decode_directory(const struct directory_entry *entries, uint32_t count,
    enum segment_kind kind, struct error *err)
{
    auto_buf struct buf bytes = BUF_INIT(4096);
    auto_free struct directory_entry *decoded = NULL;
    struct segment_trailer trailer = {
        .identity = { .kind = kind, .page_size = PAGE_SIZE, .min_txid = 1 },
        .summary = { .max_txid = 1, .page_count = 1 },
        .layout = {
            .header_size = SEGMENT_HEADER_SIZE_MIN,
            .index_offset = 10000,
            .directory_offset = 1 << 30,
            .chunk_count = count,
        },
    };

    for (uint32_t index = 0; index < count; index++)
        directory_entry_encode(&bytes, &entries[index]);
    trailer.layout.directory_size = (uint32_t)bytes.size;
    trailer.layout.directory_checksum = bytes_digest(buf_bytes(&bytes));
    return directory_decode(&decoded, buf_bytes(&bytes), &trailer, err);
}

static void directories_must_be_possible(void **state)
{
    static const struct directory_entry frames = { .kind = CHUNK_FRAMES, .item_count = 1 };
    static const struct directory_entry digests = { .kind = CHUNK_DIGESTS, .item_count = 1 };
    static const struct directory_entry pages = {
        .kind = CHUNK_PAGES, .item_count = 1, .block_count = 1, .first_pgno = 7
    };
    struct {
        struct directory_entry entries[2];
        uint32_t count;
        enum segment_kind kind;
        const char *says;
    } rows[] = {
        { { { .kind = 4 } }, 1, SEGMENT_LOG, "unknown kind 4" },
        { { pages }, 1, SEGMENT_LOG, "kind 3 in a segment of kind 1" },
        { { frames }, 1, SEGMENT_SNAPSHOT, "kind 1 in a segment of kind 3" },
        { { digests, frames }, 2, SEGMENT_LOG, "out of order" },
        { { pages, pages }, 2, SEGMENT_SNAPSHOT, "out of order" },
        { { frames }, 1, SEGMENT_LOG, "more than possible" },
        { { frames }, 1, SEGMENT_LOG, "more than possible" },
        { { frames }, 1, SEGMENT_LOG, "of kind 1 are impossible" },
        { { frames }, 1, SEGMENT_LOG, "of kind 1 are impossible" },
        { { frames }, 1, SEGMENT_LOG, "of kind 1 are impossible" },
        { { digests }, 1, SEGMENT_LOG, "of kind 2 are impossible" },
        { { digests }, 1, SEGMENT_LOG, "of kind 2 are impossible" },
        { { pages }, 1, SEGMENT_SNAPSHOT, "of kind 3 are impossible" },
        { { pages }, 1, SEGMENT_SNAPSHOT, "of kind 3 are impossible" },
        { { pages }, 1, SEGMENT_SNAPSHOT, "of kind 3 are impossible" },
        { { pages }, 1, SEGMENT_SNAPSHOT, "of kind 3 are impossible" },
    };

    (void)state;
    rows[5].entries[0].raw_size = CHUNK_RAW_MAX + 1;
    rows[6].entries[0].packed_size = 1;
    rows[7].entries[0].item_count = CHUNK_RAW_MAX + 1;
    rows[8].entries[0].block_count = CHUNK_PLAIN_MAX;
    rows[9].entries[0].item_count = 0;
    rows[10].entries[0].item_count = DIGESTS_PER_CHUNK_MAX + 1;
    rows[11].entries[0].block_count = 1;
    rows[12].entries[0].block_count = BLOCKS_PER_CHUNK_MAX + 1;
    rows[12].entries[0].item_count = BLOCKS_PER_CHUNK_MAX + 1;
    rows[13].entries[0].item_count = BLOCKS_PER_CHUNK_MAX * PAGES_PER_BLOCK_MAX + 1;
    rows[14].entries[0].first_pgno = 0;
    rows[15].entries[0].block_count = 2;
    for (size_t index = 0; index < array_count(rows); index++) {
        struct error err = { 0 };
        CHECK_RC(decode_directory(rows[index].entries, rows[index].count, rows[index].kind, &err),
            RC_CORRUPT);
        CHECK_SAYS(err, rows[index].says);
    }
}

static void more_digests_than_frames_are_refused(void **state)
{
    struct crafted crafted = crafted_good();
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader = NULL;
    struct error err = { 0 };

    (void)state;
    crafted.digest_counts[0] = 2;
    craft(&crafted, &object);
    CHECK_RC(segment_reader_open(&reader, memory_object_source(&object), &err), RC_CORRUPT);
    CHECK_SAYS(err, "more digests than frames");
}

/* ---- headers */

static void a_header_must_be_whole(void **state)
{
    auto_buf struct buf bytes = BUF_INIT(4096);
    struct segment_identity identity = {
        .kind = SEGMENT_LOG, .page_size = PAGE_SIZE, .min_txid = 1
    };
    struct segment_header header;
    struct error err = { 0 };

    (void)state;
    segment_header_encode(&bytes, &identity, &header);
    CHECK_OK(segment_header_decode(&header, buf_bytes(&bytes), &err));
    assert_int_equal(segment_header_version(buf_bytes(&bytes)), SEGMENT_FORMAT_VERSION);
    for (size_t size = 0; size < bytes.size; size++) {
        struct bytes part = bytes_of(bytes.data, size);
        CHECK_RC(segment_header_decode(&header, part, &err), RC_CORRUPT);
        CHECK_SAYS(err, "cut off");
        assert_int_equal(segment_header_version(part), size < SEGMENT_MAGIC_SIZE + 2 ? 0 : 1);
    }
    bytes.data[0] ^= 1;
    assert_int_equal(segment_header_version(buf_bytes(&bytes)), 0);
    CHECK_RC(segment_header_decode(&header, buf_bytes(&bytes), &err), RC_CORRUPT);
    CHECK_SAYS(err, "wrong magic");
}

/* Room that version 1 has set aside: what uses it is told from damage. */
static void a_sealed_key_is_left_to_a_later_version(void **state)
{
    enum { KEY_SIZE_PLACE = SEGMENT_MAGIC_SIZE + 2 + SEGMENT_IDENTITY_SIZE, KEY_SIZE = 5 };
    auto_buf struct buf bytes = BUF_INIT(4096);
    struct segment_identity identity = {
        .kind = SEGMENT_LOG, .page_size = PAGE_SIZE, .min_txid = 1
    };
    struct segment_header header;
    struct error err = { 0 };

    (void)state;
    segment_header_encode(&bytes, &identity, &header);
    bytes.size -= SEGMENT_CHECKSUM_SIZE;
    bytes.data[KEY_SIZE_PLACE + 1] = KEY_SIZE;
    buf_put(&bytes, bytes_of("sealed", KEY_SIZE));
    buf_put_be64(&bytes, bytes_digest(buf_bytes(&bytes)));
    CHECK_RC(segment_header_decode(&header, buf_bytes(&bytes), &err), RC_UNSUPPORTED);
    CHECK_SAYS(err, "encrypted");
    bytes.data[KEY_SIZE_PLACE] = 255;
    CHECK_RC(segment_header_decode(&header, buf_bytes(&bytes), &err), RC_CORRUPT);
    CHECK_SAYS(err, "sealed key");
}

/* Each in its own right, and not of one segment. */
static void header_and_trailer_must_belong_together(void **state)
{
    struct crafted crafted = crafted_good();
    struct error err = { 0 };

    (void)state;
    for (int what = 0; what < 2; what++) {
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        auto_buf struct buf bytes = BUF_INIT(4096);
        struct segment_reader *reader = NULL;
        struct segment_identity identity = {
            .kind = SEGMENT_LOG,
            .timeline = what == 0 ? 2 : 1,
            .page_size = PAGE_SIZE,
            .min_txid = 1,
            .parent_digest = what == 0 ? 0 : 1,
            .parent_page_count = 1,
        };
        struct segment_header header;

        craft(&crafted, &object);
        segment_header_encode(&bytes, &identity, &header);
        memcpy(object.bytes.data, bytes.data, bytes.size);
        CHECK_RC(segment_reader_open(&reader, memory_object_source(&object), &err), RC_CORRUPT);
        CHECK_SAYS(err, "not of the same segment");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_read),
        cmocka_unit_test(frames_must_add_up),
        cmocka_unit_test(page_counts_must_be_possible),
        cmocka_unit_test(page_numbers_must_be_possible),
        cmocka_unit_test(unknown_flags_are_left_to_a_later_version),
        cmocka_unit_test(blocks_have_a_largest_size),
        cmocka_unit_test(the_end_must_be_what_the_trailer_says),
        cmocka_unit_test(there_is_a_digest_for_each_page),
        cmocka_unit_test(whole_pages_must_be_possible),
        cmocka_unit_test(blocks_of_another_size_are_refused),
        cmocka_unit_test(directories_must_be_possible),
        cmocka_unit_test(more_digests_than_frames_are_refused),
        cmocka_unit_test(a_header_must_be_whole),
        cmocka_unit_test(a_sealed_key_is_left_to_a_later_version),
        cmocka_unit_test(header_and_trailer_must_belong_together),
    };
    return cmocka_run_group_tests_name("segment/crafted", tests, NULL, NULL);
}
