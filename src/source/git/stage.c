#include "source/git/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { HIDDEN_AT_ONCE = 500 };

char *stage_dir(const Repo *repo, const char *part) {
        const char *mark = repo->context->mark ? repo->context->mark : "0";
        return part ? str_format("%s/belay/%s/%s", repo->dir, mark, part)
                    : str_format("%s/belay/%s", repo->dir, mark);
}

/* ---- what may not be touched ---- */

static bool allowed_path(const Repo *repo, const char *path) {
        scoped(free_str) char *full = path_join(repo->work, path);
        char *const *allowed = repo->context->allowed;
        for (size_t i = 0; allowed && allowed[i]; i++) {
                scoped(free_str) char *real = file_real(allowed[i]);
                if (str_equal(full, allowed[i]) || str_equal(full, real))
                        return true;
        }
        return false;
}

/* "1 .M N... 100644 100644 100644 <object> <object> <path>", "u ..." with two more fields, as in
 * git-status(1), porcelain format version 2. */
static char *status_path(const char *line) {
        size_t fields = *line == '1' ? 8 : *line == 'u' ? 10 : 0;
        const char *at = line;
        for (size_t i = 0; i < fields && at; i++) {
                at = strchr(at, ' ');
                at = at ? at + 1 : NULL;
        }
        return fields && at ? repo_path_unquote(at) : NULL;
}

