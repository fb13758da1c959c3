/*
 * digest_map - page digests in a mapped file, with an undo journal for the segment in progress
 */
#include "digest_map_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "codec/digest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAP_HEADER_SIZE = 4096,
    MAP_ENTRY_SIZE = 8,
    MAP_GROWTH_MIN = 64 * 1024,
    UNDO_HEADER_SIZE = 4096,
    UNDO_ENTRY_SIZE = 16,
    UNDO_WINDOW_SIZE = 64 * 1024,
    UNDO_KEEP_SIZE = UNDO_HEADER_SIZE + 4 * UNDO_WINDOW_SIZE, /* more is given back */
};
_Static_assert(UNDO_WINDOW_SIZE % UNDO_ENTRY_SIZE == 0, "no entry lies across two windows");
_Static_assert(MAP_GROWTH_MIN % 4096 == 0, "the map grows by whole memory pages");

static const char map_magic[8] = { 's', 'e', 'a', 'w', 'm', 'a', 'p', '1' };
static const char undo_magic[8] = { 's', 'e', 'a', 'w', 'u', 'n', 'd', '1' };
static const uint64_t byte_order_mark = UINT64_C(0x0102030405060708);

struct map_header {
    char magic[8];
    uint64_t byte_order;
    uint32_t page_size;
    uint32_t zero;
    uint8_t database_id[DATABASE_ID_SIZE];
};
_Static_assert(sizeof(struct map_header) == 40, "as drawn in digest_map_priv.h");

struct undo_header {
    char magic[8];
    uint64_t byte_order;
    uint64_t active;
    uint64_t count;
};
_Static_assert(sizeof(struct undo_header) == 32, "as drawn in digest_map_priv.h");

struct undo_entry {
    uint64_t pgno;
    uint64_t before;
};
_Static_assert(sizeof(struct undo_entry) == UNDO_ENTRY_SIZE, "as drawn in digest_map_priv.h");

struct digest_map {
    struct mapped_file file; /* window: all of it */
    struct mapped_file head; /* window: the undo file's header */
    struct mapped_file undo; /* window: the entries being written or read */
    uint64_t capacity;       /* pages that fit */
};

/*
 * Stores before this line reach the shared mappings before those after it. Against kill -9 the
 * order in the program is enough: a process dies between two instructions.
 */
static void digest_map_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static struct map_header *map_header_of(const struct digest_map *map)
{
    return (struct map_header *)(void *)map->file.memory;
}

static uint64_t *map_entries_of(const struct digest_map *map)
{
    return (uint64_t *)(void *)(map->file.memory + MAP_HEADER_SIZE);
}

static struct undo_header *undo_header_of(const struct digest_map *map)
{
    return (struct undo_header *)(void *)map->head.memory;
}

/* Room for pages 1..PAGE_COUNT. */
static rc digest_map_reserve(struct digest_map *map, uint64_t page_count, struct error *err)
{
    uint64_t size = MAP_HEADER_SIZE + page_count * MAP_ENTRY_SIZE;
    uint64_t slack = size / 16 > MAP_GROWTH_MIN ? size / 16 : MAP_GROWTH_MIN;
    uint64_t rounded = (size + slack + MAP_HEADER_SIZE - 1) / MAP_HEADER_SIZE * MAP_HEADER_SIZE;

    TRY(mapped_file_reserve(&map->file, rounded, err));
    TRY(mapped_file_window(&map->file, 0, (size_t)map->file.file_size, err));
    map->capacity = (map->file.file_size - MAP_HEADER_SIZE) / MAP_ENTRY_SIZE;
    assert(map->capacity >= page_count);
    return RC_OK;
}

/* The window of the undo file that holds entry INDEX; returns the entry. */
static rc digest_map_undo_entry(
    struct digest_map *map, uint64_t index, struct undo_entry **ret, struct error *err)
{
    uint64_t offset = index * UNDO_ENTRY_SIZE;
    uint64_t window = UNDO_HEADER_SIZE + offset / UNDO_WINDOW_SIZE * UNDO_WINDOW_SIZE;

    if (map->undo.memory == NULL || map->undo.offset != window) {
        TRY(mapped_file_reserve(&map->undo, window + UNDO_WINDOW_SIZE, err));
        TRY(mapped_file_window(&map->undo, window, UNDO_WINDOW_SIZE, err));
    }
    uint8_t *place = map->undo.memory + offset % UNDO_WINDOW_SIZE;
    *ret = (struct undo_entry *)(void *)place;
    return RC_OK;
}

