/*
 * model - histories from random commits, by the real encoders, into a real file store
 */
#include "model.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/digest.h"
#include "segment/dir.h"

uint64_t model_random(struct model *model, uint64_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return below == 0 ? 0 : (model->random >> 11) % below;
}

char *model_path(const struct model *model, const char *name)
{
    return path_join(model->folder, name);
}

static uint8_t *model_page(struct model *model, uint32_t pgno)
{
    assert(pgno > 0);
    assert(pgno <= MODEL_PAGE_COUNT_MAX);
    return model->pages + (size_t)(pgno - 1) * model->page_size;
}

static void model_fill(struct model *model, uint32_t pgno)
{
    uint8_t *page = model_page(model, pgno);
    unsigned kind = (unsigned)model_random(model, 8);

    for (uint32_t i = 0; i < model->page_size; i++) {
        if (kind == 0)
            page[i] = (uint8_t)model_random(model, 256);
        else
            page[i] = (uint8_t)(kind == 1 ? 0 : "row of data "[i % 12] + (int)(pgno % 7));
    }
}

static void model_keep_version(struct model *model)
{
    assert(model->txid < MODEL_VERSION_COUNT_MAX);
    struct model_version *version = &model->versions[model->txid];

    free(version->bytes);
    *version = (struct model_version){
        .bytes = mem_copy(model->pages, (size_t)model->page_count * model->page_size),
        .page_count = model->page_count,
        .time_ms = model->now_ms,
        .timeline = model->timeline,
    };
    for (uint32_t pgno = 1; pgno <= model->page_count; pgno++)
        version->digest += model->digests[pgno];
}

static void model_digest(struct model *model, uint32_t pgno)
{
    model->digests[pgno] = page_digest(pgno, bytes_of(model_page(model, pgno), model->page_size));
}

void model_digest_all(struct model *model)
{
    for (uint32_t pgno = 1; pgno <= MODEL_PAGE_COUNT_MAX; pgno++) {
        model->digests[pgno] = 0;
        if (pgno <= model->page_count)
            model_digest(model, pgno);
    }
}

void model_commit_as_is(struct model *model)
{
    model_keep_version(model);
}

struct model *model_new(uint64_t seed, uint32_t page_size)
{
    struct error err;
    struct model *model = mem_new(sizeof *model);
    char folder[] = "/tmp/seawal-replica-XXXXXX";

    print_message("seed %" PRIu64 ", page size %" PRIu32 "\n", seed, page_size);
    assert_non_null(mkdtemp(folder));
    model->folder = text_copy(folder);
    model->random = seed * 0x9e3779b97f4a7c15u + 1;
    model->page_size = page_size;
    model->pages = mem_new_array(MODEL_PAGE_COUNT_MAX, page_size);
    model->segment = BUF_INIT(MODEL_SEGMENT_SIZE_MAX);
    model->timeline = 1;
    model->txid = 1;
    model->now_ms = 1700000000000;
    model->page_count = 3 + (uint32_t)model_random(model, 20);
    for (uint32_t pgno = 1; pgno <= model->page_count; pgno++) {
        model_fill(model, pgno);
        model_digest(model, pgno);
    }
    model_keep_version(model);

    auto_free char *root = model_path(model, "store");
    auto_free char *output = model_path(model, "out");
    CHECK_OK(fs_make_folders(root, 0755, &err));
    CHECK_OK(fs_make_folders(output, 0755, &err));
    struct store_options none = { 0 };
    CHECK_OK(store_open(&model->store, root, &none, &err));
    model->replica = replica_new(model->store);
    struct replica_create_options create = {
        .page_size = page_size,
        .writer = "test",
        .time_ms = model->now_ms,
    };
    CHECK_OK(replica_create(model->replica, &create, &model->id, &err));
    return model;
}

void model_free(struct model *model)
{
    auto_free char *command = text_format("rm -rf '%s'", model->folder);

    log_encoder_free(model->encoder);
    pages_encoder_free(model->pages_encoder);
    replica_snapshot_abort(model->snapshot);
    replica_free(model->replica);
    store_free(model->store);
    for (size_t i = 0; i < MODEL_VERSION_COUNT_MAX; i++)
        free(model->versions[i].bytes);
    buf_release(&model->segment);
    free(model->pages);
    assert_int_equal(system(command), 0);
    free(model->folder);
    free(model);
}

