/*
 * spool_writer - frames of transactions into one fsynced segment
 */
#include "spool_writer_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/digest.h"
#include "segment/dir.h"

#include <assert.h>
#include <stdlib.h>

rc spool_writer_begin(struct spool_writer *writer, struct capture *capture, struct error *err)
{
    assert(writer->capture == NULL);

    const struct state *folder = &capture->folder;
    const struct capture_position *position = &folder->now.position;
    struct segment_identity identity = {
        .kind = SEGMENT_LOG,
        .database_id = position->database_id,
        .timeline = position->timeline,
        .page_size = position->page_size,
        .min_txid = position->txid + 1,
        .parent_digest = position->digest,
        .parent_page_count = position->page_count,
    };

    TRY(spool_check_room(capture, err));
    TRY(digest_map_begin(folder->map, identity.min_txid, err));
    *writer = SPOOL_WRITER_INIT;
    writer->capture = capture;
    writer->first_txid = identity.min_txid;
    writer->position = *position;
    writer->place = folder->now.place;
    writer->digest = position->digest;

    rc result = segment_dir_begin(&writer->pending, folder->spool, err);
    if (result == RC_OK)
        result = log_encoder_new(
            &writer->encoder, &identity, pending_file_sink(&writer->pending), folder->folder, err);
    if (result != RC_OK)
        spool_writer_abort(writer);
    return result;
}

/* Make the map say DIGEST for PGNO, the database digest with it. */
static rc spool_writer_set_digest(
    struct spool_writer *writer, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_map *map = writer->capture->folder.map;
    uint64_t before = digest_map_page(map, pgno);

    if (before == digest)
        return RC_OK;
    TRY(spool_merge_keep(writer->capture, pgno, &writer->place, err));
    TRY(digest_map_set(map, pgno, digest, err));
    writer->digest = database_digest_replace(writer->digest, before, digest);
    return RC_OK;
}

rc spool_writer_add_frame(struct spool_writer *writer, uint32_t pgno, struct bytes page,
    struct bytes base, struct error *err)
{
    assert(writer->capture != NULL);
    assert(page.size == writer->position.page_size);
    assert(base.size == 0 || base.size == page.size);

    if (pgno == 0 || pgno == lock_page_of(writer->position.page_size))
        FAIL(err, RC_CORRUPT, "the log holds page %u, which never has content", pgno);

    window_note_page(writer->capture, pgno);
    TRY(spool_writer_set_digest(writer, pgno, page_digest(pgno, page), err));
    TRY(log_encoder_add_frame(writer->encoder, pgno, page, base, err));
    writer->frame_count++;
    if (pgno > writer->pgno_max)
        writer->pgno_max = pgno;
    return RC_OK;
}

/*
 * Pages that the transaction added without writing them (allocated and freed again) are shipped as
 * SQLite would read them: a restore must have every page of the database.
 */
static rc spool_writer_fill(struct spool_writer *writer, uint32_t page_count,
    const struct log_place *place, struct error *err)
{
    struct capture *capture = writer->capture;
    uint32_t page_size = writer->position.page_size;
    struct image_view view = {
        .place = *place,
        .backfilled = database_backfilled(capture->database),
    };

    for (uint32_t pgno = writer->position.page_count + 1; pgno <= page_count; pgno++) {
        if (pgno == lock_page_of(page_size) ||
            digest_map_page(capture->folder.map, pgno) != PAGE_DIGEST_UNKNOWN)
            continue;
        TRY(image_read(capture, &view, pgno, capture->page, err));
        TRY(spool_writer_add_frame(
            writer, pgno, bytes_of(capture->page, page_size), bytes_of(NULL, 0), err));
    }
    return RC_OK;
}

/* Pages behind the new end are no longer there, whether this transaction wrote them or an older
 * one. */
static rc spool_writer_cut(struct spool_writer *writer, uint32_t page_count, struct error *err)
{
    uint32_t last = writer->position.page_count;

    if (writer->pgno_max > last)
        last = writer->pgno_max;
    for (uint32_t pgno = page_count; pgno < last; pgno++)
        TRY(spool_writer_set_digest(writer, pgno + 1, PAGE_DIGEST_UNKNOWN, err));
    return RC_OK;
}

