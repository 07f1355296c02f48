/* The slot `look` of the driver; see source.h. */
#ifndef BELAY_SOURCE_GIT_LOOK_H
#define BELAY_SOURCE_GIT_LOOK_H

#include "source/source.h"

bool look_git(const char *directory, SourceLook *ret, Err *err);

#endif
