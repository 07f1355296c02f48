/*
 * What a kind of check has to do, and what all of them share. Not for other rooms.
 */
#ifndef BELAY_CHECK_DRIVER_H
#define BELAY_CHECK_DRIVER_H

#include "check/check.h"
#include "client/http.h"

typedef struct CheckDriver {
        const char *name; /* the word in the manifest */
        /* Asks once, within check->within_ms, and fills kind and evidence (check_say). Must not wait for a service
         * to become ready, ask again, or change anything. */
        void (*ask)(const CheckSpec *check, CheckContext *context, CheckAnswer *ret);
} CheckDriver;

extern const CheckDriver check_http_driver, check_tcp_driver, check_command_driver,
        check_log_driver;

/* Where a log check is: each reads on from where it was, so that asking again costs what is new. */
typedef struct LogScan {
        const CheckSpec *check;
        LogPlace place;
        bool found;
        Str tail; /* the line that is not whole yet */
} LogScan;

struct CheckMemory {
        Http *http;
        LogScan *scans;
        size_t n_scans;
        int64_t began_ms; /* when this memory was made: `within` of a log check counts from here */
};

CheckMemory *check_memory(CheckContext *context);
/* The context's HTTP client, or NULL with an ANSWER_ERROR in `ret`. */
Http *check_http_client(CheckContext *context, CheckAnswer *ret);

/* Fills the answer: printable, without secrets, cut to its room. */
void check_say(CheckAnswer *ret, const CheckContext *context, AnswerKind kind, const char *format,
        ...) __attribute__((format(printf, 4, 5)));
/* The same from an error: message only. */
void check_say_err(CheckAnswer *ret, const CheckContext *context, AnswerKind kind, const Err *err);
/* What an HTTP request that got no whole answer means for a check. */
AnswerKind check_kind_of_failure(HttpFailure failure);
/* Expanded text, or NULL with an ANSWER_ERROR in `ret`; owned. NULL text gives "". */
char *check_expand(const char *text, const CheckContext *context, CheckAnswer *ret);
/* JSON from outside: any value, at most 32 deep, no duplicate keys. New reference; NULL with ERR_ANSWER_NO. */
json_t *check_json_parse(const char *text, size_t n, Err *err);
/* Whether a text that was found is the one that was expected: `raw` is what the manifest says, `expanded` what
 * that means now. A version is the same with or without a leading v when `raw` names ${version}. */
bool check_text_matches(const char *found, const char *raw, const char *expanded);
bool check_cancelled(const CheckContext *context);
/* The environment of commands: clean, with the env file's settings; owned. */
Strv check_environment(const CheckContext *context);

#endif
