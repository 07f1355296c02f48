#include "runtime/process/adopt.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "model/environment.h"
#include "platform/file.h"
#include "runtime/process/control.h"
#include "runtime/process/record.h"
#include "runtime/process/spec.h"
#include "runtime/running.h"

enum { ANSWER_LIMIT_MS = 30000 };

/* Its words, its directory, its user; and its port, where one is known. What carries the service's own mark was
 * started by a keeper that did not live to record it: a start ends that first. */
static bool is_candidate(const RuntimeContext *at, const StartSpec *spec, const RunningList *list,
        const Running *process) {
        scoped(free_str) char *directory = file_real(spec->directory);
        scoped(free_str) char *mark = service_mark(at->state, at->service->name);
        return str_equal(process->directory, directory) && process->uid == spec->uid &&
               running_is(process, spec->argv) &&
               !str_equal(environment_get(process->environment, SERVICE_MARK), mark) &&
               (spec->port == 0 || running_listens(list, process, spec->port));
}

static bool descends_from_any(const RunningList *list, const Running *process,
        const Running *const *candidates, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (candidates[i] != process && running_belongs(list, process, candidates[i]))
                        return true;
        return false;
}

/* A worker is the same program as its master. */
static size_t drop_workers(const RunningList *list, const Running **candidates, size_t n) {
        scoped(free_mem) bool *worker = NEW_ARRAY(bool, n);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
                worker[i] = descends_from_any(list, candidates[i], candidates, n);
        for (size_t i = 0; i < n; i++)
                if (!worker[i])
                        candidates[kept++] = candidates[i];
        return kept;
}

static bool refuse_several(
        const RuntimeContext *at, const Running *const *candidates, size_t n, Err *err) {
        scoped(str_done) Str pids = {0};
        for (size_t i = 0; i < n && i < 10; i++)
                str_addf(&pids, "%s%d", i ? ", " : "", (int)candidates[i]->id.pid);
        err_fail(err, ERR_REFUSED,
                "%zu processes run already that could each be '%s' (pid %s): which one is it "
                "cannot "
                "be told",
                n, at->service->name, pids.text);
        return err_hint(err, "End all of them but one, or all, and start it again.");
}

static bool refuse_held(const RuntimeContext *at, const Running *process, Err *err) {
        err_fail(err, ERR_REFUSED,
                "'%s' runs already (pid %d), and is held by %s, which would start it again when "
                "Belay stops it",
                at->service->name, (int)process->id.pid, process->holder);
        return err_hint(err,
                "End it there for good (systemctl disable --now for a unit of systemd), "
                "then start it here.");
}

bool adopt_find(
        const RuntimeContext *at, const StartRequest *wanted, RuntimeForeign *ret, Err *err) {
        scoped(start_spec_done) StartSpec spec = {0};
        scoped(running_list_done) RunningList list = {0};
        scoped(free_mem) const Running **candidates = NULL;
        size_t n = 0;
        if (!start_spec_make(at->service, wanted, &spec, err) ||
                !running_find(spec.directory, &list, err))
                return err_context(err, "looking whether '%s' runs already", at->service->name);
        for (size_t i = 0; i < list.n; i++)
                if (is_candidate(at, &spec, &list, &list.items[i]))
                        PUSH(candidates, n, &list.items[i]);
        n = n ? drop_workers(&list, candidates, n) : 0;
        if (n > 1)
                return refuse_several(at, candidates, n, err);
        if (n == 1 && candidates[0]->holder)
                return refuse_held(at, candidates[0], err);
        if (n == 1)
                *ret = (RuntimeForeign){
                        .main = candidates[0]->id,
                        .started_at_ms = candidates[0]->started_at_ms,
                        .output = str_copy(candidates[0]->output),
                };
        return true;
}

bool adopt_take(const RuntimeContext *at, const StartRequest *wanted, const RuntimeForeign *foreign,
        Err *err) {
        scoped(start_spec_done) StartSpec spec = {0};
        scoped(js_freep) json_t *request = json_object();
        if (!start_spec_make(at->service, wanted, &spec, err))
                return err_context(err, "taking over '%s'", at->service->name);
        js_set_str(request, "do", "adopt");
        js_set(request, "spec", start_spec_to_json(&spec));
        js_set(request, "main", process_to_json(&foreign->main));
        js_set_int(request, "started_at_ms", foreign->started_at_ms);
        const KeeperCall call = {.state = at->state,
                .service = at->service->name,
                .request = request,
                .timeout_ms = ANSWER_LIMIT_MS,
                .cancel = wanted->cancel};
        return keeper_call(&call, NULL, err) ||
               err_context(err, "taking over '%s'", at->service->name);
}

void runtime_foreign_done(RuntimeForeign *foreign) {
        free(foreign->output);
        *foreign = (RuntimeForeign){0};
}
