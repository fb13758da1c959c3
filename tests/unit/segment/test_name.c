/* name: one spelling for each name, and nothing else is one */
#include "segment/name.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <string.h>

static void names_come_back(void **state)
{
    (void)state;
    static const struct segment_name names[] = {
        { 1, 1, 0 },
        { 2, 0x1f, INT64_C(1790000000000) },
        { UINT64_MAX, UINT64_MAX, INT64_C(9999999999999) },
    };
    for (size_t index = 0; index < array_count(names); index++) {
        char text[SEGMENT_NAME_SIZE];
        struct segment_name name;
        struct error err = { 0 };
        segment_name_format(text, &names[index]);
        assert_int_equal(strlen(text), SEGMENT_NAME_SIZE - 1);
        CHECK_OK(segment_name_parse(&name, text, &err));
        assert_int_equal(name.min_txid, names[index].min_txid);
        assert_int_equal(name.max_txid, names[index].max_txid);
        assert_int_equal(name.time_ms, names[index].time_ms);
    }
}

static void a_name_is_spelt_as_documented(void **state)
{
    (void)state;
    char text[SEGMENT_NAME_SIZE];
    struct segment_name name = { 2, 0xabc, INT64_C(1790000000123) };
    segment_name_format(text, &name);
    assert_string_equal(text, "0000000000000002-0000000000000abc-1790000000123.seg");
}

static void other_texts_are_corrupt(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "seawal.json",
        "0000000000000002-0000000000000abc-1790000000123.seg ",
        "0000000000000002-0000000000000abc-1790000000123.se",
        "0000000000000002-0000000000000abc-1790000000123.sea",
        "0000000000000002-0000000000000ABC-1790000000123.seg",
        "0000000000000002_0000000000000abc-1790000000123.seg",
        "0000000000000002-0000000000000abc_1790000000123.seg",
        "0000000000000002-0000000000000abc-179000000012a.seg",
        "000000000000000g-0000000000000abc-1790000000123.seg",
        "0000000000000000-0000000000000abc-1790000000123.seg",
        "0000000000000003-0000000000000002-1790000000123.seg",
    };
    for (size_t index = 0; index < array_count(texts); index++) {
        struct segment_name name;
        struct error err = { 0 };
        CHECK_RC(segment_name_parse(&name, texts[index], &err), RC_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(a_name_is_spelt_as_documented),
        cmocka_unit_test(other_texts_are_corrupt),
    };
    return cmocka_run_group_tests_name("segment/name", tests, NULL, NULL);
}
