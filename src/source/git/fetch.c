/* Brings the objects of a version, under Belay's own names: the user's tags and branches stay as they are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/version.h"
#include "platform/file.h"
#include "source/git/stage.h"
#include "source/git/tags.h"

static char *own_ref(const Release *to) { return str_format("refs/belay/%s", to->tag); }

static bool ref_commit(const Repo *repo, const char *ref, char **ret, Err *err) {
        scoped(free_str) char *object = str_format("%s^{commit}", ref);
        const char *args[] = {"rev-parse", "--verify", "--quiet", "--end-of-options", object, NULL};
        RepoCall call = {.args = args, .what = "git rev-parse", .also_fine = 1};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        char *text = str_trim(result.out ? result.out : result.err);
        *ret = result.exit_status == 0 && repo_is_object_name(text) ? str_copy(text) : NULL;
        return true;
}

/* All of it is here: the commit, and everything that it needs and the installed one has not. */
static bool is_whole(const Repo *repo, const char *commit, bool *ret, Err *err) {
        *ret = false;
        if (!tags_commit_is_here(repo, commit, ret, err))
                return false;
        if (!*ret)
                return true;
        const char *args[] = {
                "rev-list", "--objects", "--quiet", commit, "--not", "HEAD", "--", NULL};
        RepoCall call = {.args = args, .what = "git rev-list", .also_fine = 128};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        *ret = result.exit_status == 0;
        return true;
}

static bool ref_set(const Repo *repo, const char *ref, const char *commit, Err *err) {
        const char *args[] = {"update-ref", "--no-deref", ref, commit, NULL};
        RepoCall call = {.args = args, .what = "git update-ref"};
        return repo_call(repo, &call, NULL, err);
}

/* A fetch that was killed leaves its lock; below refs/belay/ nobody but Belay writes. */
static bool remove_stale_lock(const Repo *repo, const char *ref, Err *err) {
        scoped(free_str) char *name = str_format("%s.lock", ref);
        scoped(free_str) char *path = path_join(repo->common, name);
        repo_become(repo);
        bool ok = !file_exists(path) || file_unlink(path, err);
        repo_resign(repo);
        return ok;
}

static bool download(const Repo *repo, const Release *to, Err *err) {
        const GitSpec *git = &repo->context->service->git;
        scoped(free_str) char *ref = own_ref(to);
        scoped(free_str) char *refspec =
                str_format("+refs/%s/%s:%s", git->branch ? "heads" : "tags", to->tag, ref);
        scoped(free_str) char *what = str_format("fetching %s from '%s'", to->tag, git->remote);
        const char *args[] = {"fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
                "--no-auto-maintenance", "--no-recurse-submodules", "--no-prune", "--no-prune-tags",
                "--refmap=", "--end-of-options", git->remote, refspec, NULL};
        RepoCall call = {.args = args, .what = what, .timeout_ms = GIT_FETCH_MS};
        return repo_call(repo, &call, NULL, err);
}

static bool check_fetched(const Repo *repo, const Release *to, Err *err) {
        scoped(free_str) char *ref = own_ref(to);
        scoped(free_str) char *commit = NULL;
        bool here = false;
        if (!ref_commit(repo, ref, &commit, err))
                return false;
        if (!commit)
                return err_fail(err, ERR_REFUSED, "the tag '%s' names no commit", to->tag);
        if (str_equal(commit, to->reference))
                return true;
        /* A branch may have gone on meanwhile: what was resolved is then part of it. */
        if (repo->context->service->git.branch &&
                tags_commit_is_here(repo, to->reference, &here, err) && here)
                return ref_set(repo, ref, to->reference, err);
        err_fail(err, ERR_REFUSED, "'%s' is commit %.12s now, and it was %.12s a moment ago",
                to->tag, commit, to->reference);
        return err_hint(err, "It was moved meanwhile; look at it, then update again.");
}

static bool bring(const Repo *repo, const Release *to, Err *err) {
        scoped(free_str) char *ref = own_ref(to);
        bool whole = false;
        if (!version_text_ok(to->tag) || !repo_is_object_name(to->reference))
                return err_fail(err, ERR_BUG, "'%s' is no version that can be fetched", to->tag);
        if (!is_whole(repo, to->reference, &whole, err) || !remove_stale_lock(repo, ref, err))
                return false;
        if (whole)
                return ref_set(repo, ref, to->reference, err);
        return download(repo, to, err) && check_fetched(repo, to, err);
}

/* What is installed must stay, whatever happens to the tags and branches that lead to it. */
static bool pin_installed(const Repo *repo, const Release *to, Err *err) {
        scoped(repo_head_done) RepoHead head = {0};
        if (!repo_head(repo, &head, err))
                return false;
        if (!head.commit || str_equal(head.commit, to->reference))
                return true;
        return remove_stale_lock(repo, "refs/belay/@previous", err) &&
               ref_set(repo, "refs/belay/@previous", head.commit, err);
}

bool stage_fetch(const SourceContext *context, const Release *to, Err *err) {
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err) || !bring(&repo, to, err))
                return false;
        if (!tags_remember(context, to, err))
                return false;
        if (!context->mark || !context->state)
                return true;
        bool in_place = context->service->git.layout == LAYOUT_IN_PLACE;
        return pin_installed(&repo, to, err) && (!in_place || stage_lay_out(&repo, to, err));
}

bool fetch_from_itself(const SourceContext *context, const Release *to, Err *err) {
        const GitSpec *git = &context->service->git;
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err))
                return false;
        scoped(free_str) char *key = str_format("remote.%s.url", git->remote);
        scoped(free_str) char *tag = str_format("refs/tags/%s", to->tag);
        const char *args[] = {"config", "--replace-all", key, repo.common, NULL};
        const RepoCall call = {.args = args, .what = "git config"};
        return repo_call(&repo, &call, NULL, err) &&
               (git->branch || ref_set(&repo, tag, to->reference, err));
}
