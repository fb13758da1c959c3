/* rig - one database, its daemon in this process and thread, its replica */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "harness/fault.h"
#include "harness/s3_server.h"
#include "replica/restore.h"
#include "simulated_time.h"

enum {
    RIG_NOTE_SIZE = 256,
    RIG_QUEUE_COUNT_MAX = 16,
    RIG_DATABASE_SIZE_MAX = 1 << 20,
    RIG_SETTLE_MS = 60 * 60 * 1000,
    RIG_STALE_MS = 2 * 60 * 60 * 1000, /* a folder store sweeps what is older than an hour */
};

/* ---- what is said */

static char rig_note_text[RIG_NOTE_SIZE];
static struct {
    unsigned count;
    char last[ERROR_TEXT_SIZE];
} rig_log;

void rig_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(rig_note_text, sizeof rig_note_text, format, arguments);
    va_end(arguments);
}

/* An assertion of the product's own. */
static void rig_on_abort(int signal_number)
{
    (void)signal_number;
    (void)!write(STDERR_FILENO, rig_note_text, strlen(rig_note_text));
    (void)!write(STDERR_FILENO, "\n", 1);
}

#define RIG_FAIL(format, ...) fail_msg("%s (%s): " format, rig_note_text, fault_name(), __VA_ARGS__)
#define RIG_MUST(call)                                                                             \
    do {                                                                                           \
        rc must_rc_ = (call);                                                                      \
        if (must_rc_ != RC_OK)                                                                     \
            RIG_FAIL("%s: %s", #call, err.text);                                                   \
    } while (0)

void __wrap_log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));
void __wrap_log_error(enum log_level level, const struct error *err, const char *event, ...)
    __attribute__((sentinel));

static void rig_tell(enum log_level level, const char *event, const char *text, va_list fields)
{
    bool is_verbose = getenv("FAULTS_VERBOSE") != NULL;

    if (is_verbose) {
        fprintf(
            stderr, "  %lld %d %s: %s", (long long)clock_monotonic_ms(), (int)level, event, text);
        for (const char *key; (key = va_arg(fields, const char *)) != NULL;) {
            const char *value = va_arg(fields, const char *);
            if (value != NULL)
                fprintf(stderr, " %s=%s", key, value);
        }
        fprintf(stderr, "\n");
    }
    if (level < LOG_WARN)
        return;
    rig_log.count++;
    snprintf(rig_log.last, sizeof rig_log.last, "%s: %.600s", event, text);
}

void __wrap_log_event(enum log_level level, const char *event, ...)
{
    va_list fields;

    va_start(fields, event);
    rig_tell(level, event, "", fields);
    va_end(fields);
}

void __wrap_log_error(enum log_level level, const struct error *err, const char *event, ...)
{
    va_list fields;

    va_start(fields, event);
    rig_tell(level, event, err->text, fields);
    va_end(fields);
}

unsigned rig_told(void)
{
    return rig_log.count;
}

const char *rig_told_last(void)
{
    return rig_log.last;
}

void rig_hush(void)
{
    rig_log.count = 0;
    rig_log.last[0] = '\0';
}

/* ---- the pools */

static struct {
    struct work *works[RIG_QUEUE_COUNT_MAX];
    size_t count;
} rig_queue;

void __wrap_pool_submit(struct pool *pool, struct work *work);

/* One work at a time, so that none runs twice at once. */
void __wrap_pool_submit(struct pool *pool, struct work *work)
{
    (void)pool;
    for (size_t index = 0; index < rig_queue.count; index++)
        if (rig_queue.works[index] == work)
            return;
    assert_true(rig_queue.count < RIG_QUEUE_COUNT_MAX);
    rig_queue.works[rig_queue.count++] = work;
}

static bool rig_run_work(void)
{
    if (rig_queue.count == 0)
        return false;
    struct work *work = rig_queue.works[0];
    rig_queue.count--;
    memmove(rig_queue.works, rig_queue.works + 1, rig_queue.count * sizeof rig_queue.works[0]);
    work->run(work->payload);
    return true;
}

