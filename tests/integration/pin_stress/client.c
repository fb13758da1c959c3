/*
 * client - a small replicator over database.h and pin.h, for the pin_stress test
 *
 *   client DATABASE IMAGE
 *
 * Keeps IMAGE equal to the database as of the captured position, only from frames of the log. What
 * the pins promise is checked all the while: the frames continue each other, and the page that a
 * captured frame replaces (and random other pages) can be read as they were. A recovery after a
 * killed writer may take frames back; then, and only then, IMAGE is put right from the database
 * under the pin.
 *
 * Ends by itself, after a last capture. Prints what it did; exit status 1 when a promise was
 * broken.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "sqlite/pin.h"

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOP_PAUSE_US = 1000,
    ADVANCE_FRAME_COUNT = 250,
    RESET_FRAME_COUNT = 1000,
    RESET_RETRY_MS_MIN = 50,
    RESET_RETRY_MS_MAX = 200,
    CUT_EVERY = 3, /* resets */
    CUT_KEEP_SIZE = 32,
    SAMPLE_PAGE_COUNT = 20,
    HOLD_COUNT_MAX = 100000,
    FINAL_TRY_COUNT = 1000,
    PAGE_SIZE_MAX = 65536,
};

struct client {
    struct database *database;
    int image;
    struct log_scan scan;
    bool has_scan;
    struct wal_index_header captured;
    bool needs_resync; /* one was begun and did not come to its end */

    uint8_t expected[PAGE_SIZE_MAX];
    uint8_t found[PAGE_SIZE_MAX];
    bool *replaced; /* pages that this capture wrote already; their base is gone */
    uint32_t replaced_max;

    unsigned long transaction_count;
    unsigned long frame_count;
    unsigned long base_count;
    unsigned long advance_count;
    unsigned long reset_count;
    unsigned long reset_given_up_count;
    unsigned long cut_count;
    bool wants_cut;
    unsigned long resync_count;
    unsigned long unfinished_count; /* frames that SQLite committed without a checksum */
    unsigned long violation_count;
    int64_t holds_ns[HOLD_COUNT_MAX];
    unsigned hold_count;
};

static void client_violation(struct client *client, const char *text)
{
    client->violation_count++;
    fprintf(stderr, "VIOLATION %s\n", text);
}

static rc client_read_image(struct client *client, uint32_t pgno, uint8_t *out, struct error *err)
{
    uint32_t page_size = client->captured.page_size;

    return fs_read_exact(client->image, out, page_size, (uint64_t)(pgno - 1) * page_size, err);
}

/*
 * The page as of the captured position. The log may be restarted or cut while we look into it; it
 * can only be when all of it is in the database file, and nothing is copied there then (as in
 * capture).
 */
static rc client_read_page(struct client *client, uint32_t pgno, struct error *err)
{
    const struct wal_index_header *captured = &client->captured;
    struct wal_index_header now;

    rc result =
        database_read_page(client->database, pgno, captured->frame_count, client->found, err);
    if (captured->frame_count == 0)
        return result;
    TRY(database_log_header(client->database, &now, err));
    if (now.salt[0] == captured->salt[0] && now.salt[1] == captured->salt[1])
        return result;
    return database_read_file_page(client->database, pgno, client->found, err);
}

/* The page as of the captured position, from the live database, against the image. */
static rc client_check_page(struct client *client, uint32_t pgno, struct error *err)
{
    uint32_t page_size = client->captured.page_size;

    if (pgno > client->captured.page_count)
        return RC_OK;
    TRY(client_read_image(client, pgno, client->expected, err));
    TRY(client_read_page(client, pgno, err));
    client->base_count++;
    if (memcmp(client->expected, client->found, page_size) != 0) {
        char text[128];
        snprintf(text, sizeof text, "page %u cannot be read as of captured frame %u of %u", pgno,
            client->captured.frame_count, client->captured.page_count);
        client_violation(client, text);
    }
    return RC_OK;
}

