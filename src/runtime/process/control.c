#include "runtime/process/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "runtime/process/launch.h"
#include "runtime/process/record.h"

enum { TRIES = 6, SLICE_MS = 500, BACKLOG = 16 };

/* -- the socket ------------------------------------------------------------------------------- */

/* sun_path has 108 bytes, a state directory may have 4096: the way leads over a descriptor. */
static bool address_of(
        const State *state, const char *service, struct sockaddr_un *ret, int *ret_dir, Err *err) {
        scoped(free_str) char *dir = state_service_dir(state, service);
        scoped(close_fd) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return err_fail(err, ERR_UNKNOWN, "there is no directory '%s'", dir);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening directory '%s'", dir);
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" KEEPER_SOCKET, fd);
        *ret_dir = TAKE_FD(fd);
        return true;
}

bool control_listen(const State *state, const char *service, int *ret_fd, Err *err) {
        scoped(free_str) char *path = state_service_file(state, service, KEEPER_SOCKET);
        scoped(close_fd) int dir = -1;
        struct sockaddr_un address;
        if (!file_unlink(path, err) || !address_of(state, service, &address, &dir, err))
                return false;
        scoped(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making a socket");
        if (fault_before("bind", path) ||
                bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
                listen(fd, BACKLOG) < 0)
                return err_fail_errno(err, ERR_IO, errno, "listening on '%s'", path);
        fault_after();
        *ret_fd = TAKE_FD(fd);
        return true;
}

/* *ret_fd -1: nobody listens. */
static bool control_connect(const KeeperCall *call, int *ret_fd, Err *err) {
        scoped(close_fd) int dir = -1;
        struct sockaddr_un address;
        scoped(err_clear) Err failure = {0};
        if (!address_of(call->state, call->service, &address, &dir, &failure)) {
                *ret_fd = -1;
                if (failure.code == ERR_UNKNOWN)
                        return true;
                err_move(err, &failure);
                return false;
        }
        scoped(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making a socket");
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
                *ret_fd = TAKE_FD(fd);
                return true;
        }
        if (errno != ENOENT && errno != ECONNREFUSED)
                return err_fail_errno(
                        err, ERR_IO, errno, "reaching the keeper of '%s'", call->service);
        *ret_fd = -1;
        return true;
}

/* -- one exchange ----------------------------------------------------------------------------- */

json_t *control_answer(bool ok, const Err *failure) {
        json_t *answer = json_object();
        js_set_bool(answer, "ok", ok);
        if (ok)
                return answer;
        json_t *error = json_object();
        js_set_str(error, "code", err_name(failure->code));
        js_set_str(error, "message", failure->message);
        js_set_str(error, "hint", failure->hint);
        js_set(answer, "error", error);
        return answer;
}

void control_send(int fd, const json_t *message) {
        scoped(free_str) char *line = js_line(message);
        scoped(free_str) char *text = str_format("%s\n", line);
        size_t n = strlen(text);
        for (size_t at = 0; at < n;) {
                ssize_t put = send(fd, text + at, n - at, MSG_NOSIGNAL);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put <= 0)
                        return;
                at += (size_t)put;
        }
}

static bool wait_readable(const KeeperCall *call, int fd, int64_t until, Err *err) {
        for (;;) {
                int64_t left = until - clock_now_ms();
                if (call->cancel && call->cancel->requested)
                        return err_fail(
                                err, ERR_CANCELLED, "cancelled while waiting for the keeper");
                if (left <= 0)
                        return err_fail(err, ERR_TIMEOUT, "the keeper of '%s' does not answer",
                                call->service);
                struct pollfd at = {.fd = fd, .events = POLLIN};
                if (poll(&at, 1, (int)(left < SLICE_MS ? left : SLICE_MS)) > 0)
                        return true;
        }
}

/* *ret stays NULL when the keeper died before it had answered. */
static bool receive(const KeeperCall *call, int fd, json_t **ret, Err *err) {
        scoped(str_done) Str text = {0};
        int64_t until = clock_now_ms() + call->timeout_ms;
        char room[4096];
        for (;;) {
                if (!wait_readable(call, fd, until, err))
                        return false;
                ssize_t n = recv(fd, room, sizeof(room), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return true;
                str_add_n(&text, room, (size_t)n);
                if (room[n - 1] == '\n')
                        break;
                if (text.len > CONTROL_MAX)
                        return err_fail(err, ERR_BUG, "the keeper's answer is too long");
        }
        *ret = js_parse(text.text, text.len, "answer of the keeper", err);
        return *ret != NULL;
}

static bool accept_answer(json_t *answer, json_t **ret, Err *err) {
        if (js_bool(answer, "ok", false)) {
                if (ret)
                        *ret = json_incref(answer);
                return true;
        }
        const json_t *error = js_get(answer, "error");
        const char *code = js_str(error, "code"), *message = js_str(error, "message");
        const char *hint = js_str(error, "hint");
        err_fail(err, code ? err_code_of_name(code) : ERR_BUG, "%s",
                message ? message : "no reason was given");
        return hint ? err_hint(err, "%s", hint) : false;
}

bool keeper_ask(const KeeperCall *call, json_t **ret_answer, Err *err) {
        scoped(close_fd) int fd = -1;
        scoped(js_freep) json_t *answer = NULL;
        if (!control_connect(call, &fd, err))
                return false;
        if (fd < 0)
                return true;
        control_send(fd, call->request);
        scoped(err_clear) Err failure = {0};
        if (!receive(call, fd, &answer, &failure) && failure.code != ERR_TIMEOUT) {
                err_move(err, &failure);
                return false;
        }
        return !answer || accept_answer(answer, ret_answer, err);
}

bool keeper_call(const KeeperCall *call, json_t **ret_answer, Err *err) {
        unsigned launched = 0;
        for (int tries = 0; tries < TRIES; tries++) {
                scoped(close_fd) int fd = -1;
                scoped(js_freep) json_t *answer = NULL;
                if (!control_connect(call, &fd, err))
                        return false;
                if (fd < 0) {
                        if (!keeper_launch(call->state, call->service, launched++, err))
                                return false;
                        continue;
                }
                control_send(fd, call->request);
                if (!receive(call, fd, &answer, err))
                        return false;
                if (answer)
                        return accept_answer(answer, ret_answer, err);
        }
        err_fail(err, ERR_TOOL, "the keeper of '%s' ends again and again", call->service);
        return err_hint(
                err, "Is the machine out of memory? Run the command again; nothing is lost.");
}
