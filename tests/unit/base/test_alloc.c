/* test_alloc - memory is zeroed, ownership moves, and nothing is NULL */
#include "base/alloc.h"

#include "harness/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A sanitizer, where there is one, must let malloc() fail as it does without. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void new_memory_is_zeroed_and_never_null(void **state)
{
    (void)state;
    auto_free uint8_t *memory = mem_new(4096);
    auto_free void *nothing = mem_new(0);
    auto_free void *no_elements = mem_new_array(0, 8);

    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(memory[i], 0);
    assert_non_null(nothing);
    assert_non_null(no_elements);
}

static void overflow(void *payload)
{
    (void)payload;
    free(mem_new_array(SIZE_MAX / 8 + 1, 8));
}

static void too_much(void *payload)
{
    volatile size_t size = PTRDIFF_MAX;

    (void)payload;
    free(mem_new(size));
}

static void impossible_sizes_end_the_process(void **state)
{
    (void)state;
    assert_true(check_aborts(overflow, NULL));
    assert_true(check_aborts(too_much, NULL));
}

static void resize_keeps_content_and_accepts_nothing(void **state)
{
    (void)state;
    auto_free char *memory = mem_resize(NULL, 0);
    assert_non_null(memory);

    memory = mem_resize(memory, 4);
    memcpy(memory, "abc", 4);
    memory = mem_resize(memory, 100000);
    assert_string_equal(memory, "abc");
    memory = mem_resize(memory, 0);
    assert_non_null(memory);
}

static void copies_are_owned(void **state)
{
    (void)state;
    char original[] = "abc";
    auto_free char *copy = text_copy(original);
    auto_free char *bytes = mem_copy(original, 2);
    auto_free void *nothing = mem_copy(NULL, 0);

    original[0] = 'X';
    assert_string_equal(copy, "abc");
    assert_memory_equal(bytes, "ab", 2);
    assert_non_null(nothing);
    assert_null(text_copy(NULL));
}

static void take_leaves_nothing_to_release(void **state)
{
    (void)state;
    auto_free char *taken = NULL;
    {
        auto_free char *owner = text_copy("kept");
        taken = TAKE(owner);
        assert_null(owner);
    }
    assert_string_equal(taken, "kept");
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void descriptors_close_with_their_scope_unless_taken(void **state)
{
    (void)state;
    int left;
    int taken;
    {
        auto_fd int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
        auto_fd int second = open("/dev/null", O_RDONLY | O_CLOEXEC);
        auto_fd int none = -1;
        assert_int_equal(none, -1);
        left = first;
        taken = TAKE_FD(second);
        assert_int_equal(second, -1);
    }
    assert_false(is_open(left));
    assert_true(is_open(taken));
    close(taken);
}

static void release_keeps_errno(void **state)
{
    (void)state;
    errno = ENOSPC;
    {
        auto_fd int bad = 1000000; /* close() says EBADF */
        auto_free char *memory = text_copy("x");
        assert_int_equal(bad, 1000000);
        assert_non_null(memory);
    }
    assert_int_equal(errno, ENOSPC);
}

struct outer {
    int first;
    int member;
};

static void container_of_finds_the_outer_struct(void **state)
{
    (void)state;
    struct outer outer = { .first = 1, .member = 2 };
    int *member = &outer.member;

    assert_ptr_equal(container_of(member, struct outer, member), &outer);
    assert_int_equal(array_count(((int[7]){ 0 })), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed_and_never_null),
        cmocka_unit_test(impossible_sizes_end_the_process),
        cmocka_unit_test(resize_keeps_content_and_accepts_nothing),
        cmocka_unit_test(copies_are_owned),
        cmocka_unit_test(take_leaves_nothing_to_release),
        cmocka_unit_test(descriptors_close_with_their_scope_unless_taken),
        cmocka_unit_test(release_keeps_errno),
        cmocka_unit_test(container_of_finds_the_outer_struct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
