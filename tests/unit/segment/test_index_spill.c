/* index_spill: what was added comes out in order, whether it fitted into memory or not */
#include "history.h"
#include "index_spill_priv.h"

#include "base/alloc.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void check_spill(size_t piece_size, unsigned piece_count, bool expect_file)
{
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_memory_object struct memory_object expected = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object drained = MEMORY_OBJECT_INIT;
    auto_free uint8_t *piece = mem_new(piece_size);
    struct noise noise = { piece_size };
    struct index_spill spill;

    index_spill_init(&spill, scratch.folder);
    for (unsigned index = 0; index < piece_count; index++) {
        noise_fill(&noise, piece, piece_size);
        CHECK_OK(index_spill_add(&spill, bytes_of(piece, piece_size), &err));
        buf_put(&expected.bytes, bytes_of(piece, piece_size));
    }
    assert_int_equal(index_spill_size(&spill), expected.bytes.size);
    assert_int_equal(spill.fd >= 0, expect_file);
    assert_int_equal(scratch_name_count(&scratch), 0); /* the file has no name */
    CHECK_OK(index_spill_drain(&spill, memory_object_sink(&drained), &err));
    assert_true(bytes_equal(buf_bytes(&drained.bytes), buf_bytes(&expected.bytes)));
    index_spill_release(&spill);
}

static void little_stays_in_memory(void **state)
{
    (void)state;
    check_spill(1000, 0, false);
    check_spill(1000, 1000, false);
}

static void much_goes_to_a_file_without_a_name(void **state)
{
    (void)state;
    check_spill(1000, 3000, true);
    check_spill(INDEX_SPILL_ADD_MAX, 2, true);
}

static void a_missing_folder_is_an_error_only_when_it_is_needed(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct index_spill spill;
    auto_free uint8_t *piece = mem_new(INDEX_SPILL_MEMORY_MAX);

    index_spill_init(&spill, "/nonexistent/folder");
    CHECK_OK(index_spill_add(&spill, bytes_of(piece, 10), &err));
    CHECK_RC(index_spill_add(&spill, bytes_of(piece, INDEX_SPILL_MEMORY_MAX), &err), RC_NOT_FOUND);
    index_spill_release(&spill);
}

/* The file is full, or was cut by somebody; or who is to take the bytes does not. */
static void a_file_that_fails_is_told(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_memory_object struct memory_object drained = MEMORY_OBJECT_INIT;
    auto_free uint8_t *piece = mem_new(INDEX_SPILL_MEMORY_MAX);
    struct bytes bytes = bytes_of(piece, INDEX_SPILL_MEMORY_MAX);
    struct index_spill spill;

    index_spill_init(&spill, scratch.folder);
    CHECK_OK(index_spill_add(&spill, bytes, &err));
    drained.refused_write = 1;
    drained.refusal = RC_NET;
    CHECK_RC(index_spill_drain(&spill, memory_object_sink(&drained), &err), RC_NET);
    assert_int_equal(ftruncate(spill.fd, 10), 0);
    CHECK_RC(index_spill_drain(&spill, memory_object_sink(&drained), &err), RC_CORRUPT);
    auto_fd int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(dup2(full, spill.fd) >= 0);
    CHECK_RC(index_spill_add(&spill, bytes, &err), RC_NO_SPACE);
    CHECK_SAYS(err, scratch.folder);
    index_spill_release(&spill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_stays_in_memory),
        cmocka_unit_test(much_goes_to_a_file_without_a_name),
        cmocka_unit_test(a_missing_folder_is_an_error_only_when_it_is_needed),
        cmocka_unit_test(a_file_that_fails_is_told),
    };
    return cmocka_run_group_tests_name("segment/index_spill", tests, NULL, NULL);
}