/* ---- commits */

static rc model_sink_write(void *payload, struct bytes bytes, struct error *err)
{
    return buf_append(payload, bytes, err);
}

static void model_segment_begin(struct model *model)
{
    struct error err;
    const struct model_version *before = &model->versions[model->txid];

    buf_clear(&model->segment);
    model->identity = (struct segment_identity){
        .kind = SEGMENT_LOG,
        .database_id = model->id,
        .timeline = model->timeline,
        .page_size = model->page_size,
        .min_txid = model->txid + 1,
        .parent_digest = before->digest,
        .parent_page_count = before->page_count,
    };
    struct sink sink = { .write = model_sink_write, .payload = &model->segment };
    CHECK_OK(log_encoder_new(&model->encoder, &model->identity, sink, model->folder, &err));
}

/* One frame: page PGNO changes; BASE is what it was, unless it is new. */
static void model_frame(struct model *model, uint32_t pgno, bool is_new)
{
    struct error err;
    uint8_t *page = model_page(model, pgno);
    auto_free uint8_t *base = mem_copy(page, model->page_size);

    if (is_new || model_random(model, 4) == 0) {
        model_fill(model, pgno);
    } else {
        for (uint64_t edits = model_random(model, 4); edits-- > 0;)
            page[model_random(model, model->page_size)] = (uint8_t)model_random(model, 256);
    }
    model_digest(model, pgno);
    model->written[model->txid + 1][pgno] = true;
    struct bytes base_bytes = bytes_of(base, is_new ? 0 : model->page_size);
    CHECK_OK(log_encoder_add_frame(
        model->encoder, pgno, bytes_of(page, model->page_size), base_bytes, &err));
}

void model_commit(struct model *model)
{
    struct error err;
    uint32_t before = model->page_count;
    uint32_t after = before;

    if (model->encoder == NULL)
        model_segment_begin(model);
    memset(model->written[model->txid + 1], 0, sizeof model->written[0]);
    unsigned kind = (unsigned)model_random(model, 10);
    if (kind == 0)
        after = before + 1 + (uint32_t)model_random(model, 12);
    if (kind == 1)
        after = before / 2 + (uint32_t)model_random(model, before / 2 + 1);
    if (after > MODEL_PAGE_COUNT_MAX - 4)
        after = MODEL_PAGE_COUNT_MAX - 4;
    if (after < 2)
        after = 2;

    for (uint32_t pgno = before + 1; pgno <= after; pgno++)
        model_frame(model, pgno, true);
    /* A spill: a page that is written and then cut off again by the same transaction. */
    uint32_t spilled = model_random(model, 6) == 0 ? (after > before ? after : before) + 1 : 0;
    if (spilled != 0)
        model_frame(model, spilled, true);
    for (uint64_t i = model_random(model, 5) + 1; i-- > 0;)
        model_frame(
            model, 1 + (uint32_t)model_random(model, after < before ? after : before), false);

    model->page_count = after;
    for (uint32_t pgno = after + 1; pgno <= MODEL_PAGE_COUNT_MAX; pgno++)
        model->digests[pgno] = 0;
    model->txid++;
    model->now_ms += (int64_t)model_random(model, 3) * 1000;
    model_keep_version(model);
    struct segment_transaction transaction = {
        .txid = model->txid,
        .time_ms = model->now_ms,
        .page_count = after,
        .digest = model->versions[model->txid].digest,
    };
    CHECK_OK(log_encoder_end_transaction(model->encoder, &transaction, &err));
}

static uint64_t model_digest_of(void *payload, uint32_t pgno)
{
    const struct model *model = payload;

    return model->digests[pgno];
}

bool model_cut(struct model *model, struct segment_name *ret)
{
    struct error err;
    struct log_place place = { 0 };
    struct segment_summary summary;

    if (model->encoder == NULL)
        return false;
    CHECK_OK(log_encoder_finish(model->encoder, &place, model_digest_of, model, &summary, &err));
    log_encoder_free(TAKE(model->encoder));
    assert_int_equal(summary.max_txid, model->txid);
    *ret = (struct segment_name){
        .min_txid = model->identity.min_txid,
        .max_txid = summary.max_txid,
        .time_ms = summary.last_time_ms,
    };
    return true;
}

