/*
 * Measures the time without service, from outside: asks every 20 ms on loopback, from before the old
 * version is stopped until the new one answers. It only ever asks addresses of this machine.
 *
 * What counts as served: an HTTP answer below 500, or a TCP connection where no URL is known. The gap is
 * from the first question that failed to the end of the first one that succeeded after it. One
 * thread, no child processes, no file-system access; it may be started again after prober_stop.
 */
#ifndef BELAY_UPDATE_PROBER_H
#define BELAY_UPDATE_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/service.h"

typedef struct Prober Prober;

/* NULL when the service names no address on loopback to ask. */
Prober *prober_start(const Service *service);
/* Milliseconds without an answer so far, the longest single gap and the sum; the gap that is open
 * now counts up to now. -1 when it never had an answer at all. */
void prober_read(Prober *prober, int64_t *ret_longest_ms, int64_t *ret_sum_ms);
void prober_stop(Prober **prober); /* ends the thread and frees; *prober may be NULL */

#endif
