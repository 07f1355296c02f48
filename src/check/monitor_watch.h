/* What the watch and the baseline share. Not for other rooms. */
#ifndef BELAY_CHECK_MONITOR_WATCH_H
#define BELAY_CHECK_MONITOR_WATCH_H

#include "check/monitor.h"

/* Asks the outside URL once; ANSWER_PASS for any status below 400. */
void monitor_ask_outside(const MonitorSpec *spec, CheckContext *context, CheckAnswer *ret);

#endif
