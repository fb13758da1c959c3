/* lock_file - one process per thing */
#include "base/lock_file.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/fs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_FILE_PID_SIZE = 24, LOCK_FILE_TRY_COUNT = 10 };

/* The pid in the file is for people only; the lock itself is the truth. */
static rc lock_file_busy(int fd, const char *path, struct error *err)
{
    char text[LOCK_FILE_PID_SIZE] = { 0 };
    size_t size = 0;

    if (fs_read_some(fd, text, sizeof text - 1, 0, &size, NULL) != RC_OK)
        size = 0;
    text[size] = '\0';
    text[strspn(text, "0123456789")] = '\0';
    FAIL(err, RC_BUSY, "'%s' is locked by process %s", path, text[0] == '\0' ? "(unknown)" : text);
}

/* Whether PATH still names the file behind FD; somebody may have removed it while we locked it. */
static bool lock_file_is_named(int fd, const char *path)
{
    struct stat opened;
    struct stat named;

    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

static rc lock_file_sign(int fd, const char *path, struct error *err)
{
    char text[LOCK_FILE_PID_SIZE];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    assert(size > 0 && (size_t)size < sizeof text);
    TRY_AS(err, fs_truncate(fd, 0, err), "'%s'", path);
    TRY_AS(err, fs_write_at(fd, bytes_of(text, (size_t)size), 0, err), "'%s'", path);
    return RC_OK;
}

rc lock_file_open(int *ret_fd, const char *path, struct error *err)
{
    for (int i = 0; i < LOCK_FILE_TRY_COUNT; i++) {
        auto_fd int fd = -1;
        TRY(fs_open(&fd, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, err));
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                return lock_file_busy(fd, path, err);
            FAIL_SYS(err, "lock '%s'", path);
        }
        if (!lock_file_is_named(fd, path))
            continue;
        TRY(lock_file_sign(fd, path, err));
        *ret_fd = TAKE_FD(fd);
        return RC_OK;
    }
    FAIL(err, RC_BUSY, "'%s' is removed as soon as it is made", path);
}

void lock_file_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
