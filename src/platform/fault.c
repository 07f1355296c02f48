#include "platform/fault.h"

#ifdef BELAY_FAULT_POINTS

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

typedef enum FaultAction {
        FAULT_NONE,
        FAULT_DIE,
        FAULT_STOP,
        FAULT_AFTER,
        FAULT_TORN,
        FAULT_ERROR,
        FAULT_FAILS
} FaultAction;

static struct {
        bool loaded;
        char role[16];
        char wanted_role[16];
        FaultAction action;
        unsigned at;
        char after[32]; /* of "stop": what has to be passed first, and how often still */
        unsigned after_left, passed;
        int error;
        unsigned count;
} state = {.role = "command"};

static const struct {
        const char *name;
        FaultAction action;
} actions[] = {
        {"die", FAULT_DIE},
        {"stop", FAULT_STOP},
        {"after", FAULT_AFTER},
        {"torn", FAULT_TORN},
        {"error", FAULT_ERROR},
        {"fails", FAULT_FAILS},
};

static const struct {
        const char *name;
        int error;
} errors[] = {
        {"EIO", EIO},
        {"ENOSPC", ENOSPC},
        {"EDQUOT", EDQUOT},
        {"EMFILE", EMFILE},
        {"EROFS", EROFS},
        {"EACCES", EACCES},
        {"ENOMEM", ENOMEM},
        {"EAGAIN", EAGAIN},
        {"ETIMEDOUT", ETIMEDOUT},
};

void fault_role(const char *role) { snprintf(state.role, sizeof(state.role), "%s", role); }

unsigned fault_count(void) { return state.count; }

void fault_set(const char *rule) {
        scoped(strv_freep) Strv parts = strv_split(rule ? rule : "", ':');
        state.loaded = true;
        state.count = 0;
        state.action = FAULT_NONE;
        if (strv_count(parts) < 3)
                return;
        snprintf(state.wanted_role, sizeof(state.wanted_role), "%s", parts[0]);
        for (size_t i = 0; i < COUNT_OF(actions); i++)
                if (strcmp(parts[1], actions[i].name) == 0)
                        state.action = actions[i].action;
        state.at = (unsigned)strtoul(parts[2], NULL, 10);
        state.error = EIO;
        state.after_left = state.passed = 0;
        if (state.action == FAULT_STOP && strv_count(parts) == 5) {
                snprintf(state.after, sizeof(state.after), "%s", parts[3]);
                state.after_left = (unsigned)strtoul(parts[4], NULL, 10);
        }
        for (size_t i = 0; parts[3] && i < COUNT_OF(errors); i++)
                if (strcmp(parts[3], errors[i].name) == 0)
                        state.error = errors[i].error;
}

static bool applies(void) {
        return strcmp(state.wanted_role, "*") == 0 || strcmp(state.wanted_role, state.role) == 0;
}

/* Of a build that counts what runs: what was counted is written before the death. */
extern void __gcov_dump(void) __attribute__((weak));

_Noreturn void fault_die(void) {
        if (__gcov_dump)
                __gcov_dump();
        kill(getpid(), SIGKILL);
        for (;;)
                pause();
}

static void trace(const char *call, const char *detail) {
        const char *path = getenv("BELAY_FAULT_TRACE");
        if (!path)
                return;
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0)
                dprintf(fd, "%s %u %s %s\n", state.role, state.count, call, detail ? detail : "-");
}

static void stop_when_due(const char *detail) {
        if (state.after_left == 0 && ++state.passed == state.at)
                (void)raise(SIGSTOP);
        if (state.after_left && detail && str_ends(detail, state.after))
                state.after_left--;
}

static void (*watcher)(void);

void fault_watch(void (*look)(void)) { watcher = look; }

bool fault_before(const char *call, const char *detail) {
        if (watcher)
                watcher();
        if (!state.loaded)
                fault_set(getenv("BELAY_FAULT"));
        state.count++;
        trace(call, detail);
        if (state.action == FAULT_NONE || !applies())
                return false;
        if (state.action == FAULT_DIE && state.count == state.at)
                fault_die();
        if (state.action == FAULT_STOP)
                stop_when_due(detail);
        bool fails = (state.action == FAULT_ERROR && state.count == state.at) ||
                     (state.action == FAULT_FAILS && state.count >= state.at);
        if (fails)
                errno = state.error;
        return fails;
}

void fault_after(void) {
        if (state.action == FAULT_AFTER && state.count == state.at && applies())
                fault_die();
}

size_t fault_torn(size_t n) {
        return state.action == FAULT_TORN && state.count == state.at && applies() ? n / 2 : n;
}

#endif
