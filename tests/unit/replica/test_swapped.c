/*
 * swapped: each object of a replica under the name of each other one, and of another database's
 *
 * Every one of them is whole, with checksums that are right. A restore gives the newest transaction
 * as it was or fails; whoever only looks is told the truth or that something is wrong.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"

enum { OBJECT_SIZE_MAX = 1 << 20, OBJECT_COUNT_MAX = 64 };

struct object {
    char *path;
    struct buf bytes;
};

struct objects {
    struct object objects[OBJECT_COUNT_MAX];
    size_t count;
};

static void objects_read(struct objects *ret, const struct model *model)
{
    struct error err;
    size_t count = 0;
    char **paths = model_objects(model, "", &count);

    assert_true(count <= OBJECT_COUNT_MAX);
    ret->count = count;
    for (size_t index = 0; index < count; index++) {
        ret->objects[index].path = text_copy(paths[index]);
        ret->objects[index].bytes = BUF_INIT(OBJECT_SIZE_MAX);
        CHECK_OK(fs_read_file(&ret->objects[index].bytes, paths[index], &err));
    }
    model_objects_free(paths, count);
}

static void objects_release(struct objects *objects)
{
    for (size_t index = 0; index < objects->count; index++) {
        free(objects->objects[index].path);
        buf_release(&objects->objects[index].bytes);
    }
}

static void object_put(const struct object *place, const struct object *content)
{
    FILE *out = fopen(place->path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(content->bytes.data, 1, content->bytes.size, out), content->bytes.size);
    assert_int_equal(fclose(out), 0);
}

/* A snapshot, log, a merged segment with what it covers gone, and a second timeline. */
static struct model *swapped_model(uint64_t seed, uint32_t page_size)
{
    struct model *model = model_new(seed, page_size);
    struct model_merge merge = { .level = 1, .first = 2, .last = 5 };

    model_snapshot(model);
    for (unsigned count = 0; count < 6; count++) {
        model_commit(model);
        model_store_segment(model);
    }
    model_store_merged(model, &merge);
    model_remove_logs(model, merge.first, merge.last);
    model_branch(model, 6);
    for (unsigned count = 0; count < 3; count++) {
        model_commit(model);
        model_store_segment(model);
    }
    model_snapshot(model);
    model_commit(model);
    model_store_segment(model);
    return model;
}

static bool is_refusal(rc code)
{
    return code == RC_CORRUPT || code == RC_MISMATCH || code == RC_UNSUPPORTED;
}

static void check_restored(struct model *model, const char *output)
{
    const struct model_version *version = &model->versions[model->txid];
    size_t size = (size_t)version->page_count * model->page_size;
    auto_buf struct buf bytes = BUF_INIT(size + 1);
    struct error err;

    CHECK_OK(fs_read_file(&bytes, output, &err));
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, version->bytes, size);
    assert_int_equal(unlink(output), 0);
}

/* Whether a restore of the newest transaction noticed. */
static bool restore_notices(struct model *model, const char *place, const char *content)
{
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    auto_free char *output = model_path(model, "out/restored.db");
    struct restore_options options = { .output = output, .check = RESTORE_CHECK_NONE };
    struct restore_report report;
    struct error err = { 0 };
    rc code = restore_plan_make(&plan, model->replica, &newest, &err);

    if (code == RC_OK)
        code = restore_run(model->replica, &plan, &options, &report, &err);
    if (code == RC_OK && report.position.txid != model->txid)
        fail_msg("'%s' in place of '%s' is restored as %llu", content, place,
            (unsigned long long)report.position.txid);
    if (code == RC_OK)
        check_restored(model, output);
    else if (!is_refusal(code))
        fail_msg("'%s' in place of '%s': %s: %s", content, place, rc_name(code), err.text);
    assert_int_equal(model_output_count(model), 0);
    return code != RC_OK;
}

static rc see_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct model *model = payload;

    (void)err;
    assert_int_equal(digest, model->digests[pgno]);
    return RC_OK;
}

static void look(struct model *model)
{
    struct history history = HISTORY_INIT;
    struct replica_position position = model_position(model, model->txid);
    struct replica_info info;
    struct error err = { 0 };
    rc code = replica_inspect(model->replica, &info, &err);

    assert_true(is_refusal(code) || (code == RC_OK && info.position.txid == model->txid));
    code = history_read(&history, model->replica, &err);
    assert_true(is_refusal(code) || code == RC_OK);
    history_release(&history);
    code =
        replica_each_page_digest(model->replica, &position, model->folder, see_digest, model, &err);
    assert_true(is_refusal(code) || code == RC_OK);
}

static void no_object_is_taken_for_another(void **state)
{
    struct model *model = swapped_model(301, 512);
    struct model *others[] = { model, swapped_model(302, 512), swapped_model(303, 1024) };
    struct objects mine;
    unsigned noticed_count = 0;

    (void)state;
    objects_read(&mine, model);
    assert_true(mine.count >= 10);
    for (size_t other = 0; other < array_count(others); other++) {
        struct objects theirs;
        objects_read(&theirs, others[other]);
        for (size_t place = 0; place < mine.count; place++) {
            for (size_t content = 0; content < theirs.count; content++) {
                object_put(&mine.objects[place], &theirs.objects[content]);
                noticed_count +=
                    restore_notices(model, mine.objects[place].path, theirs.objects[content].path);
                look(model);
            }
            object_put(&mine.objects[place], &mine.objects[place]);
        }
        objects_release(&theirs);
        assert_false(restore_notices(model, "", "")); /* all is as it was */
    }
    assert_true(noticed_count > mine.count * mine.count);
    objects_release(&mine);
    for (size_t other = 0; other < array_count(others); other++)
        model_free(others[other]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_object_is_taken_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
