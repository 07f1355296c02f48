/*
 * Ownership: who frees what, said in the declaration.
 *
 *     scoped(free_str) char *path = path_join(dir, "journal");
 *     ...
 *     return TAKE(path);               // moves it out; the scope frees NULL
 *
 * scoped(fn) calls fn(&variable) when the variable leaves its scope. Types of their own have
 * `thing_freep` (for pointers) or `thing_done` (for structs) for it. Allocation never fails: a
 * process without memory aborts, and is recovered like any other that died.
 */
#ifndef BELAY_BASE_OWN_H
#define BELAY_BASE_OWN_H

#include <dirent.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define scoped(fn) __attribute__((cleanup(fn)))

#define TAKE(p)                                                                                    \
        ({                                                                                         \
                __typeof__(p) *take_from_ = &(p);                                                  \
                __typeof__(p) taken_ = *take_from_;                                                \
                *take_from_ = NULL;                                                                \
                taken_;                                                                            \
        })

/* Moves a file descriptor out of its scope. */
#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int *take_from_ = &(fd);                                                           \
                int taken_ = *take_from_;                                                          \
                *take_from_ = -1;                                                                  \
                taken_;                                                                            \
        })

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Zeroed memory for `count` items of `size` bytes; aborts when there is none. */
void *mem_new(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_grow(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
#define NEW(type)          ((type *)mem_new(1, sizeof(type)))
#define NEW_ARRAY(type, n) ((type *)mem_new((n), sizeof(type)))
/* Appends to an array of which only pointer and count are kept: grows in powers of two. */
#define PUSH(array, count, item)                                                                   \
        do {                                                                                       \
                if (((count) & ((count)-1)) == 0)                                                  \
                        (array) = mem_grow((array), (count) ? (count)*2 : 1, sizeof(*(array)));    \
                (array)[(count)++] = (item);                                                       \
        } while (0)

/* For scoped(): each copes with NULL or -1. free_str frees any malloc'ed pointer. */
static inline void free_str(char **p) { free(*p); }
static inline void free_mem(void *p) { free(*(void **)p); }
static inline void close_fd(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}
static inline void close_dir(DIR **dir) {
        if (*dir)
                (void)closedir(*dir);
}

#endif
