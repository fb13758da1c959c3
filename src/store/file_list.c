/*
 * file_list - a folder tree as an ordered listing of keys
 *
 * The names of one folder at a time and depth are held in memory and sorted, folders as if their
 * slash belonged to the name: then a depth-first walk gives the keys in byte order ("a-b" before
 * "a/b" before "a0"). The walk keeps its own stack, whose depth is bounded by the longest key.
 */
#include "file_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"

enum {
    FILE_LIST_DEPTH_MAX = 64,
    FILE_LIST_KEY_SIZE_MAX = 4096,
    FILE_LIST_NAMES_SIZE_MAX = 64 << 20, /* about a million names in one folder */
};

struct file_names {
    struct buf text; /* NUL-terminated names, folders with a slash at the end */
    size_t *offsets; /* into text */
    size_t count;
    size_t capacity;
};

struct file_level {
    char *key; /* of the folder: "" or with a slash at the end */
    struct file_names names;
    size_t next;
};

struct file_walk {
    const struct file_list *list;
    struct file_level levels[FILE_LIST_DEPTH_MAX];
    size_t depth;
};

bool file_store_is_temp_name(const char *name)
{
    enum { SUFFIX_SIZE = 11 }; /* ".tmp-XXXXXX" */
    size_t size = strlen(name);
    return name[0] == '.' && size > SUFFIX_SIZE + 1 &&
           strncmp(name + size - SUFFIX_SIZE, ".tmp-", strlen(".tmp-")) == 0;
}

static rc file_names_add(void *payload, const char *name, bool is_folder, struct error *err)
{
    struct file_names *names = payload;

    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 64 : names->capacity * 2;
        names->offsets = mem_resize(names->offsets, names->capacity * sizeof *names->offsets);
    }
    names->offsets[names->count] = names->text.size;
    TRY(buf_append(&names->text, bytes_of_text(name), err));
    TRY(buf_append(&names->text, bytes_of("/", is_folder ? 2 : 1), err));
    if (!is_folder)
        names->text.data[names->text.size - 1] = '\0';
    names->count++;
    return RC_OK;
}

static int file_names_compare(const void *left, const void *right, void *text)
{
    const char *base = text;
    return strcmp(base + *(const size_t *)left, base + *(const size_t *)right);
}

static void file_level_release(struct file_level *level)
{
    free(level->key);
    buf_release(&level->names.text);
    free(level->names.offsets);
    *level = (struct file_level){ 0 };
}

static void file_walk_release(struct file_walk *walk)
{
    while (walk->depth > 0)
        file_level_release(&walk->levels[--walk->depth]);
}

/* Enter the folder of KEY; one that vanished meanwhile counts as empty. */
static rc file_walk_enter(struct file_walk *walk, const char *key, struct error *err)
{
    if (walk->depth == FILE_LIST_DEPTH_MAX || strlen(key) > FILE_LIST_KEY_SIZE_MAX)
        FAIL(err, RC_UNSUPPORTED, "'%.200s' lies more than %d folders or %d bytes deep", key,
            (int)FILE_LIST_DEPTH_MAX, (int)FILE_LIST_KEY_SIZE_MAX);

    struct file_level *level = &walk->levels[walk->depth++];
    *level = (struct file_level){
        .key = text_copy(key),
        .names = { .text = BUF_INIT(FILE_LIST_NAMES_SIZE_MAX) },
    };
    auto_free char *folder = path_join(walk->list->root, key);
    rc listed = fs_each(folder, file_names_add, &level->names, err);
    if (listed != RC_OK && listed != RC_NOT_FOUND)
        return listed;
    if (level->names.count > 0)
        qsort_r(level->names.offsets, level->names.count, sizeof(size_t), file_names_compare,
            level->names.text.data);
    return RC_OK;
}

/* Whether a folder of KEY ("a/b/") can hold keys after AFTER. */
static bool file_list_folder_matters(const char *key, const char *after)
{
    return after == NULL || strcmp(key, after) > 0 || text_has_prefix(after, key);
}

static rc file_walk_visit(const struct file_walk *walk, const char *key, store_each_fn *each,
    void *payload, struct error *err)
{
    const struct file_list *list = walk->list;
    bool is_temp = file_store_is_temp_name(path_name(key));
    if (is_temp != (list->what == FILE_LIST_TEMPS))
        return RC_OK;
    if (list->after != NULL && strcmp(key, list->after) <= 0)
        return RC_OK;

    auto_free char *path = path_join(list->root, key);
    struct stat status;
    rc found = fs_stat(&status, path, err);
    if (found == RC_NOT_FOUND)
        return RC_OK; /* removed since the folder was read */
    TRY(found);
    if (!S_ISREG(status.st_mode))
        return RC_OK;
    struct store_object object = {
        .key = key,
        .size = (uint64_t)status.st_size,
        .modified_ms = status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000,
    };
    return each(payload, &object, err);
}

static rc file_walk_step(
    struct file_walk *walk, store_each_fn *each, void *payload, struct error *err)
{
    const struct file_list *list = walk->list;
    struct file_level *level = &walk->levels[walk->depth - 1];
    if (level->next == level->names.count) {
        file_level_release(level);
        walk->depth--;
        return RC_OK;
    }

    const char *name = (const char *)level->names.text.data + level->names.offsets[level->next++];
    auto_free char *key = text_format("%s%s", level->key, name);
    /* Only the topmost folder's names can miss the prefix: it is where the prefix's last slash
     * leads. */
    if (!text_has_prefix(key, list->prefix))
        return RC_OK;
    if (!text_has_suffix(name, "/"))
        return file_walk_visit(walk, key, each, payload, err);
    if (!file_list_folder_matters(key, list->after))
        return RC_OK;
    return file_walk_enter(walk, key, err);
}

static bool file_list_is_folder(const char *path)
{
    struct stat status;
    return fs_stat(&status, path, NULL) == RC_OK && S_ISDIR(status.st_mode);
}

static rc file_walk_run(
    struct file_walk *walk, store_each_fn *each, void *payload, struct error *err)
{
    auto_free char *top = text_copy(walk->list->prefix);
    char *slash = strrchr(top, '/');
    top[slash == NULL ? 0 : slash + 1 - top] = '\0';
    auto_free char *folder = path_join(walk->list->root, top);
    if (top[0] != '\0' && !file_list_is_folder(folder))
        return RC_OK;
    TRY(file_walk_enter(walk, top, err));
    while (walk->depth > 0)
        TRY(file_walk_step(walk, each, payload, err));
    return RC_OK;
}

rc file_list_run(
    const struct file_list *list, store_each_fn *each, void *payload, struct error *err)
{
    assert(list->root != NULL);
    assert(list->prefix != NULL);

    struct stat status;
    rc found = fs_stat(&status, list->root, err);
    if (found == RC_NOT_FOUND)
        return RC_OK;
    TRY(found);
    if (!S_ISDIR(status.st_mode))
        FAIL(err, RC_USAGE, "'%s' is not a folder", list->root);

    auto_free struct file_walk *walk = mem_new(sizeof *walk);
    walk->list = list;
    rc walked = file_walk_run(walk, each, payload, err);
    file_walk_release(walk);
    return walked;
}
