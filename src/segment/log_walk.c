/*
 * log_walk - see log_walk_priv.h
 */
#include "log_walk_priv.h"

#include "codec/digest.h"

enum { TRANSACTION_FLAGS_KNOWN = TRANSACTION_RESYNC };

void log_walk_init(struct log_walk *walk, struct segment_reader *reader)
{
    assert(reader->trailer.identity.kind == SEGMENT_LOG);

    *walk = (struct log_walk){ .reader = reader };
    chunk_memory_init(&walk->memory);
    walk->transaction.txid = reader->trailer.identity.min_txid - 1;
    walk->transaction.time_ms = reader->trailer.summary.first_time_ms;
    walk->transaction.page_count = reader->trailer.identity.parent_page_count;
}

void log_walk_release(struct log_walk *walk)
{
    chunk_memory_release(&walk->memory);
}

static bool log_walk_has_chunk(const struct log_walk *walk)
{
    const struct segment_reader *reader = walk->reader;

    return walk->chunk_index < reader->trailer.layout.chunk_count &&
           reader->entries[walk->chunk_index].kind == CHUNK_FRAMES;
}

static rc log_walk_load_chunk(struct log_walk *walk, struct error *err)
{
    const struct segment_reader *reader = walk->reader;
    size_t index = walk->chunk_index;
    struct chunk_parts parts;
    TRY(segment_reader_load_chunk(reader, index, &walk->memory, &parts, err));
    TRY_AS(err,
        log_chunk_decode(
            &walk->chunk, &parts, &reader->entries[index], reader->trailer.identity.page_size, err),
        "index chunk at offset %llu", (unsigned long long)reader->entries[index].offset);
    walk->chunk_index++;
    return RC_OK;
}

static rc log_walk_begin_transaction(struct log_walk *walk, struct error *err)
{
    const struct segment_summary *summary = &walk->reader->trailer.summary;
    struct segment_transaction *transaction = &walk->transaction;
    struct log_transaction_change change;

    log_chunk_next_transaction(&walk->chunk, &change);
    unsigned long long txid = transaction->txid + 1;
    if (change.frame_count == 0 || change.frame_count < walk->frame_count ||
        change.frame_count > summary->frame_count)
        FAIL(err, RC_CORRUPT, "frames of transaction %llu do not add up", txid);
    if (change.time_ms > (uint64_t)summary->last_time_ms - (uint64_t)transaction->time_ms)
        FAIL(err, RC_CORRUPT, "time of transaction %llu is after the segment's last", txid);
    int64_t page_count;
    if (__builtin_add_overflow(change.page_count, transaction->page_count, &page_count) ||
        page_count < 1 || page_count > UINT32_MAX)
        FAIL(err, RC_CORRUPT, "page count of transaction %llu is impossible", txid);
    if ((change.flags & ~(uint32_t)TRANSACTION_FLAGS_KNOWN) != 0)
        FAIL(err, RC_UNSUPPORTED, "flags 0x%x of transaction %llu are not known to this version",
            change.flags, txid);

    *transaction = (struct segment_transaction){
        .txid = txid,
        .time_ms = transaction->time_ms + (int64_t)change.time_ms,
        .page_count = (uint32_t)page_count,
        .frame_count = (uint32_t)change.frame_count,
        .flags = change.flags,
        .digest = change.digest,
    };
    walk->has_transaction = true;
    return RC_OK;
}

static void log_walk_commit(struct log_walk *walk, struct log_step *ret)
{
    *ret = (struct log_step){
        .is_commit = true,
        .txid = walk->transaction.txid,
        .transaction = walk->transaction,
    };
    walk->has_transaction = false;
    walk->frame_count = 0;
    walk->pgno_before = 0;
}

static rc log_walk_frame(struct log_walk *walk, struct log_step *ret, struct error *err)
{
    uint32_t page_size = walk->reader->trailer.identity.page_size;
    enum frame_code code;
    int64_t pgno_change;
    int64_t pgno;

    TRY(log_chunk_next_frame(&walk->chunk, &code, &pgno_change, err));
    if (__builtin_add_overflow(pgno_change, walk->pgno_before, &pgno) || pgno < 1 ||
        pgno > UINT32_MAX)
        FAIL(err, RC_CORRUPT, "page number of a frame is impossible");
    if (pgno == lock_page_of(page_size))
        FAIL(err, RC_CORRUPT, "segment holds the lock page %lld", (long long)pgno);

    uint64_t txid = walk->transaction.txid;
    *ret = (struct log_step){
        .code = code,
        .pgno = (uint32_t)pgno,
        .txid = walk->has_transaction ? txid : txid + 1,
    };
    walk->pgno_before = (uint32_t)pgno;
    walk->frame_count++;
    return RC_OK;
}

static rc log_walk_end(const struct log_walk *walk, struct error *err)
{
    const struct segment_summary *summary = &walk->reader->trailer.summary;
    const struct segment_transaction *last = &walk->transaction;

    assert(!walk->has_transaction); /* its frames were looked for before the end was */
    if (walk->frame_count != 0)
        FAIL(err, RC_CORRUPT, "segment ends within a transaction");
    if (last->txid != summary->max_txid || /* unreachable: the directory's sum was checked */
        last->digest != summary->digest || last->page_count != summary->page_count ||
        last->time_ms != summary->last_time_ms)
        FAIL(err, RC_CORRUPT, "last transaction is not what the trailer says");
    FAIL(err, RC_NOT_FOUND, "segment has no more frames");
}

rc log_walk_next(struct log_walk *walk, struct log_step *ret, struct error *err)
{
    for (;;) {
        if (!walk->has_transaction && walk->chunk.transactions_left > 0)
            TRY(log_walk_begin_transaction(walk, err));
        if (walk->has_transaction && walk->frame_count == walk->transaction.frame_count) {
            log_walk_commit(walk, ret);
            return RC_OK;
        }
        if (walk->chunk.frames_left > 0)
            return log_walk_frame(walk, ret, err);

        if (walk->has_transaction)
            FAIL(err, RC_CORRUPT, "transaction %llu lacks frames",
                (unsigned long long)walk->transaction.txid);
        if (!log_walk_has_chunk(walk))
            return log_walk_end(walk, err);
        TRY(log_walk_load_chunk(walk, err));
    }
}
