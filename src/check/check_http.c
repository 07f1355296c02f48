/* http: status, headers, a text in the body, fields of a JSON body, the protocol. */
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"
#include "model/value.h"

/* What is sent, resolved; secret. */
typedef struct Sent {
        HttpHeader *headers;
        char **values;
        size_t n;
} Sent;

static void sent_done(Sent *sent) {
        for (size_t i = 0; i < sent->n; i++)
                value_freep(&sent->values[i]);
        free(sent->values);
        free(sent->headers);
}

static bool resolve_headers(
        const CheckSpec *check, CheckContext *context, Sent *sent, CheckAnswer *ret) {
        sent->headers = NEW_ARRAY(HttpHeader, check->n_headers + 1);
        sent->values = NEW_ARRAY(char *, check->n_headers + 1);
        for (; sent->n < check->n_headers; sent->n++) {
                const HeaderSpec *header = &check->headers[sent->n];
                scoped(err_clear) Err err = {0};
                char **value = &sent->values[sent->n];
                if (header->value.from == VALUE_TEXT) {
                        *value = check_expand(header->value.text, context, ret);
                        if (!*value)
                                return false;
                } else if (!value_resolve(&header->value, context->env, value, &err)) {
                        check_say(ret, context, ANSWER_ERROR, "header '%s': %s", header->name,
                                err.message);
                        return false;
                }
                sent->headers[sent->n] = (HttpHeader){header->name, *value};
        }
        return true;
}

/* "HTTP/1.1", "http/2", "h2", "1.1": all of them to "1.0", "1.1", "2". */
static const char *protocol_number(const char *text) {
        if (strncasecmp(text, "http/", 5) == 0)
                text += 5;
        else if (*text == 'h' || *text == 'H')
                text++;
        return strcmp(text, "2.0") == 0 || strcmp(text, "2c") == 0 ? "2" : text;
}

static HttpVersion version_wish(const char *protocol) {
        if (!protocol)
                return HTTP_ANY_VERSION;
        const char *number = protocol_number(protocol);
        if (strcmp(number, "2") == 0)
                return HTTP_2;
        return strcmp(number, "1.0") == 0 ? HTTP_1_0 : HTTP_1_1;
}

AnswerKind check_kind_of_failure(HttpFailure failure) {
        switch (failure) {
        case HTTP_REFUSED:
        case HTTP_CLOSED:
        case HTTP_TIMEOUT:
        case HTTP_OTHER:
                return ANSWER_NONE;
        case HTTP_TLS:
        case HTTP_TOO_LARGE:
        case HTTP_NOT_HTTP:
        case HTTP_ANSWERED:
                return ANSWER_FAIL;
        case HTTP_DNS:
        case HTTP_BAD_REQUEST:
        case HTTP_LOCAL:
        case HTTP_CANCELLED:
                break;
        }
        return ANSWER_ERROR;
}

/* One answer and what it is compared with. */
typedef struct Judging {
        const CheckSpec *check;
        CheckContext *context;
        const HttpAnswer *answer;
        CheckAnswer *ret;
        const char *url;
} Judging;

static bool judge_status(const Judging *j) {
        unsigned status = j->answer->status,
                 expected = j->check->status > 0 ? j->check->status : 200;
        if (status == expected)
                return true;
        const char *to = http_answer_header(j->answer, "Location");
        if (status / 100 == 3 && to)
                check_say(j->ret, j->context, ANSWER_FAIL,
                        "%s answered %u, a redirect to '%s', expected %u", j->url, status, to,
                        expected);
        else
                check_say(j->ret, j->context, status == 503 ? ANSWER_NONE : ANSWER_FAIL,
                        "%s answered %u, expected %u", j->url, status, expected);
        return false;
}

static bool judge_protocol(const Judging *j) {
        const char *expected = j->check->protocol;
        const char *protocol = j->answer->protocol ? j->answer->protocol : "an unknown protocol";
        if (!expected || strcmp(protocol_number(protocol), protocol_number(expected)) == 0)
                return true;
        check_say(j->ret, j->context, ANSWER_FAIL, "%s answered by %s, expected %s", j->url,
                protocol, expected);
        return false;
}

