/*
 * One HTTP request, asked now, answered within its time, whatever the other side does.
 *
 *     scoped(http_freep) Http *http = NULL;
 *     if (!http_new(&http, err))                    // ERR_TOOL: libcurl cannot be loaded
 *             return false;
 *     HttpRequest request = {.url = "http://localhost:8000/health", .timeout_ms = 5000};
 *     scoped(http_answer_done) HttpAnswer answer = {0};
 *     http_ask(http, &request, &answer);
 *     if (answer.failure == HTTP_ANSWERED && answer.status == 200) ...
 *
 * http and https only; no redirects are followed, no credentials in the URL, no .netrc, no cookies, no
 * compression; no proxy for loopback. Every request is a connection of its own, so that an answer never comes
 * over a connection that an older process still holds. An Http may be used for any number of requests, by
 * one thread. libcurl is loaded by the first http_new, so that a program that never asks does not pay for it.
 *
 * Header values and bodies sent are never part of a text that this file makes.
 */
#ifndef BELAY_CLIENT_HTTP_H
#define BELAY_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "platform/process.h"

enum {
        HTTP_URL_MAX = 4096,
        HTTP_HEADER_BYTES_MAX = 64 * 1024, /* of all headers of an answer */
        HTTP_HEADERS_MAX = 256,
};

typedef enum HttpFailure {
        HTTP_ANSWERED, /* a whole answer within its time and size */
        HTTP_REFUSED,  /* nobody listens, or the host cannot be reached */
        HTTP_CLOSED,   /* the connection was closed or reset before a whole answer */
        HTTP_TIMEOUT,  /* status is set when the head had come already */
        HTTP_DNS,
        HTTP_TLS,
        HTTP_TOO_LARGE, /* body over its limit: status, headers and the first bytes are there; or too many headers */
        HTTP_NOT_HTTP,    /* something else speaks there */
        HTTP_BAD_REQUEST, /* the URL, method or a header cannot be sent */
        HTTP_LOCAL,       /* this machine could not ask: out of descriptors, memory, ports */
        HTTP_CANCELLED,
        HTTP_OTHER,
} HttpFailure;

/* "refused", "timeout": stable words. */
const char *http_failure_name(HttpFailure failure);

typedef struct HttpHeader {
        const char *name, *value;
} HttpHeader;

typedef enum HttpVersion { HTTP_ANY_VERSION, HTTP_1_0, HTTP_1_1, HTTP_2 } HttpVersion;

typedef struct HttpRequest {
        const char *url;
        const char *method; /* NULL: GET */
        const HttpHeader *
                headers; /* borrowed; values may be secret; a value with a control byte is refused */
        size_t n_headers;
        int64_t timeout_ms; /* for everything, from the name to the last byte; 0: 5 s */
        size_t body_limit;  /* 0: LIMIT_HTTP_BODY */
        HttpVersion
                version; /* what to ask for; the answer may have another. HTTP_2 is h2c for http */
        const Cancel *cancel; /* looked at every 50 ms; may be NULL */
} HttpRequest;

typedef struct HttpAnswer {
        HttpFailure failure;
        char *why; /* for people, printable: "connection refused"; NULL when answered; owned */
        unsigned status;        /* 0: none came */
        const char *protocol;   /* "HTTP/1.1", "HTTP/2"; NULL when none came; static */
        char **names, **values; /* headers of the answer, printable; owned */
        size_t n_headers;
        char *body; /* at most body_limit bytes, NUL added; never NULL after http_ask; owned */
        size_t body_bytes;
        int64_t took_us;
} HttpAnswer;

typedef struct Http Http;
bool http_new(Http **ret, Err *err);
void http_freep(Http **http);

/* Always fills `ret`, which must be empty. */
void http_ask(Http *http, const HttpRequest *request, HttpAnswer *ret);
void http_answer_done(HttpAnswer *answer);
/* The first header of that name, without regard to case, or NULL; borrowed. */
const char *http_answer_header(const HttpAnswer *answer, const char *name);

/* Whether a URL can be asked at all, for manifests: http or https, a host, no user, no password, not too
 * long. Does not load libcurl. */
bool http_url_ok(const char *url, Err *err);
/* Whether its host is this machine by name or number: localhost, 127.0.0.0/8, ::1. */
bool http_url_loopback(const char *url);

#endif
