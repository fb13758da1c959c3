/* pool - see pool_priv.h */
#include "pool_priv.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

/* libcurl and OpenSSL need well below this; small stacks keep a process of many threads small. */
enum { POOL_STACK_SIZE = 512 * 1024, POOL_THREAD_COUNT_MAX = 64 };

struct pool {
    char name[16];
    pthread_mutex_t mu;
    pthread_cond_t filled;
    struct work *first; /* guarded by mu */
    struct work *last;  /* guarded by mu */
    bool stopping;      /* guarded by mu; never cleared */
    unsigned thread_count;
    pthread_t threads[POOL_THREAD_COUNT_MAX];
};

static void pool_append(struct pool *pool, struct work *work)
{
    work->next = NULL;
    work->state = WORK_QUEUED;
    if (pool->last == NULL)
        pool->first = work;
    else
        pool->last->next = work;
    pool->last = work;
    pthread_cond_signal(&pool->filled);
}

/* The next work, now running, or NULL when the pool stops. Called with the mutex held. */
static struct work *pool_take(struct pool *pool)
{
    while (!pool->stopping && pool->first == NULL)
        pthread_cond_wait(&pool->filled, &pool->mu);
    if (pool->stopping)
        return NULL;

    struct work *work = pool->first;
    pool->first = work->next;
    if (pool->first == NULL)
        pool->last = NULL;
    assert(work->state == WORK_QUEUED);
    work->state = WORK_RUNNING;
    return work;
}

static void *pool_main(void *payload)
{
    struct pool *pool = payload;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->mu);
    for (;;) {
        struct work *work = pool_take(pool);
        if (work == NULL)
            break;
        pthread_mutex_unlock(&pool->mu);
        work->run(work->payload);
        pthread_mutex_lock(&pool->mu);
        if (work->state == WORK_RUNNING_AGAIN)
            pool_append(pool, work);
        else
            work->state = WORK_IDLE;
    }
    pthread_mutex_unlock(&pool->mu);
    return NULL;
}

static rc pool_start_threads(struct pool *pool, unsigned thread_count, struct error *err)
{
    pthread_attr_t attributes;
    int failure = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, POOL_STACK_SIZE);
    while (failure == 0 && pool->thread_count < thread_count) {
        failure = pthread_create(&pool->threads[pool->thread_count], &attributes, pool_main, pool);
        pool->thread_count += failure == 0;
    }
    pthread_attr_destroy(&attributes);
    if (failure != 0)
        return error_set(err, RC_IO, failure, __FILE__, __LINE__, "start thread '%s'", pool->name);
    return RC_OK;
}

rc pool_start(struct pool **ret, const char *name, unsigned thread_count, struct error *err)
{
    assert(thread_count > 0);
    assert(thread_count <= POOL_THREAD_COUNT_MAX);

    struct pool *pool = mem_new(sizeof *pool);
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pthread_mutex_init(&pool->mu, NULL);
    pthread_cond_init(&pool->filled, NULL);
    rc started = pool_start_threads(pool, thread_count, err);
    if (started != RC_OK) {
        pool_stop(pool);
        return started;
    }
    *ret = pool;
    return RC_OK;
}

void pool_stop(struct pool *pool)
{
    if (pool == NULL)
        return;

    pthread_mutex_lock(&pool->mu);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->mu);
    for (unsigned thread_index = 0; thread_index < pool->thread_count; thread_index++)
        pthread_join(pool->threads[thread_index], NULL);
    pthread_cond_destroy(&pool->filled);
    pthread_mutex_destroy(&pool->mu);
    free(pool);
}

void pool_submit(struct pool *pool, struct work *work)
{
    assert(work->run != NULL);

    pthread_mutex_lock(&pool->mu);
    switch (work->state) {
    case WORK_IDLE:
        if (!pool->stopping)
            pool_append(pool, work);
        break;
    case WORK_RUNNING:
        work->state = WORK_RUNNING_AGAIN;
        break;
    case WORK_QUEUED:
    case WORK_RUNNING_AGAIN:
        break;
    }
    pthread_mutex_unlock(&pool->mu);
}
