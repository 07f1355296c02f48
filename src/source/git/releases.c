#include "source/git/releases.h"

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
#include "source/git/place.h"
#include "source/git/preflight.h"
#include "source/git/worktree.h"

enum { COMMIT_DIGITS = 12, NOTE_MAX = 8192 };

static char *home_dir(const Repo *repo) { return path_join(repo->root, "releases"); }

static char *current_path(const Repo *repo) { return path_join(repo->root, "current"); }

/* ---- which directory is whose ---- */

/* A version as the name of a directory: a tag may hold a slash. */
static char *name_of(const Release *release) {
        char *name = str_copy(release->version);
        for (char *c = name; *c; c++)
                if (strchr("/\\: ", *c) || (unsigned char)*c < ' ')
                        *c = '-';
        if (*name == '.' || *name == '-')
                *name = '_';
        return name;
}

/* The complete release of that commit, or NULL. */
static bool find_release(const Repo *repo, const char *commit, char **ret, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(strv_freep) Strv paths = NULL;
        *ret = NULL;
        if (!worktree_list(repo, home, &paths, err))
                return false;
        for (size_t i = 0; paths && paths[i] && !*ret; i++) {
                scoped(free_str) char *sealed = NULL;
                if (!worktree_sealed(repo, paths[i], &sealed, err))
                        return false;
                if (str_equal(sealed, commit))
                        *ret = str_copy(paths[i]);
        }
        return true;
}

/* ---- which one is half made: a note that is there before it is ---- */

static char *making_path(const Repo *repo) { return path_join(repo->common, "belay-making"); }

static bool making_note(const Repo *repo, const char *path, Err *err) {
        scoped(free_str) char *note = making_path(repo);
        scoped(free_str) char *text = str_format("%s\n", path);
        repo_become(repo);
        bool ok = file_write_durable(note, text, strlen(text), 0644, err);
        repo_resign(repo);
        return ok;
}

static bool making_read(const Repo *repo, char **ret, Err *err) {
        scoped(free_str) char *note = making_path(repo);
        scoped(free_str) char *text = NULL;
        repo_become(repo);
        bool ok = file_read_if(note, NOTE_MAX, &text, NULL, err);
        repo_resign(repo);
        *ret = ok && text ? str_copy(str_trim(text)) : NULL;
        return ok;
}

static bool making_forget(const Repo *repo, Err *err) {
        scoped(free_str) char *note = making_path(repo);
        repo_become(repo);
        bool ok =
                (!file_exists(note) || file_unlink(note, err)) && file_forget_temporary(note, err);
        repo_resign(repo);
        return ok;
}

/* The version's own name, unless a complete release of another commit has it (its tag was moved), or what somebody
 * else made. */
static bool choose_path(const Repo *repo, const Release *to, char **ret, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(free_str) char *name = name_of(to);
        scoped(free_str) char *path = path_join(home, name);
        scoped(free_str) char *sealed = NULL;
        scoped(free_str) char *making = NULL;
        if (!worktree_sealed(repo, path, &sealed, err) || !making_read(repo, &making, err))
                return false;
        bool taken = sealed || (file_exists(path) && !str_equal(path, making));
        *ret = taken ? str_format("%s-%.*s", path, COMMIT_DIGITS, to->reference) : TAKE(path);
        return true;
}

/* ---- making one ---- */

/* "../../shared/data" from releases/1.2.0, one step up more for each directory in the path. */
static char *link_target(const char *shared) {
        scoped(str_done) Str text = {0};
        str_add(&text, "../../");
        for (const char *slash = strchr(shared, '/'); slash; slash = strchr(slash + 1, '/'))
                str_add(&text, "../");
        str_addf(&text, "shared/%s", shared);
        return str_take(&text);
}

/* A version may bring a link where a directory is expected: what is written below it would lie somewhere else. */
static bool refuse_link(const char *path, Err *err) {
        scoped(free_str) char *above = path_dirname(path);
        while (!file_exists(above))
                str_replace_owned(&above, path_dirname(above));
        scoped(free_str) char *real = file_real(above);
        return str_equal(real, above) ||
               err_fail(err, ERR_REFUSED, "the way to '%s', which is shared, leads through a link",
                       path);
}

static bool link_one(const Repo *repo, const char *path, const char *target, Err *err) {
        scoped(free_str) char *above = path_dirname(path);
        if (!refuse_link(path, err) || !dir_make_open(repo, above, err))
                return false;
        repo_become(repo);
        bool ok = link_write_durable(path, target, err);
        repo_resign(repo);
        return ok;
}

