/*
 * capture - the object, its states, and the ways into FOLLOWING
 */
#include "spool_writer_priv.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "codec/digest.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SEGMENT_SIZE_DEFAULT = 8 << 20,
    SPOOL_SIZE_FACTOR_DEFAULT = 10, /* of the size from which the log is cut */
    CHECKPOINT_PAGE_COUNT_DEFAULT = 1000,
    TRUNCATE_SIZE_DEFAULT = 64 << 20,
    WRITE_LOCK_BUDGET_MS_DEFAULT = 20,
    HEADER_TRY_COUNT =
        50, /* the index is being changed for microseconds, except by a dead process */
    HEADER_PAUSE_US = 200,
};

#define MACHINE_ID_PATH "/etc/machine-id"

static const unsigned capture_moves[CAPTURE_STATE_COUNT] = {
    [CAPTURE_IDLE] = 1u << CAPTURE_FOLLOWING | 1u << CAPTURE_FAILED,
    [CAPTURE_FOLLOWING] = 1u << CAPTURE_FAILED,
    [CAPTURE_FAILED] = 1u << CAPTURE_FAILED,
};

static void capture_assert(const struct capture *capture)
{
    const struct position_file *now = &capture->folder.now;

    assert(capture->state < CAPTURE_STATE_COUNT);
    assert(capture->database != NULL);
    if (capture->state != CAPTURE_FOLLOWING)
        return;
    assert(now->position.txid > 0);
    assert(now->position.page_size == capture->file_page_size);
    assert(now->place.salt[0] == capture->captured.salt[0]);
    assert(now->place.salt[1] == capture->captured.salt[1]);
    assert(now->place.frame_count == capture->captured.frame_count);
}

void capture_move(struct capture *capture, enum capture_state next)
{
    assert(next < CAPTURE_STATE_COUNT);
    assert(capture_moves[capture->state] & 1u << next);
    capture->state = next;
    capture_assert(capture);
}

rc capture_read_header(struct capture *capture, struct wal_index_header *ret, struct error *err)
{
    rc result = database_log_header(capture->database, ret, err);

    for (int tries = 0; result == RC_BUSY && tries < HEADER_TRY_COUNT; tries++) {
        clock_pause_us(HEADER_PAUSE_US);
        result = database_log_header(capture->database, ret, err);
    }
    return result;
}

/* ---- open and close */

static void capture_take_options(struct capture *capture, const struct capture_options *options)
{
    capture->segment_size =
        options->segment_size != 0 ? options->segment_size : SEGMENT_SIZE_DEFAULT;
    capture->cancel = options->cancel;
    capture->progress = options->progress;
    capture->progress_payload = options->progress_payload;
    capture->limits.reset_frame_count = options->checkpoint_page_count != 0
                                            ? options->checkpoint_page_count
                                            : CHECKPOINT_PAGE_COUNT_DEFAULT;
    capture->limits.truncate_size =
        options->truncate_size != 0 ? options->truncate_size : TRUNCATE_SIZE_DEFAULT;
    capture->write_lock_budget_ms = options->write_lock_budget_ms != 0
                                        ? options->write_lock_budget_ms
                                        : WRITE_LOCK_BUDGET_MS_DEFAULT;
    capture->write_lock_holds = options->write_lock_holds;
    capture->window.every_ms = options->window_ms;
    capture->spool.size_max = options->spool_size != 0
                                  ? options->spool_size
                                  : SPOOL_SIZE_FACTOR_DEFAULT * capture->limits.truncate_size;
}

static rc capture_open_parts(
    struct capture *capture, const struct capture_options *options, struct error *err)
{
    struct database_options database_options = { .convert_to_wal = options->convert_to_wal };
    struct wal_index_header header;

    TRY(database_open(&capture->database, options->path, &database_options, err));
    TRY(capture_heal(capture, err));
    TRY(capture_read_header(capture, &header, err));
    capture->file_page_size = header.page_size;
    capture->page = mem_new(header.page_size);
    capture->base = mem_new(header.page_size);
    TRY(file_mark_read(&capture->file_mark, options->path, err));
    TRY(state_open(&capture->folder, options->path, options->state_dir, err));
    capture->machine = machine_mark_read(
        options->machine_id_path != NULL ? options->machine_id_path : MACHINE_ID_PATH);
    struct state_target target = {
        .file = capture->file_mark,
        .page_size = capture->file_page_size,
        .machine = capture->machine,
    };
    return state_load(&capture->folder, &target, err);
}

rc capture_open(struct capture **ret, const struct capture_options *options, struct error *err)
{
    assert(ret != NULL);
    assert(options->path != NULL);

    struct capture *capture = mem_new(sizeof *capture);
    capture->folder = STATE_INIT;
    capture->writer = mem_new(sizeof *capture->writer);
    *capture->writer = SPOOL_WRITER_INIT;
    capture_take_options(capture, options);
    rc result = capture_open_parts(capture, options, err);
    if (result != RC_OK) {
        capture_close(capture);
        return result;
    }
    *ret = capture;
    return RC_OK;
}

void capture_close(struct capture *capture)
{
    if (capture == NULL)
        return;
    if (capture->writer != NULL)
        settle_abandon(capture);
    free(capture->writer);
    spool_merge_abort(&capture->spool);
    page_set_release(&capture->window.pages);
    if (capture->database != NULL) {
        pin_drop(capture->database);
        database_close(capture->database);
    }
    state_release(&capture->folder);
    free(capture->page);
    free(capture->base);
    free(capture);
}

enum capture_state_kind capture_state_kind(const struct capture *capture)
{
    return capture->folder.kind;
}

const struct error *capture_state_trouble(const struct capture *capture)
{
    return &capture->folder.trouble;
}

const char *capture_departure(const struct capture *capture)
{
    if (!capture->folder.now.must_depart)
        return NULL;
    return capture->folder.is_elsewhere
               ? "the state folder is another machine's, which may be running"
               : "the local position is the replica's, not where this database stood";
}

const struct capture_position *capture_position(const struct capture *capture)
{
    return &capture->folder.now.position;
}

uint64_t capture_origin_txid(const struct capture *capture)
{
    return capture->folder.now.origin_txid;
}

uint32_t capture_file_page_size(const struct capture *capture)
{
    return capture->file_page_size;
}

const char *capture_spool_dir(const struct capture *capture)
{
    return capture->folder.spool;
}

const char *capture_state_dir(const struct capture *capture)
{
    return capture->folder.folder;
}

/* ---- following */

static bool capture_header_same(
    const struct wal_index_header *left, const struct wal_index_header *right)
{
    return left->change_counter == right->change_counter &&
           left->frame_count == right->frame_count && wal_pair_equal(left->salt, right->salt) &&
           wal_pair_equal(left->frame_checksum, right->frame_checksum);
}

/* What the log's header says about the log against the place that is captured. */
enum capture_sight {
    SIGHT_NOTHING_NEW,
    SIGHT_APPENDED,  /* same log, more frames */
    SIGHT_RESTARTED, /* another log; right when everything of the old one was captured */
    SIGHT_FOREIGN,   /* the same log, and not what was captured */
};

static enum capture_sight capture_look(
    const struct log_place *place, const struct wal_index_header *header)
{
    if (!log_place_same_log(place, header))
        return SIGHT_RESTARTED;
    if (header->frame_count > place->frame_count)
        return SIGHT_APPENDED;
    if (header->frame_count < place->frame_count)
        return SIGHT_FOREIGN;
    if (place->frame_count == 0 || wal_pair_equal(place->checksum, header->frame_checksum))
        return SIGHT_NOTHING_NEW;
    return SIGHT_FOREIGN;
}

/* RC_MISMATCH: what is in the log does not continue what was captured. */
static rc capture_copy(
    struct capture *capture, const struct wal_index_header *header, struct error *err)
{
    uint64_t txid_before = capture_head_txid(capture);
    enum capture_sight sight = capture_look(capture_head_place(capture), header);
    uint32_t commits = header->change_counter - capture->captured.change_counter;

    if (sight == SIGHT_NOTHING_NEW)
        return RC_OK;
    if (sight == SIGHT_FOREIGN)
        FAIL(err, RC_MISMATCH, "the log was recovered and holds less than was captured");
    if (sight == SIGHT_RESTARTED)
        TRY(settle_run(capture, SETTLE_HOWEVER_LONG, err)); /* it was: the pin was in slot 0 */
    if (header->frame_count > 0)
        TRY(log_copy_run(capture, header, err));
    else
        *capture_place(capture) = log_place_of(header);

