/*
 * fault_sqlite - the nth call that SQLite makes, or that we make of SQLite, fails
 *
 * Its system calls are replaced by xSetSystemCall. fsync is not among them: this program's own
 * fsync() and fdatasync() stand before the C library's for every shared library. Our calls of
 * SQLite come by the linker's --wrap.
 */
#include "harness/fault_sqlite.h"

#include "harness/fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* SQLite's own. */
static struct {
    int (*open)(const char *path, int flags, int mode);
    int (*access)(const char *path, int mode);
    int (*stat)(const char *path, struct stat *ret);
    int (*fstat)(int fd, struct stat *ret);
    int (*ftruncate)(int fd, off_t size);
    int (*fcntl)(int fd, int command, ...);
    ssize_t (*pread)(int fd, void *out, size_t size, off_t offset);
    ssize_t (*pwrite)(int fd, const void *data, size_t size, off_t offset);
    int (*unlink)(const char *path);
    void *(*mmap)(void *address, size_t size, int protection, int flags, int fd, off_t offset);
} system_calls;

/* ---- what a failed fsync loses */

/*
 * What SQLite wrote into database files and has not synced: the bytes that were there before. Where
 * an fsync fails they come back, as when the kernel has dropped the pages that it could not write.
 * Logs are left alone: SQLite itself does not survive it there.
 */
struct unsynced {
    dev_t device;
    ino_t inode;
    off_t file_size; /* before the write */
    off_t offset;
    size_t size; /* of what was there */
    struct unsynced *next;
    uint8_t before[];
};

enum { TRACKED_FD_MAX = 1024 };

static pthread_mutex_t track_mu = PTHREAD_MUTEX_INITIALIZER; /* guards all of these */
static struct unsynced *unsynced;                            /* the latest first */
static bool is_database_fd[TRACKED_FD_MAX];
static bool tracks_writes;

static void track_open(const char *path, int fd)
{
    size_t size = strlen(path);
    bool is_other =
        size > 4 && (strcmp(path + size - 4, "-wal") == 0 || strcmp(path + size - 4, "-shm") == 0);

    pthread_mutex_lock(&track_mu);
    if (fd >= 0 && fd < TRACKED_FD_MAX)
        is_database_fd[fd] = !is_other;
    pthread_mutex_unlock(&track_mu);
}

static void track_write_locked(int fd, size_t size, off_t offset)
{
    struct stat status;

    if (!tracks_writes || fd >= TRACKED_FD_MAX || !is_database_fd[fd] ||
        system_calls.fstat(fd, &status) != 0)
        return;
    struct unsynced *write = malloc(sizeof *write + size);
    assert(write != NULL);
    ssize_t was = system_calls.pread(fd, write->before, size, offset);
    write->device = status.st_dev;
    write->inode = status.st_ino;
    write->file_size = status.st_size;
    write->offset = offset;
    write->size = was > 0 ? (size_t)was : 0;
    write->next = unsynced;
    unsynced = write;
}

/* Before the SIZE bytes at OFFSET are written. */
static void track_write(int fd, size_t size, off_t offset)
{
    pthread_mutex_lock(&track_mu);
    track_write_locked(fd, size, offset);
    pthread_mutex_unlock(&track_mu);
}

static void track_sync_locked(int fd, bool is_lost)
{
    struct stat status;

    if (unsynced == NULL || system_calls.fstat(fd, &status) != 0)
        return;
    for (struct unsynced **at = &unsynced; *at != NULL;) {
        struct unsynced *write = *at;
        if (write->inode != status.st_ino || write->device != status.st_dev) {
            at = &write->next;
            continue;
        }
        if (is_lost) {
            ssize_t put = system_calls.pwrite(fd, write->before, write->size, write->offset);
            assert(put == (ssize_t)write->size);
            int cut = system_calls.ftruncate(fd, write->file_size);
            assert(cut == 0);
        }
        *at = write->next;
        free(write);
    }
}

