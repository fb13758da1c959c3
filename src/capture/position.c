/*
 * position - read and written as a small file, or read from a segment's trailer
 */
#include "position_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/pending_file.h"
#include "codec/digest.h"
#include "segment/dir.h"
#include "segment/reader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { POSITION_SUMMED_SIZE = 144, POSITION_ROOM_SIZE = 12, MACHINE_ID_SIZE = 32 };
enum { POSITION_MUST_DEPART = 1 };
_Static_assert(POSITION_SUMMED_SIZE + 8 == POSITION_FILE_SIZE, "the digest closes the file");

static const char position_magic[8] = { 's', 'e', 'a', 'w', 'p', 'o', 's', '1' };

rc file_mark_read(struct file_mark *ret, const char *path, struct error *err)
{
    struct statx status;

    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &status) != 0)
        FAIL_SYS(err, "look at '%s'", path);

    struct file_mark mark = {
        .device = makedev(status.stx_dev_major, status.stx_dev_minor),
        .inode = status.stx_ino,
    };
    if ((status.stx_mask & STATX_BTIME) != 0)
        mark.birth_ns = status.stx_btime.tv_sec * 1000000000 + status.stx_btime.tv_nsec;
    *ret = mark;
    return RC_OK;
}

bool file_mark_same(const struct file_mark *left, const struct file_mark *right)
{
    if (left->inode != right->inode)
        return false;
    if (left->birth_ns != 0 && right->birth_ns != 0)
        return left->birth_ns == right->birth_ns;
    return left->device == right->device;
}

uint64_t machine_mark_read(const char *path)
{
    auto_buf struct buf id = BUF_INIT(2 * MACHINE_ID_SIZE);

    /* Before its first boot is over a machine may have "uninitialized" there. */
    if (fs_read_file(&id, path, NULL) != RC_OK || id.size < MACHINE_ID_SIZE)
        return 0;
    return bytes_digest(bytes_part(buf_bytes(&id), 0, MACHINE_ID_SIZE));
}

static void position_put_place(struct buf *buf, const struct log_place *place)
{
    buf_put_be32(buf, place->salt[0]);
    buf_put_be32(buf, place->salt[1]);
    buf_put_be32(buf, place->checkpoint_sequence);
    buf_put_be32(buf, place->frame_count);
    buf_put_be32(buf, place->checksum[0]);
    buf_put_be32(buf, place->checksum[1]);
}

void position_file_encode(uint8_t out[POSITION_FILE_SIZE], const struct position_file *file)
{
    static const uint8_t room[POSITION_ROOM_SIZE];
    const struct capture_position *position = &file->position;
    auto_buf struct buf buf = BUF_INIT(POSITION_FILE_SIZE);

    buf_put(&buf, bytes_of(position_magic, sizeof position_magic));
    buf_put(&buf, bytes_of(position->database_id.bytes, DATABASE_ID_SIZE));
    buf_put_be32(&buf, position->timeline);
    buf_put_be32(&buf, position->page_size);
    buf_put_be32(&buf, position->page_count);
    buf_put_be32(&buf, 0);
    buf_put_be64(&buf, position->txid);
    buf_put_be64(&buf, position->digest);
    buf_put_be64(&buf, (uint64_t)position->time_ms);
    position_put_place(&buf, &file->place);
    buf_put_be64(&buf, file->origin_txid);
    buf_put_be64(&buf, file->file.device);
    buf_put_be64(&buf, file->file.inode);
    buf_put_be64(&buf, (uint64_t)file->file.birth_ns);
    buf_put_be64(&buf, file->machine);
    buf_put_be32(&buf, file->must_depart ? POSITION_MUST_DEPART : 0);
    buf_put(&buf, bytes_of(room, sizeof room));
    assert(buf.size == POSITION_SUMMED_SIZE);
    buf_put_be64(&buf, bytes_digest(buf_bytes(&buf)));

    assert(buf.size == POSITION_FILE_SIZE);
    memcpy(out, buf.data, POSITION_FILE_SIZE);
}

static struct log_place position_place(struct cursor *cursor)
{
    struct log_place place;

