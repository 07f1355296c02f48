/*
 * Is this machine, and what Belay knows, in a state in which an update can be trusted? Points, each with
 * what was found and, when it is not good, what to do. Nothing is changed but for one small file that is
 * written to the state directory and removed again.
 */
#ifndef BELAY_UPDATE_DOCTOR_H
#define BELAY_UPDATE_DOCTOR_H

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"

typedef enum DoctorLevel { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_WRONG } DoctorLevel;

typedef struct DoctorPoint {
        const char *code; /* "state-directory", "git"; static */
        DoctorLevel level;
        char *service; /* NULL: of the machine */
        char *found;   /* "git 2.39.5" */
        char *remedy;  /* a sentence; NULL when good */
} DoctorPoint;

typedef struct DoctorReport {
        DoctorPoint *points;
        size_t n;
        DoctorLevel worst;
} DoctorReport;

/* Looks at the machine and at each known service. */
void doctor_look(const State *state, DoctorReport *ret);
/* {"worst", "points": [{"code", "level", "service", "found", "remedy"}]}; new reference. */
json_t *doctor_to_json(const DoctorReport *report);
const char *doctor_level_name(DoctorLevel level);
void doctor_report_done(DoctorReport *report);

#endif
