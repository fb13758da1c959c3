/*
 * layout: keys there and back, and what is none of ours
 */
#include "harness/check.h"

#include "../../../src/replica/layout_priv.h"
#include "base/alloc.h"

static void keys_are_what_the_design_says(void **state)
{
    char key[REPLICA_KEY_SIZE];
    struct segment_name name = { .min_txid = 0x1f, .max_txid = 0x2a, .time_ms = 1700000000123 };
    (void)state;

    replica_key_timeline(key, 0x2b);
    assert_string_equal(key, "timelines/0000002b.json");
    replica_key_segment(key, 2, LEVEL_LOG, &name);
    assert_string_equal(key, "00000002/0/000000000000001f-000000000000002a-1700000000123.seg");
    name.max_txid = name.min_txid;
    replica_key_segment(key, UINT32_MAX, LEVEL_SNAPSHOT, &name);
    assert_string_equal(
        key, "ffffffff/snapshot/000000000000001f-000000000000001f-1700000000123.seg");
}

static void every_key_comes_back(void **state)
{
    struct error err;
    char key[REPLICA_KEY_SIZE];
    struct replica_key parsed;
    (void)state;

    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        struct segment_name name = { .min_txid = 7, .max_txid = 7, .time_ms = 5 };
        if (level != LEVEL_SNAPSHOT)
            name.max_txid = TXID_MAX;
        replica_key_segment(key, 0xabcdef01, level, &name);
        CHECK_OK(replica_key_parse(&parsed, key, &err));
        assert_int_equal(parsed.kind, REPLICA_KEY_SEGMENT);
        assert_int_equal(parsed.timeline, 0xabcdef01);
        assert_int_equal(parsed.level, level);
        assert_int_equal(parsed.name.min_txid, name.min_txid);
        assert_int_equal(parsed.name.max_txid, name.max_txid);
        assert_int_equal(parsed.name.time_ms, name.time_ms);
    }
    CHECK_OK(replica_key_parse(&parsed, "timelines/00000010.json", &err));
    assert_int_equal(parsed.kind, REPLICA_KEY_TIMELINE);
    assert_int_equal(parsed.timeline, 16);
    CHECK_OK(replica_key_parse(&parsed, "seawal.json", &err));
    assert_int_equal(parsed.kind, REPLICA_KEY_INFO);
    CHECK_OK(replica_key_parse(&parsed, "proofs/2026/anything", &err));
    assert_int_equal(parsed.kind, REPLICA_KEY_RESERVED);
    CHECK_OK(replica_key_parse(&parsed, "holds/before-upgrade.txt", &err));
    assert_int_equal(parsed.kind, REPLICA_KEY_HOLD);
    assert_string_equal(parsed.note, "before-upgrade");
    CHECK_OK(replica_key_parse(&parsed, "expire/1700000000000-0123456789abcdef.txt", &err));
    assert_int_equal(parsed.kind, REPLICA_KEY_EXPIRE);
    assert_string_equal(parsed.note, "1700000000000-0123456789abcdef");
    static const char *const bad[] = { "holds/x", "holds/.txt", "holds/a b.txt", "holds/a/b.txt",
        "holds/.hidden.txt", "expire/", "expire/x.json",
        "holds/0123456789012345678901234567890123456789012345678901234567890123456789.txt" };
    for (size_t i = 0; i < array_count(bad); i++)
        CHECK_RC(replica_key_parse(&parsed, bad[i], &err), RC_CORRUPT);
}

static void other_keys_are_refused_by_name(void **state)
{
    static const char *const keys[] = {
        "",
        "seawal.json.bak",
        "Seawal.json",
        "proofs",
        "timelines/",
        "timelines/00000000.json",
        "timelines/0000001.json",
        "timelines/0000000A.json",
        "timelines/00000001.jso",
        "timelines/00000001.json/x",
        "00000001",
        "00000001/",
        "00000001/0",
        "00000001/0/",
        "00000001/a/0000000000000001-0000000000000001-1700000000000.seg",
        "00000001/10/0000000000000001-0000000000000001-1700000000000.seg",
        "00000001/0/x/0000000000000001-0000000000000001-1700000000000.seg",
        "00000001/snapshots/0000000000000001-0000000000000001-1700000000000.seg",
        "00000001/snapshot/0000000000000001-0000000000000002-1700000000000.seg",
        "00000000/0/0000000000000001-0000000000000001-1700000000000.seg",
        "00000001/0/0000000000000000-0000000000000001-1700000000000.seg",
        "00000001/0/0000000000000003-0000000000000002-1700000000000.seg",
        "00000001/0/0000000000000001-8000000000000000-1700000000000.seg",
        "00000001/0/0000000000000001-0000000000000001-1700000000000.tmp",
        "00000001/0/0000000000000001-0000000000000001-170000000000.seg",
        "x0000001/0/0000000000000001-0000000000000001-1700000000000.seg",
    };
    (void)state;

    for (size_t i = 0; i < array_count(keys); i++) {
        struct error err;
        struct replica_key parsed;
        CHECK_RC(replica_key_parse(&parsed, keys[i], &err), RC_CORRUPT);
        assert_non_null(strstr(err.text, keys[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_what_the_design_says),
        cmocka_unit_test(every_key_comes_back),
        cmocka_unit_test(other_keys_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
