/* alloc - memory that is there or the end of the process */
#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *mem_check(void *memory, size_t size)
{
    if (memory != NULL)
        return memory;
    fprintf(stderr, "seawal: out of memory for %zu bytes\n", size);
    abort();
}

/* malloc(0) may answer NULL, which would read as "none left". */
static size_t mem_size_of(size_t size)
{
    return size == 0 ? 1 : size;
}

void *mem_new(size_t size)
{
    return mem_check(calloc(1, mem_size_of(size)), size);
}

void *mem_new_array(size_t count, size_t size)
{
    assert(size == 0 || count <= SIZE_MAX / size);

    return mem_new(count * size);
}

void *mem_resize(void *memory, size_t size)
{
    return mem_check(realloc(memory, mem_size_of(size)), size);
}

void *mem_copy(const void *memory, size_t size)
{
    assert(memory != NULL || size == 0);

    void *copy = mem_check(malloc(mem_size_of(size)), size);
    if (size > 0)
        memcpy(copy, memory, size);
    return copy;
}

char *text_copy(const char *text)
{
    return text == NULL ? NULL : mem_copy(text, strlen(text) + 1);
}

void auto_free_release(void *pointer_to_pointer)
{
    void *memory;

    memcpy(&memory, pointer_to_pointer, sizeof memory);
    free(memory);
}

/* errno survives: the return statement before the clean-up may still be about it. */
void auto_fd_release(const int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}
