/*
 * calls - the system calls of our code and of SQLite, as the simulation has them
 *
 * These definitions stand before the C library's for the program and for every shared library it
 * loads. A process that is not live (the scheduler, or a child that sets something up) gets the
 * plain calls.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "sim.h"

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

enum { FD_COUNT_MAX = 1024, FAKE_PID = 4000 };

/* What of the disk each descriptor is: a file and 1, or a folder. 0: nothing. */
static int files[FD_COUNT_MAX];
static char folders[FD_COUNT_MAX][256];

static int call_file(int fd)
{
    return fd >= 0 && fd < FD_COUNT_MAX ? files[fd] - 1 : DISK_NO_FILE;
}

static const char *call_name(int fd)
{
    return fd >= 0 && fd < FD_COUNT_MAX && folders[fd][0] != '\0' ? folders[fd] : "?";
}

/* True: the call is refused and errno says why. */
static bool call_refused(enum sim_call call, const char *path)
{
    int reason = sim_point(call, path);

    if (reason == 0)
        return false;
    errno = reason;
    return true;
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;

    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    bool simulated = sim_self.live && disk_has(path);
    if (simulated && call_refused(CALL_OPEN, path))
        return -1;

    int fd = (int)__real_syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd < 0 || fd >= FD_COUNT_MAX)
        return fd;
    files[fd] = 0;
    folders[fd][0] = '\0';
    if (!sim_self.live)
        return fd;
    snprintf(folders[fd], sizeof folders[fd], "%s", path);
    if (simulated && (flags & O_TMPFILE) != O_TMPFILE)
        files[fd] = disk_file(fd, path) + 1;
    if (simulated && files[fd] > 0 && (flags & O_TRUNC) != 0)
        disk_note_size(call_file(fd), 0);
    return fd;
}

int close(int fd)
{
    if (fd >= 0 && fd < FD_COUNT_MAX) {
        files[fd] = 0;
        folders[fd][0] = '\0';
    }
    return (int)__real_syscall(SYS_close, fd);
}

ssize_t pread64(int fd, void *out, size_t size, off64_t offset)
{
    if (call_file(fd) >= 0 && call_refused(CALL_READ, call_name(fd)))
        return -1;
    return __real_syscall(SYS_pread64, fd, out, size, offset);
}

/* Now and then a call does less than it was asked for. */
static size_t call_size(size_t size)
{
    bool shorter =
        !sim->calm && sim_self.actor == ACTOR_DAEMON && sim_chance(sim->settings.refuse_chance);

    return shorter && size > 1 ? 1 + (size_t)sim_below(size - 1) : size;
}

static void call_wrote(int fd, off64_t offset, ssize_t size)
{
    if (size <= 0)
        return;
    sim_trace((uint64_t)offset << 20 | (uint64_t)size);
    disk_note_write(call_file(fd), (uint64_t)offset, (uint64_t)size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    if (!sim_self.live || call_file(fd) < 0)
        return __real_syscall(SYS_pwrite64, fd, data, size, offset);
    if (call_refused(CALL_WRITE, call_name(fd)))
        return -1;
    ssize_t result = __real_syscall(SYS_pwrite64, fd, data, call_size(size), offset);
    call_wrote(fd, offset, result);
    return result;
}

/* The log is a witness: nothing unusual happens without a warning in it. */
static ssize_t call_log(const char *data, size_t size)
{
    const char *warning = memmem(data, size, "level=", 6);

    if (warning != NULL &&
        (memcmp(warning + 6, "warn", 4) == 0 || memcmp(warning + 6, "erro", 4) == 0))
        sim->counts.warnings++;
    snprintf(sim->last_words, sizeof sim->last_words, "%.*s", (int)size, data);
    sim_say("log: %.*s", (int)size - 1, data);
    return (ssize_t)size;
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (sim_self.live && fd == STDERR_FILENO)
        return call_log(data, size);
    if (!sim_self.live || call_file(fd) < 0)
        return __real_syscall(SYS_write, fd, data, size);
    if (call_refused(CALL_WRITE, call_name(fd)))
        return -1;
    off64_t offset = lseek64(fd, 0, SEEK_CUR);
    ssize_t result = __real_syscall(SYS_write, fd, data, call_size(size));
    call_wrote(fd, offset, result);
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    if (!sim_self.live || call_file(fd) < 0)
        return (int)__real_syscall(SYS_ftruncate, fd, size);
    if (call_refused(CALL_TRUNCATE, call_name(fd)))
        return -1;
    disk_note_size(call_file(fd), (uint64_t)size);
    return (int)__real_syscall(SYS_ftruncate, fd, size);
}

int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
    if (sim_self.live && call_file(fd) >= 0) {
        int reason = sim_point(CALL_ALLOCATE, call_name(fd));
        if (reason != 0)
            return reason;
        disk_note_write(call_file(fd), (uint64_t)offset, (uint64_t)size);
    }
    return __real_syscall(SYS_fallocate, fd, 0, offset, size) == 0 ? 0 : errno;
}

