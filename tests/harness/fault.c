/*
 * fault - the nth system call fails
 *
 * The linker's --wrap sends the calls of our own code here (the list is in meson.build); the names
 * with 64 are what the C library calls them when offsets have 64 bits.
 */
#include "harness/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>

static struct {
    pthread_mutex_t mu;
    uint64_t counts[FAULT_CALL_COUNT];
    struct fault_plan plan;
    uint64_t passed; /* calls of the plan since it was armed */
    uint64_t skip[FAULT_CALL_COUNT];
    uint64_t times[FAULT_CALL_COUNT];
    int sys_errno; /* of fault_arm_call() */
    size_t size_max;
    struct {
        uint64_t free_size;
        uint64_t total_size; /* 0: what is true */
        uint64_t files;
    } room;
    bool fired;
    bool skips_syncs;
    const char *name;
} fault = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void fault_reset(void)
{
    fault.plan = (struct fault_plan){ 0 };
    fault.passed = 0;
    fault.size_max = 0;
    for (int i = 0; i < FAULT_CALL_COUNT; i++) {
        fault.skip[i] = 0;
        fault.times[i] = 0;
    }
}

void fault_arm_plan(const struct fault_plan *plan)
{
    pthread_mutex_lock(&fault.mu);
    fault_reset();
    fault.plan = *plan;
    if (fault.plan.times == 0)
        fault.plan.times = 1;
    fault.fired = false;
    fault.name = "";
    pthread_mutex_unlock(&fault.mu);
}

