/* The kinds of runs. Each story is one file: update.c, rollback.c, rehearse.c. */
#ifndef BELAY_UPDATE_STORIES_H
#define BELAY_UPDATE_STORIES_H

#include "engine/engine.h"

extern const Story update_story, rollback_story, restore_story, rehearse_story;

/* By the "kind" of a PLAN record; NULL when this build does not know it. */
const Story *story_of(const char *kind);

#endif
