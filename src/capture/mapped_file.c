/*
 * mapped_file - a shared mapping of a file whose space is allocated before it is touched
 */
#include "digest_map_priv.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPPED_ALIGNMENT = 4096 };

rc mapped_file_open(struct mapped_file *file, const char *path, struct error *err)
{
    assert(file->fd < 0);

    auto_fd int fd = -1;
    uint64_t size = 0;
    TRY(fs_open(&fd, path, O_RDWR | O_CREAT, 0600, err));
    TRY_AS(err, fs_size(&size, fd, err), "'%s'", path);

    *file = MAPPED_FILE_INIT;
    file->fd = TAKE_FD(fd);
    file->path = text_copy(path);
    file->file_size = size;
    return RC_OK;
}

static void mapped_file_unmap(struct mapped_file *file)
{
    if (file->memory == NULL)
        return;

    int result = munmap(file->memory, file->size);
    assert(result == 0);
    file->memory = NULL;
    file->size = 0;
}

void mapped_file_release(struct mapped_file *file)
{
    mapped_file_unmap(file);
    if (file->fd >= 0)
        (void)close(file->fd);
    free(file->path);
    *file = MAPPED_FILE_INIT;
}

rc mapped_file_reserve(struct mapped_file *file, uint64_t size, struct error *err)
{
    assert(file->fd >= 0);

    if (size <= file->file_size)
        return RC_OK;

    /* posix_fallocate() answers the error itself, and leaves errno alone. */
    int result = posix_fallocate(file->fd, (off_t)file->file_size, (off_t)(size - file->file_size));
    if (result != 0) {
        errno = result;
        FAIL_SYS(err, "'%s': allocate %llu bytes", file->path, (unsigned long long)size);
    }
    file->file_size = size;
    return RC_OK;
}

rc mapped_file_shrink(struct mapped_file *file, uint64_t size, struct error *err)
{
    assert(file->memory == NULL || file->offset + file->size <= size);

    if (size >= file->file_size)
        return RC_OK;
    TRY_AS(err, fs_truncate(file->fd, size, err), "'%s'", file->path);
    file->file_size = size;
    return RC_OK;
}

rc mapped_file_window(struct mapped_file *file, uint64_t offset, size_t size, struct error *err)
{
    assert(file->fd >= 0);
    assert(offset % MAPPED_ALIGNMENT == 0);
    assert(size % MAPPED_ALIGNMENT == 0);
    assert(size > 0);
    assert(offset + size <= file->file_size);

    if (file->memory != NULL && file->offset == offset && file->size == size)
        return RC_OK;

    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, (off_t)offset);
    if (memory == MAP_FAILED)
        FAIL_SYS(err, "'%s': map %zu bytes", file->path, size);

    mapped_file_unmap(file);
    file->memory = memory;
    file->offset = offset;
    file->size = size;
    return RC_OK;
}
