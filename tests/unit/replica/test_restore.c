/*
 * restore: every transaction of random histories, byte for byte; and what must not succeed
 */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "codec/digest.h"

static struct restore_target at_txid(uint64_t txid)
{
    return (struct restore_target){ .kind = RESTORE_TXID, .txid = txid };
}

static void every_transaction_restores(void **state)
{
    (void)state;

    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct model *model = model_new(seed, seed % 2 == 0 ? 512 : 1024);
        model_snapshot(model);
        model_run(model, 60, false);
        for (uint64_t txid = 1; txid <= model->txid; txid++) {
            struct restore_target target = at_txid(txid);
            model_check_restore(model, &target, txid);
        }
        struct restore_target newest = { .kind = RESTORE_NEWEST };
        model_check_restore(model, &newest, model->txid);
        model_free(model);
    }
}

static void every_transaction_restores_with_fuzzy_snapshots(void **state)
{
    (void)state;

    for (uint64_t seed = 11; seed <= 16; seed++) {
        struct model *model = model_new(seed, 512);
        model_snapshot(model);
        model_run(model, 150, true);
        for (uint64_t txid = 1; txid <= model->txid; txid++) {
            struct restore_target target = at_txid(txid);
            model_check_restore(model, &target, txid);
        }
        model_free(model);
    }
}

static void a_fuzzy_first_snapshot_is_usable_from_its_last_transaction_on(void **state)
{
    struct model *model = model_new(21, 512);
    (void)state;

    model_snapshot_begin(model);
    do {
        model_commit(model);
        model_commit(model);
        model_store_segment(model);
    } while (model_snapshot_step(model));
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    model_check_restore_fails(model, &newest, RC_NOT_FOUND);
    model_snapshot_end(model);
    uint64_t usable_txid = model->txid;
    assert_true(usable_txid > 3);

    struct restore_target early = at_txid(usable_txid - 1);
    model_check_restore_fails(model, &early, RC_NOT_FOUND);
    struct restore_target usable = at_txid(usable_txid);
    model_check_restore(model, &usable, usable_txid);
    model_run(model, 10, false);
    model_check_restore(model, &newest, model->txid);
    model_free(model);
}

static void every_time_gives_the_last_transaction_not_after_it(void **state)
{
    struct model *model = model_new(31, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 80, false);
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t span = (uint64_t)(model->now_ms - model->versions[1].time_ms);
        int64_t time_ms = model->versions[1].time_ms + (int64_t)model_random(model, span + 5000);
        uint64_t wanted = 1;
        for (uint64_t txid = 1; txid <= model->txid; txid++) {
            if (model->versions[txid].time_ms <= time_ms)
                wanted = txid;
        }
        struct restore_target target = { .kind = RESTORE_TIME, .time_ms = time_ms };
        model_check_restore(model, &target, wanted);
    }
    struct restore_target before = {
        .kind = RESTORE_TIME,
        .time_ms = model->versions[1].time_ms - 1,
    };
    model_check_restore_fails(model, &before, RC_NOT_FOUND);
    model_free(model);
}

static void what_was_never_there_is_not_found(void **state)
{
    struct error err;
    struct model *model = model_new(41, 512);
    (void)state;

    struct restore_target newest = { .kind = RESTORE_NEWEST };
    model_check_restore_fails(model, &newest, RC_NOT_FOUND);
    model_snapshot(model);
    model_run(model, 5, false);
    struct restore_target later = at_txid(model->txid + 1);
    model_check_restore_fails(model, &later, RC_NOT_FOUND);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    assert_int_equal(restore_plan_make(&plan, model->replica, &later, &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.text, "there are transactions 1 (2023-11-14T22:13:20"));
    assert_non_null(strstr(err.text, " to 6 ("));
    struct restore_target zero = at_txid(0);
    model_check_restore_fails(model, &zero, RC_NOT_FOUND);
    struct restore_target timeline = { .kind = RESTORE_NEWEST, .timeline = 7 };
    model_check_restore_fails(model, &timeline, RC_NOT_FOUND);
    model_free(model);
}

