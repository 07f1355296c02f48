/* When an update may begin: the manifest's windows and freezes at a time, by the zones of this machine. */
#ifndef BELAY_UPDATE_TIMES_H
#define BELAY_UPDATE_TIMES_H

#include "model/reason.h"
#include "model/window.h"
#include "update/world.h"

/* `ret` borrows from the service. ERR_REFUSED: a zone cannot be read on this machine. */
bool times_look(const Service *service, int64_t at_ms, Opening *ret, Err *err);
/* "Sun, Sat 02:00 to 05:00 (Europe/Berlin)"; owned. */
char *window_text(const WindowSpec *window);
/* What says no at the time at which the update is to begin: now, or that of --at. Nothing with --in-window,
 * which waits. */
void times_obstacle(const World *world, ReasonList *reasons);
/* requires.succeeded_on: that service's newest run from or to this version must have brought it there. */
bool staging_obstacle(const World *world, ReasonList *reasons, Err *err);

#endif
