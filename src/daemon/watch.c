/* watch - see watch_priv.h */
#include "watch_priv.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/text.h"

enum { WATCH_BUFFER_SIZE = 16 * 1024 };

struct watch {
    int fd;
    pthread_mutex_t mu;
    struct watch_target **targets; /* set before the watcher thread runs */
    size_t count;
};

struct watch *watch_new(void)
{
    struct watch *watch = mem_new(sizeof *watch);

    /* Without inotify (a limit, an odd kernel) the daemon still works, by polling. */
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    pthread_mutex_init(&watch->mu, NULL);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->fd >= 0)
        close(watch->fd);
    pthread_mutex_destroy(&watch->mu);
    free(watch->targets);
    free(watch);
}

int watch_fd(const struct watch *watch)
{
    return watch->fd;
}

void watch_add(struct watch *watch, struct watch_target *target)
{
    target->log_wd = -1;
    target->folder_wd = -1;
    watch->targets = mem_resize(watch->targets, (watch->count + 1) * sizeof *watch->targets);
    watch->targets[watch->count++] = target;
}

/* The mutex spans adding and noting, so that the watcher knows every descriptor it reads about. */
static bool watch_arm(struct watch *watch, const char *path, uint32_t mask, int *ret_wd)
{
    if (watch->fd < 0)
        return false;

    pthread_mutex_lock(&watch->mu);
    *ret_wd = inotify_add_watch(watch->fd, path, mask);
    bool armed = *ret_wd >= 0;
    pthread_mutex_unlock(&watch->mu);
    return armed;
}

bool watch_log_arm(struct watch *watch, struct watch_target *target)
{
    return watch_arm(watch, target->log_path, IN_MODIFY | IN_ONESHOT, &target->log_wd);
}

bool watch_folder_arm(struct watch *watch, struct watch_target *target)
{
    auto_free char *folder = path_parent(target->database_path);
    uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

    return watch_arm(watch, folder, mask, &target->folder_wd);
}

/* Whether a name in the folder is the database's or its log's. */
static bool watch_concerns(const struct watch_target *target, const char *name)
{
    return text_equal(name, path_name(target->database_path)) ||
           text_equal(name, path_name(target->log_path));
}

static void watch_notify(struct watch *watch, const struct inotify_event *event)
{
    for (size_t index = 0; index < watch->count; index++) {
        struct watch_target *target = watch->targets[index];
        bool written = false;
        bool changed = (event->mask & IN_Q_OVERFLOW) != 0;

        pthread_mutex_lock(&watch->mu);
        if ((event->mask & IN_MODIFY) != 0 && event->wd == target->log_wd) {
            target->log_wd = -1;
            written = true;
        } else if (event->len > 0 && event->wd == target->folder_wd) {
            changed = watch_concerns(target, event->name);
        }
        pthread_mutex_unlock(&watch->mu);

        if (written)
            target->notify(target->payload, WATCH_LOG_WRITTEN);
        if (changed)
            target->notify(target->payload, WATCH_FILE_CHANGED);
    }
}

void watch_dispatch(struct watch *watch)
{
    _Alignas(struct inotify_event) uint8_t buffer[WATCH_BUFFER_SIZE];

    for (;;) {
        ssize_t size = read(watch->fd, buffer, sizeof buffer);
        if (size <= 0)
            return;
        for (size_t offset = 0; offset < (size_t)size;) {
            const struct inotify_event *event = (const void *)(buffer + offset);
            watch_notify(watch, event);
            offset += sizeof *event + event->len;
        }
    }
}
