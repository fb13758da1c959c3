/* What the first bytes of a file say about it; the fields are listed in the header file. */
#include "database_header_priv.h"

#include "sqlite/wal_format.h"

#include <assert.h>
#include <stdbool.h>

enum {
    HEADER_SIZE = 100,
    HEADER_PAGE_SIZE_AT = 16,
    HEADER_WRITE_VERSION_AT = 18,
    HEADER_READ_VERSION_AT = 19,
    HEADER_EXPANSION_AT = 72,
    HEADER_EXPANSION_SIZE = 20,
    HEADER_VERSION_ROLLBACK = 1,
    HEADER_VERSION_WAL = 2,
    HEADER_WRITER_AT = 96,
    HEADER_WRITER_MAX = 999999999, /* as many digits as the numbering scheme has */
    BTREE_PAGE_INDEX = 5,          /* interior page of a table, or a leaf of one */
    BTREE_PAGE_LEAF = 13,

    /* 1,024 random bytes hold 251 of the 256 values on average; text and tables hold far fewer. */
    RANDOM_VALUE_COUNT_MIN = 230,
};

static bool database_header_looks_random(struct bytes sample)
{
    bool seen[256] = { false };
    size_t count = 0;

    for (size_t i = 0; i < sample.size; i++) {
        count += !seen[sample.data[i]];
        seen[sample.data[i]] = true;
    }
    return count >= RANDOM_VALUE_COUNT_MIN;
}

static bool database_header_is_plain(struct bytes sample)
{
    uint8_t type = sample.data[HEADER_SIZE];

    return (type == BTREE_PAGE_INDEX || type == BTREE_PAGE_LEAF) &&
           bytes_are_zero(bytes_part(sample, HEADER_EXPANSION_AT, HEADER_EXPANSION_SIZE));
}

enum database_file_kind database_header_judge(struct bytes sample, uint64_t file_size)
{
    static const char magic[16] = "SQLite format 3";

    assert(sample.size == DATABASE_HEADER_SAMPLE_SIZE);

    if (file_size == 0)
        return DATABASE_FILE_EMPTY;
    if (memcmp(sample.data, magic, sizeof magic) != 0) {
        bool is_whole_pages = file_size % WAL_PAGE_SIZE_MIN == 0 && file_size >= sample.size;
        return is_whole_pages && database_header_looks_random(sample) ? DATABASE_FILE_ENCRYPTED
                                                                      : DATABASE_FILE_FOREIGN;
    }
    if (!database_header_is_plain(sample))
        return DATABASE_FILE_ENCRYPTED;
    if (database_header_page_size(sample) == 0)
        return DATABASE_FILE_FOREIGN;

    uint8_t write_version = sample.data[HEADER_WRITE_VERSION_AT];
    uint8_t read_version = sample.data[HEADER_READ_VERSION_AT];
    if (write_version == HEADER_VERSION_WAL && read_version == HEADER_VERSION_WAL)
        return DATABASE_FILE_WAL;
    if (write_version == HEADER_VERSION_ROLLBACK && read_version == HEADER_VERSION_ROLLBACK)
        return DATABASE_FILE_ROLLBACK;
    return DATABASE_FILE_FUTURE;
}

int database_header_writer_version(struct bytes sample)
{
    uint32_t version = get_be32(sample.data + HEADER_WRITER_AT);

    return version <= HEADER_WRITER_MAX ? (int)version : 0;
}

uint32_t database_header_page_size(struct bytes sample)
{
    uint32_t page_size = get_be16(sample.data + HEADER_PAGE_SIZE_AT);

    if (page_size == 1)
        page_size = WAL_PAGE_SIZE_MAX;
    return wal_page_size_is_valid(page_size) ? page_size : 0;
}
