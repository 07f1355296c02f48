#include "platform/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"

int64_t clock_now_us(void) {
        struct timespec now;
        clock_gettime(CLOCK_BOOTTIME, &now);
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void) { return clock_now_us() / 1000; }

int64_t clock_wall_ms(void) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
#ifdef BELAY_FAULT_POINTS
        const char *offset = getenv("BELAY_CLOCK_OFFSET_MS");
        if (offset)
                ms += strtoll(offset, NULL, 10);
#endif
        return ms;
}

void clock_sleep_ms(int64_t ms) {
        if (ms <= 0)
                return;
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        while (nanosleep(&left, &left) < 0 && errno == EINTR)
                ;
}

const char *clock_boot_id(void) {
        static char id[37];
        if (id[0])
                return id;
        scoped(close_fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, id, 36) != 36)
                memcpy(id, "unknown", 8);
        return id;
}
