/*
 * merged: histories of logs, fuzzy snapshots and merged segments, against the model
 */
#include "model.h"

#include "harness/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"

static struct restore_target at_txid(uint64_t txid)
{
    return (struct restore_target){ .kind = RESTORE_TXID, .txid = txid };
}

/* ---- what should be restorable, without any idea of routes */

enum { MERGED_TXID_MAX = 400, MERGED_OBJECT_MAX = 400 };

/* What the model's store holds of timeline 1. */
struct shelf {
    struct segment_name logs[MERGED_OBJECT_MAX];
    size_t log_count;
    struct segment_name merged[MERGED_OBJECT_MAX];
    size_t merged_count;
    uint64_t newest_txid;
};

static void shelf_read(const struct model *model, struct shelf *shelf)
{
    size_t count = 0;
    char **paths = model_objects(model, "/00000001/", &count);

    *shelf = (struct shelf){ 0 };
    for (size_t i = 0; i < count; i++) {
        struct error err;
        struct segment_name name;
        if (strstr(paths[i], "/snapshot/") != NULL)
            continue;
        CHECK_OK(segment_name_parse(&name, strrchr(paths[i], '/') + 1, &err));
        if (strstr(paths[i], "/00000001/0/") != NULL)
            shelf->logs[shelf->log_count++] = name;
        else
            shelf->merged[shelf->merged_count++] = name;
        if (name.max_txid > shelf->newest_txid)
            shelf->newest_txid = name.max_txid;
    }
    model_objects_free(paths, count);
}

/* Mark in POINTS what can be reached from transaction FROM. */
static void shelf_points(const struct shelf *shelf, uint64_t from, uint64_t usable, bool *points)
{
    static bool reached[MERGED_TXID_MAX];

    memset(reached, 0, sizeof reached);
    reached[from] = true;
    for (uint64_t txid = from; txid < shelf->newest_txid; txid++) {
        if (!reached[txid])
            continue;
        for (size_t i = 0; i < shelf->log_count; i++) {
            const struct segment_name *log = &shelf->logs[i];
            for (uint64_t to = txid + 1; to <= log->max_txid && log->min_txid <= txid + 1; to++)
                reached[to] = true;
        }
        for (size_t i = 0; i < shelf->merged_count; i++) {
            const struct segment_name *merged = &shelf->merged[i];
            if (merged->min_txid <= txid + 1 && merged->max_txid > txid)
                reached[merged->max_txid] = true;
        }
    }
    for (uint64_t txid = usable; txid < MERGED_TXID_MAX; txid++)
        points[txid] = points[txid] || reached[txid];
}

static bool shelf_tells(const struct shelf *shelf, uint64_t txid)
{
    for (size_t i = 0; i < shelf->log_count; i++) {
        if (shelf->logs[i].min_txid <= txid && txid <= shelf->logs[i].max_txid)
            return true;
    }
    for (size_t i = 0; i < shelf->merged_count; i++) {
        if (shelf->merged[i].min_txid <= txid && txid <= shelf->merged[i].max_txid)
            return true;
    }
    return false;
}

/* ---- random histories */

/* A row of merged segments of LEVEL over the history, with overlaps, and gaps unless IS_WHOLE. */
static void merge_row(struct model *model, unsigned level, uint64_t width, bool is_whole)
{
    struct shelf shelf;
    uint64_t next = 2;

    while (next < model->txid) {
        struct model_merge merge = { .level = level, .first = next };
        merge.last = next + model_random(model, width);
        if (merge.last > model->txid)
            merge.last = model->txid;
        if (model_random(model, 4) != 0)
            model_store_merged(model, &merge);
        if (model_random(model, 3) != 0)
            model_remove_logs(model, merge.first, merge.last);
        uint64_t overlap = model_random(model, 3) == 0 ? model_random(model, width) : 0;
        next = merge.last + 1 > next + overlap ? merge.last + 1 - overlap : merge.last + 1;
    }
    shelf_read(model, &shelf);
    for (uint64_t txid = 2; txid <= model->txid; txid++) {
        struct model_merge missing = { .level = level + 1, .first = txid };
        for (missing.last = txid - 1;
             missing.last < model->txid && !shelf_tells(&shelf, missing.last + 1);)
            missing.last++;
        if (missing.last < txid)
            continue;
        if (is_whole || model_random(model, 2) == 0)
            model_store_merged(model, &missing);
        txid = missing.last;
    }
}

