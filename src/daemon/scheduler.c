/* scheduler - see scheduler_priv.h */
#include "scheduler_priv.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"

struct scheduler {
    int fd;
    pthread_mutex_t mu;
    struct job **heap; /* 1-based, heap[1] is due first; guarded by mu */
    size_t count;      /* guarded by mu */
    size_t capacity;   /* guarded by mu */
};

static void scheduler_put(struct scheduler *scheduler, size_t place, struct job *job)
{
    scheduler->heap[place] = job;
    job->heap_place = place;
}

static void scheduler_rise(struct scheduler *scheduler, struct job *job)
{
    size_t place = job->heap_place;

    while (place > 1 && scheduler->heap[place / 2]->due_ms > job->due_ms) {
        scheduler_put(scheduler, place, scheduler->heap[place / 2]);
        place /= 2;
    }
    scheduler_put(scheduler, place, job);
}

static void scheduler_sink(struct scheduler *scheduler, struct job *job)
{
    size_t place = job->heap_place;

    for (;;) {
        size_t child = place * 2;
        if (child > scheduler->count)
            break;
        if (child < scheduler->count &&
            scheduler->heap[child + 1]->due_ms < scheduler->heap[child]->due_ms)
            child++;
        if (scheduler->heap[child]->due_ms >= job->due_ms)
            break;
        scheduler_put(scheduler, place, scheduler->heap[child]);
        place = child;
    }
    scheduler_put(scheduler, place, job);
}

static void scheduler_take_first(struct scheduler *scheduler)
{
    struct job *last = scheduler->heap[scheduler->count--];

    scheduler->heap[1]->heap_place = 0;
    if (scheduler->count == 0)
        return;
    scheduler_put(scheduler, 1, last);
    scheduler_sink(scheduler, last);
}

static void scheduler_add(struct scheduler *scheduler, struct job *job)
{
    if (scheduler->count + 1 >= scheduler->capacity) {
        scheduler->capacity = scheduler->capacity == 0 ? 16 : scheduler->capacity * 2;
        scheduler->heap =
            mem_resize(scheduler->heap, scheduler->capacity * sizeof *scheduler->heap);
    }
    scheduler_put(scheduler, ++scheduler->count, job);
    scheduler_rise(scheduler, job);
}

rc scheduler_new(struct scheduler **ret, struct error *err)
{
    auto_fd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        FAIL_SYS(err, "eventfd");

    struct scheduler *scheduler = mem_new(sizeof *scheduler);
    scheduler->fd = TAKE_FD(fd);
    pthread_mutex_init(&scheduler->mu, NULL);
    *ret = scheduler;
    return RC_OK;
}

void scheduler_free(struct scheduler *scheduler)
{
    if (scheduler == NULL)
        return;
    close(scheduler->fd);
    pthread_mutex_destroy(&scheduler->mu);
    free(scheduler->heap);
    free(scheduler);
}

int scheduler_fd(const struct scheduler *scheduler)
{
    return scheduler->fd;
}

void scheduler_at(struct scheduler *scheduler, struct job *job, int64_t due_ms)
{
    pthread_mutex_lock(&scheduler->mu);
    bool waiting = job->heap_place != 0;
    if (!waiting || due_ms < job->due_ms) {
        job->due_ms = due_ms;
        if (waiting)
            scheduler_rise(scheduler, job);
        else
            scheduler_add(scheduler, job);
    }
    bool first = scheduler->heap[1] == job;
    pthread_mutex_unlock(&scheduler->mu);

    /* A full counter means that the watcher has been told already. */
    uint64_t one = 1;
    if (first && write(scheduler->fd, &one, sizeof one) < 0)
        assert(errno == EAGAIN);
}

int64_t scheduler_run_due(struct scheduler *scheduler, int64_t now_ms)
{
    uint64_t count;
    int64_t wait_ms = -1;

    if (read(scheduler->fd, &count, sizeof count) < 0)
        assert(errno == EAGAIN || errno == EINTR);
    pthread_mutex_lock(&scheduler->mu);
    while (scheduler->count > 0 && scheduler->heap[1]->due_ms <= now_ms) {
        struct job *job = scheduler->heap[1];
        scheduler_take_first(scheduler);
        pool_submit(job->pool, &job->work);
    }
    if (scheduler->count > 0)
        wait_ms = scheduler->heap[1]->due_ms - now_ms;
    pthread_mutex_unlock(&scheduler->mu);
    return wait_ms;
}
