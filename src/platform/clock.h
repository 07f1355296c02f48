/*
 * The only sources of time. Waits and deadlines use the monotonic clock that also counts suspend
 * (CLOCK_BOOTTIME); the wall clock is for people and names. In a build with fault points the wall
 * clock can be moved: BELAY_CLOCK_OFFSET_MS is added to it.
 */
#ifndef BELAY_PLATFORM_CLOCK_H
#define BELAY_PLATFORM_CLOCK_H

#include <stdint.h>

int64_t clock_now_ms(void);  /* monotonic, for deadlines ("until") */
int64_t clock_now_us(void);  /* the same in microseconds */
int64_t clock_wall_ms(void); /* unix time in milliseconds */
void clock_sleep_ms(int64_t ms);
/* The kernel's boot id ("c0ffee.."), the same for every process until the next boot; static storage. */
const char *clock_boot_id(void);

#endif
