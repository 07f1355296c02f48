/*
 * Any bytes as a manifest: no crash, no hang, and either a service or a message with a place.
 *
 *     clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -std=gnu11 -Isrc tests/fuzz/fuzz_manifest.c
 *           src/manifest/[a-z]*.c src/base/[a-z]*.c src/model/{expand,service}.c
 *           src/platform/[a-z]*.c -lyaml -ljansson -lcrypto -o fuzz_manifest
 *     ./fuzz_manifest -max_len=4096 -timeout=2 corpus/
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Parsing what was accepted again must be accepted again: recovery relies on it. */
static void parse_again(const Service *service) {
        scoped(service_freep) Service *again = NULL;
        if (!manifest_parse(service->manifest_path, service->manifest_text, service->manifest_bytes,
                    &again, NULL) ||
                strcmp(again->name, service->name) != 0 || again->n_origins != service->n_origins)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        scoped(service_freep) Service *service = NULL;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *text = malloc(n + 1);
        if (!text)
                abort();
        memcpy(text, bytes, n);
        text[n] = '\0';
        if (manifest_parse("/srv/notes/belay.yaml", text, n, &service, &err)) {
                parse_again(service);
                return 0;
        }
        if (service || err.code != ERR_MANIFEST ||
                strncmp(err.message, "/srv/notes/belay.yaml:", 22) != 0)
                abort();
        return 0;
}
