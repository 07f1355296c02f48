/*
 * The event file of a run: JSON lines for whoever follows it (a terminal, later a web page). Not
 * synced: the truth is the journal. One write per line, so lines are whole.
 *
 * Kinds: "run" {run, service, title}, "step" {step, instance, phase, title, undo, state: begin|done|failed,
 * text, took_ms}, "progress" {step, done, total, text}, "note" {text}, "watch" {left_ms}, "end" {state, exit,
 * message, hint, result}, "wait" {…}.
 */
#ifndef BELAY_JOURNAL_EVENTS_H
#define BELAY_JOURNAL_EVENTS_H

#include "base/err.h"
#include "base/js.h"

typedef struct Events {
        int fd; /* -1: nowhere */
} Events;

bool events_open(const char *path, Events *ret, Err *err);
/* Takes `fields`; adds "kind" and "at" (unix ms). A failed write is ignored: nobody may be listening. */
void events_add(Events *events, const char *kind, json_t *fields);
void events_close(Events *events);

#endif
