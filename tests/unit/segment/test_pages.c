/* pages: snapshots and merged segments come back page for page */
#include "history.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "harness/check.h"
#include "segment/pages_encoder.h"

#include <stdlib.h>

static void snapshot_of_every_page_size_restores(void **state)
{
    (void)state;
    for (uint32_t page_size = PAGE_SIZE_MIN; page_size <= PAGE_SIZE_MAX; page_size *= 2) {
        struct error err = { 0 };
        auto_history struct history history = history_new(page_size, page_size, 300);
        auto_history struct history restored = { 0 };
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;

        for (uint32_t pgno = 0; pgno < 300; pgno += 3)
            history_edit_page(&history.noise, history.pages + (size_t)pgno * page_size, page_size);
        history.digest = history_digest(&history);
        history_write_snapshot(&history, &object);
        CHECK_OK(history_restore(&restored, &object, &err));
        assert_int_equal(restored.page_count, 300);
        assert_memory_equal(restored.pages, history.pages, (size_t)300 * page_size);
    }
}

/* A segment of zero pages at chosen numbers, each as of a chosen transaction. */
struct sparse_page {
    uint32_t pgno;
    uint64_t txid;
};

static const struct sparse_page sparse_pages[] = {
    { 1, 5 },
    { 2, 5 },
    { 3, 9 },
    { 7, 9 },
    { 8, 6 },
    { (1u << 30) / 4096, 6 },
    { (1u << 30) / 4096 + 2, 6 }, /* the lock page is between */
    { UINT32_MAX, 10 },
};

static void write_sparse(struct memory_object *object, enum segment_kind kind, uint32_t page_count)
{
    static const uint8_t page[4096];
    struct error err = { 0 };
    struct pages_encoder *encoder;
    struct segment_identity identity = { .kind = kind, .page_size = 4096, .min_txid = 5 };

    CHECK_OK(pages_encoder_new(&encoder, &identity, memory_object_sink(object), "/tmp", &err));
    for (size_t index = 0; index < array_count(sparse_pages); index++) {
        uint32_t pgno = sparse_pages[index].pgno;
        struct bytes bytes = bytes_of(page, sizeof page);
        CHECK_OK(pages_encoder_add(
            encoder, pgno, bytes, sparse_pages[index].txid, page_digest(pgno, bytes), &err));
    }
    struct segment_summary summary = { .max_txid = 10, .page_count = page_count };
    CHECK_OK(pages_encoder_finish(encoder, &summary, &err));
    pages_encoder_free(encoder);
}

static void gaps_and_transactions_come_back(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader;
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    size_t told = 0;

    write_sparse(&object, SEGMENT_MERGED, UINT32_MAX);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    assert_int_equal(pages_reader_chunk_count(reader), 1);
    CHECK_OK(pages_reader_load_chunk(reader, 0, &chunk, &err));
    assert_int_equal(chunk.block_count, 4); /* one for each run of equal txids */
    for (size_t block = 0; block < chunk.block_count; block++) {
        assert_int_equal(chunk.blocks[block].first_page, told);
        for (uint32_t page = 0; page < chunk.blocks[block].page_count; page++, told++) {
            assert_int_equal(chunk.pgnos[told], sparse_pages[told].pgno);
            assert_int_equal(chunk.blocks[block].txid, sparse_pages[told].txid);
        }
    }
    assert_int_equal(told, array_count(sparse_pages));
    pages_chunk_release(&chunk);
    segment_reader_free(reader);
}

static void a_wrong_digest_is_not_written(void **state)
{
    (void)state;
    static const uint8_t page[512];
    struct error err = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct pages_encoder *encoder;
    struct segment_identity identity = {
        .kind = SEGMENT_SNAPSHOT, .page_size = 512, .min_txid = 1
    };

    CHECK_OK(pages_encoder_new(&encoder, &identity, memory_object_sink(&object), "/tmp", &err));
    CHECK_RC(
        pages_encoder_add(encoder, 1, bytes_of(page, sizeof page), 1, 12345, &err), RC_MISMATCH);
    pages_encoder_free(encoder);
}

struct digest_check {
    uint32_t count;
    const struct history *history;
};

static rc digest_check_next(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_check *check = payload;
    (void)err;
    check->count++;
    assert_int_equal(pgno, check->count);
    assert_int_equal(digest, page_digest(pgno, history_page(check->history, pgno)));
    return RC_OK;
}

/* More than one chunk of 512 blocks, and more than the first read holds. */
static void a_large_snapshot_is_read_chunk_by_chunk(void **state)
{
    (void)state;
    enum { PAGE_COUNT = 70000 };
    struct error err = { 0 };
    auto_history struct history history = history_new(1, 512, PAGE_COUNT);
    auto_history struct history restored = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader;
    struct digest_check check = { .history = &history };

    history_write_snapshot(&history, &object);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    assert_int_equal(object.read_count, 1);
    assert_int_equal(object.read_size, 65536);
    assert_int_equal(pages_reader_chunk_count(reader), 2);
    CHECK_OK(segment_reader_each_digest(reader, digest_check_next, &check, &err));
    assert_int_equal(check.count, PAGE_COUNT);
    segment_reader_free(reader);

    CHECK_OK(history_restore(&restored, &object, &err));
    assert_memory_equal(restored.pages, history.pages, (size_t)PAGE_COUNT * 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_of_every_page_size_restores),
        cmocka_unit_test(gaps_and_transactions_come_back),
        cmocka_unit_test(a_wrong_digest_is_not_written),
        cmocka_unit_test(a_large_snapshot_is_read_chunk_by_chunk),
    };
    return cmocka_run_group_tests_name("segment/pages", tests, NULL, NULL);
}
