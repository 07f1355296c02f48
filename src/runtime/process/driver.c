#include "runtime/process/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "runtime/process/adopt.h"
#include "runtime/process/control.h"
#include "runtime/process/family.h"
#include "runtime/process/ports.h"
#include "runtime/process/record.h"
#include "runtime/process/spec.h"
#include "runtime/process/usage.h"

enum {
        ANSWER_LIMIT_MS = 30000,
        LOOK_LIMIT_MS = 2000,   /* a keeper that is busy ending something is not waited for */
        START_LIMIT_MS = 90000, /* it may have to end first what a crash left behind */
        STOP_EXTRA_MS =
                45000, /* beyond the service's own limit: by force, and what is left of it */
};

bool process_runs(const Service *service) { return service->process.command != NULL; }

static char *process_log_path(const RuntimeContext *at) {
        return state_service_file(at->state, at->service->name, SERVICE_LOG);
}

static bool call(const RuntimeContext *at, const json_t *request, int64_t timeout_ms, json_t **ret,
        Err *err) {
        const KeeperCall keeper = {.state = at->state,
                .service = at->service->name,
                .request = request,
                .timeout_ms = timeout_ms};
        return keeper_call(&keeper, ret, err);
}

static json_t *request_new(const char *what) {
        json_t *request = json_object();
        js_set_str(request, "do", what);
        return request;
}

/* The keeper knows best; what it last wrote is older where the disk was full. *ret_present (may be NULL):
 * there is a keeper. */
static bool look(const RuntimeContext *at, KeeperRecord *ret, bool *ret_present, Err *err) {
        scoped(js_freep) json_t *request = request_new("status");
        scoped(js_freep) json_t *answer = NULL;
        const KeeperCall keeper = {.state = at->state,
                .service = at->service->name,
                .request = request,
                .timeout_ms = LOOK_LIMIT_MS};
        if (!keeper_ask(&keeper, &answer, err))
                return false;
        bool known = answer ? keeper_record_from_json(js_get(answer, "record"), ret, err)
                            : keeper_record_load(at->state, at->service->name, ret, err);
        if (known && ret_present)
                *ret_present = answer != NULL || process_alive(&ret->keeper);
        return known;
}

/* -- what is so ------------------------------------------------------------------------------- */

static void take_record(KeeperRecord *record, RuntimeStatus *ret) {
        ret->wanted_running = record->wanted_running;
        ret->restart_pending = record->phase == SERVICE_WAITING && ret->keeper_present;
        ret->main = record->main;
        ret->adopted = record->adopted;
        ret->version = TAKE(record->spec.version);
        ret->commit = TAKE(record->spec.commit);
        ret->tag = TAKE(record->spec.tag);
        ret->previous_version = TAKE(record->spec.previous_version);
        ret->restarts = record->restarts;
        ret->last_exit_known = record->last_exit_known;
        ret->last_exit = record->last_exit_known ? record->last_exit : -1;
        ret->last_error = TAKE(record->last_error);
        ret->started_at_ms = record->started_at_ms;
        ret->guarded_run = record->guard.run;
        ret->resumed = record->guard.attempts;
        ret->resume_given_up = record->guard.run && record->guard.resume &&
                               record->guard.attempts >= GUARD_ATTEMPTS_MAX;
}

static void add_ports(const Family *family, RuntimeStatus *ret) {
        scoped(listening_ports_done) ListeningPorts all = {0};
        ports_listening(&all);
        for (size_t i = 0; all.n && i < family->n; i++)
                ports_of_process(&all, family->members[i].id.pid, &ret->ports, &ret->n_ports);
}

static bool add_usage(const RuntimeContext *at, RuntimeStatus *ret, Err *err) {
        scoped(free_str) char *mark = service_mark(at->state, at->service->name);
        scoped(family_done) Family family = {0};
        const FamilyQuery query = {.main = &ret->main, .mark = mark};
        if (!family_find(&query, &family, err))
                return false;
        Usage usage;
        usage_read(&family, ret->main.pid, &usage);
        ret->processes = (unsigned)family.n;
        ret->memory_bytes = usage.memory_bytes;
        ret->memory_limit = usage.memory_limit;
        ret->cpu_ms = usage.cpu_ms;
        ret->oom_kills = usage.oom_kills;
        add_ports(&family, ret);
        return true;
}

static bool process_inspect(const RuntimeContext *at, RuntimeStatus *ret, Err *err) {
        scoped(keeper_record_done) KeeperRecord record = {0};
        scoped(runtime_status_done) RuntimeStatus status = {0};
        if (!look(at, &record, &status.keeper_present, err))
                return false;
        take_record(&record, &status);
        status.running = process_alive(&status.main);
        status.adopted = status.adopted && status.running;
        if (status.running && !at->brief && !add_usage(at, &status, err))
                return false;
        status.log_path = process_log_path(at);
        *ret = status;
        status = (RuntimeStatus){0};
        return true;
}

/* -- what would be ---------------------------------------------------------------------------- */

/* A socket that a process of the service holds is in nobody's way. */
static bool is_own(const RuntimeContext *at, const ProcessId *main, pid_t pid) {
        scoped(free_str) char *mark = service_mark(at->state, at->service->name);
        scoped(family_done) Family family = {0};
        const FamilyQuery query = {.main = main, .mark = mark};
        if (pid == 0 || !family_find(&query, &family, NULL))
                return false;
        for (size_t i = 0; i < family.n; i++)
                if (family.members[i].id.pid == pid)
                        return true;
        return false;
}

