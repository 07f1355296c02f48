#include "platform/sha256.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/own.h"
#include "platform/file.h"

struct Sha256 {
        EVP_MD_CTX *context;
};

/* The sums of a whole backup pass through here: a failing library leaves nothing to trust. */
static void must(int ok) {
        if (ok != 1)
                abort();
}

Sha256 *sha256_new(void) {
        Sha256 *h = NEW(Sha256);
        h->context = EVP_MD_CTX_new();
        if (!h->context)
                abort();
        sha256_restart(h);
        return h;
}

void sha256_restart(Sha256 *h) { must(EVP_DigestInit_ex(h->context, EVP_sha256(), NULL)); }

void sha256_add(Sha256 *h, const void *bytes, size_t n) {
        must(EVP_DigestUpdate(h->context, bytes, n));
}

void sha256_end(Sha256 *h, char ret_hex[65]) {
        static const char digits[] = "0123456789abcdef";
        unsigned char sum[32];
        must(EVP_DigestFinal_ex(h->context, sum, NULL));
        for (size_t i = 0; i < sizeof(sum); i++) {
                ret_hex[2 * i] = digits[sum[i] >> 4];
                ret_hex[2 * i + 1] = digits[sum[i] & 15];
        }
        ret_hex[64] = '\0';
}

void sha256_freep(Sha256 **h) {
        if (!*h)
                return;
        EVP_MD_CTX_free((*h)->context);
        free(*h);
}

void sha256_hex(const void *bytes, size_t n, char ret_hex[65]) {
        scoped(sha256_freep) Sha256 *h = sha256_new();
        sha256_add(h, bytes, n);
        sha256_end(h, ret_hex);
}
