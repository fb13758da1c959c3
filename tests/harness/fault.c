/*
 * fault - the nth system call fails
 *
 * The linker's --wrap sends the calls of our own code here; the names with 64 are what the C
 * library calls them when offsets have 64 bits.
 */
#include "harness/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>

static struct {
    pthread_mutex_t mu;
    uint64_t counts[FAULT_CALL_COUNT];
    uint64_t any_left; /* calls of any kind until the refused one; 0: none is */
    uint64_t skip[FAULT_CALL_COUNT];
    uint64_t times[FAULT_CALL_COUNT];
    int sys_errno;
    size_t size_max;
    bool fired;
} fault = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void fault_reset(void)
{
    fault.any_left = 0;
    fault.size_max = 0;
    for (int i = 0; i < FAULT_CALL_COUNT; i++) {
        fault.skip[i] = 0;
        fault.times[i] = 0;
    }
}

bool fault_arm(uint64_t nth, int sys_errno)
{
    pthread_mutex_lock(&fault.mu);
    bool again = nth == 1 || fault.fired;
    fault_reset();
    fault.any_left = nth;
    fault.sys_errno = sys_errno;
    fault.fired = false;
    pthread_mutex_unlock(&fault.mu);
    return again;
}

void fault_arm_call(enum fault_call call, uint64_t skip, uint64_t times, int sys_errno)
{
    pthread_mutex_lock(&fault.mu);
    fault_reset();
    fault.skip[call] = skip;
    fault.times[call] = times;
    fault.sys_errno = sys_errno;
    fault.fired = false;
    pthread_mutex_unlock(&fault.mu);
}

void fault_shorten(size_t size)
{
    pthread_mutex_lock(&fault.mu);
    fault.size_max = size;
    pthread_mutex_unlock(&fault.mu);
}

void fault_disarm(void)
{
    pthread_mutex_lock(&fault.mu);
    fault_reset();
    pthread_mutex_unlock(&fault.mu);
}

bool fault_fired(void)
{
    pthread_mutex_lock(&fault.mu);
    bool fired = fault.fired;
    pthread_mutex_unlock(&fault.mu);
    return fired;
}

uint64_t fault_call_count(enum fault_call call)
{
    pthread_mutex_lock(&fault.mu);
    uint64_t count = fault.counts[call];
    pthread_mutex_unlock(&fault.mu);
    return count;
}

/* Whether this one call is the unlucky one; the mutex is held. */
static bool fault_hits(enum fault_call call)
{
    if (fault.any_left > 0 && --fault.any_left == 0)
        return true;
    if (fault.times[call] == 0)
        return false;
    if (fault.skip[call] > 0) {
        fault.skip[call]--;
        return false;
    }
    fault.times[call]--;
    return true;
}

/* True when CALL is refused; errno says why. */
static bool fault_refuses(enum fault_call call)
{
    pthread_mutex_lock(&fault.mu);
    fault.counts[call]++;
    bool hit = fault_hits(call);
    int sys_errno = fault.sys_errno;
    fault.fired = fault.fired || hit;
    pthread_mutex_unlock(&fault.mu);
    if (hit)
        errno = sys_errno;
    return hit;
}

static size_t fault_size(size_t size)
{
    pthread_mutex_lock(&fault.mu);
    size_t size_max = fault.size_max;
    pthread_mutex_unlock(&fault.mu);
    return size_max != 0 && size > size_max ? size_max : size;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_pread64(int fd, void *out, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *out, size_t size, off_t offset);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_remove(const char *path);
int __wrap_remove(const char *path);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list arguments;

    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return fault_refuses(FAULT_OPEN) ? -1 : __real_open64(path, flags, mode);
}

ssize_t __wrap_pread64(int fd, void *out, size_t size, off_t offset)
{
    return fault_refuses(FAULT_READ) ? -1 : __real_pread64(fd, out, fault_size(size), offset);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return fault_refuses(FAULT_WRITE) ? -1 : __real_pwrite64(fd, data, fault_size(size), offset);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return fault_refuses(FAULT_WRITE) ? -1 : __real_write(fd, data, fault_size(size));
}

int __wrap_fdatasync(int fd)
{
    return fault_refuses(FAULT_SYNC) ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return fault_refuses(FAULT_SYNC) ? -1 : __real_fsync(fd);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    return fault_refuses(FAULT_TRUNCATE) ? -1 : __real_ftruncate64(fd, size);
}

int __wrap_rename(const char *from, const char *to)
{
    return fault_refuses(FAULT_RENAME) ? -1 : __real_rename(from, to);
}

/* renameat2() is the only call that our code makes by number; it takes five arguments. */
long __wrap_syscall(long number, ...)
{
    long values[5];
    va_list arguments;

    va_start(arguments, number);
    for (int i = 0; i < 5; i++)
        values[i] = va_arg(arguments, long);
    va_end(arguments);
    if (fault_refuses(FAULT_RENAME))
        return -1;
    return __real_syscall(number, values[0], values[1], values[2], values[3], values[4]);
}

int __wrap_link(const char *from, const char *to)
{
    return fault_refuses(FAULT_LINK) ? -1 : __real_link(from, to);
}

int __wrap_unlink(const char *path)
{
    return fault_refuses(FAULT_REMOVE) ? -1 : __real_unlink(path);
}

int __wrap_remove(const char *path)
{
    return fault_refuses(FAULT_REMOVE) ? -1 : __real_remove(path);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return fault_refuses(FAULT_MKDIR) ? -1 : __real_mkdir(path, mode);
}
