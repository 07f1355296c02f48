/*
 * How everyone speaks to a keeper: a socket in the service's state directory, one request and one answer
 * for each connection, each a line of JSON.
 *
 *     {"do":"start","spec":{...}}                          record.h
 *     {"do":"adopt","spec":{...},"main":{...},"started_at_ms":...}
 *     {"do":"stop","timeout_ms":30000}                     answer: "forced"
 *     {"do":"guard","run":44,"runner":{...},"resume":true}
 *     {"do":"unguard","run":44}
 *     {"do":"ping"}
 *     {"do":"status"}                                      answer: "record"
 *     answer: {"ok":true,...} or {"ok":false,"error":{"code","message","hint"}}
 */
#ifndef BELAY_RUNTIME_PROCESS_CONTROL_H
#define BELAY_RUNTIME_PROCESS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"
#include "platform/process.h"

enum { CONTROL_MAX = 2 * 1024 * 1024 }; /* of a request or answer; an environment fits in */

typedef struct KeeperCall {
        const State *state;
        const char *service;
        const json_t *request; /* borrowed */
        int64_t timeout_ms;    /* for the answer */
        const Cancel *cancel;  /* may be NULL */
} KeeperCall;

/* Asks the keeper, and starts one when there is none or it dies before it has answered: every request may
 * be made twice. *ret_answer (may be NULL): new reference. The keeper's own error becomes this one's. */
bool keeper_call(const KeeperCall *call, json_t **ret_answer, Err *err);

/* The same of a keeper that is there: *ret_answer stays NULL when nobody answers in time. */
bool keeper_ask(const KeeperCall *call, json_t **ret_answer, Err *err);

/* For the keeper: a listening socket, O_NONBLOCK. What an earlier one left in its place goes. */
bool control_listen(const State *state, const char *service, int *ret_fd, Err *err);

/* New reference; `failure` is looked at when not ok. */
json_t *control_answer(bool ok, const Err *failure);
/* One line with its end; a failed or partial write is the peer's loss. */
void control_send(int fd, const json_t *message);

#endif
