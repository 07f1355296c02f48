#include "source/git/artifacts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "source/git/build.h"
#include "source/git/exclude.h"
#include "source/git/worktree.h"

enum { COMMIT_DIGITS = 12 };

static char *home_dir(const Repo *repo) { return path_join(repo->work, ".belay"); }

static char *set_dir(const Repo *repo, const char *commit) {
        scoped(free_str) char *home = home_dir(repo);
        return str_format("%s/%.*s", home, COMMIT_DIGITS, commit);
}

static char *kept_path(const Repo *repo, const char *artifact, const char *commit) {
        return str_format("%s/%s.%.*s", repo->work, artifact, COMMIT_DIGITS, commit);
}

static char *const *artifacts_of(const Repo *repo) { return repo->context->service->git.artifacts; }

static bool is_directory(const char *path) {
        struct stat st = {0};
        bool there = false;
        return file_stat(path, &st, &there, NULL) && there && S_ISDIR(st.st_mode);
}

/* ---- making them ---- */

static bool all_there(const Repo *repo, const char *commit) {
        for (char *const *a = artifacts_of(repo); a && *a; a++) {
                scoped(free_str) char *path = kept_path(repo, *a, commit);
                if (!file_exists(path))
                        return false;
        }
        return true;
}

static bool set_is_whole(const Repo *repo, const char *commit) {
        scoped(free_str) char *set = set_dir(repo, commit);
        return file_exists(set) && !is_directory(set) && all_there(repo, commit);
}

/* git status and git clean pass over a directory that ignores itself. */
static bool make_home(const Repo *repo, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(free_str) char *ignore = path_join(home, ".gitignore");
        if (!dir_make_open(repo, home, err))
                return false;
        repo_become(repo);
        bool ok = file_exists(ignore) || file_write_durable(ignore, "*\n", 2, 0644, err);
        repo_resign(repo);
        return ok && exclude_add(repo, err);
}

/* What is there already was finished by an earlier call, and may be in use. */
static bool keep_one(
        const Repo *repo, const char *tree, const char *artifact, const char *commit, Err *err) {
        scoped(free_str) char *made = path_join(tree, artifact);
        scoped(free_str) char *kept = kept_path(repo, artifact, commit);
        scoped(free_str) char *above = path_dirname(kept);
        if (file_exists(kept))
                return true;
        if (!dir_make_open(repo, above, err))
                return false;
        repo_become(repo);
        bool ok = file_rename(made, kept, err);
        repo_resign(repo);
        return ok;
}

/* The tree's files have served; its name stays, and leads to where the artifacts are. */
static bool close_tree(const Repo *repo, const char *tree, Err *err) {
        scoped(free_str) char *done = str_format("%s.old", tree);
        if (!worktree_forget(repo, tree, err))
                return false;
        repo_become(repo);
        bool ok = tree_remove(done, err) && link_write_durable(done, "..", err) &&
                  file_exchange(done, tree, err) && tree_remove(done, err);
        repo_resign(repo);
        return ok;
}

static bool make_set(const Repo *repo, const Release *to, const SourceBuild *how, Err *err) {
        scoped(free_str) char *tree = set_dir(repo, to->reference);
        if (!make_home(repo, err) || !worktree_make(repo, tree, to->reference, err) ||
                !build_run(repo, to, how, tree, err) || !disk_sync(repo->work, err))
                return false;
        for (char *const *a = artifacts_of(repo); a && *a; a++)
                if (!keep_one(repo, tree, *a, to->reference, err))
                        return false;
        return close_tree(repo, tree, err);
}

bool artifacts_build(
        const SourceContext *context, const Release *to, const SourceBuild *how, Err *err) {
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err))
                return false;
        if (set_is_whole(&repo, to->reference))
                return true;
        if (make_set(&repo, to, how, err))
                return true;
        return err_context(err, "making %s ready to run", to->tag);
}

/* ---- what place needs to know ---- */

