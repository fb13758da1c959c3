/*
 * s3_remove - DeleteObjects in batches, or one by one where that is not offered
 *
 * Removing is idempotent, so a batch with failures that may pass is simply sent again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "codec/hash.h"
#include "s3_store.h"
#include "s3_xml.h"

enum {
    S3_BATCH_COUNT_MAX = 1000,
    S3_BATCH_SIZE_MAX = 8 << 20, /* 1,000 keys of 1,024 bytes, each escaped to its utmost */
    S3_BATCH_RESULT_SIZE_MAX = 4 << 20,
};

static rc s3_remove_one(struct s3_store *store, const char *key, struct error *err)
{
    struct s3_request request = { .method = "DELETE", .kind = S3_KIND_REMOVE, .key = key };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    rc removed = s3_request_run(store, &request, &answer, err);
    return removed == RC_NOT_FOUND ? RC_OK : removed; /* gone already */
}

/* XML 1.0 has no way to write most control characters; such keys are removed alone. */
static bool s3_key_fits_xml(const char *key)
{
    for (; *key != '\0'; key++)
        if ((unsigned char)*key < ' ' || (unsigned char)*key == 0x7f)
            return false;
    return true;
}

static void s3_put_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            buf_put_text(out, "&amp;");
            break;
        case '<':
            buf_put_text(out, "&lt;");
            break;
        case '>':
            buf_put_text(out, "&gt;");
            break;
        default:
            buf_put_u8(out, (uint8_t)*text);
            break;
        }
    }
}

static void s3_batch_put_body(
    struct buf *out, const struct s3_store *store, const char *const *keys, size_t key_count)
{
    buf_put_text(out, "<Delete><Quiet>true</Quiet>");
    for (size_t index = 0; index < key_count; index++) {
        buf_put_text(out, "<Object><Key>");
        s3_put_escaped(out, store->prefix);
        s3_put_escaped(out, keys[index]);
        buf_put_text(out, "</Key></Object>");
    }
    buf_put_text(out, "</Delete>");
}

enum { S3_BATCH_KEY_SIZE = 256 };

/* One <Error> of the answer. */
struct s3_batch_failure {
    char key[S3_BATCH_KEY_SIZE];
    char code[S3_CODE_SIZE];
    char message[S3_MESSAGE_SIZE];
};

struct s3_batch {
    struct s3_store *store;
    struct buf body;
    char *body_md5;
    struct buf result;

    /* Of the result. */
    bool is_result;
    size_t failed_count;
    rc failed;                       /* of SHOWN; RC_OK: nothing failed */
    struct s3_batch_failure shown;   /* the gravest, and of these the first */
    struct s3_batch_failure current; /* the element that is open */
};

static void s3_batch_forget(struct s3_batch *batch)
{
    batch->is_result = false;
    batch->failed_count = 0;
    batch->failed = RC_OK;
    batch->current = (struct s3_batch_failure){ .key = "" };
}

static void s3_batch_restart(void *payload)
{
    struct s3_batch *batch = payload;
    buf_clear(&batch->result);
    s3_batch_forget(batch);
}

static rc s3_batch_write(void *payload, struct bytes bytes, struct error *err)
{
    struct s3_batch *batch = payload;
    return buf_append(&batch->result, bytes, err);
}

/* The gravest failure decides: one that no retry helps against hides those that it might help. */
static void s3_batch_take_failure(struct s3_batch *batch)
{
    const char *hint;
    rc failed = s3_answer_meaning(500, batch->current.code, true, &hint);
    if (failed != RC_NOT_FOUND) {
        batch->failed_count++;
        if (batch->failed == RC_OK ||
            (rc_is_transient(batch->failed) && !rc_is_transient(failed))) {
            batch->failed = failed;
            batch->shown = batch->current;
        }
    }
    batch->current = (struct s3_batch_failure){ .key = "" };
}

