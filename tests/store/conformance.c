/*
 * conformance - every promise of store.h, against the store named on the command line
 *
 *   conformance URL [unconditional]
 *
 * Each test works under a fresh prefix of URL (a folder or s3://bucket/prefix?endpoint=...) and
 * removes what it put. Credentials come from the environment.
 * "unconditional" is for servers without If-None-Match, such as OpenStack Swift: everything else
 * must hold there as well.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "codec/hash.h"
#include "harness/check.h"
#include "store/scheme.h"
#include "store/store.h"

enum {
    RACER_COUNT = 8,
    RACE_ROUND_COUNT = 10,
    MANY_COUNT = 2500,
    LARGE_SIZE = 30 << 20,
    LARGE_STEP = 777777,
};

static const char *base_url;
static bool is_conditional = true;

/* BASE_URL with another folder behind its path, in front of the parameters. Owned. */
static char *fresh_url(void)
{
    uint8_t random[8];
    char name[2 * sizeof random + 1];
    random_fill(random, sizeof random);
    text_put_hex(name, random, sizeof random);
    size_t path_size = strcspn(base_url, "?");
    return text_format("%.*s/%s%s", (int)path_size, base_url, name, base_url + path_size);
}

static int set_up(void **state)
{
    struct error err;
    struct store *store = NULL;
    auto_free char *url = fresh_url();
    CHECK_OK(store_open(&store, url, NULL, &err));
    *state = store;
    return 0;
}

/* The keys of a listing, for comparison and for removal. */
struct keys {
    char **names;
    uint64_t *sizes;
    size_t count;
};

static rc keys_add(void *payload, const struct store_object *object, struct error *err)
{
    struct keys *keys = payload;
    (void)err;
    keys->names = mem_resize(keys->names, (keys->count + 1) * sizeof *keys->names);
    keys->sizes = mem_resize(keys->sizes, (keys->count + 1) * sizeof *keys->sizes);
    keys->names[keys->count] = text_copy(object->key);
    keys->sizes[keys->count++] = object->size;
    return RC_OK;
}

static void keys_release(struct keys *keys)
{
    for (size_t index = 0; index < keys->count; index++)
        free(keys->names[index]);
    free(keys->names);
    free(keys->sizes);
    *keys = (struct keys){ 0 };
}

#define auto_keys __attribute__((cleanup(keys_release)))

static int tear_down(void **state)
{
    struct error err;
    struct store *store = *state;
    auto_keys struct keys keys = { 0 };
    CHECK_OK(store_list(store, "", NULL, keys_add, &keys, &err));
    CHECK_OK(store_remove(store, (const char *const *)keys.names, keys.count, &err));
    store_free(store);
    return 0;
}

static rc put_text(struct store *store, const char *key, const char *text, struct error *err)
{
    return store_put(store, key, bytes_of_text(text), STORE_PUT_NEW, err);
}

static void check_holds(struct store *store, const char *key, struct bytes expected)
{
    struct error err;
    auto_buf struct buf got = BUF_INIT(64 << 20);
    CHECK_OK(store_get(store, key, 0, 0, &got, &err));
    assert_int_equal(got.size, expected.size);
    assert_true(bytes_equal(buf_bytes(&got), expected));
}

static void check_keys(struct store *store, const char *prefix, const char *after,
    const char *const *expected, size_t expected_count)
{
    struct error err;
    auto_keys struct keys keys = { 0 };
    CHECK_OK(store_list(store, prefix, after, keys_add, &keys, &err));
    for (size_t index = 0; index < keys.count && index < expected_count; index++)
        assert_string_equal(keys.names[index], expected[index]);
    assert_int_equal(keys.count, expected_count);
}

static void put_new_keeps_what_is_there(void **state)
{
    struct error err;
    struct store *store = *state;
    CHECK_OK(put_text(store, "a/b", "first", &err));
    CHECK_RC(put_text(store, "a/b", "second", &err), RC_EXISTS);
    CHECK_RC(put_text(store, "a/b", "first", &err), RC_EXISTS);
    check_holds(store, "a/b", bytes_of_text("first"));
}

static void put_replace_replaces(void **state)
{
    struct error err;
    struct store *store = *state;
    CHECK_OK(store_put(store, "r", bytes_of_text("first"), STORE_PUT_REPLACE, &err));
    CHECK_OK(store_put(store, "r", bytes_of_text("second one"), STORE_PUT_REPLACE, &err));
    check_holds(store, "r", bytes_of_text("second one"));
}

static void a_missing_key_is_not_found(void **state)
{
    struct error err;
    struct store *store = *state;
    auto_buf struct buf got = BUF_INIT(100);
    uint64_t size = 7;
    buf_put_text(&got, "kept");
    CHECK_RC(store_get(store, "no/such/key", 0, 0, &got, &err), RC_NOT_FOUND);
    CHECK_RC(store_get(store, "no/such/key", 5, 5, &got, &err), RC_NOT_FOUND);
    CHECK_RC(store_get_tail(store, "no/such/key", 5, &got, &size, &err), RC_NOT_FOUND);
    assert_true(bytes_equal(buf_bytes(&got), bytes_of_text("kept")));
    assert_int_equal(size, 7);
}

static void keys_that_are_not_safe_are_refused(void **state)
{
    static const char *const keys[] = { "", "/a", "a/", "a//b", "a/../b", "./a", ".." };
    struct error err;
    struct store *store = *state;
    for (size_t index = 0; index < array_count(keys); index++) {
        auto_buf struct buf got = BUF_INIT(100);
        CHECK_RC(put_text(store, keys[index], "x", &err), RC_USAGE);
        CHECK_RC(store_get(store, keys[index], 0, 0, &got, &err), RC_USAGE);
        CHECK_RC(store_remove(store, &keys[index], 1, &err), RC_USAGE);
    }
}

struct racer {
    struct store *store;
    const char *key;
    char body[32];
    pthread_barrier_t *barrier;
    rc result;
    struct error err;
};

static void *racer_run(void *payload)
{
    struct racer *racer = payload;
    pthread_barrier_wait(racer->barrier);
    racer->result = put_text(racer->store, racer->key, racer->body, &racer->err);
    return NULL;
}

static void race_once(struct store *store, const char *key)
{
    struct racer racers[RACER_COUNT];
    pthread_t threads[RACER_COUNT];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, RACER_COUNT);
    for (size_t index = 0; index < RACER_COUNT; index++) {
        racers[index] = (struct racer){ .store = store, .key = key, .barrier = &barrier };
        snprintf(racers[index].body, sizeof racers[index].body, "written by %zu", index);
        assert_int_equal(pthread_create(&threads[index], NULL, racer_run, &racers[index]), 0);
    }
    size_t winner_count = 0;
    const char *winner = NULL;
    for (size_t index = 0; index < RACER_COUNT; index++) {
        pthread_join(threads[index], NULL);
        if (racers[index].result == RC_OK) {
            winner_count++;
            winner = racers[index].body;
        } else if (racers[index].result != RC_EXISTS) {
            fail_msg("racer %zu: %s", index, racers[index].err.text);
        }
    }
    pthread_barrier_destroy(&barrier);
    assert_int_equal(winner_count, 1);
    check_holds(store, key, bytes_of_text(winner));
}

static void a_race_has_one_winner(void **state)
{
    for (unsigned round = 0; round < RACE_ROUND_COUNT; round++) {
        auto_free char *key = text_format("race/%u", round);
        race_once(*state, key);
    }
}

static void check_range(struct store *store, uint64_t offset, uint64_t size, const char *expected)
{
    struct error err;
    auto_buf struct buf got = BUF_INIT(100);
    buf_put_text(&got, "+");
    CHECK_OK(store_get(store, "range", offset, size, &got, &err));
    auto_free char *text = buf_take_text(&got);
    assert_string_equal(text + 1, expected);
}

static void ranges_are_exact(void **state)
{
    struct error err;
    struct store *store = *state;
    auto_buf struct buf got = BUF_INIT(100);
    CHECK_OK(put_text(store, "range", "0123456789", &err));
    check_range(store, 0, 0, "0123456789");
    check_range(store, 0, 1, "0");
    check_range(store, 3, 4, "3456");
    check_range(store, 9, 1, "9");
    check_range(store, 4, 0, "456789");
    check_range(store, 0, 10, "0123456789");
    check_range(store, 10, 0, "");
    CHECK_RC(store_get(store, "range", 5, 6, &got, &err), RC_CORRUPT);
    CHECK_RC(store_get(store, "range", 10, 1, &got, &err), RC_CORRUPT);
    CHECK_RC(store_get(store, "range", 11, 0, &got, &err), RC_CORRUPT);
    CHECK_RC(store_get(store, "range", 1000, 10, &got, &err), RC_CORRUPT);
    assert_int_equal(got.size, 0);
}

