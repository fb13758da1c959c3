/*
 * Which process keeps the log from beginning again: the one with the oldest read mark.
 *
 * SQLite does not tell. The kernel does, for POSIX locks of processes that it lets us see: each
 * line of /proc/locks is
 *
 *   1: POSIX  ADVISORY  READ 1234 fd:00:5678 124 124      pid, device and inode, first and last
 * byte
 *
 * and slot i of the index is byte 123 + i (sqlite.org/walformat.html, section 2.3.1).
 */
#include "sqlite/pin.h"

#include "database_priv.h"

#include <stdio.h>
#include <unistd.h>

enum { SLOT_COUNT = 5, SLOT_BYTE_FIRST = 123, LOCK_LINE_SIZE = 256 };

struct lock_line {
    int pid;
    uint64_t inode;
    uint64_t first;
    uint64_t last;
};

static bool lock_line_parse(struct lock_line *ret, const char *text)
{
    unsigned long long inode = 0;
    unsigned long long first = 0;
    unsigned long long last = 0;

    if (sscanf(text, "%*s POSIX %*s %*s %d %*[^:]:%*[^:]:%llu %llu %llu", &ret->pid, &inode, &first,
            &last) != 4)
        return false;
    ret->inode = inode;
    ret->first = first;
    ret->last = last;
    return true;
}

/* The slot of the oldest mark that LINE holds; 0 when it holds none before the pin. */
static unsigned reader_slot(struct database *database, const struct lock_line *line)
{
    uint32_t oldest = database->pin_frame_mark;
    unsigned found = 0;

    for (unsigned slot = 1; slot < SLOT_COUNT; slot++) {
        uint32_t mark = wal_index_read_mark(database, slot);
        if (mark < oldest && line->first <= SLOT_BYTE_FIRST + slot &&
            line->last >= SLOT_BYTE_FIRST + slot) {
            oldest = mark;
            found = slot;
        }
    }
    return found;
}

int64_t database_reader_pid(struct database *database)
{
    FILE *locks = fopen("/proc/locks", "re");
    char text[LOCK_LINE_SIZE];
    struct lock_line line;
    uint32_t oldest = UINT32_MAX;
    int64_t pid = 0;

    if (locks == NULL)
        return 0;
    while (fgets(text, sizeof text, locks) != NULL) {
        if (!lock_line_parse(&line, text) || line.inode != database->index_identity.inode ||
            line.pid <= 0 || line.pid == getpid())
            continue;
        unsigned slot = reader_slot(database, &line);
        uint32_t mark = slot > 0 ? wal_index_read_mark(database, slot) : UINT32_MAX;
        if (slot > 0 && mark <= oldest) {
            oldest = mark;
            pid = line.pid;
        }
    }
    fclose(locks);
    return pid;
}
