/*
 * file_store - objects as files under a folder
 *
 * An object is written to a temporary file beside its place, synced, and then given its name by a
 * rename that never replaces (or one that does, for STORE_PUT_REPLACE), and the folder is synced. A
 * crash before the rename leaves a temporary file that no listing shows and that a later writer's
 * sweep removes; a crash after it may lose the name, and then RC_OK was not answered yet.
 *
 * Other processes may use the same folder, so the sweep takes only temporary files that are old and
 * that nobody holds: writers keep a shared flock(2) on theirs.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/pending_file.h"
#include "base/text.h"
#include "file_store.h"
#include "store_driver.h"

enum {
    FILE_STORE_FILE_MODE = 0640, /* the umask takes more away */
    FILE_STORE_FOLDER_MODE = 0750,
    FILE_STORE_STALE_MS = 60 * 60 * 1000,
};

struct file_store {
    struct store base;
    char *root;
    atomic_bool swept; /* the first write of this object looked for stale temporary files */
};

struct file_upload {
    struct store_upload base;
    char *path;
    struct pending_file file;
};

static const struct store_ops file_store_ops;

static struct file_store *file_store_from(struct store *store)
{
    assert(store->ops == &file_store_ops);
    return container_of(store, struct file_store, base);
}

static void file_store_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static rc file_store_sweep_one(void *payload, const struct store_object *object, struct error *err)
{
    const struct file_store *store = payload;
    (void)err;

    if (clock_wall_ms() - object->modified_ms < FILE_STORE_STALE_MS)
        return RC_OK;
    auto_free char *path = path_join(store->root, object->key);
    auto_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    return RC_OK;
}

/* Best effort: what cannot be swept today costs disk and nothing else, so no error leaves here. */
static void file_store_sweep(struct file_store *store)
{
    if (atomic_exchange(&store->swept, true))
        return;
    struct file_list list = { .root = store->root, .prefix = "", .what = FILE_LIST_TEMPS };
    struct error ignored;
    (void)!file_list_run(&list, file_store_sweep_one, store, &ignored);
}

/*
 * The path of KEY, owned. A key with a component that looks like a temporary file would never be
 * listed, so it is refused.
 */
static rc file_store_path(
    char **ret, const struct file_store *store, const char *key, struct error *err)
{
    auto_free char *rest = text_copy(key);
    for (char *component = rest; component != NULL;) {
        char *slash = strchr(component, '/');
        if (slash != NULL)
            *slash = '\0';
        if (file_store_is_temp_name(component))
            FAIL(err, RC_USAGE, "key '%s' looks like a temporary file", key);
        component = slash == NULL ? NULL : slash + 1;
    }
    *ret = path_join(store->root, key);
    return RC_OK;
}

/*
 * Make the folder PATH durable, from the top: each new folder's name is synced before anything is
 * put into it, so that no crash can lose a folder that holds an acknowledged object.
 */
static rc file_store_make_folder(const char *path, struct error *err)
{
    auto_free char *folder = text_copy(path);
    for (char *slash = strchr(folder + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(folder, FILE_STORE_FOLDER_MODE) == 0)
            TRY(fs_sync_parent(folder, err));
        else if (errno != EEXIST)
            FAIL_SYS(err, "make folder '%s'", folder);
        if (slash == NULL)
            return RC_OK;
        *slash = '/';
    }
}

static rc file_store_open_pending(struct pending_file *file, const char *path, struct error *err)
{
    rc opened = pending_file_open(file, path, FILE_STORE_FILE_MODE, err);
    if (opened == RC_NOT_FOUND) {
        auto_free char *folder = path_parent(path);
        TRY(file_store_make_folder(folder, err));
        opened = pending_file_open(file, path, FILE_STORE_FILE_MODE, err);
    }
    TRY(opened);
    /* A file system without locks is no reason to fail: age alone then protects from the sweep. */
    (void)!flock(file->fd, LOCK_SH | LOCK_NB);
    return RC_OK;
}

