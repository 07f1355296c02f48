/* The driver "git": a checkout in place, or a directory for each release. All of it is said in source/source.h. */
#ifndef BELAY_SOURCE_GIT_DRIVER_H
#define BELAY_SOURCE_GIT_DRIVER_H

#include "source/source.h"

extern const Source source_git, source_git_releases;

#endif
