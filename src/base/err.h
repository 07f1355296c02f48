/*
 * One error value. The caller owns it, zero-initialised; the callee fills it and the failed call
 * returns false, so that raise is the return:
 *
 *     if (fd < 0)
 *             return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
 *     if (!journal_open(dir, &journal, err))
 *             return err_context(err, "resuming run #%u", run);
 *
 * A message is lower case, without full stop, its object quoted; context is put in front of it on
 * the way up ("updating 'notes': fetching from 'origin': ..."). The hint is a whole sentence that
 * tells the operator what to do. `err` may be NULL where the caller only wants to know whether.
 * Messages never contain secrets. Library code never prints: it fills an Err.
 */
#ifndef BELAY_BASE_ERR_H
#define BELAY_BASE_ERR_H

#include <stdbool.h>

typedef enum ErrCode {
        ERR_NONE,
        ERR_USAGE,        /* wrong command line: exit 2 */
        ERR_MANIFEST,     /* bad manifest: exit 2 */
        ERR_UNKNOWN,      /* unknown service, run, backup: exit 2 */
        ERR_IO,           /* a file, a disk: exit 1 */
        ERR_NO_SPACE,     /* exit 1; preflight's own finding is ERR_REFUSED */
        ERR_REMOTE,       /* network, remote: exit 1 */
        ERR_TOOL,         /* another program failed: exit 1 */
        ERR_TIMEOUT,      /* exit 1 */
        ERR_ANSWER_NO,    /* the answer is no (verify, backup verify, start): exit 1 */
        ERR_CORRUPT,      /* stored bytes are not what was written: exit 4 in a run, else 1 */
        ERR_ROLLED_BACK,  /* the old version runs, verified: exit 3 */
        ERR_PERSON,       /* needs a person: exit 4 */
        ERR_DRIFT,        /* somebody else changed the service: exit 4 */
        ERR_LOCKED,       /* exit 5 */
        ERR_REFUSED,      /* Belay looked and says no: exit 6 */
        ERR_INTERRUPTED,  /* an interrupted run is in the way: exit 7 */
        ERR_INCONCLUSIVE, /* a person must decide: exit 8 */
        ERR_UNFINISHED,   /* updated, but finish is incomplete: exit 9 */
        ERR_IN_USE,       /* another program holds what is needed: exit 1 */
        ERR_BUSY,         /* the service says later: exit 75 */
        ERR_CANCELLED,    /* Ctrl-C or cancel: exit 130 */
        ERR_BUG,          /* an invariant of Belay does not hold: exit 1 */
} ErrCode;

typedef struct Err {
        ErrCode code;
        int sys;            /* errno, or 0 */
        char *message;      /* owned */
        char *hint;         /* owned, may be NULL */
        const char *reason; /* static: the code of a reason why not (model/reason.h), or NULL */
} Err;

/* Each returns false. The first failure stands: a second err_fail on a set Err replaces it. */
bool(err_fail)(Err *err, ErrCode code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Appends ": <text of errnum>". ENOSPC and EDQUOT become ERR_NO_SPACE when code is ERR_IO. */
bool(err_fail_errno)(Err *err, ErrCode code, int errnum, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
bool(err_context)(Err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Names the reason why not: "moved-tag". Static text. */
bool(err_reason)(Err *err, const char *reason);
/* Replaces the hint. */
bool(err_hint)(Err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* That they return false is said where compilers and analysers see it. */
static inline bool err_false(bool told) {
        (void)told;
        return false;
}
#define err_fail(...)       err_false((err_fail)(__VA_ARGS__))
#define err_fail_errno(...) err_false((err_fail_errno)(__VA_ARGS__))
#define err_context(...)    err_false((err_context)(__VA_ARGS__))
#define err_reason(...)     err_false((err_reason)(__VA_ARGS__))
#define err_hint(...)       err_false((err_hint)(__VA_ARGS__))

void err_clear(Err *err);           /* frees; usable as scoped(err_clear) Err err = {0}; */
void err_move(Err *to, Err *from);  /* `to` is cleared first, `from` left empty; `to` may be NULL */
int err_exit_status(ErrCode code);  /* spec/cli.md's table */
const char *err_name(ErrCode code); /* "refused": stable, for JSON */
ErrCode err_code_of_name(const char *name); /* ERR_BUG for what is no name */
const char *errno_text(int errnum);         /* "No space left on device"; static storage */

#endif
