/* The keeper's answers. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/clock.h"
#include "runtime/process/control.h"
#include "runtime/process/keeper.h"

enum { REQUEST_LIMIT_MS = 10000, STOP_TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000 };

static void hang_up(Connection *connection) {
        close(connection->fd);
        str_done(&connection->request);
        *connection = (Connection){.fd = -1};
}

/* -- requests --------------------------------------------------------------------------------- */

/* What the answer says beyond "ok" is added to it. True in `later`: the connection stays, and is answered
 * by serve_stopped. */
typedef struct Reply {
        json_t *answer;
        bool later;
} Reply;

typedef bool Handler(Keeper *keeper, const json_t *request, Reply *reply, Err *err);

static bool do_ping(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        (void)keeper, (void)request, (void)reply, (void)err;
        return true;
}

static bool do_status(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        (void)request, (void)err;
        js_set(reply->answer, "record", keeper_record_to_json(&keeper->record));
        return true;
}

static bool do_start(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        (void)reply;
        scoped(start_spec_done) StartSpec spec = {0};
        return start_spec_from_json(js_get(request, "spec"), &spec, err) &&
               hold_start(keeper, &spec, err);
}

static bool do_adopt(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        (void)reply;
        scoped(start_spec_done) StartSpec spec = {0};
        ProcessId main = {0};
        if (!process_from_json(js_get(request, "main"), &main))
                return err_fail(err, ERR_BUG, "a process to take over without an identity");
        return start_spec_from_json(js_get(request, "spec"), &spec, err) &&
               hold_take(keeper, &spec, &main, js_int(request, "started_at_ms", 0), err);
}

static bool do_stop(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        int64_t timeout_ms = js_int(request, "timeout_ms", -1);
        bool done = false;
        if (timeout_ms < 0 || timeout_ms > STOP_TIMEOUT_MAX_MS)
                return err_fail(err, ERR_BUG, "a stop without a valid limit of time");
        if (!hold_stop(keeper, timeout_ms, &done, err))
                return false;
        reply->later = !done;
        return true;
}

static bool run_of(const json_t *request, unsigned *ret, Err *err) {
        int64_t run = js_int(request, "run", 0);
        if (run <= 0 || run > UINT_MAX)
                return err_fail(err, ERR_BUG, "a guard without a run");
        *ret = (unsigned)run;
        return true;
}

static bool do_guard(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        (void)reply;
        GuardRecord guard = {.resume = js_bool(request, "resume", true)};
        if (!run_of(request, &guard.run, err))
                return false;
        if (!process_from_json(js_get(request, "runner"), &guard.runner))
                return err_fail(err, ERR_BUG, "a guard without a runner");
        watch_set(keeper, &guard);
        return true;
}

static bool do_unguard(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        (void)reply;
        unsigned run = 0;
        if (!run_of(request, &run, err))
                return false;
        watch_lift(keeper, run);
        return true;
}

static const struct {
        const char *name;
        Handler *handler;
} handlers[] = {
        {"ping", do_ping},
        {"status", do_status},
        {"start", do_start},
        {"adopt", do_adopt},
        {"stop", do_stop},
        {"guard", do_guard},
        {"unguard", do_unguard},
};

static bool handle(Keeper *keeper, const json_t *request, Reply *reply, Err *err) {
        const char *name = js_str(request, "do");
        for (size_t i = 0; i < COUNT_OF(handlers); i++)
                if (str_equal(name, handlers[i].name))
                        return handlers[i].handler(keeper, request, reply, err);
        err_fail(err, ERR_REFUSED, "the keeper does not know the request '%s'", name ? name : "");
        return err_hint(
                err, "Belay was replaced by another version: 'belay restart' starts a new keeper.");
}

static void answer_request(Keeper *keeper, Connection *connection) {
        scoped(err_clear) Err failure = {0};
        scoped(js_freep) json_t *request =
                js_parse(connection->request.text, connection->request.len, "request", &failure);
        scoped(js_freep) json_t *good = control_answer(true, NULL);
        Reply reply = {.answer = good};
        bool ok = request && handle(keeper, request, &reply, &failure);
        connection->awaits_stop = reply.later;
        connection->until = INT64_MAX;
        keeper->linger_until = 0;
        if (reply.later)
                return;
        scoped(js_freep) json_t *bad = ok ? NULL : control_answer(false, &failure);
        control_send(connection->fd, ok ? good : bad);
        hang_up(connection);
}

void serve_stopped(Keeper *keeper, bool ok, const Err *failure) {
        scoped(js_freep) json_t *message = control_answer(ok, failure);
        js_set_bool(message, "forced", keeper->forced);
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
                Connection *connection = &keeper->connections[i];
                if (connection->fd < 0 || !connection->awaits_stop)
                        continue;
                control_send(connection->fd, message);
                hang_up(connection);
        }
}

/* -- connections ------------------------------------------------------------------------------ */

static bool is_allowed(int fd) {
        struct ucred peer;
        socklen_t size = sizeof(peer);
        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
               (peer.uid == 0 || peer.uid == geteuid());
}

void serve_accept(Keeper *keeper) {
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
                Connection *connection = &keeper->connections[i];
                if (connection->fd >= 0)
                        continue;
                int fd = accept4(keeper->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0 && !is_allowed(fd))
                        close(fd);
                else if (fd >= 0)
                        *connection =
                                (Connection){.fd = fd, .until = clock_now_ms() + REQUEST_LIMIT_MS};
                return;
        }
}

void serve_readable(Keeper *keeper, Connection *connection) {
        char room[4096];
        ssize_t n = recv(connection->fd, room, sizeof(room), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        /* One that waits for a stop and hangs up: the stop goes on. */
        if (n <= 0 || connection->awaits_stop ||
                connection->request.len + (size_t)n > CONTROL_MAX) {
                hang_up(connection);
                return;
        }
        str_add_n(&connection->request, room, (size_t)n);
        if (room[n - 1] == '\n')
                answer_request(keeper, connection);
}

void serve_tick(Keeper *keeper, int64_t now) {
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                if (keeper->connections[i].fd >= 0 && now >= keeper->connections[i].until)
                        hang_up(&keeper->connections[i]);
}

int64_t serve_next(const Keeper *keeper) {
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                if (keeper->connections[i].fd >= 0 && keeper->connections[i].until < next)
                        next = keeper->connections[i].until;
        return next;
}

bool serve_idle(const Keeper *keeper) {
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                if (keeper->connections[i].fd >= 0)
                        return false;
        return true;
}

bool serve_has_room(const Keeper *keeper) {
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                if (keeper->connections[i].fd < 0)
                        return true;
        return false;
}
