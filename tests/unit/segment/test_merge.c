/* merge: what comes out is what the sources made of the database, whatever they are */
#include "history.h"

#include "base/alloc.h"
#include "harness/check.h"
#include "segment/merge.h"

#include <stdlib.h>

enum { SOURCE_COUNT_MAX = 8 };

/* A history in pieces, and what its states were. */
struct pieces {
    struct history states[SOURCE_COUNT_MAX + 1]; /* before the first piece, after each */
    struct memory_object sources[SOURCE_COUNT_MAX];
    unsigned source_count;
    bool is_damaged; /* the bases are */
    unsigned base_count;
};

/* Logs, and merged segments; some tell again what those before them tell. */
static void pieces_make(struct pieces *pieces, uint64_t seed)
{
    struct history history = history_new(seed, 512, 6 + (uint32_t)(seed % 20));
    struct history_plan plan = { .frames_max = 6, .may_resize = true };

    *pieces = (struct pieces){ .source_count = 2 + noise_below(&history.noise, 6) };
    pieces->states[0] = history_copy(&history);
    for (unsigned index = 0; index < pieces->source_count; index++) {
        struct memory_object *source = &pieces->sources[index];
        *source = MEMORY_OBJECT_INIT;
        plan.transaction_count = 1 + noise_below(&history.noise, 9);
        history_write_log(&history, &plan, source, NULL);
        pieces->states[index + 1] = history_copy(&history);
        if (noise_below(&history.noise, 3) != 0)
            continue;
        unsigned first = noise_below(&history.noise, 2) == 0 ? index : index / 2;
        buf_clear(&source->bytes);
        history_write_merged(&pieces->states[first], &history, source);
    }
    history_release(&history);
}

static void pieces_release(struct pieces *pieces)
{
    for (unsigned index = 0; index < pieces->source_count; index++)
        memory_object_release(&pieces->sources[index]);
    for (unsigned index = 0; index <= pieces->source_count; index++)
        history_release(&pieces->states[index]);
}

static rc pieces_base(void *payload, uint32_t pgno, uint8_t *out, struct error *err)
{
    struct pieces *pieces = payload;
    const struct history *before = &pieces->states[0];

    if (pgno > before->page_count)
        FAIL(err, RC_NOT_FOUND, "page %u was not there", pgno);
    memcpy(out, history_page(before, pgno).data, before->page_size);
    pieces->base_count++;
    if (pieces->is_damaged)
        out[before->page_size - 1] ^= 1;
    return RC_OK;
}

static rc pieces_merge(struct pieces *pieces, struct memory_object *out, struct error *err)
{
    struct segment_merge *merge = segment_merge_new("/tmp", pieces_base, pieces);
    struct segment_summary summary;
    rc result = RC_OK;

    for (unsigned index = 0; index < pieces->source_count && result == RC_OK; index++)
        result = segment_merge_add(merge, memory_object_source(&pieces->sources[index]), err);
    if (result == RC_OK)
        result = segment_merge_finish(merge, memory_object_sink(out), &summary, err);
    segment_merge_free(merge);
    if (result != RC_OK)
        return result;

    const struct history *after = &pieces->states[pieces->source_count];
    assert_int_equal(summary.max_txid, after->txid);
    assert_int_equal(summary.digest, after->digest);
    assert_int_equal(summary.stored_size, out->bytes.size);
    return RC_OK;
}

static void the_sources_come_out_as_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct error err = { 0 };
        struct pieces pieces;
        auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;

        pieces_make(&pieces, seed);
        CHECK_OK(pieces_merge(&pieces, &merged, &err));
        /* From where it begins, and from every place in between. */
        const struct history *after = &pieces.states[pieces.source_count];
        for (unsigned index = 0; index < pieces.source_count; index++) {
            auto_history struct history history = history_copy(&pieces.states[index]);
            CHECK_OK(history_merge(&history, &merged, &err));
            assert_int_equal(history.page_count, after->page_count);
            assert_int_equal(history.digest, history_digest(after));
            assert_memory_equal(history.pages, after->pages, (size_t)after->page_count * 512);
        }
        pieces_release(&pieces);
    }
}

/* A merged segment, and a log that begins where it does and goes on. */
static void what_a_log_tells_again_is_left_out(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed < 80; seed++) {
        struct error err = { 0 };
        struct pieces pieces = { .source_count = 2 };
        auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;
        struct history_plan plan = { .frames_max = 6, .may_resize = true };

        pieces.sources[0] = pieces.sources[1] = MEMORY_OBJECT_INIT;
        pieces.states[0] = history_new(seed, 512, 8);
        /* The same transactions twice, since they follow from the seed, and some more. */
        for (unsigned index = 0; index < 2; index++) {
            pieces.states[index + 1] = history_copy(&pieces.states[0]);
            plan.transaction_count = 4 + 5 * index;
            history_write_log(&pieces.states[index + 1], &plan, &pieces.sources[index], NULL);
        }
        buf_clear(&pieces.sources[0].bytes);
        history_write_merged(&pieces.states[0], &pieces.states[1], &pieces.sources[0]);
        CHECK_OK(pieces_merge(&pieces, &merged, &err));
        for (unsigned index = 0; index < 2; index++) {
            CHECK_OK(history_merge(&pieces.states[index], &merged, &err));
            assert_memory_equal(pieces.states[index].pages, pieces.states[2].pages,
                (size_t)pieces.states[2].page_count * 512);
        }
        pieces_release(&pieces);
    }
}