static void both_branches_of_a_history_restore(void **state)
{
    struct model *model = model_new(51, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 40, true);
    uint64_t first_end = model->txid;
    uint64_t branch = 17; /* in the middle of a segment or not: both happen with other seeds */
    auto_free struct model_version *first = mem_copy(model->versions, sizeof model->versions);
    for (uint64_t txid = 1; txid <= first_end; txid++) {
        first[txid].bytes =
            mem_copy(first[txid].bytes, (size_t)first[txid].page_count * model->page_size);
    }
    model_branch(model, branch);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    model_check_restore(model, &newest, branch);
    model_run(model, 30, true);

    for (uint64_t txid = 1; txid <= model->txid; txid++) {
        struct restore_target target = at_txid(txid);
        model_check_restore(model, &target, txid);
    }
    model_check_restore(model, &newest, model->txid);
    struct restore_target time = {
        .kind = RESTORE_TIME,
        .time_ms = model->versions[branch].time_ms,
    };
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct error err;
    CHECK_OK(restore_plan_make(&plan, model->replica, &time, &err));
    assert_int_equal(plan.target.txid, branch);

    for (uint64_t txid = 1; txid <= first_end; txid++) {
        free(model->versions[txid].bytes);
        model->versions[txid] = first[txid];
    }
    for (uint64_t txid = 1; txid <= first_end; txid++) {
        struct restore_target target = at_txid(txid);
        target.timeline = 1;
        model_check_restore(model, &target, txid);
    }
    model_free(model);
}

/* Branches of branches, with snapshots begun on one side of a fork and finished on the other side.
 */
static void every_transaction_of_a_tree_of_timelines_restores(void **state)
{
    (void)state;

    for (uint64_t seed = 81; seed <= 83; seed++) {
        struct model *model = model_new(seed, 512);
        model_snapshot(model);
        for (unsigned round = 0; round < 5; round++) {
            model_run(model, 12 + (unsigned)model_random(model, 12), true);
            for (uint64_t txid = 1; txid <= model->txid; txid++) {
                struct restore_target target = at_txid(txid);
                model_check_restore(model, &target, txid);
            }
            for (unsigned i = 0; i < 10; i++) {
                uint64_t wanted = 1 + model_random(model, model->txid);
                struct restore_target time = {
                    .kind = RESTORE_TIME,
                    .time_ms = model->versions[wanted].time_ms + (int64_t)model_random(model, 999),
                };
                while (wanted < model->txid && model->versions[wanted + 1].time_ms <= time.time_ms)
                    wanted++;
                model_check_restore(model, &time, wanted);
            }
            struct error err;
            auto_history struct history history = HISTORY_INIT;
            CHECK_OK(history_read(&history, model->replica, &err));
            assert_int_equal(history.gap_count, 0);
            assert_int_equal(history.timeline_count, round + 1);
            model_branch(model, 1 + model_random(model, model->txid));
        }
        model_free(model);
    }
}

/* ---- damage */

static void flip(const char *path, uint64_t at)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t byte = 0;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static uint64_t size_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

static void writable(const char *path)
{
    assert_int_equal(chmod(path, 0644), 0);
}

static rc ignore_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)payload;
    (void)pgno;
    (void)digest;
    (void)err;
    return RC_OK;
}

/* Restore the newest version; when that succeeds, it must be that version. */
static rc restore_newest(struct model *model)
{
    struct error err;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    const struct model_version *version = &model->versions[model->txid];

    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    TRY(restore_plan_make(&plan, model->replica, &newest, &err));
    auto_free char *output = model_path(model, "out/restored.db");
    struct restore_options options = { .output = output };
    struct restore_report report;
    TRY(restore_run(model->replica, &plan, &options, &report, &err));
    auto_buf struct buf bytes = BUF_INIT(MODEL_SEGMENT_SIZE_MAX);
    CHECK_OK(fs_read_file(&bytes, output, &err));
    size_t size = (size_t)version->page_count * model->page_size;
    assert_true(bytes_equal(buf_bytes(&bytes), bytes_of(version->bytes, size)));
    assert_int_equal(unlink(output), 0);
    return RC_OK;
}

