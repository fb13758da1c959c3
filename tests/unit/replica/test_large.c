/*
 * large: snapshots and merged segments of several index chunks, transactions larger than what is
 * fetched ahead, and the memory that their restore takes
 */
#include "harness/check.h"
#include "harness/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "codec/digest.h"
#include "replica/replica.h"
#include "replica/restore.h"
#include "segment/log_encoder.h"
#include "segment/pages_encoder.h"
#include "store/scheme.h"
#include "store/store.h"

/* The memory of a sanitizer, and what it keeps of what was freed, count as ours. */
#if !defined(__has_feature)
#define __has_feature(feature) 0 /* gcc's own names are asked for below */
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { MEMORY_MAX = 1 << 30 };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { MEMORY_MAX = 128 << 20 };
#else
enum { MEMORY_MAX = 64 << 20 };
#endif

enum { PAGE_SIZE = 4096, PAGE_COUNT = 30000, CHANGED_COUNT = 6000 };

struct large {
    struct scratch scratch;
    struct store *store;
    struct replica *replica;
    struct database_id id;
    uint8_t *pages; /* in a file, so that it does not count as memory of the restore */
    uint64_t digests[PAGE_COUNT + 1];
    uint64_t digest;
    uint64_t random;
};

static uint64_t large_random(struct large *large)
{
    large->random ^= large->random << 13;
    large->random ^= large->random >> 7;
    large->random ^= large->random << 17;
    return large->random;
}

static struct bytes large_page(const struct large *large, uint32_t pgno)
{
    return bytes_of(large->pages + (size_t)(pgno - 1) * PAGE_SIZE, PAGE_SIZE);
}

/* Half of each page is noise, so that blocks are worth fetching in ranges. */
static void large_fill(struct large *large, uint32_t pgno)
{
    uint8_t *page = large->pages + (size_t)(pgno - 1) * PAGE_SIZE;

    for (size_t i = 0; i < PAGE_SIZE / 2; i += 8) {
        uint64_t value = large_random(large);
        memcpy(page + i, &value, sizeof value);
    }
    memset(page + PAGE_SIZE / 2, (int)(pgno & 0xff), PAGE_SIZE / 2);
    large->digest -= large->digests[pgno];
    large->digests[pgno] = page_digest(pgno, large_page(large, pgno));
    large->digest += large->digests[pgno];
}

static void large_new(struct large *large)
{
    struct error err;

    *large = (struct large){ .scratch = scratch_new(), .random = 88172645463325252u };
    auto_free char *image = scratch_path(&large->scratch, "image");
    auto_free char *root = scratch_path(&large->scratch, "store");
    int fd = -1;
    CHECK_OK(fs_open(&fd, image, O_RDWR | O_CREAT, 0600, &err));
    CHECK_OK(fs_truncate(fd, (uint64_t)PAGE_COUNT * PAGE_SIZE, &err));
    large->pages =
        mmap(NULL, (size_t)PAGE_COUNT * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(large->pages != MAP_FAILED);
    close(fd);
    for (uint32_t pgno = 1; pgno <= PAGE_COUNT; pgno++)
        large_fill(large, pgno);
    CHECK_OK(fs_make_folders(root, 0755, &err));
    struct store_options none = { 0 };
    CHECK_OK(store_open(&large->store, root, &none, &err));
    large->replica = replica_new(large->store);
    struct replica_create_options create = { .page_size = PAGE_SIZE, .time_ms = 1 };
    CHECK_OK(replica_create(large->replica, &create, &large->id, &err));
}

static void large_snapshot(struct large *large)
{
    struct error err;
    struct replica_snapshot *snapshot = NULL;
    struct replica_snapshot_options options = { .timeline = 1, .first_txid = 1, .time_ms = 1 };
    struct segment_identity identity = {
        .kind = SEGMENT_SNAPSHOT,
        .database_id = large->id,
        .timeline = 1,
        .page_size = PAGE_SIZE,
        .min_txid = 1,
    };
    struct pages_encoder *encoder = NULL;

    CHECK_OK(replica_snapshot_begin(&snapshot, large->replica, &options, &err));
    CHECK_OK(pages_encoder_new(
        &encoder, &identity, replica_snapshot_sink(snapshot), large->scratch.folder, &err));
    for (uint32_t pgno = 1; pgno <= PAGE_COUNT; pgno++) {
        CHECK_OK(pages_encoder_add(
            encoder, pgno, large_page(large, pgno), 1, large->digests[pgno], &err));
    }
    struct segment_summary summary = {
        .max_txid = 1,
        .digest = large->digest,
        .page_count = PAGE_COUNT,
        .first_time_ms = 1,
        .last_time_ms = 1,
    };
    CHECK_OK(pages_encoder_finish(encoder, &summary, &err));
    pages_encoder_free(encoder);
    CHECK_OK(replica_snapshot_commit(snapshot, &err));
    assert_true(summary.stored_size > 8u << 20);
}

static uint64_t large_digest_of(void *payload, uint32_t pgno)
{
    const struct large *large = payload;

    return large->digests[pgno];
}

static rc large_write(void *payload, struct bytes bytes, struct error *err)
{
    return fs_write(*(const int *)payload, bytes, err);
}

static rc large_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    TRY(fs_read_exact(*(const int *)payload, buf_reserve(out, size), size, offset, err));
    out->size += size;
    return RC_OK;
}

