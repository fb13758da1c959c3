/*
 * store_tool - one call of store.h as a command, for tests that stand between it and the server
 *
 *   store_tool [-deadline MS] [-cancel-after MS] URL COMMAND ARGS...
 *
 *   put KEY FILE | replace KEY FILE | upload KEY FILE | get KEY OFFSET SIZE | tail KEY SIZE
 *   list PREFIX | remove KEY... | conditional
 *
 * Bodies and keys go to standard output. The last line on standard error is the name of the result
 * code, then the number of retries and requests and the text of the error. The exit status is the
 * code's number.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"
#include "store/scheme.h"
#include "store/store.h"

enum { TOOL_BODY_SIZE_MAX = 256 << 20 };

struct tool {
    struct store *store;
    char **args; /* behind the command */
    size_t arg_count;
};

static rc tool_read_body(struct buf *ret, const struct tool *tool, struct error *err)
{
    return fs_read_file(ret, tool->args[1], err);
}

static rc tool_put_as(struct tool *tool, enum store_put_mode mode, struct error *err)
{
    auto_buf struct buf body = BUF_INIT(TOOL_BODY_SIZE_MAX);
    TRY(tool_read_body(&body, tool, err));
    return store_put(tool->store, tool->args[0], buf_bytes(&body), mode, err);
}

static rc tool_put(struct tool *tool, struct error *err)
{
    return tool_put_as(tool, STORE_PUT_NEW, err);
}

static rc tool_replace(struct tool *tool, struct error *err)
{
    return tool_put_as(tool, STORE_PUT_REPLACE, err);
}

static rc tool_upload(struct tool *tool, struct error *err)
{
    struct store_upload *upload = NULL;
    auto_buf struct buf body = BUF_INIT(TOOL_BODY_SIZE_MAX);
    TRY(tool_read_body(&body, tool, err));
    TRY(store_upload_begin(&upload, tool->store, tool->args[0], 0, err));
    rc written = store_upload_write(upload, buf_bytes(&body), err);
    if (written != RC_OK) {
        store_upload_abort(upload);
        return written;
    }
    return store_upload_commit(upload, err);
}

static void tool_show(const struct buf *body)
{
    fwrite(body->data, 1, body->size, stdout);
}

static rc tool_get(struct tool *tool, struct error *err)
{
    auto_buf struct buf body = BUF_INIT(TOOL_BODY_SIZE_MAX);
    uint64_t offset;
    uint64_t size;
    TRY(text_parse_u64(&offset, tool->args[1], UINT64_MAX, err));
    TRY(text_parse_u64(&size, tool->args[2], UINT64_MAX, err));
    TRY(store_get(tool->store, tool->args[0], offset, size, &body, err));
    tool_show(&body);
    return RC_OK;
}

static rc tool_tail(struct tool *tool, struct error *err)
{
    auto_buf struct buf body = BUF_INIT(TOOL_BODY_SIZE_MAX);
    uint64_t size;
    uint64_t object_size;
    TRY(text_parse_u64(&size, tool->args[1], UINT64_MAX, err));
    TRY(store_get_tail(tool->store, tool->args[0], size, &body, &object_size, err));
    tool_show(&body);
    return RC_OK;
}

static rc tool_print_key(void *payload, const struct store_object *object, struct error *err)
{
    (void)payload;
    (void)err;
    printf("%s %llu\n", object->key, (unsigned long long)object->size);
    return RC_OK;
}

static rc tool_list(struct tool *tool, struct error *err)
{
    return store_list(tool->store, tool->args[0], NULL, tool_print_key, NULL, err);
}

static rc tool_remove(struct tool *tool, struct error *err)
{
    return store_remove(tool->store, (const char *const *)tool->args, tool->arg_count, err);
}

static rc tool_conditional(struct tool *tool, struct error *err)
{
    bool is_offered;
    TRY(store_has_conditional_put(tool->store, &is_offered, err));
    puts(is_offered ? "yes" : "no");
    return RC_OK;
}

static const struct {
    const char *name;
    size_t arg_count;
    rc (*run)(struct tool *tool, struct error *err);
} commands[] = {
    { "put", 2, tool_put },
    { "replace", 2, tool_replace },
    { "upload", 2, tool_upload },
    { "get", 3, tool_get },
    { "tail", 2, tool_tail },
    { "list", 1, tool_list },
    { "remove", 1, tool_remove },
    { "conditional", 0, tool_conditional },
};

/* Cancels after a while, unless the work is done first. */
struct canceller {
    struct cancel *cancel;
    struct cancel *done;
    int64_t after_ms; /* 0: never */
    pthread_t thread;
};

static void *canceller_run(void *payload)
{
    struct canceller *canceller = payload;
    if (!cancel_wait_ms(canceller->done, canceller->after_ms))
        cancel_now(canceller->cancel);
    return NULL;
}

static void canceller_start(struct canceller *canceller, int64_t after_ms)
{
    canceller->cancel = cancel_new();
    canceller->done = cancel_new();
    canceller->after_ms = after_ms;
    if (after_ms > 0 && pthread_create(&canceller->thread, NULL, canceller_run, canceller) != 0)
        exit(100);
}

static void canceller_stop(struct canceller *canceller)
{
    cancel_now(canceller->done);
    if (canceller->after_ms > 0)
        pthread_join(canceller->thread, NULL);
    cancel_free(canceller->cancel);
    cancel_free(canceller->done);
}

static rc tool_run(
    const char *url, char **args, const struct store_options *options, struct error *err)
{
    struct tool tool = { .args = args + 1 };
    while (tool.args[tool.arg_count] != NULL)
        tool.arg_count++;
    for (size_t index = 0; index < array_count(commands); index++) {
        if (!text_equal(commands[index].name, args[0]) ||
            tool.arg_count < commands[index].arg_count)
            continue;
        TRY(store_open(&tool.store, url, options, err));
        rc done = commands[index].run(&tool, err);
        struct store_stats stats;
        store_stats_read(tool.store, &stats);
        fprintf(stderr, "%llu retries, %llu requests\n", (unsigned long long)stats.retry_count,
            (unsigned long long)(stats.put_count + stats.get_count + stats.list_count +
                                 stats.remove_count));
        store_free(tool.store);
        return done;
    }
    FAIL(err, RC_USAGE, "unknown command");
}

static int64_t tool_flag_ms(int *argc, char ***argv, const char *name)
{
    uint64_t ms = 0;
    struct error err;
    if (*argc > 2 && text_equal((*argv)[1], name)) {
        if (text_parse_u64(&ms, (*argv)[2], 1000000, &err) != RC_OK)
            exit(100);
        *argc -= 2;
        *argv += 2;
    }
    return (int64_t)ms;
}

int main(int argc, char **argv)
{
    struct store_options options = { 0 };
    struct canceller canceller;
    options.request_deadline_ms = tool_flag_ms(&argc, &argv, "-deadline");
    int64_t cancel_after_ms = tool_flag_ms(&argc, &argv, "-cancel-after");
    if (argc < 3)
        return 100;

    canceller_start(&canceller, cancel_after_ms);
    options.cancel = canceller.cancel;
    struct error err = { 0 };
    rc done = tool_run(argv[1], argv + 2, &options, &err);
    canceller_stop(&canceller);
    if (done == RC_OK)
        fprintf(stderr, "ok\n");
    else
        fprintf(stderr, "%s: %s\n", rc_name(done), err.text);
    return (int)done;
}
