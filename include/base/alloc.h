/*
 * alloc - memory that is there, and locals that own
 *
 * Small fixed allocations do not fail: mem_new() and friends abort with a message, and the service
 * manager restarts a daemon whose design is crash-safe anyway. Sizes that come from a file, a
 * socket or the configuration are compared with a named limit by the caller first.
 *
 * auto_free, auto_fd: the variable owns what it holds and gives it back when it leaves scope;
 * TAKE() and TAKE_FD() hand it over.
 */
#ifndef SEAWAL_BASE_ALLOC_H
#define SEAWAL_BASE_ALLOC_H

#include <stddef.h>

/* SIZE zeroed bytes, never NULL. The caller owns them; free() gives them back. */
void *mem_new(size_t size);

/* COUNT zeroed elements of SIZE bytes, never NULL; aborts when the product overflows. */
void *mem_new_array(size_t count, size_t size);

/* realloc() that aborts instead of failing. New bytes are not zeroed. */
void *mem_resize(void *memory, size_t size);

/* Owned copies, never NULL. text_copy(NULL) is NULL. */
void *mem_copy(const void *memory, size_t size);
char *text_copy(const char *text);

void auto_free_release(void *pointer_to_pointer);
void auto_fd_release(const int *fd);

#define auto_free __attribute__((cleanup(auto_free_release)))
#define auto_fd   __attribute__((cleanup(auto_fd_release)))

#define TAKE(pointer)                                                                              \
    (__extension__({                                                                               \
        __auto_type take_ = (pointer);                                                             \
        (pointer) = NULL;                                                                          \
        take_;                                                                                     \
    }))
#define TAKE_FD(fd)                                                                                \
    (__extension__({                                                                               \
        int take_ = (fd);                                                                          \
        (fd) = -1;                                                                                 \
        take_;                                                                                     \
    }))

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

#endif
