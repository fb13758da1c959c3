/*
 * vfs - SQLite's own VFS with points before its locks and inside its changes of shared memory
 *
 * Everything but the salts of a log is the system's; the calls behind it are calls.c's.
 */
#include <assert.h>
#include <sqlite3.h>
#include <string.h>

#include "sim.h"

enum { METHODS_COUNT_MAX = 8 };

struct methods {
    const sqlite3_io_methods *real;
    sqlite3_io_methods ours;
};

static struct methods methods[METHODS_COUNT_MAX];
static sqlite3_vfs *real_vfs;
static sqlite3_vfs our_vfs;

static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags);

static const sqlite3_io_methods *vfs_real(const sqlite3_file *file)
{
    for (int i = 0; i < METHODS_COUNT_MAX; i++)
        if (&methods[i].ours == file->pMethods)
            return methods[i].real;
    /* The product has put methods of its own before ours: a database file, of one kind. */
    for (int i = 0; i < METHODS_COUNT_MAX; i++)
        if (methods[i].real != NULL && methods[i].ours.xShmLock == vfs_shm_lock)
            return methods[i].real;
    assert(0);
    return NULL;
}

static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    sim_point(CALL_LOCK, NULL);
    return vfs_real(file)->xShmLock(file, offset, count, flags);
}

static void vfs_shm_barrier(sqlite3_file *file)
{
    sim_point(CALL_BARRIER, NULL);
    vfs_real(file)->xShmBarrier(file);
}

static int vfs_lock(sqlite3_file *file, int level)
{
    sim_point(CALL_LOCK, NULL);
    return vfs_real(file)->xLock(file, level);
}

static const sqlite3_io_methods *vfs_ours(const sqlite3_io_methods *real)
{
    for (int i = 0; i < METHODS_COUNT_MAX; i++) {
        if (methods[i].real == real)
            return &methods[i].ours;
        if (methods[i].real != NULL)
            continue;
        methods[i].real = real;
        methods[i].ours = *real;
        methods[i].ours.xLock = vfs_lock;
        if (real->iVersion >= 2 && real->xShmLock != NULL) {
            methods[i].ours.xShmLock = vfs_shm_lock;
            methods[i].ours.xShmBarrier = vfs_shm_barrier;
        }
        return &methods[i].ours;
    }
    assert(0);
    return NULL;
}

static int vfs_open(
    sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    int result = real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);
    if (file->pMethods != NULL)
        file->pMethods = vfs_ours(file->pMethods);
    return result;
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    for (int i = 0; i < size; i++)
        out[i] = (char)sim_random();
    return size;
}

void vfs_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    assert(real_vfs != NULL);
    our_vfs = *real_vfs;
    our_vfs.zName = "sim";
    our_vfs.pNext = NULL;
    our_vfs.xOpen = vfs_open;
    our_vfs.xRandomness = vfs_randomness;
    int result = sqlite3_vfs_register(&our_vfs, 1);
    assert(result == SQLITE_OK);
}