/* History says exactly what POINTS are, and what gaps. */
static void check_history(
    struct model *model, const struct shelf *shelf, const bool *points, bool has_gap)
{
    struct error err;
    auto_history struct history history = HISTORY_INIT;
    CHECK_OK(history_read(&history, model->replica, &err));
    const struct history_timeline *timeline = &history.timelines[0];
    static bool told[MERGED_TXID_MAX];

    memset(told, 0, sizeof told);
    for (size_t i = 0; i < timeline->window_count; i++) {
        const struct history_window *window = &timeline->windows[i];
        assert_int_equal(window->first_ms, model->versions[window->first_txid].time_ms);
        assert_int_equal(window->last_ms, model->versions[window->last_txid].time_ms);
        for (uint64_t txid = window->first_txid; txid <= window->last_txid; txid++)
            told[txid] = true;
    }
    assert_memory_equal(told, points, sizeof told);
    assert_int_equal(history.gap_count > 0, has_gap);
    for (size_t i = 0; i < timeline->gap_count; i++) {
        for (uint64_t txid = timeline->gaps[i].first_txid; txid <= timeline->gaps[i].last_txid;
             txid++)
            assert_false(shelf_tells(shelf, txid));
    }
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct history_merged *merged = &timeline->merged[i];
        assert_true(points[merged->first_txid - 1]);
        assert_true(points[merged->last_txid]);
        for (uint64_t txid = merged->first_txid; txid < merged->last_txid; txid++)
            assert_true(!points[txid] && shelf_tells(shelf, txid));
    }
}

/* The newest restorable transaction at or before each time, as the model knows it. */
static void check_times(struct model *model, const bool *points, bool has_gap)
{
    for (unsigned i = 0; i < 12 && !has_gap; i++) {
        uint64_t wanted = 1 + model_random(model, model->txid);
        struct restore_target time = {
            .kind = RESTORE_TIME,
            .time_ms = model->versions[wanted].time_ms + (int64_t)model_random(model, 999),
        };
        while (wanted < model->txid && model->versions[wanted + 1].time_ms <= time.time_ms)
            wanted++;
        while (wanted > 0 && !points[wanted])
            wanted--;
        if (wanted > 0)
            model_check_restore(model, &time, wanted);
        else
            model_check_restore_fails(model, &time, RC_NOT_FOUND);
    }
}

static rc digest_each(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    uint64_t *sum = payload;
    (void)pgno;
    (void)err;
    *sum += digest;
    return RC_OK;
}

static void check_digests(struct model *model, uint64_t txid)
{
    struct error err;
    uint64_t sum = 0;
    struct replica_position position = model_position(model, txid);
    CHECK_OK(replica_each_page_digest(
        model->replica, &position, model->folder, digest_each, &sum, &err));
    assert_int_equal(sum, model->versions[txid].digest);
}