static bool client_is_first_replacement(struct client *client, uint32_t pgno)
{
    if (pgno >= client->replaced_max) {
        uint32_t count = pgno + 1024;
        client->replaced = mem_resize(client->replaced, count);
        memset(client->replaced + client->replaced_max, 0, count - client->replaced_max);
        client->replaced_max = count;
    }
    bool is_first = !client->replaced[pgno];
    client->replaced[pgno] = true;
    return is_first;
}

static rc client_apply_frames(
    struct client *client, const struct wal_index_header *header, struct error *err)
{
    uint32_t page_size = header->page_size;
    uint32_t first = client->scan.frame;

    uint32_t page_count_min = client->captured.page_count;
    if (client->replaced_max > 0)
        memset(client->replaced, 0, client->replaced_max);
    while (client->scan.frame < header->frame_count) {
        struct log_frame_header frame;
        struct bytes page;

        TRY(log_scan_next(&client->scan, header, &frame, &page, err));
        /* The position moves when all frames are through: until then this is the old one. */
        if (client_is_first_replacement(client, frame.pgno) && frame.pgno <= page_count_min)
            TRY(client_check_page(client, frame.pgno, err));
        TRY(fs_write_at(client->image, page, (uint64_t)(frame.pgno - 1) * page_size, err));
        client->frame_count++;
        client->unfinished_count += client->scan.unfinished_count;
        client->scan.unfinished_count = 0;
        if (frame.commit_page_count == 0)
            continue;
        client->transaction_count++;
        if (frame.commit_page_count < page_count_min)
            page_count_min = frame.commit_page_count;
        TRY(fs_truncate(client->image, (uint64_t)frame.commit_page_count * page_size, err));
        if (client->scan.frame == header->frame_count &&
            frame.commit_page_count != header->page_count)
            client_violation(client, "the last frame's size is not the header's");
    }
    if (client->scan.frame == first)
        client_violation(client, "a header changed without frames");
    return RC_OK;
}

/* Image := database as of HEADER, page by page; the chain is walked from the start of the log. */
static rc client_read_all(
    struct client *client, const struct wal_index_header *header, struct error *err)
{
    log_scan_release(&client->scan);
    client->has_scan = false;
    if (header->frame_count > 0) {
        TRY(log_scan_begin(&client->scan, client->database, err));
        client->has_scan = true;
    }
    while (client->has_scan && client->scan.frame < header->frame_count) {
        struct log_frame_header frame;
        struct bytes page;
        TRY(log_scan_next(&client->scan, header, &frame, &page, err));
    }

    for (uint32_t pgno = 1; pgno <= header->page_count; pgno++) {
        TRY(database_read_page(client->database, pgno, header->frame_count, client->found, err));
        TRY(fs_write_at(client->image, bytes_of(client->found, header->page_size),
            (uint64_t)(pgno - 1) * header->page_size, err));
    }
    return fs_truncate(client->image, (uint64_t)header->page_count * header->page_size, err);
}

/*
 * With the pin in slot 0 the log may be restarted and cut while it is read: then frames are looked
 * up that the new log does not have (the index forgets old ones region by region, as the log
 * grows). RC_BUSY: read it all again.
 */
static rc client_resync(
    struct client *client, const struct wal_index_header *header, struct error *err)
{
    struct wal_index_header now;

    client->needs_resync = true;
    rc code = client_read_all(client, header, err);
    TRY(database_log_header(client->database, &now, err));
    if (now.salt[0] != header->salt[0] || now.salt[1] != header->salt[1])
        FAIL(err, RC_BUSY, "the log was restarted meanwhile");
    TRY(code);
    client->needs_resync = false;
    client->captured = *header;
    client->resync_count++;
    return RC_OK;
}

static rc client_follow(
    struct client *client, const struct wal_index_header *header, struct error *err)
{
    bool is_same_log =
        header->salt[0] == client->captured.salt[0] && header->salt[1] == client->captured.salt[1];

