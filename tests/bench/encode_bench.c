/*
 * encode_bench - what a recorded log costs as segments: bytes and CPU for each transaction
 *
 *   encode_bench WAL DATABASE [TRANSACTIONS [OUT]]
 *
 * WAL is a whole write-ahead log recorded without checkpoints, DATABASE the file before it,
 * TRANSACTIONS how many go into one segment (200: a second at 200 a second). As capture does, each
 * frame is read and its checksum verified, the image of its page before it is read from the log or
 * the database, and pages are digested. OUT gets the segments one behind the other, nothing else
 * depends on it.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "codec/digest.h"
#include "segment/log_encoder.h"
#include "segment/reader.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WAL_HEADER_SIZE = 32, FRAME_HEADER_SIZE = 24, PAGE_COUNT_MAX = 1 << 24 };

struct bench {
    int wal;
    int database;
    FILE *out;
    uint32_t page_size;
    uint32_t base_page_count;

    uint32_t running[2]; /* checksum of the log so far */
    uint8_t salt[8];
    uint64_t offset; /* of the next frame */
    uint8_t *frame;
    uint8_t *base;

    uint32_t *newest_frame; /* of each page, counted from 1; 0: it is in the database */
    uint64_t *digests;
    uint64_t digest;
    uint32_t page_count;
    uint32_t page_end; /* the largest page number with a digest */
    uint32_t frame_count;
    uint64_t transaction_count;
    uint64_t segment_count;
    uint64_t size; /* of all segments */
    uint64_t base_differs;
};

static void die(const struct error *err)
{
    fprintf(stderr, "encode_bench: %s\n", err->text);
    exit(1);
}

static void check(rc result, const struct error *err)
{
    if (result != RC_OK)
        die(err);
}

/* SQLite's checksum over pairs of little-endian words; WAL files of x86 machines. */
static void sum_words(uint32_t running[2], const uint8_t *bytes, size_t size)
{
    for (size_t index = 0; index < size; index += 8) {
        uint32_t words[2];
        memcpy(words, bytes + index, 8);
        running[0] += words[0] + running[1];
        running[1] += words[1] + running[0];
    }
}

static rc bench_sink_write(void *payload, struct bytes bytes, struct error *err)
{
    struct bench *bench = payload;

    (void)err;
    bench->size += bytes.size;
    if (bench->out != NULL)
        fwrite(bytes.data, 1, bytes.size, bench->out);
    return RC_OK;
}

static uint64_t bench_digest_of(void *payload, uint32_t pgno)
{
    const struct bench *bench = payload;
    return pgno <= bench->page_count ? bench->digests[pgno] : 0;
}

/* False at the end of the log. */
static bool bench_next_frame(struct bench *bench, uint32_t *ret_pgno, uint32_t *ret_commit)
{
    struct error err;
    size_t size = FRAME_HEADER_SIZE + bench->page_size;
    size_t read_size;

    check(fs_read_some(bench->wal, bench->frame, size, bench->offset, &read_size, &err), &err);
    if (read_size != size || memcmp(bench->frame + 8, bench->salt, 8) != 0)
        return false;
    sum_words(bench->running, bench->frame, 8);
    sum_words(bench->running, bench->frame + FRAME_HEADER_SIZE, bench->page_size);
    if (get_be32(bench->frame + 16) != bench->running[0] ||
        get_be32(bench->frame + 20) != bench->running[1])
        return false;
    bench->offset += size;
    bench->frame_count++;
    *ret_pgno = get_be32(bench->frame);
    *ret_commit = get_be32(bench->frame + 4);
    return true;
}

static struct bytes bench_base_of(struct bench *bench, uint32_t pgno)
{
    struct error err;
    uint32_t newest = bench->newest_frame[pgno];

    if (newest != 0) {
        uint64_t frame_size = FRAME_HEADER_SIZE + bench->page_size;
        uint64_t offset = WAL_HEADER_SIZE + (newest - 1) * frame_size + FRAME_HEADER_SIZE;
        check(fs_read_exact(bench->wal, bench->base, bench->page_size, offset, &err), &err);
    } else if (pgno <= bench->base_page_count) {
        uint64_t offset = (uint64_t)(pgno - 1) * bench->page_size;
        check(fs_read_exact(bench->database, bench->base, bench->page_size, offset, &err), &err);
    } else {
        return bytes_of(NULL, 0);
    }
    return bytes_of(bench->base, bench->page_size);
}

