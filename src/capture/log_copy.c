/*
 * log_copy - committed frames of the log into segments
 *
 * Frame by frame: the image before it is looked up (an earlier frame of the log, else the database
 * file), compared with the digest that the map has for it, and used as the base of a difference
 * only when it is that. Memory does not depend on how much there is to copy.
 */
#include "spool_writer_priv.h"

#include "codec/digest.h"

#include <assert.h>

struct log_copy {
    struct capture *capture;
    const struct wal_index_header *header;
    struct log_scan scan;
    struct spool_writer *writer; /* the capture's */
    bool in_transaction;
};

static void log_copy_release(struct log_copy *copy)
{
    log_scan_release(&copy->scan);
}

/* Behind the captured place when it is in this log, else from the log's beginning. */
static rc log_copy_begin(struct log_copy *copy, struct error *err)
{
    const struct log_place *place = capture_head_place(copy->capture);
    const struct wal_index_header *header = copy->header;
    struct database *database = copy->capture->database;

    if (log_place_same_log(place, header) && place->frame_count > 0)
        return log_scan_begin_at(
            &copy->scan, database, place->salt, place->frame_count, place->checksum, err);

    rc result = log_scan_begin(&copy->scan, database, err);
    if (result == RC_NOT_FOUND)
        FAIL(err, RC_BUSY, "the log was emptied just now");
    if (result != RC_OK)
        return result;
    if (!wal_pair_equal(copy->scan.salt, header->salt))
        FAIL(err, RC_MISMATCH, "the log and its index have different salts");
    return RC_OK;
}

/* The image of PGNO before frame FRAME; empty when it is unknown or not what the map expects. */
static rc log_copy_base(
    struct log_copy *copy, uint32_t pgno, uint32_t frame, struct bytes *ret, struct error *err)
{
    struct capture *capture = copy->capture;
    const struct log_scan *scan = &copy->scan;

    *ret = bytes_of(NULL, 0);
    if (digest_map_page(capture->folder.map, pgno) == PAGE_DIGEST_UNKNOWN)
        return RC_OK;

    struct log_place before = {
        .salt = { scan->salt[0], scan->salt[1] },
        .frame_count = frame - 1,
    };
    rc result = image_read_known(capture, &before, pgno, capture->base, err);
    if (result == RC_OK)
        *ret = bytes_of(capture->base, capture->file_page_size);
    else if (result == RC_MISMATCH && !capture->doubt_expected && !capture->file_may_be_ahead)
        capture->in_doubt = true;
    return result == RC_MISMATCH ? RC_OK : result;
}

static struct log_place log_copy_place(const struct log_copy *copy)
{
    const struct log_scan *scan = &copy->scan;

    return (struct log_place){
        .salt = { scan->salt[0], scan->salt[1] },
        .checkpoint_sequence = scan->checkpoint_sequence,
        .frame_count = scan->frame,
        .checksum = { scan->checksum[0], scan->checksum[1] },
    };
}

static rc log_copy_end_transaction(struct log_copy *copy, uint32_t page_count, struct error *err)
{
    struct spool_writer *writer = copy->writer;
    struct log_place place = log_copy_place(copy);

    TRY(spool_writer_end_transaction(writer, page_count, &place, 0, err));
    if (!spool_writer_is_full(writer))
        return RC_OK;
    return settle_run(copy->capture, SETTLE_HOWEVER_LONG, err);
}

/* RC_NOT_FOUND: the end. */
static rc log_copy_frame(struct log_copy *copy, struct error *err)
{
    struct log_frame_header frame;
    struct bytes page;
    struct bytes base;

    TRY(log_scan_next(&copy->scan, copy->header, &frame, &page, err));
    if (!spool_writer_is_open(copy->writer))
        TRY(spool_writer_begin(copy->writer, copy->capture, err));
    TRY(log_copy_base(copy, frame.pgno, copy->scan.frame, &base, err));
    TRY(spool_writer_add_frame(copy->writer, frame.pgno, page, base, err));

    copy->in_transaction = frame.commit_page_count == 0;
    if (copy->in_transaction)
        return RC_OK;
    return log_copy_end_transaction(copy, frame.commit_page_count, err);
}

static rc log_copy_all(struct log_copy *copy, struct error *err)
{
    rc result = RC_OK;

    TRY(log_copy_begin(copy, err));
    while (result == RC_OK)
        result = log_copy_frame(copy, err);
    if (result != RC_NOT_FOUND)
        return result;
    if (copy->in_transaction)
        FAIL(err, RC_MISMATCH, "the committed part of the log ends inside a transaction");
    return RC_OK;
}

rc log_copy_run(struct capture *capture, const struct wal_index_header *header, struct error *err)
{
    assert(header->frame_count > 0);

    /* What is on its way to the disk takes no more. */
    if (capture->settling != NULL)
        TRY(settle_run(capture, SETTLE_HOWEVER_LONG, err));

    __attribute__((cleanup(log_copy_release))) struct log_copy copy = {
        .capture = capture,
        .header = header,
        .scan = LOG_SCAN_INIT,
        .writer = capture->writer,
    };
    rc result = log_copy_all(&copy, err);
    if (result != RC_OK) {
        settle_abandon(capture);
        return result;
    }
    return capture->may_defer ? RC_OK : settle_run(capture, SETTLE_HOWEVER_LONG, err);
}
