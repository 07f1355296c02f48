/*
 * Time zones of this machine (package tzdata): a name to its rules. Names come from manifests: only what
 * looks like one is ever opened, below /usr/share/zoneinfo, and only a file that is a time zone is taken.
 */
#ifndef BELAY_PLATFORM_ZONE_FILE_H
#define BELAY_PLATFORM_ZONE_FILE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/zone.h"

/* "Europe/Berlin"; "UTC", which needs no file; "local": that of the machine (/etc/localtime; UTC where
 * there is none). ERR_UNKNOWN: there is no such zone, the hint names the nearest; ERR_TOOL: this machine
 * has no time zones at all. */
bool zone_load(const char *name, Zone *ret, Err *err);
/* NULL when it may be a name, else why not: "is no name of a time zone". */
const char *zone_name_problem(const char *name);

#endif
