/*
 * put: a segment is stored once, whole or in a stream; what is there already must be ours
 */
#include "model.h"

#include "harness/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

enum {
    SMALL_SIZE = 5000,
    STREAM_SIZE = (5 << 20) + 100, /* just too large to be sent as a whole */
};

struct body {
    uint8_t *bytes;
    uint64_t size;
    unsigned reads;
    unsigned refused_read; /* from 1; 0: none */
};

static rc body_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    struct body *body = payload;

    if (++body->reads == body->refused_read)
        FAIL(err, RC_IO, "the file cannot be read");
    return buf_append(out, bytes_of(body->bytes + offset, size), err);
}

static struct body body_new(uint64_t size)
{
    struct body body = { .bytes = mem_new(size), .size = size };

    for (uint64_t i = 0; i < size; i++)
        body.bytes[i] = (uint8_t)(i * 7 + i / 251);
    return body;
}

static const struct replica_segment segment = {
    .timeline = 1,
    .level = 0,
    .name = { .min_txid = 5, .max_txid = 9, .time_ms = 1000 },
};

static rc put(struct model *model, struct body *body, struct error *err)
{
    struct source source = { .read = body_read, .payload = body, .size = body->size };

    body->reads = 0;
    return replica_put_segment(model->replica, &segment, &source, err);
}

/* The one object in the store that is the segment, or NULL; owned. What could not be removed after
 * a failure has another name. */
static char *stored_path(const struct model *model)
{
    size_t count = 0;
    char **paths = model_objects(model, "/0/", &count);
    char *path = NULL;

    for (size_t i = 0; i < count; i++) {
        if (strstr(paths[i], ".tmp-") != NULL)
            continue;
        assert_null(path);
        path = text_copy(paths[i]);
    }
    model_objects_free(paths, count);
    return path;
}

static bool is_stored(const struct model *model)
{
    auto_free char *path = stored_path(model);

    return path != NULL;
}

static void what_is_there_must_be_ours(void **state)
{
    static const uint64_t sizes[] = { SMALL_SIZE, STREAM_SIZE };

    (void)state;
    for (size_t index = 0; index < array_count(sizes); index++) {
        struct model *model = model_new(301, 512);
        struct body body = body_new(sizes[index]);
        struct error err = { 0 };

        CHECK_OK(put(model, &body, &err));
        CHECK_OK(put(model, &body, &err)); /* the answer was lost */

        /* Another size, another end, another beginning. */
        body.size--;
        CHECK_RC(put(model, &body, &err), RC_MISMATCH);
        CHECK_SAYS(err, "another process writes this replica");
        body.size++;
        body.bytes[body.size - 1] ^= 1;
        CHECK_RC(put(model, &body, &err), RC_MISMATCH);
        body.bytes[body.size - 1] ^= 1;
        body.bytes[0] ^= 1;
        CHECK_RC(put(model, &body, &err), RC_MISMATCH);
        body.bytes[0] ^= 1;
        CHECK_OK(put(model, &body, &err));
        free(body.bytes);
        model_free(model);
    }
}

/* While it is stored, and while it is compared. */
static void what_cannot_be_read_is_not_stored(void **state)
{
    static const uint64_t sizes[] = { SMALL_SIZE, STREAM_SIZE };

    (void)state;
    for (size_t index = 0; index < array_count(sizes); index++) {
        struct model *model = model_new(302, 512);
        struct body body = body_new(sizes[index]);
        struct error err = { 0 };

        for (body.refused_read = 1; !is_stored(model); body.refused_read++) {
            rc code = put(model, &body, &err);
            assert_int_equal(code, is_stored(model) ? RC_OK : RC_IO);
        }
        /* It is there, so it is read twice: to be sent, and to be compared. */
        unsigned told = 0;
        for (body.refused_read = 1;; body.refused_read++) {
            rc code = put(model, &body, &err);
            if (code == RC_OK)
                break;
            assert_int_equal(code, RC_IO);
            told++;
        }
        assert_true(told >= 2);
        free(body.bytes);
        model_free(model);
    }
}

static void each_call_may_fail(void **state)
{
    static const uint64_t sizes[] = { SMALL_SIZE, STREAM_SIZE };
    static const int errnos[] = { EIO, EDQUOT, EACCES };

    (void)state;
    for (size_t index = 0; index < array_count(sizes) * array_count(errnos); index++) {
        int sys_errno = errnos[index / array_count(sizes)];
        struct model *model = model_new(303, 512);
        struct body body = body_new(sizes[index % array_count(sizes)]);
        struct error err = { 0 };
        bool again = true;

        /* New in the turns that are even, there already in the others. */
        for (uint64_t nth = 2; again; nth++) {
            auto_free char *path = stored_path(model);
            if (nth % 2 == 0 && path != NULL)
                assert_int_equal(unlink(path), 0);
            fault_arm_plan(&(struct fault_plan){
                .calls = FAULT_CALLS_OURS, .nth = nth / 2, .sys_errno = sys_errno });
            rc code = put(model, &body, &err);
            again = fault_fired() || nth % 2 == 0;
            fault_disarm();
            assert_true(code == RC_OK || fault_fired());
            assert_int_not_equal(code, RC_MISMATCH);
            assert_int_not_equal(code, RC_NOT_FOUND);
            CHECK_OK(put(model, &body, &err));
        }
        free(body.bytes);
        model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_must_be_ours),
        cmocka_unit_test(what_cannot_be_read_is_not_stored),
        cmocka_unit_test(each_call_may_fail),
    };

    fault_skip_syncs();
    return cmocka_run_group_tests_name("replica/put", tests, NULL, NULL);
}
