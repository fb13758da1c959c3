/* The nearest known word is found, and a far one is not offered. */
#include "config/suggest.h"

#include "harness/check.h"

static const char *nearest(const char *word)
{
    static const char *const known[] = { "path", "sync-interval", "snapshot", "replica",
        "endpoint" };
    struct suggestion suggestion = suggestion_for(word);

    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++)
        suggestion_consider(&suggestion, known[index]);
    return suggestion.best;
}

static void suggest_finds_the_nearest_word(void **state)
{
    (void)state;
    assert_string_equal(nearest("sync-intervall"), "sync-interval");
    assert_string_equal(nearest("sync_interval"), "sync-interval");
    assert_string_equal(nearest("replcia"), "replica");
    assert_string_equal(nearest("pth"), "path");
    assert_string_equal(nearest("path"), "path");
}

static void suggest_offers_nothing_far_away(void **state)
{
    (void)state;
    assert_null(nearest("colour"));
    assert_null(nearest("xyzzy-plugh"));
    assert_null(nearest("a-word-that-is-far-too-long-to-be-compared-with-anything-at-all"));
}

static void suggest_keeps_the_first_of_equally_near_words(void **state)
{
    struct suggestion suggestion = suggestion_for("bat");

    (void)state;
    suggestion_consider(&suggestion, "cat");
    suggestion_consider(&suggestion, "rat");
    assert_string_equal(suggestion.best, "cat");
    suggestion_consider(&suggestion, "bat");
    assert_string_equal(suggestion.best, "bat");
    assert_int_equal(suggestion.distance, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suggest_finds_the_nearest_word),
        cmocka_unit_test(suggest_offers_nothing_far_away),
        cmocka_unit_test(suggest_keeps_the_first_of_equally_near_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
