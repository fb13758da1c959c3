/*
 * layout - keys of a replica's objects
 */
#include "layout_priv.h"

#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TIMELINE_DIGIT_COUNT = 8 };

static const char *const level_names[LEVEL_COUNT] = {
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "snapshot",
};

_Static_assert(TIMELINE_DIGIT_COUNT + sizeof "/snapshot/" + SEGMENT_NAME_SIZE <= REPLICA_KEY_SIZE,
    "the longest key fits");

void replica_key_timeline(char out[REPLICA_KEY_SIZE], uint32_t timeline)
{
    assert(timeline > 0);

    snprintf(out, REPLICA_KEY_SIZE, REPLICA_TIMELINE_PREFIX "%08" PRIx32 ".json", timeline);
}

void replica_key_level(char out[REPLICA_KEY_SIZE], uint32_t timeline, unsigned level)
{
    assert(timeline > 0);
    assert(level < LEVEL_COUNT);

    snprintf(out, REPLICA_KEY_SIZE, "%08" PRIx32 "/%s/", timeline, level_names[level]);
}

void replica_key_segment(
    char out[REPLICA_KEY_SIZE], uint32_t timeline, unsigned level, const struct segment_name *name)
{
    assert(timeline > 0);
    assert(level < LEVEL_COUNT);

    char text[SEGMENT_NAME_SIZE];
    segment_name_format(text, name);
    snprintf(out, REPLICA_KEY_SIZE, "%08" PRIx32 "/%s/%s", timeline, level_names[level], text);
}

/* The 8 digits at TEXT; NULL when they are none or zero, else what follows them. */
static const char *layout_timeline_parse(uint32_t *ret, const char *text)
{
    uint64_t number = 0;
    if (!text_parse_hex64(&number, text, TIMELINE_DIGIT_COUNT) || number == 0)
        return NULL;
    *ret = (uint32_t)number;
    return text + TIMELINE_DIGIT_COUNT;
}

/* What follows "/<level>/", or NULL. */
static const char *layout_level_parse(unsigned *ret, const char *text)
{
    if (*text != '/')
        return NULL;
    text++;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        const char *rest = text_after_prefix(text, level_names[level]);
        if (rest != NULL && *rest == '/') {
            *ret = level;
            return rest + 1;
        }
    }
    return NULL;
}

static rc layout_segment_parse(struct replica_key *ret, const char *key, struct error *err)
{
    struct replica_key parsed = { .kind = REPLICA_KEY_SEGMENT };

    const char *rest = layout_timeline_parse(&parsed.timeline, key);
    if (rest != NULL)
        rest = layout_level_parse(&parsed.level, rest);
    if (rest == NULL)
        FAIL(err, RC_CORRUPT, "object '%s' is not one of ours; the prefix must hold nothing else",
            key);
    TRY_AS(err, segment_name_parse(&parsed.name, rest, err), "object '%s'", key);
    if (parsed.name.min_txid == 0 || parsed.name.max_txid > TXID_MAX)
        FAIL(err, RC_CORRUPT, "object '%s': transaction numbers out of range", key);
    if (parsed.level == LEVEL_SNAPSHOT && parsed.name.min_txid != parsed.name.max_txid)
        FAIL(err, RC_CORRUPT, "object '%s': a snapshot is named by its first transaction alone",
            key);

    *ret = parsed;
    return RC_OK;
}

void replica_key_expire(char out[REPLICA_KEY_SIZE], const char *note)
{
    snprintf(out, REPLICA_KEY_SIZE, REPLICA_EXPIRE_PREFIX "%s.txt", note);
}

void replica_key_hold(char out[REPLICA_KEY_SIZE], const char *name)
{
    snprintf(out, REPLICA_KEY_SIZE, REPLICA_HOLD_PREFIX "%s.txt", name);
}

static rc layout_note_parse(struct replica_key *ret, enum replica_key_kind kind, const char *prefix,
    const char *key, struct error *err)
{
    struct replica_key parsed = { .kind = kind };
    const char *name = text_after_prefix(key, prefix);
    size_t size = strlen(name);

    bool is_ours = size > strlen(".txt") && text_has_suffix(name, ".txt") &&
                   size - strlen(".txt") < sizeof parsed.note;
    if (is_ours)
        memcpy(parsed.note, name, size - strlen(".txt"));
    if (!is_ours || !replica_hold_name_is_good(parsed.note))
        FAIL(err, RC_CORRUPT, "object '%s' is not one of ours; the prefix must hold nothing else",
            key);
    *ret = parsed;
    return RC_OK;
}

rc replica_key_parse(struct replica_key *ret, const char *key, struct error *err)
{
    if (text_equal(key, REPLICA_INFO_KEY)) {
        *ret = (struct replica_key){ .kind = REPLICA_KEY_INFO };
        return RC_OK;
    }
    if (text_has_prefix(key, "proofs/")) {
        *ret = (struct replica_key){ .kind = REPLICA_KEY_RESERVED };
        return RC_OK;
    }
    if (text_has_prefix(key, REPLICA_HOLD_PREFIX))
        return layout_note_parse(ret, REPLICA_KEY_HOLD, REPLICA_HOLD_PREFIX, key, err);
    if (text_has_prefix(key, REPLICA_EXPIRE_PREFIX))
        return layout_note_parse(ret, REPLICA_KEY_EXPIRE, REPLICA_EXPIRE_PREFIX, key, err);

    const char *timeline_text = text_after_prefix(key, REPLICA_TIMELINE_PREFIX);
    if (timeline_text == NULL)
        return layout_segment_parse(ret, key, err);

    struct replica_key parsed = { .kind = REPLICA_KEY_TIMELINE };
    const char *rest = layout_timeline_parse(&parsed.timeline, timeline_text);
    if (rest == NULL || strcmp(rest, ".json") != 0)
        FAIL(err, RC_CORRUPT, "object '%s' is not one of ours; the prefix must hold nothing else",
            key);
    *ret = parsed;
    return RC_OK;
}

void restore_object_key(char *out, const struct restore_object *object)
{
    unsigned level = object->kind == SEGMENT_SNAPSHOT ? LEVEL_SNAPSHOT : object->level;

    replica_key_segment(out, object->timeline, level, &object->name);
}
