/* One baton, handed on inside SQLite's file methods. */
#include "schedule.h"

#include "base/background.h"
#include "base/error.h"
#include "check.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_COUNT_MAX = 1000000, SLEEP_NS_MIN = 1000000 };

struct running {
    const struct schedule *schedule;
    const struct schedule_actor *actors;
    size_t actor_count;
    bool *cut_short;

    pthread_mutex_t mu;
    pthread_cond_t turned;
    size_t turn;      /* guarded by mu: who has the baton; actor_count: nobody any more */
    size_t part;      /* the rest belongs to who has the baton */
    unsigned steps;   /* left in the part */
    size_t tail_next; /* who of the tail is asked first */
    bool ended[SCHEDULE_ACTOR_COUNT_MAX];
    unsigned long step_count;
};

static struct running *running;
static _Thread_local size_t self = SCHEDULE_ACTOR_COUNT_MAX; /* no actor */
static int64_t virtual_ns = 1000000000;

/* ---- the baton */

/* Who is next: the parts as long as there are any, then the tail; SELF last when it only waits. */
static size_t next_turn(struct running *run)
{
    while (run->part < run->schedule->part_count) {
        const struct schedule_part *part = &run->schedule->parts[run->part];

        run->steps = part->steps;
        if (!run->ended[part->actor])
            return part->actor;
        run->part++;
    }
    for (size_t i = 0; i < run->actor_count; i++) {
        size_t actor = run->schedule->tail[(run->tail_next + i) % run->actor_count];

        if (!run->ended[actor]) {
            run->tail_next = (run->tail_next + i) % run->actor_count;
            return actor;
        }
    }
    return run->actor_count;
}

static void wait_for_turn(struct running *run)
{
    pthread_mutex_lock(&run->mu);
    while (run->turn != self)
        pthread_cond_wait(&run->turned, &run->mu);
    pthread_mutex_unlock(&run->mu);
}

static void hand_over(struct running *run, size_t next)
{
    pthread_mutex_lock(&run->mu);
    run->turn = next;
    pthread_cond_broadcast(&run->turned);
    pthread_mutex_unlock(&run->mu);
}

/* No failure of the test framework's: this is another thread. */
static void abort_endless(void)
{
    fprintf(stderr, "schedule: without an end\n");
    abort();
}

static void leave_part(struct running *run)
{
    if (run->part < run->schedule->part_count)
        run->part++;
    else
        run->tail_next++;
}

static void switch_actor(struct running *run)
{
    leave_part(run);

    size_t next = next_turn(run);
    if (next == self)
        return;
    hand_over(run, next);
    wait_for_turn(run);
}

/* Before the actor does something that others may see. */
static void step(void)
{
    struct running *run = running;

    if (self >= SCHEDULE_ACTOR_COUNT_MAX)
        return;
    if (++run->step_count > STEP_COUNT_MAX)
        abort_endless();
    if (run->part >= run->schedule->part_count)
        return;
    if (run->steps > 0) {
        run->steps--;
        return;
    }
    run->cut_short[run->part] = true;
    switch_actor(run);
}

/* What is waited for cannot come before another one runs. */
static void sleep_ns(int64_t ns)
{
    virtual_ns += ns < SLEEP_NS_MIN ? SLEEP_NS_MIN : ns;
    if (self >= SCHEDULE_ACTOR_COUNT_MAX)
        return;
    if (++running->step_count > STEP_COUNT_MAX)
        abort_endless();
    switch_actor(running);
}

/* ---- time, in place of base/clock.c */

int64_t __wrap_clock_monotonic_ns(void);
int64_t __wrap_clock_monotonic_ms(void);
void __wrap_clock_pause_us(unsigned microseconds);

int64_t __wrap_clock_monotonic_ns(void)
{
    return virtual_ns;
}

int64_t __wrap_clock_monotonic_ms(void)
{
    return virtual_ns / 1000000;
}

void __wrap_clock_pause_us(unsigned microseconds)
{
    sleep_ns((int64_t)microseconds * 1000);
}

rc __wrap_fs_sync(int fd, const char *path, struct error *err);

rc __wrap_fs_sync(int fd, const char *path, struct error *err)
{
    (void)fd;
    (void)path;
    (void)err;
    return RC_OK;
}

