#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "source/git/place.h"

enum { LOCK_TEXT_MAX = 64 * 1024 * 1024, COMMAND_MAX = 4096 };

static const char lock_sign[] = "belay ";

static char *lock_path(const Repo *repo) { return path_join(repo->dir, "index.lock"); }

bool index_lock_look(const Repo *repo, IndexLock *ret, Err *err) {
        scoped(free_str) char *path = lock_path(repo);
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        repo_become(repo);
        bool ok = file_read_if(path, LOCK_TEXT_MAX, &text, &bytes, err);
        repo_resign(repo);
        if (ok)
                *ret = !text                         ? INDEX_FREE
                       : str_starts(text, lock_sign) ? INDEX_OURS
                                                     : INDEX_FOREIGN;
        return ok;
}

static bool foreign(const Repo *repo, Err *err) {
        scoped(free_str) char *path = lock_path(repo);
        scoped(free_str) char *holder = index_lock_holder(repo);
        if (holder) {
                err_fail(err, ERR_REFUSED, "another program is changing the checkout: %s has '%s'",
                        holder, path);
                return err_hint(err, "Wait until it has finished.");
        }
        err_fail(err, ERR_REFUSED, "'%s' is there, and no program has it open", path);
        return err_hint(
                err, "A git died there; when none runs in this checkout, remove that file.");
}

/* Written under another name first: whoever sees the lock sees whose it is. */
static bool lock_make(const Repo *repo, const char *path, Err *err) {
        scoped(free_str) char *mine = stage_dir(repo, "lock");
        scoped(free_str) char *text =
                str_format("%s%s\n", lock_sign, repo->context->mark ? repo->context->mark : "0");
        if (!file_write_durable(mine, text, strlen(text), 0644, err))
                return false;
        if (fault_before("link", path) || link(mine, path) != 0)
                return err_fail_errno(
                        err, errno == EEXIST ? ERR_REFUSED : ERR_IO, errno, "taking '%s'", path);
        fault_after();
        return true;
}

bool index_lock_take(const Repo *repo, bool *ret_leftover, Err *err) {
        scoped(free_str) char *path = lock_path(repo);
        IndexLock is = INDEX_FREE;
        if (!index_lock_look(repo, &is, err))
                return false;
        if (is == INDEX_FOREIGN)
                return foreign(repo, err);
        *ret_leftover = is == INDEX_OURS;
        if (is == INDEX_OURS)
                return true;
        repo_become(repo);
        bool ok = lock_make(repo, path, err);
        repo_resign(repo);
        return ok;
}

bool index_lock_drop(const Repo *repo, Err *err) {
        scoped(free_str) char *path = lock_path(repo);
        IndexLock is = INDEX_FREE;
        if (!index_lock_look(repo, &is, err))
                return false;
        if (is != INDEX_OURS)
                return true;
        repo_become(repo);
        bool ok = file_unlink(path, err);
        repo_resign(repo);
        return ok;
}

static bool has_open(const char *pid, const struct stat *file) {
        scoped(free_str) char *path = str_format("/proc/%s/fd", pid);
        DIR *dir = opendir(path);
        bool found = false;
        for (struct dirent *entry; dir && !found && (entry = readdir(dir)) != NULL;) {
                struct stat st = {0};
                if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
                        found = st.st_ino == file->st_ino && st.st_dev == file->st_dev;
        }
        if (dir)
                closedir(dir);
        return found;
}

char *index_lock_holder(const Repo *repo) {
        scoped(free_str) char *path = lock_path(repo);
        struct stat file = {0};
        bool there = false;
        if (!file_stat(path, &file, &there, NULL) || !there)
                return NULL;
        DIR *proc = opendir("/proc");
        char *holder = NULL;
        for (struct dirent *entry; proc && !holder && (entry = readdir(proc)) != NULL;) {
                uint64_t pid = 0;
                if (!str_to_uint(entry->d_name, INT_MAX, &pid) || !has_open(entry->d_name, &file))
                        continue;
                scoped(free_str) char *comm = str_format("/proc/%s/comm", entry->d_name);
                scoped(free_str) char *name = NULL;
                if (!file_read_if(comm, COMMAND_MAX, &name, NULL, NULL) || !name)
                        name = str_copy("a process");
                holder = str_format("%s (pid %s)", str_trim(name), entry->d_name);
        }
        if (proc)
                closedir(proc);
        return holder;
}
