#include "platform/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/js.h"
#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/lock_holder.h"
#include "platform/process.h"

enum {
        POLL_MS = 50,
        CONTENT_MAX = 4096,
};

/* -- who has it --------------------------------------------------------------------------- */

static char *user_text(uid_t uid) {
        struct passwd entry, *found = NULL;
        char room[1024];
        if (getpwuid_r(uid, &entry, room, sizeof(room), &found) == 0 && found)
                return str_copy(found->pw_name);
        return str_format("%u", uid);
}

static char *content_of(const LockOwner *owner) {
        scoped(js_freep) json_t *object = json_object();
        scoped(free_str) char *user = user_text(geteuid());
        scoped(free_str) char *since = time_text(clock_wall_ms());
        char host[256] = "";
        (void)gethostname(host, sizeof(host) - 1);
        ProcessId self = process_self();
        if (owner->run)
                js_set_int(object, "run", owner->run);
        js_set_str(object, "what", owner->what);
        js_set_int(object, "pid", self.pid);
        js_set_int(object, "start_time", (int64_t)self.start_time);
        js_set_str(object, "boot_id", self.boot_id);
        js_set_str(object, "user", user);
        js_set_str(object, "host", host);
        js_set_str(object, "since", since);
        return js_line(object);
}

/* In place and without a sync: the content means nothing after the next boot. */
static bool content_write(int fd, const LockOwner *owner, Err *err) {
        scoped(free_str) char *line = content_of(owner);
        scoped(free_str) char *text = str_format("%s\n", line);
        size_t n = strlen(text);
        if (n > CONTENT_MAX)
                return err_fail(err, ERR_IO, "the description of a lock's owner is too long");
        if (fault_before("write", "lock") || pwrite(fd, text, n, 0) != (ssize_t)n ||
                ftruncate(fd, (off_t)n) < 0)
                return err_fail_errno(err, ERR_IO, errno, "writing who has a lock");
        fault_after();
        return true;
}

static json_t *content_read(int fd) {
        char text[CONTENT_MAX + 1];
        ssize_t n = pread(fd, text, CONTENT_MAX, 0);
        if (n <= 0)
                return NULL;
        text[n] = '\0';
        return js_parse(text, strcspn(text, "\n"), "lock", NULL);
}

/* What is known of the holder, as the end of "... is locked by". */
static char *holder_text(int fd) {
        scoped(js_freep) json_t *content = content_read(fd);
        ProcessId taker;
        if (!json_is_object(content) || !process_from_json(content, &taker))
                return str_copy("another process that has not said who it is");
        const char *what = js_str(content, "what"), *since = js_str(content, "since");
        const char *user = js_str(content, "user");
        scoped(free_str) char *raw =
                str_format("%s (pid %d, user %s) since %s", what ? what : "a process",
                        (int)taker.pid, user ? user : "unknown", since ? since : "an unknown time");
        scoped(free_str) char *text = str_printable(raw, false);
        if (process_alive(&taker))
                return TAKE(text);
        return str_format("a process that was started by one that has ended: %s", text);
}

static bool locked(const char *path, char *holder, Err *err) {
        scoped(free_str) char *owned = holder;
        err_fail(err, ERR_LOCKED, "'%s' is locked by %s", path, owned);
        return err_hint(
                err, "Wait for it to end ('--wait-lock 15m' waits by itself), then try again.");
}

/* -- taking it ---------------------------------------------------------------------------- */

/* True: taken, or an error that is none of contention's (*ret_errno). */
static bool try_until(int fd, int64_t until, int *ret_errno) {
        for (;;) {
                *ret_errno = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
                if (*ret_errno != EWOULDBLOCK && *ret_errno != EINTR)
                        return true;
                int64_t left = until - clock_now_ms();
                if (left <= 0)
                        return false;
                clock_sleep_ms(left < POLL_MS ? left : POLL_MS);
        }
}

/* A flock can only be looked for by taking it, which would make another's attempt fail at that moment.
 * So its holder also has a lock of the other kind, on the same descriptor, that can be asked for. */
static void set_shown(int fd) {
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        (void)fcntl(fd, F_OFD_SETLK, &all);
}

static bool is_shown(int fd) {
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        return fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
}

static int open_lock_file(const char *path, Err *err) {
        const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        int fd = open(path, flags);
        if (fd < 0 && errno == ENOENT) {
                scoped(free_str) char *directory = path_dirname(path);
                if (!dir_make(directory, err)) {
                        err_context(err, "making lock file '%s'", path);
                        return -1;
                }
                if (fault_before("create", path)) {
                        err_fail_errno(err, ERR_IO, errno, "making lock file '%s'", path);
                        return -1;
                }
                fd = open(path, flags | O_CREAT, 0600);
                if (fd >= 0)
                        fault_after();
        }
        if (fd < 0) {
                bool denied = errno == EACCES || errno == EPERM;
                err_fail_errno(err, ERR_IO, errno, "opening lock file '%s'", path);
                if (denied)
                        err_hint(err,
                                "It belongs to another user: run Belay as that user, or as root.");
        }
        return fd;
}

/* Somebody may have removed or replaced the file while this process waited for its lock. */
static bool is_still(int fd, const char *path) {
        struct stat a, b;
        return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

bool lock_take(const char *path, const LockOwner *owner, int64_t wait_ms, Lock *ret, Err *err) {
        int64_t until = clock_now_ms() + wait_ms;
        for (;;) {
                scoped(close_fd) int fd = open_lock_file(path, err);
                int failed = 0;
                if (fd < 0)
                        return false;
                if (!try_until(fd, until, &failed))
                        return locked(path, holder_text(fd), err);
                if (failed)
                        return err_fail_errno(err, ERR_IO, failed, "locking '%s'", path);
                if (!is_still(fd, path))
                        continue;
                set_shown(fd);
                (void)content_write(fd, owner, NULL);
                ret->fd = TAKE_FD(fd);
                return true;
        }
}

bool lock_describe(Lock *lock, const LockOwner *owner, Err *err) {
        return content_write(lock->fd, owner, err);
}

bool lock_take_directory(const char *path, int64_t wait_ms, Lock *ret, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "opening directory '%s' to lock it", path);
        int failed = 0;
        if (!try_until(fd, clock_now_ms() + wait_ms, &failed))
                return locked(path, lock_holder_text(fd), err);
        if (failed)
                return err_fail_errno(err, ERR_IO, failed, "locking directory '%s'", path);
        ret->fd = TAKE_FD(fd);
        return true;
}

void lock_release(Lock *lock) {
        if (lock->fd >= 0)
                close(lock->fd);
        lock->fd = -1;
}

char *lock_owner_text(const char *path) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || !is_shown(fd))
                return NULL;
        return holder_text(fd);
}