static void more_than_the_limit_is_refused(void **state)
{
    struct error err;
    struct store *store = *state;
    auto_buf struct buf got = BUF_INIT(5);
    CHECK_OK(put_text(store, "limit", "0123456789", &err));
    CHECK_RC(store_get(store, "limit", 0, 0, &got, &err), RC_CORRUPT);
    CHECK_RC(store_get(store, "limit", 2, 6, &got, &err), RC_CORRUPT);
    assert_int_equal(got.size, 0);
    CHECK_OK(store_get(store, "limit", 2, 5, &got, &err));
}

static void check_tail(struct store *store, const char *key, uint64_t size, const char *expected,
    uint64_t expected_size)
{
    struct error err;
    auto_buf struct buf got = BUF_INIT(100);
    uint64_t object_size = 77;
    buf_put_text(&got, "+");
    CHECK_OK(store_get_tail(store, key, size, &got, &object_size, &err));
    auto_free char *text = buf_take_text(&got);
    assert_string_equal(text + 1, expected);
    assert_int_equal(object_size, expected_size);
}

static void tails_are_exact(void **state)
{
    struct error err;
    struct store *store = *state;
    CHECK_OK(put_text(store, "tail", "0123456789", &err));
    CHECK_OK(put_text(store, "empty", "", &err));
    check_tail(store, "tail", 3, "789", 10);
    check_tail(store, "tail", 10, "0123456789", 10);
    check_tail(store, "tail", 50, "0123456789", 10);
    check_tail(store, "empty", 5, "", 0);
}

static void empty_objects_are_objects(void **state)
{
    static const char *const keys[] = { "empty" };
    struct error err;
    struct store *store = *state;
    auto_buf struct buf got = BUF_INIT(10);
    CHECK_OK(put_text(store, "empty", "", &err));
    CHECK_RC(put_text(store, "empty", "x", &err), RC_EXISTS);
    check_holds(store, "empty", bytes_of(NULL, 0));
    CHECK_RC(store_get(store, "empty", 0, 1, &got, &err), RC_CORRUPT);
    check_keys(store, "", NULL, keys, 1);
}

static void an_empty_store_lists_nothing(void **state)
{
    check_keys(*state, "", NULL, NULL, 0);
    check_keys(*state, "some/prefix/", "some/prefix/x", NULL, 0);
}

/* Ascending by bytes: '-' < '.' < '/' < '0', and folders sort with their slash. */
static const char *const tree[] = {
    "0000/1/a",
    "0000/1/b",
    "0000/10/a",
    "0000/snapshot/c",
    "0001",
    "a-b",
    "a.b",
    "a/b",
    "a/b.c",
    "a/c/d/e/f",
    "a0",
    "seawal.json",
};

static void listings_are_ordered_and_filtered(void **state)
{
    struct error err;
    struct store *store = *state;
    for (size_t index = array_count(tree); index > 0; index--)
        CHECK_OK(put_text(store, tree[index - 1], tree[index - 1], &err));

    check_keys(store, "", NULL, tree, array_count(tree));
    check_keys(store, "0000/", NULL, tree, 4);
    check_keys(store, "0000/1", NULL, tree, 3);
    check_keys(store, "0000/1/", NULL, tree, 2);
    check_keys(store, "0000", NULL, tree, 4);
    check_keys(store, "000", NULL, tree, 5);
    check_keys(store, "a", NULL, tree + 5, 6);
    check_keys(store, "a/c/d/e/f", NULL, tree + 9, 1);
    check_keys(store, "a/c/d/e/f/", NULL, tree, 0);
    check_keys(store, "b", NULL, tree, 0);
    check_keys(store, "", "0000/10/a", tree + 3, array_count(tree) - 3);
    check_keys(store, "", "0000/10", tree + 2, array_count(tree) - 2);
    check_keys(store, "", "a/b", tree + 8, array_count(tree) - 8);
    check_keys(store, "a/", "a/b", tree + 8, 2);
    check_keys(store, "a/", "A", tree + 7, 3);
    check_keys(store, "a/", "zzz", tree, 0);
    check_keys(store, "", "zzz", tree, 0);

    auto_keys struct keys keys = { 0 };
    CHECK_OK(store_list(store, "a/c", NULL, keys_add, &keys, &err));
    assert_int_equal(keys.sizes[0], strlen("a/c/d/e/f"));
}

