/*
 * entry_fence - another writer has taken the history over: how that is found out, and said
 *
 * Whoever goes on with a history without being sure that nobody else does claims the timeline
 * behind the newest one. The writer before it never mixes with that, since it stores under the name
 * of its own timeline; but what it stores from then on is restored only by asking for that
 * timeline, so it must find out and stop, after what it has captured is stored there. It looks for
 * the claim behind its own, whose key it knows: one small GET, before a segment is stored, when the
 * last look is a minute or ENTRY_FENCE_STORED_COUNT_MAX segments old; and once more a minute after
 * the last one was stored. So nothing is asked while nothing is written, and steady work costs one
 * GET in 50 PUTs. A process that was stopped, or a machine that slept, looks before it stores
 * anything more than what was on its way, or than what waited: that is safe in a timeline of its
 * own.
 */
#include "entry_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pending_file.h"
#include "base/text.h"

enum {
    ENTRY_FENCE_INTERVAL_MS = 60 * 1000,
    ENTRY_FENCE_STORED_COUNT_MAX = 50,
    CLAIM_NOTE_SIZE_MAX = 64 * REPLICA_WRITER_SIZE, /* the oldest claims are left out */
};

void entry_fence_noted(struct entry *entry, const struct replica_timeline *successor)
{
    entry->fence = (struct entry_fence){
        .due_ms = clock_monotonic_ms() + ENTRY_FENCE_INTERVAL_MS,
        .looked_ms = clock_wall_ms(),
    };
    if (successor != NULL)
        entry->fence.successor = *successor;
}

/* A wall clock that was set looks like sleep, and costs one look. */
static bool fence_is_old(const struct entry_fence *fence)
{
    int64_t wall_ms = clock_wall_ms();

    return clock_monotonic_ms() >= fence->due_ms || wall_ms < fence->looked_ms ||
           wall_ms - fence->looked_ms >= ENTRY_FENCE_INTERVAL_MS;
}

static uint32_t fence_timeline(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    uint32_t timeline = entry->timeline;
    pthread_mutex_unlock(&entry->mu);
    return timeline;
}

static rc fence_look(struct entry *entry, struct error *err)
{
    struct replica_timeline successor;

    TRY(replica_successor(entry->replica, fence_timeline(entry), &successor, err));
    entry_fence_noted(entry, &successor);
    return RC_OK;
}

rc entry_fence_before(void *payload, struct error *err)
{
    struct entry *entry = payload;
    struct entry_fence *fence = &entry->fence;
    bool is_due = fence->stored_count >= ENTRY_FENCE_STORED_COUNT_MAX || fence_is_old(fence);

    if (is_due && fence->successor.timeline == 0)
        TRY(fence_look(entry, err));
    fence->stored_count++;
    return RC_OK;
}

rc entry_fence_after(struct entry *entry, struct error *err)
{
    struct entry_fence *fence = &entry->fence;

    if (fence->stored_count > 0 && fence_is_old(fence) && fence->successor.timeline == 0)
        TRY(fence_look(entry, err));
    if (fence->successor.timeline != 0)
        return entry_taken_over(entry, &fence->successor, err);
    if (fence->stored_count > 0)
        scheduler_at(entry->context->scheduler, &entry->upload_job, fence->due_ms);
    return RC_OK;
}

rc entry_taken_over(struct entry *entry, const struct replica_timeline *by, struct error *err)
{
    char text[REPLICA_CLAIM_TEXT_SIZE];

    replica_claim_describe(text, by);
    FAIL(err, RC_MISMATCH,
        "another process has taken this history over (%s); what we stored stays in timeline "
        "%08" PRIx32 ". Let only one of them run; for it to be this one, stop the other and "
        "remove the state folder '%s'",
        text, fence_timeline(entry), entry->state_dir);
}

/* ---- our own claims */

/*
 * A claim is written down before it is made, a line each, and forgotten when the replica has
 * nothing newer than the local position: a newer timeline that nobody used is ours when it is one
 * of them, else somebody else's who is about to use it. An earlier one is kept: whoever ends
 * between noting the next and making it still finds the earlier as the newest.
 */
static char *claim_path(const struct entry *entry)
{
    return path_join(entry->state_dir, "claim");
}

static size_t line_size(struct bytes text)
{
    const uint8_t *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;

    return end != NULL ? (size_t)(end - text.data) : text.size;
}

/* A text that is too long is not ours. */
static rc claim_read(struct buf *out, const char *path, struct error *err)
{
    rc code = fs_read_file(out, path, err);

    return code == RC_NOT_FOUND ? RC_OK : code;
}

rc entry_claim_note(struct entry *entry, const char *writer, struct error *err)
{
    auto_free char *path = claim_path(entry);
    auto_buf struct buf text = BUF_INIT(CLAIM_NOTE_SIZE_MAX);
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;

    TRY(claim_read(&text, path, err));
    while (text.size + REPLICA_WRITER_SIZE > CLAIM_NOTE_SIZE_MAX) {
        size_t size = line_size(buf_bytes(&text)) + 1;
        buf_drop_front(&text, size < text.size ? size : text.size);
    }
    buf_put_format(&text, "%s\n", writer);
    TRY(pending_file_open(&file, path, 0600, err));
    TRY(pending_file_write(&file, buf_bytes(&text), err));
    return pending_file_commit(&file, PENDING_FILE_REPLACE, err);
}

void entry_claim_forget(struct entry *entry)
{
    auto_free char *path = claim_path(entry);
    struct error err = { 0 };

    if (fs_remove(path, &err) != RC_OK)
        log_error(LOG_DEBUG, &err, "the note of a claim stays", "db", entry->config->path, NULL);
}

rc entry_claimed_before(
    struct entry *entry, const struct replica_timeline *by, bool *ret, struct error *err)
{
    auto_free char *path = claim_path(entry);
    auto_buf struct buf text = BUF_INIT(CLAIM_NOTE_SIZE_MAX);

    *ret = false;
    TRY(claim_read(&text, path, err));
    struct bytes rest = buf_bytes(&text);
    while (rest.size > 0 && !*ret) {
        size_t size = line_size(rest);
        *ret = bytes_equal(bytes_part(rest, 0, size), bytes_of_text(by->writer));
        size_t next = size < rest.size ? size + 1 : size;
        rest = bytes_part(rest, next, rest.size - next);
    }
    return RC_OK;
}