/* What a restore does not need (the digests in a log segment's index) is found by who needs it. */
static void a_flipped_byte_anywhere_is_found(void **state)
{
    struct model *model = model_new(61, 512);
    unsigned restored_count = 0;
    (void)state;

    model_snapshot(model);
    model_run(model, 30, false);
    size_t count = 0;
    char **paths = model_objects(model, ".seg", &count);
    assert_true(count > 5);
    for (unsigned i = 0; i < 400; i++) {
        const char *path = paths[model_random(model, count)];
        uint64_t at = model_random(model, size_of(path));
        writable(path);
        flip(path, at);
        rc code = restore_newest(model);
        if (code == RC_OK) {
            struct replica_position position = model_position(model, model->txid);
            restored_count++;
            code = replica_each_page_digest(
                model->replica, &position, model->folder, ignore_digest, NULL, NULL);
        }
        /* A flag or version that we do not know is RC_UNSUPPORTED; all else is damage. */
        if (code != RC_CORRUPT && code != RC_UNSUPPORTED)
            fail_msg("'%s' with byte %lu flipped: %s", path, (unsigned long)at, rc_name(code));
        assert_int_equal(model_output_count(model), 0);
        flip(path, at);
    }
    assert_true(restored_count < 100);
    assert_int_equal(restore_newest(model), RC_OK);
    model_objects_free(paths, count);
    model_free(model);
}

static void a_truncated_object_is_found(void **state)
{
    struct error err;
    struct model *model = model_new(62, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 20, false);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    size_t count = 0;
    char **paths = model_objects(model, ".seg", &count);
    for (size_t i = 0; i < count; i++) {
        auto_buf struct buf whole = BUF_INIT(MODEL_SEGMENT_SIZE_MAX);
        CHECK_OK(fs_read_file(&whole, paths[i], &err));
        writable(paths[i]);
        uint64_t cuts[] = { 0, 1, whole.size / 2, whole.size - 1 };
        for (size_t k = 0; k < array_count(cuts); k++) {
            assert_int_equal(truncate(paths[i], (off_t)cuts[k]), 0);
            model_check_restore_fails(model, &newest, RC_CORRUPT);
            int fd = open(paths[i], O_WRONLY | O_TRUNC);
            assert_true(fd >= 0);
            CHECK_OK(fs_write(fd, buf_bytes(&whole), &err));
            close(fd);
        }
    }
    model_check_restore(model, &newest, model->txid);
    model_objects_free(paths, count);
    model_free(model);
}

static void a_missing_object_is_damage_and_not_an_older_point(void **state)
{
    struct error err;
    struct model *model = model_new(63, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 25, false);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    size_t count = 0;
    char **paths = model_objects(model, "/0/", &count);
    auto_free char *aside = model_path(model, "aside");
    for (size_t i = 0; i + 1 < count; i++) {
        assert_int_equal(rename(paths[i], aside), 0);
        model_check_restore_fails(model, &newest, RC_CORRUPT);
        struct replica_info info;
        CHECK_RC(replica_inspect(model->replica, &info, &err), RC_CORRUPT);
        assert_non_null(strstr(err.text, "missing"));
        auto_history struct history history = HISTORY_INIT;
        CHECK_OK(history_read(&history, model->replica, &err));
        assert_int_equal(history.gap_count, 1);
        assert_int_equal(rename(aside, paths[i]), 0);
    }
    model_objects_free(paths, count);

    paths = model_objects(model, "timelines/", &count);
    assert_int_equal(count, 1);
    assert_int_equal(rename(paths[0], aside), 0);
    model_check_restore_fails(model, &newest, RC_CORRUPT);
    assert_int_equal(rename(aside, paths[0]), 0);
    model_objects_free(paths, count);
    paths = model_objects(model, "seawal.json", &count);
    assert_int_equal(count, 1);
    assert_int_equal(rename(paths[0], aside), 0);
    model_check_restore_fails(model, &newest, RC_CORRUPT);
    assert_int_equal(rename(aside, paths[0]), 0);
    model_objects_free(paths, count);
    model_check_restore(model, &newest, model->txid);
    model_free(model);
}

static void a_damaged_snapshot_moved_away_costs_nothing(void **state)
{
    struct error err;
    struct model *model = model_new(67, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 10, false);
    model_snapshot(model);
    model_run(model, 10, false);
    size_t count = 0;
    char **paths = model_objects(model, "/snapshot/", &count);
    assert_int_equal(count, 2);
    uint64_t places[] = { 100, size_of(paths[1]) - 10 }; /* of a block, of the trailer */
    auto_free char *aside = model_path(model, "aside");
    for (size_t i = 0; i < array_count(places); i++) {
        struct restore_target newest = { .kind = RESTORE_NEWEST };
        writable(paths[1]);
        flip(paths[1], places[i]);
        model_check_restore_fails(model, &newest, RC_CORRUPT);
        assert_int_equal(rename(paths[1], aside), 0);
        for (uint64_t txid = 1; txid <= model->txid; txid++) {
            struct restore_target target = at_txid(txid);
            model_check_restore(model, &target, txid);
        }
        assert_int_equal(rename(aside, paths[1]), 0);
        auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
        if (restore_plan_make(&plan, model->replica, &newest, &err) != RC_OK)
            assert_non_null(strstr(err.text, "moved out of the replica"));
        flip(paths[1], places[i]);
        model_check_restore(model, &newest, model->txid);
    }
    model_objects_free(paths, count);
    model_free(model);
}

