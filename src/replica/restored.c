/*
 * restored - a restored file tells which point of which history it is
 */
#include "restored_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/text.h"
#include "layout_priv.h"

static const char attribute_name[] = "user.seawal.restored";
static const char text_head[] = "seawal 1 ";

void restored_encode(char out[RESTORED_TEXT_SIZE], const struct replica_position *position)
{
    char id[2 * DATABASE_ID_SIZE + 1];

    text_put_hex(id, position->database_id.bytes, DATABASE_ID_SIZE);
    snprintf(out, RESTORED_TEXT_SIZE, "%s%s %08" PRIx32 " %016" PRIx64 " %016" PRIx64, text_head,
        id, position->timeline, position->txid, position->digest);
}

/* DIGIT_COUNT hex digits and what ends them; NULL when they are not there. */
static const char *restored_number(uint64_t *ret, const char *text, unsigned digit_count, char end)
{
    if (text == NULL || !text_parse_hex64(ret, text, digit_count) || text[digit_count] != end)
        return NULL;
    return text + digit_count + 1;
}

rc restored_decode(struct replica_position *ret, struct bytes text, struct error *err)
{
    struct replica_position position = { 0 };
    char copy[RESTORED_TEXT_SIZE] = "";
    uint64_t timeline = 0;
    uint64_t byte = 0;

    if (text.size >= sizeof copy)
        FAIL(err, RC_CORRUPT, "a note of %zu bytes", text.size);
    snprintf(copy, sizeof copy, "%.*s", (int)text.size, (const char *)text.data);
    const char *rest = text_after_prefix(copy, text_head);
    for (size_t i = 0; i < DATABASE_ID_SIZE && rest != NULL; i++) {
        rest = text_parse_hex64(&byte, rest, 2) ? rest + 2 : NULL;
        position.database_id.bytes[i] = (uint8_t)byte;
    }
    rest = rest != NULL && *rest == ' ' ? rest + 1 : NULL;
    rest = restored_number(&timeline, rest, 8, ' ');
    rest = restored_number(&position.txid, rest, 16, ' ');
    rest = restored_number(&position.digest, rest, 16, '\0');
    position.timeline = (uint32_t)timeline;
    if (rest == NULL || position.timeline == 0 || position.txid == 0 || position.txid > TXID_MAX)
        FAIL(err, RC_CORRUPT, "a note that is not understood: '%s'", copy);
    *ret = position;
    return RC_OK;
}

rc restored_mark(int fd, const struct replica_position *position, struct error *err)
{
    char text[RESTORED_TEXT_SIZE];

    restored_encode(text, position);
    return fs_set_attribute(fd, attribute_name, bytes_of_text(text), err);
}

rc restored_look(struct replica_position *ret, const char *path, struct error *err)
{
    auto_buf struct buf text = BUF_INIT(RESTORED_TEXT_SIZE);

    TRY(fs_get_attribute(&text, path, attribute_name, err));
    TRY_AS(err, restored_decode(ret, buf_bytes(&text), err), "'%s'", path);
    return RC_OK;
}

rc restored_forget(const char *path, struct error *err)
{
    return fs_remove_attribute(path, attribute_name, err);
}
