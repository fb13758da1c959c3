/*
 * Committed frames in order, each checked against the chain of checksums.
 *
 * One exception to the chain, made by SQLite itself: older versions can commit a frame whose salts
 * and checksum are still zero (pages that were spilled, then rewritten under a savepoint:
 * walEncodeFrame() leaves them to walRewriteChecksums(), which does not come). Such a frame is
 * taken when the WAL-index covers it and names the same page. The chain then starts anew at the
 * next frame, under the same condition, or at the header's own checksum where the log ends.
 */
#include "database_priv.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <assert.h>
#include <stdlib.h>

/* Large enough for whole reads from the disk, small beside what a worker may use. */
enum { LOG_SCAN_CHUNK_SIZE = 256 * 1024 };

void log_scan_release(struct log_scan *scan)
{
    free(scan->buffer);
    *scan = LOG_SCAN_INIT;
}

static rc log_scan_read_header(
    struct log_scan *scan, struct database *database, struct wal_header *ret, struct error *err)
{
    rc code = database_read_log_header(database, ret, err);

    /* Torn only while its writer writes it, and no frame is committed behind it then. */
    if (code == RC_CORRUPT || code == RC_NOT_FOUND)
        return error_wrap(err, RC_MISMATCH, "log '%s'", database->log_path);
    TRY(code);
    if (ret->page_size != database->page_size)
        FAIL(err, RC_MISMATCH, "page size of the log is %u, of the database %u", ret->page_size,
            database->page_size);

    scan->database = database;
    scan->page_size = ret->page_size;
    scan->big_endian_checksum = ret->big_endian_checksum;
    scan->checkpoint_sequence = ret->checkpoint_sequence;
    scan->salt[0] = ret->salt[0];
    scan->salt[1] = ret->salt[1];
    scan->buffer_first = 0;
    scan->buffer_count = 0;
    scan->is_chain_open = false;
    return RC_OK;
}

/* Log and index were read one after the other: was the log restarted between, or do they disagree?
 */
static rc log_scan_judge_salts(
    struct database *database, const struct wal_index_header *before, struct error *err)
{
    struct wal_index_header now;

    TRY(database_log_header(database, &now, err));
    if (!wal_pair_equal(now.salt, before->salt))
        FAIL(err, RC_BUSY, "the log is being restarted");
    FAIL(err, RC_MISMATCH, "the log is not the one that its index describes");
}

rc log_scan_begin(struct log_scan *scan, struct database *database, struct error *err)
{
    struct wal_index_header index;
    struct wal_header header;

    TRY(database_log_header(database, &index, err));
    if (index.frame_count == 0)
        FAIL(err, RC_NOT_FOUND, "the log is empty");
    TRY(log_scan_read_header(scan, database, &header, err));
    if (!wal_pair_equal(header.salt, index.salt))
        return log_scan_judge_salts(database, &index, err);

    scan->frame = 0;
    scan->checksum[0] = header.checksum[0];
    scan->checksum[1] = header.checksum[1];
    return RC_OK;
}

/* Whether the log still has the frame at the place where the scan is to continue. */
static rc log_scan_prove_place(
    struct log_scan *scan, uint32_t frame_count, const uint32_t checksum[2], struct error *err)
{
    struct wal_frame_header frame;
    struct wal_index_header index;
    uint8_t raw[WAL_FRAME_HEADER_SIZE];
    uint32_t pgno = 0;

    TRY(database_log_header(scan->database, &index, err));
    if (!wal_pair_equal(index.salt, scan->salt))
        FAIL(err, RC_MISMATCH, "the log was restarted");
    if (index.frame_count < frame_count)
        FAIL(err, RC_MISMATCH, "the log has %u committed frames, not the %u that were captured",
            index.frame_count, frame_count);

    TRY(fs_read_exact(scan->database->log_fd, raw, sizeof raw,
        wal_frame_offset(scan->page_size, frame_count), err));
    wal_frame_header_decode(&frame, bytes_of(raw, sizeof raw));
    if (bytes_are_zero(bytes_part(bytes_of(raw, sizeof raw), WAL_FRAME_SUMMED_SIZE, 16))) {
        TRY(wal_index_pgno_of(scan->database, frame_count, &pgno, err));
        if (pgno == frame.pgno)
            return RC_OK;
    }
    if (!wal_pair_equal(frame.salt, scan->salt) || !wal_pair_equal(frame.checksum, checksum))
        FAIL(err, RC_MISMATCH, "frame %u of the log is not the one that was captured", frame_count);
    return RC_OK;
}

rc log_scan_begin_at(struct log_scan *scan, struct database *database, const uint32_t salt[2],
    uint32_t frame_count, const uint32_t checksum[2], struct error *err)
{
    struct wal_header header;

    TRY(log_scan_read_header(scan, database, &header, err));
    if (!wal_pair_equal(header.salt, salt))
        FAIL(err, RC_MISMATCH, "the log was restarted");
    if (frame_count > 0) {
        TRY(log_scan_prove_place(scan, frame_count, checksum, err));
    } else if (!wal_pair_equal(header.checksum, checksum)) {
        FAIL(err, RC_MISMATCH, "the log's header is not the one that was captured");
    }

    scan->frame = frame_count;
    scan->checksum[0] = checksum[0];
    scan->checksum[1] = checksum[1];
    return RC_OK;
}