static void swapped_objects_are_found(void **state)
{
    struct model *model = model_new(64, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 25, false);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    size_t count = 0;
    char **paths = model_objects(model, ".seg", &count);
    auto_free char *aside = model_path(model, "aside");
    for (size_t i = 0; i + 1 < count; i++) {
        assert_int_equal(rename(paths[i], aside), 0);
        assert_int_equal(rename(paths[i + 1], paths[i]), 0);
        assert_int_equal(rename(aside, paths[i + 1]), 0);
        model_check_restore_fails(model, &newest, RC_CORRUPT);
        assert_int_equal(rename(paths[i], aside), 0);
        assert_int_equal(rename(paths[i + 1], paths[i]), 0);
        assert_int_equal(rename(aside, paths[i + 1]), 0);
    }
    model_check_restore(model, &newest, model->txid);
    model_objects_free(paths, count);
    model_free(model);
}

static void foreign_objects_are_named_and_refused(void **state)
{
    static const char *const keys[] = {
        "README.txt",
        "00000001/0/notes",
        "00000001/0/0000000000000002-0000000000000003-1700000000000.seg.bak",
        "00000001/10/0000000000000002-0000000000000003-1700000000000.seg",
        "0000001/0/0000000000000002-0000000000000003-1700000000000.seg",
        "00000000/0/0000000000000002-0000000000000003-1700000000000.seg",
        "00000001/snapshot/0000000000000002-0000000000000003-1700000000000.seg",
        "timelines/1.json",
        "timelines/00000001.json.old",
    };
    struct error err;
    struct model *model = model_new(65, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 5, false);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    for (size_t i = 0; i < array_count(keys); i++) {
        CHECK_OK(store_put(model->store, keys[i], bytes_of_text("x"), STORE_PUT_NEW, &err));
        struct replica_info info;
        CHECK_RC(replica_inspect(model->replica, &info, &err), RC_CORRUPT);
        assert_non_null(strstr(err.text, keys[i]));
        model_check_restore_fails(model, &newest, RC_CORRUPT);
        CHECK_OK(store_remove(model->store, &keys[i], 1, &err));
    }
    CHECK_OK(store_put(model->store, "proofs/anything", bytes_of_text("x"), STORE_PUT_NEW, &err));
    model_check_restore(model, &newest, model->txid);
    model_free(model);
}

static void a_transaction_that_is_there_twice_is_damage(void **state)
{
    struct model *model = model_new(66, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 25, false);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    size_t count = 0;
    char **paths = model_objects(model, "/0/", &count);
    /* The same range under another time: what a second writer on one timeline would leave. */
    auto_free char *copy = text_copy(paths[count / 2]);
    copy[strlen(copy) - 5] = copy[strlen(copy) - 5] == '9' ? '8' : '9';
    assert_int_equal(link(paths[count / 2], copy), 0);
    model_check_restore_fails(model, &newest, RC_CORRUPT);
    assert_int_equal(unlink(copy), 0);
    model_check_restore(model, &newest, model->txid);
    model_objects_free(paths, count);
    model_free(model);
}

/* ---- the output */

