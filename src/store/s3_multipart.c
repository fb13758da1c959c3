/*
 * s3_multipart - objects of unknown or large size, in parts
 *
 * One part is collected in memory at a time. What fits into one part never becomes a multipart
 * upload. The key is looked up before the upload is completed, and the completion is conditional
 * where the server offers that: some ignore the condition there, and then a writer that comes
 * between our look and our completion is not noticed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "s3_store.h"
#include "s3_xml.h"

enum {
    S3_PART_SIZE_MIN = 5 << 20,
    S3_PART_COUNT_MAX = 10000,
    S3_PART_COUNT_PLANNED = 9000, /* the hint is an estimate */
    S3_PART_SIZE_STEP = 1 << 20,
    S3_ETAG_SIZE_MAX = 128,
    S3_ETAGS_SIZE_MAX = S3_PART_COUNT_MAX * (S3_ETAG_SIZE_MAX + 1),
    S3_COMPLETE_SIZE_MAX = 4 << 20,
    S3_RESULT_SIZE_MAX = 64 << 10,
    S3_UPLOAD_ID_SIZE_MAX = 1024,
    S3_ABORT_DEADLINE_MS = 10 * 1000,
};

#define S3_OBJECT_SIZE_MAX (UINT64_C(5) << 40)

struct s3_upload {
    struct store_upload base;
    struct s3_store *store;
    char *key;
    char *upload_id; /* NULL until the first part is full */
    uint8_t *part;
    size_t part_size;
    size_t part_fill;
    unsigned part_count; /* that the server has */
    struct buf etags;    /* one line a part */
    char mark[S3_MARK_SIZE];
};

static struct s3_upload *s3_upload_from(struct store_upload *base)
{
    return container_of(base, struct s3_upload, base);
}

rc s3_part_size(uint64_t *ret, uint64_t size_hint, struct error *err)
{
    if (size_hint > S3_OBJECT_SIZE_MAX)
        FAIL(err, RC_USAGE, "an object of %llu bytes is larger than S3's limit of 5 TiB",
            (unsigned long long)size_hint);
    uint64_t size = size_hint / S3_PART_COUNT_PLANNED + 1;
    size = (size + S3_PART_SIZE_STEP - 1) / S3_PART_SIZE_STEP * S3_PART_SIZE_STEP;
    *ret = size > S3_PART_SIZE_MIN ? size : S3_PART_SIZE_MIN;
    return RC_OK;
}

static void s3_upload_free(struct s3_upload *upload)
{
    free(upload->key);
    free(upload->upload_id);
    free(upload->part);
    buf_release(&upload->etags);
    free(upload);
}

rc s3_upload_begin(struct store_upload **ret, struct store *base, const char *key,
    uint64_t size_hint, struct error *err)
{
    uint64_t part_size;
    TRY(s3_part_size(&part_size, size_hint, err));

    struct s3_upload *upload = mem_new(sizeof *upload);
    upload->store = s3_store_from(base);
    upload->key = text_copy(key);
    upload->part_size = (size_t)part_size;
    upload->etags = BUF_INIT(S3_ETAGS_SIZE_MAX);
    s3_mark_make(upload->mark);
    *ret = &upload->base;
    return RC_OK;
}

/* Where the body of a small XML answer goes. */
struct s3_result {
    struct buf body;
};

static void s3_result_restart(void *payload)
{
    struct s3_result *result = payload;
    buf_clear(&result->body);
}

static rc s3_result_write(void *payload, struct bytes bytes, struct error *err)
{
    struct s3_result *result = payload;
    return buf_append(&result->body, bytes, err);
}

static void s3_result_release(struct s3_result *result)
{
    buf_release(&result->body);
}

#define S3_RESULT_INIT ((struct s3_result){ .body = BUF_INIT(S3_RESULT_SIZE_MAX) })
#define auto_s3_result __attribute__((cleanup(s3_result_release)))

static rc s3_take_upload_id(void *payload, const char *path, const char *text, struct error *err)
{
    char **upload_id = payload;

    if (!text_equal(path, "InitiateMultipartUploadResult/UploadId"))
        return RC_OK;
    if (*upload_id != NULL || text[0] == '\0' || strlen(text) > S3_UPLOAD_ID_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "the upload id cannot be used");
    *upload_id = text_copy(text);
    return RC_OK;
}

