/* The driver "git": a checkout in place. Everything about it is said in source/source.h. */
#ifndef BELAY_SOURCE_GIT_DRIVER_H
#define BELAY_SOURCE_GIT_DRIVER_H

#include "source/source.h"

extern const Source source_git;

#endif