static void an_existing_output_is_refused_and_untouched(void **state)
{
    static const char *const names[] = {
        "out/restored.db",
        "out/restored.db-wal",
        "out/restored.db-shm",
        "out/restored.db-journal",
    };
    struct error err;
    struct model *model = model_new(71, 512);
    (void)state;

    model_snapshot(model);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
    auto_free char *output = model_path(model, "out/restored.db");
    struct restore_options options = { .output = output };
    struct restore_report report;
    for (size_t i = 0; i < array_count(names); i++) {
        auto_free char *path = model_path(model, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_int_equal(write(fd, "keep", 4), 4);
        close(fd);
        CHECK_RC(restore_run(model->replica, &plan, &options, &report, &err), RC_EXISTS);
        assert_non_null(strstr(err.text, path));
        auto_buf struct buf content = BUF_INIT(16);
        CHECK_OK(fs_read_file(&content, path, &err));
        assert_true(bytes_equal(buf_bytes(&content), bytes_of_text("keep")));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(model_output_count(model), 0);
    }
    auto_free char *nowhere = model_path(model, "nowhere/restored.db");
    options.output = nowhere;
    CHECK_RC(restore_run(model->replica, &plan, &options, &report, &err), RC_USAGE);
    model_free(model);
}

static void leftovers_of_killed_restores_go_and_others_stay(void **state)
{
    struct error err;
    struct model *model = model_new(72, 512);
    (void)state;

    model_snapshot(model);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
    auto_free char *killed = model_path(model, "out/.restored.db.seawal-restore-0123abcd");
    auto_free char *killed_shm = model_path(model, "out/.restored.db.seawal-restore-0123abcd-shm");
    auto_free char *running = model_path(model, "out/.restored.db.seawal-restore-00000000");
    auto_free char *other = model_path(model, "out/.other.db.seawal-restore-0123abcd");
    auto_free char *foreign = model_path(model, "out/.restored.db.seawal-restore-mine");
    const char *const paths[] = { killed, killed_shm, running, other, foreign };
    for (size_t i = 0; i < array_count(paths); i++)
        close(open(paths[i], O_WRONLY | O_CREAT | O_EXCL, 0600));
    int lock = open(running, O_RDWR);
    assert_int_equal(flock(lock, LOCK_EX), 0);

    auto_free char *output = model_path(model, "out/restored.db");
    struct restore_options options = { .output = output };
    struct restore_report report;
    CHECK_OK(restore_run(model->replica, &plan, &options, &report, &err));
    assert_false(fs_exists(killed));
    assert_false(fs_exists(killed_shm));
    assert_true(fs_exists(running));
    assert_true(fs_exists(other));
    assert_true(fs_exists(foreign));
    close(lock);
    model_free(model);
}

static void mode_and_owner_are_sensible(void **state)
{
    struct error err;
    struct model *model = model_new(75, 512);
    (void)state;

    model_snapshot(model);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
    auto_free char *folder = model_path(model, "out");
    auto_free char *output = model_path(model, "out/restored.db");
    bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(chown(folder, 1234, 4321), 0);
    mode_t umask_before = umask(0027);
    struct restore_options options = { .output = output };
    struct restore_report report;
    CHECK_OK(restore_run(model->replica, &plan, &options, &report, &err));
    umask(umask_before);
    struct stat status;
    assert_int_equal(stat(output, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(status.st_uid, is_root ? 1234 : geteuid());
    if (is_root)
        assert_int_equal(status.st_gid, 4321);
    model_free(model);
}

/* Needs a small file system of its own, which only root may make. */
static void a_full_disk_is_said_and_leaves_nothing(void **state)
{
    struct error err;
    struct model *model = model_new(76, 4096);
    (void)state;

    model_snapshot(model);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
    auto_free char *folder = model_path(model, "out");
    auto_free char *output = model_path(model, "out/restored.db");
    for (unsigned pages = 1; pages <= model->page_count; pages++) {
        auto_free char *size = text_format("size=%u", pages * 4096);
        if (mount("none", folder, "tmpfs", 0, size) != 0) {
            print_message("SKIP: a file system cannot be mounted here: %s\n", strerror(errno));
            model_free(model);
            skip();
        }
        struct restore_options options = { .output = output };
        struct restore_report report;
        CHECK_RC(restore_run(model->replica, &plan, &options, &report, &err), RC_NO_SPACE);
        assert_int_equal(model_output_count(model), 0);
        assert_int_equal(umount(folder), 0);
    }
    model_free(model);
}

/* ---- what SQLite says */

/* Version 1 becomes a real database, or one that is damaged inside but shipped faithfully. */
static void make_real_database(struct model *model, bool is_damaged)
{
    struct error err;
    auto_free char *path = model_path(model, "real.db");
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
            "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY,"
            " b TEXT); CREATE INDEX i ON t(b); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT"
            " x + 1 FROM n WHERE x < 2000) INSERT INTO t SELECT x, 'row ' || x FROM n;"
            " PRAGMA wal_checkpoint(TRUNCATE)",
            NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    auto_buf struct buf bytes = BUF_INIT((size_t)MODEL_PAGE_COUNT_MAX * 4096);
    CHECK_OK(fs_read_file(&bytes, path, &err));
    memcpy(model->pages, bytes.data, bytes.size);
    model->page_count = (uint32_t)(bytes.size / 4096);
    /* The last page belongs to the table or the index: a b-tree page of an unknown kind. */
    if (is_damaged)
        model->pages[bytes.size - 4096] = 77;
    model_digest_all(model);
    model_commit_as_is(model);
    assert_int_equal(unlink(path), 0);
}

static void sqlites_own_check_decides_as_well(void **state)
{
    static const enum restore_check checks[] = { RESTORE_CHECK_QUICK, RESTORE_CHECK_FULL };
    (void)state;

    for (size_t i = 0; i < 2 * array_count(checks); i++) {
        struct error err;
        bool is_damaged = i >= array_count(checks);
        struct model *model = model_new(77, 4096);
        make_real_database(model, is_damaged);
        model_snapshot(model);
        auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
        struct restore_target newest = { .kind = RESTORE_NEWEST };
        CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
        auto_free char *output = model_path(model, "out/restored.db");
        struct restore_options options = { .output = output };
        options.check = checks[i % array_count(checks)];
        struct restore_report report;
        CHECK_RC(restore_run(model->replica, &plan, &options, &report, &err),
            is_damaged ? RC_CORRUPT : RC_OK);
        assert_int_equal(model_output_count(model), is_damaged ? 0 : 1);
        model_free(model);
    }
}

struct kill_state {
    unsigned calls_left;
};

static void kill_at(void *payload, const struct restore_progress *progress)
{
    struct kill_state *state = payload;
    (void)progress;

    if (state->calls_left-- == 0)
        raise(SIGKILL);
}

static void a_killed_restore_leaves_nothing_visible(void **state)
{
    struct error err;
    struct model *model = model_new(73, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 20, false);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
    auto_free char *output = model_path(model, "out/restored.db");
    for (unsigned at = 0; at < 3; at++) {
        pid_t child = fork();
        if (child == 0) {
            struct kill_state kill = { .calls_left = at };
            struct restore_options options = {
                .output = output,
                .progress = kill_at,
                .progress_payload = &kill,
            };
            struct restore_report report;
            _exit(restore_run(model->replica, &plan, &options, &report, NULL) == RC_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_false(fs_exists(output));
        assert_int_equal(model_output_count(model), 1);
    }
    model_check_restore(model, &newest, model->txid);
    model_free(model);
}

static void cancel_stops_and_leaves_nothing(void **state)
{
    struct error err;
    struct model *model = model_new(74, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 20, false);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, model->replica, &newest, &err));
    struct cancel *cancel = cancel_new();
    cancel_now(cancel);
    auto_free char *output = model_path(model, "out/restored.db");
    struct restore_options options = { .output = output, .cancel = cancel };
    struct restore_report report;
    CHECK_RC(restore_run(model->replica, &plan, &options, &report, &err), RC_CANCELLED);
    assert_int_equal(model_output_count(model), 0);
    cancel_free(cancel);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transaction_restores),
        cmocka_unit_test(every_transaction_restores_with_fuzzy_snapshots),
        cmocka_unit_test(a_fuzzy_first_snapshot_is_usable_from_its_last_transaction_on),
        cmocka_unit_test(every_time_gives_the_last_transaction_not_after_it),
        cmocka_unit_test(what_was_never_there_is_not_found),
        cmocka_unit_test(both_branches_of_a_history_restore),
        cmocka_unit_test(every_transaction_of_a_tree_of_timelines_restores),
        cmocka_unit_test(a_flipped_byte_anywhere_is_found),
        cmocka_unit_test(a_truncated_object_is_found),
        cmocka_unit_test(a_missing_object_is_damage_and_not_an_older_point),
        cmocka_unit_test(a_damaged_snapshot_moved_away_costs_nothing),
        cmocka_unit_test(swapped_objects_are_found),
        cmocka_unit_test(foreign_objects_are_named_and_refused),
        cmocka_unit_test(a_transaction_that_is_there_twice_is_damage),
        cmocka_unit_test(an_existing_output_is_refused_and_untouched),
        cmocka_unit_test(leftovers_of_killed_restores_go_and_others_stay),
        cmocka_unit_test(sqlites_own_check_decides_as_well),
        cmocka_unit_test(mode_and_owner_are_sensible),
        cmocka_unit_test(a_full_disk_is_said_and_leaves_nothing),
        cmocka_unit_test(a_killed_restore_leaves_nothing_visible),
        cmocka_unit_test(cancel_stops_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
