/*
 * What outlives runs about a service: which version is installed and which came before it, versions
 * that proved bad, and a person's lock. Kept in services/<name>/ by durable writes.
 */
#ifndef BELAY_UPDATE_KNOWN_H
#define BELAY_UPDATE_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"
#include "model/release.h"

/* -- versions: installed.json {"current": {...}, "previous": {...}} -- */
typedef struct Installed {
        Release current, previous; /* empty when unknown */
        char *previous_backup;     /* the backup that a rollback would use, or NULL */
        unsigned run;              /* that installed the current one; 0 unknown */
        int64_t since_ms;
} Installed;
bool installed_load(const State *state, const char *service, Installed *ret, Err *err);
/* since_ms is set here; `previous` is what was current, with the backup that was taken of it. */
bool installed_save(const State *state, const char *service, const Installed *installed, Err *err);
void installed_done(Installed *installed);

/* -- bad versions: bad.json {"<commit>": {"version","tag","run","at","why"}} -- */
bool bad_mark(const State *state, const char *service, const Release *release, unsigned run,
        const char *why, Err *err);
/* *ret_why is NULL when it is not known as bad; else owned words: "rolled back in run #44: health ..." */
bool bad_find(
        const State *state, const char *service, const char *reference, char **ret_why, Err *err);
bool bad_forget(const State *state, const char *service, const char *reference, Err *err);

/* -- a person's lock: lock.json -- */
typedef struct PersonLock {
        char *reason, *user;
        int64_t since_ms, until_ms; /* until 0: until unlocked */
} PersonLock;
bool person_lock_set(
        const State *state, const char *service, const char *reason, int64_t until_ms, Err *err);
bool person_lock_clear(const State *state, const char *service, bool *ret_was, Err *err);
/* *ret_held false when there is none or its end has come. */
bool person_lock_get(
        const State *state, const char *service, PersonLock *ret, bool *ret_held, Err *err);
void person_lock_done(PersonLock *lock);

json_t *release_to_json(const Release *release);
void release_from_json(const json_t *object, Release *ret); /* absent gives an empty one */

#endif
