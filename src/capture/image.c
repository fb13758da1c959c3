/*
 * image - a page as of a place in the log
 *
 * The pin guarantees that the image of every page as of the captured place can be read: the log
 * keeps its frames, and no checkpoint copies frames into the database file that lie beyond. But
 * which of the two holds it is not always certain: a checkpoint leaves out pages behind the end of
 * the database as it is then (walCheckpoint(), iDbpage>mxPage), and the pages may come back later.
 * So where the digest of the image is known, it decides; where it is not, the rule of SQLite's
 * readers does: frames behind those that were in the file when the read began (walFindFrame(),
 * minFrame).
 */
#include "capture_priv.h"

#include "codec/digest.h"

#include <assert.h>

struct log_place log_place_of(const struct wal_index_header *header)
{
    return (struct log_place){
        .salt = { header->salt[0], header->salt[1] },
        .frame_count = header->frame_count,
        .checksum = { header->frame_checksum[0], header->frame_checksum[1] },
    };
}

bool log_place_same_log(const struct log_place *place, const struct wal_index_header *header)
{
    return wal_pair_equal(place->salt, header->salt);
}

rc image_view_open(struct capture *capture, struct image_view *ret, struct wal_index_header *header,
    struct error *err)
{
    struct wal_index_header before;

    /* The count between two equal headers belongs to them. */
    TRY(capture_read_header(capture, header, err));
    do {
        before = *header;
        ret->backfilled = database_backfilled(capture->database);
        TRY(capture_read_header(capture, header, err));
    } while (!wal_pair_equal(before.salt, header->salt));

    ret->place = log_place_of(header);
    return RC_OK;
}

/* RC_NOT_FOUND: the log has no frame of the page behind the backfilled ones. */
static rc image_read_frame(struct capture *capture, const struct image_view *view, uint32_t pgno,
    uint8_t *out, struct error *err)
{
    uint32_t frame = 0;

    TRY(database_find_frame(capture->database, pgno, view->place.frame_count, &frame, err));
    if (frame == 0 || frame <= view->backfilled)
        return RC_NOT_FOUND;
    return database_read_frame(capture->database, frame, out, err);
}

/* RC_NOT_FOUND as above, also when the log is no longer that of VIEW. */
static rc image_read_log(struct capture *capture, const struct image_view *view, uint32_t pgno,
    uint8_t *out, struct error *err)
{
    struct wal_index_header header;

    if (view->place.frame_count == 0)
        return RC_NOT_FOUND;
    TRY(capture_read_header(capture, &header, err));
    if (!log_place_same_log(&view->place, &header))
        return RC_NOT_FOUND;
    rc result = image_read_frame(capture, view, pgno, out, err);

    /*
     * The log may have been restarted or cut meanwhile, so that the frame is another or gone. It
     * can only be when all of it is in the database file, and nothing is copied there while our pin
     * is in slot 0.
     */
    TRY(capture_read_header(capture, &header, err));
    return log_place_same_log(&view->place, &header) ? result : RC_NOT_FOUND;
}

rc image_read(struct capture *capture, const struct image_view *view, uint32_t pgno, uint8_t *out,
    struct error *err)
{
    assert(pgno > 0);

    rc result = image_read_log(capture, view, pgno, out, err);
    if (result != RC_NOT_FOUND)
        return result;
    return database_read_file_page(capture->database, pgno, out, err);
}

rc image_read_known(struct capture *capture, const struct log_place *place, uint32_t pgno,
    uint8_t *out, struct error *err)
{
    struct image_view view = { .place = *place };
    struct bytes page = bytes_of(out, capture->file_page_size);
    uint64_t expected = digest_map_page(capture->folder.map, pgno);

    assert(pgno > 0);
    assert(expected != PAGE_DIGEST_UNKNOWN);
    rc result = image_read_log(capture, &view, pgno, out, err);
    if (result == RC_OK && page_digest(pgno, page) == expected)
        return RC_OK;
    if (result != RC_OK && result != RC_NOT_FOUND)
        return result;

    TRY(database_read_file_page(capture->database, pgno, out, err));
    if (page_digest(pgno, page) == expected)
        return RC_OK;
    FAIL(
        err, RC_MISMATCH, "page %u is neither in the log nor in the file as it was captured", pgno);
}
