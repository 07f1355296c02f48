/*
 * The report of a run, made from its journal: for people (Markdown; a page to print, report_html.c) and
 * for programs (JSON). The same journal always gives the same report.
 */
#ifndef BELAY_UPDATE_REPORT_H
#define BELAY_UPDATE_REPORT_H

#include "base/js.h"
#include "base/str.h"
#include "journal/state.h"
#include "update/runs.h"

char *report_markdown(const State *state, const Run *run); /* owned */
char *report_html(const State *state, const Run *run);     /* owned */
json_t *report_json(const State *state, const Run *run);   /* new reference */
/* How it ended, as a sentence; static. */
const char *report_outcome(const Run *run);
/* What the service had logged when it failed; borrowed, NULL when nothing was kept. */
const char *report_log(const Run *run);
/* What a run that waits asks of a person, a sentence each: why, what going back would change, what to type;
 * owned, NULL when it does not wait. */
Strv report_choices(const Run *run);
/* Milliseconds without service: measured, else from the journal's times (*ret_measured false); -1: none. */
int64_t report_gap_ms(const Run *run, bool *ret_measured);
/* CURRENT_STATE.md (current_state.c): every service that is registered or had a run, as its last run left
 * it; owned. NULL when runs/ cannot be listed. */
char *report_current_state(const State *state, Err *err);
/* Notes that persons added (`belay note`): lines "<time> <user> <text>"; owned, NULL when none. */
char *report_notes(const State *state, unsigned run);
bool report_add_note(const State *state, unsigned run, const char *text, Err *err);

#endif
