/* Variables become their values, dollars stay where they are meant, and nothing is empty by
 * mistake. */
#include "env_priv.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>
#include <string.h>

static int set_up(void **state)
{
    (void)state;
    unsetenv("SEAWAL_TEST_NONE");
    setenv("SEAWAL_TEST_A", "alpha", 1);
    return setenv("SEAWAL_TEST_EMPTY", "", 1);
}

static void env_expands(void **state)
{
    static const struct {
        const char *text;
        const char *expanded;
    } rows[] = {
        { "", "" },
        { "plain", "plain" },
        { "$SEAWAL_TEST_A", "alpha" },
        { "${SEAWAL_TEST_A}", "alpha" },
        { "x${SEAWAL_TEST_A}y$SEAWAL_TEST_A-z", "xalphayalpha-z" },
        { "[$SEAWAL_TEST_EMPTY]", "[]" },
        { "$$", "$" },
        { "$$SEAWAL_TEST_A", "$SEAWAL_TEST_A" },
        { "a$", "a$" },
        { "5$ 6$7", "5$ 6$7" },
    };

    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        struct error err;
        auto_free char *expanded = NULL;

        CHECK_OK(env_expand(&expanded, rows[index].text, &err));
        assert_string_equal(expanded, rows[index].expanded);
    }
}

static void env_names_what_is_not_set(void **state)
{
    struct error err;
    char *expanded = NULL;

    (void)state;
    CHECK_RC(env_expand(&expanded, "s3://${SEAWAL_TEST_NONE}/x", &err), RC_USAGE);
    assert_string_equal(
        err.text, "environment variable 'SEAWAL_TEST_NONE' is not set; write $$ for a dollar");
    assert_null(expanded);
}

static void env_refuses_broken_braces(void **state)
{
    static const char *const texts[] = { "${", "${}", "${SEAWAL_TEST_A", "${1}", "${A-b}" };

    (void)state;
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        struct error err;
        char *expanded = NULL;

        CHECK_RC(env_expand(&expanded, texts[index], &err), RC_USAGE);
        assert_non_null(strstr(err.text, "${NAME}"));
    }
}

static void env_is_bounded(void **state)
{
    struct error err;
    char *expanded = NULL;
    auto_free char *large = mem_new(40001);

    (void)state;
    memset(large, 'x', 40000);
    setenv("SEAWAL_TEST_LARGE", large, 1);
    CHECK_RC(env_expand(&expanded, "$SEAWAL_TEST_LARGE$SEAWAL_TEST_LARGE", &err), RC_USAGE);
    unsetenv("SEAWAL_TEST_LARGE");

    auto_free char *name = mem_new(202);
    memset(name, 'N', 200);
    name[0] = '$';
    CHECK_RC(env_expand(&expanded, name, &err), RC_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(env_expands),
        cmocka_unit_test(env_names_what_is_not_set),
        cmocka_unit_test(env_refuses_broken_braces),
        cmocka_unit_test(env_is_bounded),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
