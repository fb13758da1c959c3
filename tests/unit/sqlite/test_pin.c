/* The pin under other processes: it is always held, and no frame goes that was not captured. */
#include "sqlite/pin.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "database_priv.h"
#include "harness/check.h"
#include "sqlite/wal_format.h"
#include "wal_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HAND_OVER_COUNT = 10000,
    LOCK_LIST_TRY_COUNT = 20,
    SLOT_BYTE_FIRST = 123, /* of -shm: slots 0..4 */
    SLOT_BYTE_LAST = 127,
};

static void pinned_fixture_open(struct wal_fixture *fixture)
{
    struct error err = { 0 };

    wal_fixture_open(fixture, 0);
    wal_fixture_open_database(fixture);
    CHECK_OK(pin_hold(fixture->database, &err));
}

/* Whether the kernel's list has a lock of this process on a read slot of INODE. */
static bool a_slot_is_listed(ino_t inode)
{
    FILE *list = fopen("/proc/locks", "re");
    char line[256];
    bool found = false;

    assert_non_null(list);
    while (!found && fgets(line, sizeof line, list) != NULL) {
        int pid = 0;
        unsigned long long file = 0;
        unsigned long long first = 0;
        unsigned long long last = 0;
        if (sscanf(line, "%*s POSIX %*s %*s %d %*[^:]:%*[^:]:%llu %llu %llu", &pid, &file, &first,
                &last) == 4)
            found = pid == getpid() && file == inode && first <= SLOT_BYTE_LAST &&
                    last >= SLOT_BYTE_FIRST;
    }
    fclose(list);
    return found;
}

/* The list is not read in one piece, so a lock of a busy system can be missed, but not again and
 * again. */
static bool pin_is_listed(ino_t inode)
{
    for (unsigned i = 0; i < LOCK_LIST_TRY_COUNT; i++) {
        if (a_slot_is_listed(inode))
            return true;
    }
    return false;
}

static ino_t index_inode(const struct wal_fixture *fixture)
{
    char *path = text_format("%s-shm", fixture->path);
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    free(path);
    return status.st_ino;
}

static void a_pin_is_held_across_hand_overs_and_writers_go_on(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };
    unsigned busy_count = 0;

    (void)state;
    pinned_fixture_open(&fixture);
    ino_t inode = index_inode(&fixture);
    assert_true(pin_is_listed(inode));

    struct other_process other = other_process_start(fixture.path);
    other_process_run(&fixture.app, "PRAGMA wal_autocheckpoint=50");
    other_process_run(&fixture.app, ".busy 0"); /* the only writer */
    other_process_run(&fixture.app, "INSERT INTO t VALUES(1, 1)");
    other_process_send(&fixture.app, ".repeat UPDATE t SET v=randomblob(200) WHERE id=1");
    other_process_send(&other, ".repeat PRAGMA wal_checkpoint(PASSIVE)");
    for (unsigned i = 0; i < HAND_OVER_COUNT;) {
        rc code = pin_advance(fixture.database, &fixture.client, &err);
        if (code == RC_BUSY && busy_count++ < HAND_OVER_COUNT)
            continue;
        CHECK_OK(code);
        i++;
        if (!pin_is_listed(inode))
            fail_msg("no pin after hand-over %u", i);
    }
    other_process_run(&other, "PRAGMA user_version");
    (void)other_process_answer(&other);
    other_process_send(&fixture.app, ".worked");
    assert_int_equal(other_process_answer(&fixture.app), 0);
    /* Not one: a reader of SQLite's takes the write lock for an instant when it meets the index
     * half changed, but not ours (conn.c). */
    long refused_count = strtol(fixture.app.value, NULL, 10);
    assert_int_equal(other_process_answer(&fixture.app), 0);
    long worked_count = strtol(fixture.app.value, NULL, 10);
    print_message("commits %ld, refused %ld, hand-overs put off %u\n", worked_count, refused_count,
        busy_count);
    assert_int_equal(refused_count, 0);
    assert_true(worked_count > 100);
    other_process_stop(&other);

    pin_drop(fixture.database);
    assert_false(a_slot_is_listed(inode));
    wal_fixture_close(&fixture);
}