/* Nothing is synced for real: the platter is what counts. */
static int call_sync(int fd)
{
    struct stat status;

    if (!sim_self.live)
        return 0;
    int file = call_file(fd);
    if (file >= 0) {
        if (call_refused(CALL_SYNC, call_name(fd))) {
            /* SQLite believes a file whose sync failed once; that is not ours to test. */
            if (errno != EINTR && sim_is_ours(call_name(fd)))
                disk_note_failed_sync(file);
            return -1;
        }
        disk_note_sync(file, fd);
        return 0;
    }
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        if (disk_has(call_name(fd)) && call_refused(CALL_SYNC, call_name(fd)))
            return -1;
        disk_note_folder_sync(call_name(fd));
    }
    return 0;
}

int fsync(int fd)
{
    return call_sync(fd);
}

int fdatasync(int fd)
{
    return call_sync(fd);
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset)
{
    if (sim_self.live && call_file(fd) >= 0 && (flags & MAP_SHARED) != 0)
        disk_note_mapped(call_file(fd));
    return (void *)__real_syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

int unlink(const char *path)
{
    bool simulated = sim_self.live && disk_has(path);

    if (simulated && call_refused(CALL_NAME, path))
        return -1;
    int result = (int)__real_syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (simulated && result == 0)
        disk_note_removed(path);
    return result;
}

int remove(const char *path)
{
    int result = unlink(path);

    if (result != 0 && (errno == EISDIR || errno == EPERM))
        return rmdir(path);
    return result;
}

int rename(const char *from, const char *to)
{
    return (int)__wrap_syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *path, mode_t mode)
{
    bool simulated = sim_self.live && disk_has(path);

    if (simulated && call_refused(CALL_NAME, path))
        return -1;
    int result = (int)__real_syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (simulated && result == 0)
        disk_note_folder(path);
    return result;
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

    const char *to = (const char *)values[3];
    bool simulated = sim_self.live && number == SYS_renameat2 && disk_has(to);
    if (simulated && call_refused(CALL_NAME, to))
        return -1;
    long result = __real_syscall(number, values[0], values[1], values[2], values[3], values[4]);
    if (simulated && result == 0)
        disk_note_renamed((const char *)values[1], to);
    return result;
}

/* ---- time and chance */

int clock_gettime(clockid_t id, struct timespec *ret)
{
    if (!sim_self.live || id == CLOCK_PROCESS_CPUTIME_ID)
        return (int)__real_syscall(SYS_clock_gettime, id, ret);
    sim->monotonic_ns += 100;
    int64_t now = sim->monotonic_ns;
    if (id == CLOCK_REALTIME)
        now += sim->wall_offset_ns;
    *ret = (struct timespec){ .tv_sec = now / 1000000000, .tv_nsec = now % 1000000000 };
    return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return result;
}

time_t time(time_t *ret)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (ret != NULL)
        *ret = now.tv_sec;
    return now.tv_sec;
}

int nanosleep(const struct timespec *rest, struct timespec *ret_left)
{
    if (!sim_self.live)
        return (int)__real_syscall(SYS_nanosleep, rest, ret_left);
    sim_pause((int64_t)rest->tv_sec * 1000000000 + rest->tv_nsec);
    return 0;
}

int usleep(useconds_t microseconds)
{
    struct timespec rest = {
        .tv_sec = microseconds / 1000000,
        .tv_nsec = (long)(microseconds % 1000000) * 1000,
    };

    return nanosleep(&rest, NULL);
}

ssize_t getrandom(void *out, size_t size, unsigned flags)
{
    if (!sim_self.live)
        return __real_syscall(SYS_getrandom, out, size, flags);
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)sim_random();
    return (ssize_t)size;
}

pid_t getpid(void)
{
    if (!sim_self.live)
        return (pid_t)__real_syscall(SYS_getpid);
    return FAKE_PID + (pid_t)sim_self.actor;
}
