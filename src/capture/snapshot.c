/*
 * snapshot - the pages of the database in order, each as of the position at the moment of reading
 */
#include "capture_priv.h"

#include "base/alloc.h"
#include "codec/digest.h"

#include <assert.h>
#include <stdlib.h>

/* Large pages make shorter chunks: memory does not follow the page size. */
enum { SNAPSHOT_CHUNK_SIZE_MAX = 1 << 20 };

void snapshot_chunk_release(struct snapshot_chunk *chunk)
{
    free(chunk->pages);
    *chunk = SNAPSHOT_CHUNK_INIT;
}

void capture_snapshot_begin(
    struct capture *capture, struct capture_snapshot *ret, struct capture_position *ret_first)
{
    assert(capture->state != CAPTURE_IDLE);

    *ret = (struct capture_snapshot){
        .next_pgno = 1,
        .first_page_count = capture_now(capture)->page_count,
    };
    *ret_first = *capture_now(capture);
}

static void snapshot_chunk_prepare(struct snapshot_chunk *chunk, uint32_t page_size)
{
    size_t size = (size_t)SNAPSHOT_CHUNK_PAGE_COUNT * page_size;

    if (size > SNAPSHOT_CHUNK_SIZE_MAX)
        size = SNAPSHOT_CHUNK_SIZE_MAX;
    if (chunk->capacity < size) {
        chunk->pages = mem_resize(chunk->pages, size);
        chunk->capacity = size;
    }
    chunk->page_count = 0;
}

/*
 * Page PGNO has not the image that was captured. A free page may lose it, since no reader misses
 * it: a resync then finds out what it holds now. Any other page is damaged.
 */
static rc capture_judge_page(struct capture *capture, uint32_t pgno, struct error *err)
{
    bool is_free = false;

    TRY(freelist_has(capture, pgno, &is_free, err));
    if (is_free) {
        capture->in_doubt = true;
        FAIL(err, RC_BUSY, "free page %u must be compared first", pgno);
    }
    FAIL(err, RC_CORRUPT,
        "page %u of the database is not what was last written to it; check the database with "
        "PRAGMA integrity_check",
        pgno);
}

rc capture_read_page(struct capture *capture, uint32_t pgno, uint8_t *out, struct error *err)
{
    rc result = image_read_known(capture, capture_place(capture), pgno, out, err);

    return result == RC_MISMATCH ? capture_judge_page(capture, pgno, err) : result;
}

static rc snapshot_read_page(
    struct capture *capture, uint32_t pgno, struct snapshot_chunk *chunk, struct error *err)
{
    uint32_t page_size = capture_now(capture)->page_size;
    uint8_t *out = chunk->pages + chunk->page_count * page_size;

    TRY(capture_read_page(capture, pgno, out, err));
    chunk->pgnos[chunk->page_count] = pgno;
    chunk->digests[chunk->page_count] = digest_map_page(capture->folder.map, pgno);
    chunk->page_count++;
    return RC_OK;
}

rc capture_snapshot_next(struct capture *capture, struct capture_snapshot *snapshot,
    struct snapshot_chunk *ret, struct error *err)
{
    const struct capture_position *position = capture_now(capture);

    if (capture->state != CAPTURE_FOLLOWING)
        FAIL(err, RC_MISMATCH, "capture has stopped");

    if (capture->in_doubt)
        FAIL(err, RC_BUSY, "the database must be compared with its digests first");

    snapshot_chunk_prepare(ret, position->page_size);
    ret->txid = position->txid;
    size_t page_count_max = ret->capacity / position->page_size;
    if (page_count_max > SNAPSHOT_CHUNK_PAGE_COUNT)
        page_count_max = SNAPSHOT_CHUNK_PAGE_COUNT;

    uint32_t pgno = snapshot->next_pgno;
    for (; pgno <= position->page_count && ret->page_count < page_count_max; pgno++) {
        if (pgno != lock_page_of(position->page_size))
            TRY(snapshot_read_page(capture, pgno, ret, err));
    }
    snapshot->next_pgno = pgno;
    return RC_OK;
}
