/*
 * libcurl, loaded when it is first needed: its functions by name. Not for other rooms.
 */
#ifndef BELAY_CLIENT_HTTP_CURL_H
#define BELAY_CLIENT_HTTP_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/err.h"

typedef struct Curl {
        __typeof__(curl_global_init) *global_init;
        __typeof__(curl_easy_init) *easy_init;
        __typeof__(curl_easy_setopt) *easy_setopt;
        __typeof__(curl_easy_getinfo) *easy_getinfo;
        __typeof__(curl_easy_reset) *easy_reset;
        __typeof__(curl_easy_cleanup) *easy_cleanup;
        __typeof__(curl_slist_append) *slist_append;
        __typeof__(curl_slist_free_all) *slist_free_all;
        __typeof__(curl_multi_init) *multi_init;
        __typeof__(curl_multi_add_handle) *multi_add_handle;
        __typeof__(curl_multi_remove_handle) *multi_remove_handle;
        __typeof__(curl_multi_perform) *multi_perform;
        __typeof__(curl_multi_poll) *multi_poll;
        __typeof__(curl_multi_info_read) *multi_info_read;
        __typeof__(curl_multi_cleanup) *multi_cleanup;
} Curl;

/* The same table for every caller and thread; NULL with ERR_TOOL when it cannot be loaded. */
const Curl *curl_load(Err *err);

#endif