/* A result is as good a source as any. */
static void merging_what_was_merged_changes_nothing(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct pieces pieces;
    auto_memory_object struct memory_object once = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object twice = MEMORY_OBJECT_INIT;

    pieces_make(&pieces, 7);
    CHECK_OK(pieces_merge(&pieces, &once, &err));
    struct segment_merge *merge = segment_merge_new("/tmp", pieces_base, &pieces);
    struct segment_summary summary;
    CHECK_OK(segment_merge_add(merge, memory_object_source(&once), &err));
    CHECK_OK(segment_merge_finish(merge, memory_object_sink(&twice), &summary, &err));
    segment_merge_free(merge);
    assert_true(bytes_equal(buf_bytes(&once.bytes), buf_bytes(&twice.bytes)));
    pieces_release(&pieces);
}

static void a_wrong_base_does_not_pass(void **state)
{
    (void)state;
    unsigned asked_count = 0;
    unsigned refused_count = 0;

    for (uint64_t seed = 200; seed < 260; seed++) {
        struct error err = { 0 };
        struct pieces pieces;
        auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;

        pieces_make(&pieces, seed);
        pieces.is_damaged = true;
        rc result = pieces_merge(&pieces, &merged, &err);
        asked_count += pieces.base_count > 0;
        refused_count += result == RC_CORRUPT;
        /* Or all that was wrong was overwritten by whole pages later. */
        if (result == RC_OK) {
            auto_history struct history history = history_copy(&pieces.states[0]);
            CHECK_OK(history_merge(&history, &merged, &err));
            assert_memory_equal(history.pages, pieces.states[pieces.source_count].pages,
                (size_t)history.page_count * 512);
        }
        pieces_release(&pieces);
    }
    assert_true(asked_count > 40);
    assert_true(refused_count > 20);
}

static rc no_base(void *payload, uint32_t pgno, uint8_t *out, struct error *err)
{
    (void)payload;
    (void)out;
    FAIL(err, RC_NET, "no answer about page %u", pgno);
}

static void what_cannot_be_asked_ends_the_merge(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_history struct history history = history_new(31, 512, 20);
    auto_memory_object struct memory_object log = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 20, .frames_max = 4 };

    history_write_log(&history, &plan, &log, NULL);
    struct segment_merge *merge = segment_merge_new("/tmp", no_base, NULL);
    CHECK_RC(segment_merge_add(merge, memory_object_source(&log), &err), RC_NET);
    segment_merge_free(merge);
    segment_merge_free(NULL);
}

static void sources_must_follow_one_another(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_history struct history history = history_new(32, 512, 20);
    auto_history struct history first = history_copy(&history);
    auto_memory_object struct memory_object snapshot = MEMORY_OBJECT_INIT;
    struct memory_object logs[3] = { MEMORY_OBJECT_INIT, MEMORY_OBJECT_INIT, MEMORY_OBJECT_INIT };
    struct history_plan plan = { .transaction_count = 3, .frames_max = 4 };
    struct pieces pieces = { .states[0] = first };

    history_write_snapshot(&history, &snapshot);
    for (unsigned index = 0; index < 3; index++) {
        if (index == 2)
            history.digest++; /* what it says to continue */
        history_write_log(&history, &plan, &logs[index], NULL);
    }
    struct segment_merge *merge = segment_merge_new("/tmp", pieces_base, &pieces);
    CHECK_RC(segment_merge_add(merge, memory_object_source(&snapshot), &err), RC_MISMATCH);
    CHECK_OK(segment_merge_add(merge, memory_object_source(&logs[0]), &err));
    CHECK_RC(segment_merge_add(merge, memory_object_source(&logs[0]), &err), RC_MISMATCH);
    CHECK_RC(segment_merge_add(merge, memory_object_source(&logs[2]), &err), RC_MISMATCH); /* gap */
    CHECK_OK(segment_merge_add(merge, memory_object_source(&logs[1]), &err));
    CHECK_RC(segment_merge_add(merge, memory_object_source(&logs[2]), &err), RC_MISMATCH);

    /* Of another page size. */
    auto_history struct history other = history_new(33, 1024, 20);
    auto_memory_object struct memory_object foreign = MEMORY_OBJECT_INIT;
    other.txid = history.txid - 3;
    history_write_log(&other, &plan, &foreign, NULL);
    CHECK_RC(segment_merge_add(merge, memory_object_source(&foreign), &err), RC_MISMATCH);
    segment_merge_free(merge);
    for (unsigned index = 0; index < 3; index++)
        memory_object_release(&logs[index]);
}

static void damage_in_a_source_is_found(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct pieces pieces;

    pieces_make(&pieces, 41);
    for (unsigned index = 0; index < pieces.source_count; index++) {
        struct buf *bytes = &pieces.sources[index].bytes;
        for (size_t place = 0; place < bytes->size; place += 1 + bytes->size / 61) {
            auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;
            bytes->data[place] ^= 0x20;
            rc result = pieces_merge(&pieces, &merged, &err);
            assert_true(result == RC_CORRUPT || result == RC_UNSUPPORTED);
            bytes->data[place] ^= 0x20;
        }
    }
    pieces_release(&pieces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sources_come_out_as_one),
        cmocka_unit_test(what_a_log_tells_again_is_left_out),
        cmocka_unit_test(merging_what_was_merged_changes_nothing),
        cmocka_unit_test(a_wrong_base_does_not_pass),
        cmocka_unit_test(what_cannot_be_asked_ends_the_merge),
        cmocka_unit_test(sources_must_follow_one_another),
        cmocka_unit_test(damage_in_a_source_is_found),
    };
    return cmocka_run_group_tests_name("segment/merge", tests, NULL, NULL);
}
