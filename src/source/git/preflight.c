#include "source/git/preflight.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "platform/file.h"
#include "source/git/known.h"
#include "source/git/place.h"
#include "source/git/tags.h"

enum { ATTRIBUTES_MAX = 1024 * 1024 };

void source_findings_done(SourceFindings *findings) {
        for (size_t i = 0; i < findings->n; i++) {
                free(findings->items[i].message);
                free(findings->items[i].hint);
        }
        free(findings->items);
        *findings = (SourceFindings){0};
}

bool source_findings_ok(const SourceFindings *findings, Err *err) {
        scoped(str_done) Str all = {0};
        const SourceFinding *first = NULL;
        for (size_t i = 0; i < findings->n; i++) {
                if (findings->items[i].level != FINDING_REFUSAL)
                        continue;
                str_addf(&all, "%s%s", all.len ? "; " : "", findings->items[i].message);
                first = first ? first : &findings->items[i];
        }
        if (!first)
                return true;
        err_fail(err, ERR_REFUSED, "%s", all.text);
        return first->hint ? err_hint(err, "%s", first->hint) : false;
}

/* Takes message; `hint` is copied. */
void preflight_add(SourceFindings *findings, FindingLevel level, const char *code, char *message,
        const char *hint) {
        SourceFinding finding = {
                .level = level, .code = code, .message = message, .hint = str_copy(hint)};
        PUSH(findings->items, findings->n, finding);
}

/* ---- the shape of the repository ---- */

static const struct {
        const char *file, *what;
} unfinished[] = {
        {"MERGE_HEAD", "merge"},
        {"rebase-merge", "rebase"},
        {"rebase-apply", "rebase"},
        {"CHERRY_PICK_HEAD", "cherry-pick"},
        {"REVERT_HEAD", "revert"},
        {"BISECT_LOG", "bisect"},
};

static bool has_file(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        return file_exists(path);
}

static void look_at_shape(const Repo *repo, SourceFindings *findings) {
        for (size_t i = 0; i < COUNT_OF(unfinished); i++)
                if (has_file(repo->dir, unfinished[i].file))
                        preflight_add(findings, FINDING_REFUSAL, "unfinished",
                                str_format("a %s is under way in '%s'", unfinished[i].what,
                                        repo->work),
                                "Finish or abort it first; git status says how.");
        if (has_file(repo->dir, "HEAD.lock"))
                preflight_add(findings, FINDING_REFUSAL, "head-lock",
                        str_format("'%s/HEAD.lock' is there", repo->dir),
                        "Another git is at work, or died; when none runs in this checkout, remove "
                        "that file.");
        if (has_file(repo->common, "shallow"))
                preflight_add(findings, FINDING_NOTE, "shallow",
                        str_format("'%s' is a shallow clone", repo->work), NULL);
        if (repo->context->service->git.layout == LAYOUT_RELEASES)
                return;
        bool module = strstr(repo->dir, "/modules/") != NULL;
        if (module)
                preflight_add(findings, FINDING_WARNING, "submodule",
                        str_format("'%s' is a submodule: the repository around it will show it as "
                                   "changed",
                                repo->work),
                        NULL);
        if (!module && !str_equal(repo->dir, repo->common))
                preflight_add(findings, FINDING_NOTE, "worktree",
                        str_format("'%s' is a worktree of '%s'", repo->work, repo->common), NULL);
        if (has_file(repo->work, ".gitmodules"))
                preflight_add(findings, FINDING_NOTE, "submodules",
                        str_copy("submodules stay at their commits"), NULL);
}

static bool look_at_lock(const Repo *repo, SourceFindings *findings, Err *err) {
        IndexLock lock = INDEX_FREE;
        if (!index_lock_look(repo, &lock, err))
                return false;
        if (lock != INDEX_FOREIGN)
                return true;
        scoped(free_str) char *holder = index_lock_holder(repo);
        if (holder)
                preflight_add(findings, FINDING_REFUSAL, "index-lock",
                        str_format("%s has '%s/index.lock': it is changing the checkout", holder,
                                repo->dir),
                        "Wait until it has finished.");
        else
                preflight_add(findings, FINDING_REFUSAL, "index-lock",
                        str_format(
                                "'%s/index.lock' is there, and no program has it open", repo->dir),
                        "A git died there; when none runs in this checkout, remove that file.");
        return true;
}