/* What FRAMES frames after the place of BEFORE hold: they must all be there. */
static void check_frames_are_there(
    struct wal_fixture *fixture, const struct wal_index_header *before, bool is_same_log)
{
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct wal_index_header now = wal_fixture_header(fixture);
    struct error err = { 0 };

    if (is_same_log)
        CHECK_OK(log_scan_begin_at(&scan, fixture->database, before->salt, before->frame_count,
            before->frame_checksum, &err));
    else
        CHECK_OK(log_scan_begin(&scan, fixture->database, &err));
    assert_true(now.frame_count > scan.frame);
    while (scan.frame < now.frame_count) {
        struct log_frame_header frame;
        struct bytes page;
        CHECK_OK(log_scan_next(&scan, &now, &frame, &page, &err));
    }
}

static void nobody_can_remove_frames_behind_a_pin(void **state)
{
    (void)state;
    for (int mode = SQLITE_CHECKPOINT_PASSIVE; mode <= SQLITE_CHECKPOINT_TRUNCATE; mode++) {
        struct wal_fixture fixture;
        struct error err = { 0 };
        char command[32];

        pinned_fixture_open(&fixture);
        CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
        struct wal_index_header captured = fixture.capture.header;
        wal_fixture_insert(&fixture, 20, 3000);

        struct other_process other = other_process_start(fixture.path);
        other_process_run(&other, ".busy 0");
        snprintf(command, sizeof command, ".checkpoint %d", mode);
        int result = other_process_try(&other, command);
        assert_int_equal(result, mode == SQLITE_CHECKPOINT_PASSIVE ? SQLITE_OK : SQLITE_BUSY);
        other_process_run(&fixture.app, "PRAGMA wal_autocheckpoint=1");
        wal_fixture_insert(&fixture, 20, 3000);
        other_process_try(&other, command);
        other_process_stop(&other);

        assert_true(database_backfilled(fixture.database) <= captured.frame_count);
        check_frames_are_there(&fixture, &captured, true);
        wal_fixture_close(&fixture);
    }
}

static void without_a_pin_they_are_gone(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
    wal_fixture_insert(&fixture, 20, 3000);
    pin_drop(fixture.database);
    other_process_run(&fixture.app, ".checkpoint 3");
    assert_int_equal(wal_fixture_header(&fixture).frame_count, 0);
    wal_fixture_close(&fixture);
}

static const struct reset_limits patient = { .write_lock_budget_ms = 1000,
    .write_lock_wait_ms = 100 };

static void reset_done(struct wal_fixture *fixture)
{
    struct reset_report report;
    struct error err = { 0 };

    CHECK_OK(pin_reset(fixture->database, &fixture->client, &patient, &report, &err));
    assert_true(report.done);
}

static void a_reset_lets_the_next_writer_restart_the_log(void **state)
{
    struct wal_fixture fixture;
    struct reset_report report;
    struct pin_state pin;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 100, 3000);
    struct wal_index_header before = wal_fixture_header(&fixture);
    assert_true(before.frame_count > 100);

    CHECK_OK(pin_reset(fixture.database, &fixture.client, &patient, &report, &err));
    assert_true(report.done);
    assert_false(report.reader_in_the_way);
    assert_int_equal(report.log_frames, before.frame_count);
    assert_int_equal(report.backfilled_frames, before.frame_count);
    assert_int_equal(report.write_lock_hold_ns, 0); /* nobody wrote, so nobody had to be stopped */
    pin_state_read(fixture.database, &pin);
    assert_true(pin.held);
    assert_true(pin.in_slot_zero);

    wal_fixture_insert(&fixture, 1, 10);
    struct wal_index_header after = wal_fixture_header(&fixture);
    assert_true(after.frame_count < 5);
    assert_true(after.salt[0] != before.salt[0]);

    /* The pin is in slot 0, so nobody can bring the new log's frames into the database and drop
     * them. */
    struct other_process other = other_process_start(fixture.path);
    other_process_run(&other, ".busy 0");
    assert_int_equal(other_process_try(&other, ".checkpoint 3"), SQLITE_BUSY);
    assert_int_equal(database_backfilled(fixture.database), 0);
    check_frames_are_there(&fixture, &before, false);
    other_process_stop(&other);

    CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
    pin_state_read(fixture.database, &pin);
    assert_false(pin.in_slot_zero);
    assert_int_equal(pin.frame_mark, after.frame_count);
    wal_fixture_close(&fixture);
}

