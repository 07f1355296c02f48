#include "client/http.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "client/http_curl.h"
#include "platform/clock.h"

#ifndef BELAY_VERSION
#define BELAY_VERSION "0"
#endif

enum { HTTP_SLICE_MS = 50, HTTP_TIMEOUT_MS = 5000, HTTP_METHOD_MAX = 16 };

struct Http {
        const Curl *curl;
        CURL *easy;
        CURLM *multi;
};

/* One request under way. */
typedef struct Exchange {
        Http *http;
        const HttpRequest *request;
        HttpAnswer *answer;
        struct curl_slist *headers;
        Str body;
        size_t body_limit, header_bytes;
        bool too_large;
        char trouble[CURL_ERROR_SIZE];
} Exchange;

static const char *const failure_names[] = {
        [HTTP_ANSWERED] = "answered",
        [HTTP_REFUSED] = "refused",
        [HTTP_CLOSED] = "closed",
        [HTTP_TIMEOUT] = "timeout",
        [HTTP_DNS] = "dns",
        [HTTP_TLS] = "tls",
        [HTTP_TOO_LARGE] = "too_large",
        [HTTP_NOT_HTTP] = "not_http",
        [HTTP_BAD_REQUEST] = "bad_request",
        [HTTP_LOCAL] = "local",
        [HTTP_CANCELLED] = "cancelled",
        [HTTP_OTHER] = "other",
};

const char *http_failure_name(HttpFailure failure) { return failure_names[failure]; }

bool http_new(Http **ret, Err *err) {
        const Curl *curl = curl_load(err);
        if (!curl)
                return false;
        scoped(http_freep) Http *http = NEW(Http);
        http->curl = curl;
        http->easy = curl->easy_init();
        http->multi = curl->multi_init();
        if (!http->easy || !http->multi)
                return err_fail_errno(err, ERR_IO, errno, "preparing an HTTP request");
        *ret = TAKE(http);
        return true;
}

void http_freep(Http **http) {
        if (!*http)
                return;
        if ((*http)->easy)
                (*http)->curl->easy_cleanup((*http)->easy);
        if ((*http)->multi)
                (*http)->curl->multi_cleanup((*http)->multi);
        free(*http);
        *http = NULL;
}

void http_answer_done(HttpAnswer *answer) {
        for (size_t i = 0; i < answer->n_headers; i++) {
                free(answer->names[i]);
                free(answer->values[i]);
        }
        free(answer->names);
        free(answer->values);
        free(answer->why);
        free(answer->body);
        *answer = (HttpAnswer){0};
}

const char *http_answer_header(const HttpAnswer *answer, const char *name) {
        for (size_t i = 0; i < answer->n_headers; i++)
                if (strcasecmp(answer->names[i], name) == 0)
                        return answer->values[i];
        return NULL;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *context) {
        Exchange *exchange = context;
        size_t have = size * n, room = exchange->body_limit - exchange->body.len;
        str_add_n(&exchange->body, bytes, have < room ? have : room);
        if (have <= room)
                return have;
        exchange->too_large = true;
        return 0;
}

static void forget_headers(HttpAnswer *answer) {
        for (size_t i = 0; i < answer->n_headers; i++) {
                free(answer->names[i]);
                free(answer->values[i]);
        }
        answer->n_headers = 0;
        free(TAKE(answer->names));
        free(TAKE(answer->values));
}

/* A line of the head: its bytes may be anything, and end in CRLF, LF or nothing. */
static void add_header(HttpAnswer *answer, const char *line) {
        const char *colon = strchr(line, ':');
        if (!colon)
                return;
        scoped(free_str) char *name = str_copy_n(line, (size_t)(colon - line));
        scoped(free_str) char *value = str_copy(colon + 1);
        size_t n = answer->n_headers;
        PUSH(answer->names, n, str_printable(str_trim(name), false));
        PUSH(answer->values, answer->n_headers, str_printable(str_trim(value), false));
}

