/* Any bytes as a manifest: no crash, no hang, and either a service or a message with a place. */
#include "fuzz/fuzz.h"
#include "manifest/manifest.h"

/* Parsing what was accepted again must be accepted again: recovery relies on it. */
static void parse_again(const Service *service) {
        scoped(service_freep) Service *again = NULL;
        MUST(manifest_parse(service->manifest_path, service->manifest_text, service->manifest_bytes,
                &again, NULL));
        MUST(strcmp(again->name, service->name) == 0 && again->n_origins == service->n_origins);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        scoped(service_freep) Service *service = NULL;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *text = fuzz_text(bytes, n);
        if (manifest_parse("/srv/notes/belay.yaml", text, n, &service, &err)) {
                parse_again(service);
                return 0;
        }
        MUST(!service && err.code == ERR_MANIFEST);
        MUST(strncmp(err.message, "/srv/notes/belay.yaml:", 22) == 0);
        return 0;
}