static void a_reset_beside_a_busy_writer_takes_the_write_lock_for_a_moment(void **state)
{
    struct wal_fixture fixture;
    unsigned done_count = 0;
    unsigned hold_count = 0;
    int64_t hold_ns_max = 0;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    other_process_run(&fixture.app, "INSERT INTO t VALUES(1, 1)");
    other_process_send(&fixture.app, ".repeat UPDATE t SET v=randomblob(200) WHERE id=1");
    int64_t until_ms = clock_monotonic_ms() + 300000;
    while (done_count < 20 && clock_monotonic_ms() < until_ms) {
        /* As much as a slow disk may need. */
        struct reset_limits limits = { .write_lock_budget_ms = 2000, .write_lock_wait_ms = 50 };
        struct reset_report report = { 0 };
        CHECK_OK(pin_reset(fixture.database, &fixture.client, &limits, &report, &err));
        done_count += report.done;
        hold_count += report.write_lock_hold_ns > 0;
        if (report.write_lock_hold_ns > hold_ns_max)
            hold_ns_max = report.write_lock_hold_ns;
        clock_pause_us(5000);
        rc code = pin_advance(fixture.database, &fixture.client, &err);
        assert_true(code == RC_OK || code == RC_BUSY);
    }
    print_message("resets %u, holds %u, longest %.2f ms\n", done_count, hold_count,
        (double)hold_ns_max / 1e6);
    assert_int_equal(done_count, 20);
    assert_true(hold_count > 0);

    other_process_send(&fixture.app, ".worked");
    assert_int_equal(other_process_answer(&fixture.app), 0);
    assert_string_equal(fixture.app.value, "0"); /* refused, with a busy timeout */
    assert_int_equal(other_process_answer(&fixture.app), 0);
    wal_fixture_close(&fixture);
}

static void a_foreign_reader_is_not_waited_for(void **state)
{
    struct wal_fixture fixture;
    struct reset_report report;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 50, 3000);
    struct other_process reader = other_process_start(fixture.path);
    other_process_run(&reader, "BEGIN");
    other_process_run(&reader, "SELECT count(*) FROM t");
    wal_fixture_insert(&fixture, 50, 3000);

    int64_t began_ms = clock_monotonic_ms();
    CHECK_OK(pin_reset(fixture.database, &fixture.client, &patient, &report, &err));
    assert_false(report.done);
    assert_true(report.reader_in_the_way);
    assert_int_equal(report.write_lock_hold_ns, 0);
    assert_true(clock_monotonic_ms() - began_ms < 120000);
    bool is_named = false; /* the kernel's list may be read while it changes */
    for (unsigned i = 0; i < LOCK_LIST_TRY_COUNT && !is_named; i++)
        is_named = database_reader_pid(fixture.database) == reader.pid;
    assert_true(is_named);

    other_process_run(&reader, "COMMIT");
    assert_int_equal(database_reader_pid(fixture.database), 0);
    reset_done(&fixture);
    other_process_stop(&reader);
    wal_fixture_close(&fixture);
}

/* Whoever has begun to read and goes on to write is refused at once by a lock of ours. */
static void a_transaction_of_another_process_is_seen_and_not_waited_for_long(void **state)
{
    struct wal_fixture fixture;
    struct histogram holds = { 0 };
    struct reset_limits limits = {
        .write_lock_budget_ms = 1000, .write_lock_wait_ms = 1000, .holds = &holds
    };
    struct cut_report cut;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 5, 3000);
    assert_false(database_has_foreign_reader(fixture.database)); /* the pin is our own */
    other_process_run(&fixture.app, "BEGIN");
    assert_false(database_has_foreign_reader(fixture.database));
    other_process_run(&fixture.app, "SELECT count(*) FROM t");
    assert_true(database_has_foreign_reader(fixture.database));

    CHECK_OK(log_cut(fixture.database, &limits, 1 << 20, &cut, &err));
    assert_true(holds.count > 0);
    assert_true(database_has_foreign_reader(fixture.database));
    other_process_run(&fixture.app, "COMMIT");
    assert_false(database_has_foreign_reader(fixture.database));
    assert_true(pin_is_listed(index_inode(&fixture))); /* to ask does not cost our own locks */
    wal_fixture_close(&fixture);
}

