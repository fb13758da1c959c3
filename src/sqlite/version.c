/* Releases of SQLite: which have the WAL-reset bug, and which one wrote a database. */
#include "sqlite/database.h"

#include "base/alloc.h"
#include "database_header_priv.h"
#include "database_priv.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>

bool sqlite_has_wal_reset_bug(int version_number)
{
    /* 3.44.6 and 3.50.7 are back-ports. Both ends belong to the range. */
    static const struct {
        int first;
        int last;
    } ranges[] = {
        { 3007000, 3044005 },
        { 3045000, 3050006 },
        { 3051000, 3051002 },
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (version_number >= ranges[i].first && version_number <= ranges[i].last)
            return true;
    }
    return false;
}

void sqlite_version_format(char out[SQLITE_VERSION_TEXT_SIZE], int version_number)
{
    /* sqlite.org/c3ref/c_source_id.html: 1,000,000 X + 1,000 Y + Z */
    snprintf(out, SQLITE_VERSION_TEXT_SIZE, "%d.%d.%d", version_number / 1000000,
        version_number / 1000 % 1000, version_number % 1000);
}

rc database_writer_version(struct database *database, int *ret, struct error *err)
{
    auto_free uint8_t *page = mem_new(database->page_size);
    struct wal_index_header header;

    assert(database->pin_holder != PIN_NONE);
    assert(database->page_size >= WAL_PAGE_SIZE_MIN);
    TRY(database_log_header(database, &header, err));
    TRY(database_read_page(database, 1, header.frame_count, page, err));
    *ret = database_header_writer_version(bytes_of(page, database->page_size));
    return RC_OK;
}

int sqlite_library_number(void)
{
    return sqlite3_libversion_number();
}

const char *sqlite_library_version(void)
{
    return sqlite3_libversion();
}