static void bench_add_frame(struct bench *bench, struct log_encoder *encoder, uint32_t pgno)
{
    struct error err;
    struct bytes page = bytes_of(bench->frame + FRAME_HEADER_SIZE, bench->page_size);
    struct bytes base = bench_base_of(bench, pgno);

    assert(pgno < PAGE_COUNT_MAX);
    uint64_t before = base.size > 0 ? page_digest(pgno, base) : 0;
    uint64_t after = page_digest(pgno, page);
    bench->digest = database_digest_replace(bench->digest, before, after);
    bench->digests[pgno] = after;
    bench->newest_frame[pgno] = bench->frame_count;
    check(log_encoder_add_frame(encoder, pgno, page, base, &err), &err);
}

/* One segment of up to TRANSACTION_COUNT transactions; false when the log is at its end. */
static bool bench_segment(struct bench *bench, uint32_t transaction_count)
{
    struct error err;
    struct log_encoder *encoder;
    struct segment_identity identity = {
        .kind = SEGMENT_LOG,
        .database_id = { "encode_bench" },
        .page_size = bench->page_size,
        .min_txid = bench->transaction_count + 2,
        .parent_page_count = bench->page_count,
    };
    struct sink sink = { .write = bench_sink_write, .payload = bench };
    uint64_t size_before = bench->size;
    check(log_encoder_new(&encoder, &identity, sink, "/tmp", &err), &err);

    uint32_t pgno;
    uint32_t commit;
    bool is_open = true;
    while (log_encoder_transaction_count(encoder) < transaction_count &&
           (is_open = bench_next_frame(bench, &pgno, &commit))) {
        bench_add_frame(bench, encoder, pgno);
        if (commit == 0)
            continue;
        bench->page_count = commit;
        bench->transaction_count++;
        struct segment_transaction transaction = {
            .txid = bench->transaction_count + 1,
            .time_ms = INT64_C(1790000000000) + (int64_t)bench->transaction_count * 5 +
                       (int64_t)(bench->transaction_count * 7919 % 4),
            .page_count = commit,
            .digest = bench->digest,
        };
        check(log_encoder_end_transaction(encoder, &transaction, &err), &err);
    }
    if (log_encoder_transaction_count(encoder) == 0) {
        bench->size = size_before;
        log_encoder_free(encoder);
        return false;
    }
    struct segment_summary summary;
    struct log_place place = { .frame_count = bench->frame_count };
    check(log_encoder_finish(encoder, &place, bench_digest_of, bench, &summary, &err), &err);
    log_encoder_free(encoder);
    bench->segment_count++;
    return is_open;
}

static void bench_open(struct bench *bench, const char *wal, const char *database)
{
    struct error err;
    uint8_t header[WAL_HEADER_SIZE];
    uint64_t size;

    check(fs_open(&bench->wal, wal, O_RDONLY, 0, &err), &err);
    check(fs_open(&bench->database, database, O_RDONLY, 0, &err), &err);
    check(fs_read_exact(bench->wal, header, sizeof header, 0, &err), &err);
    check(fs_size(&size, bench->database, &err), &err);
    bench->page_size = get_be32(header + 8);
    bench->base_page_count = (uint32_t)(size / bench->page_size);
    bench->page_count = bench->base_page_count;
    memcpy(bench->salt, header + 16, sizeof bench->salt);
    sum_words(bench->running, header, 24);
    bench->offset = WAL_HEADER_SIZE;
    bench->frame = mem_new(FRAME_HEADER_SIZE + bench->page_size);
    bench->base = mem_new(bench->page_size);
    bench->newest_frame = mem_new_array(PAGE_COUNT_MAX, sizeof bench->newest_frame[0]);
    bench->digests = mem_new_array(PAGE_COUNT_MAX, sizeof bench->digests[0]);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct bench bench = { 0 };
    struct error err;
    uint64_t transaction_count = 200;

    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: encode_bench WAL DATABASE [TRANSACTIONS [OUT]]\n");
        return 2;
    }
    if (argc >= 4)
        check(text_parse_u64(&transaction_count, argv[3], UINT32_MAX, &err), &err);
    if (argc == 5)
        bench.out = fopen(argv[4], "w");
    bench_open(&bench, argv[1], argv[2]);

    double start = cpu_seconds();
    while (bench_segment(&bench, (uint32_t)transaction_count))
        ;
    double seconds = cpu_seconds() - start;

    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double log_size = (double)bench.frame_count * (FRAME_HEADER_SIZE + bench.page_size);
    double count = (double)bench.transaction_count;
    printf("%llu transactions, %u frames, %llu segments: %.1f B/tx (raw log %.0f), %.1f us/tx, "
           "%.2f us/frame, %.0f MB of log per CPU second, max RSS %ld KiB\n",
        (unsigned long long)bench.transaction_count, bench.frame_count,
        (unsigned long long)bench.segment_count, (double)bench.size / count, log_size / count,
        seconds / count * 1e6, seconds / bench.frame_count * 1e6, log_size / seconds / 1e6,
        usage.ru_maxrss);
    if (bench.out != NULL)
        fclose(bench.out);
    return 0;
}
