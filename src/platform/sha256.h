/* SHA-256 (FIPS 180-4) of a stream, by OpenSSL. */
#ifndef BELAY_PLATFORM_SHA256_H
#define BELAY_PLATFORM_SHA256_H

#include <stddef.h>

typedef struct Sha256 Sha256;
Sha256 *sha256_new(void);
void sha256_add(Sha256 *h, const void *bytes, size_t n);
void sha256_end(Sha256 *h, char ret_hex[65]); /* may be started again by sha256_restart */
void sha256_restart(Sha256 *h);
void sha256_freep(Sha256 **h);

#endif
