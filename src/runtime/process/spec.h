/* From a manifest and a request to what the keeper needs to start the program. */
#ifndef BELAY_RUNTIME_PROCESS_SPEC_H
#define BELAY_RUNTIME_PROCESS_SPEC_H

#include "base/err.h"
#include "runtime/process/record.h"
#include "runtime/runtime.h"

typedef struct Account {
        char *name;
        uid_t uid;
        gid_t gid;
        gid_t *groups;
        size_t n_groups;
} Account;
void account_done(Account *account);

/* The user that the service runs under. ERR_REFUSED: there is none of that name, the directory that it is
 * taken from is missing, or Belay may not become that user. */
bool account_find(const ProcessSpec *process, const char *directory, Account *ret, Err *err);

/* Expands command and environment. The result is filled whole, and owned by the caller. */
bool start_spec_make(const Service *service, const StartRequest *request, StartSpec *ret, Err *err);

#endif
