/* What a run leaves behind when it has ended: nothing but the references that are to be kept. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "source/git/artifacts.h"
#include "source/git/place.h"

/* git compares times before contents: without this the next status reads every file that was placed. */
static bool refresh_copy(const Repo *repo, const char *copy, Err *err) {
        const char *args[] = {"update-index", "-q", "--refresh", NULL};
        RepoCall call = {.args = args, .what = "git update-index", .index = copy, .also_fine = 1};
        return repo_call(repo, &call, NULL, err);
}

static bool refresh_index(const Repo *repo, Err *err) {
        scoped(free_str) char *stage = stage_dir(repo, NULL);
        scoped(free_str) char *index = path_join(repo->dir, "index");
        scoped(free_str) char *copy = stage_dir(repo, "index.fresh");
        IndexLock lock = INDEX_FREE;
        bool leftover = false;
        if (!file_exists(stage) || !file_exists(index))
                return true;
        if (!index_lock_look(repo, &lock, err))
                return false;
        if (lock == INDEX_FOREIGN)
                return true;
        if (!index_lock_take(repo, &leftover, err))
                return false;
        repo_become(repo);
        bool ok = file_copy_durable(index, copy, err);
        repo_resign(repo);
        ok = ok && refresh_copy(repo, copy, err);
        repo_become(repo);
        ok = ok && file_rename(copy, index, err);
        repo_resign(repo);
        return ok;
}

/* ---- references ---- */

static bool is_kept(const char *commit, const char *head, const char *const *keep, size_t n) {
        bool kept = str_equal(commit, head);
        for (size_t i = 0; i < n && !kept; i++)
                kept = str_equal(commit, keep[i]);
        return kept;
}

/* By hand where it can be: git locks packed-refs for it, and would leave that lock if it were killed. */
static bool ref_remove(const Repo *repo, const char *name, Err *err) {
        scoped(free_str) char *path = path_join(repo->common, name);
        scoped(free_str) char *log_name = str_format("logs/%s", name);
        scoped(free_str) char *log = path_join(repo->common, log_name);
        scoped(free_str) char *packed = NULL;
        repo_become(repo);
        bool ok = (!file_exists(path) || file_unlink(path, err)) &&
                  (!file_exists(log) || file_unlink(log, err));
        repo_resign(repo);
        if (!ok || !repo_ref(repo, name, &packed, err))
                return false;
        const char *args[] = {"update-ref", "--no-deref", "-d", name, NULL};
        RepoCall call = {.args = args, .what = "git update-ref"};
        return !packed || repo_call(repo, &call, NULL, err);
}

/* "<name> <object> <commit, of an annotated tag>" */
static bool refs_remove(const Repo *repo, const char *const *keep, size_t n, Err *err) {
        const char *args[] = {"for-each-ref", "--format=%(refname) %(objectname) %(*objectname)",
                "refs/belay", NULL};
        RepoCall call = {.args = args, .what = "git for-each-ref"};
        scoped(child_result_done) ChildResult result = {0};
        scoped(repo_head_done) RepoHead head = {0};
        if (!repo_head(repo, &head, err) || !repo_call(repo, &call, &result, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(result.out ? result.out : "", '\n');
        for (size_t i = 0; i < strv_count(lines); i++) {
                scoped(strv_freep) Strv words = strv_split(lines[i], ' ');
                if (strv_count(words) < 2)
                        continue;
                const char *peeled = words[2] && *words[2] ? words[2] : words[1];
                if (!is_kept(peeled, head.commit, keep, n) && !ref_remove(repo, words[0], err))
                        return false;
        }
        return true;
}

/* What a git of ours that was killed had locked: below refs/belay/ nobody else writes. */
static bool ref_locks_remove(const Repo *repo, Err *err) {
        scoped(free_str) char *path = path_join(repo->common, "refs/belay");
        repo_become(repo);
        DIR *dir = opendir(path);
        bool ok = true;
        for (struct dirent *entry; dir && ok && (entry = readdir(dir)) != NULL;) {
                scoped(free_str) char *lock = path_join(path, entry->d_name);
                if (str_ends(entry->d_name, ".lock"))
                        ok = file_unlink(lock, err);
        }
        if (dir)
                closedir(dir);
        repo_resign(repo);
        return ok;
}

static bool remove_empty_ref_dir(const Repo *repo, Err *err) {
        scoped(free_str) char *path = path_join(repo->common, "refs/belay");
        repo_become(repo);
        bool ok = !fault_before("rmdir", path) || err_fail(err, ERR_IO, "removing '%s'", path);
        if (ok && rmdir(path) == 0)
                fault_after();
        repo_resign(repo);
        return ok;
}

/* ---- what was laid out ---- */

/* Or what a writer of one that died has left beside it. */
static bool is_list(const char *name) {
        return (str_starts(name, "place-") && str_ends(name, ".txt")) ||
               (str_starts(name, ".place-") && str_ends(name, ".txt.belay-tmp"));
}

static bool lists_remove(const SourceContext *context, Err *err) {
        if (!context->state)
                return true;
        scoped(free_str) char *dir_path = state_service_dir(context->state, context->service->name);
        DIR *dir = opendir(dir_path);
        bool ok = true;
        for (struct dirent *entry; dir && ok && (entry = readdir(dir)) != NULL;) {
                scoped(free_str) char *path = path_join(dir_path, entry->d_name);
                if (is_list(entry->d_name))
                        ok = file_unlink(path, err);
        }
        if (dir)
                closedir(dir);
        return ok;
}

static bool stages_remove(const Repo *repo, Err *err) {
        scoped(free_str) char *path = path_join(repo->dir, "belay");
        repo_become(repo);
        bool ok = tree_remove(path, err);
        repo_resign(repo);
        return ok;
}

bool place_cleanup(const SourceContext *context, const char *const *keep, size_t n, Err *err) {
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err))
                return false;
        /* It only saves the next status some time; a git that was ended in the middle of it must neither leave the
         * owner's checkout locked nor the rest undone. */
        (void)refresh_index(&repo, NULL);
        scoped(repo_head_done) RepoHead head = {0};
        bool ok = repo_head(&repo, &head, err) && index_lock_drop(&repo, err) &&
                  artifacts_cleanup(&repo, keep, n, head.commit, err) &&
                  ref_locks_remove(&repo, err) && refs_remove(&repo, keep, n, err) &&
                  remove_empty_ref_dir(&repo, err) && stages_remove(&repo, err) &&
                  lists_remove(context, err);
        return ok || err_context(err, "tidying up the checkout '%s'", repo.work);
}
