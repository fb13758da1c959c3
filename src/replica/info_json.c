/*
 * info_json - seawal.json and timelines/<timeline>.json
 */
#include "info_json_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "layout_priv.h"

enum { DATABASE_ID_DIGIT_COUNT = 2 * DATABASE_ID_SIZE };

static void json_release(json_t *const *value)
{
    json_decref(*value);
}
#define auto_json __attribute__((cleanup(json_release)))

/* What is being read, how many members were taken, and the first thing that was wrong. */
struct members {
    json_t *object;
    size_t taken_count;
    const char *wrong; /* name of the first member that is missing or malformed */
};

static json_t *members_take(struct members *members, const char *name)
{
    json_t *value = json_object_get(members->object, name);
    if (value == NULL) {
        if (members->wrong == NULL)
            members->wrong = name;
        return NULL;
    }
    members->taken_count++;
    return value;
}

static int64_t members_integer(struct members *members, const char *name, int64_t max)
{
    json_t *value = members_take(members, name);
    if (value == NULL)
        return 0;

    int64_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number >= 0 && number <= max)
        return number;
    if (members->wrong == NULL)
        members->wrong = name;
    return 0;
}

static const char *members_text(struct members *members, const char *name, size_t size_max)
{
    json_t *value = members_take(members, name);
    if (value == NULL)
        return "";

    size_t size = json_string_length(value);
    if (json_is_string(value) && size <= size_max && strlen(json_string_value(value)) == size)
        return json_string_value(value);
    if (members->wrong == NULL)
        members->wrong = name;
    return "";
}

static bool members_bool(struct members *members, const char *name)
{
    json_t *value = members_take(members, name);

    if (value != NULL && !json_is_boolean(value) && members->wrong == NULL)
        members->wrong = name;
    return json_is_true(value);
}

static uint64_t members_hex(struct members *members, const char *name, unsigned digit_count)
{
    const char *text = members_text(members, name, digit_count);
    uint64_t number = 0;

    bool is_right = strlen(text) == digit_count && text_parse_hex64(&number, text, digit_count);
    if (!is_right && members->wrong == NULL)
        members->wrong = name;
    return number;
}

static struct database_id members_database_id(struct members *members)
{
    const char *text = members_text(members, "database_id", DATABASE_ID_DIGIT_COUNT);
    struct database_id id = { 0 };
    bool is_right = strlen(text) == DATABASE_ID_DIGIT_COUNT;

    for (size_t i = 0; is_right && i < DATABASE_ID_SIZE; i++) {
        uint64_t byte = 0;
        is_right = text_parse_hex64(&byte, text + 2 * i, 2);
        id.bytes[i] = (uint8_t)byte;
    }
    if (!is_right && members->wrong == NULL)
        members->wrong = "database_id";
    return id;
}

static uint32_t members_page_size(struct members *members)
{
    int64_t size = members_integer(members, "page_size", PAGE_SIZE_MAX);

    if ((size < PAGE_SIZE_MIN || (size & (size - 1)) != 0) && members->wrong == NULL)
        members->wrong = "page_size";
    return (uint32_t)size;
}

/* An object whose format is ours; what is inside is the caller's to read. */
static rc members_begin(struct members *ret, json_t *root, struct error *err)
{
    struct members members = { .object = root };

    if (!json_is_object(root))
        FAIL(err, RC_CORRUPT, "not a JSON object");
    int64_t format = members_integer(&members, "format", INT64_MAX);
    if (members.wrong != NULL)
        FAIL(err, RC_CORRUPT, "member 'format' is missing or malformed");
    if (format != REPLICA_FORMAT) {
        FAIL(err, RC_UNSUPPORTED, "format is %" PRId64 ", this program knows %d; use a newer one",
            format, REPLICA_FORMAT);
    }

    *ret = members;
    return RC_OK;
}

static rc members_end(const struct members *members, struct error *err)
{
    if (members->wrong != NULL)
        FAIL(err, RC_CORRUPT, "member '%s' is missing or malformed", members->wrong);
    if (json_object_size(members->object) != members->taken_count)
        FAIL(err, RC_CORRUPT, "there are members that this format does not have");
    return RC_OK;
}

static rc info_json_load(json_t **ret, struct bytes in, struct error *err)
{
    if (in.size > INFO_JSON_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "%zu bytes of JSON; at most %d", in.size, INFO_JSON_SIZE_MAX);

    json_error_t reason;
    json_t *root = json_loadb((const char *)in.data, in.size, JSON_REJECT_DUPLICATES, &reason);
    if (root == NULL)
        FAIL(err, RC_CORRUPT, "JSON, line %d: %s", reason.line, reason.text);
    *ret = root;
    return RC_OK;
}

static void info_json_put_id(struct buf *out, const struct database_id *id)
{
    char text[DATABASE_ID_DIGIT_COUNT + 1];

    text_put_hex(text, id->bytes, sizeof id->bytes);
    buf_put_format(out, "  \"database_id\": \"%s\",\n", text);
}

