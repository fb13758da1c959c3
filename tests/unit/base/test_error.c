/* test_error - codes, texts and what survives when there is no room for all of it */
#include "base/error.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <errno.h>
#include <stdio.h>

static rc fail_plainly(struct error *err)
{
    FAIL(err, RC_CORRUPT, "page size is %d; must be a power of two", 3000);
}

static rc fail_by_system(int sys_errno, struct error *err)
{
    errno = sys_errno;
    FAIL_SYS(err, "open '%s'", "/d/app.db");
}

static rc pass_on(rc code, struct error *err)
{
    TRY(code);
    TRY_AS(err, fail_plainly(err), "wal '%s'", "x");
    return RC_OK;
}

static void a_failure_says_what_and_where(void **state)
{
    (void)state;
    struct error err;

    CHECK_RC(fail_plainly(&err), RC_CORRUPT);
    assert_string_equal(err.text, "page size is 3000; must be a power of two");
    assert_int_equal(err.code, RC_CORRUPT);
    assert_int_equal(err.sys_errno, 0);
    assert_non_null(strstr(err.file, "test_error.c"));
    assert_true(err.line > 0);
}

static void a_system_failure_carries_its_cause(void **state)
{
    (void)state;
    struct error err;

    CHECK_RC(fail_by_system(EACCES, &err), RC_DENIED);
    assert_string_equal(err.text, "open '/d/app.db': Permission denied");
    assert_int_equal(err.sys_errno, EACCES);
}

static void each_level_adds_its_part(void **state)
{
    (void)state;
    struct error err;

    CHECK_RC(pass_on(RC_OK, &err), RC_CORRUPT);
    assert_string_equal(err.text, "wal 'x': page size is 3000; must be a power of two");
    int line = err.line;
    assert_int_equal(error_wrap(&err, RC_MISMATCH, "database '%s'", "y"), RC_MISMATCH);
    assert_int_equal(err.code, RC_MISMATCH);
    assert_int_equal(err.line, line);
    err.text[0] = '\0';
    CHECK_RC(pass_on(RC_BUSY, &err), RC_BUSY);
    assert_string_equal(err.text, "");
}

static void nobody_listening_is_fine(void **state)
{
    (void)state;
    assert_int_equal(fail_plainly(NULL), RC_CORRUPT);
    assert_int_equal(error_wrap(NULL, RC_NET, "x"), RC_NET);
}

static void its_own_text_may_be_an_argument(void **state)
{
    (void)state;
    struct error err;

    assert_int_equal(error_set(&err, RC_IO, 0, "f", 1, "inner"), RC_IO);
    assert_int_equal(error_set(&err, RC_IO, 0, "f", 2, "outer: %s", err.text), RC_IO);
    assert_string_equal(err.text, "outer: inner");
    assert_int_equal(error_wrap(&err, RC_IO, "<%s>", err.text), RC_IO);
    assert_string_equal(err.text, "<outer: inner>: outer: inner");
}

static void a_long_prefix_gives_way_to_the_cause(void **state)
{
    (void)state;
    char path[2000];
    struct error err;

    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(error_set(&err, RC_IO, 0, "f", 1, "the cause"), RC_IO);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(error_wrap(&err, RC_IO, "%s", path), RC_IO);
        size_t size = strlen(err.text);
        assert_int_equal(size, ERROR_TEXT_SIZE - 1);
        assert_string_equal(err.text + size - strlen(": the cause"), ": the cause");
    }
    assert_int_equal(error_set(&err, RC_IO, ENOSPC, "f", 1, "%s", path), RC_IO);
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
}

static void every_code_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < RC_COUNT; i++) {
        assert_non_null(rc_name((rc)i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(rc_name((rc)i), rc_name((rc)j));
    }
    assert_string_equal(rc_name(RC_NOT_FOUND), "not-found");
}

static void system_errors_become_decisions(void **state)
{
    (void)state;
    const struct {
        int sys_errno;
        rc code;
    } rows[] = {
        { ENOENT, RC_NOT_FOUND },
        { EEXIST, RC_EXISTS },
        { EAGAIN, RC_BUSY },
        { EWOULDBLOCK, RC_BUSY },
        { ECONNREFUSED, RC_NET },
        { ETIMEDOUT, RC_NET },
        { EACCES, RC_DENIED },
        { EROFS, RC_DENIED },
        { ENOSPC, RC_NO_SPACE },
        { EDQUOT, RC_NO_SPACE },
        { ENOSYS, RC_UNSUPPORTED },
        { EIO, RC_IO },
        { EXDEV, RC_IO },
        { ENOTDIR, RC_IO },
        { 0, RC_IO },
        { 99999, RC_IO },
    };

    for (size_t i = 0; i < array_count(rows); i++)
        assert_int_equal(rc_from_errno(rows[i].sys_errno), rows[i].code);
}

static void only_busy_and_net_are_worth_a_retry(void **state)
{
    (void)state;
    for (int i = 0; i < RC_COUNT; i++)
        assert_int_equal(rc_is_transient((rc)i), i == RC_BUSY || i == RC_NET);
}

static void ok_as_error(void *payload)
{
    error_set(payload, RC_OK, 0, "f", 1, "x");
}

static void success_is_not_an_error(void **state)
{
    (void)state;
    struct error err;

    assert_true(check_aborts(ok_as_error, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_says_what_and_where),
        cmocka_unit_test(a_system_failure_carries_its_cause),
        cmocka_unit_test(each_level_adds_its_part),
        cmocka_unit_test(nobody_listening_is_fine),
        cmocka_unit_test(its_own_text_may_be_an_argument),
        cmocka_unit_test(a_long_prefix_gives_way_to_the_cause),
        cmocka_unit_test(every_code_has_its_own_name),
        cmocka_unit_test(system_errors_become_decisions),
        cmocka_unit_test(only_busy_and_net_are_worth_a_retry),
        cmocka_unit_test(success_is_not_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