/* The daemon polls then. To close an inotify descriptor takes the kernel longer than a whole flow.
 */
int __wrap_inotify_init1(int flags);
int __wrap_inotify_init1(int flags)
{
    (void)flags;
    errno = EMFILE;
    return -1;
}

/* ---- begin and end */

static size_t rig_count_fds(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

void rig_sql(struct rig *rig, const char *sql)
{
    char *message = NULL;

    fault_disarm();
    if (rig->app == NULL) {
        if (sqlite3_open(rig->path, &rig->app) != SQLITE_OK)
            RIG_FAIL("open: %s", sqlite3_errmsg(rig->app));
        sqlite3_busy_timeout(rig->app, 1000);
        sqlite3_wal_autocheckpoint(rig->app, 0);
    }
    if (sqlite3_exec(rig->app, sql, NULL, NULL, &message) != SQLITE_OK)
        RIG_FAIL("%s: %s", sql, message);
}

void rig_close_app(struct rig *rig)
{
    fault_disarm();
    if (rig->app != NULL)
        assert_int_equal(sqlite3_close(rig->app), SQLITE_OK);
    rig->app = NULL;
}

void rig_begin(struct rig *rig, const char *url)
{
    struct error err = { 0 };

    fault_disarm();
    signal(SIGABRT, rig_on_abort);
    *rig = (struct rig){ .fd_count = rig_count_fds(), .scratch = scratch_new() };
    rig->path = scratch_path(&rig->scratch, "app.db");
    rig->output = scratch_path(&rig->scratch, "restored.db");
    rig->url = url != NULL ? text_copy(url) : scratch_path(&rig->scratch, "replica");
    config_set_defaults(&rig->config);
    RIG_MUST(config_add_db(&rig->config, rig->path, rig->url, &err));
    rig_sql(rig, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL;"
                 "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
                 "INSERT INTO t(v) VALUES(randomblob(3000)), (randomblob(2000)), ('short'),"
                 "(randomblob(9000));");
}

static void rig_image_release(struct rig_image *image)
{
    sqlite3_free(image->pages);
    *image = (struct rig_image){ 0 };
}

void rig_end(struct rig *rig)
{
    rig_stop(rig);
    rig_close_app(rig);
    rig_image_release(&rig->durable_image);
    rig_image_release(&rig->older_image);
    rig_image_release(&rig->source);
    config_release(&rig->config);
    free(rig->path);
    free(rig->output);
    free(rig->url);
    scratch_release(&rig->scratch);
    s3_server_tidy();
    size_t fd_count = rig_count_fds();
    if (fd_count != rig->fd_count)
        RIG_FAIL("%zu descriptors were open before, %zu are now", rig->fd_count, fd_count);
}

/* ---- the daemon */

void rig_start(struct rig *rig)
{
    struct error err = { 0 };

    assert_null(rig->entry);
    rig->context = (struct entry_context){ .cancel = cancel_new(), .watch = watch_new() };
    RIG_MUST(scheduler_new(&rig->context.scheduler, &err));
    RIG_MUST(entry_new(&rig->entry, &rig->context, &rig->config.dbs[0], &err));
    entry_start(rig->entry);
}

void rig_stop(struct rig *rig)
{
    fault_disarm();
    if (rig->entry == NULL)
        return;
    cancel_now(rig->context.cancel);
    rig_queue.count = 0;
    entry_free(TAKE(rig->entry));
    metrics_registry_release(&rig->context.registry);
    scheduler_free(rig->context.scheduler);
    watch_free(rig->context.watch);
    cancel_free(rig->context.cancel);
}

bool rig_settle(struct rig *rig, int64_t ms)
{
    struct error why = { 0 };
    int64_t until_ms = clock_monotonic_ms() + ms;

    entry_drain(rig->entry);
    for (;;) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t wait_ms = scheduler_run_due(rig->context.scheduler, now_ms);
        if (rig_run_work()) {
            if (rig->ends_when_hit && fault_fired())
                return false;
            continue;
        }
        if (entry_settlement(rig->entry, &why) == ENTRY_SETTLED)
            return true;
        if (entry_settlement(rig->entry, &why) == ENTRY_LOST)
            return false;
        if (wait_ms < 0 || now_ms >= until_ms)
            return false;
        simulated_time_pass_ms(wait_ms);
    }
}