/* What was written through FD, or another descriptor of its file, is on disk, or lost. */
static void track_sync(int fd, bool is_lost)
{
    int saved = errno;

    pthread_mutex_lock(&track_mu);
    track_sync_locked(fd, is_lost);
    pthread_mutex_unlock(&track_mu);
    errno = saved;
}

void fault_sqlite_track_writes(void)
{
    pthread_mutex_lock(&track_mu);
    tracks_writes = true;
    while (unsynced != NULL) {
        struct unsynced *write = unsynced;
        unsynced = write->next;
        free(write);
    }
    pthread_mutex_unlock(&track_mu);
}

/* ---- below SQLite */

static int sqlite_open(const char *path, int flags, int mode)
{
    if (fault_refuses(FAULT_SQLITE_OPEN, "sqlite open"))
        return -1;
    int fd = system_calls.open(path, flags, mode);
    track_open(path, fd);
    return fd;
}

static int sqlite_access(const char *path, int mode)
{
    return fault_refuses(FAULT_SQLITE_STAT, "sqlite access") ? -1 : system_calls.access(path, mode);
}

static int sqlite_stat(const char *path, struct stat *ret)
{
    return fault_refuses(FAULT_SQLITE_STAT, "sqlite stat") ? -1 : system_calls.stat(path, ret);
}

static int sqlite_fstat(int fd, struct stat *ret)
{
    return fault_refuses(FAULT_SQLITE_STAT, "sqlite fstat") ? -1 : system_calls.fstat(fd, ret);
}

static int sqlite_ftruncate(int fd, off_t size)
{
    if (fault_refuses(FAULT_SQLITE_TRUNCATE, "sqlite ftruncate"))
        return -1;
    return system_calls.ftruncate(fd, size);
}

static int sqlite_fcntl(int fd, int command, ...)
{
    va_list arguments;

    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_SETLK) {
        const struct flock *lock = argument;
        if (lock->l_type != F_UNLCK && fault_refuses(FAULT_SQLITE_LOCK, "sqlite lock"))
            return -1;
    }
    return system_calls.fcntl(fd, command, argument);
}

static ssize_t sqlite_pread(int fd, void *out, size_t size, off_t offset)
{
    if (fault_resizes(FAULT_SQLITE_READ, "sqlite pread", &size))
        return -1;
    return system_calls.pread(fd, out, size, offset);
}

static ssize_t sqlite_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (fault_resizes(FAULT_SQLITE_WRITE, "sqlite pwrite", &size))
        return -1;
    track_write(fd, size, offset);
    return system_calls.pwrite(fd, data, size, offset);
}

static int sqlite_unlink(const char *path)
{
    return fault_refuses(FAULT_SQLITE_REMOVE, "sqlite unlink") ? -1 : system_calls.unlink(path);
}

static void *sqlite_mmap(
    void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (fault_refuses(FAULT_SQLITE_MAP, "sqlite mmap"))
        return (void *)-1;
    return system_calls.mmap(address, size, protection, flags, fd, offset);
}

/* What is refused for ever is not waited for: SQLite tries the locks of the log for ten seconds. */
static int sqlite_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

