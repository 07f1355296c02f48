#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec/exec.h"

enum { PATH_ROOM = 64, OPTIONS_ROOM = 256 };

/* -- the user's own namespace, for those who are not root ----------------------------------- */

static bool put(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        size_t n = strlen(text);
        bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;
        if (fd >= 0)
                close(fd);
        return ok;
}

/* The same user inside as outside: nothing changes its owner. */
static bool own_users(void) {
        char uids[64], gids[64];
        snprintf(uids, sizeof(uids), "%u %u 1", geteuid(), geteuid());
        snprintf(gids, sizeof(gids), "%u %u 1", getegid(), getegid());
        return unshare(CLONE_NEWUSER) == 0 && put("/proc/self/setgroups", "deny") &&
               put("/proc/self/uid_map", uids) && put("/proc/self/gid_map", gids);
}

bool seal_before_fork(const Options *o) {
        (void)o;
        return (geteuid() == 0 || own_users()) && unshare(CLONE_NEWPID) == 0;
}

/* -- files ----------------------------------------------------------------------------------- */

/* Opened before anything is laid over them, so that each leads to what was there. */
typedef struct Opened {
        int lower, upper, work, tree;
} Opened;

static bool open_overlay(const SealPlace *place, Opened *ret) {
        int base = open(place->from, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (base < 0)
                return false;
        ret->lower = open(place->at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        ret->upper = openat(base, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        ret->work = openat(base, "work", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        close(base);
        return ret->lower >= 0 && ret->upper >= 0 && ret->work >= 0;
}

static bool open_place(const SealPlace *place, Opened *ret) {
        *ret = (Opened){-1, -1, -1, -1};
        if (place->kind == SEAL_OVERLAY)
                return open_overlay(place, ret);
        if (place->kind == SEAL_BIND)
                ret->tree = open_tree(
                        AT_FDCWD, place->from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        return place->kind != SEAL_BIND || ret->tree >= 0;
}

/* With redirects a directory of the lower layer can be renamed, as first artifacts are; a user's own namespace
 * knows none. */
static bool mount_overlay(const SealPlace *place, const Opened *opened, bool as_root) {
        char options[OPTIONS_ROOM];
        snprintf(options, sizeof(options),
                "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d%s",
                opened->lower, opened->upper, opened->work,
                as_root ? ",redirect_dir=on" : ",userxattr");
        return mount("overlay", place->at, "overlay", 0, options) == 0;
}

static bool mount_place(const SealPlace *place, const Opened *opened, bool as_root) {
        switch (place->kind) {
        case SEAL_OVERLAY:
                return mount_overlay(place, opened, as_root);
        case SEAL_BIND:
                return move_mount(opened->tree, "", AT_FDCWD, place->at, MOVE_MOUNT_F_EMPTY_PATH) ==
                       0;
        case SEAL_EMPTY:
        default:
                return mount("tmpfs", place->at, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
        }
}

/* All is read-only but what was laid over it. */
static bool close_the_rest(const Options *o) {
        struct mount_attr closed = {.attr_set = MOUNT_ATTR_RDONLY},
                          open_again = {.attr_clr = MOUNT_ATTR_RDONLY};
        if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &closed, sizeof(closed)) < 0)
                return false;
        for (size_t i = 0; i < o->n_places; i++)
                if (mount_setattr(AT_FDCWD, o->places[i].at, 0, &open_again, sizeof(open_again)) <
                        0)
                        return false;
        return true;
}

static bool lay_out(const Options *o) {
        static Opened opened[SEAL_MAX];
        bool as_root = geteuid() == 0;
        for (size_t i = 0; i < o->n_places; i++)
                if (!open_place(&o->places[i], &opened[i]))
                        return false;
        for (size_t i = 0; i < o->n_places; i++)
                if (!mount_place(&o->places[i], &opened[i], as_root))
                        return false;
        return close_the_rest(o);
}

/* -- all of it ------------------------------------------------------------------------------- */

/* A network of its own has a loopback and nothing else, and that is down at first. */
static bool raise_loopback(void) {
        struct ifreq request = {.ifr_name = "lo"};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return false;
        bool ok = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
        ok = ok && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
        close(fd);
        return ok;
}

const char *seal(const Options *o) {
        if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
                return "namespaces";
        if (!raise_loopback())
                return "loopback";
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !lay_out(o))
                return "mounts";
        /* Of these processes alone: what runs outside can be neither seen nor ended. */
        if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                return "proc";
        return NULL;
}
