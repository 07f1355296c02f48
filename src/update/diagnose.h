/*
 * What is wrong with a service, as far as it can be seen from here: likely causes, each with what was seen
 * and what to do. Two sources: a table of signs in texts (logs, answers), and looks at what is really so
 * (ports, disks, databases, the checkout, settings).
 *
 *     scoped(diagnosis_list_done) DiagnosisList found = {0};
 *     if (!diagnose_service(world, &found, err)) ...
 *
 * Nothing is changed by looking. Codes are for programs and stay as they are.
 */
#ifndef BELAY_UPDATE_DIAGNOSE_H
#define BELAY_UPDATE_DIAGNOSE_H

#include "update/world.h"

typedef struct Diagnosis {
        const char *code; /* "port-taken"; static */
        bool seen;        /* Belay saw it itself; else it is concluded from words */
        char *cause;      /* "port 8000 is held by python3 (pid 812, user www-data)" */
        char *evidence;   /* the line that told it, or NULL */
        char *remedy;     /* a sentence: what to do, what to type */
} Diagnosis;

typedef struct DiagnosisList {
        Diagnosis *items; /* what was seen first, then what was concluded; each code once */
        size_t n;
} DiagnosisList;

/* `reason`: why a step failed; `log`: the last lines of the service's log (may be ""). A sentence in
 * static storage, or NULL when no sign is known. */
const char *likely_cause(const char *reason, const char *log);

/* world_look must have been called, or have failed: then `looked` says why, and is among what is found. */
bool diagnose_service(World *world, const Err *looked, DiagnosisList *ret, Err *err);
/* [{"code", "seen", "cause", "evidence", "remedy"}]; new reference. */
json_t *diagnosis_to_json(const DiagnosisList *list);
void diagnosis_list_done(DiagnosisList *list);

/* -- for its own files -- */
/* Adds it unless the list has the code. `remedy` is expanded: "%s" becomes the service's name. */
void diagnosis_add(DiagnosisList *list, const char *code, bool seen, const char *evidence,
        char *owned_cause, char *owned_remedy);
/* Adds what the signs in `text` say; each line that tells something is the evidence. */
void diagnosis_read(DiagnosisList *list, const char *service, const char *text, const char *where);

#endif
