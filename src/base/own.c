#include "base/own.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void *need(void *p) {
        if (p)
                return p;
        fputs("belay: out of memory\n", stderr);
        abort();
}

void *mem_new(size_t count, size_t size) {
        return need(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *old, size_t count, size_t size) {
        if (size && count > SIZE_MAX / size)
                abort();
        return need(realloc(old, (count == 0 || size == 0) ? 1 : count * size));
}