void replica_header_encode(struct buf *out, const struct replica_header *header)
{
    buf_put_format(out, "{\n  \"format\": %d,\n", REPLICA_FORMAT);
    info_json_put_id(out, &header->database_id);
    buf_put_format(out, "  \"page_size\": %" PRIu32 ",\n", header->page_size);
    buf_put_format(out, "  \"created_ms\": %" PRId64 "\n}\n", header->created_ms);
}

rc replica_header_decode(struct replica_header *ret, struct bytes in, struct error *err)
{
    auto_json json_t *root = NULL;
    TRY(info_json_load(&root, in, err));

    struct members members;
    TRY(members_begin(&members, root, err));
    struct replica_header header = { .database_id = members_database_id(&members) };
    header.page_size = members_page_size(&members);
    header.created_ms = members_integer(&members, "created_ms", INT64_MAX);
    TRY(members_end(&members, err));

    *ret = header;
    return RC_OK;
}

void replica_timeline_encode(
    struct buf *out, const struct database_id *database_id, const struct replica_timeline *timeline)
{
    assert(timeline->timeline > timeline->parent_timeline);

    buf_put_format(out, "{\n  \"format\": %d,\n", REPLICA_FORMAT);
    info_json_put_id(out, database_id);
    buf_put_format(out, "  \"timeline\": \"%08" PRIx32 "\",\n", timeline->timeline);
    if (timeline->parent_timeline != 0) {
        buf_put_format(
            out, "  \"parent_timeline\": \"%08" PRIx32 "\",\n", timeline->parent_timeline);
        buf_put_format(out, "  \"parent_txid\": \"%016" PRIx64 "\",\n", timeline->parent_txid);
        buf_put_format(out, "  \"parent_digest\": \"%016" PRIx64 "\",\n", timeline->parent_digest);
    }
    buf_put_format(out, "  \"own_snapshot\": %s,\n", timeline->own_snapshot ? "true" : "false");
    buf_put_format(out, "  \"page_size\": %" PRIu32 ",\n", timeline->page_size);
    buf_put_format(out, "  \"time_ms\": %" PRId64 ",\n", timeline->time_ms);

    /* A host name may be anything; jansson knows how to quote it. */
    auto_json json_t *writer = json_stringn_nocheck(timeline->writer, strlen(timeline->writer));
    auto_free char *quoted = json_dumps(writer, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    buf_put_format(out, "  \"writer\": %s\n}\n", quoted != NULL ? quoted : "\"?\"");
}

static struct replica_timeline members_timeline(struct members *members)
{
    struct replica_timeline timeline = {
        .timeline = (uint32_t)members_hex(members, "timeline", 8),
    };

    if (json_object_get(members->object, "parent_timeline") != NULL) {
        timeline.parent_timeline = (uint32_t)members_hex(members, "parent_timeline", 8);
        timeline.parent_txid = members_hex(members, "parent_txid", 16);
        timeline.parent_digest = members_hex(members, "parent_digest", 16);
    }
    timeline.own_snapshot = members_bool(members, "own_snapshot");
    timeline.page_size = members_page_size(members);
    timeline.time_ms = members_integer(members, "time_ms", INT64_MAX);
    const char *writer = members_text(members, "writer", REPLICA_WRITER_SIZE - 1);
    memcpy(timeline.writer, writer, strlen(writer) + 1);
    return timeline;
}

/* What the members say of each other. */
static rc timeline_check(
    const struct replica_timeline *timeline, const json_t *root, struct error *err)
{
    bool has_parent = json_object_get(root, "parent_timeline") != NULL;

    if (has_parent && (timeline->parent_timeline == 0 || timeline->parent_txid == 0))
        FAIL(err, RC_CORRUPT, "there is a parent, but it names none");
    /* Parents are older, so a walk along them ends. */
    if (timeline->timeline == 0 || timeline->parent_timeline >= timeline->timeline) {
        FAIL(err, RC_CORRUPT, "timeline %08" PRIx32 " cannot have parent %08" PRIx32,
            timeline->timeline, timeline->parent_timeline);
    }
    if (timeline->parent_txid > TXID_MAX)
        FAIL(err, RC_CORRUPT, "parent transaction number out of range");
    if (!has_parent && !timeline->own_snapshot)
        FAIL(err, RC_CORRUPT, "a timeline without a parent must begin with a snapshot");
    return RC_OK;
}

rc replica_timeline_decode(struct replica_timeline *ret, struct database_id *ret_database_id,
    struct bytes in, struct error *err)
{
    auto_json json_t *root = NULL;
    TRY(info_json_load(&root, in, err));

    struct members members;
    TRY(members_begin(&members, root, err));
    struct database_id id = members_database_id(&members);
    struct replica_timeline timeline = members_timeline(&members);
    TRY(members_end(&members, err));
    TRY(timeline_check(&timeline, root, err));

    *ret = timeline;
    *ret_database_id = id;
    return RC_OK;
}