static void a_writer_that_stays_is_not_waited_for(void **state)
{
    struct wal_fixture fixture;
    struct reset_limits limits = { .write_lock_budget_ms = 20, .write_lock_wait_ms = 30 };
    struct reset_report report;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 50, 3000);
    other_process_run(&fixture.app, "BEGIN IMMEDIATE");
    other_process_run(&fixture.app, "INSERT INTO t(v) VALUES(1)");
    CHECK_OK(pin_reset(fixture.database, &fixture.client, &limits, &report, &err));
    assert_true(report.done); /* nothing committed meanwhile: slot 0 needs no lock */
    assert_int_equal(report.write_lock_hold_ns, 0);
    other_process_run(&fixture.app, "COMMIT");
    check_frames_are_there(&fixture, &fixture.capture.header, false);
    wal_fixture_close(&fixture);
}

/* Fails the Nth capture, and is slow when asked to be. */
struct failing_capture {
    struct database *database;
    unsigned countdown;
    unsigned slow_us;
    unsigned locked_count; /* captures that were begun with the write lock held, in one hold */
};

static rc failing_capture_run(void *payload, struct wal_index_header *ret, struct error *err)
{
    struct failing_capture *capture = payload;

    capture->locked_count = capture->database->holds_write_lock ? capture->locked_count + 1 : 0;
    if (capture->slow_us > 0)
        clock_pause_us(capture->slow_us);
    if (capture->countdown > 0 && --capture->countdown == 0)
        FAIL(err, RC_NO_SPACE, "the disk is full");
    return database_log_header(capture->database, ret, err);
}

static void a_capture_that_fails_leaves_the_old_pin_and_no_lock(void **state)
{
    unsigned failure_count = 0;

    (void)state;
    for (unsigned nth = 1;; nth++) {
        struct wal_fixture fixture;
        struct reset_report report;
        struct pin_state pin;
        struct error err = { 0 };

        pinned_fixture_open(&fixture);
        struct failing_capture failing = { .database = fixture.database, .countdown = nth };
        struct pin_client client = { .capture = failing_capture_run, .payload = &failing };
        wal_fixture_insert(&fixture, 10, 3000);
        struct wal_index_header before = wal_fixture_header(&fixture);

        rc code = pin_reset(fixture.database, &client, &patient, &report, &err);
        pin_state_read(fixture.database, &pin);
        assert_true(pin.held);
        assert_true(pin_is_listed(index_inode(&fixture)));
        other_process_run(&fixture.app, ".busy 0");
        wal_fixture_insert(&fixture, 1, 10); /* no lock is left */
        check_frames_are_there(
            &fixture, &before, wal_fixture_header(&fixture).salt[0] == before.salt[0]);
        wal_fixture_close(&fixture);
        if (code == RC_OK)
            break;
        assert_int_equal(code, RC_NO_SPACE);
        failure_count++;
    }
    assert_true(failure_count >= 5);
}

/* Captures as the fixture does, and settles in its own time. */
struct settling_capture {
    struct wal_fixture *fixture;
    rc answer;       /* of settle() */
    int64_t slow_ns; /* settle() takes until here, however often it is called */
    bool is_settled;
    unsigned settle_count;
    int64_t budget_ns; /* unless 0: with the write lock held nobody may be asked to wait longer */
};

static rc settling_capture_run(void *payload, struct wal_index_header *ret, struct error *err)
{
    struct settling_capture *capture = payload;
    struct pin_client *client = &capture->fixture->client;

    TRY(database_log_header(capture->fixture->database, ret, err));
    if (ret->frame_count != capture->fixture->capture.header.frame_count ||
        ret->salt[0] != capture->fixture->capture.header.salt[0])
        capture->is_settled = false;
    return client->capture(client->payload, ret, err);
}

