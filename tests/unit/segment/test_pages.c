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

static void write_sparse(struct memory_object *object)
{
    static const uint8_t page[4096];
    struct error err = { 0 };
    struct pages_encoder *encoder;
    struct segment_identity identity = {
        .kind = SEGMENT_SNAPSHOT, .page_size = 4096, .min_txid = 5
    };

    CHECK_OK(pages_encoder_new(&encoder, &identity, memory_object_sink(object), "/tmp", &err));
    for (size_t index = 0; index < array_count(sparse_pages); index++) {
        uint32_t pgno = sparse_pages[index].pgno;
        struct bytes bytes = bytes_of(page, sizeof page);
        CHECK_OK(pages_encoder_add(
            encoder, pgno, bytes, sparse_pages[index].txid, page_digest(pgno, bytes), &err));
    }
    struct segment_summary summary = { .max_txid = 10, .page_count = UINT32_MAX };
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

    write_sparse(&object);
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

/* ---- merged segments */

static void a_merged_segment_gives_the_last_of_its_transactions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct error err = { 0 };
        struct history_plan plan = { .frames_max = 5, .may_resize = true };
        auto_history struct history before = history_new(seed, 512, 4 + (uint32_t)seed % 7);
        auto_history struct history after = history_copy(&before);
        auto_history struct history middle = { 0 };
        auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;

        for (unsigned part = 0; part < 2; part++) {
            auto_memory_object struct memory_object log = MEMORY_OBJECT_INIT;
            plan.transaction_count = 1 + noise_below(&after.noise, 12);
            history_write_log(&after, &plan, &log, NULL);
            if (part == 0)
                middle = history_copy(&after);
        }
        history_write_merged(&before, &after, &merged);

        /* From where it begins, and from in between. */
        CHECK_OK(history_merge(&before, &merged, &err));
        assert_memory_equal(before.pages, after.pages, (size_t)after.page_count * 512);
        CHECK_OK(history_merge(&middle, &merged, &err));
        assert_memory_equal(middle.pages, after.pages, (size_t)after.page_count * 512);
        assert_int_equal(middle.txid, after.txid);
    }
}

/* Zero pages FIRST to LAST without LEFT_OUT, as of AS_OF, into a merged segment to transaction 9.
 */
struct merged_case {
    uint32_t parent_page_count;
    uint32_t page_count;
    uint32_t first;
    uint32_t last;
    uint32_t left_out;
    uint64_t as_of; /* 0: 9 */
    rc wanted;
};

enum { MERGED_PAGE_SIZE = 65536, MERGED_LOCK_PAGE = (1 << 30) / MERGED_PAGE_SIZE + 1 };

static rc write_merged_case(const struct merged_case *plan, struct memory_object *object)
{
    struct error err = { 0 };
    static const uint8_t page[MERGED_PAGE_SIZE];
    struct bytes bytes = bytes_of(page, sizeof page);
    struct pages_encoder *encoder;
    struct segment_identity identity = {
        .kind = SEGMENT_MERGED,
        .page_size = MERGED_PAGE_SIZE,
        .min_txid = 5,
        .parent_page_count = plan->parent_page_count,
    };

    CHECK_OK(pages_encoder_new(&encoder, &identity, memory_object_sink(object), "/tmp", &err));
    for (uint32_t pgno = plan->first; pgno != 0 && pgno <= plan->last; pgno++) {
        if (pgno == plan->left_out || pgno == MERGED_LOCK_PAGE)
            continue;
        uint64_t txid = plan->as_of != 0 ? plan->as_of : 9;
        CHECK_OK(pages_encoder_add(encoder, pgno, bytes, txid, page_digest(pgno, bytes), &err));
    }
    struct segment_summary summary = { .max_txid = 9, .page_count = plan->page_count };
    rc result = pages_encoder_finish(encoder, &summary, &err);
    pages_encoder_free(encoder);
    return result;
}

static rc read_merged(struct memory_object *object, struct error *err)
{
    struct segment_reader *reader;
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    TRY(segment_reader_open(&reader, memory_object_source(object), err));
    rc result = RC_OK;
    for (size_t index = 0; result == RC_OK && index < pages_reader_chunk_count(reader); index++)
        result = pages_reader_load_chunk(reader, index, &chunk, err);
    pages_chunk_release(&chunk);
    segment_reader_free(reader);
    return result;
}

