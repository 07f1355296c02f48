/*
 * Reasons why not: everything that is in the way of an update, said the same way wherever it is said:
 * `plan` shows them beside the plan, `status` says "2.0.0 blocked", `update` refuses with them, and
 * --json gives the same objects.
 *
 * To add a kind of reason: one line in the enum, one row in the table of reason.c (its code, whether an
 * option clears it, the exit status), and a call where it is found out:
 *
 *     if (too_young)
 *             reason_add(&preflight->reasons, REASON_COOLDOWN, young_until_ms,
 *                     "Wait until then, or add --no-cooldown.", "%s was released %s ago", to, age);
 *
 * Add it always, also when its option is given: reasons_waive drops what the options clear (and makes a
 * note of those whose row says so). Where it belongs: update/preflight.c; what can be said without
 * network and without objects of the target goes into preflight_known there, which `status` asks, too.
 *
 * What a lower room refuses (ERR_REFUSED) becomes a reason by reasons_take_err: `err_reason(err, "code")`
 * after err_fail names its code, else it is "refused".
 *
 * Codes are for programs and stay as they are: never renamed, never reused. Messages are as for Err.
 */
#ifndef BELAY_MODEL_REASON_H
#define BELAY_MODEL_REASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"

/* In the order in which they are told: what must be dealt with first comes first. */
typedef enum ReasonCode {
        REASON_RUN_UNDER_WAY,
        REASON_INSIDE_RUN,
        REASON_LOCKED,
        REASON_RUN_DAMAGED,
        REASON_RUN_OPEN,
        REASON_RUN_WAITS,
        REASON_NEEDS_PERSON,
        REASON_PLAN_CHANGED,
        /* the target */
        REASON_NO_SUCH_VERSION,
        REASON_NO_VERSION_BEFORE,
        REASON_MOVED_TAG,
        REASON_BAD_VERSION,
        REASON_DOWNGRADE,
        REASON_BREAKING,
        /* the time, and what must come first */
        REASON_FREEZE,
        REASON_WINDOW,
        REASON_STAGING_FIRST,
        REASON_COOLDOWN,
        REASON_NO_WAY, /* through required stops */
        REASON_SETTING_MISSING,
        /* the checkout */
        REASON_CHECKOUT,
        REASON_UNFINISHED_GIT,
        REASON_HEAD_LOCK,
        REASON_INDEX_LOCK,
        REASON_ADDRESS,
        REASON_REMOTE,
        REASON_REFSPEC,
        REASON_SPARSE,
        REASON_CORE_WORKTREE,
        REASON_LOCAL_CHANGES,
        REASON_IN_THE_WAY,
        REASON_DIVERGED,
        REASON_FORCE_PUSHED,
        REASON_SET_BACK,
        REASON_SUBMODULE_MOVES,
        REASON_SUBMODULES_EMPTY,
        REASON_FILE_SYSTEMS,
        REASON_LAYOUT,
        REASON_SHARED_MISSING,
        REASON_TRACKED, /* what the manifest says is made, or shared */
        REASON_ARTIFACT_LINK,
        /* the service */
        REASON_BUSY,
        REASON_UNHEALTHY,
        REASON_RUNTIME,
        REASON_PORT_TAKEN,
        REASON_CONFIGURATION,
        REASON_SECRET_NEEDED,
        /* the undo */
        REASON_BACKUP,
        REASON_NO_BACKUP,
        REASON_OTHER_VERSION,
        REASON_NO_ROOM,
        REASON_MIGRATIONS,
        REASON_MIGRATION_CHANGED,
        REASON_NOT_UNDOABLE,
        REASON_NO_REHEARSAL,
        REASON_REFUSED, /* looked and says no; what has no code of its own */
        REASON_COUNT
} ReasonCode;

typedef struct Reason {
        ReasonCode code;
        char *message;
        char *hint;          /* how to clear it, whole sentences; NULL when nobody can say */
        int64_t lifts_at_ms; /* wall clock; 0: not by itself */
} Reason;

typedef struct ReasonList {
        Reason *items; /* in the order of the enum, those of one code as they were added */
        size_t n;
} ReasonList;

/* `hint` is copied, may be NULL. */
void reason_add(ReasonList *list, ReasonCode code, int64_t lifts_at_ms, const char *hint,
        const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Makes a reason of an error that says no (refused, locked, interrupted, needs a person, busy), unless the
 * list says so already, clears it and returns true. Any other error stays: false. */
bool reasons_take_err(ReasonList *list, Err *err);
/* Drops reasons that an option clears: `given` says whether "--even-if-bad" was. Those that are to be told
 * all the same are appended to `notes`. */
void reasons_waive(ReasonList *list, bool (*given)(const void *context, const char *option),
        const void *context, Strv *notes);
/* Appends the reasons of `from`, which is empty afterwards. */
void reasons_move(ReasonList *to, ReasonList *from);
/* True when there is none but what the update waits for by itself (busy); else the first as an error of its own exit status, the others in its hint. */
bool reasons_ok(const ReasonList *list, const char *title, Err *err);
/* 0 when there is none of that kind; else what `update` would exit with. */
int reasons_exit_status(const ReasonList *list);

const char *reason_code(ReasonCode code);   /* "local-changes" */
const char *reason_option(ReasonCode code); /* "--accept-breaking", or NULL */
bool reason_is_hard(ReasonCode code); /* neither an option of the command nor waiting clears it */
/* REASON_REFUSED for what is no code. */
ReasonCode reason_find(const char *code);

/* [{"code", "hard", "message", "clear", "option", "lifts_at"}]: option and lifts_at null when there is none. */
json_t *reasons_to_json(const ReasonList *list);
bool reasons_from_json(const json_t *array, ReasonList *ret);
/* Two lines a reason, indented: "breaking: 1.2.0 to 2.0.0 may break …" and how to clear it; owned. */
char *reasons_text(const ReasonList *list, const char *indent);
void reasons_done(ReasonList *list);

#endif
