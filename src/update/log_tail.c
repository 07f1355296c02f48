#include "update/log_tail.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

enum { TAIL_BYTES = 256 * 1024 };

char *log_tail(const char *path, unsigned lines) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
                return str_copy("");
        off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
        scoped(free_str) char *text = mem_new(TAIL_BYTES + 1, 1);
        ssize_t n = pread(fd, text, TAIL_BYTES, from);
        if (n <= 0)
                return str_copy("");
        scoped(free_str) char *last = str_last_lines(text, lines);
        return str_printable(last, true);
}