    /*
     * The pin keeps the log from being restarted before it is captured to its end; SQLite's counter
     * of commits is the second witness. (A recovery starts it over; that a log was recovered and
     * restarted between two looks is a foreign sign as well.)
     */
    if (sight == SIGHT_RESTARTED && commits != (uint32_t)(capture_head_txid(capture) - txid_before))
        FAIL(err, RC_MISMATCH, "the log was restarted and %u commits became %llu", commits,
            (unsigned long long)(capture_head_txid(capture) - txid_before));
    return RC_OK;
}

rc capture_follow(struct capture *capture, struct wal_index_header *ret, struct error *err)
{
    struct wal_index_header header;

    /* Failed by an earlier call, which a caller that waits out RC_BUSY may repeat. */
    if (capture->state == CAPTURE_FAILED)
        FAIL(err, RC_MISMATCH, "capture has stopped; the database must be opened again");
    TRY(database_log_header(capture->database, &header, err));
    if (capture->file_is_suspect && !capture->in_doubt && !capture->resync_barred &&
        !spool_writer_is_open(capture->writer))
        TRY(resync_judge(capture, err));
    if (!capture->in_doubt && capture_header_same(&header, &capture->captured)) {
        *ret = header;
        return RC_OK;
    }
    if (header.page_size != capture->file_page_size)
        FAIL(err, RC_MISMATCH, "the page size became %u", header.page_size);

    rc result = capture->in_doubt ? RC_OK : capture_copy(capture, &header, err);
    if (result == RC_MISMATCH && capture->state != CAPTURE_FAILED) {
        capture->in_doubt = true;
        result = RC_OK;
    }
    if (result == RC_OK && capture->in_doubt && capture->resync_barred)
        FAIL(err, RC_BUSY, "the database must be compared with its digests first");
    if (result == RC_OK && capture->in_doubt)
        result = settle_run(capture, SETTLE_HOWEVER_LONG, err);
    if (result == RC_OK && capture->in_doubt)
        result = resync_run(capture, &header, err);
    if (result != RC_OK)
        return result;

    capture->in_doubt = false;
    capture->file_may_be_ahead = false;
    capture->captured = header;
    if (!spool_writer_is_open(capture->writer))
        capture->settled = header;
    *ret = header;
    return RC_OK;
}

static rc capture_client_capture(void *payload, struct wal_index_header *ret, struct error *err)
{
    struct capture *capture = payload;

    capture->may_defer = true;
    rc result = capture_follow(capture, ret, err);
    capture->may_defer = false;
    return result;
}

static rc capture_client_settle(void *payload, int64_t until_ns, struct error *err)
{
    return settle_run(payload, until_ns, err);
}

struct pin_client capture_pin_client(struct capture *capture)
{
    return (struct pin_client){
        .capture = capture_client_capture,
        .settle = capture_client_settle,
        .payload = capture,
    };
}

rc capture_sync(
    struct capture *capture, int64_t wall_ms, struct capture_sync_report *ret, struct error *err)
{
    struct wal_index_header header;

    if (capture->state != CAPTURE_FOLLOWING)
        FAIL(err, RC_MISMATCH, "capture has stopped; the database must be opened again");
    if (database_has_moved(capture->database)) {
        capture_move(capture, CAPTURE_FAILED);
        FAIL(err, RC_MISMATCH, "the database was replaced or deleted");
    }

    capture->wall_ms = wall_ms;
    TRY(file_stamp_check(capture, err));
    rc result = capture_follow(capture, &header, err);
    if (result == RC_BUSY) {
        /* A writer may have died in the middle of it: a read transaction of ours runs the recovery.
         */
        struct pin_client client = capture_pin_client(capture);
        result = pin_advance(capture->database, &client, err);
        if (result == RC_OK)
            capture_note_pin(capture);
        result = settle_after(capture, result, err);
    }
    if (result == RC_MISMATCH || result == RC_CORRUPT) {
        if (capture->state != CAPTURE_FAILED)
            capture_move(capture, CAPTURE_FAILED);
    }
    if (result != RC_OK)
        return result;

    capture->report.log_frame_count = capture->captured.frame_count;
    *ret = capture->report;
    capture->report = (struct capture_sync_report){ 0 };
    return RC_OK;
}

/* ---- the ways into FOLLOWING */

