/* Which version says that it runs: asked by HTTP, a command or a file. */
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "base/version.h"
#include "check/driver.h"
#include "platform/file.h"

enum { WITHIN_MS = 5000, COMMAND_WITHIN_MS = 30000, FILE_MAX = 4096 };

bool installed_can(const InstalledSpec *installed) {
        return installed->http || installed->command || installed->file;
}

/* One trimmed line that can be a version. */
static bool take_version(const char *text, const char *where, char **ret, Err *err) {
        scoped(free_str) char *copy = str_copy(text);
        const char *version = str_trim(copy);
        if (!version_text_ok(version)) {
                scoped(free_str) char *shown = str_printable(version, false);
                return err_fail(err, ERR_ANSWER_NO, "'%s' answers '%.80s', which is no version",
                        where, shown);
        }
        *ret = str_copy(version);
        return true;
}

static ErrCode code_of(HttpFailure failure) {
        if (failure == HTTP_TIMEOUT)
                return ERR_TIMEOUT;
        if (failure == HTTP_CANCELLED)
                return ERR_CANCELLED;
        if (failure == HTTP_BAD_REQUEST)
                return ERR_MANIFEST;
        return ERR_REMOTE;
}

static bool version_of_body(const InstalledSpec *installed, const HttpAnswer *answer,
        const char *url, char **ret, Err *err) {
        if (!installed->json)
                return take_version(answer->body, url, ret, err);
        scoped(js_freep) json_t *document = check_json_parse(answer->body, answer->body_bytes, err);
        if (!document)
                return err_context(err, "reading the version from '%s'", url);
        scoped(free_str) char *text = check_json_text(document, installed->json);
        if (!text)
                return err_fail(
                        err, ERR_ANSWER_NO, "'%s' answers JSON without %s", url, installed->json);
        return take_version(text, url, ret, err);
}

static bool ask_http(const InstalledSpec *installed, CheckContext *context, char **ret, Err *err) {
        CheckMemory *memory = check_memory(context);
        scoped(free_str) char *url = expand(installed->http, &context->values, err);
        if (!url || (!memory->http && !http_new(&memory->http, err)))
                return false;
        HttpRequest request = {.url = url, .timeout_ms = WITHIN_MS, .cancel = context->cancel};
        scoped(http_answer_done) HttpAnswer answer = {0};
        http_ask(memory->http, &request, &answer);
        if (answer.failure != HTTP_ANSWERED)
                return err_fail(err, code_of(answer.failure), "asking '%s' for the version: %s",
                        url, answer.why);
        if (answer.status != 200)
                return err_fail(err, answer.status == 503 ? ERR_REMOTE : ERR_ANSWER_NO,
                        "asking '%s' for the version: it answered %u", url, answer.status);
        return version_of_body(installed, &answer, url, ret, err);
}

static bool ask_command(
        const InstalledSpec *installed, CheckContext *context, char **ret, Err *err) {
        scoped(strv_freep) Strv words = NULL;
        for (size_t i = 0; installed->command[i]; i++) {
                char *word = expand(installed->command[i], &context->values, err);
                if (!word)
                        return false;
                strv_push(&words, word);
        }
        scoped(strv_freep) Strv environment = check_environment(context);
        Child child = {.argv = words,
                .directory = context->service ? context->service->directory : NULL,
                .environment = environment,
                .uid = context->uid,
                .gid = context->gid,
                .as_user = context->as_user,
                .timeout_ms = COMMAND_WITHIN_MS,
                .what = "the command of 'installed'",
                .mark = context->mark,
                .cancel = context->cancel};
        scoped(child_result_done) ChildResult result = {0};
        if (!words || !child_run(&child, &result, err))
                return err_context(err, "asking for the version");
        if (result.exit_status != 0)
                return err_fail(err, ERR_REMOTE, "'%s' exited with %d when asked for the version",
                        words[0], result.exit_status);
        return take_version(result.out, words[0], ret, err);
}

static bool ask_file(const InstalledSpec *installed, CheckContext *context, char **ret, Err *err) {
        scoped(free_str) char *name = expand(installed->file, &context->values, err);
        if (!name)
                return false;
        scoped(free_str) char *path =
                path_join(context->service ? context->service->directory : NULL, name);
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!file_read(path, FILE_MAX, &text, &bytes, err))
                return err_context(err, "asking for the version");
        return take_version(text, path, ret, err);
}

bool installed_ask(
        const InstalledSpec *installed, CheckContext *context, char **ret_version, Err *err) {
        if (installed->http)
                return ask_http(installed, context, ret_version, err);
        if (installed->command)
                return ask_command(installed, context, ret_version, err);
        if (installed->file)
                return ask_file(installed, context, ret_version, err);
        return err_fail(err, ERR_USAGE, "the service does not say how its version is asked for");
}