static rc stop_at_second(void *payload, const struct store_object *object, struct error *err)
{
    unsigned *count = payload;
    (void)object;
    if (++*count == 2)
        FAIL(err, RC_MISMATCH, "enough");
    return RC_OK;
}

static void a_callback_can_stop_the_listing(void **state)
{
    struct error err;
    unsigned count = 0;
    CHECK_OK(put_text(*state, "1", "", &err));
    CHECK_OK(put_text(*state, "2", "", &err));
    CHECK_OK(put_text(*state, "3", "", &err));
    CHECK_RC(store_list(*state, "", NULL, stop_at_second, &count, &err), RC_MISMATCH);
    assert_int_equal(count, 2);
    assert_string_equal(err.text, "enough");
}

struct filler {
    struct store *store;
    unsigned first;
    rc result;
    struct error err;
};

static void *filler_run(void *payload)
{
    struct filler *filler = payload;
    for (unsigned number = filler->first; number < MANY_COUNT && filler->result == RC_OK;
         number += RACER_COUNT) {
        auto_free char *key = text_format("many/%06u", number);
        filler->result = put_text(filler->store, key, key, &filler->err);
    }
    return NULL;
}

static void fill_many(struct store *store)
{
    struct filler fillers[RACER_COUNT];
    pthread_t threads[RACER_COUNT];
    for (unsigned index = 0; index < RACER_COUNT; index++) {
        fillers[index] = (struct filler){ .store = store, .first = index };
        assert_int_equal(pthread_create(&threads[index], NULL, filler_run, &fillers[index]), 0);
    }
    for (size_t index = 0; index < RACER_COUNT; index++) {
        pthread_join(threads[index], NULL);
        if (fillers[index].result != RC_OK)
            fail_msg("%s", fillers[index].err.text);
    }
}

static void check_many(struct store *store, const char *after, unsigned first)
{
    struct error err;
    auto_keys struct keys keys = { 0 };
    CHECK_OK(store_list(store, "many/", after, keys_add, &keys, &err));
    assert_int_equal(keys.count, MANY_COUNT - first);
    for (unsigned index = 0; index < keys.count; index++) {
        auto_free char *key = text_format("many/%06u", first + index);
        assert_string_equal(keys.names[index], key);
    }
}

static void thousands_of_keys_are_paged_and_removed(void **state)
{
    struct error err;
    struct store *store = *state;
    fill_many(store);
    check_many(store, NULL, 0);
    check_many(store, "many/000999", 1000);
    check_many(store, "many/001000", 1001);

    auto_keys struct keys keys = { 0 };
    CHECK_OK(store_list(store, "", NULL, keys_add, &keys, &err));
    CHECK_OK(store_remove(store, (const char *const *)keys.names, keys.count, &err));
    check_keys(store, "", NULL, NULL, 0);
}

static void removing_what_is_gone_is_fine(void **state)
{
    static const char *const keys[] = { "x/1", "x/missing", "x/2", "not/there", "x/3" };
    static const char *const left[] = { "x/4" };
    struct error err;
    struct store *store = *state;
    CHECK_OK(put_text(store, "x/1", "1", &err));
    CHECK_OK(put_text(store, "x/2", "2", &err));
    CHECK_OK(put_text(store, "x/3", "3", &err));
    CHECK_OK(put_text(store, "x/4", "4", &err));
    CHECK_OK(store_remove(store, keys, array_count(keys), &err));
    check_keys(store, "", NULL, left, 1);
    CHECK_OK(store_remove(store, keys, 1, &err));
    CHECK_OK(store_remove(store, left, 1, &err));
    CHECK_OK(store_remove(store, NULL, 0, &err));
    check_keys(store, "", NULL, NULL, 0);
    CHECK_OK(put_text(store, "x/1", "again", &err));
    check_holds(store, "x/1", bytes_of_text("again"));
}

/* In byte order, so that the listing can be compared. */
static const char *const special_keys[] = {
    "k/ leading blank",
    "k/!'()*;:@$,",
    "k/%2F not a slash",
    "k/%41",
    "k/&amp;",
    "k/+plus",
    "k/<tag>&\"quote\"",
    "k/=?#",
    "k/\\backslash",
    "k/^`{|}~[]",
    "k/a b+c%20d",
    "k/name.seg",
    "k/z.tmp-abcdef",
    "k/\xc3\xa4\xc3\xb6\xc3\xbc",
    "k/\xe6\x97\xa5\xe6\x9c\xac",
    "k/\xf0\x9f\x90\xb3",
};