    if (header->frame_count == 0) {
        log_scan_release(&client->scan);
        client->has_scan = false;
        client->captured = *header;
        return RC_OK;
    }
    if (!client->has_scan || !is_same_log) {
        log_scan_release(&client->scan);
        client->has_scan = false;
        TRY(log_scan_begin(&client->scan, client->database, err));
        client->has_scan = true;
        client->captured.frame_count = 0;
    }
    if (client->scan.frame != header->frame_count || !is_same_log)
        TRY(client_apply_frames(client, header, err));
    client->captured = *header;
    return RC_OK;
}

static bool header_is_equal(
    const struct wal_index_header *left, const struct wal_index_header *right)
{
    return left->change_counter == right->change_counter &&
           left->frame_count == right->frame_count && left->page_count == right->page_count &&
           left->salt[0] == right->salt[0] && left->salt[1] == right->salt[1] &&
           left->frame_checksum[0] == right->frame_checksum[0] &&
           left->frame_checksum[1] == right->frame_checksum[1];
}

static rc client_capture(void *payload, struct wal_index_header *ret, struct error *err)
{
    struct client *client = payload;
    struct wal_index_header header;

    TRY(database_log_header(client->database, &header, err));
    if (client->needs_resync) {
        rc code = client_resync(client, &header, err);
        TRY(code == RC_MISMATCH ? RC_BUSY : code);
    } else if (!header_is_equal(&header, &client->captured)) {
        uint32_t change_counter = client->captured.change_counter;
        rc code = client_follow(client, &header, err);

        if (code == RC_MISMATCH) {
            if (header.change_counter >= change_counter)
                client_violation(client, err->text);
            code = client_resync(client, &header, err);
            /* It may be recovered once more meanwhile. */
            if (code == RC_MISMATCH)
                code = RC_BUSY;
        }
        TRY(code);
    }
    *ret = header;
    return RC_OK;
}

static rc client_start(struct client *client, const char *path, struct error *err)
{
    struct database_options options = { .convert_to_wal = false };
    struct wal_index_header header;

    TRY(database_open(&client->database, path, &options, err));
    TRY(pin_hold(client->database, err));
    for (;;) {
        rc code = database_log_header(client->database, &header, err);
        if (code == RC_OK)
            code = client_resync(client, &header, err);
        if (code != RC_BUSY && code != RC_MISMATCH)
            return code;
    }
}

static void client_note_hold(struct client *client, const struct reset_report *report)
{
    if (report->write_lock_hold_ns > 0 && client->hold_count < HOLD_COUNT_MAX)
        client->holds_ns[client->hold_count++] = report->write_lock_hold_ns;
}

static rc client_reset(
    struct client *client, const struct pin_client *pin, bool *ret_done, struct error *err)
{
    struct reset_limits limits = {
        .write_lock_budget_ms = 20, .write_lock_wait_ms = 20, .remainder_frames = 200
    };
    struct reset_report report = { 0 };

    TRY(pin_reset(client->database, pin, &limits, &report, err));
    client_note_hold(client, &report);
    *ret_done = report.done;
    if (!report.done) {
        client->reset_given_up_count++;
        return RC_OK;
    }
    client->reset_count++;
    if (client->reset_count % CUT_EVERY == 0)
        client->wants_cut = true; /* once the log has begun again */
    return RC_OK;
}

static rc client_cut(struct client *client, struct error *err)
{
    struct reset_limits limits = { .write_lock_budget_ms = 20, .write_lock_wait_ms = 20 };
    struct cut_report cut;

    client->wants_cut = false;
    TRY(log_cut(client->database, &limits, CUT_KEEP_SIZE, &cut, err));
    client->cut_count++;
    return RC_OK;
}

/* The rules of a real client: leave slot 0 soon, advance now and then, reset when the log is long.
 */
