/*
 * write_golden - the files that every later version must read
 *
 *   write_golden FOLDER
 *
 * Writes v1-snapshot.seg, v1-log.seg and v1-merged.seg (the same transactions as the log). The
 * checked-in ones were written once and stay as they are; this program tells where they came from,
 * and writes seeds for the fuzz targets (linked with tests/fuzz/weak_digest.c).
 */
#include "base/alloc.h"
#include "base/path.h"
#include "base/pending_file.h"
#include "history.h"

#include <stdio.h>

static rc write_object(const char *folder, const char *name, const struct memory_object *object)
{
    struct error err;
    auto_free char *path = path_join(folder, name);
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;

    rc result = pending_file_open(&file, path, 0644, &err);
    if (result == RC_OK)
        result = pending_file_write(&file, buf_bytes(&object->bytes), &err);
    if (result == RC_OK)
        result = pending_file_commit(&file, PENDING_FILE_REPLACE, &err);
    if (result != RC_OK)
        fprintf(stderr, "write_golden: %s\n", err.text);
    return result;
}

int main(int argc, char **argv)
{
    auto_history struct history history = history_new(1, 512, 10);
    auto_history struct history before = history_copy(&history);
    auto_memory_object struct memory_object snapshot = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object log = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 12, .frames_max = 5, .may_resize = true };

    if (argc != 2) {
        fprintf(stderr, "usage: write_golden FOLDER\n");
        return 2;
    }
    history_write_snapshot(&history, &snapshot);
    history_write_log(&history, &plan, &log, NULL);
    history_write_merged(&before, &history, &merged);
    return write_object(argv[1], "v1-snapshot.seg", &snapshot) != RC_OK ||
           write_object(argv[1], "v1-log.seg", &log) != RC_OK ||
           write_object(argv[1], "v1-merged.seg", &merged) != RC_OK;
}