static size_t take_header(char *bytes, size_t size, size_t n, void *context) {
        Exchange *exchange = context;
        size_t have = size * n;
        exchange->header_bytes += have;
        exchange->too_large |= exchange->header_bytes > HTTP_HEADER_BYTES_MAX ||
                               exchange->answer->n_headers >= HTTP_HEADERS_MAX;
        if (exchange->too_large)
                return 0;
        scoped(free_str) char *line = str_copy_n(bytes, have);
        if (str_starts(line, "HTTP/"))
                forget_headers(exchange->answer); /* a 100 before the real head */
        else
                add_header(exchange->answer, line);
        return have;
}

/* libcurl's own sockets would be inherited by children. */
static curl_socket_t open_socket(
        void *context, curlsocktype purpose, struct curl_sockaddr *address) {
        (void)context;
        (void)purpose;
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool method_ok(const char *method) {
        size_t n = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        return n > 0 && n <= HTTP_METHOD_MAX && method[n] == '\0';
}

static bool header_ok(const HttpHeader *header) {
        size_t n = strlen(header->name);
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)header->name[i]) &&
                        !strchr("-_.!#$%&'*+^`|~", header->name[i]))
                        return false;
        for (const char *c = header->value; *c; c++)
                if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
                        return false;
        return n > 0;
}

static bool fail(HttpAnswer *answer, HttpFailure failure, const char *why) {
        answer->failure = failure;
        str_replace_owned(&answer->why, str_printable(why, false));
        return false;
}

static bool add_headers(Exchange *exchange) {
        const HttpRequest *request = exchange->request;
        const Curl *curl = exchange->http->curl;
        for (size_t i = 0; i < request->n_headers; i++) {
                const HttpHeader *header = &request->headers[i];
                if (!header_ok(header)) {
                        scoped(free_str) char *why =
                                str_format("the header '%s' cannot be sent: its name or value has "
                                           "bytes that are not allowed",
                                        header->name);
                        return fail(exchange->answer, HTTP_BAD_REQUEST, why);
                }
                const char *between = header->value[0] ? ": " : ";";
                scoped(free_str) char *line =
                        str_format("%s%s%s", header->name, between, header->value);
                struct curl_slist *longer = curl->slist_append(exchange->headers, line);
                explicit_bzero(line, strlen(line));
                if (!longer)
                        return fail(exchange->answer, HTTP_LOCAL, "out of memory");
                exchange->headers = longer;
        }
        return true;
}

static bool validate(Exchange *exchange) {
        const HttpRequest *request = exchange->request;
        scoped(err_clear) Err err = {0};
        if (!http_url_ok(request->url, &err))
                return fail(exchange->answer, HTTP_BAD_REQUEST, err.message);
        if (request->method && !method_ok(request->method))
                return fail(exchange->answer, HTTP_BAD_REQUEST,
                        "the method is no word of capital letters");
        return add_headers(exchange);
}

static long version_wish(const HttpRequest *request) {
        bool tls = strncasecmp(request->url, "https", 5) == 0;
        switch (request->version) {
        case HTTP_1_0:
                return CURL_HTTP_VERSION_1_0;
        case HTTP_1_1:
                return CURL_HTTP_VERSION_1_1;
        case HTTP_2:
                return tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
        case HTTP_ANY_VERSION:
                break;
        }
        return tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
}

static void set_method(const Http *http, const char *method) {
        const Curl *curl = http->curl;
        if (!method || strcmp(method, "GET") == 0)
                return;
        if (strcmp(method, "HEAD") == 0) {
                curl->easy_setopt(http->easy, CURLOPT_NOBODY, 1L);
                return;
        }
        if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                strcmp(method, "PATCH") == 0) {
                curl->easy_setopt(http->easy, CURLOPT_POST, 1L);
                curl->easy_setopt(http->easy, CURLOPT_POSTFIELDS, "");
                curl->easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE, 0L);
        }
        curl->easy_setopt(http->easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_limits(const Exchange *exchange) {
        const Curl *curl = exchange->http->curl;
        CURL *easy = exchange->http->easy;
        int64_t timeout_ms =
                exchange->request->timeout_ms > 0 ? exchange->request->timeout_ms : HTTP_TIMEOUT_MS;
        long limit = timeout_ms > 86400000 ? 86400000 : (long)timeout_ms;
        curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, limit);
        curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, limit);
        curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
        curl->easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
        /* Without it a slow name service is waited for beyond the time limit. */
        curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
        if (http_url_loopback(exchange->request->url))
                curl->easy_setopt(easy, CURLOPT_PROXY, "");
}

