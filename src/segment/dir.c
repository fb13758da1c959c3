/*
 * dir - see segment/dir.h
 */
#include "segment/dir.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    DIR_FOLDER_MODE = 0700,
    DIR_FILE_MODE = 0600,
    DIR_ENTRY_COUNT_MAX = 4 << 20, /* more files than a spool ever has: something else is there */
};

/* The final name is known when the segment is complete; the pending file needs one to stand beside.
 */
#define DIR_PENDING_NAME "segment"

/* The level of merged segments, as in the keys of a replica. */
#define DIR_MERGED_NAME "1"

void segment_list_release(struct segment_list *list)
{
    free(list->entries);
    *list = SEGMENT_LIST_INIT;
}

char *segment_dir_merged(const char *folder)
{
    return path_join(folder, DIR_MERGED_NAME);
}

rc segment_dir_make(const char *folder, struct error *err)
{
    auto_free char *parent = path_parent(folder);

    TRY(fs_make_folders(folder, DIR_FOLDER_MODE, err));
    /* A folder whose name a power cut takes away takes every segment in it along. */
    TRY(fs_sync_parent(folder, err));
    TRY(fs_sync_parent(parent, err));
    return pending_file_sweep(folder, err);
}

rc segment_dir_sync(const char *folder, struct error *err)
{
    auto_free char *inside = path_join(folder, DIR_PENDING_NAME);

    return fs_sync_parent(inside, err);
}

rc segment_dir_prepare(const char *folder, struct error *err)
{
    auto_free char *merged = segment_dir_merged(folder);

    TRY(segment_dir_make(merged, err));
    TRY(segment_dir_sync(merged, err)); /* what an earlier process removed there */
    return pending_file_sweep(folder, err);
}

struct list_builder {
    const char *folder;
    bool is_merged;
    struct segment_list list;
    size_t capacity;
};

static void list_builder_add(struct list_builder *builder, const struct segment_entry *entry)
{
    struct segment_list *list = &builder->list;

    if (list->count == builder->capacity) {
        builder->capacity = builder->capacity * 2 + 16;
        list->entries = mem_resize(list->entries, builder->capacity * sizeof list->entries[0]);
    }
    list->entries[list->count++] = *entry;
}

static rc list_builder_visit(void *payload, const char *name, bool is_folder, struct error *err)
{
    struct list_builder *builder = payload;
    struct segment_entry entry = { .is_merged = builder->is_merged };

    if (name[0] == '.')
        return RC_OK; /* a file that is being written, or that a crash left */
    if (is_folder && !builder->is_merged && text_equal(name, DIR_MERGED_NAME))
        return RC_OK;
    if (is_folder)
        FAIL(err, RC_CORRUPT, "'%s' is a folder among segments", name);
    if (builder->list.count == DIR_ENTRY_COUNT_MAX)
        FAIL(err, RC_CORRUPT, "more than %d files", DIR_ENTRY_COUNT_MAX);
    TRY(segment_name_parse(&entry.name, name, err));

    auto_free char *path = path_join(builder->folder, name);
    struct stat status;
    rc result = fs_stat(&status, path, err);
    if (result == RC_NOT_FOUND)
        return RC_OK; /* removed by the uploader since the folder was read */
    TRY(result);
    entry.size = (uint64_t)status.st_size;
    list_builder_add(builder, &entry);
    return RC_OK;
}

static void list_builder_release(struct list_builder *builder)
{
    segment_list_release(&builder->list);
}

static rc list_builder_read(struct list_builder *builder, const char *folder, struct error *err)
{
    builder->folder = folder;
    TRY_AS(err, fs_each(folder, list_builder_visit, builder, err), "folder '%s'", folder);
    return RC_OK;
}

/* The larger range first, so that what covers comes before what is covered. */
static int segment_entry_compare(const void *left, const void *right)
{
    const struct segment_entry *a = left;
    const struct segment_entry *b = right;

    if (a->name.min_txid != b->name.min_txid)
        return a->name.min_txid < b->name.min_txid ? -1 : 1;
    if (a->name.max_txid != b->name.max_txid)
        return a->name.max_txid > b->name.max_txid ? -1 : 1;
    if (a->is_merged != b->is_merged)
        return a->is_merged ? -1 : 1;
    return (a->name.time_ms > b->name.time_ms) - (a->name.time_ms < b->name.time_ms);
}

static void list_builder_sort(struct list_builder *builder)
{
    if (builder->list.count > 1)
        qsort(builder->list.entries, builder->list.count, sizeof builder->list.entries[0],
            segment_entry_compare);
}

