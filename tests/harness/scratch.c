/* scratch - a folder for one test, removed with everything in it */
#include "harness/scratch.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCRATCH_DEPTH_MAX = 16, SCRATCH_FILE_SIZE_MAX = 64 << 20 };

struct scratch scratch_new(void)
{
    const char *parent = getenv("TMPDIR");
    auto_free char *resolved = realpath(parent == NULL ? "/tmp" : parent, NULL);
    assert(resolved != NULL);

    char *folder = text_format("%s/%s-XXXXXX", resolved, program_invocation_short_name);
    const char *made = mkdtemp(folder);
    assert(made != NULL);
    return (struct scratch){ .folder = folder };
}

static int scratch_remove_one(
    const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    remove(path);
    return 0;
}

/* A folder that a test made unreadable is opened again before the walk. */
static int scratch_unlock_one(
    const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)place;
    if (type == FTW_D || type == FTW_DNR)
        chmod(path, 0700);
    return 0;
}

void scratch_release(struct scratch *scratch)
{
    if (scratch->folder == NULL)
        return;
    nftw(scratch->folder, scratch_unlock_one, SCRATCH_DEPTH_MAX, FTW_PHYS);
    nftw(scratch->folder, scratch_remove_one, SCRATCH_DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
    free(scratch->folder);
    scratch->folder = NULL;
}

char *scratch_path(const struct scratch *scratch, const char *name)
{
    return path_join(scratch->folder, name);
}

void scratch_write(const struct scratch *scratch, const char *name, struct bytes content)
{
    auto_free char *path = scratch_path(scratch, name);
    auto_fd int fd = -1;
    rc result = fs_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, NULL);
    assert(result == RC_OK);

    result = fs_write(fd, content, NULL);
    assert(result == RC_OK);
}

bool scratch_holds(const struct scratch *scratch, const char *name, struct bytes content)
{
    auto_free char *path = scratch_path(scratch, name);
    auto_buf struct buf found = BUF_INIT(SCRATCH_FILE_SIZE_MAX);

    return fs_read_file(&found, path, NULL) == RC_OK && bytes_equal(buf_bytes(&found), content);
}

static rc scratch_count_one(void *payload, const char *name, bool is_folder, struct error *err)
{
    size_t *count = payload;

    (void)name;
    (void)is_folder;
    (void)err;
    *count += 1;
    return RC_OK;
}

size_t scratch_name_count(const struct scratch *scratch)
{
    size_t count = 0;
    rc result = fs_each(scratch->folder, scratch_count_one, &count, NULL);

    assert(result == RC_OK);
    return count;
}
