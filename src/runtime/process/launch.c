#include "runtime/process/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/js.h"
#include "base/own.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process.h"

enum { READY_LIMIT_MS = 20000, BUSY_PAUSE_MS = 20, ATTEMPTS = 4, ANSWER_MAX = 16 * 1024 };

char *belay_program(void) {
#ifdef BELAY_FAULT_POINTS
        const char *named = getenv("BELAY_SELF");
        if (named && named[0])
                return str_copy(named);
#endif
        return process_own_path();
}

Strv environment_after_death(void) {
#ifdef BELAY_FAULT_POINTS
        Strv environment = NULL;
        for (char **at = environ; *at; at++)
                if (!str_starts(*at, "BELAY_FAULT=") && !str_starts(*at, "BELAY_RUN=") &&
                        !str_starts(*at, "BELAY_CHILD="))
                        strv_add(&environment, *at);
        return environment;
#else
        return NULL;
#endif
}

/* What it said until its end of the pipe closed. */
static bool read_word(int fd, char **ret, Err *err) {
        scoped(str_done) Str text = {0};
        int64_t until = clock_now_ms() + READY_LIMIT_MS;
        char room[1024];
        while (text.len < ANSWER_MAX) {
                int64_t left = until - clock_now_ms();
                if (left <= 0)
                        return err_fail(err, ERR_TIMEOUT, "a new keeper is not ready after %d s",
                                READY_LIMIT_MS / 1000);
                struct pollfd at = {.fd = fd, .events = POLLIN};
                if (poll(&at, 1, (int)left) <= 0)
                        continue;
                ssize_t n = read(fd, room, sizeof(room));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                str_add_n(&text, room, (size_t)n);
                if (room[n - 1] == '\n')
                        break;
        }
        *ret = str_take(&text);
        return true;
}

static bool judge(const char *word, unsigned attempt, Err *err) {
        if (str_equal(word, KEEPER_READY))
                return true;
        if (str_equal(word, KEEPER_BUSY)) {
                clock_sleep_ms(BUSY_PAUSE_MS);
                return true;
        }
        scoped(js_freep) json_t *answer =
                word[0] ? js_parse(word, strlen(word), "keeper", NULL) : NULL;
        const json_t *error = js_get(answer, "error");
        const char *code = js_str(error, "code"), *message = js_str(error, "message");
        if (message)
                return err_fail(err, code ? err_code_of_name(code) : ERR_TOOL, "%s", message);
        if (attempt < ATTEMPTS)
                return true;
        return err_fail(err, ERR_TOOL, "it ended at once, without a word");
}

bool keeper_launch(const State *state, const char *service, unsigned attempt, Err *err) {
        scoped(free_str) char *dir = state_service_dir(state, service);
        scoped(free_str) char *program = belay_program();
        scoped(free_str) char *name = str_copy(service);
        scoped(strv_freep) Strv environment = attempt > 0 ? environment_after_death() : NULL;
        int ends[2];
        if (!dir_make(dir, err))
                return false;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return err_fail_errno(err, ERR_IO, errno, "making a pipe");
        scoped(close_fd) int ours = ends[0];
        scoped(close_fd) int theirs = ends[1];
        char *argv[] = {program, (char[]){"keeper"}, (char[]){"--state"}, state->root,
                (char[]){"--service"}, name, NULL};
        const Detached keeper = {.argv = argv,
                .environment = environment,
                .stdin_fd = -1,
                .stdout_fd = theirs,
                .stderr_fd = -1};
        ProcessId id;
        if (!process_start_detached(&keeper, &id, err))
                return err_context(err, "starting the keeper of '%s'", service);
        close(TAKE_FD(theirs));
        scoped(free_str) char *word = NULL;
        if (!read_word(ours, &word, err) || !judge(word, attempt, err))
                return err_context(err, "starting the keeper of '%s'", service);
        return true;
}