/* ---- threads, in place of base/background.c */

static bool background_late;

void schedule_set_background(bool late)
{
    background_late = late;
}

static void background_call(struct background *background)
{
    background->result = background->call(background->payload, &background->err);
    background->is_done = true;
}

void __wrap_background_start(
    struct background *background, rc (*call)(void *payload, struct error *err), void *payload);
bool __wrap_background_wait(struct background *background, int64_t until_ns);
rc __wrap_background_finish(struct background *background, struct error *err);

void __wrap_background_start(
    struct background *background, rc (*call)(void *payload, struct error *err), void *payload)
{
    *background = (struct background){ .call = call, .payload = payload };
    if (!background_late)
        background_call(background);
}

bool __wrap_background_wait(struct background *background, int64_t until_ns)
{
    bool is_first = !background->has_thread;

    (void)until_ns;
    background->has_thread = true;
    if (!background->is_done && !is_first)
        background_call(background);
    return background->is_done;
}

rc __wrap_background_finish(struct background *background, struct error *err)
{
    if (!background->is_done)
        background_call(background);
    if (background->result != RC_OK && err != NULL)
        *err = background->err;
    return background->result;
}

/* ---- the VFS: the system's, but for a step before what matters */

static sqlite3_vfs shim;
static sqlite3_vfs *real_vfs;
static const sqlite3_io_methods *real_methods; /* of files that have shared memory */
static sqlite3_io_methods shim_methods;

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    step();
    return real_methods->xShmLock(file, offset, count, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    step();
    real_methods->xShmBarrier(file);
}

static int shim_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *memory)
{
    step();
    return real_methods->xUnfetch(file, offset, memory);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    step();
    return SQLITE_OK; /* no power is cut here */
}

static int shim_write(sqlite3_file *file, const void *in, int size, sqlite3_int64 offset)
{
    step();
    return real_methods->xWrite(file, in, size, offset);
}

static int shim_open(
    sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
    int result = real_vfs->xOpen(real_vfs, name, file, flags, out);

    (void)vfs;
    if (result != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0)
        return result;
    assert_true(real_methods == NULL || real_methods == file->pMethods);
    if (real_methods == NULL) {
        real_methods = file->pMethods;
        shim_methods = *real_methods;
        shim_methods.xShmLock = shim_shm_lock;
        shim_methods.xShmBarrier = shim_shm_barrier;
        shim_methods.xUnfetch = shim_unfetch;
        shim_methods.xSync = shim_sync;
        shim_methods.xWrite = shim_write;
    }
    file->pMethods = &shim_methods;
    return result;
}

static int shim_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    sleep_ns((int64_t)microseconds * 1000);
    return microseconds;
}

void schedule_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    shim = *real_vfs;
    shim.zName = "schedule";
    shim.xOpen = shim_open;
    shim.xSleep = shim_sleep;
    assert_int_equal(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

/* ---- runs */

static void *actor_main(void *payload)
{
    struct running *run = running;

    self = (size_t)(uintptr_t)payload;
    wait_for_turn(run);
    run->actors[self].run(run->actors[self].payload);
    run->ended[self] = true;
    leave_part(run);
    hand_over(run, next_turn(run));
    return NULL;
}

void schedule_run(const struct schedule *schedule, const struct schedule_actor *actors,
    size_t actor_count, bool ret_cut_short[SCHEDULE_PART_COUNT_MAX])
{
    pthread_t threads[SCHEDULE_ACTOR_COUNT_MAX];
    struct running run = {
        .schedule = schedule,
        .actors = actors,
        .actor_count = actor_count,
        .cut_short = ret_cut_short,
        .mu = PTHREAD_MUTEX_INITIALIZER,
        .turned = PTHREAD_COND_INITIALIZER,
        .turn = SCHEDULE_ACTOR_COUNT_MAX,
    };

    assert_true(actor_count <= SCHEDULE_ACTOR_COUNT_MAX);
    memset(ret_cut_short, 0, SCHEDULE_PART_COUNT_MAX * sizeof *ret_cut_short);
    running = &run;
    for (size_t i = 0; i < actor_count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, actor_main, (void *)(uintptr_t)i), 0);
    hand_over(&run, next_turn(&run));
    for (size_t i = 0; i < actor_count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    running = NULL;
}
