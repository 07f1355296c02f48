/*
 * Ranges of versions, as release data names them:
 *
 *     0.3.x   0.3   0.3.*      those that begin so
 *     1.2.3                    that one
 *     >=0.2.4   >1   <=1.6   <2    up to four of these, separated by spaces or commas: all must hold
 *     *                        every version
 *
 * A comparison with fewer than three numbers means the whole of what it names: "<0.2" is below 0.2.0, "<=1.6" and
 * ">1.6" have 1.6.9 on the left. Versions with or without a leading v. Pure.
 */
#ifndef BELAY_MODEL_VERSION_RANGE_H
#define BELAY_MODEL_VERSION_RANGE_H

#include <stdbool.h>

/* Whether the text is a range at all. */
bool version_range_ok(const char *range);
/* False also when either is not what it should be. */
bool version_range_holds(const char *range, const char *version);

#endif