static void special_characters_in_keys_are_kept(void **state)
{
    struct error err;
    struct store *store = *state;
    for (size_t index = 0; index < array_count(special_keys); index++)
        CHECK_OK(put_text(store, special_keys[index], special_keys[index], &err));
    check_keys(store, "", NULL, special_keys, array_count(special_keys));
    for (size_t index = 0; index < array_count(special_keys); index++)
        check_holds(store, special_keys[index], bytes_of_text(special_keys[index]));
    check_keys(store, "k/<tag>&", NULL, special_keys + 6, 1);
    check_keys(store, "k/", "k/%41", special_keys + 4, array_count(special_keys) - 4);
    CHECK_OK(store_remove(store, special_keys, array_count(special_keys), &err));
    check_keys(store, "", NULL, NULL, 0);
}

static void fill_pattern(uint8_t *out, size_t size, uint64_t seed)
{
    for (size_t index = 0; index < size; index++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[index] = (uint8_t)(seed >> 56);
    }
}

static void upload_write_all(struct store_upload *upload, struct bytes body)
{
    struct error err;
    while (body.size > 0) {
        size_t step = body.size < LARGE_STEP ? body.size : LARGE_STEP;
        CHECK_OK(store_upload_write(upload, bytes_part(body, 0, step), &err));
        body = bytes_part(body, step, body.size - step);
    }
}

static void large_objects_go_up_in_pieces(void **state)
{
    static const char *const keys[] = { "large" };
    struct error err;
    struct store *store = *state;
    struct store_upload *upload = NULL;
    auto_free uint8_t *body = mem_new(LARGE_SIZE);
    fill_pattern(body, LARGE_SIZE, 1);

    CHECK_OK(store_upload_begin(&upload, store, "large", LARGE_SIZE, &err));
    upload_write_all(upload, bytes_of(body, LARGE_SIZE));
    check_keys(store, "", NULL, NULL, 0);
    CHECK_OK(store_upload_commit(upload, &err));
    check_keys(store, "", NULL, keys, 1);
    check_holds(store, "large", bytes_of(body, LARGE_SIZE));

    auto_buf struct buf got = BUF_INIT(LARGE_SIZE);
    uint64_t offset = (10 << 20) - 1000;
    CHECK_OK(store_get(store, "large", offset, 2000, &got, &err));
    assert_true(bytes_equal(buf_bytes(&got), bytes_of(body + offset, 2000)));
    uint64_t size;
    buf_clear(&got);
    CHECK_OK(store_get_tail(store, "large", 12345, &got, &size, &err));
    assert_true(bytes_equal(buf_bytes(&got), bytes_of(body + LARGE_SIZE - 12345, 12345)));
    assert_int_equal(size, LARGE_SIZE);
}

/* The sizes at which a part is just full, just not, and just begun. */
static void uploads_of_every_edge_size_are_whole(void **state)
{
    static const size_t sizes[] = { 0, 1, (5 << 20) - 1, 5 << 20, (5 << 20) + 1, 10 << 20 };
    struct error err;
    auto_free uint8_t *body = mem_new(10 << 20);
    fill_pattern(body, 10 << 20, 2);
    for (size_t index = 0; index < array_count(sizes); index++) {
        struct store_upload *upload = NULL;
        auto_free char *key = text_format("edge/%zu", sizes[index]);
        CHECK_OK(store_upload_begin(&upload, *state, key, 0, &err));
        upload_write_all(upload, bytes_of(body, sizes[index]));
        CHECK_OK(store_upload_commit(upload, &err));
        check_holds(*state, key, bytes_of(body, sizes[index]));
    }
}

static void upload_body(struct store *store, const char *key, size_t size, rc expected)
{
    struct error err;
    struct store_upload *upload = NULL;
    auto_free uint8_t *body = mem_new(size);
    CHECK_OK(store_upload_begin(&upload, store, key, size, &err));
    upload_write_all(upload, bytes_of(body, size));
    CHECK_RC(store_upload_commit(upload, &err), expected);
}