static rc s3_upload_initiate(struct s3_upload *upload, struct error *err)
{
    struct sigv4_field query[] = { { "uploads", "" } };
    struct http_field headers[] = { { S3_MARK_HEADER, upload->mark } };
    auto_s3_result struct s3_result result = S3_RESULT_INIT;
    struct s3_request request = {
        .method = "POST",
        .kind = S3_KIND_PUT,
        .key = upload->key,
        .query = query,
        .query_count = array_count(query),
        .headers = headers,
        .header_count = array_count(headers),
        .has_body = true,
        .sink = { .write = s3_result_write, .payload = &result },
        .restart = s3_result_restart,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    /* An answer that is lost here leaves an empty upload, which costs nothing. */
    TRY(s3_request_run(upload->store, &request, &answer, err));
    TRY_AS(err, s3_xml_parse(buf_bytes(&result.body), s3_take_upload_id, &upload->upload_id, err),
        "begin of the upload of '%s'", upload->key);
    if (upload->upload_id == NULL)
        FAIL(err, RC_CORRUPT, "begin of the upload of '%s': no upload id in the answer",
            upload->key);
    return RC_OK;
}

static rc s3_upload_keep_etag(
    struct s3_upload *upload, const struct http_response *response, struct error *err)
{
    struct bytes etag;
    if (!http_response_header(response, "etag", &etag) || etag.size == 0 ||
        etag.size > S3_ETAG_SIZE_MAX || memchr(etag.data, '<', etag.size) != NULL ||
        memchr(etag.data, '&', etag.size) != NULL)
        FAIL(err, RC_CORRUPT, "part %u of '%s': no usable ETag in the answer",
            upload->part_count + 1, upload->key);
    buf_put(&upload->etags, etag);
    buf_put_text(&upload->etags, "\n");
    upload->part_count++;
    return RC_OK;
}

static rc s3_upload_send_part(struct s3_upload *upload, struct error *err)
{
    if (upload->upload_id == NULL)
        TRY(s3_upload_initiate(upload, err));
    if (upload->part_count == S3_PART_COUNT_MAX)
        FAIL(err, RC_UNSUPPORTED,
            "'%s' has more than %d parts of %zu bytes; the size hint was wrong", upload->key,
            S3_PART_COUNT_MAX, upload->part_size);

    auto_free char *number = text_format("%u", upload->part_count + 1);
    struct sigv4_field query[] = {
        { "partNumber", number },
        { "uploadId", upload->upload_id },
    };
    struct s3_request request = {
        .method = "PUT",
        .kind = S3_KIND_PUT,
        .key = upload->key,
        .query = query,
        .query_count = array_count(query),
        .body = bytes_of(upload->part, upload->part_fill),
        .has_body = true,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    TRY(s3_request_run(upload->store, &request, &answer, err));
    TRY(s3_upload_keep_etag(upload, &answer.http, err));
    upload->part_fill = 0;
    return RC_OK;
}

rc s3_upload_write(struct store_upload *base, struct bytes bytes, struct error *err)
{
    struct s3_upload *upload = s3_upload_from(base);

    if (upload->part == NULL)
        upload->part =
            mem_new(upload->part_size); /* its pages cost nothing until they are written */
    while (bytes.size > 0) {
        if (upload->part_fill == upload->part_size)
            TRY(s3_upload_send_part(upload, err));
        size_t room = upload->part_size - upload->part_fill;
        size_t step = bytes.size < room ? bytes.size : room;
        memcpy(upload->part + upload->part_fill, bytes.data, step);
        upload->part_fill += step;
        bytes = bytes_part(bytes, step, bytes.size - step);
    }
    return RC_OK;
}

struct s3_complete {
    struct s3_upload *upload;
    struct buf body;
    bool is_conditional;
    bool is_unsure; /* an earlier attempt may have succeeded */
};

static void s3_complete_put_body(struct s3_complete *call)
{
    struct buf *body = &call->body;
    const char *etag = (const char *)call->upload->etags.data;

    buf_put_text(body, "<CompleteMultipartUpload>");
    for (unsigned number = 1; number <= call->upload->part_count; number++) {
        const char *end = strchr(etag, '\n');
        buf_put_format(body, "<Part><PartNumber>%u</PartNumber><ETag>%.*s</ETag></Part>", number,
            (int)(end - etag), etag);
        etag = end + 1;
    }
    buf_put_text(body, "</CompleteMultipartUpload>");
}

static rc s3_take_complete_result(
    void *payload, const char *path, const char *text, struct error *err)
{
    bool *is_complete = payload;
    (void)text;
    (void)err;
    if (text_equal(path, "CompleteMultipartUploadResult"))
        *is_complete = true;
    return RC_OK;
}

/* A completion may fail behind a 200 that was sent early: only the document says how it ended. */
static rc s3_complete_read(struct bytes document, struct error *err)
{
    char code[S3_CODE_SIZE];
    bool is_complete = false;

    TRY(s3_xml_parse(document, s3_take_complete_result, &is_complete, err));
    if (is_complete)
        return RC_OK;
    rc failed = s3_answer_explain(200, document, code, err);
    return code[0] != '\0' ? failed : error_wrap(err, RC_NET, "completion of an upload");
}

static rc s3_complete_send(
    struct s3_complete *call, struct retry_attempt *attempt, struct error *err)
{
    struct s3_upload *upload = call->upload;
    struct sigv4_field query[] = { { "uploadId", upload->upload_id } };
    struct http_field headers[] = {
        { "content-type", "application/xml" },
        { "if-none-match", "*" },
    };
    auto_s3_result struct s3_result result = S3_RESULT_INIT;
    struct s3_request request = {
        .method = "POST",
        .kind = S3_KIND_PUT,
        .key = upload->key,
        .query = query,
        .query_count = array_count(query),
        .headers = headers,
        .header_count = call->is_conditional ? 2 : 1,
        .body = buf_bytes(&call->body),
        .has_body = true,
        .sink = { .write = s3_result_write, .payload = &result },
        .restart = s3_result_restart,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    TRY(s3_request_send(upload->store, &request, attempt, &answer, err));
    return s3_complete_read(buf_bytes(&result.body), err);
}

/* The upload is gone: it was completed by an attempt whose answer was lost, or aborted by somebody.
 */
static rc s3_complete_look(
    const struct s3_complete *call, struct retry_attempt *attempt, struct error *err)
{
    const struct s3_upload *upload = call->upload;
    rc found = s3_mark_check(upload->store, upload->key, upload->mark, attempt, err);
    if (found != RC_NOT_FOUND)
        return found;
    FAIL(err, RC_IO, "the upload of '%s/%s' is gone; somebody aborted it", upload->store->base.name,
        upload->key);
}

static rc s3_complete_attempt(void *payload, struct retry_attempt *attempt, struct error *err)
{
    struct s3_complete *call = payload;
    struct s3_upload *upload = call->upload;

    if (attempt->index == 0 || call->is_unsure) {
        rc found = s3_mark_check(upload->store, upload->key, upload->mark, attempt, err);
        if (found != RC_NOT_FOUND)
            return found;
    }
    rc sent = s3_complete_send(call, attempt, err);
    if (sent == RC_MISMATCH || sent == RC_EXISTS)
        return s3_complete_look(call, attempt, err);
    if (sent == RC_UNSUPPORTED && call->is_conditional) {
        atomic_store(&upload->store->has_no_conditional_complete, true);
        call->is_conditional = false;
        attempt->at_once = true;
    }
    call->is_unsure = rc_is_transient(sent);
    return sent;
}

static rc s3_upload_complete(struct s3_upload *upload, struct error *err)
{
    struct s3_complete call = {
        .upload = upload,
        .body = BUF_INIT(S3_COMPLETE_SIZE_MAX),
    };
    TRY(s3_has_conditional_put(&upload->store->base, &call.is_conditional, err));
    if (atomic_load(&upload->store->has_no_conditional_complete))
        call.is_conditional = false;
    s3_complete_put_body(&call);
    struct retry_policy policy = s3_policy(upload->store, call.body.size);
    rc done = retry_run(&policy, s3_complete_attempt, &call, err);
    buf_release(&call.body);
    return done;
}

rc s3_upload_commit(struct store_upload *base, struct error *err)
{
    struct s3_upload *upload = s3_upload_from(base);

    if (upload->upload_id == NULL) {
        TRY(s3_put(&upload->store->base, upload->key, bytes_of(upload->part, upload->part_fill),
            STORE_PUT_NEW, err));
    } else {
        if (upload->part_fill > 0)
            TRY(s3_upload_send_part(upload, err));
        TRY(s3_upload_complete(upload, err));
    }
    s3_upload_free(upload);
    return RC_OK;
}

static rc s3_abort_attempt(void *payload, struct retry_attempt *attempt, struct error *err)
{
    struct s3_upload *upload = payload;
    struct sigv4_field query[] = { { "uploadId", upload->upload_id } };
    struct s3_request request = {
        .method = "DELETE",
        .kind = S3_KIND_REMOVE,
        .key = upload->key,
        .query = query,
        .query_count = array_count(query),
        .is_uncancelled = true,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    return s3_request_send(upload->store, &request, attempt, &answer, err);
}

/*
 * An abort is often the consequence of a cancel, so it does not listen to it; it has a short
 * deadline instead. When it fails, parts stay that only a lifecycle rule of the bucket removes:
 * nobody to tell.
 */
void s3_upload_abort(struct store_upload *base)
{
    struct s3_upload *upload = s3_upload_from(base);

    if (upload->upload_id != NULL) {
        struct retry_policy policy = { .deadline_ms = S3_ABORT_DEADLINE_MS };
        (void)!retry_run(&policy, s3_abort_attempt, upload, NULL);
    }
    s3_upload_free(upload);
}
