/* Any bytes as a log header and as the start of a database file: valid fields or an error, never
 * more. */
#include "database_header_priv.h"
#include "sqlite/wal_format.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const uint8_t *data, size_t size)
{
    struct wal_header header;
    struct error err;
    uint32_t checksum[2] = { 0, 0 };
    rc result = wal_header_decode(&header, bytes_of(data, size), &err);

    if (result != RC_OK) {
        assert(result == RC_CORRUPT);
        assert(err.text[0] != '\0');
        return;
    }
    assert(size >= WAL_HEADER_SIZE);
    assert(wal_page_size_is_valid(header.page_size));
    wal_checksum(header.big_endian_checksum, bytes_of(data, WAL_HEADER_SUMMED_SIZE), checksum);
    assert(checksum[0] == header.checksum[0]);
    assert(checksum[1] == header.checksum[1]);
}

/* The checksum made right, so that the fields behind it are reached. */
static void check_header_with_right_checksum(const uint8_t *data, size_t size)
{
    uint8_t raw[WAL_HEADER_SIZE] = { 0 };
    uint32_t checksum[2] = { 0, 0 };

    memcpy(raw, data, size < sizeof raw ? size : sizeof raw);
    wal_checksum((raw[3] & 1) != 0, bytes_of(raw, WAL_HEADER_SUMMED_SIZE), checksum);
    put_be32(raw + 24, checksum[0]);
    put_be32(raw + 28, checksum[1]);
    check_header(raw, sizeof raw);
}

static void check_database_header(const uint8_t *data, size_t size)
{
    uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE] = { 0 };

    memcpy(sample, data, size < sizeof sample ? size : sizeof sample);
    enum database_file_kind kind = database_header_judge(bytes_of(sample, sizeof sample), size);
    assert((kind == DATABASE_FILE_EMPTY) == (size == 0));
    if (kind == DATABASE_FILE_WAL || kind == DATABASE_FILE_ROLLBACK)
        assert(wal_page_size_is_valid(database_header_page_size(bytes_of(sample, sizeof sample))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_header(data, size);
    check_header_with_right_checksum(data, size);
    check_database_header(data, size);
    return 0;
}
