/*
 * watch - how we learn that a log grew or a file appeared
 *
 * inotify(7). A log is watched once: the first write after watch_log_arm() wakes the watcher, later
 * ones cost nothing until it is armed again, so that a busy application does not wake us for each
 * commit. Whoever arms must look at the database once more afterwards: what happened before was not
 * watched. The folder is watched always, for databases that appear, are replaced or deleted.
 *
 * Where inotify is missing or full, arming answers false and the caller polls.
 */
#ifndef SEAWAL_DAEMON_WATCH_PRIV_H
#define SEAWAL_DAEMON_WATCH_PRIV_H

#include "base/error.h"

#include <stdbool.h>

struct watch;

enum watch_event { WATCH_LOG_WRITTEN, WATCH_FILE_CHANGED };

/* Called on the watcher thread by watch_dispatch(). */
typedef void watch_fn(void *payload, enum watch_event event);

struct watch_target {
    const char *database_path; /* borrowed for the target's life */
    const char *log_path;      /* borrowed for the target's life */
    watch_fn *notify;
    void *payload;
    int log_wd;    /* -1: not armed; guarded by the watch's mutex */
    int folder_wd; /* -1: not watched; guarded by the watch's mutex */
};

struct watch *watch_new(void);
void watch_free(struct watch *watch);

/* Readable when watch_dispatch() should be called; -1 when inotify is missing. */
int watch_fd(const struct watch *watch);

/* Before the watcher thread runs. */
void watch_add(struct watch *watch, struct watch_target *target);

/* Any thread. False: not watched (no inotify, no such file or folder): poll. */
bool watch_log_arm(struct watch *watch, struct watch_target *target);
bool watch_folder_arm(struct watch *watch, struct watch_target *target);

/* The watcher thread: read events and notify. */
void watch_dispatch(struct watch *watch);

#endif
