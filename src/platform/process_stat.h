/* What /proc/<pid>/stat says; shared by the files of platform/ about processes. */
#ifndef BELAY_PLATFORM_PROCESS_STAT_H
#define BELAY_PLATFORM_PROCESS_STAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ProcessStat {
        char state;
        int threads;
        pid_t parent, group, session;
        uint64_t start_time;
} ProcessStat;

bool process_stat_parse(const char *text, ProcessStat *ret);
bool process_stat_read(pid_t pid, ProcessStat *ret);
bool process_stat_is_dead(const ProcessStat *stat);

#endif
