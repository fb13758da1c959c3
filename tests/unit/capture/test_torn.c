/*
 * A power cut leaves files of the state folder as they were at different times, the digest map even
 * page by page: then either everything that is said is right, or it is known to be wrong.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "codec/digest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION_COUNT = 4, FILE_SIZE_MAX = 1 << 20, TORN_SIZE = 4096 };

static const char *const names[] = { "position", "digests", "undo" };
enum { NAME_COUNT = array_count(names) };

struct version {
    uint8_t *bytes[NAME_COUNT];
    size_t sizes[NAME_COUNT];
};

static char *state_path(const struct world *world, const char *name)
{
    return text_format("%s/.app.db-seawal/%s", world->scratch.folder, name);
}

static void version_take(const struct world *world, struct version *ret)
{
    for (size_t n = 0; n < NAME_COUNT; n++) {
        auto_free char *path = state_path(world, names[n]);
        auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        ret->bytes[n] = mem_new(FILE_SIZE_MAX);
        ssize_t size = read(fd, ret->bytes[n], FILE_SIZE_MAX);
        assert_true(size > 0 && size < FILE_SIZE_MAX);
        ret->sizes[n] = (size_t)size;
    }
}

static void version_release(struct version *version)
{
    for (size_t n = 0; n < NAME_COUNT; n++)
        free(version->bytes[n]);
}

static void file_write(
    const struct world *world, const char *name, const uint8_t *bytes, size_t size)
{
    auto_free char *path = state_path(world, name);
    auto_fd int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
}

/* File N as it is in VERSIONS[first], with every page of it for which the dice say so as in OTHER.
 */
static void file_put_back(const struct world *world, size_t n, const struct version *first,
    const struct version *other, uint64_t *random)
{
    size_t size = first->sizes[n];
    auto_free uint8_t *bytes = mem_new(FILE_SIZE_MAX);

    memcpy(bytes, first->bytes[n], size);
    for (size_t at = 0; other != NULL && at < size && at < other->sizes[n]; at += TORN_SIZE) {
        size_t part = size - at < TORN_SIZE ? size - at : TORN_SIZE;
        if (other->sizes[n] - at < part)
            part = other->sizes[n] - at;
        if (world_random(random) % 2 == 0)
            memcpy(bytes + at, other->bytes[n] + at, part);
    }
    file_write(world, names[n], bytes, size);
}

/* What the folder says now: right, or known to be damaged. True for right. */
static bool state_is_believed(struct world *world)
{
    struct error err = { 0 };
    struct capture_difference difference;
    bool believed = false;

    CHECK_OK(capture_open(&world->capture, &world->options, &err));
    if (capture_state_kind(world->capture) == CAPTURE_STATE_POSITION) {
        believed = true;
        assert_int_equal(capture_position(world->capture)->txid, world->replay.txid);
        assert_int_equal(capture_position(world->capture)->digest, world->replay.digest);
        CHECK_OK(capture_compare(world->capture, &difference, &err));
        assert_int_equal(difference.page_count, world->replay.page_count);
        assert_int_equal(difference.equal_count, difference.page_count);
    } else {
        assert_int_not_equal(capture_state_trouble(world->capture)->code, RC_OK);
    }
    world_close(world);
    return believed;
}

/* Versions of the state of one database: growing, changed in place, shrunk, grown again. */
static struct world world_with_versions(struct version versions[VERSION_COUNT])
{
    static const char fill[] =
        "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c LIMIT 900) "
        "INSERT INTO first SELECT randomblob(3000) FROM c";
    static const char *const steps[VERSION_COUNT] = {
        fill,
        "UPDATE first SET x = randomblob(3000) WHERE rowid % 7 = 1",
        "DELETE FROM first WHERE rowid > 300; VACUUM",
        "UPDATE first SET x = randomblob(3000) WHERE rowid % 5 = 1",
    };
    struct world world = world_new(4096);

