/*
 * walk - every page of the database as of one header of the log, and who wrote the file meanwhile
 *
 * In WAL mode nothing but a checkpoint writes the database file, and a checkpoint moves the count
 * of backfilled frames or the salts, or holds the checkpoint lock while it writes. So a file whose
 * time or size moved without that was written by something that is not SQLite: a copy over it, most
 * likely; or a checkpointer died before it said what it had copied, which changes nothing. What was
 * read meanwhile is no state of the database, and what was captured before may not be what the file
 * holds now.
 */
#include "capture_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "codec/digest.h"

enum {
    WALK_PAUSE_PAGE_COUNT = 256, /* between two looks at the cancel token */
    WALK_TELL_MS = 10 * 1000,
};

/* The file first: whoever writes it from here on is seen by the next look. */
static rc file_stamp_read(struct capture *capture, struct file_stamp *ret, struct error *err)
{
    struct wal_index_header header;
    struct stat status;

    TRY(fs_stat(&status, database_path(capture->database), err));
    TRY(capture_read_header(capture, &header, err));
    *ret = (struct file_stamp){
        .is_known = true,
        .mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec,
        .size = (uint64_t)status.st_size,
        .salt = { header.salt[0], header.salt[1] },
        .backfilled = database_backfilled(capture->database),
    };
    return RC_OK;
}

static bool file_stamp_same_file(const struct file_stamp *left, const struct file_stamp *right)
{
    return left->mtime_ns == right->mtime_ns && left->size == right->size;
}

static bool file_stamp_same_index(const struct file_stamp *left, const struct file_stamp *right)
{
    return wal_pair_equal(left->salt, right->salt) && left->backfilled == right->backfilled;
}

/* NOW is read again when somebody may have been checkpointing just then. */
static rc file_stamp_judge(struct capture *capture, const struct file_stamp *before,
    struct file_stamp *now, bool *ret_foreign, struct error *err)
{
    bool is_running = false;

    *ret_foreign = false;
    TRY(file_stamp_read(capture, now, err));
    if (!before->is_known || file_stamp_same_file(before, now) ||
        !file_stamp_same_index(before, now))
        return RC_OK;
    TRY(database_checkpoint_runs(capture->database, &is_running, err));
    if (is_running)
        FAIL(err, RC_BUSY, "somebody's checkpoint is running");
    TRY(file_stamp_read(capture, now, err));
    *ret_foreign = !file_stamp_same_file(before, now) && file_stamp_same_index(before, now);
    return RC_OK;
}

void file_stamp_note(struct capture *capture)
{
    if (file_stamp_read(capture, &capture->stamp, NULL) != RC_OK)
        capture->stamp.is_known = false;
}

rc file_stamp_check(struct capture *capture, struct error *err)
{
    struct file_stamp now;
    bool is_foreign = false;
    rc judged = file_stamp_judge(capture, &capture->stamp, &now, &is_foreign, err);

    if (judged == RC_BUSY)
        return RC_OK; /* the next look tells */
    if (judged != RC_OK)
        return judged;
    /* While the file is the same, the index as it was when the file got so is what to compare with.
     */
    if (!capture->stamp.is_known || !file_stamp_same_file(&capture->stamp, &now))
        capture->stamp = now;
    if (is_foreign)
        capture->file_is_suspect = true;
    return RC_OK;
}

static rc walk_pause(struct capture *capture, const char *what, uint32_t done, uint32_t total,
    int64_t *told_ms, struct error *err)
{
    int64_t now_ms = clock_monotonic_ms();

    if (cancel_asked(capture->cancel))
        FAIL(err, RC_CANCELLED, "%s: cancelled", what);
    if (capture->progress == NULL || now_ms - *told_ms < WALK_TELL_MS)
        return RC_OK;
    *told_ms = now_ms;
    capture->progress(capture->progress_payload, what, done, total);
    return RC_OK;
}

rc image_walk(struct capture *capture, const struct image_walk *walk, struct error *err)
{
    const struct wal_index_header *header = walk->header;
    uint32_t lock_page = lock_page_of(header->page_size);
    int64_t told_ms = clock_monotonic_ms();
    struct file_stamp before;
    struct file_stamp after;
    bool is_foreign = false;

    if (header->page_count == 0)
        FAIL(err, RC_BUSY, "the database file is empty; is it being written?");
    TRY(file_stamp_read(capture, &before, err));
    for (uint32_t index = 0; index < header->page_count; index++) {
        if (index % WALK_PAUSE_PAGE_COUNT == 0)
            TRY(walk_pause(capture, walk->what, index, header->page_count, &told_ms, err));
        if (index + 1 == lock_page)
            continue;
        TRY(image_read(capture, walk->view, index + 1, capture->page, err));
        TRY(walk->each(walk->payload, index + 1, bytes_of(capture->page, header->page_size), err));
    }
    TRY(file_stamp_judge(capture, &before, &after, &is_foreign, err));
    if (is_foreign)
        FAIL(err, RC_BUSY, "the database file was written by something that is not SQLite");
    capture->stamp = before;
    return RC_OK;
}