static rc digest_map_open_map(struct digest_map *map, const char *folder, struct error *err)
{
    auto_free char *path = path_join(folder, "digests");
    TRY(mapped_file_open(&map->file, path, err));

    /* A length that is no multiple of a page is not ours; it is cut and fails the sum if it
     * mattered. */
    uint64_t whole = map->file.file_size / MAP_HEADER_SIZE * MAP_HEADER_SIZE;
    TRY(mapped_file_shrink(&map->file, whole, err));
    TRY(mapped_file_reserve(&map->file, MAP_HEADER_SIZE + MAP_GROWTH_MIN, err));
    TRY(mapped_file_window(&map->file, 0, (size_t)map->file.file_size, err));
    map->capacity = (map->file.file_size - MAP_HEADER_SIZE) / MAP_ENTRY_SIZE;
    return RC_OK;
}

static rc digest_map_open_undo(struct digest_map *map, const char *folder, struct error *err)
{
    auto_free char *path = path_join(folder, "undo");
    TRY(mapped_file_open(&map->head, path, err));
    TRY(mapped_file_reserve(&map->head, UNDO_HEADER_SIZE, err));
    TRY(mapped_file_window(&map->head, 0, UNDO_HEADER_SIZE, err));
    TRY(mapped_file_open(&map->undo, path, err));

    struct undo_header *header = undo_header_of(map);
    if (memcmp(header->magic, undo_magic, sizeof undo_magic) == 0 &&
        header->byte_order == byte_order_mark)
        return RC_OK;

    /* New, or not ours: nothing to play back. The sum tells when that was wrong. */
    memset(header, 0, sizeof *header);
    memcpy(header->magic, undo_magic, sizeof undo_magic);
    header->byte_order = byte_order_mark;
    return RC_OK;
}

rc digest_map_open(struct digest_map **ret, const char *folder, struct error *err)
{
    assert(ret != NULL);
    assert(folder != NULL);

    struct digest_map *map = mem_new(sizeof *map);
    map->file = MAPPED_FILE_INIT;
    map->head = MAPPED_FILE_INIT;
    map->undo = MAPPED_FILE_INIT;

    rc result = digest_map_open_map(map, folder, err);
    if (result == RC_OK)
        result = digest_map_open_undo(map, folder, err);
    if (result != RC_OK) {
        digest_map_close(map);
        return result;
    }
    *ret = map;
    return RC_OK;
}

void digest_map_close(struct digest_map *map)
{
    if (map == NULL)
        return;
    mapped_file_release(&map->file);
    mapped_file_release(&map->head);
    mapped_file_release(&map->undo);
    free(map);
}

bool digest_map_is_blank(const struct digest_map *map)
{
    static const char blank[sizeof map_magic];

    return memcmp(map_header_of(map)->magic, blank, sizeof blank) == 0;
}

bool digest_map_belongs(
    const struct digest_map *map, const struct database_id *id, uint32_t page_size)
{
    const struct map_header *header = map_header_of(map);

    return memcmp(header->magic, map_magic, sizeof map_magic) == 0 &&
           header->byte_order == byte_order_mark && header->page_size == page_size &&
           memcmp(header->database_id, id->bytes, DATABASE_ID_SIZE) == 0;
}

rc digest_map_reset(
    struct digest_map *map, const struct database_id *id, uint32_t page_size, struct error *err)
{
    undo_header_of(map)->active = 0;
    memset(map_header_of(map), 0, sizeof(struct map_header));

    /* Zeros by cutting the file to its header and allocating anew: no page of it is touched. */
    TRY(mapped_file_window(&map->file, 0, MAP_HEADER_SIZE, err));
    map->capacity = 0;
    TRY(mapped_file_shrink(&map->file, MAP_HEADER_SIZE, err));
    TRY(digest_map_reserve(map, 0, err));

    struct map_header header = { .byte_order = byte_order_mark, .page_size = page_size };
    memcpy(header.magic, map_magic, sizeof map_magic);
    memcpy(header.database_id, id->bytes, DATABASE_ID_SIZE);
    *map_header_of(map) = header;
    return RC_OK;
}

