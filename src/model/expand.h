/*
 * ${version} and the like in strings of a manifest. An unknown name is an error (manifest/ refuses it
 * when it parses); "$${" stands for a literal "${". A name without a value yet expands to "".
 */
#ifndef BELAY_MODEL_EXPAND_H
#define BELAY_MODEL_EXPAND_H

#include "base/err.h"

typedef struct Expansion {
        const char *version; /* without leading v */
        const char *tag;     /* exactly as in the source */
        const char *commit;
        const char *previous_version;
        const char *service;
        const char *component;
        const char *port;
        const char *digest, *image; /* images only */
} Expansion;

/* Owned text, or NULL with ERR_MANIFEST naming the unknown ${name}. */
char *expand(const char *text, const Expansion *values, Err *err);
/* Only looks whether every name in text is known. */
bool expand_ok(const char *text, Err *err);

#endif
