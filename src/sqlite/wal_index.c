/*
 * The WAL-index: SQLite's shared memory that says what of the log is committed, and where each page
 * is.
 *
 * sqlite.org/walformat.html, section 2, in native byte order but for the salts, which are copied
 * from the log as they are:
 *
 *      0  version, 3007000                      48  the same 48 bytes again
 *      8  change counter                        96  nBackfill
 *     12  initialised, word order of checksums 100  read marks
 *     14  page size (65536 is 1)               120  lock bytes
 *     16  mxFrame                              136  page numbers of frames 1..4062
 *     20  database size in pages             16384  8,192 hash slots of 16 bits
 *     24  running checksum at mxFrame
 *     32  salts                              each further region of 32 KiB: 4,096 page numbers,
 * then 40  checksum of bytes 0..39            8,192 hash slots
 *
 * A writer changes the second copy, then the first, with a barrier between; a reader reads them the
 * other way round, so two equal copies were not being written.
 */
#include "database_priv.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>
#include <stddef.h>

enum {
    INDEX_REGION_SIZE = 32768,
    INDEX_COPY_SIZE = 48,
    INDEX_SUMMED_SIZE = 40,
    INDEX_VERSION = 3007000,
    INDEX_AT_CHANGES = 8,
    INDEX_AT_FRAMES = 16,
    INDEX_AT_SALT = 32,
    INDEX_AT_BACKFILL = 96,
    INDEX_AT_READ_MARKS = 100,
    INDEX_AT_PAGES = 136, /* in the first region; 0 in the others */
    INDEX_AT_HASH = 16384,
    INDEX_SLOT_COUNT = 8192,
    INDEX_FRAMES_FIRST = 4062,
    INDEX_FRAMES_OTHER = 4096,
    INDEX_HASH_FACTOR = 383,

    HEADER_TRY_COUNT = 20,
    HEADER_EAGER_TRY_COUNT = 5, /* before the first pause */
    HEADER_PAUSE_US = 10,
};
#define INDEX_HOST_IS_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
_Static_assert(INDEX_AT_PAGES + 4 * INDEX_FRAMES_FIRST == INDEX_AT_HASH, "region 0 is full");
_Static_assert(4 * INDEX_FRAMES_OTHER == INDEX_AT_HASH, "the other regions are full");
_Static_assert(INDEX_AT_HASH + 2 * INDEX_SLOT_COUNT == INDEX_REGION_SIZE, "the hash ends a region");

static uint32_t index_word(const volatile uint8_t *region, size_t offset)
{
    assert(offset % sizeof(uint32_t) == 0);
    return __atomic_load_n(
        (const volatile uint32_t *)(const volatile void *)(region + offset), __ATOMIC_SEQ_CST);
}

static uint16_t index_slot(const volatile uint8_t *region, uint32_t slot)
{
    const volatile void *at = region + INDEX_AT_HASH + 2 * (size_t)slot;

    return __atomic_load_n((const volatile uint16_t *)at, __ATOMIC_RELAXED);
}

rc wal_index_region(
    struct database *database, size_t index, const volatile uint8_t **ret, struct error *err)
{
    if (index < database->region_count && database->regions[index] != NULL) {
        *ret = database->regions[index];
        return RC_OK;
    }

    sqlite3_file *file = database->reader.file;
    void volatile *memory = NULL;
    int result = file->pMethods->xShmMap(file, (int)index, INDEX_REGION_SIZE, 0, &memory);
    if (result != SQLITE_OK)
        return conn_error(err, NULL, result, "map the log's index");

    if (memory != NULL && index >= database->region_count) {
        size_t count = index + 1;
        database->regions =
            mem_resize((void *)database->regions, count * sizeof *database->regions);
        for (size_t i = database->region_count; i < count; i++)
            database->regions[i] = NULL;
        database->region_count = count;
    }
    if (memory != NULL)
        database->regions[index] = memory;
    *ret = memory;
    return RC_OK;
}

static void index_copy(const volatile uint8_t *region, size_t offset, uint8_t out[INDEX_COPY_SIZE])
{
    for (size_t i = 0; i < INDEX_COPY_SIZE; i += sizeof(uint32_t)) {
        uint32_t word = index_word(region, offset + i);
        memcpy(out + i, &word, sizeof word);
    }
}