/* ---- the remote ---- */

static void look_at_address(const char *url, SourceFindings *findings) {
        scoped(free_str) char *shown = repo_redact(url);
        bool helper = strstr(url, "::") && strcspn(url, ":") == (size_t)(strstr(url, "::") - url);
        if (*url == '-' || helper)
                preflight_add(findings, FINDING_REFUSAL, "address",
                        str_format("the remote's address '%s' would start a program of its choice",
                                shown),
                        "Use an https, ssh or file address.");
        if (strncasecmp(url, "git://", 6) == 0)
                preflight_add(findings, FINDING_REFUSAL, "address",
                        str_format(
                                "the remote's address '%s' is neither encrypted nor authenticated",
                                shown),
                        "Use an https or ssh address.");
        bool local = str_starts(url, "http://localhost") || str_starts(url, "http://127.") ||
                     str_starts(url, "http://[::1]");
        if (strncasecmp(url, "http://", 7) == 0 && !local)
                preflight_add(findings, FINDING_WARNING, "address",
                        str_format("the remote's address '%s' is not encrypted: anybody on the way "
                                   "can change what is installed",
                                shown),
                        "Use an https or ssh address.");
        const char *userinfo = strstr(shown, "://***@");
        const char *original = userinfo ? strstr(url, "://") + 3 : NULL;
        if (original && memchr(original, ':', strcspn(original, "@")))
                preflight_add(findings, FINDING_WARNING, "password",
                        str_format("the remote's address '%s' holds a password", shown),
                        "Use a credential helper or an ssh key.");
}

static const char *const refspec_texts[] = {
        [REFSPEC_NONE] =
                "the remote '%s' has no line that says which branches to fetch (remote.%s.fetch)",
        [REFSPEC_NARROW] = "the remote '%s' fetches only some of its branches (remote.%s.fetch)",
        [REFSPEC_INVALID] =
                "the remote '%s' has a fetch line that git cannot read (remote.%s.fetch)",
};

static char *refspec_text(RefspecFault fault, const char *remote) {
        scoped(strv_freep) Strv pieces = strv_split(refspec_texts[fault], '%');
        return str_format("%s%s%s%s%s", pieces[0], remote, pieces[1] + 1, remote, pieces[2] + 1);
}

static void look_at_remote(
        const Repo *repo, const RepoSettings *settings, SourceFindings *findings) {
        const char *remote = repo->context->service->git.remote;
        scoped(free_str) char *key = str_format("remote.%s.url", remote);
        const char *url = repo_settings_get(settings, key);
        if (!tags_remote_name_ok(remote) || !url) {
                preflight_add(findings, FINDING_REFUSAL, "remote",
                        str_format("the checkout has no remote '%s'", remote),
                        "List them with: git remote -v. The manifest's source.git.remote names the "
                        "one to use.");
                return;
        }
        look_at_address(url, findings);
        RefspecFault fault = refspec_fault(settings, remote);
        if (fault == REFSPEC_FINE)
                return;
        scoped(free_str) char *hint =
                str_format("belay update --fix mends it, or: git config --add remote.%s.fetch "
                           "'+refs/heads/*:refs/remotes/%s/*'.",
                        remote, remote);
        preflight_add(findings, fault == REFSPEC_INVALID ? FINDING_REFUSAL : FINDING_WARNING,
                "refspec", refspec_text(fault, remote), hint);
        findings->items[findings->n - 1].fixable = true;
}