static void an_upload_never_replaces(void **state)
{
    struct error err;
    CHECK_OK(put_text(*state, "taken/small", "kept", &err));
    CHECK_OK(put_text(*state, "taken/large", "kept", &err));
    upload_body(*state, "taken/small", 1000, RC_EXISTS);
    upload_body(*state, "taken/large", 11 << 20, RC_EXISTS);
    check_holds(*state, "taken/small", bytes_of_text("kept"));
    check_holds(*state, "taken/large", bytes_of_text("kept"));
}

static void an_aborted_upload_leaves_nothing(void **state)
{
    static const size_t sizes[] = { 0, 1000, 12 << 20 };
    struct error err;
    for (size_t index = 0; index < array_count(sizes); index++) {
        struct store_upload *upload = NULL;
        auto_free uint8_t *body = mem_new(sizes[index] + 1);
        CHECK_OK(store_upload_begin(&upload, *state, "aborted", sizes[index], &err));
        upload_write_all(upload, bytes_of(body, sizes[index]));
        store_upload_abort(upload);
        check_keys(*state, "", NULL, NULL, 0);
    }
    store_upload_abort(NULL);
    CHECK_OK(put_text(*state, "aborted", "free again", &err));
}

static void conditional_puts_are_offered(void **state)
{
    struct error err;
    bool is_offered = false;
    CHECK_OK(store_has_conditional_put(*state, &is_offered, &err));
    assert_int_equal(is_offered, is_conditional);
    check_keys(*state, "", NULL, NULL, 0);
}

static void the_name_tells_the_place_without_secrets(void **state)
{
    const char *name = store_name(*state);
    assert_true(text_has_prefix(name, "file:///") || text_has_prefix(name, "s3://"));
    assert_null(strchr(name, '?'));
    assert_null(strchr(name, '@'));
}

static void requests_and_bytes_are_counted(void **state)
{
    struct error err;
    struct store *store = *state;
    struct store_stats before;
    struct store_stats after;
    bool ignored;
    auto_buf struct buf got = BUF_INIT(100);
    CHECK_OK(store_has_conditional_put(store, &ignored, &err));
    store_stats_read(store, &before);
    CHECK_OK(put_text(store, "counted", "0123456789", &err));
    CHECK_OK(store_get(store, "counted", 2, 3, &got, &err));
    check_keys(store, "none", NULL, NULL, 0);
    const char *key = "counted";
    CHECK_OK(store_remove(store, &key, 1, &err));
    store_stats_read(store, &after);
    assert_int_equal(after.put_count - before.put_count, 1);
    /* Without conditional writes the key is looked up before and after it is written. */
    assert_int_equal(after.get_count - before.get_count, is_conditional ? 1 : 3);
    assert_int_equal(after.list_count - before.list_count, 1);
    assert_int_equal(after.remove_count - before.remove_count, 1);
    assert_int_equal(after.retry_count - before.retry_count, 0);
    assert_int_equal(after.sent_bytes - before.sent_bytes, 10);
    assert_int_equal(after.received_bytes - before.received_bytes, 3);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest claims[] = {
        CLAIM(put_new_keeps_what_is_there),
        CLAIM(put_replace_replaces),
        CLAIM(a_missing_key_is_not_found),
        CLAIM(keys_that_are_not_safe_are_refused),
        CLAIM(a_race_has_one_winner),
        CLAIM(ranges_are_exact),
        CLAIM(more_than_the_limit_is_refused),
        CLAIM(tails_are_exact),
        CLAIM(empty_objects_are_objects),
        CLAIM(an_empty_store_lists_nothing),
        CLAIM(listings_are_ordered_and_filtered),
        CLAIM(a_callback_can_stop_the_listing),
        CLAIM(thousands_of_keys_are_paged_and_removed),
        CLAIM(removing_what_is_gone_is_fine),
        CLAIM(special_characters_in_keys_are_kept),
        CLAIM(large_objects_go_up_in_pieces),
        CLAIM(uploads_of_every_edge_size_are_whole),
        CLAIM(an_upload_never_replaces),
        CLAIM(an_aborted_upload_leaves_nothing),
        CLAIM(conditional_puts_are_offered),
        CLAIM(the_name_tells_the_place_without_secrets),
        CLAIM(requests_and_bytes_are_counted),
    };
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "unconditional") != 0)) {
        fprintf(stderr, "usage: conformance URL [unconditional]\n");
        return 2;
    }
    is_conditional = argc == 2;
    base_url = argv[1];
    return cmocka_run_group_tests_name("store", claims, NULL, NULL);
}
