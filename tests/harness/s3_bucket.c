/* s3_bucket - one bucket in memory, and what S3 answers to a request about it */
#include "harness/s3_bucket.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/url.h"

enum {
    S3_BODY_SIZE_MAX = 64 << 20,
    S3_PART_COUNT_MAX = 64,
    S3_PART_SIZE_LEAST = 5 << 20, /* of all but the last */
    S3_PAGE_KEY_COUNT_MAX = 1000,
    S3_KEY_SIZE = 2048,
    S3_ETAG_SIZE = 40,
    S3_ID_SIZE = 24,
};

struct s3_object {
    char *key;
    char *mark; /* or NULL */
    char etag[S3_ETAG_SIZE];
    struct buf body;
    uint64_t serial; /* later puts have greater ones */
    bool is_removed;
};

struct s3_part {
    char etag[S3_ETAG_SIZE];
    struct buf body;
    bool is_there;
};

struct s3_parts {
    char id[S3_ID_SIZE];
    char *key;
    char *mark;
    struct s3_part parts[S3_PART_COUNT_MAX];
    struct s3_parts *next;
};

struct s3_bucket {
    struct s3_object **objects; /* ascending by key */
    size_t count;
    size_t capacity;
    struct s3_parts *uploads;
    uint64_t serial;
    size_t overwritten;
};

void s3_unescape(char *text)
{
    char *out = text;

    for (const char *in = text; *in != '\0'; in++) {
        unsigned value;
        if (*in == '%' && sscanf(in + 1, "%2x", &value) == 1) {
            *out++ = (char)value;
            in += 2;
        } else
            *out++ = *in;
    }
    *out = '\0';
}

/* ---- answers */

static void s3_tell(struct s3_told *told, int status, const char *body)
{
    told->status = status;
    buf_clear(&told->body);
    buf_put_text(&told->body, body);
}

static void s3_tell_error(struct s3_told *told, int status, const char *code)
{
    told->status = status;
    buf_clear(&told->body);
    buf_put_format(&told->body,
        "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>as it is</Message></Error>", code);
}

static const char *s3_query(const struct s3_asked *asked, const char *name)
{
    for (size_t i = 0; i < asked->query_count; i++)
        if (strcmp(asked->query_names[i], name) == 0)
            return asked->query_values[i];
    return NULL;
}

/* ---- objects */

