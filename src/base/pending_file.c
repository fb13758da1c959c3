/* pending_file - a file that appears whole or not at all */
#include "base/pending_file.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    PENDING_FILE_SUFFIX_SIZE = 6,
    PENDING_FILE_TRY_COUNT = 100,
    PENDING_FILE_NAME_SIZE_MAX =
        200, /* of the target's name in ours: the whole stays below NAME_MAX */
};

static const char pending_file_marker[] = ".tmp-";
static const char pending_file_letters[] = "abcdefghijklmnopqrstuvwxyz234567";
_Static_assert(sizeof pending_file_letters == 32 + 1, "five random bits are one letter");

static char *pending_file_temp_name(const char *target)
{
    uint8_t noise[PENDING_FILE_SUFFIX_SIZE];
    char suffix[PENDING_FILE_SUFFIX_SIZE + 1] = { 0 };
    auto_free char *parent = path_parent(target);

    ssize_t size = getrandom(noise, sizeof noise, 0);
    assert(size == (ssize_t)sizeof noise);
    for (size_t i = 0; i < sizeof noise; i++)
        suffix[i] = pending_file_letters[noise[i] & 31];
    auto_free char *name = text_format(
        ".%.*s%s%s", PENDING_FILE_NAME_SIZE_MAX, path_name(target), pending_file_marker, suffix);
    return path_join(parent, name);
}

/* Whether NAME could have come from pending_file_temp_name(). */
static bool pending_file_is_temp_name(const char *name)
{
    size_t size = strlen(name);
    size_t tail_size = strlen(pending_file_marker) + PENDING_FILE_SUFFIX_SIZE;

    if (name[0] != '.' || size <= 1 + tail_size)
        return false;
    const char *suffix = text_after_prefix(name + size - tail_size, pending_file_marker);
    return suffix != NULL && strspn(suffix, pending_file_letters) == PENDING_FILE_SUFFIX_SIZE;
}

rc pending_file_open(struct pending_file *file, const char *target, mode_t mode, struct error *err)
{
    assert(file->fd < 0);

    rc result = RC_EXISTS;
    for (int i = 0; i < PENDING_FILE_TRY_COUNT && result == RC_EXISTS; i++) {
        auto_free char *temp = pending_file_temp_name(target);
        auto_fd int fd = -1;
        result = fs_open(&fd, temp, O_RDWR | O_CREAT | O_EXCL, mode, err);
        if (result != RC_OK)
            continue;
        *file = PENDING_FILE_INIT;
        file->target = text_copy(target);
        file->temp = TAKE(temp);
        file->fd = TAKE_FD(fd);
    }
    return result;
}

static rc pending_file_check(const struct pending_file *file, struct error *err)
{
    assert(file->fd >= 0);

    if (file->failed != RC_OK)
        FAIL(err, file->failed, "'%s': an earlier write failed", file->target);
    return RC_OK;
}

rc pending_file_write(struct pending_file *file, struct bytes data, struct error *err)
{
    TRY(pending_file_check(file, err));

    file->failed = fs_write(file->fd, data, err);
    TRY_AS(err, file->failed, "'%s'", file->target);
    file->size += data.size;
    return RC_OK;
}

/*
 * Content, then name, then folder. A crash before the rename leaves the temporary file and whatever
 * the target was; a crash after it leaves the target whole, old or new.
 */
static rc pending_file_publish(
    struct pending_file *file, const char *target, enum pending_file_mode mode, struct error *err)
{
    TRY(pending_file_check(file, err));
    TRY(fs_sync(file->fd, file->temp, err));
    if (mode == PENDING_FILE_NEW)
        TRY(fs_rename_new(file->temp, target, err));
    else
        TRY(fs_rename(file->temp, target, err));
    /* From here on the name is not ours to remove. */
    free(TAKE(file->temp));
    return fs_sync_parent(target, err);
}

static bool pending_file_is_beside(const struct pending_file *file, const char *target)
{
    auto_free char *given = path_parent(target);
    auto_free char *opened = path_parent(file->target);

    return text_equal(given, opened);
}

rc pending_file_commit_as(
    struct pending_file *file, const char *target, enum pending_file_mode mode, struct error *err)
{
    assert(file->fd >= 0);
    assert(pending_file_is_beside(file, target));

    rc result = pending_file_publish(file, target, mode, err);
    pending_file_abort(file);
    return result;
}

rc pending_file_commit(struct pending_file *file, enum pending_file_mode mode, struct error *err)
{
    assert(file->fd >= 0);

    return pending_file_commit_as(file, file->target, mode, err);
}

/* errno survives, as from every clean-up that runs on the way out. */
void pending_file_abort(struct pending_file *file)
{
    int saved = errno;

    /* What cannot be removed is left to the sweep. */
    if (file->temp != NULL)
        unlink(file->temp);
    if (file->fd >= 0)
        close(file->fd);
    free(file->temp);
    free(file->target);
    *file = PENDING_FILE_INIT;
    errno = saved;
}

static rc pending_file_sweep_one(void *payload, const char *name, bool is_folder, struct error *err)
{
    const char *folder = payload;

    if (is_folder || !pending_file_is_temp_name(name))
        return RC_OK;
    auto_free char *path = path_join(folder, name);
    return fs_remove(path, err);
}

rc pending_file_sweep(const char *folder, struct error *err)
{
    auto_free char *payload = text_copy(folder);

    return fs_each(folder, pending_file_sweep_one, payload, err);
}
