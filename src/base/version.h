/*
 * Version numbers: Semantic Versioning 2.0.0 (semver.org), with or without a leading v; anything
 * else a source offers is an opaque tag, never compared.
 */
#ifndef BELAY_BASE_VERSION_H
#define BELAY_BASE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Version {
        uint64_t major, minor, patch;
        char *pre; /* "rc.1", or NULL; owned */
} Version;

/* Strict semver, one optional leading 'v'; at most 128 bytes. False leaves ret untouched. */
bool version_parse(const char *text, Version *ret);
void version_done(Version *v);
/* Precedence by semver section 11; build metadata does not count. <0, 0, >0 */
int version_compare(const Version *a, const Version *b);
/* Compares two texts of which each may be opaque: semver by precedence, an opaque one is never
 * ordered (returns 0 when equal, *ret_ordered false otherwise). */
int version_text_compare(const char *a, const char *b, bool *ret_ordered);
/* Without leading v: points into text. "v1.2.0" and "1.2.0" name the same version; "very" stays. */
const char *version_bare(const char *text);
bool version_same(const char *a, const char *b); /* equal but for a leading v */
/* By default: a higher major, or below 1.0 a higher minor, is breaking. Opaque: never. */
bool version_is_breaking(const char *from, const char *to);
/* "major", "minor", "patch" or NULL: the kind of step between two. */
const char *version_step(const char *from, const char *to);
/* Text that can name a tag or version at all: git's rules for a reference, no leading '-',
 * no control bytes, 1 to 200 bytes. */
bool version_text_ok(const char *text);

#endif
