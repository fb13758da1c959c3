/*
 * lies: segments whose checksums are right and whose content is not
 *
 * Linked with digests that are always the same, so every changed byte is believed until the decoder
 * behind it objects. It may accept what still makes sense; it may not crash, hang or take memory.
 */
#include "history.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>

static unsigned accepted;
static unsigned refused;

static rc see_transaction(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    (void)payload;
    (void)transaction;
    (void)err;
    return RC_OK;
}

static rc see_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)payload;
    (void)pgno;
    (void)digest;
    (void)err;
    return RC_OK;
}

/* What is said of the segment beside its frames. */
static rc read_tables(struct memory_object *object, struct error *err)
{
    struct segment_reader *reader;

    TRY(segment_reader_open(&reader, memory_object_source(object), err));
    rc result = segment_reader_each_digest(reader, see_digest, NULL, err);
    if (result == RC_OK && segment_reader_identity(reader)->kind == SEGMENT_LOG)
        result = log_reader_each_transaction(reader, see_transaction, NULL, err);
    segment_reader_free(reader);
    return result;
}

static rc read_log(const struct history *before, struct memory_object *object)
{
    struct error err = { 0 };
    auto_history struct history history = history_copy(before);
    rc replayed = history_replay(&history, object, &err);
    rc read = read_tables(object, &err);
    return replayed != RC_OK ? replayed : read;
}

static rc read_snapshot(const struct history *before, struct memory_object *object)
{
    struct error err = { 0 };
    auto_history struct history history = { 0 };
    (void)before;
    rc restored = history_restore(&history, object, &err);
    rc read = read_tables(object, &err);
    return restored != RC_OK ? restored : read;
}

static rc read_merged(const struct history *before, struct memory_object *object)
{
    struct error err = { 0 };
    auto_history struct history history = history_copy(before);
    return history_merge(&history, object, &err);
}

typedef rc read_fn(const struct history *before, struct memory_object *object);

static void check_lies(const struct history *before, struct memory_object *object, read_fn *read)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    static const uint8_t steps[] = { 1, 2, 0xfe, 0xff };

    accepted = refused = 0;
    assert_int_equal(read(before, object), RC_OK);
    for (size_t place = 0; place < object->bytes.size; place++) {
        uint8_t kept = object->bytes.data[place];
        for (size_t index = 0; index < array_count(values) + array_count(steps); index++) {
            object->bytes.data[place] = index < array_count(values)
                                            ? values[index]
                                            : (uint8_t)(kept + steps[index - array_count(values)]);
            rc result = read(before, object);
            assert_true(result == RC_OK || result == RC_CORRUPT || result == RC_UNSUPPORTED ||
                        result == RC_MISMATCH);
            if (result == RC_OK)
                accepted++;
            else
                refused++;
        }
        object->bytes.data[place] = kept;
    }
    assert_true(refused > object->bytes.size / 2);
    assert_true(accepted > 0); /* or the digests are not the weak ones */
}

static void lies_in_a_log_do_no_harm(void **state)
{
    (void)state;
    auto_history struct history history = history_new(21, 512, 10);
    auto_history struct history before = history_copy(&history);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 6, .frames_max = 4, .may_resize = true };

    history_write_log(&history, &plan, &object, NULL);
    check_lies(&before, &object, read_log);
}

static void lies_in_a_snapshot_do_no_harm(void **state)
{
    (void)state;
    auto_history struct history history = history_new(22, 512, 5);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;

    history_write_snapshot(&history, &object);
    check_lies(&history, &object, read_snapshot);
}

static void lies_in_a_merged_segment_do_no_harm(void **state)
{
    (void)state;
    auto_history struct history before = history_new(23, 512, 7);
    auto_history struct history after = history_copy(&before);
    auto_memory_object struct memory_object log = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 6, .frames_max = 4, .may_resize = true };

    history_write_log(&after, &plan, &log, NULL);
    for (uint32_t pgno = 1; pgno <= 3; pgno += 2) /* pages 1 and 3 at least; not all of them */
        after.pages[(size_t)(pgno - 1) * 512] ^= 1;
    history_write_merged(&before, &after, &object);
    check_lies(&before, &object, read_merged);
}

/* Whatever the parent is said to be: a page that is new since then must be there. */
static void growth_without_its_pages_is_refused(void **state)
{
    (void)state;
    enum {
        PAGE_COUNT = 20,
        HEADER_PLACE = 10 + 48, /* of the parent page count */
        TRAILER_PLACE = 48,
        TRAILER_SIZE = 190,
    };
    auto_history struct history before = history_new(24, 512, PAGE_COUNT);
    auto_history struct history after = history_copy(&before);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;

    static const uint32_t changed[] = { 2, 9, 13, 14, 19, 20 };
    for (size_t index = 0; index < array_count(changed); index++)
        after.pages[(size_t)(changed[index] - 1) * 512] ^= 1;
    after.txid++;
    after.digest = PAGE_COUNT; /* every page's weak digest is 1 */
    history_write_merged(&before, &after, &object);
    for (uint32_t parent = 0; parent <= PAGE_COUNT + 3; parent++) {
        put_be32(object.bytes.data + HEADER_PLACE, parent);
        put_be32(object.bytes.data + object.bytes.size - TRAILER_SIZE + TRAILER_PLACE, parent);
        rc wanted = parent >= 18 ? RC_OK : RC_CORRUPT; /* 19 and 20 are there */
        assert_int_equal(read_merged(&before, &object), wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_in_a_log_do_no_harm),
        cmocka_unit_test(lies_in_a_snapshot_do_no_harm),
        cmocka_unit_test(lies_in_a_merged_segment_do_no_harm),
        cmocka_unit_test(growth_without_its_pages_is_refused),
    };
    return cmocka_run_group_tests_name("segment/lies", tests, NULL, NULL);
}
