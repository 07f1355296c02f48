/* The end of a service's log, for backups, reports and the screen. */
#ifndef BELAY_UPDATE_LOG_TAIL_H
#define BELAY_UPDATE_LOG_TAIL_H

/* At most the last `lines` lines (and 256 KiB), printable; "" when there is no log. Owned. */
char *log_tail(const char *path, unsigned lines);

#endif