static void look_at_settings(
        const Repo *repo, const RepoSettings *settings, SourceFindings *findings) {
        if (str_equal(repo_settings_get(settings, "core.sparsecheckout"), "true"))
                preflight_add(findings, FINDING_REFUSAL, "sparse",
                        str_copy("the checkout is sparse: not all files are here"),
                        "Make it whole: git sparse-checkout disable.");
        if (repo_settings_get(settings, "core.worktree"))
                preflight_add(findings, FINDING_REFUSAL, "core-worktree",
                        str_copy("core.worktree is set: the files of this repository lie somewhere "
                                 "else"),
                        "Unset it: git config --unset core.worktree.");
        scoped(free_str) char *path = path_join(repo->work, ".gitattributes");
        scoped(free_str) char *text = NULL;
        if (file_read_if(path, ATTRIBUTES_MAX, &text, NULL, NULL) && text &&
                strstr(text, "filter="))
                preflight_add(findings, FINDING_NOTE, "filter",
                        str_copy("files go through filters (.gitattributes): the programs that "
                                 "git's settings name for "
                                 "them run when a version is fetched"),
                        NULL);
}

/* ---- the files ---- */

void preflight_add_paths(SourceFindings *findings, const char *code, const char *what, Strv paths,
        const char *hint) {
        if (strv_count(paths) == 0)
                return;
        scoped(free_str) char *names = strv_join(paths, "', '");
        scoped(free_str) char *shown = str_printable(names, false);
        preflight_add(findings, FINDING_REFUSAL, code,
                str_format("%s: '%.600s'%s", what, shown, strlen(shown) > 600 ? " and more" : ""),
                hint);
}

static bool look_at_changes(const Repo *repo, SourceFindings *findings, Err *err) {
        scoped(strv_freep) Strv changes = NULL;
        if (!stage_local_changes(repo, &changes, err))
                return false;
        preflight_add_paths(findings, "local-changes", "tracked files have local changes", changes,
                "Commit or stash them, or undo them with git checkout.");
        return true;
}

/* Where a followed branch has come from and goes to. */
typedef struct BranchStep {
        bool ahead, back; /* the target comes after what is here; or before it */
        bool of_remote;   /* what is here came from the remote: nothing of it was made here */
} BranchStep;

static bool is_ancestor(const Repo *repo, const char *old, const char *young, bool *ret, Err *err) {
        const char *args[] = {"merge-base", "--is-ancestor", old, young, NULL};
        RepoCall call = {.args = args, .what = "git merge-base", .also_fine = 1};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        *ret = result.exit_status == 0;
        return true;
}

static bool branch_step(
        const Repo *repo, const char *from, const char *to, BranchStep *ret, Err *err) {
        const GitSpec *git = &repo->context->service->git;
        scoped(js_freep) json_t *known = known_load(repo->context, err);
        scoped(free_str) char *name = str_format("refs/remotes/%s/%s", git->remote, git->branch);
        scoped(free_str) char *tracked = NULL;
        if (!known || !repo_ref(repo, name, &tracked, err) ||
                !is_ancestor(repo, from, to, &ret->ahead, err) ||
                !is_ancestor(repo, to, from, &ret->back, err))
                return false;
        ret->of_remote = known_head(known, from) || str_equal(tracked, from);
        return true;
}

/* Commits of its own on a followed branch would be left behind without a name; and a branch that does not go on
 * from what is here was rewritten: a person has to say that it is right. */
static bool look_at_branch(
        const Repo *repo, const char *from, const char *to, SourceFindings *findings, Err *err) {
        const GitSpec *git = &repo->context->service->git;
        BranchStep step = {0};
        if (!git->branch)
                return true;
        if (!branch_step(repo, from, to, &step, err))
                return false;
        if (step.ahead)
                return true;
        if (!step.of_remote)
                preflight_add(findings, FINDING_REFUSAL, "diverged",
                        str_format("the branch '%s' has commits here that its remote has not: "
                                   "%.12s is not part of what '%s' offers",
                                git->branch, from, git->remote),
                        "Push them, or bring the two together by hand.");
        else if (step.back)
                preflight_add(findings, FINDING_REFUSAL, "set-back",
                        str_format("the branch '%s' was set back: %.12s is older than %.12s, which "
                                   "is installed",
                                git->branch, to, from),
                        "The data may be too new for it. --even-if-bad goes there all the same.");
        else
                preflight_add(findings, FINDING_REFUSAL, "force-pushed",
                        str_format(
                                "the branch '%s' was force-pushed: %.12s, which is installed, is "
                                "no part of %.12s",
                                git->branch, from, to),
                        "Ask who publishes it why; --even-if-bad accepts the new head.");
        return true;
}

