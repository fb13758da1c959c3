/*
 * info_json: exact files there and back; everything else refused with the right code
 */
#include "harness/check.h"

#include <stdlib.h>
#include <string.h>

#include "../../../src/replica/info_json_priv.h"
#include "base/alloc.h"
#include "base/text.h"

static const char header_text[] = "{\n  \"format\": 1,\n"
                                  "  \"database_id\": \"000102030405060708090a0b0c0d0eff\",\n"
                                  "  \"page_size\": 4096,\n"
                                  "  \"created_ms\": 1700000000123\n}\n";

static const char timeline_text[] = "{\n  \"format\": 1,\n"
                                    "  \"database_id\": \"000102030405060708090a0b0c0d0eff\",\n"
                                    "  \"timeline\": \"00000003\",\n"
                                    "  \"parent_timeline\": \"00000002\",\n"
                                    "  \"parent_txid\": \"00000000000000ff\",\n"
                                    "  \"parent_digest\": \"fedcba9876543210\",\n"
                                    "  \"own_snapshot\": false,\n"
                                    "  \"page_size\": 65536,\n"
                                    "  \"time_ms\": 1700000000456,\n"
                                    "  \"writer\": \"h\\\"o\\u00f6st/12/ab\"\n}\n";

static const struct database_id id = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255 } };

static void header_is_written_and_read_exactly(void **state)
{
    struct error err;
    struct replica_header header = {
        .database_id = id,
        .page_size = 4096,
        .created_ms = 1700000000123,
    };
    (void)state;

    auto_buf struct buf out = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_header_encode(&out, &header);
    assert_int_equal(out.size, sizeof header_text - 1);
    assert_memory_equal(out.data, header_text, out.size);
    struct replica_header back;
    CHECK_OK(replica_header_decode(&back, buf_bytes(&out), &err));
    assert_memory_equal(&back.database_id, &id, sizeof id);
    assert_int_equal(back.page_size, 4096);
    assert_int_equal(back.created_ms, 1700000000123);
}

static void timeline_is_written_and_read_exactly(void **state)
{
    struct error err;
    struct replica_timeline timeline = {
        .timeline = 3,
        .parent_timeline = 2,
        .parent_txid = 255,
        .parent_digest = 0xfedcba9876543210,
        .page_size = 65536,
        .time_ms = 1700000000456,
        .writer = "h\"o\xc3\xb6st/12/ab",
    };
    (void)state;

    auto_buf struct buf out = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_timeline_encode(&out, &id, &timeline);
    buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data,
        "{\n  \"format\": 1,\n"
        "  \"database_id\": \"000102030405060708090a0b0c0d0eff\",\n"
        "  \"timeline\": \"00000003\",\n"
        "  \"parent_timeline\": \"00000002\",\n"
        "  \"parent_txid\": \"00000000000000ff\",\n"
        "  \"parent_digest\": \"fedcba9876543210\",\n"
        "  \"own_snapshot\": false,\n"
        "  \"page_size\": 65536,\n"
        "  \"time_ms\": 1700000000456,\n"
        "  \"writer\": \"h\\\"o\\u00F6st/12/ab\"\n}\n");
    struct replica_timeline back;
    struct database_id back_id;
    CHECK_OK(replica_timeline_decode(&back, &back_id, bytes_of_text(timeline_text), &err));
    assert_memory_equal(&back_id, &id, sizeof id);
    assert_memory_equal(&back, &timeline, sizeof timeline);
}

static void a_first_timeline_has_no_parent(void **state)
{
    struct error err;
    struct replica_timeline timeline = {
        .timeline = 1,
        .own_snapshot = true,
        .page_size = 512,
        .time_ms = 1,
        .writer = "w",
    };
    (void)state;

    auto_buf struct buf out = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_timeline_encode(&out, &id, &timeline);
    struct replica_timeline back;
    struct database_id back_id;
    CHECK_OK(replica_timeline_decode(&back, &back_id, buf_bytes(&out), &err));
    assert_memory_equal(&back, &timeline, sizeof timeline);
}

