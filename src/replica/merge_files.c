/*
 * merge_files - see merge_files_priv.h
 */
#include "merge_files_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "replica/replica.h"

char *merge_folder(const char *folder, unsigned level)
{
    char name[16];

    snprintf(name, sizeof name, "%u", level);
    return path_join(folder, name);
}

rc merge_folder_list(
    struct segment_list *ret, const char *folder, unsigned level, struct error *err)
{
    auto_free char *inside = merge_folder(folder, level);

    *ret = SEGMENT_LIST_INIT;
    return fs_exists(inside) ? segment_dir_list(ret, inside, err) : RC_OK;
}

rc merge_file_keep(const char *windows, const char *kept, unsigned level,
    const struct segment_name *name, struct error *err)
{
    char text[SEGMENT_NAME_SIZE];
    auto_free char *from_folder = merge_folder(windows, level);
    auto_free char *to_folder = merge_folder(kept, level);

    segment_name_format(text, name);
    auto_free char *from = path_join(from_folder, text);
    auto_free char *to = path_join(to_folder, text);
    TRY(segment_dir_make(to_folder, err));
    return fs_rename(from, to, err);
}

/* Of LEVEL: what the book does not know goes; the size of the rest is added to RET. */
static rc merge_files_sweep_level(const char *kept, unsigned level, const struct merge_book *book,
    uint64_t *ret, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *folder = merge_folder(kept, level);

    TRY(merge_folder_list(&list, kept, level, err));
    for (size_t index = 0; index < list.count; index++) {
        if (merge_book_has(book, level, &list.entries[index].name))
            *ret += list.entries[index].size;
        else
            TRY(segment_dir_remove(folder, &list.entries[index].name, err));
    }
    return RC_OK;
}

/* The oldest ones of LEVEL, until SIZE is not above SIZE_MAX. */
static rc merge_files_shrink_level(
    const char *kept, unsigned level, uint64_t *size, uint64_t size_max, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *folder = merge_folder(kept, level);

    TRY(merge_folder_list(&list, kept, level, err));
    for (size_t index = 0; index<list.count && * size> size_max; index++) {
        TRY(segment_dir_remove(folder, &list.entries[index].name, err));
        *size -= list.entries[index].size;
    }
    return RC_OK;
}

rc merge_files_sweep(
    const char *kept, const struct merge_book *book, uint64_t size_max, struct error *err)
{
    uint64_t size = 0;

    for (unsigned level = 1; level <= REPLICA_LEVEL_MAX; level++)
        TRY(merge_files_sweep_level(kept, level, book, &size, err));
    for (unsigned level = 1; level <= REPLICA_LEVEL_MAX && size > size_max; level++)
        TRY(merge_files_shrink_level(kept, level, &size, size_max, err));
    return RC_OK;
}
