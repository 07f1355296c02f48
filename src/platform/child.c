#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/units.h"
#include "platform/child_parts.h"
#include "platform/clock.h"

enum { SWEEP_MS = 10000 };

static void run_done(ChildRun *run) {
        close_fd(&run->pidfd);
        close_fd(&run->status);
        close_fd(&run->log);
        for (int i = 0; i < 2; i++) {
                close_fd(&run->streams[i]);
                str_done(&run->text[i]);
        }
}

static bool not_executed(const ChildRun *run, Err *err) {
        const Child *child = run->child;
        const char *program = child->argv[0];
        bool by_path = strchr(program, '/') != NULL;
        if (str_equal(run->error_step, "chdir"))
                return err_fail_errno(err, ERR_TOOL, run->error, "starting %s in '%s'", child->what,
                        child->directory);
        if (str_equal(run->error_step, "user"))
                return err_fail_errno(err, ERR_TOOL, run->error, "starting %s as user %u",
                        child->what, child->uid);
        if (child->seal && !str_equal(run->error_step, "exec")) {
                err_fail_errno(err, ERR_REFUSED, run->error,
                        "isolating %s from this machine (step '%s')", child->what, run->error_step);
                return err_hint(err, "It needs namespaces and overlays of the kernel, which root "
                                     "has where no container or policy takes them away.");
        }
        if (!str_equal(run->error_step, "exec"))
                return err_fail_errno(err, ERR_TOOL, run->error, "starting %s", child->what);
        if (run->error == ENOENT && !by_path) {
                err_fail(err, ERR_TOOL, "'%s' was not found in PATH", program);
                return err_hint(err, "Install it, or give its full path.");
        }
        err_fail_errno(err, ERR_TOOL, run->error, "starting '%s'", program);
        if (run->error == ENOENT && access(program, F_OK) == 0)
                return err_hint(
                        err, "The file is there: its first line names an interpreter that is not.");
        if (run->error == ENOEXEC)
                return err_hint(err, "A script needs a first line like '#!/bin/sh'.");
        if (run->error == EACCES)
                return err_hint(
                        err, "Is it executable for its user? 'chmod +x %s' makes it so.", program);
        return false;
}

static bool judge(const ChildRun *run, Err *err) {
        const Child *child = run->child;
        if (run->error)
                return not_executed(run, err);
        if (run->ended_for == ERR_TIMEOUT) {
                scoped(free_str) char *limit =
                        duration_text(child->timeout_ms > 0 ? child->timeout_ms : 60000);
                return err_fail(err, ERR_TIMEOUT, "%s took longer than %s and was ended",
                        child->what, limit);
        }
        if (run->ended_for == ERR_CANCELLED)
                return err_fail(err, ERR_CANCELLED, "%s was cancelled", child->what);
        if (!run->exited)
                return err_fail(err, ERR_TOOL,
                        "%s was ended: its supervisor was killed by somebody else", child->what);
        return true;
}

bool child_run(const Child *child, ChildResult *ret, Err *err) {
        int64_t began = clock_now_ms();
        scoped(child_plan_done) ChildPlan plan = {0};
        scoped(run_done) ChildRun run = {.child = child,
                .pidfd = -1,
                .status = -1,
                .streams = {-1, -1},
                .log = -1,
                .exit_status = -1};
        if (child->cancel && child->cancel->requested)
                return err_fail(err, ERR_CANCELLED, "%s was cancelled", child->what);
        if (!child_plan(child, &plan, err) || !child_start(child, &plan, &run, err))
                return false;
        /* Killed itself, belay-exec could not end what it had started. */
        if (!child_watch(&run) &&
                !process_sweep("BELAY_CHILD", plan.mark, 0, clock_now_ms() + SWEEP_MS, err))
                return err_context(err, "ending %s", child->what);
        child_result_done(ret);
        *ret = (ChildResult){
                .exit_status = run.exit_status,
                .out = str_take(&run.text[0]),
                .err = str_take(&run.text[1]),
                .out_cut = run.cut,
                .took_ms = clock_now_ms() - began,
        };
        return judge(&run, err);
}

void child_result_done(ChildResult *result) {
        free(result->out);
        free(result->err);
        *result = (ChildResult){0};
}

char *child_last_lines(const ChildResult *result, unsigned lines) {
        const char *texts[] = {result->err, result->out};
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
                scoped(free_str) char *text = str_printable(texts[i] ? texts[i] : "", true);
                char *trimmed = str_trim(text);
                if (!trimmed[0])
                        continue;
                char *from = trimmed + strlen(trimmed);
                for (unsigned left = lines; from > trimmed; from--)
                        if (from[-1] == '\n' && --left == 0)
                                break;
                return str_copy(from);
        }
        return str_copy("");
}