/* Newest entry first, so that a page that changed twice ends with what it was at the beginning. */
static rc digest_map_play_back(struct digest_map *map, struct error *err)
{
    struct undo_header *header = undo_header_of(map);
    uint64_t count = header->count;

    if (count > (map->undo.file_size - UNDO_HEADER_SIZE) / UNDO_ENTRY_SIZE)
        count = 0; /* cut by a crash of the machine; the sum will not match */
    while (count > 0) {
        struct undo_entry *entry = NULL;
        count--;
        TRY(digest_map_undo_entry(map, count, &entry, err));
        if (entry->pgno == 0 || entry->pgno > map->capacity)
            continue; /* likewise */
        map_entries_of(map)[entry->pgno - 1] = entry->before;
    }
    digest_map_order();
    header->active = 0;
    return RC_OK;
}

rc digest_map_recover(struct digest_map *map, uint64_t last_txid, struct error *err)
{
    struct undo_header *header = undo_header_of(map);

    if (header->active == 0)
        return RC_OK;
    if (header->active <= last_txid) {
        header->active = 0; /* the segment is there: only this last store was missing */
        return RC_OK;
    }
    return digest_map_play_back(map, err);
}

uint64_t digest_map_page(const struct digest_map *map, uint32_t pgno)
{
    assert(pgno > 0);
    return pgno <= map->capacity ? map_entries_of(map)[pgno - 1] : PAGE_DIGEST_UNKNOWN;
}

bool digest_map_sum(const struct digest_map *map, uint32_t page_count, uint64_t *ret)
{
    uint32_t lock_page = lock_page_of(map_header_of(map)->page_size);
    uint64_t sum = 0;

    if (page_count > map->capacity)
        return false;
    for (uint32_t pgno = 1; pgno <= page_count; pgno++) {
        uint64_t digest = map_entries_of(map)[pgno - 1];
        if (digest == PAGE_DIGEST_UNKNOWN && pgno != lock_page)
            return false;
        sum += digest;
    }
    *ret = sum;
    return true;
}

void digest_map_clear_behind(struct digest_map *map, uint32_t page_count)
{
    uint64_t *entries = map_entries_of(map);

    /* Pages of the file that hold nothing but zeros stay clean. */
    for (uint64_t index = page_count; index < map->capacity; index++) {
        if (entries[index] != PAGE_DIGEST_UNKNOWN)
            entries[index] = PAGE_DIGEST_UNKNOWN;
    }
}

rc digest_map_begin(struct digest_map *map, uint64_t txid, struct error *err)
{
    struct undo_header *header = undo_header_of(map);

    assert(txid != 0);
    assert(header->active == 0);

    if (map->undo.file_size > UNDO_KEEP_SIZE) {
        TRY(mapped_file_reserve(&map->undo, UNDO_KEEP_SIZE, err));
        TRY(mapped_file_window(&map->undo, UNDO_HEADER_SIZE, UNDO_WINDOW_SIZE, err));
        TRY(mapped_file_shrink(&map->undo, UNDO_KEEP_SIZE, err));
    }
    header->count = 0;
    digest_map_order();
    header->active = txid;
    digest_map_order();
    return RC_OK;
}

rc digest_map_set(struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct undo_header *header = undo_header_of(map);
    struct undo_entry *entry = NULL;

    assert(pgno > 0);
    assert(header->active != 0);

    if (pgno > map->capacity)
        TRY(digest_map_reserve(map, pgno, err));
    TRY(digest_map_undo_entry(map, header->count, &entry, err));

    /* Entry, then count, then the change: a kill between any two leaves nothing that undo misses.
     */
    uint64_t *place = &map_entries_of(map)[pgno - 1];
    *entry = (struct undo_entry){ .pgno = pgno, .before = *place };
    digest_map_order();
    header->count++;
    digest_map_order();
    *place = digest;
    return RC_OK;
}

void digest_map_commit(struct digest_map *map)
{
    assert(undo_header_of(map)->active != 0);
    digest_map_order();
    undo_header_of(map)->active = 0;
}

rc digest_map_abort(struct digest_map *map, struct error *err)
{
    assert(undo_header_of(map)->active != 0);
    return digest_map_play_back(map, err);
}

rc digest_map_fill(struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err)
{
    assert(pgno > 0);
    assert(undo_header_of(map)->active == 0);

    if (pgno > map->capacity)
        TRY(digest_map_reserve(map, pgno, err));
    map_entries_of(map)[pgno - 1] = digest;
    return RC_OK;
}
