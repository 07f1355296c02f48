/*
 * What the fuzz targets share. Each is one file with LLVMFuzzerTestOneInput; tools/fuzz.sh builds, replays
 * and runs them. A target aborts when something that must hold does not.
 */
#ifndef BELAY_FUZZ_H
#define BELAY_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Like assert, with a name that says what it is for: it ends the run, and the input is kept. */
#define MUST(condition)                                                                            \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

/* The input, NUL-terminated, so that reading over its end is seen. */
static inline char *fuzz_text(const uint8_t *bytes, size_t n) {
        char *text = mem_new(n + 1, 1);
        if (n > 0)
                memcpy(text, bytes, n);
        return text;
}

/* Up to the next newline or the end; moves *at behind it. Owned. */
static inline char *fuzz_line(const char **at) {
        const char *end = strchrnul(*at, '\n');
        char *line = str_copy_n(*at, (size_t)(end - *at));
        *at = *end ? end + 1 : end;
        return line;
}

/* A directory of this process, gone when it ends. */
const char *fuzz_dir(void);
/* `name` in it with these bytes. Static until the next call. */
const char *fuzz_file(const char *name, const void *bytes, size_t n);

#endif