/* Most often nobody holds it, or the main process itself: only else all of /proc is looked through. */
static char *port_taken_by(const RuntimeContext *at) {
        scoped(keeper_record_done) KeeperRecord record = {0};
        scoped(port_holder_done) PortHolder holder = {0};
        unsigned port = at->service->process.port;
        bool known = look(at, &record, NULL, NULL);
        pid_t main = known && process_alive(&record.main) ? record.main.pid : 0;
        if (port == 0 || port_is_free_or_held_by(port, main) || !port_find_holder(port, &holder) ||
                (known && is_own(at, &record.main, holder.pid)))
                return NULL;
        return TAKE(holder.text);
}

static bool process_describe(const RuntimeContext *at, RuntimeDescription *ret, Err *err) {
        const ProcessSpec *process = &at->service->process;
        scoped(account_done) Account account = {0};
        if (!account_find(process, process->directory, &account, err))
                return false;
        if (access(process->directory, F_OK) < 0)
                return err_fail(err, ERR_REFUSED, "the service's directory '%s' does not exist",
                        process->directory);
        *ret = (RuntimeDescription){
                .kind = process_runtime.name,
                .user = str_copy(account.name),
                .uid = account.uid,
                .gid = account.gid,
                .directory = str_copy(process->directory),
                .command = strv_join(process->command, " "),
                .port = process->port,
                .port_taken_by = at->brief ? NULL : port_taken_by(at),
        };
        if (account.uid == 0)
                strv_addf(&ret->warnings,
                        "%s runs as root, because %s: name another user under 'user'.",
                        at->service->name,
                        process->user ? "the manifest says so" : "its directory is root's");
        return true;
}

/* -- start, stop ------------------------------------------------------------------------------ */

static bool process_start(const RuntimeContext *at, const StartRequest *wanted, Err *err) {
        scoped(start_spec_done) StartSpec spec = {0};
        scoped(js_freep) json_t *request = request_new("start");
        if (!start_spec_make(at->service, wanted, &spec, err))
                return err_context(err, "starting '%s'", at->service->name);
        js_set(request, "spec", start_spec_to_json(&spec));
        const KeeperCall keeper = {.state = at->state,
                .service = at->service->name,
                .request = request,
                .timeout_ms = START_LIMIT_MS,
                .cancel = wanted->cancel};
        if (!keeper_call(&keeper, NULL, err))
                return err_context(err, "starting '%s'", at->service->name);
        return true;
}

static bool process_stop(const RuntimeContext *at, int64_t timeout_ms, bool *ret_forced, Err *err) {
        scoped(js_freep) json_t *request = request_new("stop");
        scoped(js_freep) json_t *answer = NULL;
        js_set_int(request, "timeout_ms", timeout_ms);
        if (!call(at, request, timeout_ms + STOP_EXTRA_MS, &answer, err))
                return err_context(err, "stopping '%s'", at->service->name);
        if (ret_forced)
                *ret_forced = js_bool(answer, "forced", false);
        return true;
}

/* -- guard ------------------------------------------------------------------------------------ */

static bool process_guard(
        const RuntimeContext *at, unsigned run, const ProcessId *runner, Err *err) {
        scoped(js_freep) json_t *request = request_new("guard");
        const char *off = getenv("BELAY_NO_KEEPER_RESUME");
        js_set_int(request, "run", run);
        js_set(request, "runner", process_to_json(runner));
        js_set_bool(request, "resume", !str_equal(off, "1"));
        if (!call(at, request, ANSWER_LIMIT_MS, NULL, err))
                return err_context(
                        err, "having the keeper of '%s' watch this run", at->service->name);
        return true;
}

/* A dead keeper is replaced only when it would have to be told. */
static bool process_unguard(const RuntimeContext *at, unsigned run, Err *err) {
        scoped(keeper_record_done) KeeperRecord record = {0};
        scoped(js_freep) json_t *request = request_new("unguard");
        bool present = false;
        if (!look(at, &record, &present, err))
                return false;
        if (record.guard.run != run && !present)
                return true;
        js_set_int(request, "run", run);
        if (!call(at, request, ANSWER_LIMIT_MS, NULL, err))
                return err_context(err, "having the keeper of '%s' watch this run no longer",
                        at->service->name);
        return true;
}

static bool is_kept(const KeeperRecord *record) {
        if (!str_equal(record->keeper.boot_id, clock_boot_id()))
                return false;
        bool down = record->phase == SERVICE_STOPPED || record->phase == SERVICE_EXITED;
        return record->guard.run != 0 || process_alive(&record->main) ||
               (record->wanted_running && !down);
}

static bool process_ensure(const RuntimeContext *at, Err *err) {
        scoped(keeper_record_done) KeeperRecord record = {0};
        scoped(js_freep) json_t *request = request_new("ping");
        if (!look(at, &record, NULL, err))
                return false;
        if (!is_kept(&record))
                return true;
        return call(at, request, ANSWER_LIMIT_MS, NULL, err);
}

const Runtime process_runtime = {
        .name = "process",
        .inspect = process_inspect,
        .describe = process_describe,
        .start = process_start,
        .foreign = adopt_find,
        .adopt = adopt_take,
        .stop = process_stop,
        .log_path = process_log_path,
        .guard = process_guard,
        .unguard = process_unguard,
        .ensure = process_ensure,
};