enum large_level { LARGE_LOG, LARGE_MERGED };

/* Store what is in FD. */
static void large_put(struct large *large, enum large_level level,
    const struct segment_summary *summary, const struct segment_identity *identity, int fd)
{
    struct error err;
    struct source source = { .read = large_read, .payload = &fd, .size = summary->stored_size };
    struct replica_segment segment = {
        .timeline = 1,
        .level = level,
        .name = { identity->min_txid, summary->max_txid, summary->last_time_ms },
    };

    assert_true(summary->stored_size > 10u << 20);
    CHECK_OK(replica_put_segment(large->replica, &segment, &source, &err));
}

/* Transaction TXID changes many pages to whole new ones: a segment that nobody fetches ahead. */
static void large_transaction(struct large *large, uint64_t txid)
{
    struct error err;
    struct log_encoder *encoder = NULL;
    struct segment_identity identity = {
        .kind = SEGMENT_LOG,
        .database_id = large->id,
        .timeline = 1,
        .page_size = PAGE_SIZE,
        .min_txid = txid,
        .parent_digest = large->digest,
        .parent_page_count = PAGE_COUNT,
    };
    auto_free char *path = scratch_path(&large->scratch, "segment");
    auto_fd int fd = -1;

    CHECK_OK(fs_open(&fd, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &err));
    struct sink sink = { .write = large_write, .payload = &fd };
    CHECK_OK(log_encoder_new(&encoder, &identity, sink, large->scratch.folder, &err));
    for (uint32_t i = 0; i < CHANGED_COUNT; i++) {
        uint32_t pgno = 1 + (uint32_t)(large_random(large) % PAGE_COUNT);
        large_fill(large, pgno);
        CHECK_OK(
            log_encoder_add_frame(encoder, pgno, large_page(large, pgno), bytes_of(NULL, 0), &err));
    }
    struct segment_transaction transaction = {
        .txid = txid,
        .time_ms = (int64_t)txid,
        .page_count = PAGE_COUNT,
        .digest = large->digest,
    };
    CHECK_OK(log_encoder_end_transaction(encoder, &transaction, &err));
    struct log_place place = { 0 };
    struct segment_summary summary;
    CHECK_OK(log_encoder_finish(encoder, &place, large_digest_of, large, &summary, &err));
    log_encoder_free(encoder);
    large_put(large, LARGE_LOG, &summary, &identity, fd);
}