static rc settling_capture_settle(void *payload, int64_t until_ns, struct error *err)
{
    struct settling_capture *capture = payload;
    int64_t now_ns = clock_monotonic_ns();

    capture->settle_count++;
    if (capture->budget_ns > 0 && capture->fixture->database->holds_write_lock)
        assert_in_range(until_ns, 1, now_ns + capture->budget_ns);
    if (capture->answer != RC_OK)
        FAIL(err, capture->answer, "the disk is full");
    if (until_ns != 0 && until_ns < capture->slow_ns) {
        if (until_ns > now_ns)
            clock_pause_us((unsigned)((until_ns - now_ns) / 1000));
        FAIL(err, RC_BUSY, "not yet");
    }
    if (capture->slow_ns > now_ns)
        clock_pause_us((unsigned)((capture->slow_ns - now_ns) / 1000));
    capture->is_settled = true;
    return RC_OK;
}

static struct pin_client settling_client(struct settling_capture *capture)
{
    return (struct pin_client){
        .capture = settling_capture_run, .settle = settling_capture_settle, .payload = capture
    };
}

static void the_log_is_not_let_go_before_it_is_settled(void **state)
{
    struct wal_fixture fixture;
    struct pin_state pin;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    struct settling_capture capture = { .fixture = &fixture };
    struct pin_client client = settling_client(&capture);
    for (unsigned round = 0; round < 30; round++) {
        struct reset_report report;
        wal_fixture_insert(&fixture, 5, 3000);
        CHECK_OK(pin_advance(fixture.database, &client, &err)); /* out of slot 0 */
        wal_fixture_insert(&fixture, 1, 300);
        unsigned before = capture.settle_count;
        CHECK_OK(pin_advance(fixture.database, &client, &err));
        assert_int_equal(capture.settle_count, before); /* slots 1..4 keep the log */

        CHECK_OK(pin_reset(fixture.database, &client, &patient, &report, &err));
        pin_state_read(fixture.database, &pin);
        assert_true(report.done && pin.in_slot_zero);
        assert_true(capture.is_settled);
    }
    wal_fixture_close(&fixture);
}

static void what_cannot_be_settled_is_not_let_go(void **state)
{
    struct wal_fixture fixture;
    struct reset_report report;
    struct pin_state pin;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    struct settling_capture capture = { .fixture = &fixture, .answer = RC_NO_SPACE };
    struct pin_client client = settling_client(&capture);
    wal_fixture_insert(&fixture, 50, 3000);
    CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
    wal_fixture_insert(&fixture, 50, 3000);
    struct wal_index_header before = wal_fixture_header(&fixture);

    CHECK_RC(pin_reset(fixture.database, &client, &patient, &report, &err), RC_NO_SPACE);
    pin_state_read(fixture.database, &pin);
    assert_true(pin.held && !pin.in_slot_zero);
    other_process_run(&fixture.app, "PRAGMA wal_checkpoint(RESTART)");
    wal_fixture_insert(&fixture, 3, 3000);
    assert_int_equal(wal_fixture_header(&fixture).salt[0], before.salt[0]);
    check_frames_are_there(&fixture, &before, true);

    capture.answer = RC_OK;
    CHECK_OK(pin_reset(fixture.database, &client, &patient, &report, &err));
    assert_true(report.done);
    wal_fixture_close(&fixture);
}

/* The disk may take as long as it likes; the application waits for the budget and no longer. */
static void a_slow_disk_is_not_waited_for_with_the_write_lock(void **state)
{
    struct wal_fixture fixture;
    struct histogram holds = { 0 };
    struct reset_limits limits = { .write_lock_budget_ms = 400,
        .write_lock_wait_ms = 100,
        .remainder_frames = 1000000,
        .holds = &holds };
    struct error err = { 0 };
    bool was_slow = false;

    (void)state;
    pinned_fixture_open(&fixture);
    struct settling_capture capture = { .fixture = &fixture,
        .budget_ns = limits.write_lock_budget_ms * INT64_C(1000000) };
    struct pin_client client = settling_client(&capture);
    other_process_run(&fixture.app, "INSERT INTO t VALUES(1, 1)");
    other_process_send(&fixture.app, ".repeat UPDATE t SET v=randomblob(200) WHERE id=1");
    for (unsigned i = 0; i < 20 && !was_slow; i++) {
        struct reset_report report = { 0 };
        capture.slow_ns = clock_monotonic_ns() + INT64_C(3000000000);
        CHECK_OK(pin_reset(fixture.database, &client, &limits, &report, &err));
        was_slow = report.write_lock_hold_ns > 0 && !report.done;
        assert_true(!report.done || report.write_lock_hold_ns == 0);
    }
    assert_true(was_slow);
    assert_true(holds.count > 0);
    print_message("held %.2f ms at the longest\n", (double)holds.max_ns / 1e6);
    other_process_send(&fixture.app, ".worked");
    assert_int_equal(other_process_answer(&fixture.app), 0);
    assert_string_equal(fixture.app.value, "0");
    assert_int_equal(other_process_answer(&fixture.app), 0);
    wal_fixture_close(&fixture);
}