static uint32_t index_native(const uint8_t *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t index_page_size(const uint8_t *raw)
{
    uint16_t coded;

    memcpy(&coded, raw + 14, sizeof coded);
    return (coded & 0xfe00u) + ((coded & 1u) << 16);
}

static void index_header_decode(struct wal_index_header *ret, const uint8_t raw[INDEX_COPY_SIZE])
{
    *ret = (struct wal_index_header){
        .change_counter = index_native(raw + 8),
        .page_size = index_page_size(raw),
        .frame_count = index_native(raw + 16),
        .page_count = index_native(raw + 20),
        .frame_checksum = { index_native(raw + 24), index_native(raw + 28) },
        .salt = { get_be32(raw + 32), get_be32(raw + 36) },
        .big_endian_checksum = raw[13] != 0,
    };
}

/* What SQLite has not written while the log was empty since it was opened. */
static rc index_header_complete(
    struct database *database, struct wal_index_header *header, struct error *err)
{
    uint64_t file_size = 0;

    if (header->page_size == 0)
        header->page_size = database->page_size;
    if (header->page_size != database->page_size)
        FAIL(err, RC_MISMATCH, "page size changed from %u to %u", database->page_size,
            header->page_size);
    if (header->page_count == 0) {
        TRY(conn_file_size(&database->reader, &file_size, err));
        header->page_count = (uint32_t)(file_size / header->page_size);
    }
    return RC_OK;
}

rc wal_index_header_try(struct database *database, struct wal_index_header *ret, struct error *err)
{
    const volatile uint8_t *region = NULL;
    uint8_t first[INDEX_COPY_SIZE];
    uint8_t second[INDEX_COPY_SIZE];
    uint32_t checksum[2] = { 0, 0 };

    TRY(wal_index_region(database, 0, &region, err));
    if (region == NULL) /* unreachable: it was mapped when the database was opened */
        FAIL(err, RC_BUSY, "the log's index is not there yet");

    index_copy(region, 0, first);
    __sync_synchronize();
    index_copy(region, INDEX_COPY_SIZE, second);

    if (memcmp(first, second, sizeof first) != 0 || first[12] == 0)
        FAIL(err, RC_BUSY, "the log's index is being changed");
    wal_checksum(INDEX_HOST_IS_BIG_ENDIAN, bytes_of(first, INDEX_SUMMED_SIZE), checksum);
    if (checksum[0] != index_native(first + 40) || checksum[1] != index_native(first + 44))
        FAIL(err, RC_BUSY, "the log's index is being changed");
    if (index_native(first) != INDEX_VERSION)
        FAIL(err, RC_UNSUPPORTED, "the log's index has version %u, must be %d", index_native(first),
            INDEX_VERSION);

    struct wal_index_header header;
    index_header_decode(&header, first);
    TRY(index_header_complete(database, &header, err));
    *ret = header;
    return RC_OK;
}

static rc index_header_patiently(
    struct database *database, struct wal_index_header *ret, struct error *err)
{
    for (unsigned i = 0; i < HEADER_TRY_COUNT; i++) {
        rc code = wal_index_header_try(database, ret, err);
        if (code != RC_BUSY)
            return code;
        if (i >= HEADER_EAGER_TRY_COUNT)
            clock_pause_us(i * HEADER_PAUSE_US);
    }
    return RC_BUSY;
}

rc database_log_header(struct database *database, struct wal_index_header *ret, struct error *err)
{
    rc code = index_header_patiently(database, ret, err);

    if (code != RC_BUSY || database->holds_write_lock)
        return code;

    /*
     * Not being changed but left half changed: its writer died. SQLite repairs it on the next read,
     * under its own locks; a live writer still wins, and then the read is RC_BUSY.
     */
    TRY(database_begin_read(database, &database->reader, 0, err));
    conn_end_read(&database->reader);
    return index_header_patiently(database, ret, err);
}

struct wal_index_words wal_index_words_read(const struct database *database)
{
    assert(database->region_count > 0);

    const volatile uint8_t *region = database->regions[0];
    struct wal_index_words words = { .claimed_frames = index_word(region, INDEX_AT_BACKFILL) };

    words.log_frames = index_word(region, INDEX_AT_FRAMES);
    words.salt[0] = index_word(region, INDEX_AT_SALT);
    words.salt[1] = index_word(region, INDEX_AT_SALT + 4);
    return words;
}

struct wal_index_words wal_index_words_decode(const uint8_t raw[WAL_INDEX_WORDS_SIZE])
{
    return (struct wal_index_words){
        .claimed_frames = index_native(raw + INDEX_AT_BACKFILL),
        .log_frames = index_native(raw + INDEX_AT_FRAMES),
        .salt = { index_native(raw + INDEX_AT_SALT), index_native(raw + INDEX_AT_SALT + 4) },
    };
}

static void index_put(volatile uint8_t *region, size_t offset, const uint8_t copy[INDEX_COPY_SIZE])
{
    for (size_t i = 0; i < INDEX_COPY_SIZE; i += sizeof(uint32_t))
        __atomic_store_n((volatile uint32_t *)(volatile void *)(region + offset + i),
            index_native(copy + i), __ATOMIC_SEQ_CST);
}

rc wal_index_disclaim(struct database *database, struct error *err)
{
    sqlite3_file *file = database->reader.file;
    struct wal_index_header header;
    uint8_t copy[INDEX_COPY_SIZE];
    void volatile *memory = NULL;

    TRY(wal_index_header_try(database, &header, err));
    int result = file->pMethods->xShmMap(file, 0, INDEX_REGION_SIZE, 0, &memory);
    if (result != SQLITE_OK || memory == NULL) /* unreachable: this process has it mapped */
        return conn_error(err, NULL, result == SQLITE_OK ? SQLITE_IOERR : result, "map the index");

    uint32_t change_counter = header.change_counter + 1;
    uint32_t checksum[2] = { 0, 0 };
    index_copy(memory, 0, copy);
    memcpy(copy + INDEX_AT_CHANGES, &change_counter, sizeof change_counter);
    wal_checksum(INDEX_HOST_IS_BIG_ENDIAN, bytes_of(copy, INDEX_SUMMED_SIZE), checksum);
    memcpy(copy + INDEX_SUMMED_SIZE, checksum, sizeof checksum);

    /* Whoever sees the new header must see the count; to die in between is a header to recover. */
    __atomic_store_n(
        (volatile uint32_t *)(volatile void *)((volatile uint8_t *)memory + INDEX_AT_BACKFILL), 0,
        __ATOMIC_SEQ_CST);
    index_put(memory, INDEX_COPY_SIZE, copy);
    __sync_synchronize();
    index_put(memory, 0, copy);
    return RC_OK;
}

uint32_t wal_index_read_mark(const struct database *database, unsigned slot)
{
    assert(database->region_count > 0);
    return index_word(database->regions[0], INDEX_AT_READ_MARKS + 4 * (size_t)slot);
}

/* The region that FRAME is in, and the frame before the region's first. */
static size_t index_region_of(uint32_t frame, uint32_t *ret_before)
{
    assert(frame > 0);

    if (frame <= INDEX_FRAMES_FIRST) {
        *ret_before = 0;
        return 0;
    }

    size_t index = 1 + (frame - INDEX_FRAMES_FIRST - 1) / INDEX_FRAMES_OTHER;
    *ret_before = INDEX_FRAMES_FIRST + (uint32_t)(index - 1) * INDEX_FRAMES_OTHER;
    return index;
}

static uint32_t index_pgno(const volatile uint8_t *region, size_t index, uint32_t place)
{
    assert(place > 0);
    return index_word(region, (index == 0 ? INDEX_AT_PAGES : 0) + 4 * (size_t)(place - 1));
}

/* Places are counted from 1 in the region; a slot of 0 ends a chain. */
static rc index_find_in_region(const volatile uint8_t *region, size_t index, uint32_t pgno,
    uint32_t place_max, uint32_t *ret_place, struct error *err)
{
    uint32_t frames = index == 0 ? INDEX_FRAMES_FIRST : INDEX_FRAMES_OTHER;
    uint32_t slot = pgno * INDEX_HASH_FACTOR & (INDEX_SLOT_COUNT - 1);
    uint32_t found = 0;

    for (unsigned i = 0; i < INDEX_SLOT_COUNT; i++) {
        uint32_t place = index_slot(region, slot);
        if (place == 0) {
            *ret_place = found;
            return RC_OK;
        }
        if (place > frames)
            FAIL(err, RC_CORRUPT, "the log's index names frame %u of %u", place, frames);
        if (place <= place_max && place > found && index_pgno(region, index, place) == pgno)
            found = place;
        slot = (slot + 1) & (INDEX_SLOT_COUNT - 1);
    }
    FAIL(err, RC_CORRUPT, "the log's index has a hash chain without an end");
}

rc database_find_frame(struct database *database, uint32_t pgno, uint32_t frame_bound,
    uint32_t *ret_frame, struct error *err)
{
    uint32_t bound = frame_bound;

    assert(pgno > 0);
    while (bound > 0) {
        const volatile uint8_t *region = NULL;
        uint32_t before = 0;
        uint32_t place = 0;
        size_t index = index_region_of(bound, &before);

        TRY(wal_index_region(database, index, &region, err));
        if (region == NULL)
            FAIL(err, RC_CORRUPT, "the log's index ends before frame %u", bound);
        TRY(index_find_in_region(region, index, pgno, bound - before, &place, err));
        if (place > 0) {
            *ret_frame = before + place;
            return RC_OK;
        }
        bound = before;
    }
    *ret_frame = 0;
    return RC_OK;
}

rc wal_index_pgno_of(struct database *database, uint32_t frame, uint32_t *ret, struct error *err)
{
    const volatile uint8_t *region = NULL;
    uint32_t before = 0;
    size_t index = index_region_of(frame, &before);

    TRY(wal_index_region(database, index, &region, err));
    *ret = region == NULL ? 0 : index_pgno(region, index, frame - before);
    return RC_OK;
}
