/*
 * Any bytes as operations and literals of a difference: a page or RC_CORRUPT, never a step outside;
 * and any two pages: their difference gives the page back.
 */
#include "page_diff_priv.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_PAGE_SIZE = 512 };

static void decode_anything(struct bytes input)
{
    uint8_t base[FUZZ_PAGE_SIZE] = { 1, 2, 3 };
    uint8_t out[FUZZ_PAGE_SIZE];
    struct page_diff_sizes sizes;
    struct error err;

    rc measured = page_diff_measure(&sizes, input, FUZZ_PAGE_SIZE, &err);
    if (measured != RC_OK) {
        assert(measured == RC_CORRUPT);
        return;
    }
    assert(sizes.operations <= input.size);
    assert(sizes.literals <= FUZZ_PAGE_SIZE);
    if (sizes.operations + sizes.literals > input.size)
        return;
    struct bytes operations = bytes_part(input, 0, sizes.operations);
    struct bytes literals = bytes_part(input, sizes.operations, sizes.literals);
    rc applied = page_diff_apply(operations, literals, bytes_of(base, FUZZ_PAGE_SIZE), out, &err);
    assert(applied == RC_OK); /* what can be measured and has its literals can be applied */
}

static void encode_anything(struct bytes input)
{
    static struct page_diff_index index;
    uint8_t base[FUZZ_PAGE_SIZE] = { 0 };
    uint8_t page[FUZZ_PAGE_SIZE];
    uint8_t out[FUZZ_PAGE_SIZE];
    uint8_t operations[FUZZ_PAGE_SIZE + PAGE_DIFF_SLACK];
    uint8_t literals[FUZZ_PAGE_SIZE + PAGE_DIFF_SLACK];
    struct page_diff_sizes sizes;

    size_t base_size = input.size / 2 < FUZZ_PAGE_SIZE ? input.size / 2 : FUZZ_PAGE_SIZE;
    memcpy(base, input.data, base_size);
    memcpy(page, base, FUZZ_PAGE_SIZE);
    size_t rest = input.size - base_size < FUZZ_PAGE_SIZE ? input.size - base_size : FUZZ_PAGE_SIZE;
    memcpy(page, input.data + base_size, rest);

    if (!page_diff_encode(&index, bytes_of(page, FUZZ_PAGE_SIZE), bytes_of(base, FUZZ_PAGE_SIZE),
            operations, literals, &sizes))
        return;
    struct error err;
    rc applied = page_diff_apply(bytes_of(operations, sizes.operations),
        bytes_of(literals, sizes.literals), bytes_of(base, FUZZ_PAGE_SIZE), out, &err);
    assert(applied == RC_OK);
    assert(memcmp(out, page, FUZZ_PAGE_SIZE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    decode_anything(bytes_of(data, size));
    encode_anything(bytes_of(data, size));
    return 0;
}