static rc model_source_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    struct buf *segment = payload;

    return buf_append(out, bytes_part(buf_bytes(segment), offset, size), err);
}

void model_store_segment(struct model *model)
{
    struct error err;
    struct segment_name name;

    if (!model_cut(model, &name))
        return;
    struct source source = {
        .read = model_source_read,
        .payload = &model->segment,
        .size = model->segment.size,
    };
    struct replica_segment segment = { .timeline = model->timeline, .name = name };
    CHECK_OK(replica_put_segment(model->replica, &segment, &source, &err));
}

static void model_add_to_folder(
    struct model *model, const char *folder, const struct segment_name *name)
{
    struct error err;
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;

    CHECK_OK(segment_dir_begin(&file, folder, &err));
    CHECK_OK(pending_file_write(&file, buf_bytes(&model->segment), &err));
    CHECK_OK(segment_dir_commit(&file, folder, name, &err));
}

void model_spool_segment(struct model *model, const char *spool)
{
    struct segment_name name;

    if (model_cut(model, &name))
        model_add_to_folder(model, spool, &name);
}

/* ---- merged segments */

static bool model_was_written(
    const struct model *model, const struct model_merge *merge, uint32_t pgno)
{
    if (pgno > model->versions[merge->first - 1].page_count)
        return true;
    for (uint64_t txid = merge->first; txid <= merge->last; txid++) {
        if (model->written[txid][pgno])
            return true;
    }
    return false;
}

void model_merge_name(
    const struct model *model, const struct model_merge *merge, struct segment_name *ret)
{
    *ret = (struct segment_name){
        .min_txid = merge->first,
        .max_txid = merge->last,
        .time_ms = model->versions[merge->last].time_ms,
    };
}

void model_merge_encode(struct model *model, const struct model_merge *merge)
{
    struct error err;
    const struct model_version *before = &model->versions[merge->first - 1];
    const struct model_version *after = &model->versions[merge->last];
    struct pages_encoder *encoder = NULL;
    struct segment_identity identity = {
        .kind = SEGMENT_MERGED,
        .database_id = model->id,
        .timeline = after->timeline,
        .page_size = model->page_size,
        .min_txid = merge->first,
        .parent_digest = before->digest,
        .parent_page_count = before->page_count,
    };
    struct segment_summary summary = {
        .max_txid = merge->last,
        .digest = after->digest,
        .page_count = after->page_count,
        .first_time_ms = model->versions[merge->first].time_ms,
        .last_time_ms = after->time_ms,
    };

    assert_null(model->encoder);
    buf_clear(&model->segment);
    struct sink sink = { .write = model_sink_write, .payload = &model->segment };
    CHECK_OK(pages_encoder_new(&encoder, &identity, sink, model->folder, &err));
    for (uint32_t pgno = 1; pgno <= after->page_count; pgno++) {
        if (!model_was_written(model, merge, pgno))
            continue;
        struct bytes page =
            bytes_of(after->bytes + (size_t)(pgno - 1) * model->page_size, model->page_size);
        CHECK_OK(
            pages_encoder_add(encoder, pgno, page, merge->last, page_digest(pgno, page), &err));
    }
    CHECK_OK(pages_encoder_finish(encoder, &summary, &err));
    pages_encoder_free(encoder);
}

void model_store_merged(struct model *model, const struct model_merge *merge)
{
    struct error err;
    struct replica_segment segment = {
        .timeline = model->versions[merge->last].timeline,
        .level = merge->level,
    };

    model_merge_encode(model, merge);
    model_merge_name(model, merge, &segment.name);
    struct source source = {
        .read = model_source_read,
        .payload = &model->segment,
        .size = model->segment.size,
    };
    CHECK_OK(replica_put_segment(model->replica, &segment, &source, &err));
}

void model_spool_merged(struct model *model, const struct model_merge *merge, const char *spool)
{
    auto_free char *folder = segment_dir_merged(spool);
    struct segment_name name;

    model_merge_encode(model, merge);
    model_merge_name(model, merge, &name);
    model_add_to_folder(model, folder, &name);
}

