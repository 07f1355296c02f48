/* Asking a server: redirects, pages, what its answers mean. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/clock.h"
#include "source/feed/driver.h"

enum { REDIRECTS_MAX = 3, PAGES_MAX = 20, ASK_MS = 10000, ETAG_MAX = 200 };

void feed_answer_done(FeedAnswer *answer) {
        free(answer->body);
        free(answer->etag);
        free(answer->next);
        *answer = (FeedAnswer){0};
}

/* -- URLs -- */

/* Length of "https://host:port". */
static size_t server_length(const char *url) {
        const char *authority = strstr(url, "://");
        return authority ? (size_t)(authority + 3 - url) + strcspn(authority + 3, "/?#") : 0;
}

bool feed_same_server(const char *a, const char *b) {
        size_t n = server_length(a);
        return n > 0 && n == server_length(b) && strncasecmp(a, b, n) == 0;
}

char *feed_shown(const char *url) { return str_copy_n(url, strcspn(url, "?#")); }

char *feed_location(const char *url, const char *location) {
        if (strstr(location, "://") && strcspn(location, "/?#") == strcspn(location, ":") + 1)
                return str_copy(location);
        if (location[0] == '/' && location[1] != '/')
                return str_format("%.*s%s", (int)server_length(url), url, location);
        return NULL;
}

char *feed_next_link(const char *header) {
        for (const char *at = header; at && (at = strchr(at, '<')); at++) {
                const char *end = strchr(at, '>');
                if (!end)
                        return NULL;
                size_t bytes = strcspn(end, "<");
                scoped(free_str) char *rest = str_copy_n(end + 1, bytes - 1);
                if (strstr(rest, "rel=\"next\"") || strstr(rest, "rel=next"))
                        return str_copy_n(at + 1, (size_t)(end - at - 1));
        }
        return NULL;
}

/* -- what an answer means -- */

static char *server_of(const char *url) { return str_copy_n(url, server_length(url)); }

/* When it wants to be asked again, unix ms; 0: it says nothing of it. */
static int64_t asks_for_patience(const HttpAnswer *answer) {
        uint64_t seconds = 0;
        int64_t now = clock_wall_ms();
        const char *after = http_answer_header(answer, "Retry-After"),
                   *left = http_answer_header(answer, "X-RateLimit-Remaining"),
                   *reset = http_answer_header(answer, "X-RateLimit-Reset");
        if (answer->status != 403 && answer->status != 429 && answer->status != 503)
                return 0;
        if (str_to_uint(after, FEED_PATIENCE_S, &seconds))
                return now + (int64_t)seconds * 1000;
        if (str_equal(left, "0") && str_to_uint(reset, UINT32_MAX, &seconds)) {
                int64_t at = (int64_t)seconds * 1000, most = now + (int64_t)FEED_PATIENCE_S * 1000;
                return at < most ? at : most;
        }
        return answer->status == 429 ? now + 60000 : 0;
}

static bool limited(FeedAsk *ask, const char *server, int64_t until, Err *err) {
        scoped(free_str) char *when = time_text(until);
        ask->not_before_ms = until;
        err_fail(err, ERR_REMOTE, "'%s' limits how often it may be asked", server);
        return err_hint(err, "It may be asked again at %s%s.", when,
                ask->token ? "" : "; with a token (releases.token) more is allowed");
}

static bool bad_status(FeedAsk *ask, const char *url, const HttpAnswer *answer, Err *err) {
        scoped(free_str) char *server = server_of(url);
        scoped(free_str) char *shown = feed_shown(url);
        int64_t until = asks_for_patience(answer);
        if (until)
                return limited(ask, server, until, err);
        err_fail(err, ERR_REMOTE, "'%s' answered %u", shown, answer->status);
        if (answer->status == 401 || answer->status == 403)
                return err_hint(err, ask->token ? "It does not accept the token of releases.token."
                                                : "It wants a token: set releases.token to "
                                                  "file:PATH or env:NAME.");
        if (answer->status == 404)
                return err_hint(err, "There is nothing of that name, or it wants a token "
                                     "(releases.token).");
        return false;
}

static bool too_large(const char *server, Err *err) {
        return err_fail(err, ERR_CORRUPT, "the answer of '%s' is larger than %d MB", server,
                LIMIT_RELEASES_BODY >> 20);
}

static bool no_answer(const char *url, const HttpAnswer *answer, Err *err) {
        scoped(free_str) char *server = server_of(url);
        const char *why = answer->why ? answer->why : http_failure_name(answer->failure);
        if (answer->failure == HTTP_CANCELLED)
                return err_fail(err, ERR_CANCELLED, "asking '%s' was cancelled", server);
        if (answer->failure == HTTP_TIMEOUT)
                return err_fail(err, ERR_TIMEOUT, "'%s' does not answer in time", server);
        if (answer->failure == HTTP_TOO_LARGE)
                return too_large(server, err);
        return err_fail(err, ERR_REMOTE, "'%s' does not answer: %s", server, why);
}