struct capture_filling {
    struct digest_map *map;
    uint64_t sum;
};

static rc capture_fill_each(void *payload, uint32_t pgno, struct bytes page, struct error *err)
{
    struct capture_filling *filling = payload;
    uint64_t digest = page_digest(pgno, page);

    filling->sum += digest;
    return digest_map_fill(filling->map, pgno, digest, err);
}

/* Digests of all pages as of HEADER into the empty map; RET is their sum. */
static rc capture_read_all(struct capture *capture, const struct image_view *view,
    const struct wal_index_header *header, uint64_t *ret, struct error *err)
{
    struct capture_filling filling = { .map = capture->folder.map };
    struct image_walk walk = {
        .what = "reading the database",
        .view = view,
        .header = header,
        .each = capture_fill_each,
        .payload = &filling,
    };

    TRY(image_walk(capture, &walk, err));
    *ret = filling.sum;
    return RC_OK;
}

static bool capture_position_same(
    const struct capture_position *left, const struct capture_position *right)
{
    return left->txid == right->txid && left->digest == right->digest &&
           left->timeline == right->timeline &&
           memcmp(&left->database_id, &right->database_id, sizeof left->database_id) == 0;
}

static rc capture_begin_pinned(struct capture *capture, const struct capture_position *parent,
    const struct database_id *id, uint32_t timeline, struct error *err)
{
    struct state *folder = &capture->folder;
    struct wal_index_header header;
    struct image_view view;
    struct database_id database_id = *id; /* it may be our own, which is forgotten below */
    uint64_t txid = parent != NULL ? parent->txid + 1 : 1;
    int64_t time_ms = clock_wall_ms();
    bool keep = parent != NULL && capture_position_same(parent, &folder->now.position);
    uint64_t digest = 0;

    if (parent != NULL && parent->time_ms > time_ms)
        time_ms = parent->time_ms;
    TRY(image_view_open(capture, &view, &header, err));
    TRY(state_forget(folder, &database_id, header.page_size, keep, err));
    TRY(capture_read_all(capture, &view, &header, &digest, err));

    folder->now = (struct position_file){
        .position = {
            .database_id = database_id,
            .timeline = timeline,
            .txid = txid,
            .digest = digest,
            .page_count = header.page_count,
            .page_size = header.page_size,
            .time_ms = time_ms,
        },
        .place = view.place,
        .origin_txid = txid,
        .file = capture->file_mark,
        .machine = capture->machine,
    };
    TRY(state_write_position(folder, err));
    folder->kind = CAPTURE_STATE_POSITION;
    capture->captured = header;
    capture->settled = header;
    capture_note_pin(capture);
    return RC_OK;
}

rc capture_begin(struct capture *capture, const struct capture_position *parent,
    const struct database_id *id, uint32_t timeline, struct error *err)
{
    struct capture_position from = { 0 };

    assert(capture->state == CAPTURE_IDLE);
    assert(!capture->adopting);
    if (parent != NULL)
        from = *parent; /* it may be our own, which is about to change */

    TRY(pin_hold(capture->database, err));
    rc result = capture_begin_pinned(capture, from.txid != 0 ? &from : NULL, id, timeline, err);
    if (result != RC_OK) {
        pin_drop(capture->database);
        return result;
    }
    capture_move(capture, CAPTURE_FOLLOWING);
    return RC_OK;
}

/* The position file speaks of this file and timeline from now on. */
static rc capture_start_position(struct capture *capture, uint32_t timeline, struct error *err)
{
    struct state *folder = &capture->folder;
    bool replaced = folder->kind == CAPTURE_STATE_REPLACED;
    bool is_same_machine = capture->machine == 0 || capture->machine == folder->now.machine;

    if (!replaced && folder->now.position.timeline == timeline && is_same_machine)
        return RC_OK;
    folder->now.position.timeline = timeline;
    folder->now.file = capture->file_mark;
    if (!is_same_machine)
        folder->now.machine = capture->machine;
    folder->now.must_depart = false;
    if (replaced)
        folder->now.place = (struct log_place){ 0 };
    TRY(state_write_position(folder, err));
    folder->kind = CAPTURE_STATE_POSITION;
    return RC_OK;
}

/*
 * Continuity is proved when the log is the one of our place (both salts), holds at least as many
 * frames, and the checksums from ours on, which cover every byte from the log's beginning, lead to
 * what the index says. A log that was empty at our place proves nothing.
 */