static void the_write_lock_is_given_back_after_its_budget(void **state)
{
    struct wal_fixture fixture;
    struct reset_limits limits = {
        .write_lock_budget_ms = 200, .write_lock_wait_ms = 100, .remainder_frames = 1000000
    };
    struct error err = { 0 };
    int64_t hold_ns = 0;

    (void)state;
    pinned_fixture_open(&fixture);
    struct failing_capture slow = { .database = fixture.database, .slow_us = 150000 };
    struct pin_client client = { .capture = failing_capture_run, .payload = &slow };
    other_process_run(&fixture.app, "INSERT INTO t VALUES(1, 1)");
    other_process_send(&fixture.app, ".repeat UPDATE t SET v=randomblob(200) WHERE id=1");
    for (unsigned i = 0; i < 20 && hold_ns == 0; i++) {
        struct reset_report report = { 0 };
        slow.locked_count = 0;
        CHECK_OK(pin_reset(fixture.database, &client, &limits, &report, &err));
        hold_ns = report.write_lock_hold_ns;
        /* The step that was begun within the budget is finished: here two slow captures at most. */
        assert_in_range(slow.locked_count, 0, 2);
    }
    print_message("held %.2f ms\n", (double)hold_ns / 1e6);
    assert_true(hold_ns > 0);
    other_process_send(&fixture.app, ".worked");
    assert_int_equal(other_process_answer(&fixture.app), 0);
    assert_int_equal(other_process_answer(&fixture.app), 0);
    wal_fixture_close(&fixture);
}

static uint64_t log_file_size(const struct wal_fixture *fixture)
{
    struct stat status;

    assert_int_equal(stat(database_log_path(fixture->database), &status), 0);
    return (uint64_t)status.st_size;
}

static void cut(struct wal_fixture *fixture, uint64_t keep_size, uint64_t expected)
{
    struct error err = { 0 };
    struct cut_report report;

    CHECK_OK(log_cut(fixture->database, &patient, keep_size, &report, &err));
    assert_true(report.file_size == expected);
    assert_true(report.write_lock_hold_ns > 0);
    assert_true(log_file_size(fixture) == expected);
}

static uint64_t log_used_size(struct wal_fixture *fixture)
{
    struct wal_index_header header = wal_fixture_header(fixture);

    return wal_frame_offset(header.page_size, header.frame_count + 1);
}

static void only_what_is_behind_the_logs_end_is_cut(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 2500, 3900); /* more than one piece */
    uint64_t full = log_file_size(&fixture);
    struct wal_index_header captured = wal_fixture_header(&fixture);
    assert_true(full > 10 << 20);
    cut(&fixture, 32, full); /* every frame counts */

    reset_done(&fixture);
    cut(&fixture, 32, full); /* they do until the log begins again */
    check_frames_are_there(&fixture, &captured, false);

    wal_fixture_insert(&fixture, 3, 3000);
    cut(&fixture, full + 1, full);
    cut(&fixture, full - 5000, full - 5000);
    cut(&fixture, 32, log_used_size(&fixture));
    assert_true(log_file_size(&fixture) < full / 100);
    check_frames_are_there(&fixture, &captured, false);
    assert_true(pin_is_listed(index_inode(&fixture)));

    wal_fixture_insert(&fixture, 300, 3000);
    check_frames_are_there(&fixture, &captured, false);
    assert_int_equal(other_process_number(&fixture.app, "SELECT count(*) FROM t"), 2803);
    other_process_run(&fixture.app, "PRAGMA integrity_check");
    assert_string_equal(fixture.app.value, "ok");
    wal_fixture_close(&fixture);
}

