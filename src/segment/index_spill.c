/*
 * index_spill - see index_spill_priv.h
 */
#include "index_spill_priv.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <stdlib.h>
#include <unistd.h>

enum { SPILL_DRAIN_SIZE = 256 << 10 };

void index_spill_init(struct index_spill *spill, const char *folder)
{
    *spill = (struct index_spill){
        .memory = BUF_INIT(INDEX_SPILL_MEMORY_MAX + INDEX_SPILL_ADD_MAX),
        .folder = text_copy(folder),
        .fd = -1,
    };
}

void index_spill_release(struct index_spill *spill)
{
    buf_release(&spill->memory);
    free(spill->folder);
    if (spill->fd >= 0)
        close(spill->fd);
    *spill = (struct index_spill){ .fd = -1 };
}

static rc index_spill_flush(struct index_spill *spill, struct error *err)
{
    if (spill->fd < 0)
        TRY(fs_open_unnamed(&spill->fd, spill->folder, err));
    TRY_AS(err, fs_write_at(spill->fd, buf_bytes(&spill->memory), spill->file_size, err),
        "temporary file in '%s'", spill->folder);
    spill->file_size += spill->memory.size;
    buf_clear(&spill->memory);
    return RC_OK;
}

rc index_spill_add(struct index_spill *spill, struct bytes bytes, struct error *err)
{
    assert(bytes.size <= INDEX_SPILL_ADD_MAX);

    buf_put(&spill->memory, bytes);
    if (spill->memory.size >= INDEX_SPILL_MEMORY_MAX)
        return index_spill_flush(spill, err);
    return RC_OK;
}

uint64_t index_spill_size(const struct index_spill *spill)
{
    return spill->file_size + spill->memory.size;
}

rc index_spill_drain(struct index_spill *spill, struct sink sink, struct error *err)
{
    auto_free uint8_t *piece = spill->file_size > 0 ? mem_new(SPILL_DRAIN_SIZE) : NULL;

    for (uint64_t offset = 0; offset < spill->file_size;) {
        uint64_t rest = spill->file_size - offset;
        size_t size = rest < SPILL_DRAIN_SIZE ? (size_t)rest : SPILL_DRAIN_SIZE;
        TRY(fs_read_exact(spill->fd, piece, size, offset, err));
        TRY(sink.write(sink.payload, bytes_of(piece, size), err));
        offset += size;
    }
    return sink.write(sink.payload, buf_bytes(&spill->memory), err);
}
