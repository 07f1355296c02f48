#include "client/http_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/own.h"

typedef struct Symbol {
        const char *name;
        size_t offset;
} Symbol;

#define SYMBOL(field)                                                                              \
        { "curl_" #field, offsetof(Curl, field) }
static const Symbol symbols[] = {
        SYMBOL(global_init),
        SYMBOL(easy_init),
        SYMBOL(easy_setopt),
        SYMBOL(easy_getinfo),
        SYMBOL(easy_reset),
        SYMBOL(easy_cleanup),
        SYMBOL(slist_append),
        SYMBOL(slist_free_all),
        SYMBOL(multi_init),
        SYMBOL(multi_add_handle),
        SYMBOL(multi_remove_handle),
        SYMBOL(multi_perform),
        SYMBOL(multi_poll),
        SYMBOL(multi_info_read),
        SYMBOL(multi_cleanup),
};

/* Written once, under pthread_once; a loaded library stays until the process ends. */
static struct {
        pthread_once_t once;
        Curl curl;
        bool usable;
        const char *why;
} loaded = {.once = PTHREAD_ONCE_INIT};

static bool load_symbols(void *library) {
        for (size_t i = 0; i < COUNT_OF(symbols); i++) {
                void *function = dlsym(library, symbols[i].name);
                if (!function)
                        return false;
                memcpy((char *)&loaded.curl + symbols[i].offset, &function, sizeof(function));
        }
        return true;
}

static void load(void) {
        void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
        if (!library) {
                loaded.why = "'libcurl.so.4' cannot be loaded";
                return;
        }
        if (!load_symbols(library)) {
                loaded.why = "'libcurl.so.4' is too old";
                return;
        }
        loaded.usable = loaded.curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
        loaded.why = "'libcurl.so.4' cannot be initialised";
}

const Curl *curl_load(Err *err) {
        pthread_once(&loaded.once, load);
        if (loaded.usable)
                return &loaded.curl;
        err_fail(err, ERR_TOOL, "%s", loaded.why);
        err_hint(err, "Install it with `apt-get install libcurl4`.");
        return NULL;
}