static const struct merged_case merged_cases[] = {
    { .parent_page_count = 10, .page_count = 10 }, /* nothing but freed and written as it was */
    { .parent_page_count = 10, .page_count = 8 },
    { .parent_page_count = 10, .page_count = 8, .first = 8, .last = 8 },
    { .parent_page_count = 10, .page_count = 8, .first = 9, .last = 9, .wanted = RC_MISMATCH },
    { .parent_page_count = 10, .page_count = 12, .first = 11, .last = 12 },
    { .parent_page_count = 10, .page_count = 12, .first = 3, .last = 12, .left_out = 5 },
    { .parent_page_count = 10, .page_count = 12, .wanted = RC_MISMATCH },
    { .parent_page_count = 10, .page_count = 12, .first = 12, .last = 12, .wanted = RC_MISMATCH },
    { .parent_page_count = 10, .page_count = 12, .first = 11, .last = 11, .wanted = RC_MISMATCH },
    { .parent_page_count = 10, .page_count = 12, .first = 10, .last = 11, .wanted = RC_MISMATCH },
    { .parent_page_count = 10,
        .page_count = 14,
        .first = 9,
        .last = 14,
        .left_out = 13,
        .wanted = RC_MISMATCH },
    { .page_count = 2, .first = 1, .last = 2, .as_of = 8, .wanted = RC_MISMATCH },
    /* The lock page is never there. */
    { .parent_page_count = MERGED_LOCK_PAGE - 1, .page_count = MERGED_LOCK_PAGE },
    { .parent_page_count = MERGED_LOCK_PAGE - 2,
        .page_count = MERGED_LOCK_PAGE + 1,
        .first = MERGED_LOCK_PAGE - 1,
        .last = MERGED_LOCK_PAGE + 1 },
    { .parent_page_count = MERGED_LOCK_PAGE,
        .page_count = MERGED_LOCK_PAGE + 2,
        .first = MERGED_LOCK_PAGE + 1,
        .last = MERGED_LOCK_PAGE + 2 },
    { .parent_page_count = MERGED_LOCK_PAGE - 1,
        .page_count = MERGED_LOCK_PAGE + 1,
        .first = MERGED_LOCK_PAGE - 1,
        .last = MERGED_LOCK_PAGE,
        .wanted = RC_MISMATCH },
};

static void a_merged_segment_holds_what_it_must_and_no_more(void **state)
{
    (void)state;
    for (size_t index = 0; index < array_count(merged_cases); index++) {
        struct error err = { 0 };
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;

        rc result = write_merged_case(&merged_cases[index], &object);
        if (result != merged_cases[index].wanted)
            fail_msg("case %zu: %s", index, rc_name(result));
        if (result == RC_OK)
            CHECK_OK(read_merged(&object, &err));
        else
            CHECK_RC(read_merged(&object, &err), RC_CORRUPT); /* nothing that looks whole */
    }
}

/* More pages than a chunk takes. */
static void growth_goes_on_over_chunks(void **state)
{
    (void)state;
    enum { PAGE_COUNT = 70000 };
    struct error err = { 0 };
    auto_history struct history before = history_new(1, 512, 3);
    auto_history struct history after = history_new(2, 512, PAGE_COUNT);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;

    after.txid = 2;
    history_write_merged(&before, &after, &object);
    CHECK_OK(read_merged(&object, &err));
    history_release(&before);
    before = history_new(0, 512, PAGE_COUNT);
    before.page_count = 3;
    CHECK_OK(history_merge(&before, &object, &err));
    assert_memory_equal(before.pages, after.pages, (size_t)PAGE_COUNT * 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_of_every_page_size_restores),
        cmocka_unit_test(gaps_and_transactions_come_back),
        cmocka_unit_test(a_wrong_digest_is_not_written),
        cmocka_unit_test(a_large_snapshot_is_read_chunk_by_chunk),
        cmocka_unit_test(a_merged_segment_gives_the_last_of_its_transactions),
        cmocka_unit_test(a_merged_segment_holds_what_it_must_and_no_more),
        cmocka_unit_test(growth_goes_on_over_chunks),
    };
    return cmocka_run_group_tests_name("segment/pages", tests, NULL, NULL);
}
