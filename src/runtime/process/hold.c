/* The keeper's hold of the program: started, started again, asked to end, ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "runtime/process/family.h"
#include "runtime/process/keeper.h"
#include "runtime/process/ports.h"
#include "runtime/process/spawn.h"

enum {
        PAUSE_MIN_MS = 1000,
        PAUSE_MAX_MS = 60000,
        LIVED_WELL_MS = 60000,    /* after that a crash is a first one again */
        LEFTOVER_GRACE_MS = 1000, /* for what outlives the main process, within the stop's limit */
        CUT_STOP_GRACE_MS = 10000,
        SWEEP_LIMIT_MS = 10000, /* after the grace */
        AFTER_KILL_MS = 10000,  /* a process that hangs in the kernel outlives even KILL */
        ROTATE_FAILURES_MAX = 20,
};

/* -- the processes ---------------------------------------------------------------------------- */

static void members_forget(KeeperRecord *record) {
        free(TAKE(record->members));
        record->n_members = 0;
}

/* What belongs to an adopted program while it lives: afterwards nothing would say so. */
static void members_note(Keeper *keeper) {
        KeeperRecord *record = &keeper->record;
        scoped(family_done) Family family = {0};
        const FamilyQuery query = {.main = &record->main,
                .mark = keeper->mark,
                .known = record->members,
                .n_known = record->n_members};
        if (!record->adopted || !family_find(&query, &family, NULL))
                return;
        members_forget(record);
        for (size_t i = 0; i < family.n && i < MEMBERS_MAX; i++)
                PUSH(record->members, record->n_members, family.members[i].id);
}

/* True when nothing of the service lives. `watched`: its main process was alive until just now. */
static bool sweep(Keeper *keeper, bool watched, int64_t grace_ms, Err *err) {
        if (keeper->swept)
                return true;
        const FamilyQuery query = {
                .main = &keeper->record.main,
                .mark = keeper->mark,
                .keeper = getpid(),
                .session_known = watched,
                .known = keeper->record.members,
                .n_known = keeper->record.n_members,
        };
        if (!family_end(&query, grace_ms, clock_now_ms() + grace_ms + SWEEP_LIMIT_MS, err))
                return err_context(err, "ending what is left of '%s'", keeper->service);
        keeper->swept = true;
        members_forget(&keeper->record);
        return true;
}

/* The program leads its group, and as leader of its session it cannot leave it. Its number is its own while
 * the pidfd says that it lives. */
static bool signal_group(const Keeper *keeper, int signal, Err *err) {
        char what[24];
        snprintf(what, sizeof(what), "signal %d", signal);
        pid_t pid = keeper->record.main.pid;
        if (getpgid(pid) != pid)
                return process_signal(&keeper->record.main, signal, err);
        bool failed = fault_before("kill", what) || kill(-pid, signal) < 0;
        if (failed && errno != ESRCH)
                return err_fail_errno(
                        err, ERR_IO, errno, "sending signal %d to '%s'", signal, keeper->service);
        fault_after();
        return true;
}

static bool port_is_free(const Keeper *keeper, Err *err) {
        unsigned port = keeper->record.spec.port;
        scoped(port_holder_done) PortHolder holder = {0};
        if (port == 0 || !port_find_holder(port, &holder))
                return true;
        err_fail(err, ERR_IN_USE, "port %u is taken by %s", port, holder.text);
        return err_hint(
                err, "End that process or give the service another port, then start it again.");
}

