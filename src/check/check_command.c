/* command: exit 0 is right, 75 is "not yet", anything else is wrong. */
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"

enum { EXIT_NOT_YET = 75, EVIDENCE_LINES = 2 };

static Strv expanded_words(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        scoped(strv_freep) Strv words = NULL;
        for (size_t i = 0; check->run && check->run[i]; i++) {
                char *word = check_expand(check->run[i], context, ret);
                if (!word)
                        return NULL;
                strv_push(&words, word);
        }
        if (!words)
                check_say(ret, context, ANSWER_ERROR, "the command is empty");
        return TAKE(words);
}

static void judge(
        const char *name, const ChildResult *result, CheckContext *context, CheckAnswer *ret) {
        if (result->exit_status == 0) {
                check_say(ret, context, ANSWER_PASS, "%s exited with 0", name);
                return;
        }
        AnswerKind kind = result->exit_status == EXIT_NOT_YET ? ANSWER_NONE : ANSWER_FAIL;
        scoped(free_str) char *lines = child_last_lines(result, EVIDENCE_LINES);
        /* All of it is cleaned before it is cut, so that no half of a secret stays. */
        if (result->exit_status > 128)
                check_say(ret, context, kind, "%s was ended by signal %d: %s", name,
                        result->exit_status - 128, lines);
        else
                check_say(ret, context, kind, "%s exited with %d: %s", name, result->exit_status,
                        lines);
}

static void ask(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        scoped(strv_freep) Strv words = expanded_words(check, context, ret);
        if (!words)
                return;
        scoped(strv_freep) Strv environment = check_environment(context);
        scoped(free_str) char *what = str_format("check '%s'", words[0]);
        Child child = {.argv = words,
                .directory = context->service ? context->service->directory : NULL,
                .environment = environment,
                .uid = context->uid,
                .gid = context->gid,
                .as_user = context->as_user,
                .timeout_ms = check->within_ms,
                .what = what,
                .mark = context->mark,
                .cancel = context->cancel};
        scoped(child_result_done) ChildResult result = {0};
        scoped(err_clear) Err err = {0};
        if (child_run(&child, &result, &err))
                judge(words[0], &result, context, ret);
        else
                check_say_err(
                        ret, context, err.code == ERR_TIMEOUT ? ANSWER_NONE : ANSWER_ERROR, &err);
}

const CheckDriver check_command_driver = {.name = "command", .ask = ask};
