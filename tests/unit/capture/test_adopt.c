/* Taking over a position: what in the spool continues it is applied, and nothing else is. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "codec/digest.h"
#include "segment/dir.h"
#include "world.h"

enum { PAGE_SIZE = 4096, LOCK_PAGE = (1 << 30) / PAGE_SIZE + 1 };

/* A closed capture with the transactions 2 and 3 in its spool, and what was known after 1. */
struct adoption {
    struct world world;
    struct capture_position first;
    struct capture_position newest;
};

static struct adoption adoption_new(void)
{
    struct adoption adoption = { .world = world_new(PAGE_SIZE) };
    struct world *world = &adoption.world;

    world_sql(world, "CREATE TABLE t(a); INSERT INTO t VALUES(randomblob(30000))");
    world_open(world, CAPTURE_STATE_NONE);
    world_begin(world);
    adoption.first = *capture_position(world->capture);
    world_sql(world, "INSERT INTO t VALUES(randomblob(9000))");
    (void)world_sync(world);
    world_sql(world, "UPDATE t SET a = randomblob(100)");
    (void)world_sync(world);
    adoption.newest = *capture_position(world->capture);
    world_close(world);
    assert_int_equal(adoption.newest.txid, adoption.first.txid + 2);
    return adoption;
}

/* The digests of the replay, which has seen the first transaction only, and are now POSITION's. */
static void adopt(struct adoption *adoption, const struct capture_position *position)
{
    struct world *world = &adoption->world;
    struct error err = { 0 };

    if (world->capture == NULL)
        world_open(world, CAPTURE_STATE_POSITION);
    CHECK_OK(capture_adopt_begin(world->capture, position, &err));
    for (uint32_t pgno = 1; pgno <= position->page_count; pgno++)
        CHECK_OK(capture_adopt_page(world->capture, pgno, world->replay.digests[pgno - 1], &err));
}

static void check_spool_count(struct adoption *adoption, size_t count)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };

    CHECK_OK(segment_dir_list_spool(&list, capture_spool_dir(adoption->world.capture), &err));
    assert_int_equal(list.count, count);
}

static void the_spool_that_continues_is_applied(void **state)
{
    struct adoption adoption = adoption_new();
    struct error err = { 0 };

    (void)state;
    adopt(&adoption, &adoption.first);
    CHECK_OK(capture_adopt_commit(adoption.world.capture, &err));
    const struct capture_position *now = capture_position(adoption.world.capture);
    assert_int_equal(now->txid, adoption.newest.txid);
    assert_int_equal(now->digest, adoption.newest.digest);
    assert_int_equal(now->page_count, adoption.newest.page_count);
    check_spool_count(&adoption, 2);
    assert_null(capture_departure(adoption.world.capture));
    world_close(&adoption.world);
    world_open(&adoption.world, CAPTURE_STATE_POSITION);
    world_free(&adoption.world);
}

/* What the replica said is checked page by page: nothing of it may be outside the database. */
static void pages_must_be_of_the_database(void **state)
{
    struct adoption adoption = adoption_new();
    struct capture_position large = adoption.first;
    struct error err = { 0 };

    (void)state;
    adopt(&adoption, &adoption.first);
    struct capture *capture = adoption.world.capture;
    CHECK_RC(capture_adopt_page(capture, 0, 5, &err), RC_MISMATCH);
    CHECK_RC(capture_adopt_page(capture, adoption.first.page_count + 1, 5, &err), RC_MISMATCH);
    CHECK_RC(capture_adopt_page(capture, 1, PAGE_DIGEST_UNKNOWN, &err), RC_MISMATCH);
    large.page_count = LOCK_PAGE + 10;
    CHECK_OK(capture_adopt_begin(capture, &large, &err));
    CHECK_RC(capture_adopt_page(capture, LOCK_PAGE, 5, &err), RC_MISMATCH);
    CHECK_RC(capture_adopt_commit(capture, &err), RC_MISMATCH);
    CHECK_SAYS(err, "do not add up");
    world_free(&adoption.world);
}

/*
 * The replica did not lead to where this state stood: whoever opens it next must know, also when
 * this process dies before it has claimed a timeline.
 */
