/*
 * What is wrong with a manifest, collected with its place so that one look shows up to ten findings:
 *
 *     scoped(findings_done) Findings findings = {.path = path, .text = text, .bytes = bytes};
 *     finding_add(&findings, &(Finding){.at = node->at, .expected = "expected a number"},
 *                 "'%s' is no number", node->text);
 *     if (findings.n)
 *             return findings_fail(&findings, err);      // ERR_MANIFEST, the whole text
 */
#ifndef BELAY_MANIFEST_FINDING_H
#define BELAY_MANIFEST_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Where something is written. Lines and columns count from 1, columns and width in code points. */
typedef struct Spot {
        size_t line, column; /* line 0: not written, a default */
        size_t width;        /* of the text on its first line, at least 1 */
} Spot;

typedef struct Finding {
        Spot at;
        const char *expected; /* beside the caret, or NULL; copied */
        const char *hint;     /* a sentence below, or NULL; copied */
        char *what;           /* filled in by finding_add */
} Finding;

typedef struct Findings {
        const char *path; /* as it is to be shown */
        const char *text; /* the source, for quoting */
        size_t bytes;
        Finding *list;
        size_t n;
} Findings;

/* Returns false, so that raise is the return. Takes nothing over. */
bool finding_add(Findings *findings, const Finding *finding, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Fills err with all findings in the order of the text; returns false. */
bool findings_fail(Findings *findings, Err *err);
void findings_done(Findings *findings);

#endif
