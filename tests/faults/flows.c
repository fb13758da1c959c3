/* flows - what the product does, each from a prepared state, so that a call in it can fail */
#include "flows.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/pending_file.h"
#include "base/text.h"
#include "harness/fault.h"
#include "replica/history.h"
#include "simulated_time.h"

enum {
    FLOW_MS = 10 * 60 * 1000, /* of simulated time that a struck run may take */
    FLOW_CHECKPOINT_PAGE_COUNT = 8,
    FLOW_TRUNCATE_SIZE = 8192,
    FLOW_PAUSE_MS = 60 * 1000, /* checkpoints are paced by seconds */
};

static rc flow_settle(struct rig *rig, struct error *err)
{
    if (rig_settle(rig, FLOW_MS))
        return RC_OK;
    FAIL(err, RC_BUSY, "not settled: %s", rig_told_last());
}

static rc flow_start(struct rig *rig, struct error *err)
{
    rig_start(rig);
    return flow_settle(rig, err);
}

/* ---- from nothing */

static void prepare_nothing(struct rig *rig)
{
    (void)rig;
}

/* ---- while it follows */

static void prepare_following(struct rig *rig)
{
    rig_start(rig);
    rig_must_settle(rig);
    rig_remember(rig);
}

static void prepare_commits(struct rig *rig)
{
    prepare_following(rig);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(1500))");
    rig_sql(rig, "UPDATE t SET v = 'other' WHERE id = 3; DELETE FROM t WHERE id = 1");
}

static void prepare_long_log(struct rig *rig)
{
    rig->config.dbs[0].min_checkpoint_page_count = FLOW_CHECKPOINT_PAGE_COUNT;
    rig->config.dbs[0].truncate_size = FLOW_TRUNCATE_SIZE;
    prepare_following(rig);
    simulated_time_pass_ms(FLOW_PAUSE_MS);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(12000))");
    rig_sql(rig, "UPDATE t SET v = randomblob(900) WHERE id = 2");
}

/*
 * A reader has held up a checkpoint, which copied a part of the log and left the rest, and the
 * fsync, to the next one.
 */
static void prepare_part_copied(struct rig *rig)
{
    sqlite3 *reader = NULL;

    prepare_long_log(rig);
    assert_int_equal(sqlite3_open(rig->path, &reader), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL), SQLITE_OK);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(800))");
    rig_must_settle(rig);
    simulated_time_pass_ms(FLOW_PAUSE_MS);
    rig_sql(rig, "UPDATE t SET v = randomblob(800) WHERE id = 3");
    rig_must_settle(rig);
    rig_remember(rig);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    simulated_time_pass_ms(FLOW_PAUSE_MS);
    rig_sql(rig, "INSERT INTO t(v) VALUES('last')");
}

static void prepare_snapshot(struct rig *rig)
{
    prepare_commits(rig);
    rig_must_settle(rig);
    rig_remember(rig);
    entry_want_snapshot(rig->entry);
}

/* ---- after it was down */

static void prepare_stopped(struct rig *rig)
{
    prepare_following(rig);
    rig_stop(rig);
}

static void prepare_restart(struct rig *rig)
{
    prepare_stopped(rig);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(1500))");
}

static void prepare_resync(struct rig *rig)
{
    prepare_restart(rig);
    rig_sql(rig, "PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM t WHERE id = 2");
    rig_close_app(rig);
}

static void prepare_adopt(struct rig *rig)
{
    auto_free char *state = config_state_dir_of(&rig->config.dbs[0]);
    auto_free char *command = text_format("rm -r '%s'", state);

    prepare_restart(rig);
    assert_int_equal(system(command), 0);
}

/* A copy stands where the database was, and went on from there. */
static void prepare_replaced(struct rig *rig)
{
    auto_free char *other = scratch_path(&rig->scratch, "other.db");
    auto_free char *command = text_format("cp '%s' '%s'", rig->path, other);

    prepare_restart(rig);
    rig_sql(rig, "PRAGMA wal_checkpoint(TRUNCATE)");
    rig_close_app(rig);
    assert_int_equal(system(command), 0);
    assert_int_equal(rename(other, rig->path), 0);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(700))");
}

static void prepare_page_size(struct rig *rig)
{
    prepare_restart(rig);
    rig_sql(rig, "PRAGMA journal_mode=DELETE; PRAGMA page_size=2048; VACUUM;"
                 "PRAGMA journal_mode=WAL; INSERT INTO t(v) VALUES(randomblob(700))");
}

/* A run before claimed the next timeline and ended; the application has gone on meanwhile. */
static void prepare_claimed(struct rig *rig)
{
    struct error err = { 0 };
    struct store *store = NULL;
    uint32_t timeline = 0;

    prepare_stopped(rig);
    CHECK_OK(store_open(&store, rig->url, &rig->config.dbs[0].replica.options, &err));
    struct replica *replica = replica_new(store);
    struct replica_info info;
    CHECK_OK(replica_inspect(replica, &info, &err));
    struct replica_claim_options claim = {
        .parent = info.position,
        .page_size = info.page_size,
        .writer = "one that ended",
    };
    /* What it wrote down before. */
    auto_free char *state = config_state_dir_of(&rig->config.dbs[0]);
    auto_free char *note = path_join(state, "claim");
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    CHECK_OK(pending_file_open(&file, note, 0600, &err));
    CHECK_OK(pending_file_write(&file, bytes_of_text(claim.writer), &err));
    CHECK_OK(pending_file_write(&file, bytes_of_text("\n"), &err));
    CHECK_OK(pending_file_commit(&file, PENDING_FILE_NEW, &err));
    CHECK_OK(replica_claim_timeline(replica, &claim, &timeline, &err));
    replica_free(replica);
    store_free(store);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(1500))");
}