static rc file_store_put(struct store *base, const char *key, struct bytes body,
    enum store_put_mode mode, struct error *err)
{
    struct file_store *store = file_store_from(base);
    auto_free char *path = NULL;
    TRY(file_store_path(&path, store, key, err));

    file_store_count(&base->counters.put_count, 1);
    file_store_sweep(store);
    if (mode == STORE_PUT_NEW && fs_exists(path))
        FAIL(err, RC_EXISTS, "'%s' is there already", path);
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    TRY(file_store_open_pending(&file, path, err));
    TRY(pending_file_write(&file, body, err));
    TRY(pending_file_commit(
        &file, mode == STORE_PUT_NEW ? PENDING_FILE_NEW : PENDING_FILE_REPLACE, err));
    file_store_count(&base->counters.sent_bytes, body.size);
    return RC_OK;
}

static void file_upload_free(struct file_upload *upload)
{
    pending_file_abort(&upload->file);
    free(upload->path);
    free(upload);
}

static rc file_store_upload_begin(struct store_upload **ret, struct store *base, const char *key,
    uint64_t size_hint, struct error *err)
{
    (void)size_hint;
    struct file_store *store = file_store_from(base);
    auto_free char *path = NULL;
    TRY(file_store_path(&path, store, key, err));

    file_store_count(&base->counters.put_count, 1);
    file_store_sweep(store);
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    TRY(file_store_open_pending(&file, path, err));
    struct file_upload *upload = mem_new(sizeof *upload);
    upload->path = TAKE(path);
    upload->file = file;
    file = PENDING_FILE_INIT;
    *ret = &upload->base;
    return RC_OK;
}

static rc file_store_upload_write(struct store_upload *base, struct bytes bytes, struct error *err)
{
    struct file_upload *upload = container_of(base, struct file_upload, base);
    TRY(pending_file_write(&upload->file, bytes, err));
    file_store_count(&base->store->counters.sent_bytes, bytes.size);
    return RC_OK;
}

static rc file_store_upload_commit(struct store_upload *base, struct error *err)
{
    struct file_upload *upload = container_of(base, struct file_upload, base);
    TRY(pending_file_commit(&upload->file, PENDING_FILE_NEW, err));
    file_upload_free(upload);
    return RC_OK;
}

static void file_store_upload_abort(struct store_upload *base)
{
    file_upload_free(container_of(base, struct file_upload, base));
}

/* Open an object for reading; a folder of that name is no object. */
static rc file_store_open_object(
    int *ret_fd, uint64_t *ret_size, struct file_store *store, const char *key, struct error *err)
{
    auto_free char *path = NULL;
    TRY(file_store_path(&path, store, key, err));
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        FAIL(err, RC_NOT_FOUND, "'%s' does not exist", path);
    if (fd < 0)
        FAIL_SYS(err, "open '%s'", path);
    struct stat status;
    if (fstat(fd, &status) != 0)
        FAIL_SYS(err, "stat '%s'", path);
    if (S_ISDIR(status.st_mode))
        FAIL(err, RC_NOT_FOUND, "'%s' is a folder", path);
    *ret_size = (uint64_t)status.st_size;
    *ret_fd = TAKE_FD(fd);
    return RC_OK;
}

static rc file_store_read(struct file_store *store, int fd, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err)
{
    if (size > out->size_max - out->size)
        FAIL(err, RC_CORRUPT, "object has %llu bytes to read; expected at most %zu",
            (unsigned long long)size, out->size_max - out->size);
    if (size > 0)
        TRY(fs_read_exact(fd, buf_reserve(out, (size_t)size), (size_t)size, offset, err));
    out->size += (size_t)size;
    file_store_count(&store->base.counters.received_bytes, size);
    return RC_OK;
}