static void prepare(Exchange *exchange) {
        const Curl *curl = exchange->http->curl;
        CURL *easy = exchange->http->easy;
        curl->easy_reset(easy);
        set_limits(exchange);
        set_method(exchange->http, exchange->request->method);
        curl->easy_setopt(easy, CURLOPT_URL, exchange->request->url);
        curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, version_wish(exchange->request));
        curl->easy_setopt(easy, CURLOPT_USERAGENT, "belay/" BELAY_VERSION);
        curl->easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
        curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
        curl->easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
        curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
        curl->easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
        curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->trouble);
}

static bool cancelled(const HttpRequest *request) {
        return request->cancel && request->cancel->requested;
}

/* CURLE_OK, a failure of libcurl, or -1: cancelled, -2: libcurl itself is out of order. */
static int transfer(Exchange *exchange) {
        const Curl *curl = exchange->http->curl;
        CURLM *multi = exchange->http->multi;
        if (curl->multi_add_handle(multi, exchange->http->easy) != CURLM_OK)
                return -2;
        int result = -2, running = 1, left = 0;
        while (curl->multi_perform(multi, &running) == CURLM_OK) {
                CURLMsg *message = curl->multi_info_read(multi, &left);
                if (message && message->msg == CURLMSG_DONE) {
                        result = (int)message->data.result;
                        break;
                }
                if (cancelled(exchange->request)) {
                        result = -1;
                        break;
                }
                if (running == 0 ||
                        curl->multi_poll(multi, NULL, 0, HTTP_SLICE_MS, NULL) != CURLM_OK)
                        break;
        }
        curl->multi_remove_handle(multi, exchange->http->easy);
        return result;
}

static const struct {
        CURLcode code;
        HttpFailure failure;
} failures[] = {
        {CURLE_COULDNT_RESOLVE_HOST, HTTP_DNS}, {CURLE_COULDNT_RESOLVE_PROXY, HTTP_DNS},
        {CURLE_COULDNT_CONNECT, HTTP_REFUSED}, {CURLE_OPERATION_TIMEDOUT, HTTP_TIMEOUT},
        {CURLE_SSL_CONNECT_ERROR, HTTP_TLS}, {CURLE_PEER_FAILED_VERIFICATION, HTTP_TLS},
        {CURLE_SSL_CACERT_BADFILE, HTTP_TLS}, {CURLE_SSL_CERTPROBLEM, HTTP_TLS},
        {CURLE_SSL_CIPHER, HTTP_TLS}, {CURLE_SSL_ISSUER_ERROR, HTTP_TLS},
        {CURLE_UNSUPPORTED_PROTOCOL,
                HTTP_NOT_HTTP}, /* also an HTTP/0.9 answer: the URL is validated before */
        {CURLE_WEIRD_SERVER_REPLY, HTTP_NOT_HTTP}, {CURLE_HTTP2, HTTP_NOT_HTTP},
        {CURLE_HTTP2_STREAM, HTTP_NOT_HTTP}, {CURLE_BAD_CONTENT_ENCODING, HTTP_NOT_HTTP},
        {CURLE_GOT_NOTHING, HTTP_CLOSED}, {CURLE_RECV_ERROR, HTTP_CLOSED},
        {CURLE_SEND_ERROR, HTTP_CLOSED}, {CURLE_PARTIAL_FILE, HTTP_CLOSED},
        {CURLE_URL_MALFORMAT, HTTP_BAD_REQUEST},
        {CURLE_OUT_OF_MEMORY, HTTP_TOO_LARGE}, /* what 7.88 says of a head line over 100 KB */
};

static HttpFailure failure_of(int result) {
        for (size_t i = 0; i < COUNT_OF(failures); i++)
                if ((int)failures[i].code == result)
                        return failures[i].failure;
        return HTTP_OTHER;
}

