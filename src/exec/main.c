#include "exec/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* -- options ------------------------------------------------------------------------------ */

static bool number(const char *text, long max, long *ret) {
        char *end = NULL;
        errno = 0;
        long value = text && text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;
        if (value < 0 || value > max || errno || *end)
                return false;
        *ret = value;
        return true;
}

static bool read_groups(const char *text, Options *o) {
        while (*text) {
                char one[16];
                size_t n = strcspn(text, ",");
                long group = 0;
                if (n >= sizeof(one) || o->n_groups == GROUPS_MAX)
                        return false;
                memcpy(one, text, n);
                one[n] = '\0';
                if (!number(one, UINT_MAX - 1, &group))
                        return false;
                o->groups[o->n_groups++] = (gid_t)group;
                text += n + (text[n] == ',');
        }
        return true;
}

enum {
        O_STATUS = 1,
        O_PARENT,
        O_GRACE,
        O_UID,
        O_GID,
        O_GROUPS,
        O_CHDIR,
        O_LOG,
        O_REPLACE,
        O_HOLD,
        O_NULL,
        O_PRIVATE,
        O_AT,
        O_OVERLAY,
        O_BIND,
        O_EMPTY
};

static const struct option names[] = {
        {"status-fd", required_argument, NULL, O_STATUS},
        {"parent", required_argument, NULL, O_PARENT},
        {"grace-ms", required_argument, NULL, O_GRACE},
        {"uid", required_argument, NULL, O_UID},
        {"gid", required_argument, NULL, O_GID},
        {"groups", required_argument, NULL, O_GROUPS},
        {"chdir", required_argument, NULL, O_CHDIR},
        {"log", required_argument, NULL, O_LOG},
        {"replace", no_argument, NULL, O_REPLACE},
        {"hold", no_argument, NULL, O_HOLD},
        {"stdin-null", no_argument, NULL, O_NULL},
        {"private", no_argument, NULL, O_PRIVATE},
        {"at", required_argument, NULL, O_AT},
        {"overlay", required_argument, NULL, O_OVERLAY},
        {"bind", required_argument, NULL, O_BIND},
        {"empty", no_argument, NULL, O_EMPTY},
        {NULL, 0, NULL, 0},
};

static bool read_number_option(int name, Options *o) {
        long value = 0;
        if (!number(optarg, name == O_UID || name == O_GID ? (long)UINT_MAX - 1 : INT_MAX, &value))
                return false;
        if (name == O_STATUS)
                o->status_fd = (int)value;
        if (name == O_PARENT)
                o->parent = (pid_t)value;
        if (name == O_GRACE)
                o->grace_ms = value;
        if (name == O_UID)
                o->uid = (uid_t)value;
        if (name == O_GID)
                o->gid = (gid_t)value;
        return true;
}

/* --at begins a place, the next option says what is there. */
static bool read_place_option(int name, Options *o) {
        if (name == O_AT) {
                if (o->n_places == SEAL_MAX)
                        return false;
                o->places[o->n_places++] = (SealPlace){.kind = SEAL_EMPTY, .at = optarg};
                return true;
        }
        if (o->n_places == 0 || o->places[o->n_places - 1].from)
                return false;
        SealPlace *place = &o->places[o->n_places - 1];
        place->kind = name == O_OVERLAY ? SEAL_OVERLAY : name == O_BIND ? SEAL_BIND : SEAL_EMPTY;
        place->from = name == O_EMPTY ? NULL : optarg;
        return true;
}

static bool read_option(int name, Options *o, unsigned *seen) {
        *seen |= 1u << name;
        if (name >= O_AT && name <= O_EMPTY)
                return read_place_option(name, o);
        switch (name) {
        case O_GROUPS:
                return read_groups(optarg, o);
        case O_CHDIR:
                o->directory = optarg;
                return true;
        case O_LOG:
                o->log = optarg;
                return true;
        case O_REPLACE:
                o->replace = true;
                return true;
        case O_HOLD:
                o->hold = true;
                return true;
        case O_NULL:
                o->stdin_null = true;
                return true;
        case O_PRIVATE:
                o->private = true;
                return true;
        default:
                return name != '?' && read_number_option(name, o);
        }
}

static bool read_options(int argc, char **argv, Options *o) {
        unsigned seen = 0;
        for (int name; (name = getopt_long(argc, argv, "+", names, NULL)) != -1;)
                if (!read_option(name, o, &seen))
                        return false;
        o->as_user = seen & 1u << O_UID;
        o->argv = argv + optind;
        bool user_whole = o->as_user == ((seen & 1u << O_GID) != 0);
        return optind < argc && user_whole && (!o->hold || o->status_fd >= 0) &&
               (o->n_places == 0 || o->private) && !(o->private && o->replace);
}

