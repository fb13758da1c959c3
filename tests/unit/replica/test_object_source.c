/*
 * object_source: what is read of a stored object, which may not be what was listed
 */
#include "harness/check.h"
#include "harness/scratch.h"

#include <stdlib.h>
#include <string.h>

#include "../../../src/replica/object_source_priv.h"
#include "base/alloc.h"
#include "store/scheme.h"

enum { OBJECT_SIZE = 3 * OBJECT_WINDOW_SIZE + 1000, PIECE = 700 };

struct stored {
    struct scratch scratch;
    struct store *store;
    uint8_t *bytes;
};

static struct stored stored_new(void)
{
    struct stored stored = { .scratch = scratch_new(), .bytes = mem_new(OBJECT_SIZE) };
    struct store_options options = { 0 };
    struct error err = { 0 };

    for (uint64_t i = 0; i < OBJECT_SIZE; i++)
        stored.bytes[i] = (uint8_t)(i * 11 + i / 253);
    CHECK_OK(store_open(&stored.store, stored.scratch.folder, &options, &err));
    CHECK_OK(store_put(
        stored.store, "object", bytes_of(stored.bytes, OBJECT_SIZE), STORE_PUT_NEW, &err));
    CHECK_OK(store_put(stored.store, "small", bytes_of(stored.bytes, PIECE), STORE_PUT_NEW, &err));
    return stored;
}

static void stored_free(struct stored *stored)
{
    store_free(stored->store);
    free(stored->bytes);
    scratch_release(&stored->scratch);
}

/* SIZE bytes from OFFSET are those that were stored. */
static void check_read(
    const struct stored *stored, struct object_source *object, uint64_t offset, uint64_t size)
{
    auto_buf struct buf out = BUF_INIT(OBJECT_SIZE);
    struct source source = object_source(object);
    struct error err = { 0 };

    CHECK_OK(source.read(source.payload, offset, size, &out, &err));
    assert_true(bytes_equal(buf_bytes(&out), bytes_of(stored->bytes + offset, size)));
}

static void check_read_fails(
    struct object_source *object, uint64_t offset, uint64_t size, rc wanted)
{
    auto_buf struct buf out = BUF_INIT(OBJECT_SIZE);
    struct source source = object_source(object);
    struct error err = { 0 };

    CHECK_RC(source.read(source.payload, offset, size, &out, &err), wanted);
}

static void a_range_is_what_was_stored_however_it_is_read(void **state)
{
    struct stored stored = stored_new();
    struct error err = { 0 };

    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        atomic_uint_fast64_t received = 0;
        auto_object_source struct object_source object;
        object_source_init(&object, stored.store, "object", OBJECT_SIZE);
        object.received = &received;
        if (way == 1)
            CHECK_OK(object_source_load(&object, &err));
        if (way == 2)
            object_source_use_windows(&object);

        check_read(&stored, &object, 0, PIECE);
        check_read(&stored, &object, 100, 0);
        check_read(&stored, &object, OBJECT_SIZE, 0);
        check_read(&stored, &object, OBJECT_WINDOW_SIZE - 10, PIECE); /* across two windows */
        check_read(&stored, &object, OBJECT_SIZE - PIECE, PIECE);
        check_read(&stored, &object, 5, 2 * OBJECT_WINDOW_SIZE); /* more than a window */
        check_read(&stored, &object, OBJECT_SIZE - PIECE, PIECE);
        check_read_fails(&object, OBJECT_SIZE + 1, 0, RC_CORRUPT);
        check_read_fails(&object, OBJECT_SIZE - 1, 2, RC_CORRUPT);
        check_read_fails(&object, UINT64_MAX, 2, RC_CORRUPT);
        assert_true(atomic_load(&received) > 0);
    }
    stored_free(&stored);
}

/* Two places that are read in turns are fetched once each. */
static void neighbours_are_fetched_once(void **state)
{
    struct stored stored = stored_new();
    atomic_uint_fast64_t received = 0;

    (void)state;
    auto_object_source struct object_source object;
    object_source_init(&object, stored.store, "object", OBJECT_SIZE);
    object.received = &received;
    object_source_use_windows(&object);
    for (uint64_t turn = 0; turn < 100; turn++) {
        check_read(&stored, &object, turn * PIECE, PIECE);
        check_read(&stored, &object, 2 * OBJECT_WINDOW_SIZE + turn * PIECE, PIECE);
    }
    assert_int_equal(atomic_load(&received), 2 * OBJECT_WINDOW_SIZE);
    check_read(&stored, &object, OBJECT_SIZE - PIECE, PIECE); /* in the place of the older one */
    check_read(&stored, &object, 2 * OBJECT_WINDOW_SIZE, PIECE);
    stored_free(&stored);
}

static void an_object_that_is_not_as_listed_is_damaged(void **state)
{
    struct stored stored = stored_new();
    struct error err = { 0 };

    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        auto_object_source struct object_source longer;
        auto_object_source struct object_source gone;
        object_source_init(&longer, stored.store, "small", PIECE + 1);
        object_source_init(&gone, stored.store, "gone", PIECE);
        if (way == 1) {
            object_source_use_windows(&longer);
            object_source_use_windows(&gone);
        }
        check_read_fails(&longer, 0, PIECE + 1, RC_CORRUPT);
        check_read_fails(&gone, 0, PIECE, RC_CORRUPT);
    }

    auto_object_source struct object_source empty;
    auto_object_source struct object_source shorter;
    auto_object_source struct object_source gone;
    object_source_init(&empty, stored.store, "small", 0);
    CHECK_RC(object_source_load(&empty, &err), RC_CORRUPT);
    CHECK_SAYS(err, "is empty");
    object_source_init(&shorter, stored.store, "small", PIECE + 1);
    CHECK_RC(object_source_load(&shorter, &err), RC_CORRUPT);
    object_source_init(&gone, stored.store, "gone", PIECE);
    CHECK_RC(object_source_load(&gone, &err), RC_CORRUPT);
    stored_free(&stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_what_was_stored_however_it_is_read),
        cmocka_unit_test(neighbours_are_fetched_once),
        cmocka_unit_test(an_object_that_is_not_as_listed_is_damaged),
    };

    return cmocka_run_group_tests_name("replica/object_source", tests, NULL, NULL);
}