static void list_builder_give(struct list_builder *builder, struct segment_list *ret)
{
    segment_list_release(ret);
    *ret = builder->list;
    builder->list = SEGMENT_LIST_INIT;
}

rc segment_dir_list(struct segment_list *ret, const char *folder, struct error *err)
{
    __attribute__((cleanup(list_builder_release))) struct list_builder builder = { 0 };

    TRY(list_builder_read(&builder, folder, err));
    list_builder_sort(&builder);
    list_builder_give(&builder, ret);
    return RC_OK;
}

static rc list_builder_read_merged(
    struct list_builder *builder, const char *folder, struct error *err)
{
    auto_free char *merged = segment_dir_merged(folder);

    builder->is_merged = true;
    rc result = list_builder_read(builder, merged, err);
    builder->is_merged = false;
    return result == RC_NOT_FOUND ? RC_OK : result;
}

static bool segment_entry_same(const struct segment_entry *left, const struct segment_entry *right)
{
    return left->is_merged == right->is_merged && left->name.min_txid == right->name.min_txid &&
           left->name.max_txid == right->name.max_txid && left->name.time_ms == right->name.time_ms;
}

/* Of a sorted list: what was seen twice once, and who is covered. */
static void list_builder_join(struct list_builder *builder)
{
    struct segment_list *list = &builder->list;
    uint64_t merged_max = 0;
    size_t count = 0;

    for (size_t index = 0; index < list->count; index++) {
        struct segment_entry *entry = &list->entries[index];
        if (count > 0 && segment_entry_same(entry, &list->entries[count - 1]))
            continue;
        entry->is_covered = entry->name.max_txid <= merged_max;
        if (entry->is_merged && entry->name.max_txid > merged_max)
            merged_max = entry->name.max_txid;
        list->entries[count++] = *entry;
    }
    list->count = count;
}

/*
 * A merged segment appears before the first of those that it covers is removed. So who looks for
 * level 0 first and then for merged ones misses nothing, but for a merged one that is replaced by a
 * larger one just then, which a look at the beginning has seen.
 */
rc segment_dir_list_spool(struct segment_list *ret, const char *folder, struct error *err)
{
    __attribute__((cleanup(list_builder_release))) struct list_builder builder = { 0 };

    TRY(list_builder_read_merged(&builder, folder, err));
    TRY(list_builder_read(&builder, folder, err));
    TRY(list_builder_read_merged(&builder, folder, err));
    list_builder_sort(&builder);
    list_builder_join(&builder);
    list_builder_give(&builder, ret);
    return RC_OK;
}

rc segment_dir_begin(struct pending_file *ret, const char *folder, struct error *err)
{
    auto_free char *path = path_join(folder, DIR_PENDING_NAME);

    *ret = PENDING_FILE_INIT;
    return pending_file_open(ret, path, DIR_FILE_MODE, err);
}

static rc pending_file_sink_write(void *payload, struct bytes bytes, struct error *err)
{
    return pending_file_write(payload, bytes, err);
}

struct sink pending_file_sink(struct pending_file *file)
{
    return (struct sink){ .write = pending_file_sink_write, .payload = file };
}

rc segment_dir_commit(struct pending_file *file, const char *folder,
    const struct segment_name *name, struct error *err)
{
    char text[SEGMENT_NAME_SIZE];
    segment_name_format(text, name);
    auto_free char *path = path_join(folder, text);

    return pending_file_commit_as(file, path, PENDING_FILE_NEW, err);
}

static rc segment_file_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    const struct segment_file *file = payload;

    uint8_t *bytes = buf_reserve(out, (size_t)size);
    TRY(fs_read_exact(file->fd, bytes, (size_t)size, offset, err));
    out->size += (size_t)size;
    return RC_OK;
}

rc segment_dir_open(struct segment_file *ret, const char *folder, const struct segment_name *name,
    struct error *err)
{
    char text[SEGMENT_NAME_SIZE];
    segment_name_format(text, name);
    auto_free char *path = path_join(folder, text);

    auto_fd int fd = -1;
    uint64_t size;
    TRY(fs_open(&fd, path, O_RDONLY, 0, err));
    TRY_AS(err, fs_size(&size, fd, err), "segment '%s'", path);

    *ret = (struct segment_file){
        .fd = TAKE_FD(fd),
        .source = { .read = segment_file_read, .payload = ret, .size = size },
    };
    return RC_OK;
}

void segment_dir_close(struct segment_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

rc segment_dir_remove(const char *folder, const struct segment_name *name, struct error *err)
{
    char text[SEGMENT_NAME_SIZE];
    segment_name_format(text, name);
    auto_free char *path = path_join(folder, text);

    return fs_remove(path, err);
}