/* Whether this process can open a socket at all: libcurl does not say why it could not. */
static bool out_of_sockets(int *ret_errno) {
        scoped(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                *ret_errno = errno;
        return fd < 0;
}

static bool local_errno(long number) {
        return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS ||
               number == EADDRNOTAVAIL;
}

static bool local_trouble(const Exchange *exchange, HttpFailure failure, int *ret_errno) {
        long number = 0;
        if (failure != HTTP_REFUSED && failure != HTTP_DNS)
                return false;
        exchange->http->curl->easy_getinfo(exchange->http->easy, CURLINFO_OS_ERRNO, &number);
        *ret_errno = (int)number;
        if (failure == HTTP_REFUSED && local_errno(number))
                return true;
        return out_of_sockets(ret_errno);
}

static const char *const plain_words[] = {
        [HTTP_REFUSED] = "the connection was refused",
        [HTTP_CLOSED] = "the connection was closed before a whole answer",
        [HTTP_TIMEOUT] = "no whole answer in time",
        [HTTP_TOO_LARGE] = "the answer is too large",
        [HTTP_NOT_HTTP] = "what answers there does not speak HTTP",
        [HTTP_OTHER] = NULL,
};

static void explain(Exchange *exchange, int result) {
        HttpAnswer *answer = exchange->answer;
        HttpFailure failure = exchange->too_large ? HTTP_TOO_LARGE : failure_of(result);
        int number = 0;
        if (local_trouble(exchange, failure, &number)) {
                fail(answer, HTTP_LOCAL, errno_text(number));
                return;
        }
        if (failure == HTTP_REFUSED && number == ECONNRESET)
                failure = HTTP_CLOSED; /* accepted, and reset before libcurl looked */
        const char *words = plain_words[failure];
        if (failure == HTTP_REFUSED && number != 0 && number != ECONNREFUSED)
                words = errno_text(number);
        if (!words)
                words = exchange->trouble[0] ? exchange->trouble : "the request failed";
        fail(answer, failure, words);
        if (failure == HTTP_REFUSED && words != plain_words[HTTP_REFUSED])
                answer->why[0] = (char)tolower((unsigned char)answer->why[0]);
}

static const char *protocol_of(long version) {
        static const char *const names[] = {
                [CURL_HTTP_VERSION_1_0] = "HTTP/1.0",
                [CURL_HTTP_VERSION_1_1] = "HTTP/1.1",
                [CURL_HTTP_VERSION_2_0] = "HTTP/2",
        };
        return version > 0 && version < (long)COUNT_OF(names) ? names[version] : NULL;
}

static void read_head(const Exchange *exchange) {
        const Curl *curl = exchange->http->curl;
        long status = 0, version = 0;
        curl->easy_getinfo(exchange->http->easy, CURLINFO_RESPONSE_CODE, &status);
        curl->easy_getinfo(exchange->http->easy, CURLINFO_HTTP_VERSION, &version);
        exchange->answer->status = status > 0 ? (unsigned)status : 0;
        exchange->answer->protocol = status > 0 ? protocol_of(version) : NULL;
}

static void perform(Exchange *exchange) {
        prepare(exchange);
        int result = transfer(exchange);
        read_head(exchange);
        if (result == -1)
                fail(exchange->answer, HTTP_CANCELLED, "cancelled");
        else if (result == -2)
                fail(exchange->answer, HTTP_LOCAL, "libcurl could not begin");
        else if (result != CURLE_OK)
                explain(exchange, result);
        /* The handle must not point into this frame any longer. */
        exchange->http->curl->easy_reset(exchange->http->easy);
}

void http_ask(Http *http, const HttpRequest *request, HttpAnswer *ret) {
        int64_t began = clock_now_us();
        size_t limit = request->body_limit > 0 ? request->body_limit : LIMIT_HTTP_BODY;
        Exchange exchange = {.http = http, .request = request, .answer = ret, .body_limit = limit};
        *ret = (HttpAnswer){.failure = HTTP_ANSWERED};
        if (validate(&exchange))
                perform(&exchange);
        http->curl->slist_free_all(exchange.headers);
        ret->body_bytes = exchange.body.len;
        ret->body = str_take(&exchange.body);
        ret->took_us = clock_now_us() - began;
}
