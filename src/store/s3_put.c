/*
 * s3_put - one object in one request, and the promise of STORE_PUT_NEW
 *
 * With conditional writes (If-None-Match: *) the server decides who wins; a refusal, a conflict or
 * a lost answer is followed by a look at the mark (see s3_store.h), so that our own success is
 * found. Without them the key is looked up before and read back after: that catches every writer
 * but one that comes between our look and our write.
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "s3_store.h"

struct s3_put_call {
    struct s3_store *store;
    const char *key;
    struct bytes body;
    enum store_put_mode mode;
    bool is_conditional;
    bool is_unsure; /* an earlier attempt may have reached the server */
    char mark[S3_MARK_SIZE];
    char body_sha256[SIGV4_SHA256_TEXT_SIZE];
};

static rc s3_put_send(const struct s3_put_call *call, bool is_conditional,
    struct retry_attempt *attempt, struct error *err)
{
    struct http_field headers[] = {
        { S3_MARK_HEADER, call->mark },
        { "if-none-match", "*" },
    };
    struct s3_request request = {
        .method = "PUT",
        .kind = S3_KIND_PUT,
        .key = call->key,
        .headers = headers,
        .header_count = is_conditional ? 2 : 1,
        .body = call->body,
        .has_body = true,
        .body_sha256 = call->body_sha256,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    return s3_request_send(call->store, &request, attempt, &answer, err);
}

static rc s3_put_check(
    const struct s3_put_call *call, struct retry_attempt *attempt, struct error *err)
{
    return s3_mark_check(call->store, call->key, call->mark, attempt, err);
}

/* The object that beat us is gone again: somebody removed it, and the key may be tried once more.
 */
static rc s3_put_vanished(const struct s3_put_call *call, struct error *err)
{
    FAIL(err, RC_BUSY, "'%s/%s' was there and is gone", call->store->base.name, call->key);
}

static rc s3_put_conditionally(
    struct s3_put_call *call, struct retry_attempt *attempt, struct error *err)
{
    rc sent = s3_put_send(call, true, attempt, err);
    if (sent == RC_EXISTS) {
        rc found = s3_put_check(call, attempt, err);
        return found == RC_NOT_FOUND ? s3_put_vanished(call, err) : found;
    }
    if (sent == RC_UNSUPPORTED) {
        /* Offered once and now refused: go on without. */
        atomic_store(&call->store->conditional, S3_CONDITIONAL_NO);
        call->is_conditional = false;
        attempt->at_once = true;
    }
    call->is_unsure = rc_is_transient(sent);
    return sent;
}

static rc s3_put_with_looks(
    struct s3_put_call *call, struct retry_attempt *attempt, struct error *err)
{
    rc found = s3_put_check(call, attempt, err);
    if (found != RC_NOT_FOUND)
        return found;
    TRY(s3_put_send(call, false, attempt, err));
    found = s3_put_check(call, attempt, err);
    return found == RC_NOT_FOUND ? s3_put_vanished(call, err) : found;
}

static rc s3_put_attempt(void *payload, struct retry_attempt *attempt, struct error *err)
{
    struct s3_put_call *call = payload;

    if (call->mode == STORE_PUT_REPLACE)
        return s3_put_send(call, false, attempt, err);
    if (!call->is_conditional)
        return s3_put_with_looks(call, attempt, err);
    if (call->is_unsure) {
        rc found = s3_put_check(call, attempt, err);
        if (found != RC_NOT_FOUND)
            return found;
    }
    return s3_put_conditionally(call, attempt, err);
}

static void s3_put_init(struct s3_put_call *call)
{
    s3_mark_make(call->mark);
    sigv4_sha256(call->body_sha256, call->body);
}

rc s3_put(struct store *base, const char *key, struct bytes body, enum store_put_mode mode,
    struct error *err)
{
    struct s3_put_call call = {
        .store = s3_store_from(base),
        .key = key,
        .body = body,
        .mode = mode,
    };
    if (text_equal(key, S3_PROBE_KEY))
        FAIL(err, RC_USAGE, "key '%s' is the store's own", key);
    if (mode == STORE_PUT_NEW)
        TRY(s3_has_conditional_put(base, &call.is_conditional, err));
    s3_put_init(&call);
    struct retry_policy policy = s3_policy(call.store, body.size);
    return retry_run(&policy, s3_put_attempt, &call, err);
}

static rc s3_probe_attempt(void *payload, struct retry_attempt *attempt, struct error *err)
{
    return s3_put_send(payload, true, attempt, err);
}

/*
 * Put the probe object; RC_EXISTS means that the server honours the condition. It stays, so that
 * the next process needs one request and append-only buckets no exception.
 */
static rc s3_probe_put(struct s3_store *store, struct error *err)
{
    struct s3_put_call call = {
        .store = store,
        .key = S3_PROBE_KEY,
        .body = bytes_of_text("seawal asks by this object whether the store honours If-None-Match; "
                              "it may be removed at any time\n"),
    };
    s3_put_init(&call);
    struct retry_policy policy = s3_policy(store, 0);
    return retry_run(&policy, s3_probe_attempt, &call, err);
}

static rc s3_probe(struct s3_store *store, enum s3_conditional *ret, struct error *err)
{
    rc probed = s3_probe_put(store, err);
    if (probed == RC_OK)
        probed = s3_probe_put(store, err); /* was it new, or was the condition not looked at? */
    if (probed != RC_OK && probed != RC_EXISTS && probed != RC_UNSUPPORTED)
        return probed;
    *ret = probed == RC_EXISTS ? S3_CONDITIONAL_YES : S3_CONDITIONAL_NO;
    return RC_OK;
}

rc s3_has_conditional_put(struct store *base, bool *ret, struct error *err)
{
    struct s3_store *store = s3_store_from(base);
    enum s3_conditional known = (enum s3_conditional)atomic_load(&store->conditional);

    if (known == S3_CONDITIONAL_UNKNOWN) {
        TRY_AS(err, s3_probe(store, &known, err), "trying out conditional writes");
        atomic_store(&store->conditional, (int)known);
    }
    *ret = known == S3_CONDITIONAL_YES;
    return RC_OK;
}