static rc client_maintain(struct client *client, const struct pin_client *pin,
    int64_t *next_reset_ms, int64_t *retry_ms, struct error *err)
{
    struct pin_state state;
    uint32_t frames = client->captured.frame_count;

    pin_state_read(client->database, &state);
    if (client->wants_cut && !state.in_slot_zero)
        TRY(client_cut(client, err));
    bool is_left_behind = state.in_slot_zero && frames > database_backfilled(client->database);
    if (is_left_behind || frames > state.frame_mark + ADVANCE_FRAME_COUNT) {
        TRY(pin_advance(client->database, pin, err));
        client->advance_count++;
    }
    if (frames < RESET_FRAME_COUNT || state.in_slot_zero || clock_monotonic_ms() < *next_reset_ms)
        return RC_OK;

    bool done = false;
    TRY(client_reset(client, pin, &done, err));
    *retry_ms = done ? RESET_RETRY_MS_MIN : *retry_ms * 2;
    if (*retry_ms > RESET_RETRY_MS_MAX)
        *retry_ms = RESET_RETRY_MS_MAX;
    *next_reset_ms = done ? 0 : clock_monotonic_ms() + *retry_ms;
    return RC_OK;
}

static rc client_check_sample(struct client *client, struct error *err)
{
    for (unsigned i = 0; i < SAMPLE_PAGE_COUNT; i++) {
        uint32_t pgno = 1 + (uint32_t)random() % client->captured.page_count;
        TRY(client_check_page(client, pgno, err));
    }
    return RC_OK;
}

static bool input_has_ended(void)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

    return poll(&input, 1, 0) > 0;
}

static rc client_loop(struct client *client, struct error *err)
{
    struct pin_client pin = { .capture = client_capture, .payload = client };
    struct wal_index_header header;
    int64_t next_reset_ms = 0;
    int64_t retry_ms = RESET_RETRY_MS_MIN;

    while (!input_has_ended()) {
        rc code = client_capture(client, &header, err);
        if (code == RC_OK)
            code = client_check_sample(client, err);
        if (code == RC_OK)
            code = client_maintain(client, &pin, &next_reset_ms, &retry_ms, err);
        if (code != RC_OK && code != RC_BUSY)
            return code;
        if (database_has_moved(client->database))
            FAIL(err, RC_MISMATCH, "the files were replaced");
        clock_pause_us(LOOP_PAUSE_US);
    }
    for (unsigned i = 0; i < FINAL_TRY_COUNT; i++) {
        rc code = client_capture(client, &header, err);
        if (code != RC_BUSY)
            return code;
        clock_pause_us(LOOP_PAUSE_US);
    }
    return RC_BUSY;
}

static int compare_holds(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

static void client_report(struct client *client)
{
    printf("client transactions=%lu frames=%lu bases=%lu advances=%lu resets=%lu given_up=%lu "
           "cuts=%lu resyncs=%lu unfinished=%lu violations=%lu\n",
        client->transaction_count, client->frame_count, client->base_count, client->advance_count,
        client->reset_count, client->reset_given_up_count, client->cut_count, client->resync_count,
        client->unfinished_count, client->violation_count);
    if (client->hold_count == 0)
        return;
    qsort(client->holds_ns, client->hold_count, sizeof client->holds_ns[0], compare_holds);
    printf("write lock held %u times: p50 %.2f ms, p90 %.2f ms, longest %.2f ms\n",
        client->hold_count, (double)client->holds_ns[client->hold_count / 2] / 1e6,
        (double)client->holds_ns[client->hold_count * 9 / 10] / 1e6,
        (double)client->holds_ns[client->hold_count - 1] / 1e6);
}

int main(int argument_count, char **arguments)
{
    static struct client client;
    struct error err = { 0 };

    if (argument_count != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    rc code = fs_open(&client.image, arguments[2], O_RDWR | O_CREAT | O_TRUNC, 0600, &err);
    if (code == RC_OK)
        code = client_start(&client, arguments[1], &err);
    if (code == RC_OK) {
        printf("started\n");
        code = client_loop(&client, &err);
    }
    if (code != RC_OK)
        fprintf(stderr, "client: %s: %s\n", rc_name(code), err.text);
    client_report(&client);
    database_close(client.database);
    return code == RC_OK && client.violation_count == 0 ? 0 : 1;
}