static void check_everything(struct model *model)
{
    struct error err;
    struct shelf shelf;
    static bool points[MERGED_TXID_MAX];
    auto_history struct history history = HISTORY_INIT;

    shelf_read(model, &shelf);
    memset(points, 0, sizeof points);
    CHECK_OK(history_read(&history, model->replica, &err));
    const struct history_timeline *timeline = &history.timelines[0];
    for (size_t i = 0; i < timeline->snapshot_count; i++)
        shelf_points(
            &shelf, timeline->snapshots[i].first_txid, timeline->snapshots[i].usable_txid, points);
    bool has_gap = false;
    for (uint64_t txid = 2; txid < shelf.newest_txid; txid++)
        has_gap = has_gap || !shelf_tells(&shelf, txid);

    for (uint64_t txid = 1; txid <= model->txid; txid++) {
        struct restore_target target = at_txid(txid);
        if (points[txid]) {
            /* By files, or by indexes alone. */
            if (txid % 2 == 0)
                model_check_restore(model, &target, txid);
            else
                check_digests(model, txid);
        } else {
            auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
            rc code = restore_plan_make(&plan, model->replica, &target, &err);
            assert_true(code == RC_NOT_FOUND || (has_gap && code == RC_CORRUPT));
            if (!shelf_tells(&shelf, txid) && txid < shelf.newest_txid)
                assert_int_equal(code, RC_CORRUPT);
        }
    }
    check_history(model, &shelf, points, has_gap);
    check_times(model, points, has_gap);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    if (points[shelf.newest_txid])
        model_check_restore(model, &newest, shelf.newest_txid);
    else
        model_check_restore_fails(model, &newest, RC_CORRUPT);
}

