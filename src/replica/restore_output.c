/*
 * restore_output - a database file that appears whole and verified, or not at all
 */
#include "restore_output_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/hash.h"

/* Longer names are cut in the temporary name, which must stay below the limit of file systems. */
enum { NAME_KEPT_SIZE = 200, RANDOM_SIZE = 4 };

static const char *const sidecars[] = { "", "-wal", "-shm", "-journal" };

static char *output_temp_prefix(const char *target)
{
    return text_format(".%.*s.seawal-restore-", NAME_KEPT_SIZE, path_name(target));
}

static rc output_check_free(const char *target, struct error *err)
{
    for (size_t i = 0; i < array_count(sidecars); i++) {
        auto_free char *path = text_format("%s%s", target, sidecars[i]);
        struct stat status;
        if (lstat(path, &status) == 0)
            FAIL(err, RC_EXISTS, "'%s' exists already; nothing was changed", path);
        if (errno == ENOENT)
            continue;
        if (errno == ENOTDIR)
            FAIL(err, RC_USAGE, "the folder of '%s' is not a folder", target);
        FAIL_SYS(err, "look for '%s'", path);
    }
    return RC_OK;
}

/* Remove TEMP unless somebody who lives is writing it. */
static rc output_sweep_one(const char *folder, const char *temp, struct error *err)
{
    auto_free char *path = path_join(folder, temp);
    auto_fd int fd = -1;

    rc code = fs_open(&fd, path, O_RDWR | O_NOFOLLOW, 0, err);
    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code != RC_OK)
        return code;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return RC_OK;
        FAIL_SYS(err, "lock '%s'", path);
    }
    return fs_remove(path, err);
}

struct output_sweep {
    const char *folder;
    const char *prefix;
};

/* <prefix><random hex>, perhaps with what SQLite puts beside it during the integrity check. */
static bool output_is_temp(const char *name, const char *prefix)
{
    const char *rest = text_after_prefix(name, prefix);
    uint64_t random = 0;

    if (rest == NULL || strlen(rest) < 2 * RANDOM_SIZE)
        return false;
    if (!text_parse_hex64(&random, rest, 2 * RANDOM_SIZE))
        return false;
    for (size_t i = 0; i < array_count(sidecars); i++) {
        if (text_equal(rest + 2 * RANDOM_SIZE, sidecars[i]))
            return true;
    }
    return false;
}

static rc output_sweep_each(void *payload, const char *name, bool is_folder, struct error *err)
{
    const struct output_sweep *sweep = payload;

    if (is_folder || !output_is_temp(name, sweep->prefix))
        return RC_OK;
    return output_sweep_one(sweep->folder, name, err);
}

static rc output_sweep(const char *folder, const char *target, struct error *err)
{
    auto_free char *prefix = output_temp_prefix(target);
    struct output_sweep sweep = { .folder = folder, .prefix = prefix };

    return fs_each(folder, output_sweep_each, &sweep, err);
}

static rc output_open(struct restore_output *output, struct error *err)
{
    uint8_t random[RANDOM_SIZE];
    char digits[2 * RANDOM_SIZE + 1];
    random_fill(random, sizeof random);
    text_put_hex(digits, random, sizeof random);

    auto_free char *prefix = output_temp_prefix(output->target);
    auto_free char *name = text_format("%s%s", prefix, digits);
    auto_free char *temp = path_join(output->folder, name);
    TRY(fs_open(&output->fd, temp, O_RDWR | O_CREAT | O_EXCL, 0644, err));
    output->temp = TAKE(temp);
    if (flock(output->fd, LOCK_EX | LOCK_NB) != 0)
        FAIL_SYS(err, "lock '%s'", output->temp);
    return RC_OK;
}

/* As root, the file belongs to whom the folder belongs: a service restores for its user. */
static rc output_own(const struct restore_output *output, struct error *err)
{
    struct stat folder;

    if (geteuid() != 0)
        return RC_OK;
    TRY(fs_stat(&folder, output->folder, err));
    if (fchown(output->fd, folder.st_uid, folder.st_gid) != 0)
        FAIL_SYS(err, "change the owner of '%s'", output->temp);
    return RC_OK;
}

/* "Not found" would say that there is no such backup, but it is the place for it that is missing.
 */
static rc output_failed(struct error *err, rc code, const char *folder)
{
    if (code != RC_NOT_FOUND)
        return code;
    return error_wrap(err, RC_USAGE, "the output's folder '%s' must exist", folder);
}

rc restore_output_begin(struct restore_output *output, const char *target, struct error *err)
{
    assert(output->fd < 0);

    if (path_name(target)[0] == '\0')
        FAIL(err, RC_USAGE, "'%s' names a folder; name the file to make", target);
    TRY(output_check_free(target, err));
    output->target = text_copy(target);
    output->folder = path_parent(target);
    rc code = output_sweep(output->folder, target, err);
    if (code == RC_OK)
        code = output_open(output, err);
    if (code != RC_OK)
        return output_failed(err, code, output->folder);
    return output_own(output, err);
}

rc restore_output_sync(struct restore_output *output, uint64_t size, struct error *err)
{
    TRY(fs_truncate(output->fd, size, err));
    return fs_sync(output->fd, output->temp, err);
}

static void output_remove_temp(const struct restore_output *output)
{
    for (size_t i = 0; i < array_count(sidecars); i++) {
        auto_free char *path = text_format("%s%s", output->temp, sidecars[i]);
        unlink(path);
    }
}

/*
 * The bytes are durable before the name appears. A crash before the rename leaves the temporary
 * file, which the next restore removes; one after it leaves the output, whole, perhaps not yet
 * durable by name, which the fsync of the folder ends.
 */
rc restore_output_commit(struct restore_output *output, struct error *err)
{
    rc code = output_check_free(output->target, err);

    if (code == RC_OK)
        code = fs_rename_new(output->temp, output->target, err);
    if (code == RC_OK) {
        free(TAKE(output->temp));
        code = fs_sync_parent(output->target, err);
        /* A name that may be gone after a power cut must not pass for a success, nor stay. */
        if (code != RC_OK)
            unlink(output->target);
    }
    restore_output_abort(output);
    return code == RC_NOT_FOUND ? error_wrap(err, RC_IO, "the temporary file is gone") : code;
}

void restore_output_abort(struct restore_output *output)
{
    if (output->temp != NULL)
        output_remove_temp(output);
    if (output->fd >= 0)
        close(output->fd);
    free(output->target);
    free(output->folder);
    free(output->temp);
    *output = RESTORE_OUTPUT_INIT;
}
