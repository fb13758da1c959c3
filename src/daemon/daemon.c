/*
 * daemon - start in order, watch, stop in reverse; see daemon/daemon.h
 *
 *   RUNNING --- TERM, INT, the child ended, once ---> DRAINING --- all settled, or grace over --->
 * end a second TERM or INT ends at once
 */
#include "daemon/daemon.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "child_priv.h"
#include "entry_priv.h"
#include "metrics_server_priv.h"
#include "notify_priv.h"

enum {
    DAEMON_DRAIN_POLL_MS = 20,
    DAEMON_SECOND_SIGNAL_MS = 1000,
    DAEMON_ARENA_COUNT_MAX = 2, /* of malloc: each costs memory that is never given back */
    DAEMON_MMAP_THRESHOLD = 128 * 1024,

    /* Buffers from this size on go back to the system when they are freed; left alone, glibc raises
     * the threshold to the largest one it has seen and keeps them. */
    DAEMON_MMAP_SIZE_MIN = 128 * 1024,
};

/* Merging waits for the store and for the disk: two, so that a large window holds nobody up. */
enum { DAEMON_MERGE_WORKERS = 2 };

enum daemon_phase { DAEMON_RUNNING, DAEMON_DRAINING, DAEMON_ENDED };

struct daemon {
    const struct daemon_options *options;
    struct entry_context context;
    struct metrics_server *metrics_server; /* NULL: not asked for, or it could not listen */
    struct entry **entries;
    size_t entry_count;
    struct child child;
    int child_status; /* -1: no child, or it has not ended */
    int signal_fd;
    enum daemon_phase phase;
    int64_t drain_began_ms;    /* monotonic */
    int64_t drain_deadline_ms; /* monotonic; INT64_MAX with once */
    int64_t watchdog_interval_ms;
    int64_t watchdog_due_ms;
    rc outcome;
};

static rc daemon_open_signals(struct daemon *daemon, struct error *err)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGQUIT };
    sigset_t set;

    sigemptyset(&set);
    for (size_t index = 0; index < array_count(numbers); index++)
        sigaddset(&set, numbers[index]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signal_fd < 0)
        FAIL_SYS(err, "signalfd");
    return RC_OK;
}

static rc daemon_open_entries(struct daemon *daemon, struct error *err)
{
    const struct config *config = daemon->options->config;

    daemon->entries = mem_new_array(config->db_count, sizeof *daemon->entries);
    for (size_t index = 0; index < config->db_count; index++) {
        TRY(entry_new(&daemon->entries[index], &daemon->context, &config->dbs[index], err));
        daemon->entry_count++;
    }
    return RC_OK;
}

/* An address that is taken must not keep databases from being replicated. */
static void daemon_open_metrics(struct daemon *daemon)
{
    const char *address = daemon->options->config->metrics_address;
    struct error err = { 0 };

    if (address == NULL || daemon->options->once)
        return;
    rc started =
        metrics_server_start(&daemon->metrics_server, &daemon->context.registry, address, &err);
    if (started != RC_OK)
        log_error(LOG_ERROR, &err, "no metrics", "address", address, NULL);
    else
        log_event(LOG_INFO, "metrics", "address", address, "port",
            log_u64(metrics_server_port(daemon->metrics_server)), NULL);
}

