#include "source/git/worktree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { NOTE_MAX = 8192 };

static char *records_dir(const Repo *repo) { return path_join(repo->common, "worktrees"); }

/* The path that a record is about: its file gitdir names <path>/.git. NULL: a record that was never finished. */
static char *path_of_record(const char *record) {
        scoped(free_str) char *file = path_join(record, "gitdir");
        scoped(free_str) char *text = NULL;
        if (!file_read_if(file, NOTE_MAX, &text, NULL, NULL) || !text || !*str_trim(text))
                return NULL;
        scoped(free_str) char *dot = path_join(record, str_trim(text));
        return path_dirname(dot);
}

/* git names a record by the directory's name, with a number behind when that is taken. */
static bool may_be_record(const char *name, const char *path) {
        const char *base = path_basename(path);
        size_t n = strlen(base);
        return strncmp(name, base, n) == 0 && strspn(name + n, "0123456789") == strlen(name + n);
}

static bool is_record_of(const char *record, const char *path) {
        scoped(free_str) char *is = path_of_record(record);
        return is ? str_equal(is, path) : may_be_record(path_basename(record), path);
}

typedef bool RecordSeen(void *context, const char *record, Err *err);

static bool each_record(const Repo *repo, RecordSeen *seen, void *context, Err *err) {
        scoped(free_str) char *dir_path = records_dir(repo);
        scoped(strv_freep) Strv names = NULL;
        DIR *dir = opendir(dir_path);
        if (!dir)
                return errno == ENOENT ||
                       err_fail_errno(err, ERR_IO, errno, "opening '%s'", dir_path);
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
                if (entry->d_name[0] != '.')
                        strv_add(&names, entry->d_name);
        closedir(dir);
        for (size_t i = 0; names && names[i]; i++) {
                scoped(free_str) char *record = path_join(dir_path, names[i]);
                if (!seen(context, record, err))
                        return false;
        }
        return true;
}

static bool forget_one(void *context, const char *record, Err *err) {
        return !is_record_of(record, context) || tree_remove(record, err);
}

/* As git does: without worktrees there is no such directory. */
static bool records_dir_remove(const Repo *repo, Err *err) {
        scoped(free_str) char *path = records_dir(repo);
        if (!file_exists(path))
                return true;
        if (fault_before("rmdir", path))
                return err_fail_errno(err, ERR_IO, errno, "removing '%s'", path);
        if (rmdir(path) == 0)
                fault_after();
        return true;
}

bool worktree_forget(const Repo *repo, const char *path, Err *err) {
        scoped(free_str) char *own = str_copy(path);
        repo_become(repo);
        bool ok = each_record(repo, forget_one, own, err) && records_dir_remove(repo, err);
        repo_resign(repo);
        return ok;
}

bool worktree_remove(const Repo *repo, const char *path, Err *err) {
        repo_become(repo);
        bool ok = tree_remove(path, err);
        repo_resign(repo);
        return ok && worktree_forget(repo, path, err);
}

bool dir_make_open(const Repo *repo, const char *path, Err *err) {
        struct stat st = {0};
        bool there = false;
        if (file_exists(path))
                return true;
        if (!file_stat(repo->root, &st, &there, err))
                return false;
        scoped(free_str) char *above = path_dirname(path);
        if (!dir_make_open(repo, above, err))
                return false;
        repo_become(repo);
        bool ok = dir_make(path, err);
        if (ok && (fault_before("chmod", path) || chmod(path, st.st_mode & 0777) != 0))
                ok = err_fail_errno(err, ERR_IO, errno, "setting the rights of '%s'", path);
        else if (ok)
                fault_after();
        repo_resign(repo);
        return ok;
}

bool worktree_make(const Repo *repo, const char *path, const char *commit, Err *err) {
        scoped(free_str) char *above = path_dirname(path);
        if (!worktree_remove(repo, path, err) || !dir_make_open(repo, above, err))
                return false;
        const char *args[] = {"worktree", "add", "--force", "--detach", path, commit, NULL};
        RepoCall call = {.args = args,
                .what = "writing the files of the new version beside",
                .timeout_ms = GIT_FETCH_MS};
        return repo_call(repo, &call, NULL, err);
}

typedef struct Listing {
        const char *dir;
        Strv found;
} Listing;

static bool list_one(void *context, const char *record, Err *err) {
        (void)err;
        Listing *listing = context;
        scoped(free_str) char *path = path_of_record(record);
        scoped(free_str) char *above = path ? path_dirname(path) : NULL;
        if (str_equal(above, listing->dir))
                strv_add(&listing->found, path);
        return true;
}

bool worktree_list(const Repo *repo, const char *dir, Strv *ret, Err *err) {
        Listing listing = {.dir = dir};
        if (!each_record(repo, list_one, &listing, err)) {
                strv_free(listing.found);
                return false;
        }
        *ret = listing.found;
        return true;
}

/* ---- the note ---- */

/* Beside git's own record of it, and not among the files, where a program could come across it. */
static char *note_path(const char *path) {
        scoped(free_str) char *dot = path_join(path, ".git");
        scoped(free_str) char *text = NULL;
        if (!file_read_if(dot, NOTE_MAX, &text, NULL, NULL) || !text ||
                !str_starts(text, "gitdir: "))
                return NULL;
        scoped(free_str) char *record = path_join(path, str_trim(text + strlen("gitdir: ")));
        return path_join(record, "belay-complete");
}

bool worktree_seal(const Repo *repo, const char *path, const char *commit, Err *err) {
        scoped(free_str) char *note = note_path(path);
        scoped(free_str) char *text = str_format("%s\n", commit);
        if (!note)
                return err_fail(err, ERR_TOOL, "git does not know '%s' as a worktree", path);
        repo_become(repo);
        bool ok = file_write_durable(note, text, strlen(text), 0644, err);
        repo_resign(repo);
        return ok;
}

bool worktree_sealed(const Repo *repo, const char *path, char **ret, Err *err) {
        scoped(free_str) char *note = note_path(path);
        scoped(free_str) char *text = NULL;
        *ret = NULL;
        if (!note)
                return true;
        repo_become(repo);
        bool ok = file_read_if(note, NOTE_MAX, &text, NULL, err);
        repo_resign(repo);
        if (ok && text && repo_is_object_name(str_trim(text)))
                *ret = str_copy(str_trim(text));
        return ok;
}