rc spool_writer_end_transaction(struct spool_writer *writer, uint32_t page_count,
    const struct log_place *place, uint32_t flags, struct error *err)
{
    struct capture *capture = writer->capture;
    struct capture_position *position = &writer->position;

    assert(capture != NULL);
    assert(page_count > 0);
    TRY(spool_writer_fill(writer, page_count, place, err));
    TRY(spool_writer_cut(writer, page_count, err));

    /* Times are labels; they never fall, whatever the clock does. */
    int64_t time_ms = capture->wall_ms > position->time_ms ? capture->wall_ms : position->time_ms;
    struct segment_transaction transaction = {
        .txid = position->txid + 1,
        .time_ms = time_ms,
        .page_count = page_count,
        .flags = flags,
        .digest = writer->digest,
    };
    TRY(log_encoder_end_transaction(writer->encoder, &transaction, err));

    position->txid = transaction.txid;
    position->time_ms = time_ms;
    position->page_count = page_count;
    position->digest = writer->digest;
    writer->place = *place;
    writer->pgno_max = 0;
    writer->transaction_count++;
    return RC_OK;
}

/* Cut where the reserve begins: whether more may be added is asked at the next segment's begin. */
static bool spool_writer_is_short(struct spool_writer *writer, uint64_t size)
{
    uint64_t room = 1;

    if (size < writer->looked_size + SPOOL_LOOK_SIZE)
        return false;
    writer->looked_size = size;
    return spool_room(writer->capture, &room, NULL) == RC_OK && room == 0;
}

bool spool_writer_is_full(struct spool_writer *writer)
{
    uint64_t size = log_encoder_size(writer->encoder);

    return size >= writer->capture->segment_size ||
           log_encoder_transaction_count(writer->encoder) >= SEGMENT_TRANSACTION_COUNT_MAX ||
           spool_writer_is_short(writer, size);
}

static uint64_t spool_writer_digest_of(void *payload, uint32_t pgno)
{
    const struct digest_map *map = payload;

    return digest_map_page(map, pgno);
}

static void spool_writer_close(struct spool_writer *writer)
{
    log_encoder_free(writer->encoder);
    pending_file_abort(&writer->pending);
    free(writer->folder);
    *writer = SPOOL_WRITER_INIT;
}

rc spool_writer_seal(struct spool_writer *writer, struct error *err)
{
    struct capture *capture = writer->capture;
    struct segment_summary summary;

    assert(capture != NULL);
    assert(writer->transaction_count > 0);
    assert(writer->digest == writer->position.digest);
    assert(writer->folder == NULL);

    TRY(log_encoder_finish(writer->encoder, &writer->place, spool_writer_digest_of,
        capture->folder.map, &summary, err));
    assert(summary.max_txid == writer->position.txid);
    assert(summary.digest == writer->position.digest);

    writer->name = (struct segment_name){
        .min_txid = writer->first_txid,
        .max_txid = summary.max_txid,
        .time_ms = writer->position.time_ms,
    };
    writer->stored_size = summary.stored_size;
    writer->folder = text_copy(capture->folder.spool);
    return RC_OK;
}

/*
 * The rename in here decides: killed before it, the undo file takes the map back on open; killed
 * after it, the undo file speaks of a txid that the position has passed and is ignored.
 */
rc spool_writer_publish(struct spool_writer *writer, struct error *err)
{
    assert(writer->folder != NULL);
    return segment_dir_commit(&writer->pending, writer->folder, &writer->name, err);
}

/*
 * The commit failed with RESULT. Unless the name is certainly not there (when the folder could not
 * be synced, it is), only what is on disk can tell what holds: leave the undo file as it is, and
 * open again.
 */
static rc spool_writer_doubt(struct spool_writer *writer, rc result)
{
    struct capture *capture = writer->capture;
    char text[SEGMENT_NAME_SIZE];
    struct stat status;

    segment_name_format(text, &writer->name);
    auto_free char *path = path_join(writer->folder, text);
    if (fs_stat(&status, path, NULL) != RC_NOT_FOUND) {
        spool_writer_close(writer);
        capture_move(capture, CAPTURE_FAILED);
    }
    return result;
}

rc spool_writer_accept(struct spool_writer *writer, rc published)
{
    struct capture *capture = writer->capture;

    if (published != RC_OK)
        return spool_writer_doubt(writer, published);
    digest_map_commit(capture->folder.map);

    capture->folder.now.position = writer->position;
    capture->folder.now.place = writer->place;
    capture->report.transaction_count += writer->transaction_count;
    capture->report.frame_count += writer->frame_count;
    capture->report.segment_count++;
    capture->report.stored_size += writer->stored_size;
    spool_note_segment(&capture->spool, writer->stored_size);
    spool_writer_close(writer);
    return RC_OK;
}

rc spool_writer_commit(struct spool_writer *writer, struct error *err)
{
    TRY(spool_writer_seal(writer, err));
    return spool_writer_accept(writer, spool_writer_publish(writer, err));
}

void spool_writer_abort(struct spool_writer *writer)
{
    struct capture *capture = writer->capture;

    if (capture == NULL)
        return;
    if (digest_map_abort(capture->folder.map, NULL) != RC_OK)
        capture_move(capture, CAPTURE_FAILED);
    spool_writer_close(writer);
}
