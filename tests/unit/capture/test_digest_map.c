/*
 * digest_map: what a map holds, what its sum is, and that a killed process leaves either the state
 * before a segment or the state after it.
 */
#include "../../../src/capture/digest_map_priv.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct database_id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

static struct digest_map *map_with(const char *folder, uint32_t page_count)
{
    struct digest_map *map = NULL;
    struct error err = { 0 };

    CHECK_OK(digest_map_open(&map, folder, &err));
    CHECK_OK(digest_map_reset(map, &id, 4096, &err));
    for (uint32_t pgno = 1; pgno <= page_count; pgno++)
        CHECK_OK(digest_map_fill(map, pgno, pgno * 1000, &err));
    return map;
}

static uint64_t sum_of(const struct digest_map *map, uint32_t page_count)
{
    uint64_t sum = 0;

    assert_true(digest_map_sum(map, page_count, &sum));
    return sum;
}

static void a_map_keeps_what_was_filled_in(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    struct error err = { 0 };
    struct digest_map *map = map_with(scratch.folder, 100000);

    assert_int_equal(digest_map_page(map, 1), 1000);
    assert_int_equal(digest_map_page(map, 100000), 100000000);
    assert_int_equal(digest_map_page(map, 100001), 0);
    assert_int_equal(digest_map_page(map, UINT32_MAX), 0);
    assert_int_equal(sum_of(map, 100000), UINT64_C(100000) * 100001 / 2 * 1000);
    digest_map_close(map);

    CHECK_OK(digest_map_open(&map, scratch.folder, &err));
    assert_true(digest_map_belongs(map, &id, 4096));
    assert_false(digest_map_belongs(map, &id, 8192));
    struct database_id other = id;
    other.bytes[15]++;
    assert_false(digest_map_belongs(map, &other, 4096));
    assert_int_equal(sum_of(map, 100000), UINT64_C(100000) * 100001 / 2 * 1000);

    CHECK_OK(digest_map_reset(map, &other, 512, &err));
    assert_true(digest_map_belongs(map, &other, 512));
    assert_int_equal(digest_map_page(map, 1), 0);
    assert_int_equal(digest_map_page(map, 100000), 0);
    digest_map_close(map);
}

static void a_sum_needs_every_page_but_the_lock_page(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    struct error err = { 0 };
    struct digest_map *map = NULL;
    uint64_t sum = 7;
    uint32_t lock_page = lock_page_of(65536);

    CHECK_OK(digest_map_open(&map, scratch.folder, &err));
    CHECK_OK(digest_map_reset(map, &id, 65536, &err));
    for (uint32_t pgno = 1; pgno <= lock_page + 1; pgno++) {
        if (pgno != lock_page)
            CHECK_OK(digest_map_fill(map, pgno, 1, &err));
    }
    assert_true(digest_map_sum(map, lock_page + 1, &sum));
    assert_int_equal(sum, lock_page);
    assert_false(digest_map_sum(map, lock_page + 2, &sum));
    CHECK_OK(digest_map_fill(map, 5, PAGE_DIGEST_UNKNOWN, &err));
    assert_false(digest_map_sum(map, lock_page + 1, &sum));
    assert_false(digest_map_sum(map, UINT32_MAX, &sum));
    assert_int_equal(sum, lock_page);
    digest_map_close(map);
}

static void an_abort_takes_everything_back_in_reverse(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    struct error err = { 0 };
    struct digest_map *map = map_with(scratch.folder, 5000);
    uint64_t before = sum_of(map, 5000);

    CHECK_OK(digest_map_begin(map, 9, &err));
    for (unsigned turn = 1; turn <= 3; turn++) {
        for (uint32_t pgno = 1; pgno <= 20000; pgno++)
            CHECK_OK(digest_map_set(map, pgno, pgno + turn, &err));
    }
    assert_int_equal(digest_map_page(map, 20000), 20003);
    CHECK_OK(digest_map_abort(map, &err));
    assert_int_equal(sum_of(map, 5000), before);
    assert_int_equal(digest_map_page(map, 20000), 0);

    /* And a commit takes nothing back, after which the journal is small again. */
    CHECK_OK(digest_map_begin(map, 9, &err));
    CHECK_OK(digest_map_set(map, 2, 7, &err));
    digest_map_commit(map);
    CHECK_OK(digest_map_recover(map, 8, &err));
    assert_int_equal(digest_map_page(map, 2), 7);
    assert_int_equal(sum_of(map, 5000), before - 2000 + 7);
    digest_map_close(map);
}

