/* oracle - see oracle.h */
#include "oracle.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "codec/digest.h"
#include "sim.h"

enum {
    STATE_COUNT_MAX = 1 << 16,
    INDEX_SIZE = 96, /* both copies of the WAL-index header */
    INDEX_COPY_SIZE = 48,
    LOG_HEADER_SIZE = 32,
    FRAME_HEADER_SIZE = 24,
};

/* Everything up to TXID of a timeline was captured by EPOCH. */
struct oracle_capture {
    uint32_t timeline;
    uint64_t txid;
    uint64_t digest;
    uint64_t epoch;
};

static struct {
    char path[PATH_MAX];
    char log_path[PATH_MAX];
    char index_path[PATH_MAX];
    struct oracle_state *states;
    size_t count;
    struct oracle_capture *captures;
    size_t capture_count;
    uint8_t index[INDEX_SIZE]; /* as it was when last looked at */
    size_t acknowledged;       /* states up to here survive a power cut */
    bool is_recovering;        /* the power was cut since the last look */
    uint8_t *image;
    size_t capacity;
    uint8_t *log;
    size_t log_capacity;
} oracle;

void oracle_start(const char *path)
{
    snprintf(oracle.path, sizeof oracle.path, "%s", path);
    snprintf(oracle.log_path, sizeof oracle.log_path, "%s-wal", path);
    snprintf(oracle.index_path, sizeof oracle.index_path, "%s-shm", path);
    if (oracle.states == NULL)
        oracle.states = calloc(STATE_COUNT_MAX, sizeof *oracle.states);
    if (oracle.captures == NULL)
        oracle.captures = calloc(STATE_COUNT_MAX, sizeof *oracle.captures);
    oracle.count = 0;
    oracle.capture_count = 0;
    oracle.acknowledged = 0;
    oracle.is_recovering = false;
    memset(oracle.index, 0, sizeof oracle.index);
}

void oracle_end(void)
{
    free(oracle.states);
    free(oracle.captures);
    free(oracle.image);
    free(oracle.log);
    memset(&oracle, 0, sizeof oracle);
}

static void oracle_reserve(uint8_t **buffer, size_t *capacity, size_t size)
{
    if (*capacity >= size)
        return;
    *capacity = size * 2;
    *buffer = realloc(*buffer, *capacity);
    assert(*buffer != NULL);
}

static size_t oracle_read(const char *path, uint8_t *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = pread(fd, out, size, 0);
    close(fd);
    return got < 0 ? 0 : (size_t)got;
}

static uint32_t oracle_word(size_t offset)
{
    uint32_t word;

    memcpy(&word, oracle.index + offset, sizeof word);
    return word;
}

static uint32_t oracle_page_size(void)
{
    uint16_t coded;

    memcpy(&coded, oracle.index + 14, sizeof coded);
    return (coded & 0xfe00u) + ((coded & 1u) << 16);
}

/* Frames 1 to FRAME_COUNT over the image. */
static void oracle_read_log(uint32_t frame_count, uint32_t page_size, uint32_t page_count)
{
    size_t frame_size = FRAME_HEADER_SIZE + page_size;
    size_t size = LOG_HEADER_SIZE + frame_count * frame_size;

    oracle_reserve(&oracle.log, &oracle.log_capacity, size);
    size_t got = oracle_read(oracle.log_path, oracle.log, size);
    if (got != size) {
        sim_broken("the log has %zu bytes where its index speaks of %zu", got, size);
        return;
    }
    for (uint32_t i = 0; i < frame_count; i++) {
        const uint8_t *frame = oracle.log + LOG_HEADER_SIZE + i * frame_size;
        uint32_t pgno = get_be32(frame);
        if (pgno >= 1 && pgno <= page_count)
            memcpy(oracle.image + (size_t)(pgno - 1) * page_size, frame + FRAME_HEADER_SIZE,
                page_size);
    }
}