#define REPLACE_CALL(vfs, name, field)                                                             \
    do {                                                                                           \
        void (*was_)(void) = (vfs)->xGetSystemCall((vfs), (name));                                 \
        assert(was_ != NULL);                                                                      \
        system_calls.field = (__typeof__(system_calls.field))was_;                                 \
        int result_ = (vfs)->xSetSystemCall(                                                       \
            (vfs), (name), (sqlite3_syscall_ptr)(void (*)(void))sqlite_##field);                   \
        assert(result_ == SQLITE_OK);                                                              \
    } while (0)

void fault_sqlite_install(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    REPLACE_CALL(vfs, "open", open);
    REPLACE_CALL(vfs, "access", access);
    REPLACE_CALL(vfs, "stat", stat);
    REPLACE_CALL(vfs, "fstat", fstat);
    REPLACE_CALL(vfs, "ftruncate", ftruncate);
    REPLACE_CALL(vfs, "fcntl", fcntl);
    REPLACE_CALL(vfs, "unlink", unlink);
    REPLACE_CALL(vfs, "mmap", mmap);
    vfs->xSleep = sqlite_sleep;
    /* One of the two names is used, depending on how the library was built. */
    REPLACE_CALL(vfs, vfs->xGetSystemCall(vfs, "pread64") != NULL ? "pread64" : "pread", pread);
    REPLACE_CALL(vfs, vfs->xGetSystemCall(vfs, "pwrite64") != NULL ? "pwrite64" : "pwrite", pwrite);
}

static int sqlite_sync(const char *name, long number, int fd)
{
    int result = fault_sync(FAULT_SQLITE_SYNC, name, number, fd);

    track_sync(fd, result != 0);
    return result;
}

int fdatasync(int fd)
{
    return sqlite_sync("sqlite fdatasync", SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sqlite_sync("sqlite fsync", SYS_fsync, fd);
}

/* ---- calls of SQLite */

int __real_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);
int __real_sqlite3_prepare_v2(
    sqlite3 *db, const char *sql, int size, sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_prepare_v2(
    sqlite3 *db, const char *sql, int size, sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned int flags,
    sqlite3_stmt **ret, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned int flags,
    sqlite3_stmt **ret, const char **tail);
int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __real_sqlite3_file_control(sqlite3 *db, const char *name, int operation, void *argument);
int __wrap_sqlite3_file_control(sqlite3 *db, const char *name, int operation, void *argument);
int __real_sqlite3_wal_checkpoint_v2(
    sqlite3 *db, const char *name, int mode, int *frames, int *done);
int __wrap_sqlite3_wal_checkpoint_v2(
    sqlite3 *db, const char *name, int mode, int *frames, int *done);

/* A failed open leaves a handle behind, which must be closed all the same. */
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs)
{
    int code = fault_code(FAULT_SQLITE_CALL, "sqlite3_open_v2");
    int result = __real_sqlite3_open_v2(path, ret, flags, vfs);

    return code != 0 ? code : result;
}

int __wrap_sqlite3_prepare_v2(
    sqlite3 *db, const char *sql, int size, sqlite3_stmt **ret, const char **tail)
{
    int code = fault_code(FAULT_SQLITE_CALL, "sqlite3_prepare_v2");

    *ret = NULL;
    return code != 0 ? code : __real_sqlite3_prepare_v2(db, sql, size, ret, tail);
}

int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned int flags,
    sqlite3_stmt **ret, const char **tail)
{
    int code = fault_code(FAULT_SQLITE_CALL, "sqlite3_prepare_v3");

    *ret = NULL;
    return code != 0 ? code : __real_sqlite3_prepare_v3(db, sql, size, flags, ret, tail);
}

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    int code = 0;

    if (strcmp(sqlite3_sql(statement), "COMMIT") != 0)
        code = fault_code(FAULT_SQLITE_CALL, "sqlite3_step");
    return code != 0 ? code : __real_sqlite3_step(statement);
}

int __wrap_sqlite3_file_control(sqlite3 *db, const char *name, int operation, void *argument)
{
    int code = fault_code(FAULT_SQLITE_CALL, "sqlite3_file_control");

    return code != 0 ? code : __real_sqlite3_file_control(db, name, operation, argument);
}

int __wrap_sqlite3_wal_checkpoint_v2(
    sqlite3 *db, const char *name, int mode, int *frames, int *done)
{
    int code = fault_code(FAULT_SQLITE_CALL, "sqlite3_wal_checkpoint_v2");

    return code != 0 ? code : __real_sqlite3_wal_checkpoint_v2(db, name, mode, frames, done);
}