/*
 * The whole machine was set back, the replica was not. Another one may have written what is there:
 * wherever this one dies while it adopts and claims, it never goes on in that timeline.
 */
static void prepare_set_back(struct rig *rig)
{
    auto_free char *state = config_state_dir_of(&rig->config.dbs[0]);
    auto_free char *kept = scratch_path(&rig->scratch, "kept");
    auto_free char *keep =
        text_format("mkdir '%s' && cp -a '%s' '%s' '%s'", kept, rig->path, state, kept);
    auto_free char *put_back = text_format(
        "rm -rf '%s' && cp -a '%s'/. '%s' && rm -r '%s'", state, kept, rig->scratch.folder, kept);

    prepare_stopped(rig);
    rig_sql(rig, "PRAGMA wal_checkpoint(TRUNCATE)");
    rig_close_app(rig);
    assert_int_equal(system(keep), 0);
    rig_sql(rig, "UPDATE t SET v = randomblob(2000) WHERE id = 2");
    rig_start(rig);
    rig_must_settle(rig);
    rig_remember(rig);
    rig->is_sealed = true;
    rig_stop(rig);
    rig_close_app(rig);
    assert_int_equal(system(put_back), 0);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(700))");
}

/* ---- from the replica */

static void prepare_replica(struct rig *rig)
{
    prepare_commits(rig);
    rig_must_settle(rig);
    rig_remember(rig);
    rig_stop(rig);
}

static rc flow_restore(struct rig *rig, struct error *err)
{
    return rig_restore(rig, err);
}

/* Whole, or not at all; of a failure only the name can be left, when no name can be removed. */
static void end_restore(struct rig *rig, rc code, bool lasts)
{
    bool is_there = fs_exists(rig->output);

    assert_true(code != RC_OK || is_there);
    assert_true(code == RC_OK || lasts || !is_there);
    if (is_there)
        rig_take_output(rig, &rig->durable_image, rig->may_be_older ? &rig->older_image : NULL);
}

static rc look_page(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)pgno;
    (void)digest;
    (void)err;
    ++*(unsigned *)payload;
    return RC_OK;
}

static rc look(struct rig *rig, struct replica *replica, struct error *err)
{
    auto_history struct history history = HISTORY_INIT;
    struct replica_info info;
    unsigned page_count = 0;

    TRY(history_read(&history, replica, err));
    assert_int_equal(history.gap_count, 0);
    TRY(replica_inspect(replica, &info, err));
    if (rig->may_be_older)
        assert_in_range(info.position.txid, 1, rig->durable_txid);
    else
        assert_int_equal(info.position.txid, rig->durable_txid);
    TRY(replica_each_page_digest(
        replica, &info.position, rig->scratch.folder, look_page, &page_count, err));
    assert_int_equal(page_count, info.position.page_count);
    return RC_OK;
}

static rc flow_look(struct rig *rig, struct error *err)
{
    struct store *store = NULL;

    TRY(store_open(&store, rig->url, &rig->config.dbs[0].replica.options, err));
    struct replica *replica = replica_new(store);
    rc code = look(rig, replica, err);
    replica_free(replica);
    store_free(store);
    /* The backup is there, and whole: no failure to look may say anything else. */
    if (!rig->may_be_older)
        assert_int_not_equal(code, RC_NOT_FOUND);
    return code;
}

const struct flow flows[] = {
    { "first_sync", prepare_nothing, flow_start, NULL, true, false, false },
    { "steady_sync", prepare_commits, flow_settle, NULL, true, false, false },
    { "reset_and_truncate", prepare_long_log, flow_settle, NULL, true, false, false },
    { "part_copied", prepare_part_copied, flow_settle, NULL, true, false, false },
    { "snapshot", prepare_snapshot, flow_settle, NULL, true, false, false },
    { "restart", prepare_restart, flow_start, NULL, true, false, false },
    { "resync", prepare_resync, flow_start, NULL, true, true, false },
    { "adopt", prepare_adopt, flow_start, NULL, true, true, false },
    { "replaced", prepare_replaced, flow_start, NULL, true, true, false },
    { "page_size", prepare_page_size, flow_start, NULL, true, true, false },
    { "claimed", prepare_claimed, flow_start, NULL, true, true, false },
    { "set_back", prepare_set_back, flow_start, NULL, true, true, true },
    { "restore", prepare_replica, flow_restore, end_restore, false, false, false },
    { "look", prepare_replica, flow_look, NULL, false, false, false },
};
const size_t flow_count = array_count(flows);
