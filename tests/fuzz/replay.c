/*
 * replay - runs a fuzz target over files, without a fuzzer
 *
 *   fuzz_x FILE_OR_FOLDER...
 *
 * So that every compiler, not only clang, runs what the corpus holds.
 */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLAY_SIZE_MAX = 16 << 20 };

static unsigned replay_count;

static rc replay_file(const char *path, struct error *err)
{
    auto_buf struct buf content = BUF_INIT(REPLAY_SIZE_MAX);
    TRY(fs_read_file(&content, path, err));

    /* In memory of its own exact size, so that a sanitizer sees the first byte behind it. */
    auto_free uint8_t *exact = mem_copy(content.data, content.size);
    LLVMFuzzerTestOneInput(exact, content.size);
    replay_count++;
    return RC_OK;
}

static rc replay_entry(void *payload, const char *name, bool is_folder, struct error *err)
{
    if (is_folder)
        return RC_OK;
    auto_free char *path = path_join(payload, name);
    return replay_file(path, err);
}

int main(int argc, char **argv)
{
    for (int index = 1; index < argc; index++) {
        struct error err;
        struct stat status;
        rc result = fs_stat(&status, argv[index], &err);
        if (result == RC_OK)
            result = S_ISDIR(status.st_mode) ? fs_each(argv[index], replay_entry, argv[index], &err)
                                             : replay_file(argv[index], &err);
        if (result != RC_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    printf("%u inputs replayed\n", replay_count);
    return 0;
}
