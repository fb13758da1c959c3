/* requests - the nth request to the S3 server of the test goes wrong */
#include "requests.h"

#include <string.h>

#include "base/alloc.h"
#include "harness/s3_server.h"
#include "net/http.h"

rc __real_http_client_run(struct http_client *client, const struct http_request *request,
    struct http_response *response, struct error *err);
rc __wrap_http_client_run(struct http_client *client, const struct http_request *request,
    struct http_response *response, struct error *err);

static enum fault_call request_call(const struct http_request *request, const char **ret_name)
{
    bool is_post = strcmp(request->method, "POST") == 0;

    if (strstr(request->url, "list-type=") != NULL) {
        *ret_name = "listing";
        return FAULT_REQUEST_LIST;
    }
    if (strcmp(request->method, "DELETE") == 0 ||
        (is_post && strstr(request->url, "?delete") != NULL)) {
        *ret_name = "removal";
        return FAULT_REQUEST_REMOVE;
    }
    *ret_name = request->method;
    if (is_post || strcmp(request->method, "PUT") == 0)
        return FAULT_REQUEST_PUT;
    return FAULT_REQUEST_GET;
}

rc __wrap_http_client_run(struct http_client *client, const struct http_request *request,
    struct http_response *response, struct error *err)
{
    const char *name;
    enum fault_call call = request_call(request, &name);

    s3_server_misbehave((enum s3_way)fault_code(call, name));
    rc code = __real_http_client_run(client, request, response, err);
    s3_server_misbehave(S3_HONEST);
    return code;
}

/* So many in a row that the driver gives up: it tries for a minute. */
enum { REQUEST_MANY = 40 };

#define ONCE(way)                                                                                  \
    {                                                                                              \
        .calls = FAULT_CALLS_HTTP, .sys_errno = (way)                                              \
    }
#define MANY(way)                                                                                  \
    {                                                                                              \
        .calls = FAULT_CALLS_HTTP, .sys_errno = (way), .times = REQUEST_MANY                       \
    }
#define LASTING(way)                                                                               \
    {                                                                                              \
        .calls = FAULT_CALLS_HTTP, .sys_errno = (way), .times = UINT64_MAX                         \
    }
#define LISTS FAULT_BIT(FAULT_REQUEST_LIST)

const struct kind request_kinds[] = {
    { "refused", ONCE(S3_REFUSE), 1 },
    { "reset", ONCE(S3_RESET), 1 },
    { "lost", ONCE(S3_LOSE), 1 },
    { "lost once", ONCE(S3_LOSE_ONCE), 1 },
    { "cut", ONCE(S3_CUT), 1 },
    { "500", ONCE(S3_FAIL), 1 },
    { "500 after", ONCE(S3_FAIL_AFTER), 1 },
    { "503", ONCE(S3_SLOW_DOWN), 1 },
    { "403", ONCE(S3_DENY), 1 },
    { "portal", ONCE(S3_PORTAL), 1 },
    { "empty", ONCE(S3_EMPTY), 1 },
    { "wrong", ONCE(S3_WRONG), 1 },
    { "twice", ONCE(S3_TWICE), 1 },
    { "repeated", ONCE(S3_REPEAT), 1 },
    { "stale", { .calls = LISTS, .sys_errno = S3_STALE }, 1 },
    { "ghost", { .calls = LISTS, .sys_errno = S3_GHOST }, 1 },
    { "refused many", MANY(S3_REFUSE), 1 },
    { "lost many", MANY(S3_LOSE), 1 },
    { "500 after many", MANY(S3_FAIL_AFTER), 1 },
    { "503 many", MANY(S3_SLOW_DOWN), 1 },
    { "portal many", MANY(S3_PORTAL), 1 },
    { "403 lasting", LASTING(S3_DENY), 1 },
    { "cut lasting", LASTING(S3_CUT), 1 },
};
const size_t request_kind_count = array_count(request_kinds);