/* Durable before the act: whoever finds "starting" looks for marked processes. */
static bool launch(Keeper *keeper, Err *err) {
        KeeperRecord *record = &keeper->record;
        if (!port_is_free(keeper, err))
                return false;
        record->phase = SERVICE_STARTING;
        record->main = (ProcessId){0};
        record->adopted = false;
        keeper_save(keeper);
        keeper->swept = false;
        const SpawnRequest request = {
                .spec = &record->spec, .mark = keeper->mark, .log_path = keeper->log_path};
        if (!program_spawn(&request, &record->main, err))
                return false;
        keeper->main_fd = (int)syscall(SYS_pidfd_open, record->main.pid, 0);
        if (keeper->main_fd < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "watching process %d", (int)record->main.pid);
        keeper->main_is_child = true;
        keeper->main_reaped = false;
        keeper->main_since = clock_now_ms();
        keeper->rotate_at = keeper->main_since + keeper->log_limits.every_ms;
        keeper->restart_at = 0;
        record->phase = SERVICE_RUNNING;
        record->started_at_ms = clock_wall_ms();
        str_replace_owned(&record->last_error, NULL);
        keeper_save(keeper);
        return true;
}

/* -- start ------------------------------------------------------------------------------------ */

static bool is_same_start(const StartSpec *a, const StartSpec *b) {
        if (a->commit && b->commit)
                return str_equal(a->commit, b->commit);
        return str_equal(a->version, b->version);
}

static bool runs_already(const Keeper *keeper, const StartSpec *wanted, Err *err) {
        const KeeperRecord *record = &keeper->record;
        if (is_same_start(&record->spec, wanted))
                return true;
        err_fail(err, ERR_DRIFT, "'%s' runs version %s already (pid %d), not %s", keeper->service,
                record->spec.version ? record->spec.version : "unknown", (int)record->main.pid,
                wanted->version ? wanted->version : "the one that is to be started");
        return err_hint(err, "Stop it first: 'belay stop %s'.", keeper->service);
}

static void forget_last(Keeper *keeper) {
        KeeperRecord *record = &keeper->record;
        record->restarts = 0;
        record->last_exit_known = false;
        str_replace_owned(&record->last_error, NULL);
        keeper->failures = 0;
        keeper->restart_at = 0;
}

static void stop_over(Keeper *keeper, bool ok, const Err *failure) {
        keeper->stopping = false;
        keeper->kill_at = keeper->give_up_at = 0;
        if (ok)
                keeper->record.phase = SERVICE_STOPPED;
        /* Answered first: the record of a finished stop tells nobody more than its processes' absence. */
        serve_stopped(keeper, ok, failure);
        keeper_save(keeper);
}

/* Whoever asked for the stop died, or the keeper did, before it was over: what still runs has been told to
 * end and is no use to anyone. */
static bool finish_stop(Keeper *keeper, Err *err) {
        int64_t left = keeper->stopping ? keeper->kill_at - clock_now_ms() : CUT_STOP_GRACE_MS;
        if (!sweep(keeper, true,
                    left < 0                   ? 0
                    : left < CUT_STOP_GRACE_MS ? left
                                               : CUT_STOP_GRACE_MS,
                    err))
                return false;
        close(TAKE_FD(keeper->main_fd));
        if (keeper->stopping)
                stop_over(keeper, true, NULL);
        return true;
}

bool hold_start(Keeper *keeper, StartSpec *spec, Err *err) {
        KeeperRecord *record = &keeper->record;
        if (keeper->main_fd >= 0 && record->wanted_running)
                return runs_already(keeper, spec, err);
        if (keeper->main_fd >= 0 && !finish_stop(keeper, err))
                return false;
        if (!sweep(keeper, false, LEFTOVER_GRACE_MS, err))
                return false;
        start_spec_done(&record->spec);
        record->spec = *spec;
        *spec = (StartSpec){0};
        forget_last(keeper);
        record->wanted_running = true;
        if (launch(keeper, err))
                return true;
        record->wanted_running = false;
        record->phase = SERVICE_STOPPED;
        keeper_save(keeper);
        return false;
}