/* The place of KEY, or where it would be. */
static size_t s3_place(const struct s3_bucket *bucket, const char *key, bool *ret_found)
{
    size_t low = 0;
    size_t high = bucket->count;

    *ret_found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(bucket->objects[middle]->key, key);
        if (order == 0)
            *ret_found = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The object that is there under KEY, or NULL. */
static struct s3_object *s3_object(const struct s3_bucket *bucket, const char *key)
{
    bool found;
    size_t place = s3_place(bucket, key, &found);

    return found && !bucket->objects[place]->is_removed ? bucket->objects[place] : NULL;
}

static struct s3_object *s3_object_make(struct s3_bucket *bucket, const char *key)
{
    bool found;
    size_t place = s3_place(bucket, key, &found);

    if (found)
        return bucket->objects[place];
    if (bucket->count == bucket->capacity) {
        bucket->capacity = bucket->capacity == 0 ? 64 : 2 * bucket->capacity;
        bucket->objects = mem_resize(bucket->objects, bucket->capacity * sizeof *bucket->objects);
    }
    memmove(bucket->objects + place + 1, bucket->objects + place,
        (bucket->count - place) * sizeof *bucket->objects);
    bucket->count++;
    bucket->objects[place] = mem_new(sizeof *bucket->objects[place]);
    *bucket->objects[place] =
        (struct s3_object){ .key = text_copy(key), .body = BUF_INIT(S3_BODY_SIZE_MAX) };
    return bucket->objects[place];
}

static void s3_make_etag(struct s3_bucket *bucket, char *out)
{
    snprintf(out, S3_ETAG_SIZE, "\"%032" PRIx64 "\"", ++bucket->serial);
}

static void s3_store(
    struct s3_bucket *bucket, const char *key, const char *mark, const struct buf *body)
{
    struct s3_object *object = s3_object_make(bucket, key);
    bool is_new = object->serial == 0;

    if (!is_new && (!object->is_removed || !bytes_equal(buf_bytes(&object->body), buf_bytes(body))))
        bucket->overwritten++;
    buf_clear(&object->body);
    buf_put(&object->body, buf_bytes(body));
    free(object->mark);
    object->mark = mark != NULL ? text_copy(mark) : NULL;
    s3_make_etag(bucket, object->etag);
    object->serial = bucket->serial;
    object->is_removed = false;
}

static bool s3_condition_holds(const struct s3_bucket *bucket, const struct s3_asked *asked)
{
    return asked->if_none_match == NULL || s3_object(bucket, asked->key) == NULL;
}

static void s3_put_object(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    auto_buf struct buf body = BUF_INIT(S3_BODY_SIZE_MAX);

    if (!s3_condition_holds(bucket, asked)) {
        s3_tell_error(told, 412, "PreconditionFailed");
        return;
    }
    buf_put(&body, asked->body);
    s3_store(bucket, asked->key, asked->mark, &body);
    buf_put_format(&told->headers, "ETag: %s\r\n", s3_object(bucket, asked->key)->etag);
    s3_tell(told, 200, "");
}

/* "bytes=A-B", "bytes=A-", "bytes=-N" of SIZE bytes; false when nothing is in it. */
static bool s3_range(const char *text, size_t size, size_t *ret_first, size_t *ret_end)
{
    unsigned long long first = 0;
    unsigned long long last = 0;

    if (sscanf(text, "bytes=-%llu", &last) == 1) {
        *ret_first = last < size ? size - (size_t)last : 0;
        *ret_end = size;
        return last > 0 && size > 0;
    }
    int given = sscanf(text, "bytes=%llu-%llu", &first, &last);
    *ret_first = (size_t)first;
    *ret_end = given == 2 && last < size ? (size_t)last + 1 : size;
    return given >= 1 && first < size && *ret_first < *ret_end;
}

static void s3_get_object(
    const struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    const struct s3_object *object = s3_object(bucket, asked->key);

    if (object == NULL) {
        s3_tell_error(told, 404, "NoSuchKey");
        return;
    }
    size_t first = 0;
    size_t end = object->body.size;
    if (asked->range != NULL && !s3_range(asked->range, object->body.size, &first, &end)) {
        s3_tell_error(told, 416, "InvalidRange");
        return;
    }
    if (asked->range != NULL)
        buf_put_format(&told->headers, "Content-Range: bytes %zu-%zu/%zu\r\n", first, end - 1,
            object->body.size);
    buf_put_format(&told->headers, "ETag: %s\r\n", object->etag);
    if (object->mark != NULL)
        buf_put_format(&told->headers, "x-amz-meta-seawal-put: %s\r\n", object->mark);
    s3_tell(told, asked->range != NULL ? 206 : 200, "");
    buf_put(&told->body, bytes_part(buf_bytes(&object->body), first, end - first));
}

static void s3_remove_object(struct s3_bucket *bucket, const char *key)
{
    struct s3_object *object = s3_object(bucket, key);

    if (object != NULL)
        object->is_removed = true;
}

/* ---- listings */

static bool s3_is_shown(
    const struct s3_object *object, const char *prefix, const char *after, enum s3_listing listing)
{
    return (!object->is_removed || listing == S3_LISTING_GHOST) &&
           text_has_prefix(object->key, prefix) &&
           (after == NULL || strcmp(object->key, after) > 0);
}

static uint64_t s3_newest_serial(const struct s3_bucket *bucket, const char *prefix)
{
    uint64_t newest = 0;

    for (size_t i = 0; i < bucket->count; i++)
        if (s3_is_shown(bucket->objects[i], prefix, NULL, S3_LISTING_TRUE) &&
            bucket->objects[i]->serial > newest)
            newest = bucket->objects[i]->serial;
    return newest;
}

/* A token is the last key of the page before, escaped. */
static void s3_list(const struct s3_bucket *bucket, const struct s3_asked *asked,
    enum s3_listing listing, struct s3_told *told)
{
    const char *prefix = s3_query(asked, "prefix");
    auto_free char *token = text_copy(s3_query(asked, "continuation-token"));
    const char *after = token != NULL ? token : s3_query(asked, "start-after");
    const char *last = NULL;
    uint64_t hidden =
        listing == S3_LISTING_STALE ? s3_newest_serial(bucket, prefix != NULL ? prefix : "") : 0;
    size_t count = 0;
    bool is_truncated = false;

    if (token != NULL)
        s3_unescape(token);
    s3_tell(told, 200, "<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType>");
    for (size_t i = 0; i < bucket->count && !is_truncated; i++) {
        const struct s3_object *object = bucket->objects[i];
        if (!s3_is_shown(object, prefix != NULL ? prefix : "", after, listing) ||
            object->serial == hidden)
            continue;
        is_truncated = count == S3_PAGE_KEY_COUNT_MAX;
        if (is_truncated)
            break;
        auto_free char *name = url_escape(object->key, 1);
        buf_put_format(&told->body,
            "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            "<Size>%zu</Size></Contents>",
            name, object->body.size);
        last = object->key;
        count++;
    }
    buf_put_format(&told->body, "<IsTruncated>%s</IsTruncated>", is_truncated ? "true" : "false");
    if (is_truncated) {
        auto_free char *name = url_escape(last, 1);
        buf_put_format(&told->body, "<NextContinuationToken>%s</NextContinuationToken>", name);
    }
    buf_put_text(&told->body, "</ListBucketResult>");
}

/* ---- bodies in XML: the text of the next <NAME> from *AT, unescaped; false when there is none */

static bool s3_next_element(const char **at, const char *name, char *out, size_t size)
{
    static const struct {
        const char *escaped;
        char plain;
    } entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' } };
    auto_free char *open = text_format("<%s>", name);
    const char *from = strstr(*at, open);
    size_t fill = 0;

    if (from == NULL)
        return false;
    for (from += strlen(open); *from != '<' && *from != '\0'; fill++) {
        size_t step = 1;
        assert(fill + 1 < size);
        out[fill] = *from;
        for (size_t i = 0; i < array_count(entities); i++)
            if (text_has_prefix(from, entities[i].escaped)) {
                out[fill] = entities[i].plain;
                step = strlen(entities[i].escaped);
            }
        from += step;
    }
    out[fill] = '\0';
    *at = from;
    return true;
}

static void s3_remove_batch(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    auto_free char *text =
        text_format("%.*s", (int)asked->body.size, (const char *)asked->body.data);
    const char *at = text;
    char key[S3_KEY_SIZE];

    while (s3_next_element(&at, "Key", key, sizeof key))
        s3_remove_object(bucket, key);
    s3_tell(told, 200, "<?xml version=\"1.0\"?><DeleteResult></DeleteResult>");
}

/* ---- uploads in parts */

static struct s3_parts **s3_find_upload(struct s3_bucket *bucket, const struct s3_asked *asked)
{
    const char *id = s3_query(asked, "uploadId");
    struct s3_parts **upload = &bucket->uploads;

    while (*upload != NULL &&
           (strcmp((*upload)->id, id) != 0 || strcmp((*upload)->key, asked->key) != 0))
        upload = &(*upload)->next;
    return upload;
}

static void s3_upload_drop(struct s3_parts **upload)
{
    struct s3_parts *gone = *upload;

    *upload = gone->next;
    for (size_t i = 0; i < S3_PART_COUNT_MAX; i++)
        buf_release(&gone->parts[i].body);
    free(gone->key);
    free(gone->mark);
    free(gone);
}

static void s3_upload_initiate(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    struct s3_parts *upload = mem_new(sizeof *upload);

    snprintf(upload->id, sizeof upload->id, "upload-%" PRIu64, ++bucket->serial);
    upload->key = text_copy(asked->key);
    upload->mark = asked->mark != NULL ? text_copy(asked->mark) : NULL;
    for (size_t i = 0; i < S3_PART_COUNT_MAX; i++)
        upload->parts[i].body = BUF_INIT(S3_BODY_SIZE_MAX);
    upload->next = bucket->uploads;
    bucket->uploads = upload;
    s3_tell(told, 200, "<?xml version=\"1.0\"?><InitiateMultipartUploadResult>");
    buf_put_format(
        &told->body, "<UploadId>%s</UploadId></InitiateMultipartUploadResult>", upload->id);
}

static void s3_upload_part(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    struct s3_parts *upload = *s3_find_upload(bucket, asked);
    unsigned long number = strtoul(s3_query(asked, "partNumber"), NULL, 10);

    if (upload == NULL || number == 0 || number > S3_PART_COUNT_MAX) {
        s3_tell_error(
            told, upload == NULL ? 404 : 400, upload == NULL ? "NoSuchUpload" : "InvalidPart");
        return;
    }
    struct s3_part *part = &upload->parts[number - 1];
    buf_clear(&part->body);
    buf_put(&part->body, asked->body);
    s3_make_etag(bucket, part->etag);
    part->is_there = true;
    buf_put_format(&told->headers, "ETag: %s\r\n", part->etag);
    s3_tell(told, 200, "");
}

/* The parts that TEXT names, one behind the other; a code of S3's, or NULL. */
static const char *s3_upload_join(const struct s3_parts *upload, const char *text, struct buf *out)
{
    char number_text[S3_ID_SIZE];
    char etag[S3_ETAG_SIZE];
    size_t last_size = S3_PART_SIZE_LEAST;

    while (s3_next_element(&text, "PartNumber", number_text, sizeof number_text)) {
        unsigned long number = strtoul(number_text, NULL, 10);
        if (number == 0 || number > S3_PART_COUNT_MAX ||
            !s3_next_element(&text, "ETag", etag, sizeof etag))
            return "MalformedXML";
        const struct s3_part *part = &upload->parts[number - 1];
        if (!part->is_there || strcmp(part->etag, etag) != 0)
            return "InvalidPart";
        if (last_size < S3_PART_SIZE_LEAST)
            return "EntityTooSmall";
        last_size = part->body.size;
        buf_put(out, buf_bytes(&part->body));
    }
    return NULL;
}

static void s3_upload_complete(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    struct s3_parts **upload = s3_find_upload(bucket, asked);
    auto_free char *text =
        text_format("%.*s", (int)asked->body.size, (const char *)asked->body.data);
    auto_buf struct buf body = BUF_INIT(S3_BODY_SIZE_MAX);

    if (*upload == NULL) {
        s3_tell_error(told, 404, "NoSuchUpload");
        return;
    }
    const char *code = s3_upload_join(*upload, text, &body);
    if (code != NULL) {
        s3_tell_error(told, 400, code);
        return;
    }
    if (!s3_condition_holds(bucket, asked)) {
        s3_tell_error(told, 412, "PreconditionFailed");
        return;
    }
    s3_store(bucket, asked->key, (*upload)->mark, &body);
    s3_upload_drop(upload);
    s3_tell(told, 200,
        "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>all</ETag>"
        "</CompleteMultipartUploadResult>");
}

static void s3_upload_forget(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    struct s3_parts **upload = s3_find_upload(bucket, asked);

    if (*upload == NULL) {
        s3_tell_error(told, 404, "NoSuchUpload");
        return;
    }
    s3_upload_drop(upload);
    s3_tell(told, 204, "");
}

/* ---- which request is it? */

static void s3_answer_object(
    struct s3_bucket *bucket, const struct s3_asked *asked, struct s3_told *told)
{
    bool is_upload = s3_query(asked, "uploadId") != NULL;

    if (strcmp(asked->method, "PUT") == 0 && is_upload)
        s3_upload_part(bucket, asked, told);
    else if (strcmp(asked->method, "PUT") == 0)
        s3_put_object(bucket, asked, told);
    else if (strcmp(asked->method, "POST") == 0 && is_upload)
        s3_upload_complete(bucket, asked, told);
    else if (strcmp(asked->method, "POST") == 0 && s3_query(asked, "uploads") != NULL)
        s3_upload_initiate(bucket, asked, told);
    else if (strcmp(asked->method, "GET") == 0 || strcmp(asked->method, "HEAD") == 0)
        s3_get_object(bucket, asked, told);
    else if (strcmp(asked->method, "DELETE") == 0 && is_upload)
        s3_upload_forget(bucket, asked, told);
    else if (strcmp(asked->method, "DELETE") == 0) {
        s3_remove_object(bucket, asked->key);
        s3_tell(told, 204, "");
    } else
        s3_tell_error(told, 405, "MethodNotAllowed");
}

void s3_bucket_answer(struct s3_bucket *bucket, const struct s3_asked *asked,
    enum s3_listing listing, struct s3_told *told)
{
    if (strcmp(asked->bucket, S3_BUCKET_NAME) != 0)
        s3_tell_error(told, 404, "NoSuchBucket");
    else if (asked->key != NULL)
        s3_answer_object(bucket, asked, told);
    else if (strcmp(asked->method, "GET") == 0 && s3_query(asked, "list-type") != NULL)
        s3_list(bucket, asked, listing, told);
    else if (strcmp(asked->method, "POST") == 0 && s3_query(asked, "delete") != NULL)
        s3_remove_batch(bucket, asked, told);
    else
        s3_tell_error(told, 405, "MethodNotAllowed");
}

/* ---- the whole */

struct s3_bucket *s3_bucket_new(void)
{
    return mem_new(sizeof(struct s3_bucket));
}

void s3_bucket_free(struct s3_bucket *bucket)
{
    while (bucket->uploads != NULL)
        s3_upload_drop(&bucket->uploads);
    for (size_t i = 0; i < bucket->count; i++) {
        free(bucket->objects[i]->key);
        free(bucket->objects[i]->mark);
        buf_release(&bucket->objects[i]->body);
        free(bucket->objects[i]);
    }
    free(bucket->objects);
    free(bucket);
}

size_t s3_bucket_overwritten(const struct s3_bucket *bucket)
{
    return bucket->overwritten;
}

size_t s3_bucket_unfinished(const struct s3_bucket *bucket)
{
    size_t count = 0;

    for (const struct s3_parts *upload = bucket->uploads; upload != NULL; upload = upload->next)
        count++;
    return count;
}