bool stage_local_changes(const Repo *repo, Strv *ret, Err *err) {
        const char *args[] = {"status", "--porcelain=v2", "--untracked-files=no", "--no-renames",
                "--ignore-submodules=all", NULL};
        RepoCall call = {.args = args, .what = "looking for local changes"};
        scoped(child_result_done) ChildResult result = {0};
        scoped(strv_freep) Strv changes = NULL;
        if (!repo_call(repo, &call, &result, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(result.out ? result.out : "", '\n');
        for (size_t i = 0; i < strv_count(lines); i++) {
                scoped(free_str) char *path = status_path(lines[i]);
                if (path && !allowed_path(repo, path))
                        strv_add(&changes, path);
        }
        *ret = TAKE(changes);
        return true;
}

/* A directory where a file is to be is fine when it goes with the old version: when all that is in it does, and
 * there is something in it. git removes a directory that is empty; here it may be somebody's. */
static bool only_old_files_in(const Repo *repo, const ChangeList *list, const char *path) {
        scoped(free_str) char *full = path_join(repo->work, path);
        DIR *dir = opendir(full);
        bool only = dir != NULL;
        size_t n = 0;
        for (struct dirent *entry; only && (entry = readdir(dir)) != NULL;) {
                if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
                        continue;
                scoped(free_str) char *child = path_join(path, entry->d_name);
                bool goes = false;
                for (size_t i = 0; i < list->n && !goes; i++)
                        goes = str_equal(list->items[i].path, child) &&
                               list->items[i].new_mode == 0;
                only = goes || (entry->d_type == DT_DIR && only_old_files_in(repo, list, child));
                n++;
        }
        if (dir)
                closedir(dir);
        return only && n > 0;
}

/* Something on the way to `path` that is neither a directory nor a file that goes. *ret is its name. */
static bool blocked_above(
        const Repo *repo, const ChangeList *list, const char *path, char **ret, Err *err) {
        scoped(free_str) char *above = str_copy(path);
        for (char *slash = strchr(above, '/'); slash; slash = strchr(slash + 1, '/')) {
                LiveFile file = {0};
                *slash = '\0';
                if (!live_look(repo->work, above, &file, err))
                        return false;
                if (file.mode == 0)
                        return true;
                if (file.mode != S_IFDIR && !change_list_has(list, above)) {
                        *ret = str_copy(above);
                        return true;
                }
                *slash = '/';
        }
        return true;
}

bool stage_in_the_way(const Repo *repo, const ChangeList *list, Strv *ret, Err *err) {
        scoped(strv_freep) Strv found = NULL;
        for (size_t i = 0; i < list->n; i++) {
                const PlacePath *p = &list->items[i];
                LiveFile file = {0};
                scoped(free_str) char *above = NULL;
                if (p->old_mode != 0 || p->new_mode == 0)
                        continue;
                if (!live_look(repo->work, p->path, &file, err) ||
                        !blocked_above(repo, list, p->path, &above, err))
                        return false;
                if (above && !strv_contains(found, above))
                        strv_add(&found, above);
                bool free_for_it = file.mode == 0 ||
                                   (file.mode == S_IFDIR && only_old_files_in(repo, list, p->path));
                if (!above && !free_for_it)
                        strv_add(&found, p->path);
        }
        *ret = TAKE(found);
        return true;
}

/* Files of which git was told not to look whether they were changed ("h", "s": assume-unchanged; "S":
 * skip-worktree; git-ls-files(1)), among those from `at` on. */
static bool add_hidden(
        const Repo *repo, const ChangeList *list, size_t at, Strv *hidden, Err *err) {
        const char *args[HIDDEN_AT_ONCE + 4] = {"ls-files", "-v", "--"};
        scoped(child_result_done) ChildResult result = {0};
        size_t n = 3;
        for (size_t i = at; i < list->n && i < at + HIDDEN_AT_ONCE; i++)
                if (list->items[i].old_mode)
                        args[n++] = list->items[i].path;
        RepoCall call = {.args = args, .what = "looking for files that git does not look at"};
        if (n == 3)
                return true;
        if (!repo_call(repo, &call, &result, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(result.out ? result.out : "", '\n');
        for (size_t i = 0; lines && lines[i]; i++)
                if (strchr("hsS", lines[i][0]) && lines[i][0] && lines[i][1] == ' ')
                        strv_add(hidden, lines[i] + 2);
        return true;
}

bool stage_hidden(const Repo *repo, const ChangeList *list, Strv *ret, Err *err) {
        scoped(strv_freep) Strv hidden = NULL;
        for (size_t at = 0; at < list->n; at += HIDDEN_AT_ONCE)
                if (!add_hidden(repo, list, at, &hidden, err))
                        return false;
        *ret = TAKE(hidden);
        return true;
}

static bool refuse_paths(Strv paths, const char *what, const char *hint, Err *err) {
        if (strv_count(paths) == 0)
                return true;
        scoped(free_str) char *names = strv_join(paths, "', '");
        scoped(free_str) char *shown = str_printable(names, false);
        err_fail(err, ERR_REFUSED, "%s: '%.600s'%s", what, shown,
                strlen(shown) > 600 ? " and more" : "");
        return err_hint(err, "%s", hint);
}

/* ---- laying out ---- */

static bool wipe(const Repo *repo, Err *err) {
        scoped(free_str) char *dir = stage_dir(repo, NULL);
        repo_become(repo);
        bool ok = tree_remove(dir, err);
        repo_resign(repo);
        return ok;
}

static bool make_dirs(const Repo *repo, Err *err) {
        scoped(free_str) char *old = stage_dir(repo, "old");
        scoped(free_str) char *new = stage_dir(repo, "new");
        repo_become(repo);
        bool ok = dir_make(old, err) && dir_make(new, err);
        repo_resign(repo);
        return ok;
}

/* The index as it is goes on from here: unchanged entries keep what git knows of their files. */
static bool copy_index(const Repo *repo, const char *name, Err *err) {
        scoped(free_str) char *from = path_join(repo->dir, "index");
        scoped(free_str) char *to = stage_dir(repo, name);
        repo_become(repo);
        bool ok = !file_exists(from) || file_copy_durable(from, to, err);
        repo_resign(repo);
        return ok;
}

static bool index_read_tree(
        const Repo *repo, const char *name, const char *commit, bool keep, Err *err) {
        scoped(free_str) char *index = stage_dir(repo, name);
        const char *merge[] = {"read-tree", "-i", "-m", commit, NULL};
        const char *plain[] = {"read-tree", commit, NULL};
        RepoCall call = {.args = keep ? merge : plain,
                .what = "reading the files of a version",
                .index = index};
        return repo_call(repo, &call, NULL, err);
}

static bool write_files(const Repo *repo, const ChangeList *list, const char *part, Err *err) {
        bool new = str_equal(part, "new");
        scoped(free_str) char *index = stage_dir(repo, new ? "index.to" : "index.old");
        scoped(free_str) char *work = stage_dir(repo, part);
        scoped(str_done) Str paths = {0};
        for (size_t i = 0; i < list->n; i++)
                if (new ? list->items[i].new_mode : list->items[i].old_mode)
                        str_addf(&paths, "%s\n", list->items[i].quoted);
        if (paths.len == 0)
                return true;
        const char *args[] = {"checkout-index", "--force", "--quiet", "--stdin", NULL};
        RepoCall call = {.args = args,
                .what = "writing the files of a version",
                .index = index,
                .work = work,
                .input = paths.text,
                .timeout_ms = GIT_FETCH_MS};
        return repo_call(repo, &call, NULL, err);
}

/* A new file is as open as the directory that it comes into; a changed one keeps the rights it has. */
static bool rights_for(const Repo *repo, const char *path, const LiveFile *live, unsigned mode,
        unsigned *ret, Err *err) {
        if (live->mode == MODE_FILE || live->mode == MODE_PROGRAM) {
                *ret = mode == MODE_PROGRAM ? live->rights | ((live->rights & 0444) >> 2)
                                            : live->rights & ~0111U;
                return true;
        }
        scoped(free_str) char *dir = path_dirname(path);
        LiveFile above = {0};
        for (;;) {
                if (!live_look(repo->work, dir, &above, err))
                        return false;
                if (above.mode == S_IFDIR || str_equal(dir, "."))
                        break;
                str_replace_owned(&dir, path_dirname(dir));
        }
        *ret = (mode == MODE_PROGRAM ? 0777U : 0666U) & above.rights;
        return true;
}

static bool finish_file(const Repo *repo, const PlacePath *p, const LiveFile *live,
        const char *part, char hash[65], Err *err) {
        unsigned mode = str_equal(part, "new") ? p->new_mode : p->old_mode;
        scoped(free_str) char *root = stage_dir(repo, part);
        LiveFile staged = {0};
        unsigned rights = 0;
        if (mode == 0)
                return true;
        if (!live_look(root, p->path, &staged, err) ||
                !rights_for(repo, p->path, live, mode, &rights, err))
                return false;
        if (staged.mode == 0 || staged.mode == S_IFDIR)
                return err_fail(err, ERR_TOOL, "git did not write '%s'", p->quoted);
        memcpy(hash, staged.hash, sizeof(staged.hash));
        if (staged.mode == MODE_LINK || staged.rights == rights)
                return true;
        scoped(close_fd) int parent = live_parent(root, p->path);
        if (fault_before("chmod", p->path) || parent < 0 ||
                fchmodat(parent, path_basename(p->path), rights, 0) != 0)
                return err_fail_errno(err, ERR_IO, errno, "setting the rights of '%s'", p->quoted);
        fault_after();
        return true;
}

/* Hashes and rights of everything that was laid out, and of what lies there now. */
static bool finish_files(const Repo *repo, ChangeList *list, bool *ret_clean, Err *err) {
        *ret_clean = true;
        for (size_t i = 0; i < list->n; i++) {
                PlacePath *p = &list->items[i];
                LiveFile live = {0};
                if (!live_look(repo->work, p->path, &live, err) ||
                        !finish_file(repo, p, &live, "old", p->old_hash, err) ||
                        !finish_file(repo, p, &live, "new", p->new_hash, err))
                        return false;
                if (p->old_mode == 0)
                        continue;
                *ret_clean &= live.mode == p->old_mode && str_equal(live.hash, p->old_hash);
                p->old_mode = live.mode;
                memcpy(p->live_hash, live.hash, sizeof(live.hash));
        }
        return true;
}

/* What is the same in both (git sees no difference in rights, the disk does not keep them) needs no move. */
static void drop_equal(ChangeList *list) {
        size_t kept = 0;
        for (size_t i = 0; i < list->n; i++) {
                PlacePath *p = &list->items[i];
                if (p->old_mode == p->new_mode && str_equal(p->live_hash, p->new_hash)) {
                        free(p->path);
                        free(p->quoted);
                        continue;
                }
                list->items[kept++] = *p;
        }
        list->n = kept;
}

static bool refuse_modules(const ChangeList *list, Err *err) {
        for (size_t i = 0; i < list->n; i++) {
                const PlacePath *p = &list->items[i];
                if (p->old_mode != MODE_MODULE && p->new_mode != MODE_MODULE)
                        continue;
                err_fail(err, ERR_REFUSED, "the submodule '%s' is another one in the new version",
                        p->quoted);
                return err_hint(
                        err, "Belay does not move submodules; update this service by hand.");
        }
        return true;
}

static bool refuse_obstacles(const Repo *repo, const ChangeList *list, Err *err) {
        scoped(strv_freep) Strv obstacles = NULL;
        repo_become(repo);
        bool ok = stage_in_the_way(repo, list, &obstacles, err);
        repo_resign(repo);
        return ok && refuse_paths(obstacles,
                             "the new version would overwrite files that git does not track here",
                             "Move them away first; nothing was changed.", err);
}

static bool refuse_changes(const Repo *repo, Err *err) {
        scoped(strv_freep) Strv changes = NULL;
        return stage_local_changes(repo, &changes, err) &&
               refuse_paths(changes, "tracked files have local changes",
                       "Commit or stash them, or undo them with git checkout.", err);
}

static bool refuse_hidden(const Repo *repo, const ChangeList *list, Err *err) {
        scoped(strv_freep) Strv hidden = NULL;
        return stage_hidden(repo, list, &hidden, err) &&
               refuse_paths(hidden, STAGE_HIDDEN, STAGE_HIDDEN_HINT, err);
}

static bool sync_stage(const Repo *repo, Err *err) {
        scoped(free_str) char *dir = stage_dir(repo, NULL);
        scoped(free_str) char *above = path_dirname(dir);
        repo_become(repo);
        bool ok = tree_sync(dir, err) && dir_sync(above, err) && dir_sync(repo->dir, err);
        repo_resign(repo);
        return ok;
}

static json_t *facts_make(const Repo *repo, const RepoHead *head, const Release *to) {
        json_t *facts = json_object();
        const char *branch = repo->context->service->git.branch;
        scoped(free_str) char *followed = branch ? str_format("refs/heads/%s", branch) : NULL;
        js_set_int(facts, "format", 1);
        js_set_str(facts, "directory", repo->work);
        js_set_str(facts, "from", head->commit);
        js_set_str(facts, "to", to->reference);
        js_set_str(facts, "tag", to->tag);
        js_set_str(facts, "head", head->branch);
        js_set_bool(facts, "branch_moves", followed && str_equal(head->branch, followed));
        return facts;
}

static bool write_both(const Repo *repo, const RepoHead *head, const Release *to,
        const ChangeList *list, Err *err) {
        return copy_index(repo, "index.from", err) && copy_index(repo, "index.to", err) &&
               index_read_tree(repo, "index.to", to->reference, true, err) &&
               index_read_tree(repo, "index.old", head->commit, false, err) &&
               write_files(repo, list, "new", err) && write_files(repo, list, "old", err);
}

static bool lay_out(const Repo *repo, const RepoHead *head, const Release *to, Err *err) {
        scoped(change_list_done) ChangeList list = {0};
        bool clean = false;
        char hash[65];
        if (!wipe(repo, err) || !make_dirs(repo, err) ||
                !change_list_diff(repo, head->commit, to->reference, &list, err) ||
                !refuse_modules(&list, err) || !refuse_obstacles(repo, &list, err) ||
                !refuse_hidden(repo, &list, err) || !write_both(repo, head, to, &list, err))
                return false;
        repo_become(repo);
        bool ok = finish_files(repo, &list, &clean, err);
        repo_resign(repo);
        if (!ok || (!clean && !refuse_changes(repo, err)) || !sync_stage(repo, err))
                return false;
        drop_equal(&list);
        list.facts = facts_make(repo, head, to);
        js_set_int(list.facts, "paths", (int64_t)list.n);
        return change_list_save(repo->context, &list, hash, err);
}

/* An earlier attempt of this run may have got this far already, or even have placed some of it. */
static bool laid_out_already(
        const Repo *repo, const RepoHead *head, const Release *to, bool *ret, Err *err) {
        scoped(change_list_done) ChangeList list = {0};
        scoped(free_str) char *dir = stage_dir(repo, NULL);
        if (!change_list_load(repo->context, NULL, &list, err))
                return false;
        bool head_fits = str_equal(js_str(list.facts, "from"), head->commit) ||
                         str_equal(to->reference, head->commit);
        *ret = list.facts && head_fits && str_equal(js_str(list.facts, "to"), to->reference) &&
               file_exists(dir);
        return true;
}

bool stage_lay_out(const Repo *repo, const Release *to, Err *err) {
        scoped(repo_head_done) RepoHead head = {0};
        bool already = false;
        if (!repo_head(repo, &head, err) || !laid_out_already(repo, &head, to, &already, err))
                return false;
        if (!head.commit)
                return err_fail(
                        err, ERR_REFUSED, "the checkout '%s' has no commit yet", repo->work);
        return already || lay_out(repo, &head, to, err) ||
               err_context(err, "laying out %s beside", to->tag);
}