/* TEXT with the first FROM replaced by TO. */
static char *with(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    return text_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void malformed_timelines_are_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        rc wanted;
        const char *text;
    } cases[] = {
        { "\"format\": 1", "\"format\": 2", RC_UNSUPPORTED, "format is 2" },
        { "\"format\": 1", "\"format\": \"1\"", RC_CORRUPT, "'format'" },
        { "\"format\": 1,", "", RC_CORRUPT, "'format'" },
        { "\"format\": 1", "\"format\": 1, \"format\": 1", RC_CORRUPT, "JSON" },
        { "0001020304", "000102030", RC_CORRUPT, "'database_id'" },
        { "0001020304", "000102030G", RC_CORRUPT, "'database_id'" },
        { "\"00000003\"", "\"00000002\"", RC_CORRUPT, "cannot have parent" },
        { "\"00000003\"", "3", RC_CORRUPT, "'timeline'" },
        { "\"00000002\"", "\"00000000\"", RC_CORRUPT, "it names none" },
        { "\"parent_txid\": \"00000000000000ff\",", "", RC_CORRUPT, "'parent_txid'" },
        { "00000000000000ff", "0000000000000000", RC_CORRUPT, "it names none" },
        { "00000000000000ff", "f0000000000000ff", RC_CORRUPT, "out of range" },
        { "false", "0", RC_CORRUPT, "'own_snapshot'" },
        { "65536", "65537", RC_CORRUPT, "'page_size'" },
        { "65536", "3000", RC_CORRUPT, "'page_size'" },
        { "65536", "-512", RC_CORRUPT, "'page_size'" },
        { "65536", "512.0", RC_CORRUPT, "'page_size'" },
        { "65536", "131072", RC_CORRUPT, "'page_size'" },
        { "1700000000456", "-1", RC_CORRUPT, "'time_ms'" },
        { "h\\\"o", "h\\u0000o", RC_CORRUPT, "JSON" },
        { "\"writer\"", "\"more\": 1, \"writer\"", RC_CORRUPT, "does not have" },
        { "}", "", RC_CORRUPT, "JSON" },
        { "}", "} x", RC_CORRUPT, "JSON" },
        { "{", "[", RC_CORRUPT, "JSON" },
    };
    (void)state;

    for (size_t i = 0; i < array_count(cases); i++) {
        struct error err;
        struct replica_timeline timeline;
        struct database_id back_id;
        auto_free char *text = with(timeline_text, cases[i].from, cases[i].to);
        CHECK_RC(replica_timeline_decode(&timeline, &back_id, bytes_of_text(text), &err),
            cases[i].wanted);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].text);
    }
}

/* The members of a timeline in the order in which they are looked at. */
static const struct {
    const char *name;
    const char *value;
} members[] = {
    { "format", "1" },
    { "database_id", "\"000102030405060708090a0b0c0d0eff\"" },
    { "timeline", "\"00000003\"" },
    { "parent_timeline", "\"00000002\"" },
    { "parent_txid", "\"00000000000000ff\"" },
    { "parent_digest", "\"fedcba9876543210\"" },
    { "own_snapshot", "true" },
    { "page_size", "4096" },
    { "time_ms", "1700000000456" },
    { "writer", "\"me\"" },
};

/* No value of another kind is taken, nor one too long; of two wrong members one is named. */
static void values_of_another_kind_are_refused(void **state)
{
    static const char *const wrong[] = { "null", "[]", "{}", "-1", "1.5", "\"\"",
        "\"0123456789abcdef0123456789abcdef0123456789abcdef\"", "\"\\u0000\"", "true" };
    struct replica_timeline timeline;
    struct database_id back_id;
    struct error err;
    (void)state;

    for (size_t first = 0; first < array_count(members); first++) {
        for (size_t second = 0; second < array_count(members); second++) {
            for (size_t value = 0; value < array_count(wrong); value++) {
                auto_buf struct buf text = BUF_INIT(INFO_JSON_SIZE_MAX);
                for (size_t i = 0; i < array_count(members); i++)
                    buf_put_format(&text, "%s\"%s\": %s", i == 0 ? "{" : ", ", members[i].name,
                        i == first || i == second ? wrong[value] : members[i].value);
                buf_put_text(&text, "}");
                rc code = replica_timeline_decode(&timeline, &back_id, buf_bytes(&text), &err);
                bool is_writer = strcmp(members[first].name, "writer") == 0 && first == second;
                bool is_own = strcmp(members[first].name, "own_snapshot") == 0 && first == second;
                if (code == RC_OK && !is_writer && !is_own)
                    fail_msg("taken: %.*s", (int)text.size, (const char *)text.data);
            }
        }
    }
}

static void sizes_and_depths_are_bounded(void **state)
{
    struct error err;
    struct replica_header header;
    (void)state;

    auto_buf struct buf big = BUF_INIT(INFO_JSON_SIZE_MAX + 1);
    buf_put_text(&big, header_text);
    while (big.size < INFO_JSON_SIZE_MAX)
        buf_put_u8(&big, ' ');
    CHECK_OK(replica_header_decode(&header, buf_bytes(&big), &err));
    buf_put_u8(&big, ' ');
    CHECK_RC(replica_header_decode(&header, buf_bytes(&big), &err), RC_CORRUPT);
    memset(big.data, '[', big.size);
    CHECK_RC(
        replica_header_decode(&header, bytes_of(big.data, INFO_JSON_SIZE_MAX), &err), RC_CORRUPT);
    CHECK_RC(replica_header_decode(&header, bytes_of(NULL, 0), &err), RC_CORRUPT);
    CHECK_RC(replica_header_decode(&header, bytes_of_text("[]"), &err), RC_CORRUPT);
    CHECK_RC(replica_header_decode(&header, bytes_of_text("null"), &err), RC_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_written_and_read_exactly),
        cmocka_unit_test(timeline_is_written_and_read_exactly),
        cmocka_unit_test(a_first_timeline_has_no_parent),
        cmocka_unit_test(malformed_timelines_are_refused),
        cmocka_unit_test(values_of_another_kind_are_refused),
        cmocka_unit_test(sizes_and_depths_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
