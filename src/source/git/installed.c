/* What the checkout holds. Files of the repository are read; git is started only when they do not say. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/version.h"
#include "source/git/known.h"
#include "source/git/tags.h"

typedef struct Candidate {
        const Repo *repo;
        char *tag; /* the best so far, or NULL */
} Candidate;

static bool is_release(const char *tag, bool *ret_pre) {
        Version version = {0};
        if (!version_parse(tag, &version))
                return false;
        *ret_pre = version.pre != NULL;
        version_done(&version);
        return true;
}

/* Versions before other tags, releases before pre-releases, then the highest. */
static bool is_better(const char *tag, const char *than) {
        bool pre = false, than_pre = false, ordered = false;
        bool version = is_release(tag, &pre), than_version = is_release(than, &than_pre);
        if (version != than_version)
                return version;
        if (!version)
                return strcmp(tag, than) > 0;
        if (pre != than_pre)
                return !pre;
        return version_text_compare(tag, than, &ordered) > 0;
}

static void candidate_offer(Candidate *candidate, const char *tag) {
        const char *glob = candidate->repo->context->service->git.tags;
        if (fnmatch(glob ? glob : "*", tag, 0) != 0)
                return;
        if (!candidate->tag || is_better(tag, candidate->tag))
                str_replace_owned(&candidate->tag, str_copy(tag));
}

static const char *tag_of_ref(const char *ref) {
        if (str_starts(ref, "refs/tags/"))
                return ref + strlen("refs/tags/");
        const char *name = str_starts(ref, "refs/belay/") ? ref + strlen("refs/belay/") : NULL;
        return name && *name != '@' ? name : NULL;
}

static void offer_known(Candidate *candidate, const json_t *known, const char *commit) {
        const char *tag;
        json_t *value;
        json_object_foreach(
                js_get(known, "tags"), tag, value) if (str_equal(json_string_value(value), commit))
                candidate_offer(candidate, tag);
}

/* Returns how many tags only git could peel. */
static size_t offer_refs(Candidate *candidate, const RepoRefs *refs, const char *commit) {
        size_t unpeeled = 0;
        for (size_t i = 0; i < refs->n; i++) {
                const RepoRef *ref = &refs->items[i];
                const char *tag = tag_of_ref(ref->name);
                bool is_it = str_equal(ref->commit ? ref->commit : ref->object, commit);
                unpeeled += !ref->commit && !is_it;
                if (tag && is_it)
                        candidate_offer(candidate, tag);
        }
        return unpeeled;
}

static bool offer_by_git(Candidate *candidate, const char *commit, Err *err) {
        scoped(free_str) char *points = str_format("--points-at=%s", commit);
        const char *args[] = {
                "for-each-ref", "--format=%(refname)", points, "refs/tags", "refs/belay", NULL};
        RepoCall call = {.args = args, .what = "git for-each-ref"};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(candidate->repo, &call, &result, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(result.out ? result.out : "", '\n');
        for (size_t i = 0; i < strv_count(lines); i++)
                if (tag_of_ref(lines[i]))
                        candidate_offer(candidate, tag_of_ref(lines[i]));
        return true;
}

/* "v1.0.0-3-gabc1234" would read as a pre-release of 1.0.0, and it comes after it: build metadata says
 * so ("1.0.0+3.gabc1234"). */
static char *described_version(const char *text) {
        const char *hash = strrchr(text, '-');
        if (!hash || hash[1] != 'g')
                return str_copy(text);
        const char *count = memrchr(text, '-', (size_t)(hash - text));
        scoped(free_str) char *tag = count ? str_copy_n(text, (size_t)(count - text)) : NULL;
        bool pre = false;
        if (!tag || !is_release(tag, &pre) || strchr(tag, '+'))
                return str_copy(text);
        return str_format(
                "%s+%.*s.%s", version_bare(tag), (int)(hash - count - 1), count + 1, hash + 1);
}

static bool describe(const Repo *repo, const char *commit, Release *ret, Err *err) {
        const char *glob = repo->context->service->git.tags;
        scoped(free_str) char *match = str_format("--match=%s", glob ? glob : "*");
        const char *args[] = {"describe", "--tags", "--always", "--abbrev=12", match, commit, NULL};
        RepoCall call = {.args = args, .what = "git describe"};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        char *text = str_trim(result.out ? result.out : result.err);
        *ret = (Release){str_copy(text), described_version(text), str_copy(commit)};
        return true;
}

/* Which of several tags was chosen is known; the annotated tags that no file peels are asked of git. */
static bool find_tag(const Repo *repo, const char *commit, char **ret, Err *err) {
        scoped(js_freep) json_t *known = known_load(repo->context, err);
        scoped(repo_refs_done) RepoRefs refs = {0};
        if (!known)
                return false;
        if (known_chosen(known, commit)) {
                *ret = str_copy(known_chosen(known, commit));
                return true;
        }
        Candidate candidate = {.repo = repo};
        offer_known(&candidate, known, commit);
        bool ok = repo_tags(repo, &refs, err);
        size_t unpeeled = ok ? offer_refs(&candidate, &refs, commit) : 0;
        if (ok && !candidate.tag && unpeeled > 0)
                ok = offer_by_git(&candidate, commit, err);
        *ret = candidate.tag;
        return ok;
}

bool tags_installed(const SourceContext *context, Release *ret, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(repo_head_done) RepoHead head = {0};
        scoped(free_str) char *tag = NULL;
        const char *branch = context->service->git.branch;
        if (!repo_open(context, &repo, err) || !repo_head(&repo, &head, err))
                return false;
        if (!head.commit) {
                err_fail(err, ERR_REFUSED, "the checkout '%s' has no commit yet", repo.work);
                return err_hint(err, "Check a version out by hand first: git checkout TAG.");
        }
        if (branch) {
                *ret = (Release){
                        str_copy(branch), str_copy_n(head.commit, 12), str_copy(head.commit)};
                return true;
        }
        if (!find_tag(&repo, head.commit, &tag, err))
                return false;
        if (!tag)
                return describe(&repo, head.commit, ret, err);
        *ret = (Release){str_copy(tag), str_copy(version_bare(tag)), str_copy(head.commit)};
        return true;
}