/* SQLITE_BUSY_SNAPSHOT is not one that a busy timeout would wait out. */
static void a_transaction_that_reads_first_is_not_refused_its_write(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 300, 3000);
    for (unsigned round = 0; round < 3; round++) {
        reset_done(&fixture);
        if (round > 0)
            wal_fixture_insert(&fixture, 1, 300);
        other_process_run(&fixture.app, "BEGIN");
        other_process_run(&fixture.app, "SELECT count(*) FROM t");
        cut(&fixture, 32, log_used_size(&fixture));
        other_process_run(&fixture.app, "UPDATE t SET v = 1 WHERE id = 1");
        other_process_run(&fixture.app, "COMMIT");
    }
    wal_fixture_close(&fixture);
}

static void a_writer_at_work_is_not_cut_under(void **state)
{
    struct wal_fixture fixture;
    struct reset_limits limits = { .write_lock_budget_ms = 20, .write_lock_wait_ms = 1 };
    struct error err = { 0 };
    struct cut_report report;

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 300, 3000);
    reset_done(&fixture);
    wal_fixture_insert(&fixture, 1, 300);
    uint64_t before = log_file_size(&fixture);
    other_process_run(&fixture.app, "PRAGMA cache_size=5");
    other_process_run(&fixture.app, "BEGIN");
    other_process_run(&fixture.app, "UPDATE t SET v = zeroblob(3000)"); /* spills into the log */
    CHECK_RC(log_cut(fixture.database, &limits, 32, &report, &err), RC_BUSY);
    assert_true(log_file_size(&fixture) >= before);
    other_process_run(&fixture.app, "COMMIT");
    other_process_run(&fixture.app, "PRAGMA integrity_check");
    assert_string_equal(fixture.app.value, "ok");
    wal_fixture_close(&fixture);
}

/* Its header may be from before the restart that our place in slot 0 allowed. */
static void slot_zero_is_not_left_while_a_checkpointer_is_in_flight(void **state)
{
    struct wal_fixture fixture;
    struct pin_state pin;
    struct error err = { 0 };

    (void)state;
    pinned_fixture_open(&fixture);
    wal_fixture_insert(&fixture, 20, 3000);
    reset_done(&fixture);
    wal_fixture_insert(&fixture, 1, 10); /* restarts the log */

    /* Waits for slot 0, with the checkpoint lock. */
    struct other_process other = other_process_start(fixture.path);
    other_process_run(&other, ".busy 4000");
    other_process_send(&other, ".checkpoint 1");
    clock_pause_us(1000000);
    CHECK_RC(pin_advance(fixture.database, &fixture.client, &err), RC_BUSY);
    pin_state_read(fixture.database, &pin);
    assert_true(pin.in_slot_zero);
    assert_int_equal(other_process_answer(&other), SQLITE_BUSY);
    assert_int_equal(database_backfilled(fixture.database), 0);

    CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
    assert_int_equal(other_process_try(&other, ".checkpoint 0"), SQLITE_OK);
    assert_true(database_backfilled(fixture.database) > 0);
    other_process_stop(&other);
    wal_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_is_held_across_hand_overs_and_writers_go_on),
        cmocka_unit_test(nobody_can_remove_frames_behind_a_pin),
        cmocka_unit_test(without_a_pin_they_are_gone),
        cmocka_unit_test(a_reset_lets_the_next_writer_restart_the_log),
        cmocka_unit_test(a_reset_beside_a_busy_writer_takes_the_write_lock_for_a_moment),
        cmocka_unit_test(a_foreign_reader_is_not_waited_for),
        cmocka_unit_test(a_transaction_of_another_process_is_seen_and_not_waited_for_long),
        cmocka_unit_test(a_writer_that_stays_is_not_waited_for),
        cmocka_unit_test(a_capture_that_fails_leaves_the_old_pin_and_no_lock),
        cmocka_unit_test(the_log_is_not_let_go_before_it_is_settled),
        cmocka_unit_test(what_cannot_be_settled_is_not_let_go),
        cmocka_unit_test(a_slow_disk_is_not_waited_for_with_the_write_lock),
        cmocka_unit_test(the_write_lock_is_given_back_after_its_budget),
        cmocka_unit_test(only_what_is_behind_the_logs_end_is_cut),
        cmocka_unit_test(a_transaction_that_reads_first_is_not_refused_its_write),
        cmocka_unit_test(a_writer_at_work_is_not_cut_under),
        cmocka_unit_test(slot_zero_is_not_left_while_a_checkpointer_is_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