bool hold_take(
        Keeper *keeper, StartSpec *spec, const ProcessId *main, int64_t started_at_ms, Err *err) {
        KeeperRecord *record = &keeper->record;
        if (keeper->main_fd >= 0)
                return runs_already(keeper, spec, err);
        int fd = process_open(main);
        if (fd < 0)
                return err_fail(err, ERR_ANSWER_NO, "process %d ended meanwhile", (int)main->pid);
        start_spec_done(&record->spec);
        record->spec = *spec;
        *spec = (StartSpec){0};
        forget_last(keeper);
        keeper->main_fd = fd;
        keeper->main_is_child = keeper->main_reaped = keeper->swept = false;
        keeper->main_since = clock_now_ms();
        keeper->rotate_at = keeper->main_since + keeper->log_limits.every_ms;
        record->main = *main;
        record->adopted = true;
        record->phase = SERVICE_RUNNING;
        record->wanted_running = true;
        record->started_at_ms = started_at_ms;
        members_note(keeper);
        keeper_save(keeper);
        return true;
}

/* -- crash and restart ------------------------------------------------------------------------ */

static void note_exit(Keeper *keeper) {
        KeeperRecord *record = &keeper->record;
        record->last_exit_known = keeper->main_is_child && keeper->main_reaped;
        if (!record->last_exit_known)
                return;
        int status = keeper->main_status;
        record->last_exit = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* How it ended not being known counts as a failure: it was killed with its keeper, as a rule. */
static bool is_restarted(const KeeperRecord *record) {
        if (record->spec.restart == RESTART_ALWAYS)
                return true;
        bool well = record->last_exit_known && record->last_exit == 0;
        return record->spec.restart == RESTART_ON_FAILURE && !well;
}

/* 1 s, 2, 4, ... 60. */
static void schedule_restart(Keeper *keeper) {
        int64_t pause = PAUSE_MIN_MS;
        for (unsigned i = 0; i < keeper->failures && pause < PAUSE_MAX_MS; i++)
                pause *= 2;
        keeper->failures++;
        keeper->restart_at = clock_now_ms() + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
        keeper->record.phase = SERVICE_WAITING;
}

static void decide_restart(Keeper *keeper) {
        if (is_restarted(&keeper->record))
                schedule_restart(keeper);
        else
                keeper->record.phase = SERVICE_EXITED;
}

static void note_error(Keeper *keeper, const Err *failure) {
        str_replace_owned(&keeper->record.last_error, str_copy(failure->message));
}

static void restart(Keeper *keeper) {
        scoped(err_clear) Err failure = {0};
        keeper->restart_at = 0;
        keeper->record.restarts++;
        if (sweep(keeper, false, LEFTOVER_GRACE_MS, &failure) && launch(keeper, &failure))
                return;
        note_error(keeper, &failure);
        schedule_restart(keeper);
        keeper_save(keeper);
}

/* -- stop ------------------------------------------------------------------------------------- */

bool hold_stop(Keeper *keeper, int64_t timeout_ms, bool *ret_done, Err *err) {
        KeeperRecord *record = &keeper->record;
        int64_t kill_at = clock_now_ms() + timeout_ms;
        *ret_done = keeper->main_fd < 0;
        keeper->restart_at = 0;
        if (keeper->stopping) {
                keeper->kill_at = kill_at < keeper->kill_at ? kill_at : keeper->kill_at;
                return true;
        }
        bool changes = record->wanted_running || record->phase != SERVICE_STOPPED;
        record->wanted_running = false;
        if (keeper->main_fd >= 0 && record->adopted) {
                members_note(keeper);
                changes = true;
        }
        if (keeper->main_fd < 0)
                record->phase = SERVICE_STOPPED;
        if (changes)
                keeper_save(keeper);
        keeper->forced = false;
        if (keeper->main_fd < 0)
                return sweep(keeper, false, LEFTOVER_GRACE_MS, err);
        keeper->kill_at = kill_at;
        keeper->give_up_at = 0;
        /* A program that was suspended could not end. */
        keeper->stopping = signal_group(keeper, SIGTERM, err) && signal_group(keeper, SIGCONT, err);
        return keeper->stopping;
}

static void force_stop(Keeper *keeper) {
        scoped(err_clear) Err failure = {0};
        keeper->forced = true;
        keeper->kill_at = 0;
        keeper->give_up_at = clock_now_ms() + AFTER_KILL_MS;
        if (!signal_group(keeper, SIGKILL, &failure))
                stop_over(keeper, false, &failure);
}

static void give_up(Keeper *keeper) {
        scoped(err_clear) Err failure = {0};
        err_fail(&failure, ERR_TIMEOUT, "process %d of '%s' does not even end by force",
                (int)keeper->record.main.pid, keeper->service);
        err_hint(&failure,
                "It hangs inside the kernel, as a rule on a disk or a network file system.");
        stop_over(keeper, false, &failure);
}

/* -- what happens ----------------------------------------------------------------------------- */

void hold_exited(Keeper *keeper) {
        scoped(err_clear) Err failure = {0};
        close(TAKE_FD(keeper->main_fd));
        note_exit(keeper);
        keeper->rotate_at = 0;
        if (clock_now_ms() - keeper->main_since >= LIVED_WELL_MS)
                keeper->failures = 0;
        int64_t left = keeper->kill_at - clock_now_ms();
        int64_t grace = !keeper->stopping ? LEFTOVER_GRACE_MS : left < 0 ? 0 : left;
        bool swept = sweep(
                keeper, true, grace < LEFTOVER_GRACE_MS ? grace : LEFTOVER_GRACE_MS, &failure);
        if (keeper->stopping) {
                stop_over(keeper, swept, &failure);
                return;
        }
        if (!swept)
                note_error(keeper, &failure);
        if (keeper->record.wanted_running)
                decide_restart(keeper);
        else
                keeper->record.phase = SERVICE_STOPPED;
        keeper_save(keeper);
}

/* A log that cannot be rotated is tried again, but not for ever. And what an adopted program has started meanwhile is
 * noted: its crash comes without a warning. */
static void rotate(Keeper *keeper, int64_t now) {
        size_t before = keeper->record.n_members;
        members_note(keeper);
        if (keeper->record.n_members != before)
                keeper_save(keeper);
        bool ok = log_rotate(keeper->log_path, &keeper->log_limits, NULL, NULL);
        keeper->rotate_failures = ok ? 0 : keeper->rotate_failures + 1;
        keeper->rotate_at = keeper->rotate_failures > ROTATE_FAILURES_MAX
                                    ? 0
                                    : now + keeper->log_limits.every_ms;
}

void hold_tick(Keeper *keeper, int64_t now) {
        if (keeper->restart_at && now >= keeper->restart_at)
                restart(keeper);
        if (keeper->stopping && keeper->kill_at && now >= keeper->kill_at)
                force_stop(keeper);
        if (keeper->stopping && keeper->give_up_at && now >= keeper->give_up_at)
                give_up(keeper);
        if (keeper->rotate_at && now >= keeper->rotate_at)
                rotate(keeper, now);
}

int64_t hold_next(const Keeper *keeper) {
        const int64_t times[] = {
                keeper->restart_at, keeper->kill_at, keeper->give_up_at, keeper->rotate_at};
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < COUNT_OF(times); i++)
                if (times[i] && times[i] < next)
                        next = times[i];
        return next;
}

/* A program of another boot is gone, and whether it is started again is for the boot to say. */
void hold_adopt(Keeper *keeper) {
        KeeperRecord *record = &keeper->record;
        keeper->main_fd = process_open(&record->main);
        if (keeper->main_fd >= 0) {
                keeper->main_is_child = false;
                keeper->main_since = clock_now_ms();
                keeper->rotate_at = keeper->main_since + keeper->log_limits.every_ms;
                record->phase = SERVICE_RUNNING;
                return;
        }
        bool this_boot = str_equal(record->keeper.boot_id, clock_boot_id());
        if (!this_boot || !record->wanted_running) {
                record->phase = SERVICE_STOPPED;
                return;
        }
        if (record->phase == SERVICE_EXITED || record->phase == SERVICE_STOPPED)
                return;
        if (record->phase == SERVICE_RUNNING)
                record->last_exit_known = false;
        decide_restart(keeper);
}