static char *free_name(const Repo *repo, const char *artifact, const char *commit) {
        const char *mark = repo->context->mark ? repo->context->mark : "0";
        char *const names[] = {str_format("%s.%.*s", artifact, COMMIT_DIGITS, commit),
                str_format("%s.before", artifact), str_format("%s.before-%s", artifact, mark)};
        char *found = NULL;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *path = path_join(repo->work, names[i]);
                if (!found && (!file_exists(path) || i + 1 == COUNT_OF(names)))
                        found = str_copy(path_basename(names[i]));
        }
        for (size_t i = 0; i < COUNT_OF(names); i++)
                free(names[i]);
        return found;
}

/* "<name>.<12 digits>", which is how Belay's own links read. */
static bool is_own_link(const char *link, const char *base) {
        size_t n = strlen(base);
        return link && str_starts(link, base) && link[n] == '.' &&
               strspn(link + n + 1, "0123456789abcdef") == COMMIT_DIGITS &&
               link[n + 1 + COMMIT_DIGITS] == '\0';
}

static json_t *facts_of(const Repo *repo, const char *artifact, const char *from, const char *to) {
        scoped(free_str) char *path = path_join(repo->work, artifact);
        scoped(free_str) char *link = link_read(path);
        scoped(free_str) char *now =
                str_format("%s.%.*s", path_basename(artifact), COMMIT_DIGITS, to);
        json_t *facts = json_object();
        js_set_str(facts, "path", artifact);
        js_set_str(facts, "now", now);
        if (is_own_link(link, path_basename(artifact))) {
                js_set_str(facts, "was", link);
        } else if (file_exists(path)) {
                scoped(free_str) char *kept = free_name(repo, artifact, from);
                scoped(free_str) char *set = set_dir(repo, from);
                js_set_str(facts, "kept", kept);
                js_set_str(facts, "set", path_basename(set));
        }
        return facts;
}

json_t *artifacts_facts(const Repo *repo, const char *from, const char *to, Err *err) {
        json_t *list = json_array();
        repo_become(repo);
        bool whole = all_there(repo, to);
        for (char *const *a = artifacts_of(repo); whole && a && *a; a++)
                json_array_append_new(list, facts_of(repo, *a, from, to));
        repo_resign(repo);
        if (whole)
                return list;
        json_decref(list);
        err_fail(err, ERR_DRIFT, "the artifacts that were made for %.12s are not there any more",
                to);
        return NULL;
}

/* ---- switching ---- */

typedef enum LinkState { LINK_OLD, LINK_HALF, LINK_NEW, LINK_BOTH, LINK_OTHER } LinkState;

/* One artifact in the facts, with its paths. */
typedef struct Switch {
        char *path, *kept; /* kept NULL: nothing of the user's lay there */
        const char *now, *was, *set;
} Switch;

static void switch_done(Switch *one) {
        free(one->path);
        free(one->kept);
}

static bool switch_read(const Repo *repo, const json_t *facts, Switch *ret, Err *err) {
        const char *path = js_str(facts, "path"), *now = js_str(facts, "now"),
                   *kept = js_str(facts, "kept");
        if (!path || !now)
                return err_fail(err, ERR_CORRUPT, "the record of an artifact is incomplete");
        *ret = (Switch){.path = path_join(repo->work, path),
                .now = now,
                .was = js_str(facts, "was"),
                .set = js_str(facts, "set")};
        scoped(free_str) char *above = path_dirname(ret->path);
        ret->kept = kept ? path_join(above, kept) : NULL;
        return true;
}

/* While names are exchanged, the name to keep holds the link that comes. */
static LinkState state_of_kept(const Switch *one, bool is_now) {
        scoped(free_str) char *kept_link = link_read(one->kept);
        bool kept_is_now = str_equal(kept_link, one->now);
        bool kept_there = file_exists(one->kept);
        if (is_now)
                return kept_there && !kept_is_now ? LINK_NEW : LINK_OTHER;
        if (!file_exists(one->path))
                return LINK_OTHER;
        return kept_is_now ? LINK_HALF : kept_there ? LINK_OTHER : LINK_OLD;
}

static LinkState state_of(const Switch *one) {
        scoped(free_str) char *link = link_read(one->path);
        bool is_now = str_equal(link, one->now);
        if (one->kept)
                return state_of_kept(one, is_now);
        if (one->was && str_equal(one->was, one->now))
                return is_now ? LINK_BOTH : LINK_OTHER;
        if (is_now)
                return LINK_NEW;
        bool is_old = one->was ? str_equal(link, one->was) : !link && !file_exists(one->path);
        return is_old ? LINK_OLD : LINK_OTHER;
}