    world_begin(&world);
    for (size_t n = 0; n < VERSION_COUNT; n++) {
        world_sql(&world, steps[n]);
        world_step(&world);
        world_close(&world);
        version_take(&world, &versions[n]);
        if (n + 1 < VERSION_COUNT)
            world_start(&world, CAPTURE_CONTINUED);
    }
    return world;
}

static void files_of_different_times_are_never_believed_wrongly(void **unused)
{
    (void)unused;
    struct version versions[VERSION_COUNT];
    struct world world = world_with_versions(versions);
    const struct version *newest = &versions[VERSION_COUNT - 1];
    unsigned believed = 0;

    for (size_t index = 0; index < VERSION_COUNT * VERSION_COUNT * VERSION_COUNT; index++) {
        size_t of[NAME_COUNT] = { index % VERSION_COUNT, index / VERSION_COUNT % VERSION_COUNT,
            index / VERSION_COUNT / VERSION_COUNT };
        for (size_t n = 0; n < NAME_COUNT; n++)
            file_put_back(&world, n, &versions[of[n]], NULL, NULL);
        /* The newest segment is the position whatever the file says; the map must be of its time.
         */
        bool is_right = state_is_believed(&world);
        assert_int_equal(is_right, of[1] == VERSION_COUNT - 1);
        believed += is_right;
    }
    assert_int_equal(believed, VERSION_COUNT * VERSION_COUNT);
    for (size_t n = 0; n < NAME_COUNT; n++)
        file_put_back(&world, n, newest, NULL, NULL);
    world_start(&world, CAPTURE_CONTINUED);
    world_check(&world);
    for (size_t n = 0; n < VERSION_COUNT; n++)
        version_release(&versions[n]);
    world_free(&world);
}

static void torn_files_are_never_believed_wrongly(void **unused)
{
    (void)unused;
    struct version versions[VERSION_COUNT];
    struct world world = world_with_versions(versions);
    uint64_t random = 4711;
    unsigned believed = 0;

    for (unsigned round = 0; round < 300; round++) {
        for (size_t n = 0; n < NAME_COUNT; n++) {
            const struct version *first = &versions[world_random(&random) % VERSION_COUNT];
            const struct version *other = &versions[world_random(&random) % VERSION_COUNT];
            file_put_back(&world, n, first, other, &random);
        }
        believed += state_is_believed(&world);
    }
    assert_true(believed > 0);
    assert_true(believed < 300);
    for (size_t n = 0; n < VERSION_COUNT; n++)
        version_release(&versions[n]);
    world_free(&world);
}

/*
 * A shrunk database whose map kept digests behind its end, since the stores that cleared them were
 * lost. Were they believed, the pages that come back would be missing, and the digest wrong.
 */
static void digests_behind_the_end_are_not_believed(void **unused)
{
    (void)unused;
    struct version versions[VERSION_COUNT];
    struct world world = world_with_versions(versions);
    const struct version *old = &versions[1];
    struct version *newest = &versions[VERSION_COUNT - 1];
    size_t end = 4096 + (size_t)world.replay.page_count * sizeof(uint64_t);

    assert_true(old->sizes[1] > end);
    assert_true(newest->sizes[1] >= old->sizes[1]);
    memcpy(newest->bytes[1] + end, old->bytes[1] + end, old->sizes[1] - end);
    file_write(&world, names[1], newest->bytes[1], newest->sizes[1]);
    world_start(&world, CAPTURE_CONTINUED);
    world_sql(&world,
        "CREATE TABLE more(x); INSERT INTO more SELECT randomblob(3000) FROM first; DROP TABLE more;"
        "INSERT INTO first SELECT randomblob(3000) FROM first");
    world_step(&world);
    for (size_t n = 0; n < VERSION_COUNT; n++)
        version_release(&versions[n]);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_different_times_are_never_believed_wrongly),
        cmocka_unit_test(torn_files_are_never_believed_wrongly),
        cmocka_unit_test(digests_behind_the_end_are_not_believed),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