static void check_departs(struct world *world)
{
    struct capture_start_report report;
    struct error err = { 0 };

    assert_non_null(capture_departure(world->capture));
    world_close(world);
    world_open(world, CAPTURE_STATE_REPLACED);
    assert_non_null(capture_departure(world->capture));
    CHECK_OK(capture_start(world->capture, 9, &report, &err));
    assert_null(capture_departure(world->capture));
    world_close(world);
    world_open(world, CAPTURE_STATE_POSITION);
    assert_int_equal(capture_position(world->capture)->timeline, 9);
}

/* Of another timeline, another database, or behind another state: given up as a whole. */
static void a_spool_of_another_history_is_removed(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct adoption adoption = adoption_new();
        struct capture_position other = adoption.first;
        struct error err = { 0 };

        if (what == 0)
            other.timeline++;
        if (what == 1)
            other.database_id.bytes[7] ^= 1;
        if (what == 2) {
            uint64_t *digest = &adoption.world.replay.digests[0];
            other.digest = database_digest_replace(other.digest, *digest, *digest ^ 2);
            *digest ^= 2;
        }
        adopt(&adoption, &other);
        CHECK_OK(capture_adopt_commit(adoption.world.capture, &err));
        assert_int_equal(capture_position(adoption.world.capture)->txid, other.txid);
        assert_int_equal(capture_position(adoption.world.capture)->digest, other.digest);
        check_spool_count(&adoption, 0);
        check_departs(&adoption.world);
        world_free(&adoption.world);
    }
}

/* Behind a gap nothing continues, and what the replica has already leads nowhere. */
static void a_spool_with_a_gap_is_removed(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct adoption adoption = adoption_new();
        struct capture_position position = adoption.first;
        auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
        struct error err = { 0 };

        world_open(&adoption.world, CAPTURE_STATE_POSITION);
        const char *spool = capture_spool_dir(adoption.world.capture);
        CHECK_OK(segment_dir_list(&list, spool, &err));
        assert_int_equal(list.count, 2);
        if (what == 0)
            CHECK_OK(segment_dir_remove(spool, &list.entries[0].name, &err));
        else
            position.txid = adoption.newest.txid + 10;
        adopt(&adoption, &position);
        CHECK_OK(capture_adopt_commit(adoption.world.capture, &err));
        assert_int_equal(capture_position(adoption.world.capture)->txid, position.txid);
        check_spool_count(&adoption, 0);
        world_free(&adoption.world);
    }
}

/* What is damaged is of no use, nor is what lies behind it: the database itself still has it. */
static void a_damaged_segment_ends_what_is_applied(void **state)
{
    (void)state;
    for (size_t damaged = 0; damaged < 2; damaged++) {
        struct adoption adoption = adoption_new();
        auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
        auto_buf struct buf bytes = BUF_INIT(1 << 20);
        char name[SEGMENT_NAME_SIZE];
        struct error err = { 0 };

        world_open(&adoption.world, CAPTURE_STATE_POSITION);
        CHECK_OK(segment_dir_list(&list, capture_spool_dir(adoption.world.capture), &err));
        segment_name_format(name, &list.entries[damaged].name);
        auto_free char *file = text_format(".app.db-seawal/spool/%s", name);
        auto_free char *path = scratch_path(&adoption.world.scratch, file);
        CHECK_OK(fs_read_file(&bytes, path, &err));
        bytes.data[bytes.size - 100] ^= 1;
        scratch_write(&adoption.world.scratch, file, buf_bytes(&bytes));
        adopt(&adoption, &adoption.first);
        CHECK_OK(capture_adopt_commit(adoption.world.capture, &err));
        assert_int_equal(
            capture_position(adoption.world.capture)->txid, adoption.first.txid + damaged);
        check_spool_count(&adoption, damaged);
        world_free(&adoption.world);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spool_that_continues_is_applied),
        cmocka_unit_test(pages_must_be_of_the_database),
        cmocka_unit_test(a_spool_of_another_history_is_removed),
        cmocka_unit_test(a_spool_with_a_gap_is_removed),
        cmocka_unit_test(a_damaged_segment_ends_what_is_applied),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
