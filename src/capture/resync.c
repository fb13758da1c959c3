/*
 * resync - the pages that differ from the digest map, as one transaction
 *
 * Used where continuity of the log is not proved. The database is read as of one header of the log
 * under the pin; what was committed after it comes with the next copy of the log.
 */
#include "spool_writer_priv.h"

#include "base/alloc.h"
#include "codec/digest.h"

#include <assert.h>

struct resync {
    struct capture *capture;
    struct spool_writer *writer;
};

static rc resync_each(void *payload, uint32_t pgno, struct bytes page, struct error *err)
{
    struct resync *resync = payload;
    struct spool_writer *writer = resync->writer;

    if (page_digest(pgno, page) == digest_map_page(resync->capture->folder.map, pgno))
        return RC_OK;
    if (!spool_writer_is_open(writer))
        TRY(spool_writer_begin(writer, resync->capture, err));
    TRY(spool_writer_add_frame(writer, pgno, page, bytes_of(NULL, 0), err));
    resync->capture->report.resync_page_count++;
    return RC_OK;
}

/* A transaction has at least one page: the first one when the only difference is the size. */
static rc resync_size(struct spool_writer *writer, struct capture *capture,
    const struct image_view *view, struct error *err)
{
    uint32_t page_size = capture_now(capture)->page_size;

    TRY(image_read(capture, view, 1, capture->page, err));
    TRY(spool_writer_begin(writer, capture, err));
    return spool_writer_add_frame(
        writer, 1, bytes_of(capture->page, page_size), bytes_of(NULL, 0), err);
}

static rc resync_pages(struct spool_writer *writer, struct capture *capture,
    const struct image_view *view, const struct wal_index_header *header, struct error *err)
{
    struct resync resync = { .capture = capture, .writer = writer };
    struct image_walk walk = {
        .what = "comparing the database with its digests",
        .view = view,
        .header = header,
        .each = resync_each,
        .payload = &resync,
    };

    TRY(image_walk(capture, &walk, err));
    if (!spool_writer_is_open(writer) && header->page_count != capture_now(capture)->page_count)
        TRY(resync_size(writer, capture, view, err));
    if (!spool_writer_is_open(writer))
        return RC_OK;

    TRY(spool_writer_end_transaction(
        writer, header->page_count, &view->place, TRANSACTION_RESYNC, err));
    return spool_writer_commit(writer, err);
}

rc resync_run(struct capture *capture, struct wal_index_header *ret, struct error *err)
{
    __attribute__((cleanup(spool_writer_abort))) struct spool_writer writer = SPOOL_WRITER_INIT;
    uint64_t txid_before = capture_now(capture)->txid;
    uint64_t pages_before = capture->report.resync_page_count;
    struct wal_index_header header;
    struct image_view view;

    TRY(image_view_open(capture, &view, &header, err));
    if (header.page_size != capture_now(capture)->page_size)
        FAIL(err, RC_MISMATCH, "the page size became %u", header.page_size);
    rc result = resync_pages(&writer, capture, &view, &header, err);
    if (result != RC_OK) {
        capture->report.resync_page_count = pages_before;
        return error_wrap(err, result, "resynchronise by digest");
    }
    capture->report.resynced = true;
    *ret = header;
    if (capture_now(capture)->txid != txid_before)
        return RC_OK;

    /* Nothing to ship, but the place is known again: the position file says so. */
    *capture_place(capture) = view.place;
    return state_write_position(&capture->folder, err);
}

static rc resync_judge_each(void *payload, uint32_t pgno, struct bytes page, struct error *err)
{
    const struct digest_map *map = payload;

    if (page_digest(pgno, page) != digest_map_page(map, pgno))
        FAIL(err, RC_MISMATCH, "page %u of the file is not what was captured", pgno);
    return RC_OK;
}

/*
 * Frames behind the captured place are not in the file: the pin does not stand beyond it. So
 * whatever checkpoint wrote the file last, and wherever it was interrupted, a reader finds at that
 * place what was captured, and what was committed since is copied transaction by transaction.
 */
rc resync_judge(struct capture *capture, struct error *err)
{
    struct wal_index_header header;
    struct image_view view;
    struct image_walk walk = {
        .what = "comparing the database with what was captured",
        .view = &view,
        .header = &header,
        .each = resync_judge_each,
        .payload = capture->folder.map,
    };

    TRY(image_view_open(capture, &view, &header, err));
    view.place = *capture_place(capture);
    header.page_size = capture_now(capture)->page_size;
    header.page_count = capture_now(capture)->page_count;
    rc walked = image_walk(capture, &walk, err);
    if (walked != RC_OK && walked != RC_MISMATCH)
        return walked;
    capture->file_is_suspect = false;
    capture->in_doubt = walked == RC_MISMATCH;
    return RC_OK;
}