static bool switch_to_new(const Repo *repo, const Switch *one, LinkState is, Err *err) {
        if (is == LINK_NEW || is == LINK_BOTH)
                return true;
        if (!one->kept)
                return link_write_durable(one->path, one->now, err);
        scoped(free_str) char *home = home_dir(repo);
        scoped(free_str) char *set = path_join(home, one->set ? one->set : "before");
        return (file_exists(set) || link_write_durable(set, "..", err)) &&
               (is == LINK_HALF || link_write_durable(one->kept, one->now, err)) &&
               file_exchange(one->kept, one->path, err);
}

static bool user_back(const Switch *one, LinkState is, Err *err) {
        if (is == LINK_NEW && !file_exchange(one->kept, one->path, err))
                return false;
        return (is == LINK_OLD || file_unlink(one->kept, err)) &&
               file_forget_temporary(one->kept, err);
}

static bool switch_to_old(const Switch *one, LinkState is, Err *err) {
        if (one->kept)
                return user_back(one, is, err);
        bool ok = is != LINK_NEW ? true
                  : one->was     ? link_write_durable(one->path, one->was, err)
                                 : file_unlink(one->path, err);
        return ok && file_forget_temporary(one->path, err);
}

static bool refuse_foreign(const Switch *one, Err *err) {
        err_fail(err, ERR_DRIFT, "somebody else changed the artifact '%s'", one->path);
        return err_hint(err,
                "It is neither what was there before nor what was to be placed. Look at "
                "it and at what lies beside; `belay report` says what was done.");
}

static bool switch_one(const Repo *repo, const json_t *facts, bool to_new, Err *err) {
        scoped(switch_done) Switch one = {0};
        if (!switch_read(repo, facts, &one, err))
                return false;
        LinkState is = state_of(&one);
        if (is == LINK_OTHER)
                return refuse_foreign(&one, err);
        return to_new ? switch_to_new(repo, &one, is, err) : switch_to_old(&one, is, err);
}

bool artifacts_switch(const Repo *repo, const json_t *list, bool to_new, Err *err) {
        bool ok = true;
        repo_become(repo);
        for (size_t i = 0; ok && i < json_array_size(list); i++)
                ok = switch_one(repo, json_array_get(list, i), to_new, err);
        repo_resign(repo);
        return ok;
}

bool artifacts_observe(const Repo *repo, const json_t *list, SourceTruth *ret, bool *ret_either,
        Strv *ret_foreign, Err *err) {
        size_t old = 0, new = 0, other = 0, n = json_array_size(list);
        for (size_t i = 0; i < n; i++) {
                scoped(switch_done) Switch one = {0};
                if (!switch_read(repo, json_array_get(list, i), &one, err))
                        return false;
                repo_become(repo);
                LinkState is = state_of(&one);
                repo_resign(repo);
                old += is == LINK_OLD || is == LINK_BOTH;
                new += is == LINK_NEW || is == LINK_BOTH;
                other += is == LINK_OTHER;
                if (is == LINK_OTHER)
                        strv_add(ret_foreign, js_str(json_array_get(list, i), "path"));
        }
        *ret_either = old == n && new == n;
        *ret = other      ? SOURCE_DRIFT
               : new == n ? SOURCE_APPLIED
               : old == n ? SOURCE_NOT_APPLIED
                          : SOURCE_PARTLY;
        return true;
}

/* ---- tidying up ---- */

static bool names_in(const char *path, Strv *ret) {
        DIR *dir = opendir(path);
        if (!dir)
                return false;
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
                if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
                        strv_add(ret, entry->d_name);
        closedir(dir);
        return true;
}

static bool is_kept(const char *set, const char *const *keep, size_t n, const char *head) {
        bool kept = head && str_starts(head, set);
        for (size_t i = 0; i < n && !kept; i++)
                kept = str_starts(keep[i], set);
        return kept;
}