/* -- becoming the program ----------------------------------------------------------------- */

void report(const Options *o, const char *word, int value, const char *step) {
        char text[64];
        int n = snprintf(
                text, sizeof(text), "%s %d%s%s", word, value, step ? " " : "", step ? step : "");
        if (o->status_fd >= 0 && n > 0)
                (void)send(o->status_fd, text, (size_t)n, MSG_NOSIGNAL);
}

static int not_started(const Options *o, const char *step) {
        int failed = errno;
        report(o, "error", failed, step);
        if (o->status_fd < 0)
                dprintf(STDERR_FILENO, "belay-exec: %s: %s: %s\n", o->argv[0], step,
                        strerrordesc_np(failed));
        return EXIT_NOT_STARTED;
}

/* Not blocking: a FIFO in the log's place would wait for a reader. */
static bool open_log(const char *path) {
        int fd = open(path,
                O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                0600);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return false;
        if (!S_ISREG(st.st_mode)) {
                errno = EINVAL;
                return false;
        }
        bool ok = fcntl(fd, F_SETFL, O_APPEND) == 0 && dup2(fd, STDOUT_FILENO) >= 0 &&
                  dup2(fd, STDERR_FILENO) >= 0;
        if (fd > STDERR_FILENO)
                close(fd);
        return ok;
}

static bool open_streams(const Options *o) {
        if (o->stdin_null) {
                int fd = open("/dev/null", O_RDONLY);
                if (fd < 0 || (fd != STDIN_FILENO && (dup2(fd, STDIN_FILENO) < 0 || close(fd) < 0)))
                        return false;
        }
        return !o->log || open_log(o->log);
}

static bool change_user(const Options *o) {
        return !o->as_user ||
               (setgroups(o->n_groups, o->groups) == 0 && setresgid(o->gid, o->gid, o->gid) == 0 &&
                       setresuid(o->uid, o->uid, o->uid) == 0);
}

/* Not execvp: it hands files without "#!" to a shell, and Belay starts none. */
static void execute(char *const *argv) {
        const char *path = getenv("PATH");
        if (strchr(argv[0], '/') || !argv[0][0]) {
                execve(argv[0], argv, environ);
                return;
        }
        int failed = ENOENT;
        for (path = path ? path : "/usr/bin:/bin"; *path;) {
                size_t n = strcspn(path, ":");
                char full[PATH_MAX];
                int len = snprintf(full, sizeof(full), "%.*s/%s", (int)n, n ? path : ".", argv[0]);
                path += n + (path[n] == ':');
                if (n == 0 || len < 0 || (size_t)len >= sizeof(full))
                        continue;
                execve(full, argv, environ);
                /* A directory that this user may not enter hides nothing of it. */
                int why = errno;
                if (why != ENOENT && why != ENOTDIR && access(full, F_OK) == 0)
                        failed = why;
                if (failed != ENOENT && failed != EACCES)
                        break;
        }
        errno = failed;
}

static void restore_signals(void) {
        sigset_t none;
        for (int signal = 1; signal < NSIG; signal++)
                (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Seen from a process namespace of its own, its parent has no number; the socket tells of its death. */
static bool is_orphan(const Options *o, pid_t guardian) {
        struct pollfd at = {.fd = o->status_fd, .events = POLLRDHUP};
        if (!o->private)
                return getppid() != guardian;
        return o->status_fd >= 0 && poll(&at, 1, 0) == 1;
}

int become(const Options *o, pid_t guardian) {
        restore_signals();
        if (!open_streams(o))
                return not_started(o, "log");
        const char *failed = o->private ? seal(o) : NULL;
        if (failed)
                return not_started(o, failed);
        if (!change_user(o))
                return not_started(o, "user");
        /* After the change of user, which clears it. */
        if (guardian && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || is_orphan(o, guardian)))
                return EXIT_ORPHAN;
        if (o->directory && chdir(o->directory) < 0)
                return not_started(o, "chdir");
        char go = 0;
        if (o->hold && (recv(o->status_fd, &go, 1, 0) != 1))
                return EXIT_ORPHAN;
        execute(o->argv);
        return not_started(o, "exec");
}

int main(int argc, char **argv) {
        static Options options = {.status_fd = -1, .grace_ms = 2000};
        if (!read_options(argc, argv, &options)) {
                dprintf(STDERR_FILENO,
                        "belay-exec: wrong arguments: this program is for Belay's own use\n");
                return EXIT_USAGE;
        }
        umask(022);
        (void)close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
        return options.replace ? become(&options, 0) : supervise(&options);
}