bool fault_arm(uint64_t nth, int sys_errno)
{
    bool again = nth == 1 || fault_fired();

    if (!again) {
        fault_disarm();
        return false;
    }
    fault_arm_plan(&(struct fault_plan){
        .calls = FAULT_CALLS_PLAIN,
        .nth = nth,
        .sys_errno = sys_errno,
    });
    return true;
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

void fault_room(uint64_t free_size, uint64_t total_size, uint64_t files)
{
    pthread_mutex_lock(&fault.mu);
    fault.room.free_size = free_size;
    fault.room.total_size = total_size;
    fault.room.files = files;
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

const char *fault_name(void)
{
    pthread_mutex_lock(&fault.mu);
    const char *name = fault.name;
    pthread_mutex_unlock(&fault.mu);
    return name;
}

uint64_t fault_passed(void)
{
    pthread_mutex_lock(&fault.mu);
    uint64_t passed = fault.passed;
    pthread_mutex_unlock(&fault.mu);
    return passed;
}

uint64_t fault_call_count(enum fault_call call)
{
    pthread_mutex_lock(&fault.mu);
    uint64_t count = fault.counts[call];
    pthread_mutex_unlock(&fault.mu);
    return count;
}

void fault_skip_syncs(void)
{
    fault.skips_syncs = true;
}

/* Whether this one call is an unlucky one of the plan; the mutex is held. */
static bool fault_plan_hits(enum fault_call call)
{
    const struct fault_plan *plan = &fault.plan;

    if (plan->nth == 0 || (plan->calls & FAULT_BIT(call)) == 0)
        return false;
    fault.passed++;
    return fault.passed >= plan->nth && fault.passed - plan->nth < plan->times;
}

/* The same for fault_arm_call(). */
static bool fault_call_hits(enum fault_call call)
{
    if (fault.times[call] == 0)
        return false;
    if (fault.skip[call] > 0) {
        fault.skip[call]--;
        return false;
    }
    fault.times[call]--;
    return true;
}

struct fault_verdict {
    bool hit;
    enum fault_way way;
    int sys_errno;
};

static struct fault_verdict fault_judge(enum fault_call call, const char *name)
{
    struct fault_verdict verdict = { .sys_errno = 0 };

    pthread_mutex_lock(&fault.mu);
    fault.counts[call]++;
    if (fault_plan_hits(call))
        verdict = (struct fault_verdict){ true, fault.plan.way, fault.plan.sys_errno };
    else if (fault_call_hits(call))
        verdict = (struct fault_verdict){ true, FAULT_REFUSE, fault.sys_errno };
    if (verdict.hit) {
        fault.fired = true;
        fault.name = name;
    }
    pthread_mutex_unlock(&fault.mu);
    return verdict;
}

bool fault_refuses(enum fault_call call, const char *name)
{
    struct fault_verdict verdict = fault_judge(call, name);

    if (!verdict.hit || verdict.way == FAULT_SHORTEN)
        return false;
    errno = verdict.sys_errno;
    return true;
}

int fault_code(enum fault_call call, const char *name)
{
    struct fault_verdict verdict = fault_judge(call, name);

    return verdict.hit ? verdict.sys_errno : 0;
}

bool fault_resizes(enum fault_call call, const char *name, size_t *size)
{
    struct fault_verdict verdict = fault_judge(call, name);

    pthread_mutex_lock(&fault.mu);
    size_t size_max = fault.size_max;
    pthread_mutex_unlock(&fault.mu);
    if (size_max != 0 && *size > size_max)
        *size = size_max;
    if (!verdict.hit)
        return false;
    if (verdict.way == FAULT_SHORTEN) {
        *size = (*size + 1) / 2;
        return false;
    }
    errno = verdict.sys_errno;
    return true;
}

/* ---- the calls, in the order of enum fault_call */

#define FAULT_WRAP(type, name, parameters)                                                         \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list arguments;

    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return fault_refuses(FAULT_OPEN, "open") ? -1 : __real_open64(path, flags, mode);
}

FAULT_WRAP(ssize_t, pread64, (int fd, void *out, size_t size, off_t offset))
{
    if (fault_resizes(FAULT_READ, "pread", &size))
        return -1;
    return __real_pread64(fd, out, size, offset);
}

FAULT_WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t size, off_t offset))
{
    if (fault_resizes(FAULT_WRITE, "pwrite", &size))
        return -1;
    return __real_pwrite64(fd, data, size, offset);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_ftruncate64(int fd, off_t size);

static bool fault_is_file(int fd)
{
    int saved = errno;
    struct stat status;

    bool is_file = __real_syscall(SYS_fstat, (long)fd, &status) == 0 && S_ISREG(status.st_mode);
    errno = saved;
    return is_file;
}

/* Of files; the counter behind an eventfd(2) and standard error are no disk. */
FAULT_WRAP(ssize_t, write, (int fd, const void *data, size_t size))
{
    if (fault_is_file(fd) && fault_resizes(FAULT_WRITE, "write", &size))
        return -1;
    return __real_write(fd, data, size);
}

/* The pages that could not be written are gone, as with a disk that failed: zeros of that size. */
static void fault_lose(int fd)
{
    int saved = errno;
    struct stat status;

    int access_mode = fcntl(fd, F_GETFL) & O_ACCMODE;
    if (fault_is_file(fd) && access_mode != O_RDONLY &&
        __real_syscall(SYS_fstat, (long)fd, &status) == 0) {
        (void)!__real_ftruncate64(fd, 0);
        (void)!__real_ftruncate64(fd, status.st_size);
    }
    errno = saved;
}

int fault_sync(enum fault_call call, const char *name, long number, int fd)
{
    struct fault_verdict verdict = fault_judge(call, name);

    if (verdict.hit) {
        errno = verdict.sys_errno;
        if (verdict.way == FAULT_LOSE && call == FAULT_SYNC)
            fault_lose(fd);
        return -1;
    }
    return fault.skips_syncs ? 0 : (int)__real_syscall(number, (long)fd);
}

FAULT_WRAP(int, fdatasync, (int fd))
{
    return fault_sync(FAULT_SYNC, "fdatasync", SYS_fdatasync, fd);
}

FAULT_WRAP(int, fsync, (int fd))
{
    return fault_sync(FAULT_SYNC, "fsync", SYS_fsync, fd);
}

FAULT_WRAP(int, ftruncate64, (int fd, off_t size))
{
    return fault_refuses(FAULT_TRUNCATE, "ftruncate") ? -1 : __real_ftruncate64(fd, size);
}

FAULT_WRAP(int, rename, (const char *from, const char *to))
{
    return fault_refuses(FAULT_RENAME, "rename") ? -1 : __real_rename(from, to);
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
    if (fault_refuses(FAULT_RENAME, "renameat2"))
        return -1;
    return __real_syscall(number, values[0], values[1], values[2], values[3], values[4]);
}

FAULT_WRAP(int, link, (const char *from, const char *to))
{
    return fault_refuses(FAULT_LINK, "link") ? -1 : __real_link(from, to);
}

FAULT_WRAP(int, unlink, (const char *path))
{
    return fault_refuses(FAULT_REMOVE, "unlink") ? -1 : __real_unlink(path);
}

FAULT_WRAP(int, remove, (const char *path))
{
    return fault_refuses(FAULT_REMOVE, "remove") ? -1 : __real_remove(path);
}

FAULT_WRAP(int, mkdir, (const char *path, mode_t mode))
{
    return fault_refuses(FAULT_MKDIR, "mkdir") ? -1 : __real_mkdir(path, mode);
}

FAULT_WRAP(int, stat64, (const char *path, struct stat *ret))
{
    return fault_refuses(FAULT_STAT, "stat") ? -1 : __real_stat64(path, ret);
}

FAULT_WRAP(int, lstat64, (const char *path, struct stat *ret))
{
    return fault_refuses(FAULT_STAT, "lstat") ? -1 : __real_lstat64(path, ret);
}

FAULT_WRAP(int, fstat64, (int fd, struct stat *ret))
{
    return fault_refuses(FAULT_STAT, "fstat") ? -1 : __real_fstat64(fd, ret);
}

FAULT_WRAP(int, fstatat64, (int folder, const char *path, struct stat *ret, int flags))
{
    return fault_refuses(FAULT_STAT, "fstatat") ? -1 : __real_fstatat64(folder, path, ret, flags);
}

FAULT_WRAP(
    int, statx, (int folder, const char *path, int flags, unsigned int mask, struct statx *ret))
{
    return fault_refuses(FAULT_STAT, "statx") ? -1 : __real_statx(folder, path, flags, mask, ret);
}

FAULT_WRAP(int, access, (const char *path, int mode))
{
    return fault_refuses(FAULT_STAT, "access") ? -1 : __real_access(path, mode);
}

FAULT_WRAP(int, flock, (int fd, int operation))
{
    return fault_refuses(FAULT_LOCK, "flock") ? -1 : __real_flock(fd, operation);
}

FAULT_WRAP(
    void *, mmap64, (void *address, size_t size, int protection, int flags, int fd, off_t offset))
{
    if (fault_refuses(FAULT_MAP, "mmap"))
        return (void *)-1;
    return __real_mmap64(address, size, protection, flags, fd, offset);
}

FAULT_WRAP(int, posix_fallocate64, (int fd, off_t offset, off_t size))
{
    int code = fault_code(FAULT_ALLOCATE, "posix_fallocate");

    return code != 0 ? code : __real_posix_fallocate64(fd, offset, size);
}

FAULT_WRAP(DIR *, opendir, (const char *path))
{
    return fault_refuses(FAULT_FOLDER, "opendir") ? NULL : __real_opendir(path);
}

FAULT_WRAP(struct dirent *, readdir64, (DIR * folder))
{
    return fault_refuses(FAULT_FOLDER, "readdir") ? NULL : __real_readdir64(folder);
}

FAULT_WRAP(int, statvfs64, (const char *path, struct statvfs *ret))
{
    if (fault_refuses(FAULT_SPACE, "statvfs"))
        return -1;
    int result = __real_statvfs64(path, ret);
    pthread_mutex_lock(&fault.mu);
    if (fault.room.total_size != 0) {
        ret->f_frsize = 1;
        ret->f_bavail = fault.room.free_size;
        ret->f_blocks = fault.room.total_size;
        ret->f_files = 1 + fault.room.files;
        ret->f_favail = fault.room.files;
    }
    pthread_mutex_unlock(&fault.mu);
    return result;
}

FAULT_WRAP(int, mkostemp64, (char *pattern, int flags))
{
    return fault_refuses(FAULT_TEMP, "mkostemp") ? -1 : __real_mkostemp64(pattern, flags);
}

FAULT_WRAP(char *, realpath, (const char *path, char *ret))
{
    return fault_refuses(FAULT_RESOLVE, "realpath") ? NULL : __real_realpath(path, ret);
}

FAULT_WRAP(char *, getcwd, (char *out, size_t size))
{
    return fault_refuses(FAULT_RESOLVE, "getcwd") ? NULL : __real_getcwd(out, size);
}

FAULT_WRAP(int, fchown, (int fd, uid_t owner, gid_t group))
{
    return fault_refuses(FAULT_OWN, "fchown") ? -1 : __real_fchown(fd, owner, group);
}

FAULT_WRAP(int, pthread_create,
    (pthread_t * ret, const pthread_attr_t *attributes, void *(*run)(void *), void *payload))
{
    int code = fault_code(FAULT_THREAD, "pthread_create");

    return code != 0 ? code : __real_pthread_create(ret, attributes, run, payload);
}