/* The open journal of a segment counts only when the segment is not there. */
static void recovery_asks_whether_the_segment_appeared(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    struct error err = { 0 };

    for (uint64_t last_txid = 8; last_txid <= 10; last_txid++) {
        struct digest_map *map = map_with(scratch.folder, 10);
        CHECK_OK(digest_map_begin(map, 9, &err));
        CHECK_OK(digest_map_set(map, 3, 33, &err));
        CHECK_OK(digest_map_set(map, 3, 34, &err));
        digest_map_close(map);

        CHECK_OK(digest_map_open(&map, scratch.folder, &err));
        CHECK_OK(digest_map_recover(map, last_txid, &err));
        assert_int_equal(digest_map_page(map, 3), last_txid < 9 ? 3000 : 34);
        CHECK_OK(digest_map_begin(map, 11, &err));
        digest_map_commit(map);
        digest_map_close(map);
    }
}

/* What the killed process tells: the txid of the last finished "segment" and the sum after it. */
struct kill_report {
    volatile uint64_t txid;
    volatile uint64_t sums[2]; /* by txid modulo 2, so that both sides of a commit are known */
};

static void kill_child(const char *folder, struct kill_report *report)
{
    struct digest_map *map = NULL;
    uint64_t txid = report->txid;
    uint64_t sum = report->sums[txid % 2];
    uint64_t state = txid * 2654435761u + 1;

    if (digest_map_open(&map, folder, NULL) != RC_OK)
        _exit(1);
    if (digest_map_recover(map, txid, NULL) != RC_OK)
        _exit(2);
    for (;;) {
        if (digest_map_begin(map, txid + 1, NULL) != RC_OK)
            _exit(3);
        for (unsigned n = 0; n < 50; n++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint32_t pgno = (uint32_t)(state >> 33) % 3000 + 1;
            sum += state - digest_map_page(map, pgno);
            if (digest_map_set(map, pgno, state, NULL) != RC_OK)
                _exit(4);
        }
        /* The "segment" appears with this one store. */
        report->sums[(txid + 1) % 2] = sum;
        report->txid = ++txid;
        digest_map_commit(map);
    }
}

static void kill_9_leaves_the_state_of_the_newest_segment(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    struct error err = { 0 };
    struct kill_report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct digest_map *map = map_with(scratch.folder, 3000);

    assert_ptr_not_equal(report, MAP_FAILED);
    report->sums[0] = sum_of(map, 3000);
    digest_map_close(map);
    for (unsigned round = 0; round < 200; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            kill_child(scratch.folder, report);
        /* On a slow machine some rounds get somewhere as well. */
        for (uint64_t before = report->txid; round % 2 == 1 && report->txid < before + 3;)
            usleep(100);
        usleep(200 + (round * 7919) % 3000);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));

        CHECK_OK(digest_map_open(&map, scratch.folder, &err));
        CHECK_OK(digest_map_recover(map, report->txid, &err));
        assert_int_equal(sum_of(map, 3000), report->sums[report->txid % 2]);
        digest_map_close(map);
    }
    assert_true(report->txid > 200);
    munmap(report, sizeof *report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_keeps_what_was_filled_in),
        cmocka_unit_test(a_sum_needs_every_page_but_the_lock_page),
        cmocka_unit_test(an_abort_takes_everything_back_in_reverse),
        cmocka_unit_test(recovery_asks_whether_the_segment_appeared),
        cmocka_unit_test(kill_9_leaves_the_state_of_the_newest_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