void rig_run(struct rig *rig, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;

    for (int64_t now_ms; (now_ms = clock_monotonic_ms()) < until_ms;) {
        int64_t wait_ms = scheduler_run_due(rig->context.scheduler, now_ms);
        if (rig_run_work())
            continue;
        if (wait_ms < 0 || wait_ms > until_ms - now_ms)
            wait_ms = until_ms - now_ms;
        simulated_time_pass_ms(wait_ms);
    }
}

void rig_must_settle(struct rig *rig)
{
    struct error why = { 0 };

    if (rig_settle(rig, RIG_SETTLE_MS))
        return;
    enum entry_settlement settlement = entry_settlement(rig->entry, &why);
    RIG_FAIL("not durable after an hour (%s): %s; last told: %s",
        settlement == ENTRY_LOST ? "refused" : "waiting", why.text, rig_told_last());
}

/* ---- what must be true */

/* Every page as SQLite reads it. */
static struct rig_image rig_image(struct rig *rig)
{
    sqlite3_int64 size = 0;

    rig_sql(rig, "SELECT 1");
    uint8_t *pages = sqlite3_serialize(rig->app, "main", &size, 0);
    assert_non_null(pages);
    return (struct rig_image){ pages, (size_t)size };
}

void rig_remember(struct rig *rig)
{
    pthread_mutex_lock(&rig->entry->mu);
    rig->durable_timeline = rig->entry->durable.timeline;
    pthread_mutex_unlock(&rig->entry->mu);
    rig->durable_txid = entry_durable_txid(rig->entry);
    rig_image_release(&rig->older_image);
    rig->older_image = rig->durable_image;
    rig->durable_image = rig_image(rig);
    assert_true(rig->durable_txid > 0);
}

static rc rig_restore_to(struct rig *rig, const struct restore_target *target, struct error *err)
{
    struct store *store = NULL;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_options options = {
        .output = rig->output, .parallelism = 1, .check = RESTORE_CHECK_QUICK
    };
    struct restore_report report;

    TRY(store_open(&store, rig->url, &rig->config.dbs[0].replica.options, err));
    struct replica *replica = replica_new(store);
    rc code = restore_plan_make(&plan, replica, target, err);
    if (code == RC_OK)
        code = restore_run(replica, &plan, &options, &report, err);
    replica_free(replica);
    store_free(store);
    return code;
}

rc rig_restore(struct rig *rig, struct error *err)
{
    struct restore_target newest = { .kind = RESTORE_NEWEST };

    return rig_restore_to(rig, &newest, err);
}

static bool rig_holds(const struct rig_image *image, const struct buf *found)
{
    return bytes_equal(buf_bytes(found), bytes_of(image->pages, image->size));
}

void rig_take_output(
    struct rig *rig, const struct rig_image *expected, const struct rig_image *older)
{
    struct error err = { 0 };
    auto_buf struct buf found = BUF_INIT(RIG_DATABASE_SIZE_MAX);

    RIG_MUST(fs_read_file(&found, rig->output, &err));
    if (!rig_holds(expected, &found) && (older == NULL || !rig_holds(older, &found)))
        RIG_FAIL("the restore differs: %zu bytes, expected %zu", found.size, expected->size);
    assert_int_equal(unlink(rig->output), 0);
}

static void rig_check_restore(
    struct rig *rig, const struct restore_target *target, const struct rig_image *expected)
{
    struct error err = { 0 };

    RIG_MUST(rig_restore_to(rig, target, &err));
    rig_take_output(rig, expected, NULL);
}

