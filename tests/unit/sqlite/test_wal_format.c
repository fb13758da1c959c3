/* The log's bytes, as SQLite writes them for every page size, and with any one bit of them changed.
 */
#include "sqlite/wal_format.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "harness/check.h"
#include "wal_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_SIZE_MAX = 4 * 1024 * 1024 };

struct log_image {
    uint8_t *data;
    size_t size;
};

/* The whole log file of a database with a few commits. */
static struct log_image log_image_new(unsigned page_size)
{
    struct wal_fixture fixture;
    struct error err = { 0 };
    struct log_image image = { .data = mem_new(LOG_SIZE_MAX) };

    wal_fixture_open(&fixture, page_size);
    wal_fixture_insert(&fixture, 3, page_size);
    char *path = text_format("%s-wal", fixture.path);
    int fd = -1;
    CHECK_OK(fs_open(&fd, path, O_RDONLY, 0, &err));
    CHECK_OK(fs_read_some(fd, image.data, LOG_SIZE_MAX, 0, &image.size, &err));
    close(fd);
    free(path);
    wal_fixture_close(&fixture);
    return image;
}

static struct bytes log_image_header(const struct log_image *image)
{
    return bytes_of(image->data, WAL_HEADER_SIZE);
}

/* How many frames continue the chain from the log's header. */
static uint32_t log_image_walk(const struct log_image *image, const struct wal_header *header)
{
    size_t frame_size = WAL_FRAME_HEADER_SIZE + header->page_size;
    uint32_t checksum[2] = { header->checksum[0], header->checksum[1] };
    uint32_t count = 0;

    while (wal_frame_offset(header->page_size, count + 2) <= image->size) {
        uint64_t offset = wal_frame_offset(header->page_size, count + 1);
        if (!wal_frame_continues(header, bytes_of(image->data + offset, frame_size), checksum))
            break;
        count++;
    }
    return count;
}

static void every_page_size_is_read_as_sqlite_wrote_it(void **state)
{
    (void)state;
    for (unsigned page_size = 512; page_size <= 65536; page_size *= 2) {
        struct log_image image = log_image_new(page_size);
        struct wal_header header;
        struct error err = { 0 };

        CHECK_OK(wal_header_decode(&header, log_image_header(&image), &err));
        assert_int_equal(header.page_size, page_size);
        assert_false(header.big_endian_checksum);
        size_t frame_size = WAL_FRAME_HEADER_SIZE + page_size;
        assert_int_equal((image.size - WAL_HEADER_SIZE) % frame_size, 0);
        uint32_t count = log_image_walk(&image, &header);
        assert_int_equal(count, (image.size - WAL_HEADER_SIZE) / frame_size);

        struct wal_frame_header last;
        wal_frame_header_decode(&last,
            bytes_of(image.data + wal_frame_offset(page_size, count), WAL_FRAME_HEADER_SIZE));
        assert_true(last.commit_page_count > 0);
        assert_int_equal(last.salt[0], header.salt[0]);
        free(image.data);
    }
}

static void any_flipped_bit_of_the_header_is_refused(void **state)
{
    struct log_image image = log_image_new(1024);

    (void)state;
    for (size_t bit = 0; bit < WAL_HEADER_SIZE * 8; bit++) {
        struct wal_header header;
        struct error err = { 0 };

        image.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_RC(wal_header_decode(&header, log_image_header(&image), &err), RC_CORRUPT);
        image.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(image.data);
}

static void any_flipped_bit_of_a_frame_ends_the_chain_there(void **state)
{
    struct log_image image = log_image_new(512);
    struct wal_header header;
    struct error err = { 0 };

    (void)state;
    CHECK_OK(wal_header_decode(&header, log_image_header(&image), &err));
    uint32_t count = log_image_walk(&image, &header);
    assert_true(count >= 4);
    uint64_t first = wal_frame_offset(512, 3);
    uint64_t end = wal_frame_offset(512, 4);
    for (uint64_t bit = first * 8; bit < end * 8; bit++) {
        image.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(log_image_walk(&image, &header), 2);
        image.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(log_image_walk(&image, &header), count);
    free(image.data);
}

/* A header and a frame of zeros, made here with big-endian checksums, as SQLite on such a machine
 * does. */
static void checksums_over_big_endian_words_are_read_too(void **state)
{
    uint8_t log[WAL_HEADER_SIZE + WAL_FRAME_HEADER_SIZE + 512] = { 0 };
    struct wal_header header;
    struct error err = { 0 };
    uint32_t s1 = 0;
    uint32_t s2 = 0;

    (void)state;
    put_be32(log, 0x377f0683);
    put_be32(log + 4, 3007000);
    put_be32(log + 8, 512);
    put_be32(log + 16, 77);
    put_be32(log + 20, 78);
    for (size_t i = 0; i < WAL_HEADER_SUMMED_SIZE; i += 8) {
        s1 += get_be32(log + i) + s2;
        s2 += get_be32(log + i + 4) + s1;
    }
    put_be32(log + 24, s1);
    put_be32(log + 28, s2);
    CHECK_OK(wal_header_decode(&header, bytes_of(log, sizeof log), &err));
    assert_true(header.big_endian_checksum);

    uint8_t *frame = log + WAL_HEADER_SIZE;
    uint32_t checksum[2] = { header.checksum[0], header.checksum[1] };
    put_be32(frame, 5);
    put_be32(frame + 8, 77);
    put_be32(frame + 12, 78);
    s1 += 5 + s2;
    s2 += 0 + s1;
    for (size_t i = 0; i < 512; i += 8) {
        s1 += s2;
        s2 += s1;
    }
    put_be32(frame + 16, s1);
    put_be32(frame + 20, s2);
    struct bytes whole = bytes_of(frame, WAL_FRAME_HEADER_SIZE + 512);
    assert_true(wal_frame_continues(&header, whole, checksum));
    assert_int_equal(checksum[0], s1);
    assert_int_equal(checksum[1], s2);
}

static void set_header_checksum(uint8_t *raw)
{
    uint32_t checksum[2] = { 0, 0 };

    wal_checksum((raw[3] & 1) != 0, bytes_of(raw, WAL_HEADER_SUMMED_SIZE), checksum);
    put_be32(raw + 24, checksum[0]);
    put_be32(raw + 28, checksum[1]);
}

static void a_right_checksum_does_not_excuse_wrong_fields(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
    } wrongs[] = { { 0, 0x377f0684 }, { 4, 3007001 }, { 8, 0 }, { 8, 256 }, { 8, 513 },
        { 8, 131072 } };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < array_count(wrongs); i++) {
        uint8_t raw[WAL_HEADER_SIZE] = { 0 };
        struct wal_header header;

        put_be32(raw, 0x377f0682);
        put_be32(raw + 4, 3007000);
        put_be32(raw + 8, 4096);
        set_header_checksum(raw);
        CHECK_OK(wal_header_decode(&header, bytes_of(raw, sizeof raw), &err));
        put_be32(raw + wrongs[i].offset, wrongs[i].value);
        set_header_checksum(raw);
        CHECK_RC(wal_header_decode(&header, bytes_of(raw, sizeof raw), &err), RC_CORRUPT);
    }

    struct wal_header header;
    uint8_t cut[WAL_HEADER_SIZE - 1] = { 0 };
    CHECK_RC(wal_header_decode(&header, bytes_of(cut, sizeof cut), &err), RC_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_size_is_read_as_sqlite_wrote_it),
        cmocka_unit_test(any_flipped_bit_of_the_header_is_refused),
        cmocka_unit_test(any_flipped_bit_of_a_frame_ends_the_chain_there),
        cmocka_unit_test(checksums_over_big_endian_words_are_read_too),
        cmocka_unit_test(a_right_checksum_does_not_excuse_wrong_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
