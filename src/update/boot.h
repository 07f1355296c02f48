/*
 * What is started at boot, and what the last boot did about a service. Kept in services/<name>/:
 *
 *     enabled.json    {"manifest", "since"}: there while the service is started at boot
 *     boot.json       {"boot_id", "at", "did", "failed"}: by the last `belay boot`
 *
 * Durable writes, one file each: a death in between leaves the old or the new.
 */
#ifndef BELAY_UPDATE_BOOT_H
#define BELAY_UPDATE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "journal/state.h"

/* `manifest`: absolute; used at boot when the service is not in the registry. */
bool boot_enable(
        const State *state, const char *service, const char *manifest, bool *ret_changed, Err *err);
bool boot_disable(const State *state, const char *service, bool *ret_changed, Err *err);
bool boot_is_enabled(const State *state, const char *service);
/* The manifest that enable was given; owned, NULL when it is not enabled or the file is unreadable. */
char *boot_manifest(const State *state, const char *service);
/* Every service of which the state directory knows something, by name; with `only_enabled` those. */
bool boot_services(const State *state, bool only_enabled, Strv *ret, Err *err);

/* What this boot did; a note of another boot is never shown as this one's. */
typedef struct BootNote {
        char *did; /* "started 1.4.2"; NULL: this boot did nothing about it */
        bool failed;
        int64_t at_ms;
} BootNote;
bool boot_note(const State *state, const char *service, const char *did, bool failed, Err *err);
void boot_note_read(const State *state, const char *service, BootNote *ret);
void boot_note_done(BootNote *note);

/* Why `enabled` alone will not start it on this machine, and what to type; owned, NULL: it will. */
char *boot_missing(const State *state);

#endif