static void oracle_append(uint32_t page_size, uint32_t page_count)
{
    struct oracle_state state = {
        .epoch = sim->epoch,
        .is_pinned = sim->pinned,
        .image = bytes_digest(bytes_of(oracle.image, (size_t)page_size * page_count)),
    };
    for (uint32_t i = 0; i < page_count; i++)
        state.digest +=
            page_digest(i + 1, bytes_of(oracle.image + (size_t)i * page_size, page_size));
    if (oracle.count > 0 && oracle.states[oracle.count - 1].digest == state.digest)
        return;

    size_t found = oracle_find(state.digest, 0);
    if (oracle.is_recovering && sim->settings.full_sync && found < oracle.acknowledged)
        sim_broken("a power cut took the application an acknowledged transaction");
    /* What a power cut took may be done again: VACUUM makes the same of the same. */
    if (!oracle.is_recovering && found < oracle.count && !oracle.states[found].is_lost)
        sim_broken("the application's database went back to an earlier state");
    assert(oracle.count < STATE_COUNT_MAX);
    bool is_before_all = found == oracle.count && !sim->settings.full_sync;
    for (size_t i = is_before_all ? 0 : found + 1; oracle.is_recovering && i < oracle.count; i++)
        oracle.states[i].is_lost = true;
    state.is_lost = oracle.is_recovering && found < oracle.count;
    sim_say("state %zu: digest %016llx, %u pages%s", oracle.count, (unsigned long long)state.digest,
        page_count, state.is_pinned ? "" : ", unpinned");
    oracle.states[oracle.count++] = state;
}

static void oracle_look_captured(void)
{
    const struct oracle_capture *last =
        oracle.capture_count > 0 ? &oracle.captures[oracle.capture_count - 1] : NULL;

    if (last != NULL && last->timeline == sim->captured.timeline &&
        last->txid == sim->captured.txid)
        return;
    assert(oracle.capture_count < STATE_COUNT_MAX);
    oracle.captures[oracle.capture_count++] = (struct oracle_capture){
        .timeline = sim->captured.timeline,
        .txid = sim->captured.txid,
        .digest = sim->captured.digest,
        .epoch = sim->epoch,
    };
}

uint64_t oracle_captured_epoch(uint32_t timeline, uint64_t txid)
{
    for (size_t i = 0; i < oracle.capture_count; i++)
        if (oracle.captures[i].timeline == timeline && oracle.captures[i].txid >= txid)
            return oracle.captures[i].epoch;
    return sim->epoch;
}

const struct sim_claim *oracle_captured(size_t index)
{
    static struct sim_claim claim;

    if (index >= oracle.capture_count)
        return NULL;
    claim = (struct sim_claim){
        .timeline = oracle.captures[index].timeline,
        .txid = oracle.captures[index].txid,
        .digest = oracle.captures[index].digest,
    };
    return &claim;
}

void oracle_look(void)
{
    oracle_look_captured();

    uint8_t now[INDEX_SIZE] = { 0 };
    size_t got = oracle_read(oracle.index_path, now, sizeof now);

    /* Being changed, being recovered, or not there: whoever does that will be done one day. */
    if (got != sizeof now || now[12] == 0 ||
        memcmp(now, now + INDEX_COPY_SIZE, INDEX_COPY_SIZE) != 0)
        return;
    if (memcmp(now, oracle.index, sizeof now) == 0)
        return;
    memcpy(oracle.index, now, sizeof now);

    uint32_t page_size = oracle_page_size();
    uint32_t frame_count = oracle_word(16);
    uint32_t page_count = oracle_word(20);
    struct stat status;
    if (page_size == 0 || page_count == 0) {
        /* SQLite leaves these at 0 while a log that was found empty stays empty. */
        page_size = sim->settings.page_size;
        if (stat(oracle.path, &status) != 0)
            return;
        page_count = (uint32_t)((uint64_t)status.st_size / page_size);
    }
    size_t size = (size_t)page_size * page_count;
    oracle_reserve(&oracle.image, &oracle.capacity, size);
    memset(oracle.image, 0, size);
    (void)oracle_read(oracle.path, oracle.image, size);
    if (frame_count > 0)
        oracle_read_log(frame_count, page_size, page_count);
    oracle_append(page_size, page_count);
    oracle.is_recovering = false;
}

void oracle_acknowledge(void)
{
    if (oracle.count > 0)
        oracle.acknowledged = oracle.count - 1;
}

void oracle_note_death(bool power)
{
    sim->epoch++;
    sim->look_soon = true;
    if (!power)
        return;
    oracle.is_recovering = true;
    memset(oracle.index, 0, sizeof oracle.index);
}

size_t oracle_count(void)
{
    return oracle.count;
}

const struct oracle_state *oracle_at(size_t index)
{
    assert(index < oracle.count);
    return &oracle.states[index];
}

size_t oracle_find(uint64_t digest, size_t from)
{
    for (size_t i = from; i < oracle.count; i++)
        if (oracle.states[i].digest == digest)
            return i;
    return oracle.count;
}