static bool elsewhere(const char *url, const char *location, Err *err) {
        scoped(free_str) char *server = server_of(url);
        scoped(free_str) char *to = feed_shown(location ? location : "(nowhere)");
        err_fail(err, ERR_REMOTE, "'%s' sends elsewhere, to '%.200s', which is not followed",
                server, to);
        return err_hint(err, "If that is right, name the new address under 'releases'.");
}

/* -- one request -- */

static void add_header(HttpHeader *headers, size_t *n, const char *name, const char *value) {
        if (value)
                headers[(*n)++] = (HttpHeader){name, value};
}

static bool ask_once(
        FeedAsk *ask, const char *url, const char *accept, bool first, HttpAnswer *ret, Err *err) {
        scoped(free_str) char *bearer = ask->token ? str_format("Bearer %s", ask->token) : NULL;
        HttpHeader headers[3];
        size_t n = 0;
        int64_t left = ask->until - clock_now_ms();
        scoped(free_str) char *server = server_of(url);
        if (left <= 0)
                return err_fail(err, ERR_TIMEOUT, "asking '%s' takes too long", server);
        if (ask->bytes >= LIMIT_RELEASES_BODY)
                return too_large(server, err);
        if (!ask->http && !http_new(&ask->http, err))
                return false;
        add_header(headers, &n, "Accept", accept);
        add_header(headers, &n, "Authorization", bearer);
        add_header(headers, &n, "If-None-Match", first ? ask->mark : NULL);
        http_ask(ask->http,
                &(HttpRequest){.url = url,
                        .headers = headers,
                        .n_headers = n,
                        .timeout_ms = left < ASK_MS ? left : ASK_MS,
                        .body_limit = LIMIT_RELEASES_BODY - ask->bytes,
                        .cancel = ask->context->cancel},
                ret);
        if (bearer)
                explicit_bzero(bearer, strlen(bearer));
        return ret->failure == HTTP_ANSWERED || no_answer(url, ret, err);
}

static bool is_redirect(unsigned status) {
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The next page, of this server only: what is asked there carries the token. */
static bool take_next(const char *url, const HttpAnswer *answer, char **ret, Err *err) {
        scoped(free_str) char *next = feed_next_link(http_answer_header(answer, "Link"));
        if (next && !feed_same_server(url, next))
                return elsewhere(url, next, err);
        *ret = TAKE(next);
        return true;
}

static bool take_answer(
        FeedAsk *ask, const char *url, bool first, HttpAnswer *answer, FeedAnswer *ret, Err *err) {
        if (answer->status == 304 && first && ask->mark) {
                ask->unchanged = true;
                return true;
        }
        if (answer->status != 200)
                return bad_status(ask, url, answer, err);
        if (!take_next(url, answer, &ret->next, err))
                return false;
        const char *etag = http_answer_header(answer, "ETag");
        ret->etag = etag && strlen(etag) <= ETAG_MAX ? str_copy(etag) : NULL;
        ret->bytes = answer->body_bytes;
        ret->body = TAKE(answer->body);
        ask->bytes += ret->bytes;
        return true;
}

bool feed_ask(
        FeedAsk *ask, const char *url, const char *accept, bool first, FeedAnswer *ret, Err *err) {
        scoped(free_str) char *at = str_copy(url);
        for (unsigned hops = 0; hops <= REDIRECTS_MAX; hops++) {
                scoped(http_answer_done) HttpAnswer answer = {0};
                if (!ask_once(ask, at, accept, first, &answer, err))
                        return false;
                if (!is_redirect(answer.status))
                        return take_answer(ask, at, first, &answer, ret, err);
                const char *location = http_answer_header(&answer, "Location");
                char *to = location ? feed_location(at, location) : NULL;
                bool same = to && feed_same_server(at, to);
                str_replace_owned(&at, to ? to : str_copy(at));
                if (!same)
                        return elsewhere(url, location, err);
        }
        scoped(free_str) char *shown = feed_shown(url);
        return err_fail(
                err, ERR_REMOTE, "'%s' sends from one address to the next without end", shown);
}

bool feed_ask_pages(FeedAsk *ask, const char *url, const char *accept, ReleaseData *ret, Err *err) {
        scoped(free_str) char *at = str_copy(url);
        for (unsigned page = 0; at; page++) {
                scoped(feed_answer_done) FeedAnswer answer = {0};
                size_t n = 0;
                if (page == PAGES_MAX) {
                        release_data_warn(ret,
                                "there are more than %d pages of releases: the "
                                "oldest are left out",
                                PAGES_MAX);
                        return true;
                }
                if (!feed_ask(ask, at, accept, page == 0, &answer, err))
                        return false;
                if (ask->unchanged)
                        return true;
                scoped(free_str) char *shown = feed_shown(at);
                if (!release_data_add_page(ret, answer.body, answer.bytes, shown, &n, err))
                        return false;
                if (page == 0)
                        str_replace_owned(&ask->new_mark, TAKE(answer.etag));
                str_replace_owned(&at, n ? TAKE(answer.next) : NULL);
        }
        return true;
}