void model_merge_spool(struct model *model, const char *spool)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *merged_folder = segment_dir_merged(spool);
    struct error err;

    CHECK_OK(segment_dir_list_spool(&list, spool, &err));
    if (list.count < 2)
        return;
    struct model_merge merge = {
        .level = 1,
        .first = list.entries[0].name.min_txid,
        .last = model->txid,
    };
    model_spool_merged(model, &merge, spool);
    for (size_t i = 0; i < list.count; i++) {
        const struct segment_entry *entry = &list.entries[i];
        if (entry->is_merged || entry->name.max_txid != model->txid)
            CHECK_OK(
                segment_dir_remove(entry->is_merged ? merged_folder : spool, &entry->name, &err));
    }
}

void model_remove_logs(struct model *model, uint64_t first, uint64_t last)
{
    auto_free char *part = text_format("/%08" PRIx32 "/0/", model->timeline);
    struct error err;
    size_t count = 0;
    char **paths = model_objects(model, part, &count);

    for (size_t i = 0; i < count; i++) {
        struct segment_name name;
        CHECK_OK(segment_name_parse(&name, strrchr(paths[i], '/') + 1, &err));
        if (name.min_txid >= first && name.max_txid <= last)
            assert_int_equal(unlink(paths[i]), 0);
    }
    model_objects_free(paths, count);
}

/* ---- snapshots */

void model_snapshot_begin(struct model *model)
{
    struct error err;
    struct replica_snapshot_options options = {
        .timeline = model->timeline,
        .first_txid = model->txid,
        .time_ms = model->now_ms,
    };
    struct segment_identity identity = {
        .kind = SEGMENT_SNAPSHOT,
        .database_id = model->id,
        .timeline = model->timeline,
        .page_size = model->page_size,
        .min_txid = model->txid,
    };

    assert_null(model->snapshot);
    model->snapshot_first = model->txid;
    model->snapshot_next = 1;
    CHECK_OK(replica_snapshot_begin(&model->snapshot, model->replica, &options, &err));
    CHECK_OK(pages_encoder_new(&model->pages_encoder, &identity,
        replica_snapshot_sink(model->snapshot), model->folder, &err));
}

bool model_snapshot_step(struct model *model)
{
    struct error err;

    for (uint64_t count = 1 + model_random(model, 12); count-- > 0;) {
        uint32_t pgno = model->snapshot_next;
        if (pgno > model->page_count)
            return false;
        struct bytes page = bytes_of(model_page(model, pgno), model->page_size);
        CHECK_OK(pages_encoder_add(
            model->pages_encoder, pgno, page, model->txid, model->digests[pgno], &err));
        model->snapshot_next++;
    }
    return true;
}

void model_snapshot_end(struct model *model)
{
    struct error err;
    const struct model_version *version = &model->versions[model->txid];
    struct segment_summary summary = {
        .max_txid = model->txid,
        .digest = version->digest,
        .page_count = version->page_count,
        .first_time_ms = model->versions[model->snapshot_first].time_ms,
        .last_time_ms = version->time_ms,
    };

    CHECK_OK(pages_encoder_finish(model->pages_encoder, &summary, &err));
    pages_encoder_free(TAKE(model->pages_encoder));
    CHECK_OK(replica_snapshot_commit(TAKE(model->snapshot), &err));
    model->snapshot_usable = model->txid;
}

void model_snapshot(struct model *model)
{
    model_snapshot_begin(model);
    while (model_snapshot_step(model))
        ;
    model_snapshot_end(model);
}

void model_run(struct model *model, unsigned count, bool fuzzy)
{
    for (unsigned i = 0; i < count; i++) {
        model_commit(model);
        if (model_random(model, 4) == 0)
            model_store_segment(model);
        if (!fuzzy)
            continue;
        /* As capture does: a snapshot begins and reads at the end of a segment. */
        if (model->snapshot == NULL && model_random(model, 25) == 0) {
            model_store_segment(model);
            model_snapshot_begin(model);
        } else if (model->snapshot != NULL && model_random(model, 2) == 0) {
            model_store_segment(model);
            if (!model_snapshot_step(model))
                model_snapshot_end(model);
        }
    }
    model_store_segment(model);
    while (model->snapshot != NULL) {
        if (!model_snapshot_step(model))
            model_snapshot_end(model);
    }
}

struct replica_position model_position(const struct model *model, uint64_t txid)
{
    const struct model_version *version = &model->versions[txid];