    place.salt[0] = cursor_be32(cursor);
    place.salt[1] = cursor_be32(cursor);
    place.checkpoint_sequence = cursor_be32(cursor);
    place.frame_count = cursor_be32(cursor);
    place.checksum[0] = cursor_be32(cursor);
    place.checksum[1] = cursor_be32(cursor);
    return place;
}

rc position_file_decode(struct position_file *ret, struct bytes in, struct error *err)
{
    if (in.size != POSITION_FILE_SIZE)
        FAIL(err, RC_CORRUPT, "position is %zu bytes, must be %d", in.size, POSITION_FILE_SIZE);
    if (bytes_digest(bytes_part(in, 0, POSITION_SUMMED_SIZE)) !=
        get_be64(in.data + POSITION_SUMMED_SIZE))
        FAIL(err, RC_CORRUPT, "position does not match its checksum");

    struct cursor cursor = cursor_over(in);
    struct position_file file = { 0 };
    struct bytes magic = cursor_bytes(&cursor, sizeof position_magic);
    if (!bytes_equal(magic, bytes_of(position_magic, sizeof position_magic)))
        FAIL(err, RC_UNSUPPORTED, "position is not of version 1");

    struct bytes id = cursor_bytes(&cursor, DATABASE_ID_SIZE);
    memcpy(file.position.database_id.bytes, id.data, DATABASE_ID_SIZE);
    file.position.timeline = cursor_be32(&cursor);
    file.position.page_size = cursor_be32(&cursor);
    file.position.page_count = cursor_be32(&cursor);
    (void)cursor_be32(&cursor);
    file.position.txid = cursor_be64(&cursor);
    file.position.digest = cursor_be64(&cursor);
    file.position.time_ms = (int64_t)cursor_be64(&cursor);
    file.place = position_place(&cursor);
    file.origin_txid = cursor_be64(&cursor);
    file.file.device = cursor_be64(&cursor);
    file.file.inode = cursor_be64(&cursor);
    file.file.birth_ns = (int64_t)cursor_be64(&cursor);
    file.machine = cursor_be64(&cursor);
    file.must_depart = (cursor_be32(&cursor) & POSITION_MUST_DEPART) != 0;
    assert(!cursor.failed);
    if (file.position.txid == 0 || file.position.page_size < PAGE_SIZE_MIN ||
        file.position.page_size > PAGE_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "position has txid %llu and page size %u",
            (unsigned long long)file.position.txid, file.position.page_size);

    *ret = file;
    return RC_OK;
}

rc position_file_write(const char *path, const struct position_file *file, struct error *err)
{
    uint8_t bytes[POSITION_FILE_SIZE];
    auto_pending_file struct pending_file pending = PENDING_FILE_INIT;

    assert(file->position.txid > 0);
    position_file_encode(bytes, file);
    TRY(pending_file_open(&pending, path, 0600, err));
    TRY(pending_file_write(&pending, bytes_of(bytes, sizeof bytes), err));
    return pending_file_commit(&pending, PENDING_FILE_REPLACE, err);
}

rc position_file_read(struct position_file *ret, const char *path, struct error *err)
{
    auto_buf struct buf buf = BUF_INIT(POSITION_FILE_SIZE);

    TRY(fs_read_file(&buf, path, err));
    TRY_AS(err, position_file_decode(ret, buf_bytes(&buf), err), "'%s'", path);
    return RC_OK;
}

rc position_from_segment(struct capture_position *ret, struct log_place *ret_place,
    const char *folder, const struct segment_name *name, struct error *err)
{
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;
    auto_segment_reader struct segment_reader *reader = NULL;

    TRY(segment_dir_open(&file, folder, name, err));
    TRY(segment_reader_open(&reader, file.source, err));

    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    if (identity->kind != SEGMENT_LOG || identity->min_txid != name->min_txid ||
        summary->max_txid != name->max_txid)
        FAIL(err, RC_CORRUPT, "segment is not what its name says");

    *ret = (struct capture_position){
        .database_id = identity->database_id,
        .timeline = identity->timeline,
        .txid = summary->max_txid,
        .digest = summary->digest,
        .page_count = summary->page_count,
        .page_size = identity->page_size,
        .time_ms = summary->last_time_ms,
    };
    *ret_place = summary->place;
    return RC_OK;
}
