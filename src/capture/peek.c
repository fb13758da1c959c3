/*
 * peek - what a state folder says, for somebody who only looks
 *
 * The log is judged by the WAL-index header (sqlite.org/walformat.html, section 2.1; both copies
 * must be equal), or by the log's own header where no index is there.
 */
#include "capture/peek.h"

#include <fcntl.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "position_priv.h"

enum {
    PEEK_INDEX_HEADER_SIZE = 48,
    PEEK_INDEX_FRAME_COUNT_OFFSET = 16,
    PEEK_INDEX_SALT_OFFSET = 32,
    PEEK_LOG_HEADER_SIZE = 32,
    PEEK_LOG_SALT_OFFSET = 16,
    PEEK_FRAME_HEADER_SIZE = 24,
    PEEK_TRIES = 3,
};

void capture_peek_release(struct capture_peek *peek)
{
    segment_list_release(&peek->spool);
    *peek = CAPTURE_PEEK_INIT;
}

static bool peek_same_log(const struct log_place *place, const uint8_t *salts)
{
    return get_be32(salts) == place->salt[0] && get_be32(salts + 4) == place->salt[1];
}

/* From the index of a database that somebody has open. */
static enum capture_peek_log peek_judge_index(const struct log_place *place, const uint8_t *header)
{
    uint32_t frame_count;

    memcpy(&frame_count, header + PEEK_INDEX_FRAME_COUNT_OFFSET, sizeof frame_count);
    if (frame_count == 0)
        return CAPTURE_PEEK_CAPTURED;
    if (place->frame_count == 0 && place->salt[0] == 0 && place->salt[1] == 0)
        return CAPTURE_PEEK_UNKNOWN;
    if (!peek_same_log(place, header + PEEK_INDEX_SALT_OFFSET))
        return CAPTURE_PEEK_AHEAD;
    return frame_count > place->frame_count ? CAPTURE_PEEK_AHEAD : CAPTURE_PEEK_CAPTURED;
}

static enum capture_peek_log peek_index(const struct log_place *place, int fd)
{
    for (unsigned try = 0; try < PEEK_TRIES; try++) {
        uint8_t copies[2 * PEEK_INDEX_HEADER_SIZE];

        if (fs_read_exact(fd, copies, sizeof copies, 0, NULL) != RC_OK)
            return CAPTURE_PEEK_UNKNOWN;
        if (memcmp(copies, copies + PEEK_INDEX_HEADER_SIZE, PEEK_INDEX_HEADER_SIZE) == 0)
            return peek_judge_index(place, copies);
    }
    return CAPTURE_PEEK_UNKNOWN;
}

/* From the log alone: nobody has the database open. Frames of a crashed writer count as news. */
static enum capture_peek_log peek_log_file(
    const struct log_place *place, uint32_t page_size, const char *path)
{
    uint8_t header[PEEK_LOG_HEADER_SIZE];
    auto_fd int fd = -1;
    uint64_t size;

    if (fs_open(&fd, path, O_RDONLY, 0, NULL) != RC_OK || fs_size(&size, fd, NULL) != RC_OK)
        return CAPTURE_PEEK_UNKNOWN;
    if (size < sizeof header || fs_read_exact(fd, header, sizeof header, 0, NULL) != RC_OK)
        return CAPTURE_PEEK_UNKNOWN;
    if (!peek_same_log(place, header + PEEK_LOG_SALT_OFFSET))
        return CAPTURE_PEEK_AHEAD;
    uint64_t frame_count = (size - sizeof header) / (PEEK_FRAME_HEADER_SIZE + (uint64_t)page_size);
    return frame_count > place->frame_count ? CAPTURE_PEEK_AHEAD : CAPTURE_PEEK_CAPTURED;
}

static enum capture_peek_log peek_log(const struct position_file *found, const char *database_path)
{
    auto_free char *index_path = text_format("%s-shm", database_path);
    auto_free char *log_path = text_format("%s-wal", database_path);
    auto_fd int fd = -1;

    if (found->position.txid == 0)
        return CAPTURE_PEEK_UNKNOWN;
    rc result = fs_open(&fd, index_path, O_RDONLY, 0, NULL);
    if (result == RC_OK)
        return peek_index(&found->place, fd);
    if (result != RC_NOT_FOUND)
        return CAPTURE_PEEK_UNKNOWN;
    return peek_log_file(&found->place, found->position.page_size, log_path);
}

static const struct segment_name *peek_newest(const struct segment_list *spool)
{
    for (size_t index = spool->count; index > 0; index--) {
        if (!spool->entries[index - 1].is_merged)
            return &spool->entries[index - 1].name;
    }
    return NULL;
}

/* The newest segment may be replaced by a newer one, and removed, between the listing and the look.
 */
static rc peek_position(struct position_file *found, struct segment_list *spool,
    const char *state_dir, struct error *err)
{
    auto_free char *position_path = path_join(state_dir, "position");
    auto_free char *folder = path_join(state_dir, "spool");
    rc result = RC_NOT_FOUND;

    for (unsigned try = 0; try < PEEK_TRIES && result == RC_NOT_FOUND; try++) {
        *found = (struct position_file){ 0 };
        result = position_file_read(found, position_path, err);
        if (result != RC_OK && result != RC_NOT_FOUND)
            return result;
        segment_list_release(spool);
        TRY(segment_dir_list_spool(spool, folder, err));
        const struct segment_name *newest = peek_newest(spool);
        if (newest == NULL || newest->max_txid <= found->position.txid)
            return RC_OK;
        result = position_from_segment(&found->position, &found->place, folder, newest, err);
    }
    return result;
}

rc capture_peek(
    struct capture_peek *ret, const char *state_dir, const char *database_path, struct error *err)
{
    auto_capture_peek struct capture_peek peek = CAPTURE_PEEK_INIT;
    struct position_file found;

    TRY_AS(err, peek_position(&found, &peek.spool, state_dir, err), "state folder '%s'", state_dir);
    peek.position = found.position;
    peek.log = peek_log(&found, database_path);
    *ret = peek;
    peek = CAPTURE_PEEK_INIT;
    return RC_OK;
}
