/* fs - file system calls that are whole, never interrupted, and say what they were about */
#include "base/fs.h"

#include "base/alloc.h"
#include "base/path.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    FS_READ_CHUNK_SIZE = 8192,
    FS_ATTRIBUTE_SIZE_MAX = 256,
};

_Static_assert(sizeof(off_t) == 8, "offsets have 64 bits");

/* Repeat a call that a signal interrupted; the value is the call's own. */
#define FS_UNINTERRUPTED(call)                                                                     \
    (__extension__({                                                                               \
        __typeof__(call) result_;                                                                  \
        do                                                                                         \
            result_ = (call);                                                                      \
        while (result_ < 0 && errno == EINTR);                                                     \
        result_;                                                                                   \
    }))

rc fs_open(int *ret, const char *path, int flags, mode_t mode, struct error *err)
{
    int fd = FS_UNINTERRUPTED(open(path, flags | O_CLOEXEC, mode));

    if (fd < 0)
        FAIL_SYS(err, "open '%s'", path);
    *ret = fd;
    return RC_OK;
}

rc fs_open_unnamed(int *ret, const char *folder, struct error *err)
{
    if (fs_open(ret, folder, O_TMPFILE | O_RDWR, 0600, NULL) == RC_OK)
        return RC_OK;

    /* Not every file system can make a file without a name (NFS, overlays of old kernels). */
    auto_free char *path = path_join(folder, ".scratch.tmp-XXXXXX");
    auto_fd int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        FAIL_SYS(err, "make a temporary file in '%s'", folder);
    TRY(fs_remove(path, err));
    *ret = TAKE_FD(fd);
    return RC_OK;
}

rc fs_read_some(
    int fd, void *out, size_t size, uint64_t offset, size_t *ret_size, struct error *err)
{
    size_t done = 0;

    if (offset > INT64_MAX || size > INT64_MAX - offset)
        FAIL(err, RC_CORRUPT, "read at %llu: beyond any file", (unsigned long long)offset);
    while (done < size) {
        ssize_t result =
            FS_UNINTERRUPTED(pread(fd, (uint8_t *)out + done, size - done, (off_t)(offset + done)));
        if (result < 0)
            FAIL_SYS(err, "read %zu bytes at %llu", size, (unsigned long long)offset);
        if (result == 0)
            break;
        done += (size_t)result;
    }
    *ret_size = done;
    return RC_OK;
}

rc fs_read_exact(int fd, void *out, size_t size, uint64_t offset, struct error *err)
{
    size_t done = 0;

    TRY(fs_read_some(fd, out, size, offset, &done, err));
    if (done != size)
        FAIL(err, RC_CORRUPT, "file ends at %llu; must have %zu bytes from %llu",
            (unsigned long long)(offset + done), size, (unsigned long long)offset);
    return RC_OK;
}

rc fs_write_at(int fd, struct bytes bytes, uint64_t offset, struct error *err)
{
    size_t done = 0;

    if (offset > INT64_MAX || bytes.size > INT64_MAX - offset)
        FAIL(err, RC_NO_SPACE, "write at %llu: beyond any file", (unsigned long long)offset);
    while (done < bytes.size) {
        ssize_t result = FS_UNINTERRUPTED(
            pwrite(fd, bytes.data + done, bytes.size - done, (off_t)(offset + done)));
        if (result < 0)
            FAIL_SYS(err, "write %zu bytes at %llu", bytes.size, (unsigned long long)offset);
        done += (size_t)result;
    }
    return RC_OK;
}

rc fs_write(int fd, struct bytes bytes, struct error *err)
{
    size_t done = 0;

    while (done < bytes.size) {
        ssize_t result = FS_UNINTERRUPTED(write(fd, bytes.data + done, bytes.size - done));
        if (result < 0)
            FAIL_SYS(err, "write %zu bytes", bytes.size);
        done += (size_t)result;
    }
    return RC_OK;
}

rc fs_sync(int fd, const char *path, struct error *err)
{
    if (FS_UNINTERRUPTED(fdatasync(fd)) != 0)
        FAIL_SYS(err, "sync '%s'", path);
    return RC_OK;
}

rc fs_sync_parent(const char *path, struct error *err)
{
    auto_free char *parent = path_parent(path);
    auto_fd int fd = -1;

    TRY(fs_open(&fd, parent, O_RDONLY | O_DIRECTORY, 0, err));
    /* Some file systems cannot sync a folder and say so by EINVAL; they offer nothing better. */
    if (FS_UNINTERRUPTED(fsync(fd)) != 0 && errno != EINVAL)
        FAIL_SYS(err, "sync folder '%s'", parent);
    return RC_OK;
}

rc fs_truncate(int fd, uint64_t size, struct error *err)
{
    if (size > INT64_MAX)
        FAIL(err, RC_NO_SPACE, "truncate to %llu bytes: beyond any file", (unsigned long long)size);
    if (FS_UNINTERRUPTED(ftruncate(fd, (off_t)size)) != 0)
        FAIL_SYS(err, "truncate to %llu bytes", (unsigned long long)size);
    return RC_OK;
}

rc fs_size(uint64_t *ret, int fd, struct error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        FAIL_SYS(err, "size of a file");
    *ret = (uint64_t)status.st_size;
    return RC_OK;
}

rc fs_rename(const char *from, const char *to, struct error *err)
{
    if (rename(from, to) != 0)
        FAIL_SYS(err, "rename '%s' to '%s'", from, to);
    return RC_OK;
}