static bool is_in_place(const Repo *repo, const char *set) {
        bool found = false;
        for (char *const *a = artifacts_of(repo); a && *a && !found; a++) {
                scoped(free_str) char *path = path_join(repo->work, *a);
                scoped(free_str) char *link = link_read(path);
                found = is_own_link(link, path_basename(*a)) && str_ends(link, set);
        }
        return found;
}

static bool any_there(const Repo *repo, const char *set) {
        bool found = artifacts_of(repo) == NULL;
        for (char *const *a = artifacts_of(repo); a && *a && !found; a++) {
                scoped(free_str) char *path = kept_path(repo, *a, set);
                found = file_exists(path);
        }
        return found;
}

/* Directories of the checkout that hold nothing any more, as git does. */
static bool remove_empty_above(const Repo *repo, const char *path, Err *err) {
        scoped(free_str) char *above = path_dirname(path);
        while (!str_equal(above, repo->work)) {
                if (fault_before("rmdir", above))
                        return err_fail_errno(
                                err, ERR_IO, errno, "removing the empty directory '%s'", above);
                if (rmdir(above) != 0 && errno != ENOENT)
                        return true;
                fault_after();
                str_replace_owned(&above, path_dirname(above));
        }
        return true;
}

/* The name of the set goes last: as long as it is there, what belongs to it is found. */
static bool set_remove(const Repo *repo, const char *set, Err *err) {
        scoped(free_str) char *link = set_dir(repo, set);
        repo_become(repo);
        bool ok = true;
        for (char *const *a = artifacts_of(repo); ok && a && *a; a++) {
                scoped(free_str) char *path = kept_path(repo, *a, set);
                ok = tree_remove(path, err) && remove_empty_above(repo, path, err);
        }
        ok = ok && (is_directory(link) || file_unlink(link, err));
        repo_resign(repo);
        return ok && (!is_directory(link) || worktree_remove(repo, link, err));
}

/* Half made, but some of it may be in use: its name stays, and what is missing is made anew when it is wanted. */
static bool half_made_remove(const Repo *repo, const char *tree, Err *err) {
        if (!worktree_remove(repo, tree, err))
                return false;
        repo_become(repo);
        bool ok = link_write_durable(tree, "..", err);
        repo_resign(repo);
        return ok;
}

static bool is_set(const char *name) {
        return strlen(name) == COMMIT_DIGITS && strspn(name, "0123456789abcdef") == COMMIT_DIGITS;
}

static bool temporaries_remove(const Repo *repo, Err *err) {
        bool ok = true;
        repo_become(repo);
        for (char *const *a = artifacts_of(repo); ok && a && *a; a++) {
                scoped(free_str) char *path = path_join(repo->work, *a);
                ok = file_forget_temporary(path, err);
        }
        repo_resign(repo);
        return ok;
}

/* Without any set nothing of Belay's is left in the checkout. */
static bool home_remove_if_empty(const Repo *repo, const char *home, Err *err) {
        scoped(strv_freep) Strv left = NULL;
        if (!names_in(home, &left))
                return true;
        /* .gitignore, and what a writer that died may have left. */
        for (size_t i = 0; left && left[i]; i++)
                if (left[i][0] != '.')
                        return true;
        if (!exclude_drop(repo, err))
                return false;
        repo_become(repo);
        bool ok = tree_remove(home, err);
        repo_resign(repo);
        return ok;
}

bool artifacts_cleanup(
        const Repo *repo, const char *const *keep, size_t n, const char *head, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(strv_freep) Strv names = NULL;
        if (!is_directory(home) || !names_in(home, &names))
                return true;
        for (size_t i = 0; names && names[i]; i++) {
                scoped(free_str) char *path = path_join(home, names[i]);
                bool ok = true;
                bool wanted = (is_kept(names[i], keep, n, head) && any_there(repo, names[i])) ||
                              is_in_place(repo, names[i]);
                if (is_set(names[i]) && !wanted)
                        ok = set_remove(repo, names[i], err);
                else if (is_set(names[i]) && is_directory(path))
                        ok = half_made_remove(repo, path, err);
                else if (str_ends(names[i], ".old"))
                        ok = worktree_remove(repo, path, err);
                if (!ok)
                        return false;
        }
        return temporaries_remove(repo, err) && home_remove_if_empty(repo, home, err);
}