static rc daemon_start(struct daemon *daemon, struct error *err)
{
    const struct config *config = daemon->options->config;
    struct entry_context *context = &daemon->context;

    /* Large buffers come and go: each is a mapping of its own, so that going gives it back. */
    mallopt(M_ARENA_MAX, DAEMON_ARENA_COUNT_MAX);
    mallopt(M_MMAP_THRESHOLD, DAEMON_MMAP_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, DAEMON_MMAP_THRESHOLD);
    mallopt(M_MMAP_THRESHOLD, DAEMON_MMAP_SIZE_MIN);
    mallopt(M_TRIM_THRESHOLD, DAEMON_MMAP_SIZE_MIN);
    TRY(daemon_open_signals(daemon, err));
    context->once = daemon->options->once;
    context->new_timeline = daemon->options->new_timeline;
    context->cancel = cancel_new();
    context->watch = watch_new();
    TRY(scheduler_new(&context->scheduler, err));
    TRY(pool_start(&context->capture_pool, "capture", config->capture_workers, err));
    TRY(pool_start(&context->upload_pool, "upload", config->upload_workers, err));
    TRY(pool_start(&context->snapshot_pool, "snapshot", config->snapshot_workers, err));
    TRY(pool_start(&context->merge_pool, "merge", DAEMON_MERGE_WORKERS, err));
    TRY(daemon_open_entries(daemon, err));
    daemon_open_metrics(daemon);
    daemon->watchdog_interval_ms = notify_watchdog_interval_ms();
    if (daemon->options->exec_command != NULL)
        TRY(child_start(&daemon->child, daemon->options->exec_command, err));
    return RC_OK;
}

/* In reverse; what a work still does ends by the cancel token. */
static void daemon_stop(struct daemon *daemon)
{
    struct entry_context *context = &daemon->context;

    metrics_server_stop(daemon->metrics_server);
    if (context->cancel != NULL)
        cancel_now(context->cancel);
    pool_stop(context->merge_pool);
    pool_stop(context->snapshot_pool);
    pool_stop(context->upload_pool);
    pool_stop(context->capture_pool);
    for (size_t index = 0; index < daemon->entry_count; index++)
        entry_free(daemon->entries[index]);
    free(daemon->entries);
    metrics_registry_release(&context->registry);
    scheduler_free(context->scheduler);
    watch_free(context->watch);
    cancel_free(context->cancel);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
}

static void daemon_drain(struct daemon *daemon, const char *why)
{
    if (daemon->phase != DAEMON_RUNNING)
        return;
    daemon->phase = DAEMON_DRAINING;
    daemon->drain_began_ms = clock_monotonic_ms();
    daemon->drain_deadline_ms =
        daemon->options->once ? INT64_MAX
                              : clock_monotonic_ms() + daemon->options->config->shutdown_timeout_ms;
    notify_stopping();
    log_event(LOG_INFO, "final sync", "why", why, NULL);
    for (size_t index = 0; index < daemon->entry_count; index++)
        entry_drain(daemon->entries[index]);
}

static void daemon_child_ended(struct daemon *daemon)
{
    daemon->child_status = daemon->child.exit_code;
    log_event(LOG_INFO, "the application has ended", "status", log_i64(daemon->child_status), NULL);
    daemon_drain(daemon, "application ended");
}

/* With a child, TERM and INT are the child's: its end is what begins the drain. */
static void daemon_asked_to_stop(struct daemon *daemon, int signal_number)
{
    if (daemon->child.pid > 0) {
        child_signal(&daemon->child, signal_number);
        return;
    }
    /* Process managers send TERM to a group and to its leader: a repeat at once is the same wish.
     */
    if (daemon->phase == DAEMON_DRAINING &&
        clock_monotonic_ms() - daemon->drain_began_ms < DAEMON_SECOND_SIGNAL_MS)
        return;
    if (daemon->phase == DAEMON_DRAINING) {
        log_event(LOG_WARN, "asked to stop again: ending without the final sync", NULL);
        daemon->phase = DAEMON_ENDED;
        daemon->outcome = RC_CANCELLED;
        return;
    }
    daemon_drain(daemon, signal_number == SIGTERM ? "TERM" : "INT");
}

static void daemon_signal(struct daemon *daemon, int signal_number)
{
    switch (signal_number) {
    case SIGTERM:
    case SIGINT:
        daemon_asked_to_stop(daemon, signal_number);
        break;
    case SIGCHLD:
        if (child_reap(&daemon->child))
            daemon_child_ended(daemon);
        break;
    default:
        if (daemon->child.pid > 0)
            child_signal(&daemon->child, signal_number);
        else if (signal_number == SIGUSR1)
            log_set_level(log_level_now() == LOG_DEBUG ? LOG_INFO : LOG_DEBUG);
        break;
    }
}