static void every_point_of_random_histories_restores(void **state)
{
    const char *seed_text = getenv("SEAWAL_SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 300;
    (void)state;

    for (unsigned round = 0; round < 16; round++) {
        struct model *model = model_new(seed + round, 512);
        model_snapshot(model);
        model_run(model, 60, round % 3 != 0);
        bool is_whole = round % 4 != 3;
        merge_row(model, 1, 12, is_whole);
        if (round % 2 == 0)
            merge_row(model, 3, 40, is_whole);
        check_everything(model);
        model_free(model);
    }
}

/* Merge a part of the present timeline's own transactions, and take the logs away or not. */
static void merge_some(struct model *model)
{
    uint64_t count = model->txid - model->parent;
    struct model_merge merge = { .level = 1 + (unsigned)model_random(model, 9) };

    merge.first = model->parent + 1 + model_random(model, count);
    if (merge.first == 1)
        merge.first = 2;
    merge.last = merge.first + model_random(model, model->txid - merge.first + 1);
    if (model->versions[merge.last].timeline != model->timeline)
        return; /* nothing of its own yet */
    model_store_merged(model, &merge);
    if (model_random(model, 2) == 0)
        model_remove_logs(model, merge.first, merge.last);
}

static bool is_point(struct model *model, uint64_t txid)
{
    struct error err;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target target = at_txid(txid);
    rc code = restore_plan_make(&plan, model->replica, &target, &err);

    if (code != RC_OK && code != RC_NOT_FOUND)
        fail_msg("transaction %lu: %s", (unsigned long)txid, err.text);
    return code == RC_OK;
}

/* Forks leave merged segments of the parent on both sides of them, and across. */
static void every_point_of_a_tree_restores(void **state)
{
    (void)state;

    for (uint64_t seed = 501; seed <= 508; seed++) {
        struct model *model = model_new(seed, 512);
        unsigned point_count = 0;
        model_snapshot(model);
        for (unsigned round = 0; round < 5; round++) {
            model_run(model, 8 + (unsigned)model_random(model, 12), true);
            for (unsigned i = 0; i < 2; i++)
                merge_some(model);
            for (uint64_t txid = 1; txid <= model->txid; txid++) {
                struct restore_target target = at_txid(txid);
                if (!is_point(model, txid))
                    continue;
                model_check_restore(model, &target, txid);
                point_count++;
            }
            struct error err;
            auto_history struct history history = HISTORY_INIT;
            CHECK_OK(history_read(&history, model->replica, &err));
            assert_int_equal(history.gap_count, 0);
            struct restore_target newest = { .kind = RESTORE_NEWEST };
            model_check_restore(model, &newest, model->txid);
            uint64_t fork = 1 + model_random(model, model->txid);
            while (!is_point(model, fork))
                fork--;
            model_branch(model, fork);
        }
        assert_true(point_count > 60);
        model_free(model);
    }
}

/* ---- damage */

static void flip(const char *path, uint64_t at)
{
    struct error err;
    auto_buf struct buf bytes = BUF_INIT(MODEL_SEGMENT_SIZE_MAX);
    CHECK_OK(fs_read_file(&bytes, path, &err));
    bytes.data[at % bytes.size] ^= 0x10;
    assert_int_equal(chmod(path, 0644), 0);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

/* A snapshot at 1, logs to 42; 12 to 31 are merged as well. */
static struct model *merged_model(uint64_t seed)
{
    struct model *model = model_new(seed, 512);
    struct model_merge merge = { .level = 1, .first = 12, .last = 31 };

    model_snapshot(model);
    for (unsigned i = 0; i < 40; i++) {
        model_commit(model);
        if (i % 2 == 1)
            model_store_segment(model); /* [2..3], [4..5] ... [40..41] */
    }
    model_commit(model);
    model_store_segment(model);
    model_store_merged(model, &merge);
    return model;
}

struct told_damage {
    unsigned count;
    char key[REPLICA_KEY_SIZE];
};

static void damage_told(void *payload, const struct restore_damage *damage)
{
    struct told_damage *told = payload;

    told->count++;
    restore_object_key(told->key, &damage->object);
    assert_int_equal(damage->why.code, RC_CORRUPT);
    assert_non_null(strstr(damage->why.text, told->key));
}

/* Restore transaction TXID; when that succeeds it is compared. */
static rc restore_told(
    struct model *model, uint64_t txid, struct told_damage *told, struct error *err)
{
    const struct model_version *version = &model->versions[txid];
    auto_free char *output = model_path(model, "out/restored.db");
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target target = at_txid(txid);
    struct restore_options options = {
        .output = output,
        .damage = damage_told,
        .damage_payload = told,
    };
    struct restore_report report;

    *told = (struct told_damage){ 0 };
    TRY(restore_plan_make(&plan, model->replica, &target, err));
    for (size_t i = 0; i < plan.damage_count; i++)
        damage_told(told, &plan.damages[i]);
    TRY(restore_run(model->replica, &plan, &options, &report, err));
    assert_int_equal(report.damage_count, told->count);
    assert_int_equal(report.position.txid, txid);
    auto_buf struct buf bytes = BUF_INIT(MODEL_SEGMENT_SIZE_MAX);
    assert_int_equal(fs_read_file(&bytes, output, err), RC_OK);
    size_t size = (size_t)version->page_count * model->page_size;
    assert_true(bytes_equal(buf_bytes(&bytes), bytes_of(version->bytes, size)));
    assert_int_equal(unlink(output), 0);
    return RC_OK;
}

static char *the_merged_object(const struct model *model)
{
    size_t count = 0;
    char **paths = model_objects(model, "/00000001/1/", &count);
    assert_int_equal(count, 1);
    char *path = text_copy(paths[0]);
    model_objects_free(paths, count);
    return path;
}

static void a_damaged_merged_segment_is_gone_around(void **state)
{
    struct error err;
    struct told_damage told;
    struct model *model = merged_model(401);
    (void)state;

    auto_free char *path = the_merged_object(model);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    uint64_t places[] = { 0, 80, (uint64_t)status.st_size / 2, (uint64_t)status.st_size - 100 };
    static const uint64_t targets[] = { 31, 36, 42 }; /* its end, and behind it */
    for (size_t i = 0; i < array_count(places) * array_count(targets); i++) {
        uint64_t txid = targets[i % array_count(targets)];
        CHECK_OK(restore_told(model, txid, &told, &err));
        assert_int_equal(told.count, 0);
        flip(path, places[i / array_count(targets)]);
        CHECK_OK(restore_told(model, txid, &told, &err));
        assert_int_equal(told.count, 1);
        assert_string_equal(told.key, strstr(path, "00000001/1/"));
        check_digests(model, txid);
        struct restore_target before = at_txid(20);
        model_check_restore(model, &before, 20);
        flip(path, places[i / array_count(targets)]);
    }
    model_free(model);
}

static void without_the_logs_it_is_damage_by_name(void **state)
{
    struct error err;
    struct told_damage told;
    struct model *model = merged_model(402);
    (void)state;

    auto_free char *path = the_merged_object(model);
    model_remove_logs(model, 20, 25);
    CHECK_OK(restore_told(model, 42, &told, &err));
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    uint64_t places[] = { 80, (uint64_t)status.st_size - 100 };
    for (size_t i = 0; i < array_count(places); i++) {
        flip(path, places[i]);
        for (uint64_t txid = 31; txid <= 42; txid += 4) {
            assert_int_equal(restore_told(model, txid, &told, &err), RC_CORRUPT);
            assert_int_equal(told.count, 0);
            assert_non_null(strstr(err.text, strstr(path, "00000001/1/")));
            assert_int_equal(model_output_count(model), 0);
        }
        flip(path, places[i]);
    }
    /* Not there at all: what it told is missing, and nothing older passes for it. */
    assert_int_equal(unlink(path), 0);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    model_check_restore_fails(model, &newest, RC_CORRUPT);
    struct restore_target late = { .kind = RESTORE_TIME, .time_ms = model->now_ms };
    model_check_restore_fails(model, &late, RC_CORRUPT);
    struct replica_info info;
    CHECK_RC(replica_inspect(model->replica, &info, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "missing"));
    auto_history struct history history = HISTORY_INIT;
    CHECK_OK(history_read(&history, model->replica, &err));
    assert_int_equal(history.gap_count, 1);
    assert_int_equal(history.timelines[0].gaps[0].first_txid, 20);
    assert_int_equal(history.timelines[0].gaps[0].last_txid, 25);
    model_free(model);
}

static void a_damaged_log_is_gone_around_by_what_was_merged_of_it(void **state)
{
    struct error err;
    struct told_damage told;
    struct model *model = model_new(403, 512);
    unsigned around_count = 0;
    (void)state;

    /* Beside each log what was merged of it alone, which is larger. */
    model_snapshot(model);
    for (unsigned i = 0; i < 12; i++) {
        struct model_merge merge = { .level = 2, .first = model->txid + 1 };
        model_commit(model);
        model_commit(model);
        model_store_segment(model);
        merge.last = model->txid;
        model_store_merged(model, &merge);
    }
    size_t count = 0;
    char **paths = model_objects(model, "/00000001/0/", &count);
    assert_int_equal(count, 12);
    for (size_t i = 0; i < count; i++) {
        flip(paths[i], 90);
        CHECK_OK(restore_told(model, model->txid, &told, &err));
        around_count += told.count;
        if (told.count > 0)
            assert_non_null(strstr(paths[i], told.key));
        /* In the middle of it there is no other way. */
        rc code = restore_told(model, 2 + 2 * i, &told, &err);
        assert_int_equal(code, RC_CORRUPT);
        flip(paths[i], 90);
    }
    assert_true(around_count > 6);

    /* All at once. */
    for (size_t i = 0; i < count; i++)
        flip(paths[i], 90);
    CHECK_OK(restore_told(model, model->txid, &told, &err));
    assert_int_equal(told.count, around_count);
    check_digests(model, model->txid);
    model_objects_free(paths, count);
    model_free(model);
}

/* What a restore was about to read is merged and taken away by somebody else. */
static void what_vanishes_after_the_plan_is_gone_around(void **state)
{
    struct error err;
    struct model *model = merged_model(404);
    (void)state;

    auto_free char *path = the_merged_object(model);
    auto_free char *aside = model_path(model, "aside");
    auto_free char *output = model_path(model, "out/restored.db");
    struct restore_target target = at_txid(42);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct told_damage told = { 0 };
    struct restore_options options = {
        .output = output,
        .damage = damage_told,
        .damage_payload = &told,
    };
    struct restore_report report;

    CHECK_OK(restore_plan_make(&plan, model->replica, &target, &err));
    assert_int_equal(rename(path, aside), 0);
    CHECK_OK(restore_run(model->replica, &plan, &options, &report, &err));
    assert_int_equal(told.count, 1);
    assert_int_equal(report.position.digest, model->versions[42].digest);
    assert_int_equal(unlink(output), 0);

    restore_plan_release(&plan);
    CHECK_OK(restore_plan_make(&plan, model->replica, &target, &err));
    assert_int_equal(rename(aside, path), 0);
    model_remove_logs(model, 12, 31);
    CHECK_OK(restore_run(model->replica, &plan, &options, &report, &err));
    assert_int_equal(report.position.digest, model->versions[42].digest);
    assert_int_equal(unlink(output), 0);
    model_free(model);
}

/*
 * Another history's merged segment with a fitting name: its parent tells, and then there is a way
 * around. One that lies about its parent as well is found by those behind it, but not as the
 * culprit.
 */
static void a_merged_segment_of_another_history_is_found(void **state)
{
    struct error err;
    struct told_damage told;
    struct model *model = merged_model(405);
    struct model *other = merged_model(406);
    (void)state;

    memcpy(&other->id, &model->id, sizeof other->id);
    for (unsigned round = 0; round < 2; round++) {
        auto_free char *path = the_merged_object(model);
        struct model_merge merge = { .level = 1, .first = 12, .last = 31 };
        if (round == 1) {
            /* The right parent, the wrong pages. */
            other->versions[11].digest = model->versions[11].digest;
            other->versions[11].page_count = model->versions[11].page_count;
        }
        model_merge_encode(other, &merge);
        assert_int_equal(chmod(path, 0644), 0);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(
            fwrite(other->segment.data, 1, other->segment.size, file), other->segment.size);
        assert_int_equal(fclose(file), 0);
        rc code = restore_told(model, 42, &told, &err);
        assert_int_equal(code, round == 0 ? RC_OK : RC_CORRUPT);
        assert_int_equal(told.count, round == 0);
    }
    model_remove_logs(model, 12, 31);
    assert_int_equal(restore_told(model, 42, &told, &err), RC_CORRUPT);
    assert_int_equal(model_output_count(model), 0);
    model_free(other);
    model_free(model);
}

/* ---- answers */

static void a_point_within_is_not_there_and_its_neighbours_are_named(void **state)
{
    struct error err;
    struct model *model = merged_model(407);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    (void)state;

    struct restore_target within = at_txid(17);
    model_check_restore(model, &within, 17);
    model_remove_logs(model, 12, 31);
    assert_int_equal(restore_plan_make(&plan, model->replica, &within, &err), RC_NOT_FOUND);
    assert_non_null(
        strstr(err.text, "transaction 17 is not restorable; the nearest that are: 11 ("));
    assert_non_null(strstr(err.text, ") before it and 31 (2023-"));
    assert_non_null(strstr(err.text, ") after it; there are transactions 1 ("));
    assert_non_null(strstr(err.text, " to 42 ("));
    struct restore_target later = at_txid(43);
    assert_int_equal(restore_plan_make(&plan, model->replica, &later, &err), RC_NOT_FOUND);
    assert_null(strstr(err.text, "nearest"));

    auto_history struct history history = HISTORY_INIT;
    CHECK_OK(history_read(&history, model->replica, &err));
    const struct history_timeline *timeline = &history.timelines[0];
    assert_int_equal(timeline->window_count, 2);
    assert_int_equal(timeline->merged_count, 1);
    assert_int_equal(timeline->merged[0].first_txid, 12);
    assert_int_equal(timeline->merged[0].last_txid, 31);
    assert_int_equal(timeline->merged[0].last_ms, model->versions[31].time_ms);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_point_of_random_histories_restores),
        cmocka_unit_test(every_point_of_a_tree_restores),
        cmocka_unit_test(a_damaged_merged_segment_is_gone_around),
        cmocka_unit_test(without_the_logs_it_is_damage_by_name),
        cmocka_unit_test(a_damaged_log_is_gone_around_by_what_was_merged_of_it),
        cmocka_unit_test(what_vanishes_after_the_plan_is_gone_around),
        cmocka_unit_test(a_merged_segment_of_another_history_is_found),
        cmocka_unit_test(a_point_within_is_not_there_and_its_neighbours_are_named),
    };
    fault_skip_syncs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