/* Transactions FIRST to LAST, of which only a merged segment of several index chunks is left. */
static void large_merged(struct large *large, uint64_t first, uint64_t last)
{
    struct error err;
    struct pages_encoder *encoder = NULL;
    struct segment_identity identity = {
        .kind = SEGMENT_MERGED,
        .database_id = large->id,
        .timeline = 1,
        .page_size = PAGE_SIZE,
        .min_txid = first,
        .parent_digest = large->digest,
        .parent_page_count = PAGE_COUNT,
    };
    auto_free char *path = scratch_path(&large->scratch, "segment");
    auto_fd int fd = -1;

    CHECK_OK(fs_open(&fd, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &err));
    struct sink sink = { .write = large_write, .payload = &fd };
    CHECK_OK(pages_encoder_new(&encoder, &identity, sink, large->scratch.folder, &err));
    for (uint32_t pgno = 2; pgno <= PAGE_COUNT; pgno += 1 + pgno % 2) {
        large_fill(large, pgno);
        CHECK_OK(pages_encoder_add(
            encoder, pgno, large_page(large, pgno), last, large->digests[pgno], &err));
    }
    struct segment_summary summary = {
        .max_txid = last,
        .digest = large->digest,
        .page_count = PAGE_COUNT,
        .first_time_ms = (int64_t)first,
        .last_time_ms = (int64_t)last,
    };
    CHECK_OK(pages_encoder_finish(encoder, &summary, &err));
    pages_encoder_free(encoder);
    large_put(large, LARGE_MERGED, &summary, &identity, fd);
}

/* Anonymous memory and nothing else: neither the page cache nor the mapped image count. */
static uint64_t memory_used(void)
{
    char line[256];
    unsigned long kib = 0;

    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "RssAnon: %lu kB", &kib) == 1)
            break;
    }
    fclose(status);
    return (uint64_t)kib << 10;
}

static void measure(void *payload, const struct restore_progress *progress)
{
    uint64_t *most = payload;
    uint64_t used = memory_used();

    assert_true(progress->done_size <= progress->total_size);
    if (used > *most)
        *most = used;
}

static void large_objects_restore_in_fixed_memory(void **state)
{
    struct error err;
    struct large *large = mem_new(sizeof *large);
    (void)state;

    large_new(large);
    large_snapshot(large);
    large_transaction(large, 2);
    large_transaction(large, 3);
    large_merged(large, 4, 6);
    large_transaction(large, 7);

    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_OK(restore_plan_make(&plan, large->replica, &newest, &err));
    assert_int_equal(plan.object_count, 5);
    auto_free char *output = scratch_path(&large->scratch, "restored.db");
    uint64_t most = 0;
    struct restore_options options = {
        .output = output,
        .progress = measure,
        .progress_payload = &most,
    };
    struct restore_report report;
    struct store_stats before;
    struct store_stats after;
    store_stats_read(large->store, &before);
    CHECK_OK(restore_run(large->replica, &plan, &options, &report, &err));
    store_stats_read(large->store, &after);
    assert_in_range(most, 1, MEMORY_MAX);
    /* Everything once, and little more than once: the indexes' places are looked up by range. */
    assert_in_range(report.received_size, plan.total_size - (1u << 20), plan.total_size * 21 / 20);
    assert_int_equal(after.received_bytes - before.received_bytes, report.received_size);

    auto_fd int fd = -1;
    CHECK_OK(fs_open(&fd, output, O_RDONLY, 0, &err));
    uint64_t size = 0;
    CHECK_OK(fs_size(&size, fd, &err));
    assert_int_equal(size, (uint64_t)PAGE_COUNT * PAGE_SIZE);
    for (uint32_t pgno = 1; pgno <= PAGE_COUNT; pgno++) {
        uint8_t page[PAGE_SIZE];
        CHECK_OK(fs_read_exact(fd, page, sizeof page, (uint64_t)(pgno - 1) * PAGE_SIZE, &err));
        assert_memory_equal(page, large_page(large, pgno).data, PAGE_SIZE);
    }
    replica_free(large->replica);
    store_free(large->store);
    munmap(large->pages, (size_t)PAGE_COUNT * PAGE_SIZE);
    scratch_release(&large->scratch);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_objects_restore_in_fixed_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