    return (struct replica_position){
        .database_id = model->id,
        .timeline = version->timeline,
        .txid = txid,
        .digest = version->digest,
        .page_count = version->page_count,
        .page_size = model->page_size,
        .time_ms = version->time_ms,
    };
}

void model_check_position(
    const struct replica_position *position, const struct model *model, uint64_t txid)
{
    struct replica_position wanted = model_position(model, txid);

    assert_memory_equal(&position->database_id, &wanted.database_id, sizeof wanted.database_id);
    assert_int_equal(position->timeline, wanted.timeline);
    assert_int_equal(position->txid, wanted.txid);
    assert_int_equal(position->digest, wanted.digest);
    assert_int_equal(position->page_count, wanted.page_count);
    assert_int_equal(position->page_size, wanted.page_size);
    assert_int_equal(position->time_ms, wanted.time_ms);
}

void model_branch(struct model *model, uint64_t txid)
{
    struct error err;
    struct replica_claim_options claim = {
        .parent = model_position(model, txid),
        .page_size = model->page_size,
        .writer = "test branch",
        .time_ms = model->now_ms,
    };
    const struct model_version *version = &model->versions[txid];

    assert_null(model->encoder);
    CHECK_OK(replica_claim_timeline(model->replica, &claim, &model->timeline, &err));
    model->parent = txid;
    model->txid = txid;
    model->page_count = version->page_count;
    memcpy(model->pages, version->bytes, (size_t)version->page_count * model->page_size);
    model_digest_all(model);
}

/* ---- checks */

unsigned model_output_count(const struct model *model)
{
    auto_free char *folder = model_path(model, "out");
    unsigned count = 0;

    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

void model_check_restore(struct model *model, const struct restore_target *target, uint64_t txid)
{
    struct error err;
    const struct model_version *version = &model->versions[txid];
    auto_free char *output = model_path(model, "out/restored.db");

    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    CHECK_OK(restore_plan_make(&plan, model->replica, target, &err));
    struct restore_options options = {
        .output = output,
        .parallelism = 1 + (unsigned)model_random(model, 4),
    };
    struct restore_report report;
    CHECK_OK(restore_run(model->replica, &plan, &options, &report, &err));

    assert_int_equal(report.position.txid, txid);
    assert_int_equal(report.position.digest, version->digest);
    assert_int_equal(report.position.page_count, version->page_count);
    assert_int_equal(report.position.time_ms, version->time_ms);
    assert_int_equal(report.position.timeline, version->timeline);
    assert_int_equal(report.object_count, plan.object_count);
    size_t size = (size_t)version->page_count * model->page_size;
    auto_buf struct buf bytes = BUF_INIT(size + 1);
    CHECK_OK(fs_read_file(&bytes, output, &err));
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, version->bytes, size);
    assert_int_equal(unlink(output), 0);
    assert_int_equal(model_output_count(model), 0);
}

void model_check_restore_fails(struct model *model, const struct restore_target *target, rc wanted)
{
    struct error err;
    auto_free char *output = model_path(model, "out/restored.db");
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    rc code = restore_plan_make(&plan, model->replica, target, &err);

    if (code == RC_OK) {
        struct restore_options options = { .output = output };
        struct restore_report report;
        code = restore_run(model->replica, &plan, &options, &report, &err);
    }
    if (code != wanted) {
        fail_msg("restore: %s, must be %s: %s", rc_name(code), rc_name(wanted),
            code == RC_OK ? "" : err.text);
    }
    assert_int_equal(model_output_count(model), 0);
}

static int model_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

char **model_objects(const struct model *model, const char *part, size_t *ret_count)
{
    auto_free char *command = text_format("find '%s/store' -type f", model->folder);
    char **paths = NULL;
    size_t count = 0;
    char line[4096];

    FILE *names = popen(command, "r");
    assert_non_null(names);
    while (fgets(line, sizeof line, names) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strstr(line + strlen(model->folder), part) == NULL)
            continue;
        paths = mem_resize(paths, (count + 1) * sizeof *paths);
        paths[count++] = text_copy(line);
    }
    assert_int_equal(pclose(names), 0);
    if (count > 0)
        qsort(paths, count, sizeof *paths, model_compare);
    *ret_count = count;
    return paths;
}

void model_objects_free(char **paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
}