static bool refuse_own(const Repo *repo, const char *tree, const char *shared, Err *err) {
        err_fail(err, ERR_REFUSED,
                "the release '%s' has a '%s' of its own: it was made before that was shared", tree,
                shared);
        return err_hint(err,
                "Look which is the newer, that or '%s/shared/%s': what is to stay belongs into "
                "shared/. Then move the release's own away.",
                repo->root, shared);
}

/* A release that was made earlier may lack what is shared since; nothing that it holds is replaced. */
static bool link_shared(const Repo *repo, const char *tree, bool fresh, Err *err) {
        char *const *shared = repo->context->service->git.shared;
        for (; shared && *shared; shared++) {
                scoped(free_str) char *path = path_join(tree, *shared);
                scoped(free_str) char *target = link_target(*shared);
                scoped(free_str) char *link = link_read(path);
                if (str_equal(link, target))
                        continue;
                if (!fresh && file_exists(path))
                        return refuse_own(repo, tree, *shared, err);
                if (!link_one(repo, path, target, err))
                        return false;
        }
        return true;
}

bool releases_build(
        const SourceContext *context, const Release *to, const SourceBuild *how, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(free_str) char *path = NULL;
        if (!repo_open(context, &repo, err) || !find_release(&repo, to->reference, &path, err))
                return false;
        if (path)
                return (exclude_add(&repo, err) && link_shared(&repo, path, false, err)) ||
                       err_context(err, "making %s ready to run", to->tag);
        if (!choose_path(&repo, to, &path, err))
                return false;
        return (exclude_add(&repo, err) && making_note(&repo, path, err) &&
                       worktree_make(&repo, path, to->reference, err) &&
                       link_shared(&repo, path, true, err) &&
                       build_run(&repo, to, how, path, err) && disk_sync(repo.root, err) &&
                       worktree_seal(&repo, path, to->reference, err) &&
                       making_forget(&repo, err)) ||
               err_context(err, "making %s ready to run", to->tag);
}

/* ---- current ---- */

bool releases_facts(const SourceContext *context, const Release *to, json_t *facts, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(repo_head_done) RepoHead head = {0};
        scoped(free_str) char *path = NULL;
        if (!repo_open(context, &repo, err) || !repo_head(&repo, &head, err) ||
                !find_release(&repo, to->reference, &path, err))
                return false;
        if (!path)
                return err_fail(err, ERR_DRIFT,
                        "the release that was made for %s is not there any "
                        "more",
                        to->tag);
        scoped(free_str) char *current = current_path(&repo);
        scoped(free_str) char *was = link_read(current);
        scoped(free_str) char *now = str_format("releases/%s", path_basename(path));
        js_set_int(facts, "format", 1);
        js_set_str(facts, "layout", "releases");
        js_set_str(facts, "directory", repo.root);
        js_set_str(facts, "from", head.commit);
        js_set_str(facts, "to", to->reference);
        js_set_str(facts, "tag", to->tag);
        js_set_str(facts, "now", now);
        js_set_str(facts, "was", was);
        return true;
}

typedef struct Current {
        bool is_now, is_was;
} Current;

static bool look(const Repo *repo, const json_t *facts, Current *ret, Err *err) {
        scoped(free_str) char *path = current_path(repo);
        scoped(free_str) char *link = link_read(path);
        const char *now = js_str(facts, "now"), *was = js_str(facts, "was");
        if (!now)
                return err_fail(
                        err, ERR_CORRUPT, "the record of what was to be placed is incomplete");
        ret->is_now = str_equal(link, now);
        ret->is_was = was ? str_equal(link, was) : !file_exists(path);
        return true;
}

/* Without the checks of repo_open: `current` may lead nowhere, and that must be mended all the same. */
static bool open_root(const SourceContext *context, Repo *ret, Err *err) {
        Service plain = *context->service;
        plain.git.layout = LAYOUT_IN_PLACE;
        SourceContext at = *context;
        at.service = &plain;
        if (!repo_open(&at, ret, err))
                return false;
        ret->context = context;
        return true;
}

static bool point(const Repo *repo, const char *target, Err *err) {
        scoped(free_str) char *path = current_path(repo);
        repo_become(repo);
        bool ok = target ? link_write_durable(path, target, err)
                         : file_unlink(path, err) && file_forget_temporary(path, err);
        repo_resign(repo);
        return ok;
}

static bool go_to(const SourceContext *context, const json_t *facts, bool to_new, Err *err) {
        scoped(repo_done) Repo repo = {0};
        Current is = {0};
        if (!open_root(context, &repo, err) || !look(&repo, facts, &is, err))
                return false;
        if (to_new ? is.is_now : is.is_was)
                return true;
        if (!is.is_now && !is.is_was) {
                err_fail(err, ERR_DRIFT, "somebody else changed '%s/current'", repo.root);
                return err_hint(err, "It was to lead to '%s' or, as before, to '%s'.",
                        js_str(facts, "now"),
                        js_str(facts, "was") ? js_str(facts, "was") : "nothing");
        }
        return point(&repo, js_str(facts, to_new ? "now" : "was"), err);
}