/* The bytes of frame FRAME, read with as many of its successors up to BOUND as a chunk holds. */
static rc log_scan_load(
    struct log_scan *scan, uint32_t frame, uint32_t bound, struct bytes *ret, struct error *err)
{
    size_t frame_size = WAL_FRAME_HEADER_SIZE + (size_t)scan->page_size;

    if (frame < scan->buffer_first || frame >= scan->buffer_first + scan->buffer_count) {
        uint32_t count = (uint32_t)(LOG_SCAN_CHUNK_SIZE / frame_size);
        if (count > bound - frame + 1)
            count = bound - frame + 1;
        if (count * frame_size > scan->buffer_size) {
            scan->buffer = mem_resize(scan->buffer, count * frame_size);
            scan->buffer_size = count * frame_size;
        }

        scan->buffer_count = 0;
        rc code = fs_read_exact(scan->database->log_fd, scan->buffer, count * frame_size,
            wal_frame_offset(scan->page_size, frame), err);
        if (code == RC_CORRUPT)
            return error_wrap(err, RC_MISMATCH, "log cut off at frame %u", frame);
        TRY(code);
        scan->buffer_first = frame;
        scan->buffer_count = count;
    }

    *ret = bytes_of(scan->buffer + (frame - scan->buffer_first) * frame_size, frame_size);
    return RC_OK;
}

/* Whether the WAL-index, as it is now, covers FRAME of our log and has it as page PGNO. */
static rc log_scan_is_indexed(
    struct log_scan *scan, uint32_t frame, uint32_t pgno, bool *ret, struct error *err)
{
    struct wal_index_header now;
    uint32_t indexed = 0;

    TRY(database_log_header(scan->database, &now, err));
    *ret = false;
    if (!wal_pair_equal(now.salt, scan->salt) || now.frame_count < frame)
        return RC_OK;
    TRY(wal_index_pgno_of(scan->database, frame, &indexed, err));
    *ret = indexed == pgno;
    return RC_OK;
}

/* FRAME does not continue the chain: SQLite's exception, or a foreign sign. */
static rc log_scan_excuse(
    struct log_scan *scan, uint32_t frame, struct bytes raw, struct error *err)
{
    struct wal_frame_header header;
    bool is_indexed = false;

    wal_frame_header_decode(&header, bytes_part(raw, 0, WAL_FRAME_HEADER_SIZE));
    bool is_zero = bytes_are_zero(bytes_part(raw, WAL_FRAME_SUMMED_SIZE, 16));
    bool has_salt = wal_pair_equal(header.salt, scan->salt);

    if (is_zero || (has_salt && scan->is_chain_open))
        TRY(log_scan_is_indexed(scan, frame, header.pgno, &is_indexed, err));
    if (!is_indexed)
        FAIL(err, RC_MISMATCH, "frame %u does not continue the log: %s", frame,
            has_salt ? "its checksum is another" : "its salts are others");

    scan->unfinished_count += is_zero;
    scan->is_chain_open = is_zero;
    scan->checksum[0] = header.checksum[0];
    scan->checksum[1] = header.checksum[1];
    return RC_OK;
}

/* At the bound the chain must be where SQLite says it is. */
static rc log_scan_check_end(
    struct log_scan *scan, const struct wal_index_header *header, struct error *err)
{
    bool is_equal = wal_pair_equal(scan->checksum, header->frame_checksum);

    if (!is_equal && !scan->is_chain_open)
        FAIL(err, RC_MISMATCH, "the checksum of frame %u is not the one in the log's index",
            header->frame_count);
    /* SQLite continues from its own running checksum, whatever an unfinished frame says. */
    scan->checksum[0] = header->frame_checksum[0];
    scan->checksum[1] = header->frame_checksum[1];
    scan->is_chain_open = false;
    return RC_OK;
}

rc log_scan_next(struct log_scan *scan, const struct wal_index_header *header,
    struct log_frame_header *ret, struct bytes *ret_page, struct error *err)
{
    struct wal_header chain = { .page_size = scan->page_size,
        .salt = { scan->salt[0], scan->salt[1] },
        .big_endian_checksum = scan->big_endian_checksum };
    struct bytes raw;

    if (!wal_pair_equal(header->salt, scan->salt))
        FAIL(err, RC_MISMATCH, "the log was restarted");
    if (header->frame_count < scan->frame)
        FAIL(err, RC_MISMATCH, "the log has %u committed frames, %u were read", header->frame_count,
            scan->frame);
    if (header->frame_count == scan->frame)
        FAIL(err, RC_NOT_FOUND, "the log ends at frame %u", scan->frame);

    uint32_t frame = scan->frame + 1;
    TRY(log_scan_load(scan, frame, header->frame_count, &raw, err));
    if (wal_frame_continues(&chain, raw, scan->checksum))
        scan->is_chain_open = false;
    else
        TRY(log_scan_excuse(scan, frame, raw, err));
    if (frame == header->frame_count)
        TRY(log_scan_check_end(scan, header, err));

    scan->frame = frame;
    ret->pgno = get_be32(raw.data);
    ret->commit_page_count = get_be32(raw.data + 4);
    *ret_page = bytes_part(raw, WAL_FRAME_HEADER_SIZE, scan->page_size);
    return RC_OK;
}