static rc s3_batch_take(void *payload, const char *path, const char *text, struct error *err)
{
    struct s3_batch *batch = payload;
    struct s3_batch_failure *current = &batch->current;
    (void)err;

    if (text_equal(path, "DeleteResult"))
        batch->is_result = true;
    if (text_equal(path, "DeleteResult/Error/Key"))
        s3_copy_text(current->key, sizeof current->key, text);
    if (text_equal(path, "DeleteResult/Error/Code"))
        s3_copy_text(current->code, sizeof current->code, text);
    if (text_equal(path, "DeleteResult/Error/Message"))
        s3_copy_text(current->message, sizeof current->message, text);
    if (text_equal(path, "DeleteResult/Error"))
        s3_batch_take_failure(batch);
    return RC_OK;
}

static rc s3_batch_read(struct s3_batch *batch, struct error *err)
{
    TRY_AS(err, s3_xml_parse(buf_bytes(&batch->result), s3_batch_take, batch, err),
        "answer to a removal");
    if (!batch->is_result)
        FAIL(err, RC_CORRUPT, "answer to a removal: no DeleteResult; check endpoint");
    if (batch->failed_count > 0)
        FAIL(err, batch->failed, "%zu objects were not removed, the first is '%s': %s%s%s",
            batch->failed_count, batch->shown.key, batch->shown.code,
            batch->shown.message[0] != '\0' ? ": " : "", batch->shown.message);
    return RC_OK;
}

static rc s3_batch_attempt(void *payload, struct retry_attempt *attempt, struct error *err)
{
    struct s3_batch *batch = payload;
    struct sigv4_field query[] = { { "delete", "" } };
    struct http_field headers[] = {
        { "content-md5", batch->body_md5 },
        { "content-type", "application/xml" },
    };
    struct s3_request request = {
        .method = "POST",
        .kind = S3_KIND_REMOVE,
        .query = query,
        .query_count = array_count(query),
        .headers = headers,
        .header_count = array_count(headers),
        .body = buf_bytes(&batch->body),
        .has_body = true,
        .sink = { .write = s3_batch_write, .payload = batch },
        .restart = s3_batch_restart,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    TRY(s3_request_send(batch->store, &request, attempt, &answer, err));
    return s3_batch_read(batch, err);
}

static rc s3_remove_batch(
    struct s3_store *store, const char *const *keys, size_t key_count, struct error *err)
{
    assert(key_count <= S3_BATCH_COUNT_MAX);

    struct s3_batch batch = {
        .store = store,
        .body = BUF_INIT(S3_BATCH_SIZE_MAX),
        .result = BUF_INIT(S3_BATCH_RESULT_SIZE_MAX),
    };
    uint8_t md5[MD5_SIZE];
    s3_batch_put_body(&batch.body, store, keys, key_count);
    hash_md5(md5, buf_bytes(&batch.body));
    batch.body_md5 = base64_encode(bytes_of(md5, sizeof md5));

    struct retry_policy policy = s3_policy(store, batch.body.size);
    rc removed = retry_run(&policy, s3_batch_attempt, &batch, err);
    free(batch.body_md5);
    buf_release(&batch.body);
    buf_release(&batch.result);
    return removed;
}

static rc s3_remove_each(
    struct s3_store *store, const char *const *keys, size_t key_count, struct error *err)
{
    for (size_t index = 0; index < key_count; index++)
        TRY(s3_remove_one(store, keys[index], err));
    return RC_OK;
}

/* The next keys that can travel in one batch; 0 when the next key cannot. */
static size_t s3_batch_count(const char *const *keys, size_t key_count)
{
    size_t count = 0;
    while (count < key_count && count < S3_BATCH_COUNT_MAX && s3_key_fits_xml(keys[count]))
        count++;
    return count;
}

rc s3_remove(struct store *base, const char *const *keys, size_t key_count, struct error *err)
{
    struct s3_store *store = s3_store_from(base);

    while (key_count > 0) {
        size_t count = s3_batch_count(keys, key_count);
        rc removed = RC_UNSUPPORTED;
        if (count > 1 && !atomic_load(&store->has_no_batch)) {
            removed = s3_remove_batch(store, keys, count, err);
            if (removed == RC_UNSUPPORTED)
                atomic_store(&store->has_no_batch, true);
        }
        count = count > 0 ? count : 1;
        if (removed == RC_UNSUPPORTED)
            removed = s3_remove_each(store, keys, count, err);
        TRY(removed);
        keys += count;
        key_count -= count;
    }
    return RC_OK;
}