/* For file systems without RENAME_NOREPLACE (NFS): link(2) never replaces either. */
static rc fs_rename_by_link(const char *from, const char *to, struct error *err)
{
    if (link(from, to) != 0)
        FAIL_SYS(err, "link '%s' to '%s'", from, to);
    /* A crash here leaves both names for the same content, which is whole under either. */
    if (unlink(from) != 0 && errno != ENOENT)
        FAIL_SYS(err, "remove '%s' after it was linked to '%s'", from, to);
    return RC_OK;
}

rc fs_rename_new(const char *from, const char *to, struct error *err)
{
    /* By number, because not every libc has a wrapper. */
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return RC_OK;
    if (errno == EINVAL || errno == ENOSYS)
        return fs_rename_by_link(from, to, err);
    FAIL_SYS(err, "rename '%s' to '%s'", from, to);
}

rc fs_remove(const char *path, struct error *err)
{
    if (remove(path) != 0 && errno != ENOENT)
        FAIL_SYS(err, "remove '%s'", path);
    return RC_OK;
}

static bool fs_is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static rc fs_make_folder(const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) == 0)
        return RC_OK;

    /* Whatever mkdir() disliked (it is there, the file system is read-only): a folder will do. */
    int saved = errno;
    if (fs_is_folder(path))
        return RC_OK;
    errno = saved;
    FAIL_SYS(err, "make folder '%s'", path);
}

rc fs_make_folders(const char *path, mode_t mode, struct error *err)
{
    auto_free char *prefix = text_copy(path);

    for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        TRY(fs_make_folder(prefix, mode, err));
        *slash = '/';
    }
    return fs_make_folder(prefix, mode, err);
}

rc fs_stat(struct stat *ret, const char *path, struct error *err)
{
    struct stat status;

    if (stat(path, &status) != 0)
        FAIL_SYS(err, "stat '%s'", path);
    *ret = status;
    return RC_OK;
}

bool fs_exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

rc fs_read_file(struct buf *out, const char *path, struct error *err)
{
    uint8_t chunk[FS_READ_CHUNK_SIZE];
    uint64_t offset = 0;
    size_t size = 0;
    auto_fd int fd = -1;

    TRY(fs_open(&fd, path, O_RDONLY, 0, err));
    do {
        TRY_AS(err, fs_read_some(fd, chunk, sizeof chunk, offset, &size, err), "'%s'", path);
        TRY_AS(err, buf_append(out, bytes_of(chunk, size), err), "'%s'", path);
        offset += size;
    } while (size == sizeof chunk);
    return RC_OK;
}

static void fs_folder_close(DIR *const *folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

/* Links are not followed: a link to a folder is not a folder. */
static bool fs_entry_is_folder(DIR *folder, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

rc fs_each(const char *folder, fs_each_fn *each, void *payload, struct error *err)
{
    __attribute__((cleanup(fs_folder_close))) DIR *opened = opendir(folder);

    if (opened == NULL)
        FAIL_SYS(err, "open folder '%s'", folder);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(opened);
        if (entry == NULL && errno != 0)
            FAIL_SYS(err, "read folder '%s'", folder);
        if (entry == NULL)
            return RC_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        TRY(each(payload, entry->d_name, fs_entry_is_folder(opened, entry), err));
    }
}

rc fs_space(uint64_t *ret_free, uint64_t *ret_total, const char *path, struct error *err)
{
    struct statvfs status;

    if (FS_UNINTERRUPTED(statvfs(path, &status)) != 0)
        FAIL_SYS(err, "space of the file system of '%s'", path);
    *ret_free = (uint64_t)status.f_bavail * status.f_frsize;
    *ret_total = (uint64_t)status.f_blocks * status.f_frsize;
    return RC_OK;
}

rc fs_file_room(uint64_t *ret, const char *path, struct error *err)
{
    struct statvfs status;

    if (FS_UNINTERRUPTED(statvfs(path, &status)) != 0)
        FAIL_SYS(err, "room of the file system of '%s'", path);
    *ret = status.f_files > 0 ? (uint64_t)status.f_favail : UINT64_MAX;
    return RC_OK;
}

rc fs_set_attribute(int fd, const char *name, struct bytes value, struct error *err)
{
    if (FS_UNINTERRUPTED(fsetxattr(fd, name, value.data, value.size, 0)) != 0)
        FAIL_SYS(err, "set attribute '%s'", name);
    return RC_OK;
}

rc fs_get_attribute(struct buf *out, const char *path, const char *name, struct error *err)
{
    char value[FS_ATTRIBUTE_SIZE_MAX];
    ssize_t size = FS_UNINTERRUPTED(getxattr(path, name, value, sizeof value));

    if (size < 0 && (errno == ENODATA || errno == ENOTSUP))
        FAIL(err, RC_NOT_FOUND, "'%s' has no attribute '%s'", path, name);
    if (size < 0 && errno == ERANGE)
        FAIL(err, RC_CORRUPT, "attribute '%s' of '%s' is too long", name, path);
    if (size < 0)
        FAIL_SYS(err, "read attribute '%s' of '%s'", name, path);
    buf_put(out, bytes_of(value, (size_t)size));
    return RC_OK;
}

rc fs_remove_attribute(const char *path, const char *name, struct error *err)
{
    if (FS_UNINTERRUPTED(removexattr(path, name)) != 0 && errno != ENODATA && errno != ENOTSUP)
        FAIL_SYS(err, "remove attribute '%s' of '%s'", name, path);
    return RC_OK;
}