bool releases_place(const SourceContext *context, const json_t *facts, Err *err) {
        return go_to(context, facts, true, err) ||
               err_context(err, "placing the release %s", js_str(facts, "tag"));
}

bool releases_take_back(const SourceContext *context, const json_t *facts, Err *err) {
        return go_to(context, facts, false, err) ||
               err_context(err, "putting back what was before %s", js_str(facts, "tag"));
}

bool releases_observe(const SourceContext *context, const json_t *facts, SourceTruth *ret,
        char **ret_why, Err *err) {
        scoped(repo_done) Repo repo = {0};
        Current is = {0};
        if (!open_root(context, &repo, err) || !look(&repo, facts, &is, err))
                return false;
        *ret = is.is_now ? SOURCE_APPLIED : is.is_was ? SOURCE_NOT_APPLIED : SOURCE_DRIFT;
        if (ret_why && *ret == SOURCE_DRIFT)
                *ret_why = str_format("'%s/current' leads somewhere else", repo.root);
        return true;
}

/* The release itself, not the link: what runs stays where it is when the link moves. */
bool releases_run_in(const SourceContext *context, char **ret, Err *err) {
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err))
                return false;
        *ret = TAKE(repo.work);
        return true;
}

/* ---- tidying up ---- */

/* A worktree that is neither complete nor being made is somebody's own: it may hold what is nowhere else. */
static bool is_wanted(const Repo *repo, const char *path, const char *const *keep, size_t n,
        bool *ret, Err *err) {
        scoped(free_str) char *sealed = NULL;
        scoped(free_str) char *making = NULL;
        *ret = str_equal(path, repo->work);
        if (*ret)
                return true;
        if (!worktree_sealed(repo, path, &sealed, err) || !making_read(repo, &making, err))
                return false;
        *ret = !sealed && !str_equal(path, making) && file_exists(path);
        for (size_t i = 0; sealed && i < n && !*ret; i++)
                *ret = str_equal(sealed, keep[i]);
        return true;
}

static bool dir_is_empty(const char *path) {
        DIR *dir = opendir(path);
        size_t n = 0;
        while (dir && readdir(dir) != NULL)
                n++;
        if (dir)
                closedir(dir);
        return n == 2;
}

/* After an update that was the first and did not succeed: as if Belay had never been here. */
static bool home_remove_if_empty(const Repo *repo, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(free_str) char *current = current_path(repo);
        bool there = file_exists(home);
        if (file_exists(current) || (there && !dir_is_empty(home)))
                return true;
        if (!exclude_drop(repo, err))
                return false;
        if (!there)
                return true;
        repo_become(repo);
        bool failed = fault_before("rmdir", home);
        if (!failed && rmdir(home) == 0)
                fault_after();
        repo_resign(repo);
        return !failed || err_fail_errno(err, ERR_IO, errno, "removing '%s'", home);
}

/* First it is no release any more, then its files go: after a death between two of them nobody could tell it from
 * a whole one, or from somebody's own. NULL: what such a death has left. */
static bool release_remove(const Repo *repo, const char *path, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(free_str) char *aside = path_join(home, ".removing");
        repo_become(repo);
        bool ok = tree_remove(aside, err) &&
                  (!path || !file_exists(path) ||
                          (file_rename(path, aside, err) && tree_remove(aside, err)));
        repo_resign(repo);
        return ok && (!path || worktree_forget(repo, path, err));
}

static bool sweep(const Repo *repo, const char *const *keep, size_t n, Err *err) {
        scoped(free_str) char *home = home_dir(repo);
        scoped(free_str) char *current = current_path(repo);
        scoped(strv_freep) Strv paths = NULL;
        if (!release_remove(repo, NULL, err) || !worktree_list(repo, home, &paths, err))
                return false;
        for (size_t i = 0; paths && paths[i]; i++) {
                bool wanted = false;
                if (!is_wanted(repo, paths[i], keep, n, &wanted, err) ||
                        (!wanted && !release_remove(repo, paths[i], err)))
                        return false;
        }
        repo_become(repo);
        bool ok = file_forget_temporary(current, err);
        repo_resign(repo);
        return ok && making_forget(repo, err) && home_remove_if_empty(repo, err);
}

bool releases_cleanup(const SourceContext *context, const char *const *keep, size_t n, Err *err) {
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err))
                return false;
        return (sweep(&repo, keep, n, err) ||
                       err_context(err, "removing releases from '%s'", repo.root)) &&
               place_cleanup(context, keep, n, err);
}
