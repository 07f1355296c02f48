/* The keeper as guardian: when the runner of an armed run dies, the run is resumed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "runtime/process/keeper.h"
#include "runtime/process/launch.h"

enum { FIRST_PAUSE_MS = 2000 };

static void disarm(Keeper *keeper) {
        if (keeper->runner_fd >= 0)
                close(TAKE_FD(keeper->runner_fd));
        keeper->resume_at = 0;
}

/* 2 s, 4, 8, 16, 32. */
static void schedule(Keeper *keeper) {
        const GuardRecord *guard = &keeper->record.guard;
        if (guard->run == 0 || !guard->resume || guard->attempts >= GUARD_ATTEMPTS_MAX)
                return;
        keeper->resume_at = clock_now_ms() + ((int64_t)FIRST_PAUSE_MS << guard->attempts);
}

static void arm(Keeper *keeper) {
        disarm(keeper);
        keeper->runner_fd = process_open(&keeper->record.guard.runner);
        if (keeper->runner_fd < 0)
                schedule(keeper);
}

void watch_set(Keeper *keeper, const GuardRecord *guard) {
        GuardRecord *now = &keeper->record.guard;
        unsigned attempts = now->run == guard->run ? now->attempts : 0;
        *now = *guard;
        now->attempts = attempts;
        arm(keeper);
        keeper_save(keeper);
}

void watch_lift(Keeper *keeper, unsigned run) {
        if (keeper->record.guard.run != run)
                return;
        keeper->record.guard = (GuardRecord){0};
        disarm(keeper);
        keeper_save(keeper);
}

/* After a restart of the machine the boot service resumes. */
void watch_adopt(Keeper *keeper) {
        GuardRecord *guard = &keeper->record.guard;
        if (guard->run == 0)
                return;
        if (str_equal(guard->runner.boot_id, clock_boot_id()))
                arm(keeper);
        else
                *guard = (GuardRecord){0};
}

void watch_runner_died(Keeper *keeper) {
        disarm(keeper);
        schedule(keeper);
}

bool watch_holds(const Keeper *keeper) {
        return keeper->runner_fd >= 0 || keeper->resume_at || keeper->resume.pid;
}

/* Counted and recorded before it is done. */
static void resume(Keeper *keeper) {
        GuardRecord *guard = &keeper->record.guard;
        scoped(free_str) char *program = belay_program();
        scoped(free_str) char *root = str_copy(keeper->state->root);
        scoped(free_str) char *run = str_format("%u", guard->run);
        scoped(strv_freep) Strv environment = environment_after_death();
        char *argv[] = {program, (char[]){"--state"}, root, (char[]){"resume"}, run,
                (char[]){"--yes"}, NULL};
        const Detached command = {.argv = argv,
                .environment = environment,
                .stdin_fd = -1,
                .stdout_fd = -1,
                .stderr_fd = -1};
        guard->attempts++;
        keeper_save(keeper);
        if (!process_start_detached(&command, &keeper->resume, NULL)) {
                keeper->resume = (ProcessId){0};
                schedule(keeper);
        }
}

/* Exit statuses after which there is nothing that another attempt could do: finished, rolled back, a
 * person must act or decide, refused, finished but for details, cancelled. */
static bool is_final(int status) {
        static const int final[] = {0, 3, 4, 6, 8, 9, 130};
        for (size_t i = 0; WIFEXITED(status) && i < COUNT_OF(final); i++)
                if (WEXITSTATUS(status) == final[i])
                        return true;
        return false;
}

void watch_reaped(Keeper *keeper, pid_t pid, int status) {
        if (pid != keeper->resume.pid)
                return;
        keeper->resume = (ProcessId){0};
        if (keeper->runner_fd >= 0 || keeper->record.guard.run == 0)
                return;
        if (is_final(status))
                watch_lift(keeper, keeper->record.guard.run);
        else
                schedule(keeper);
}

void watch_tick(Keeper *keeper, int64_t now) {
        if (!keeper->resume_at || now < keeper->resume_at)
                return;
        keeper->resume_at = 0;
        if (keeper->resume.pid && process_alive(&keeper->resume))
                return;
        resume(keeper);
}

int64_t watch_next(const Keeper *keeper) {
        return keeper->resume_at ? keeper->resume_at : INT64_MAX;
}