static bool judge_headers(const Judging *j) {
        for (size_t i = 0; i < j->check->n_expect_headers; i++) {
                const Pair *expect = &j->check->expect_headers[i];
                scoped(free_str) char *expected = check_expand(expect->value, j->context, j->ret);
                if (!expected)
                        return false;
                const char *found = http_answer_header(j->answer, expect->name);
                if (found && check_text_matches(found, expect->value, expected))
                        continue;
                if (found)
                        check_say(j->ret, j->context, ANSWER_FAIL,
                                "%s answered header '%s: %s', expected '%s'", j->url, expect->name,
                                found, expected);
                else
                        check_say(j->ret, j->context, ANSWER_FAIL,
                                "%s answered without header '%s'", j->url, expect->name);
                return false;
        }
        return true;
}

static bool judge_body(const Judging *j) {
        if (!j->check->body)
                return true;
        scoped(free_str) char *expected = check_expand(j->check->body, j->context, j->ret);
        if (!expected)
                return false;
        if (memmem(j->answer->body, j->answer->body_bytes, expected, strlen(expected)))
                return true;
        check_say(j->ret, j->context, ANSWER_FAIL, "%s answered a body without '%s'%s", j->url,
                expected, j->answer->failure == HTTP_TOO_LARGE ? " in its first 64 KiB" : "");
        return false;
}

static bool judge_field(const Judging *j, const json_t *document, const Pair *field) {
        scoped(free_str) char *expected = check_expand(field->value, j->context, j->ret);
        if (!expected)
                return false;
        scoped(free_str) char *found = check_json_text(document, field->name);
        if (found && check_text_matches(found, field->value, expected))
                return true;
        if (found)
                check_say(j->ret, j->context, ANSWER_FAIL, "%s answered %s '%.60s', expected '%s'",
                        j->url, field->name, found, expected);
        else
                check_say(j->ret, j->context, ANSWER_FAIL,
                        "%s answered JSON without %s, expected '%s'", j->url, field->name,
                        expected);
        return false;
}

static bool judge_json(const Judging *j) {
        if (j->check->n_json == 0)
                return true;
        scoped(err_clear) Err err = {0};
        if (j->answer->failure == HTTP_TOO_LARGE) {
                check_say(j->ret, j->context, ANSWER_FAIL,
                        "%s answered more than 64 KiB, too much to read as JSON", j->url);
                return false;
        }
        scoped(js_freep) json_t *document =
                check_json_parse(j->answer->body, j->answer->body_bytes, &err);
        if (!document) {
                check_say(j->ret, j->context, ANSWER_FAIL, "%s: %s", j->url, err.message);
                return false;
        }
        for (size_t i = 0; i < j->check->n_json; i++)
                if (!judge_field(j, document, &j->check->json[i]))
                        return false;
        return true;
}

/* A body over the limit is fine for a check that only asks for the status. */
static bool whole_enough(const HttpAnswer *answer) {
        return answer->failure == HTTP_ANSWERED ||
               (answer->failure == HTTP_TOO_LARGE && answer->body_bytes > 0);
}

static void judge(const Judging *j) {
        const HttpAnswer *answer = j->answer;
        if (!whole_enough(answer)) {
                check_say(j->ret, j->context, check_kind_of_failure(answer->failure), "%s: %s",
                        j->url, answer->why);
                return;
        }
        if (judge_status(j) && judge_protocol(j) && judge_headers(j) && judge_body(j) &&
                judge_json(j))
                check_say(
                        j->ret, j->context, ANSWER_PASS, "%s answered %u", j->url, answer->status);
}

static void ask(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        Http *http = check_http_client(context, ret);
        scoped(free_str) char *url = http ? check_expand(check->url, context, ret) : NULL;
        scoped(sent_done) Sent sent = {0};
        if (!url || !resolve_headers(check, context, &sent, ret))
                return;
        HttpRequest request = {.url = url,
                .method = check->method,
                .headers = sent.headers,
                .n_headers = sent.n,
                .timeout_ms = check->within_ms,
                .version = version_wish(check->protocol),
                .cancel = context->cancel};
        scoped(http_answer_done) HttpAnswer answer = {0};
        http_ask(http, &request, &answer);
        judge(&(Judging){check, context, &answer, ret, url});
}

const CheckDriver check_http_driver = {.name = "http", .ask = ask};
