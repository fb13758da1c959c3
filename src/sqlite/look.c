/* What a database's files say to somebody who only looks. */
#include "sqlite/look.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "database_header_priv.h"
#include "database_priv.h"

#include <fcntl.h>

enum {
    LOOK_PAUSE_US = 50000, /* as in poison.c */

    /* The byte of -shm on which whoever has it open holds a shared lock (os_unix.c, UNIX_SHM_DMS);
     * without that, its content is left over and the next to open it makes it anew. */
    LOOK_OPEN_LOCK_AT = 128,
};

static rc look_at_file(struct database_look *look, const char *path, struct error *err)
{
    uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE] = { 0 };
    auto_fd int fd = -1;
    uint64_t file_size = 0;
    size_t size = 0;

    TRY(fs_open(&fd, path, O_RDONLY, 0, err));
    TRY(fs_size(&file_size, fd, err));
    TRY(fs_read_some(fd, sample, sizeof sample, 0, &size, err));

    struct bytes bytes = bytes_of(sample, sizeof sample);
    enum database_file_kind kind = database_header_judge(bytes, file_size);
    if (kind != DATABASE_FILE_WAL && kind != DATABASE_FILE_ROLLBACK)
        FAIL(err, RC_CORRUPT, "'%s' is not a plain SQLite database", path);
    look->writer_version = database_header_writer_version(bytes);
    return RC_OK;
}

static bool look_is_open_somewhere(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOOK_OPEN_LOCK_AT, .l_len = 1
    };

    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* What cannot be read is not poisoned. */
static bool look_reads_poison(int fd, struct wal_index_words *ret)
{
    uint8_t raw[WAL_INDEX_WORDS_SIZE];

    if (fs_read_exact(fd, raw, sizeof raw, 0, NULL) != RC_OK)
        return false;
    *ret = wal_index_words_decode(raw);
    return ret->claimed_frames > ret->log_frames;
}

static void look_at_index(struct database_look *look, const char *path)
{
    auto_free char *index_path = text_format("%s-shm", path);
    auto_fd int fd = -1;
    struct wal_index_words first;
    struct wal_index_words second;

    if (fs_open(&fd, index_path, O_RDONLY, 0, NULL) != RC_OK)
        return;
    if (!look_reads_poison(fd, &first) || !look_is_open_somewhere(fd))
        return;
    clock_pause_us(LOOK_PAUSE_US);
    if (!look_reads_poison(fd, &second))
        return;
    look->is_poisoned =
        first.claimed_frames == second.claimed_frames && wal_pair_equal(first.salt, second.salt);
    look->poison = (struct index_poison){ second.claimed_frames, second.log_frames };
}

rc database_look(struct database_look *ret, const char *path, struct error *err)
{
    struct database_look look = { 0 };

    TRY(look_at_file(&look, path, err));
    look_at_index(&look, path);
    *ret = look;
    return RC_OK;
}