static void look_at_modules(const ChangeList *list, SourceFindings *findings) {
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].old_mode == MODE_MODULE ||
                        list->items[i].new_mode == MODE_MODULE)
                        preflight_add(findings, FINDING_REFUSAL, "submodule-moves",
                                str_format("the submodule '%s' is another one in the new version",
                                        list->items[i].quoted),
                                "Belay does not move submodules; update this service by hand.");
}

/* What a person keeps in such a file would be gone without a word. */
static bool look_at_hidden(
        const Repo *repo, const ChangeList *list, SourceFindings *findings, Err *err) {
        scoped(strv_freep) Strv hidden = NULL;
        if (!stage_hidden(repo, list, &hidden, err))
                return false;
        preflight_add_paths(findings, "local-changes", STAGE_HIDDEN, hidden, STAGE_HIDDEN_HINT);
        return true;
}

static bool look_at_target(
        const Repo *repo, const Release *to, SourceFindings *findings, Err *err) {
        scoped(repo_head_done) RepoHead head = {0};
        scoped(change_list_done) ChangeList list = {0};
        scoped(strv_freep) Strv paths = NULL;
        bool here = false;
        if (!repo_head(repo, &head, err) || !tags_commit_is_here(repo, to->reference, &here, err))
                return false;
        if (!here || !head.commit)
                return true;
        findings->target_seen = true;
        if (!look_at_branch(repo, head.commit, to->reference, findings, err) ||
                !preflight_made(repo, head.commit, to->reference, findings, err))
                return false;
        if (repo->context->service->git.layout == LAYOUT_RELEASES)
                return true;
        if (!change_list_diff(repo, head.commit, to->reference, &list, err) ||
                !stage_in_the_way(repo, &list, &paths, err) ||
                !look_at_hidden(repo, &list, findings, err) ||
                !preflight_disks(repo, &list, findings, err))
                return false;
        look_at_modules(&list, findings);
        preflight_add_paths(findings, "in-the-way",
                "the new version would overwrite files that git does not track here", paths,
                "Move them away first.");
        return true;
}

bool preflight_git(const SourceContext *context, const Release *to, SourceFindings *ret, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(repo_settings_done) RepoSettings settings = {0};
        scoped(err_clear) Err no = {0};
        if (!repo_open(context, &repo, &no)) {
                if (no.code != ERR_REFUSED) {
                        err_move(err, &no);
                        return false;
                }
                preflight_add(ret, FINDING_REFUSAL, "checkout", str_copy(no.message), no.hint);
                return true;
        }
        look_at_shape(&repo, ret);
        if (!preflight_layout(&repo, ret, err))
                return false;
        if (!look_at_lock(&repo, ret, err) || !repo_settings_read(&repo, &settings, err))
                return false;
        look_at_remote(&repo, &settings, ret);
        look_at_settings(&repo, &settings, ret);
        return look_at_changes(&repo, ret, err) && (!to || look_at_target(&repo, to, ret, err));
}

bool preflight_fix(const SourceContext *context, Strv *ret_done, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(repo_settings_done) RepoSettings settings = {0};
        const char *remote = context->service->git.remote;
        if (!repo_open(context, &repo, err) || !repo_settings_read(&repo, &settings, err))
                return false;
        scoped(free_str) char *key = str_format("remote.%s.fetch", remote);
        scoped(free_str) char *url_key = str_format("remote.%s.url", remote);
        scoped(free_str) char *value = str_format("+refs/heads/*:refs/remotes/%s/*", remote);
        RefspecFault fault = refspec_fault(&settings, remote);
        if (fault == REFSPEC_FINE || !repo_settings_get(&settings, url_key))
                return true;
        const char *how = fault == REFSPEC_INVALID ? "--replace-all" : "--add";
        const char *args[] = {"config", "--local", how, key, value, NULL};
        RepoCall call = {.args = args, .what = "git config"};
        if (!repo_call(&repo, &call, NULL, err))
                return err_context(err, "mending %s", key);
        strv_addf(ret_done, "set %s to '%s'", key, value);
        return true;
}
