#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/set.h"
#include "base/own.h"
#include "platform/file.h"

char *store_service_dir(const char *store, const char *service) {
        return path_join(store, service);
}

char *store_partial_dir(const char *store, const char *service, const char *id) {
        scoped(free_str) char *dir = store_service_dir(store, service);
        return str_format("%s/.partial-%s", dir, id);
}

bool store_prepare(const char *store, const char *service, Err *err) {
        scoped(free_str) char *dir = store_service_dir(store, service);
        struct stat st;
        bool there;
        if (!dir_make(dir, err) || !file_stat(dir, &st, &there, err))
                return err_context(err, "preparing the store of backups");
        if (there && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
                return true;
        err_fail(err, ERR_REFUSED, "the store '%s' belongs to, or may be written by, somebody else",
                dir);
        return err_hint(err, "Backups hold secrets: `chown` the directory to the user that runs "
                             "Belay and `chmod 700` it.");
}

bool store_locate(const char *store, const char *service, const char *id, char **ret,
        bool *ret_published, Err *err) {
        scoped(free_str) char *base = store_service_dir(store, service);
        scoped(free_str) char *partial = str_format(".partial-%s", id);
        scoped(free_str) char *ending = str_format("-%s", id);
        scoped(close_dir) DIR *dir = opendir(base);
        *ret = NULL;
        *ret_published = false;
        if (!dir)
                return errno == ENOENT || err_fail_errno(err, ERR_IO, errno, "listing '%s'", base);
        struct dirent *d;
        for (errno = 0; (d = readdir(dir)) != NULL; errno = 0) {
                bool published = d->d_name[0] != '.' && str_ends(d->d_name, ending);
                if (!published && strcmp(d->d_name, partial) != 0)
                        continue;
                str_replace_owned(ret, path_join(base, d->d_name));
                *ret_published = published;
        }
        if (errno == 0)
                return true;
        free(TAKE(*ret));
        return err_fail_errno(err, ERR_IO, errno, "listing '%s'", base);
}

bool store_load(const char *store, const char *service, const char *id, Set *ret, Err *err) {
        scoped(free_str) char *dir = NULL;
        bool published;
        if (!store_locate(store, service, id, &dir, &published, err))
                return false;
        if (!dir) {
                err_fail(err, ERR_UNKNOWN, "'%s' has no backup '%s'", service, id);
                return err_hint(err, "`belay backup list %s` shows those that there are.", service);
        }
        return set_load(dir, ret, err);
}

static int64_t ns_of(const struct timespec *t) {
        return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

bool stamp_take(const char *database, Stamp ret[STAMP_COUNT], Err *err) {
        static const char *const endings[STAMP_COUNT] = {"", "-wal", "-journal"};
        for (size_t i = 0; i < STAMP_COUNT; i++) {
                scoped(free_str) char *path = str_format("%s%s", database, endings[i]);
                struct stat st;
                bool there;
                if (!file_stat(path, &st, &there, err))
                        return false;
                ret[i] = (Stamp){.size = -1};
                if (there)
                        ret[i] = (Stamp){
                                st.st_size, ns_of(&st.st_mtim), ns_of(&st.st_ctim), st.st_ino};
        }
        return true;
}

static bool one_same(const Stamp *a, const Stamp *b) {
        return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
               a->inode == b->inode;
}

bool stamp_same(const Stamp a[STAMP_COUNT], const Stamp b[STAMP_COUNT]) {
        for (size_t i = 0; i < STAMP_COUNT; i++) {
                /* An empty sidecar is as good as none. */
                bool both_empty = i != STAMP_DB && a[i].size <= 0 && b[i].size <= 0;
                bool unknown = a[i].size == STAMP_UNKNOWN || b[i].size == STAMP_UNKNOWN;
                if (unknown || (!both_empty && !one_same(&a[i], &b[i])))
                        return false;
        }
        return true;
}

void watch_progress(const BackupWatch *watch, const char *what, uint64_t done, uint64_t total) {
        if (watch && watch->progress)
                watch->progress(watch->context, what, done, total);
}

bool watch_cancelled(const BackupWatch *watch, Err *err) {
        if (!watch || !watch->cancel || !watch->cancel->requested)
                return false;
        (void)err_fail(err, ERR_CANCELLED, "cancelled");
        return true;
}

void file_forget(int fd) { (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }
