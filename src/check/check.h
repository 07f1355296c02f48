/*
 * Checks: questions to a service, each answered with pass, fail, no answer, or "Belay could not ask".
 *
 *     CheckContext context = {.service = service, .values = {...}, .env = env,
 *                             .log = &log, .log_from = place, .cancel = cancel, .mark = "44"};
 *     ChecksWait wait = {.checks = service->checks, .n_checks = service->n_checks, .context = &context,
 *                        .timeout_ms = service->start_timeout_ms, .alive = still_runs, .alive_context = me};
 *     scoped(checks_outcome_done) ChecksOutcome outcome = {0};
 *     bool good = checks_wait(&wait, &outcome, err);
 *     ...
 *     check_context_done(&context);
 *
 * check_ask asks once; checks_wait asks all in turn, in this thread, until check_eval.h says so. A log check
 * looks for its text from `log_from` on: the place where the log ended before the service was started.
 * Evidence is printable, at most 200 bytes, and free of the values in `secrets`.
 */
#ifndef BELAY_CHECK_CHECK_H
#define BELAY_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/js.h"
#include "check/check_eval.h"
#include "model/expand.h"
#include "model/log_reader.h"
#include "model/service.h"
#include "platform/process.h"

enum { CHECK_EVIDENCE_MAX = 200, CHECK_SETTLE_MS = 1000 };

typedef struct CheckAnswer {
        AnswerKind kind;
        char evidence[CHECK_EVIDENCE_MAX + 1]; /* "http://… answered 500" */
        int64_t took_ms;
} CheckAnswer;

typedef struct CheckMemory
        CheckMemory; /* what one waiting keeps between questions: connections, places in logs */

typedef struct CheckContext {
        const Service *service;
        Expansion values; /* version, tag, port, … of what should run now */
        char *const
                *env; /* the service's env file, "NAME=value" each, for env: values and commands;
                                     * may be NULL */
        const LogReader *log; /* NULL: no log (log checks then answer "could not ask") */
        LogPlace log_from;
        uid_t uid; /* commands run as this user when `as_user` */
        gid_t gid;
        bool as_user;
        const char *mark;     /* BELAY_RUN of commands, or NULL */
        char *const *secrets; /* values that may be in no evidence; may be NULL */
        const Cancel *cancel; /* may be NULL */
        CheckMemory *memory;  /* NULL at first; check_context_done frees it */
} CheckContext;

/* Asks once, within the check's `within`. Always fills `ret`. Cancelled: ANSWER_ERROR, soon. */
void check_ask(const CheckSpec *check, CheckContext *context, CheckAnswer *ret);
void check_context_done(CheckContext *context);

/* "http": the word in the manifest. */
const char *check_kind_name(CheckKind kind);

typedef struct ChecksWait {
        const CheckSpec *checks;
        size_t n_checks;
        CheckContext *context;
        int64_t timeout_ms; /* start.timeout, from the call on */
        /* No time to start: no answer counts as wrong, and a check that cannot reach its threshold any more fails.
         * For `belay verify`, for preflight. */
        bool now;
        /* Asked before every question: does the process still run, the same one? False: *ret_why (owned) says
         * what happened ("exited with status 1"). May be NULL. */
        bool (*alive)(void *context, char **ret_why);
        void *alive_context;
        /* After each answer. `text` is the last answer's. May be NULL. */
        void (*progress)(void *context, size_t passed, size_t total, const char *text);
        void *progress_context;
} ChecksWait;

typedef struct CheckResult {
        char *title; /* owned */
        CheckKind kind;
        Verdict verdict;
        char *reason; /* why it passed, failed or hangs: one line; owned */
        unsigned asked;
        int64_t first_answer_ms; /* after the start of the waiting; -1: never */
        CheckAnswer last;
} CheckResult;

typedef struct ChecksOutcome {
        Verdict verdict;
        char *reason;         /* of the first that failed, or of the process; owned */
        CheckResult *results; /* one for each check, in their order */
        size_t n_results;
        int64_t took_ms;
} ChecksOutcome;

/* True: all pass (or, when there are no checks, the process lives CHECK_SETTLE_MS long). False: ERR_ANSWER_NO
 * (one fails, the process is gone, the time is over), ERR_INCONCLUSIVE (Belay could not ask), ERR_CANCELLED.
 * The outcome is filled in every case. */
bool checks_wait(const ChecksWait *wait, ChecksOutcome *ret, Err *err);
void checks_outcome_done(ChecksOutcome *outcome);
/* {"verdict", "took_ms", "checks": [{"title", "kind", "verdict", "reason", "asked", …}]}; new reference. */
json_t *checks_outcome_to_json(const ChecksOutcome *outcome);

/* The version that says it runs, by `installed` (http and json, command, file). Owned, trimmed. ERR_REMOTE
 * or ERR_TIMEOUT: no answer; ERR_ANSWER_NO: an answer without a version in it; ERR_USAGE: the service has no
 * such way (installed_can is false: git describe is then the source's to do). */
bool installed_can(const InstalledSpec *installed);
bool installed_ask(
        const InstalledSpec *installed, CheckContext *context, char **ret_version, Err *err);

/* The scalar at a dotted path (".a.b[0]") of JSON as text, owned, or NULL when there is none. Strings as they
 * are, numbers and true, false, null as JSON writes them. */
char *check_json_text(const json_t *document, const char *path);

#endif