static rc file_store_get(struct store *base, const char *key, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err)
{
    struct file_store *store = file_store_from(base);
    auto_fd int fd = -1;
    uint64_t object_size;

    file_store_count(&base->counters.get_count, 1);
    TRY(file_store_open_object(&fd, &object_size, store, key, err));
    if (offset > object_size || size > object_size - offset)
        FAIL(err, RC_CORRUPT, "object '%s' has %llu bytes; bytes %llu to %llu were expected in it",
            key, (unsigned long long)object_size, (unsigned long long)offset,
            (unsigned long long)(offset + size));
    TRY_AS(err,
        file_store_read(store, fd, offset, size == 0 ? object_size - offset : size, out, err),
        "object '%s'", key);
    return RC_OK;
}

static rc file_store_get_tail(struct store *base, const char *key, uint64_t size, struct buf *out,
    uint64_t *ret_object_size, struct error *err)
{
    struct file_store *store = file_store_from(base);
    auto_fd int fd = -1;
    uint64_t object_size;

    file_store_count(&base->counters.get_count, 1);
    TRY(file_store_open_object(&fd, &object_size, store, key, err));
    uint64_t tail_size = size < object_size ? size : object_size;
    TRY_AS(err, file_store_read(store, fd, object_size - tail_size, tail_size, out, err),
        "object '%s'", key);
    *ret_object_size = object_size;
    return RC_OK;
}

static rc file_store_list(struct store *base, const char *prefix, const char *after,
    store_each_fn *each, void *payload, struct error *err)
{
    struct file_store *store = file_store_from(base);
    struct file_list list = {
        .root = store->root,
        .prefix = prefix,
        .after = after,
        .what = FILE_LIST_OBJECTS,
    };

    file_store_count(&base->counters.list_count, 1);
    return file_list_run(&list, each, payload, err);
}

static rc file_store_remove(
    struct store *base, const char *const *keys, size_t key_count, struct error *err)
{
    struct file_store *store = file_store_from(base);

    for (size_t index = 0; index < key_count; index++) {
        auto_free char *path = NULL;
        TRY(file_store_path(&path, store, keys[index], err));
        file_store_count(&base->counters.remove_count, 1);
        /* A removed name that comes back after a crash is removed again by the next retention run.
         */
        if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
            FAIL_SYS(err, "remove '%s'", path);
    }
    return RC_OK;
}

static rc file_store_has_conditional_put(struct store *base, bool *ret, struct error *err)
{
    (void)base;
    (void)err;
    *ret = true;
    return RC_OK;
}

static void file_store_free(struct store *base)
{
    struct file_store *store = file_store_from(base);
    free(store->root);
    free(store);
}

static const struct store_ops file_store_ops = {
    .put = file_store_put,
    .upload_begin = file_store_upload_begin,
    .upload_write = file_store_upload_write,
    .upload_commit = file_store_upload_commit,
    .upload_abort = file_store_upload_abort,
    .get = file_store_get,
    .get_tail = file_store_get_tail,
    .list = file_store_list,
    .remove = file_store_remove,
    .has_conditional_put = file_store_has_conditional_put,
    .free = file_store_free,
};

rc file_store_open(struct store **ret, const char *root, struct error *err)
{
    assert(ret != NULL);
    assert(root != NULL);

    auto_free char *folder = NULL;
    if (root[0] == '/') {
        folder = text_copy(root);
    } else {
        auto_free char *here = getcwd(NULL, 0);
        if (here == NULL)
            FAIL_SYS(err, "find the current folder");
        folder = path_join(here, text_has_prefix(root, "./") ? root + 2 : root);
    }
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/')
        folder[--size] = '\0';

    struct file_store *store = mem_new(sizeof *store);
    store->base.ops = &file_store_ops;
    store->base.name = text_format("file://%s", folder);
    store->root = TAKE(folder);
    *ret = &store->base;
    return RC_OK;
}
