#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

static char dir[] = "/dev/shm/belay-fuzz-XXXXXX";
static char path[200];
static pid_t owner;

static int remove_one(const char *at, const struct stat *st, int kind, struct FTW *walk) {
        (void)st;
        (void)kind;
        (void)walk;
        return remove(at);
}

static void remove_all(void) {
        if (owner == getpid())
                (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_dir(void) {
        if (!owner) {
                MUST(mkdtemp(dir));
                owner = getpid();
                atexit(remove_all);
        }
        return dir;
}

const char *fuzz_file(const char *name, const void *bytes, size_t n) {
        (void)snprintf(path, sizeof(path), "%s/%s", fuzz_dir(), name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        MUST(fd >= 0);
        MUST(n == 0 || write(fd, bytes, n) == (ssize_t)n);
        MUST(close(fd) == 0);
        return path;
}
