/* Who holds a lock that has no content of its own; for lock.c alone. */
#ifndef BELAY_PLATFORM_LOCK_HOLDER_H
#define BELAY_PLATFORM_LOCK_HOLDER_H

/* "belay (pid 4121) since 2026-02-03T04:05:06Z" for whoever holds a flock on what fd has open; owned. */
char *lock_holder_text(int fd);

#endif
