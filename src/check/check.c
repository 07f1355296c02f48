#include "check/check.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "base/version.h"
#include "check/driver.h"
#include "model/environment.h"
#include "model/redact.h"
#include "platform/clock.h"

static const CheckDriver *const drivers[CHECK_KIND_COUNT] = {
        [CHECK_HTTP] = &check_http_driver,
        [CHECK_TCP] = &check_tcp_driver,
        [CHECK_COMMAND] = &check_command_driver,
        [CHECK_LOG] = &check_log_driver,
};

const char *check_kind_name(CheckKind kind) { return drivers[kind]->name; }

CheckMemory *check_memory(CheckContext *context) {
        if (!context->memory) {
                context->memory = NEW(CheckMemory);
                context->memory->began_ms = clock_now_ms();
        }
        return context->memory;
}

void check_context_done(CheckContext *context) {
        CheckMemory *memory = context->memory;
        if (!memory)
                return;
        http_freep(&memory->http);
        for (size_t i = 0; i < memory->n_scans; i++)
                str_done(&memory->scans[i].tail);
        free(memory->scans);
        free(memory);
        context->memory = NULL;
}

Http *check_http_client(CheckContext *context, CheckAnswer *ret) {
        CheckMemory *memory = check_memory(context);
        scoped(err_clear) Err err = {0};
        if (!memory->http && !http_new(&memory->http, &err))
                check_say_err(ret, context, ANSWER_ERROR, &err);
        return memory->http;
}

/* At most CHECK_EVIDENCE_MAX bytes, never half a character. */
static void cut_into(char *room, const char *text) {
        size_t n = strlen(text);
        if (n > CHECK_EVIDENCE_MAX)
                n = CHECK_EVIDENCE_MAX;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
                n--;
        memcpy(room, text, n);
        room[n] = '\0';
}

static void say(CheckAnswer *ret, const CheckContext *context, AnswerKind kind, const char *text) {
        scoped(free_str) char *safe = redact(text, context->secrets);
        for (char *c = safe; *c; c++)
                if (*c == '\n' || *c == '\r' || *c == '\t')
                        *c = ' ';
        scoped(free_str) char *shown = str_printable(safe, false);
        ret->kind = kind;
        cut_into(ret->evidence, shown);
}

void check_say(
        CheckAnswer *ret, const CheckContext *context, AnswerKind kind, const char *format, ...) {
        va_list args;
        va_start(args, format);
        scoped(free_str) char *text = str_vformat(format, args);
        va_end(args);
        say(ret, context, kind, text);
}

void check_say_err(CheckAnswer *ret, const CheckContext *context, AnswerKind kind, const Err *err) {
        say(ret, context, kind, err->message ? err->message : "unknown trouble");
}

char *check_expand(const char *text, const CheckContext *context, CheckAnswer *ret) {
        scoped(err_clear) Err err = {0};
        char *expanded = expand(text ? text : "", &context->values, &err);
        if (!expanded)
                check_say_err(ret, context, ANSWER_ERROR, &err);
        return expanded;
}

bool check_text_matches(const char *found, const char *raw, const char *expanded) {
        if (strcmp(found, expanded) == 0)
                return true;
        return strcmp(raw, "${version}") == 0 && version_same(found, expanded);
}

bool check_cancelled(const CheckContext *context) {
        return context->cancel && context->cancel->requested;
}

Strv check_environment(const CheckContext *context) {
        Strv environment = environment_clean(context->as_user ? context->uid : geteuid());
        environment_add(&environment, context->env);
        if (context->service)
                environment_set(&environment, "BELAY_SERVICE", context->service->name);
        if (context->values.version)
                environment_set(&environment, "BELAY_VERSION", context->values.version);
        return environment;
}

void check_ask(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        int64_t began = clock_now_us();
        *ret = (CheckAnswer){.kind = ANSWER_ERROR};
        drivers[check->kind]->ask(check, context, ret);
        ret->took_ms = (clock_now_us() - began) / 1000;
}