static rc capture_start_log(struct capture *capture, const struct wal_index_header *header,
    struct capture_start_report *ret, struct error *err)
{
    const struct log_place *place = capture_place(capture);

    if (place->frame_count == 0 || !log_place_same_log(place, header))
        FAIL(err, RC_MISMATCH, "the log is not the one that was captured");

    /* Frames beyond our place may be in the database file already, where they are no bases. */
    capture->doubt_expected = true;
    rc result = capture_copy(capture, header, err);
    capture->doubt_expected = false;
    if (result == RC_OK)
        *ret = (struct capture_start_report){ .continuity = CAPTURE_CONTINUED };
    return result;
}

static rc capture_start_pinned(
    struct capture *capture, uint32_t timeline, struct capture_start_report *ret, struct error *err)
{
    struct capture_start_report report = { 0 };
    struct wal_index_header header;

    TRY(capture_start_position(capture, timeline, err));
    TRY(capture_read_header(capture, &header, err));
    if (header.page_size != capture->file_page_size)
        FAIL(err, RC_BUSY, "the page size changed while the database was opened");

    rc result = capture_start_log(capture, &header, &report, err);
    if (result == RC_MISMATCH && capture->state == CAPTURE_IDLE) {
        uint64_t before = capture_now(capture)->txid;
        TRY(resync_run(capture, &header, err));
        report.resync_page_count = capture->report.resync_page_count;
        report.continuity =
            capture_now(capture)->txid != before ? CAPTURE_RESYNCED : CAPTURE_UNCHANGED;
        result = RC_OK;
    }
    if (result != RC_OK)
        return result;
    capture->captured = header;
    capture->settled = header;
    capture->report = (struct capture_sync_report){ 0 };
    capture_note_pin(capture);
    *ret = report;
    return RC_OK;
}

rc capture_start(
    struct capture *capture, uint32_t timeline, struct capture_start_report *ret, struct error *err)
{
    assert(capture->state == CAPTURE_IDLE);
    assert(!capture->adopting);
    assert(capture->folder.kind == CAPTURE_STATE_POSITION ||
           capture->folder.kind == CAPTURE_STATE_REPLACED);
    assert(capture_now(capture)->page_size == capture->file_page_size);

    capture->wall_ms = clock_wall_ms();
    capture->report = (struct capture_sync_report){ 0 };
    TRY(pin_hold(capture->database, err));
    rc result = capture_start_pinned(capture, timeline, ret, err);
    if (result != RC_OK) {
        pin_drop(capture->database);
        return result;
    }
    capture_move(capture, CAPTURE_FOLLOWING);
    return RC_OK;
}

struct capture_comparing {
    const struct digest_map *map;
    uint64_t equal_count;
};

static rc capture_compare_each(void *payload, uint32_t pgno, struct bytes page, struct error *err)
{
    struct capture_comparing *comparing = payload;

    (void)err;
    comparing->equal_count += page_digest(pgno, page) == digest_map_page(comparing->map, pgno);
    return RC_OK;
}

static rc capture_compare_pinned(
    struct capture *capture, struct capture_difference *ret, struct error *err)
{
    struct capture_comparing comparing = { .map = capture->folder.map };
    struct wal_index_header header;
    struct image_view view;
    struct image_walk walk = {
        .what = "comparing the database with its history",
        .view = &view,
        .header = &header,
        .each = capture_compare_each,
        .payload = &comparing,
    };

    TRY(image_view_open(capture, &view, &header, err));
    TRY(image_walk(capture, &walk, err));
    *ret = (struct capture_difference){
        .page_count = header.page_count,
        .equal_count = comparing.equal_count,
        .same_file = file_mark_same(&capture->folder.now.file, &capture->file_mark),
        .must_depart = capture->folder.now.must_depart,
    };
    return RC_OK;
}

rc capture_compare(struct capture *capture, struct capture_difference *ret, struct error *err)
{
    assert(capture->state == CAPTURE_IDLE);
    assert(capture_now(capture)->txid > 0);
    assert(capture_now(capture)->page_size == capture->file_page_size);

    TRY(pin_hold(capture->database, err));
    rc result = capture_compare_pinned(capture, ret, err);
    pin_drop(capture->database);
    return result;
}