static void daemon_read_signals(struct daemon *daemon)
{
    struct signalfd_siginfo info;

    while (read(daemon->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        daemon_signal(daemon, (int)info.ssi_signo);
}

/* DRAINING: whether everything is settled or time is up. Tells what stays behind. */
static void daemon_check_drain(struct daemon *daemon, struct error *err)
{
    bool over = clock_monotonic_ms() >= daemon->drain_deadline_ms;
    bool settled = true;

    for (size_t index = 0; index < daemon->entry_count; index++) {
        struct error why = { 0 };
        enum entry_settlement settlement = entry_settlement(daemon->entries[index], &why);
        if (settlement == ENTRY_SETTLED)
            continue;
        if (settlement == ENTRY_UNSETTLED && !over) {
            settled = false;
            continue;
        }
        daemon->outcome = why.code != RC_OK ? why.code : RC_NET;
        *err = why;
        if (why.code == RC_OK)
            error_set(err, RC_NET, 0, __FILE__, __LINE__, "not everything became durable in time");
        (void)error_wrap(
            err, daemon->outcome, "database '%s'", daemon->entries[index]->config->path);
    }
    if (settled || over)
        daemon->phase = DAEMON_ENDED;
}

static int daemon_wait_ms(struct daemon *daemon)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t wait_ms = scheduler_run_due(daemon->context.scheduler, now_ms);

    if (daemon->watchdog_interval_ms > 0) {
        if (now_ms >= daemon->watchdog_due_ms) {
            notify_watchdog();
            daemon->watchdog_due_ms = now_ms + daemon->watchdog_interval_ms;
        }
        int64_t due_ms = daemon->watchdog_due_ms - now_ms;
        wait_ms = wait_ms < 0 || due_ms < wait_ms ? due_ms : wait_ms;
    }
    if (daemon->phase == DAEMON_DRAINING && (wait_ms < 0 || wait_ms > DAEMON_DRAIN_POLL_MS))
        wait_ms = DAEMON_DRAIN_POLL_MS;
    return wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms;
}

static void daemon_watch(struct daemon *daemon, struct error *err)
{
    struct pollfd polled[] = {
        { .fd = scheduler_fd(daemon->context.scheduler), .events = POLLIN },
        { .fd = daemon->signal_fd, .events = POLLIN },
        { .fd = watch_fd(daemon->context.watch), .events = POLLIN },
    };

    while (daemon->phase != DAEMON_ENDED) {
        int wait_ms = daemon_wait_ms(daemon);
        if (poll(polled, array_count(polled), wait_ms) < 0)
            assert(errno == EINTR);
        daemon_read_signals(daemon);
        if (polled[2].revents != 0)
            watch_dispatch(daemon->context.watch);
        if (atomic_load(&daemon->context.refused_count) == daemon->entry_count)
            daemon_drain(daemon, "no database is left to replicate");
        if (daemon->phase == DAEMON_DRAINING)
            daemon_check_drain(daemon, err);
    }
}

rc daemon_run(const struct daemon_options *options, int *ret_child_status, struct error *err)
{
    struct daemon daemon = {
        .options = options,
        .child_status = -1,
        .signal_fd = -1,
        .phase = DAEMON_RUNNING,
    };

    rc started = daemon_start(&daemon, err);
    if (started != RC_OK) {
        daemon_stop(&daemon);
        return started;
    }
    log_event(LOG_INFO, "seawal started", "databases", log_u64(daemon.entry_count), NULL);
    for (size_t index = 0; index < daemon.entry_count; index++)
        entry_start(daemon.entries[index]);
    notify_ready();
    if (options->once && options->exec_command == NULL)
        daemon_drain(&daemon, "once");
    daemon_watch(&daemon, err);
    daemon_stop(&daemon);
    log_event(
        LOG_INFO, "seawal ended", "durable", daemon.outcome == RC_OK ? "all" : "not all", NULL);
    *ret_child_status = daemon.child_status;
    return daemon.outcome;
}