static bool rig_is_temp(const char *name)
{
    return strstr(name, ".tmp-") != NULL || strstr(name, "-restore-") != NULL ||
           strstr(name, "XXXXXX") != NULL;
}

static void rig_check_names(struct rig *rig, const char *path)
{
    DIR *folder = opendir(path);

    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (rig_is_temp(entry->d_name))
            RIG_FAIL("'%s/%s' was left behind", path, entry->d_name);
        auto_free char *inner = path_join(path, entry->d_name);
        if (entry->d_type == DT_DIR)
            rig_check_names(rig, inner);
    }
    closedir(folder);
}

static void rig_check_newest(struct rig *rig)
{
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    struct rig_image image = rig_image(rig);

    rig_check_restore(rig, &newest, &image);
    rig_image_release(&image);
}

void rig_check_claim(struct rig *rig, bool all)
{
    struct error err = { 0 };

    fault_disarm();
    pthread_mutex_lock(&rig->entry->mu);
    struct restore_target claimed = {
        .kind = RESTORE_TXID,
        .timeline = rig->entry->durable.timeline,
        .txid = entry_durable_txid_locked(rig->entry),
    };
    pthread_mutex_unlock(&rig->entry->mu);
    /* A stale listing may have hidden a timeline of another writer, which then is the newest. */
    if (all && !rig->may_be_older) {
        rig_check_newest(rig);
    } else if (claimed.txid > 0) {
        RIG_MUST(rig_restore_to(rig, &claimed, &err));
        assert_int_equal(unlink(rig->output), 0);
    }
}

void rig_note_source(struct rig *rig)
{
    rig_image_release(&rig->source);
    rig->source = rig_image(rig);
}

/* As a process sees it that opens the database now. */
static void rig_check_source(struct rig *rig, const struct rig_image *expected)
{
    rig_close_app(rig);
    struct rig_image found = rig_image(rig);
    if (found.size != expected->size || memcmp(found.pages, expected->pages, found.size) != 0)
        RIG_FAIL("the database has lost what was written: %zu bytes, expected %zu", found.size,
            expected->size);
    rig_image_release(&found);
}

/* And once all was copied into the file, by SQLite when the last connection closes. */
static void rig_check_file(struct rig *rig)
{
    struct rig_image image = rig_image(rig);

    rig_stop(rig);
    rig_check_source(rig, &image);
    rig_image_release(&image);
}

/* The timeline still ends where it did. */
static void rig_check_sealed(struct rig *rig)
{
    struct error err = { 0 };
    struct store *store = NULL;
    struct replica_position end;

    CHECK_OK(store_open(&store, rig->url, &rig->config.dbs[0].replica.options, &err));
    struct replica *replica = replica_new(store);
    CHECK_OK(replica_log_end(replica, rig->durable_timeline, &end, &err));
    assert_int_equal(end.txid, rig->durable_txid);
    replica_free(replica);
    store_free(store);
}

void rig_check(struct rig *rig)
{
    fault_disarm();
    rig->ends_when_hit = false;
    if (rig->source.size > 0)
        rig_check_source(rig, &rig->source);
    if (rig->entry == NULL)
        rig_start(rig);
    rig_must_settle(rig);
    if (!rig->may_be_older)
        rig_check_newest(rig);

    /* And once more from the start, with a next commit. */
    rig_stop(rig);
    simulated_time_pass_ms(RIG_STALE_MS);
    rig_start(rig);
    rig_must_settle(rig);
    rig_sql(rig, "INSERT INTO t(v) VALUES(randomblob(100))");
    rig_must_settle(rig);
    rig_check_newest(rig);
    if (rig->durable_txid > 0) {
        struct restore_target target = {
            .kind = RESTORE_TXID,
            .timeline = rig->durable_timeline,
            .txid = rig->durable_txid,
        };
        rig_check_restore(rig, &target, &rig->durable_image);
    }
    if (rig->is_sealed)
        rig_check_sealed(rig);
    rig_check_names(rig, rig->scratch.folder);
    rig_check_file(rig);
}
