/* What a person said on the command line of update, rollback and restore; journaled in PLAN. */
#ifndef BELAY_UPDATE_OPTIONS_H
#define BELAY_UPDATE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/js.h"

typedef struct Options {
        bool no_backup, no_migrations, accept_breaking, accept_unhealthy, allow_downgrade,
                even_if_bad, reinstall, fix, no_rehearsal;
        bool revert, restore; /* rollback: --revert, --restore */
        bool any_time;        /* although no window is open, or a freeze is on */
        bool in_window;       /* begin when a window opens */
        bool no_schedule; /* a rollback, a rehearsal: what only updates wait for does not hold */
        int64_t at_ms;    /* begin then (wall clock); 0: now */
        int64_t wait_lock_ms; /* 0: do not wait */
} Options;

/* Was "--even-if-bad" (or whatever) said? */
bool options_given(const Options *options, const char *flag);
json_t *options_to_json(const Options *options); /* only what is set; new reference */
Options options_from_json(const json_t *object); /* what is absent is not set */

#endif
