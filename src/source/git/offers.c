/* What the remote offers, and which of it is meant. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/version.h"
#include "source/git/known.h"
#include "source/git/tags.h"

void offers_done(Offers *offers) {
        for (size_t i = 0; i < offers->n; i++)
                release_done(&offers->releases[i]);
        free(offers->releases);
        free(offers->moved);
        strv_free(offers->ignored);
        *offers = (Offers){0};
}

bool tags_remote_name_ok(const char *name) { return version_text_ok(name) && !strpbrk(name, ":"); }

/* One line of ls-remote: the object, a tab, the reference. */
typedef struct RemoteTag {
        char *name;
        char *commit;
} RemoteTag;

typedef struct RemoteTags {
        RemoteTag *items;
        size_t n;
} RemoteTags;

static void remote_tags_done(RemoteTags *tags) {
        for (size_t i = 0; i < tags->n; i++) {
                free(tags->items[i].name);
                free(tags->items[i].commit);
        }
        free(tags->items);
        *tags = (RemoteTags){0};
}

static bool remote_ask(
        const Repo *repo, const char *kind, const char *pattern, ChildResult *ret, Err *err) {
        const char *remote = repo->context->service->git.remote;
        if (!tags_remote_name_ok(remote))
                return err_fail(err, ERR_MANIFEST, "'%s' is no name of a remote", remote);
        scoped(free_str) char *what = str_format("asking '%s' for its versions", remote);
        const char *args[] = {
                "ls-remote", "--quiet", kind, "--end-of-options", remote, pattern, NULL};
        RepoCall call = {.args = args, .what = what, .timeout_ms = GIT_LIST_MS};
        return repo_call(repo, &call, ret, err);
}

/* A peeled line ("refs/tags/v1^{}") follows its tag and holds the commit that is meant. */
static bool remote_tag_add(RemoteTags *tags, const char *glob, char *object, char *ref, Err *err) {
        if (!str_starts(ref, "refs/tags/") || !repo_is_object_name(object))
                return true;
        char *name = ref + strlen("refs/tags/");
        if (str_ends(name, "^{}")) {
                name[strlen(name) - 3] = '\0';
                if (tags->n > 0 && str_equal(tags->items[tags->n - 1].name, name))
                        str_replace_owned(&tags->items[tags->n - 1].commit, str_copy(object));
                return true;
        }
        if (fnmatch(glob, name, 0) != 0)
                return true;
        if (tags->n == LIMIT_TAGS) {
                err_fail(err, ERR_REFUSED, "the remote offers more than %d tags", LIMIT_TAGS);
                return err_hint(err, "Narrow them with source.git.tags, for example \"v2.*\".");
        }
        RemoteTag tag = {str_copy(name), str_copy(object)};
        PUSH(tags->items, tags->n, tag);
        return true;
}

static bool remote_tags(const Repo *repo, RemoteTags *ret, Err *err) {
        const char *glob = repo->context->service->git.tags;
        scoped(child_result_done) ChildResult result = {0};
        scoped(remote_tags_done) RemoteTags tags = {0};
        if (!remote_ask(repo, "--tags", NULL, &result, err))
                return false;
        for (char *line = result.out, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                char *tab = strchr(line, '\t');
                if (!tab)
                        continue;
                *tab = '\0';
                if (!remote_tag_add(&tags, glob ? glob : "*", line, tab + 1, err))
                        return false;
        }
        *ret = tags;
        tags = (RemoteTags){0};
        return true;
}

static int newest_first(const void *a, const void *b) {
        bool ordered = false;
        const Release *left = a, *right = b;
        int order = version_text_compare(right->version, left->version, &ordered);
        return order ? order : strcmp(right->tag, left->tag);
}

static bool is_version(const char *tag) {
        Version version = {0};
        if (!version_parse(tag, &version))
                return false;
        version_done(&version);
        return true;
}

static void offers_fill(Offers *offers, const RemoteTags *tags, json_t *known, bool *ret_news) {
        for (size_t i = 0; i < tags->n; i++) {
                const RemoteTag *tag = &tags->items[i];
                if (!is_version(tag->name)) {
                        strv_add(&offers->ignored, tag->name);
                        continue;
                }
                Release release = {str_copy(tag->name), str_copy(version_bare(tag->name)),
                        str_copy(tag->commit)};
                PUSH(offers->releases, offers->n, release);
                *ret_news |= known_add(known, tag->name, tag->commit);
        }
        if (offers->n > 1)
                qsort(offers->releases, offers->n, sizeof(Release), newest_first);
        offers->moved = NEW_ARRAY(bool, offers->n + 1);
        for (size_t i = 0; i < offers->n; i++)
                offers->moved[i] = !str_equal(known_commit(known, offers->releases[i].tag),
                        offers->releases[i].reference);
}

static bool branch_head(const Repo *repo, Release *ret, Err *err) {
        const char *branch = repo->context->service->git.branch;
        if (!version_text_ok(branch))
                return err_fail(err, ERR_MANIFEST, "'%s' is no name of a branch", branch);
        scoped(child_result_done) ChildResult result = {0};
        scoped(free_str) char *ref = str_format("refs/heads/%s", branch);
        if (!remote_ask(repo, "--heads", ref, &result, err))
                return false;
        size_t n = result.out ? strcspn(result.out, "\t") : 0;
        scoped(free_str) char *commit = str_copy_n(n ? result.out : "", n);
        if (!repo_is_object_name(commit)) {
                err_fail(err, ERR_REFUSED, "the remote '%s' has no branch '%s'",
                        repo->context->service->git.remote, branch);
                return err_hint(err, "List its branches with: git ls-remote --heads %s.",
                        repo->context->service->git.remote);
        }
        *ret = (Release){str_copy(branch), str_copy_n(commit, 12), str_copy(commit)};
        return true;
}

static bool list_tags(const Repo *repo, Offers *ret, Err *err) {
        scoped(remote_tags_done) RemoteTags tags = {0};
        scoped(js_freep) json_t *known = known_load(repo->context, err);
        bool news = false;
        if (!known || !remote_tags(repo, &tags, err))
                return false;
        offers_fill(ret, &tags, known, &news);
        /* Somebody who may only look cannot write there: then it is learnt another time. */
        scoped(err_clear) Err unsaved = {0};
        if (news)
                known_save(repo->context, known, &unsaved);
        return true;
}

static bool list_branch(const Repo *repo, Offers *ret, Err *err) {
        Release head = {0};
        if (!branch_head(repo, &head, err))
                return false;
        PUSH(ret->releases, ret->n, head);
        ret->moved = NEW_ARRAY(bool, 1);
        return true;
}

bool tags_list(const SourceContext *context, Offers *ret, Err *err) {
        scoped(repo_done) Repo repo = {0};
        if (!repo_open(context, &repo, err))
                return false;
        return context->service->git.branch ? list_branch(&repo, ret, err)
                                            : list_tags(&repo, ret, err);
}

/* ---- which one is meant ---- */

bool tags_commit_is_here(const Repo *repo, const char *commit, bool *ret, Err *err) {
        scoped(free_str) char *object = str_format("%s^{commit}", commit);
        const char *args[] = {"cat-file", "-e", object, NULL};
        RepoCall call = {.args = args, .what = "git cat-file", .also_fine = 128};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_is_object_name(commit))
                return err_fail(err, ERR_BUG, "'%s' is no commit", commit);
        if (!repo_call(repo, &call, &result, err))
                return false;
        *ret = result.exit_status == 0;
        return true;
}

typedef struct Near {
        const char *name;
        unsigned distance;
} Near;

static int nearer_first(const void *a, const void *b) {
        const Near *left = a, *right = b;
        return (left->distance > right->distance) - (left->distance < right->distance);
}

/* "v1.2.0, v1.2.1 and v1.3.0": the three names that look most like it. */
static char *nearest_names(const char *wanted, const Offers *offers) {
        Near *near = NEW_ARRAY(Near, offers->n + strv_count(offers->ignored) + 1);
        size_t n = 0;
        for (size_t i = 0; i < offers->n; i++)
                near[n++] = (Near){offers->releases[i].tag,
                        str_distance(version_bare(wanted), offers->releases[i].version)};
        for (size_t i = 0; i < strv_count(offers->ignored); i++)
                near[n++] = (Near){offers->ignored[i], str_distance(wanted, offers->ignored[i])};
        if (n > 1)
                qsort(near, n, sizeof(Near), nearer_first);
        Str s = {0};
        for (size_t i = 0; i < n && i < 3; i++)
                str_addf(&s, "%s%s", i == 0 ? "" : ", ", near[i].name);
        free(near);
        return str_take(&s);
}

static bool no_such_version(
        const SourceContext *context, const char *wanted, const Offers *offers, Err *err) {
        const GitSpec *git = &context->service->git;
        scoped(free_str) char *names = nearest_names(wanted, offers);
        err_fail(err, ERR_REFUSED, "the remote '%s' has no version '%s'", git->remote, wanted);
        err_reason(err, "no-such-version");
        if (!*names)
                return err_hint(err, "It offers no tag that matches '%s' at all.",
                        git->tags ? git->tags : "*");
        return err_hint(err, "The nearest are: %s.", names);
}

static bool tag_moved(
        const SourceContext *context, const Release *release, const char *known, Err *err) {
        err_fail(err, ERR_REFUSED,
                "the tag '%s' points at another commit than before: %.12s, and it was %.12s",
                release->tag, release->reference, known);
        err_reason(err, "moved-tag");
        return err_hint(err,
                "Ask who publishes '%s' why it was moved; --even-if-bad accepts the new one.",
                context->service->name);
}

static bool check_moved(const SourceContext *context, const Release *release, Err *err) {
        scoped(js_freep) json_t *known = known_load(context, err);
        if (!known)
                return false;
        const char *commit = known_commit(known, release->tag);
        return !commit || str_equal(commit, release->reference) ||
               tag_moved(context, release, commit, err);
}

/* Exactly that name first, then the same version with or without v. */
static const Release *find_version(const Offers *offers, const char *wanted) {
        for (size_t i = 0; i < offers->n; i++)
                if (str_equal(offers->releases[i].tag, wanted))
                        return &offers->releases[i];
        for (size_t i = 0; i < offers->n; i++)
                if (version_same(offers->releases[i].tag, wanted))
                        return &offers->releases[i];
        return NULL;
}

static bool resolve_wanted(const Repo *repo, const char *wanted, Release *ret, Err *err) {
        scoped(offers_done) Offers offers = {0};
        if (!list_tags(repo, &offers, err))
                return false;
        const Release *found = find_version(&offers, wanted);
        if (found)
                return check_moved(repo->context, found, err) && (release_copy(ret, found), true);
        if (strv_contains(offers.ignored, wanted)) {
                err_fail(err, ERR_REFUSED, "the tag '%s' is no version number", wanted);
                return err_hint(err, "Belay updates to tags like v1.2.3; give this commit one.");
        }
        return no_such_version(repo->context, wanted, &offers, err);
}

/* Going back must not need the network: a version that was here once is known with its commit. */
static bool resolve_known(const Repo *repo, const char *wanted, Release *ret) {
        scoped(js_freep) json_t *known = known_load(repo->context, NULL);
        const char *tag;
        json_t *commit;
        json_object_foreach(js_get(known, "tags"), tag, commit) {
                const char *name = json_string_value(commit);
                bool here = false;
                if (!version_same(tag, wanted) || !repo_is_object_name(name))
                        continue;
                if (!tags_commit_is_here(repo, name, &here, NULL) || !here)
                        continue;
                *ret = (Release){str_copy(tag), str_copy(version_bare(tag)), str_copy(name)};
                return true;
        }
        return false;
}

static bool in_channel(Channel channel, const Version *candidate, const Version *installed) {
        if (!installed || channel == CHANNEL_LATEST)
                return true;
        if (candidate->major != installed->major)
                return false;
        return channel == CHANNEL_MINOR || candidate->minor == installed->minor;
}

static const Release *find_newest(
        const SourceContext *context, const Offers *offers, const Version *installed) {
        for (size_t i = 0; i < offers->n; i++) {
                Version version = {0};
                if (!version_parse(offers->releases[i].version, &version))
                        continue;
                bool fits =
                        !version.pre && in_channel(context->service->channel, &version, installed);
                bool newer = !installed || version_compare(&version, installed) > 0;
                version_done(&version);
                if (fits && newer && context->not_offered)
                        fits = !context->not_offered(
                                context->not_offered_context, &offers->releases[i]);
                if (fits)
                        return &offers->releases[i];
        }
        return NULL;
}

static bool check_channel(const Service *service, bool known, Err *err) {
        if (service->channel == CHANNEL_EXACT) {
                err_fail(err, ERR_USAGE, "'%s' follows no channel: a version must be named",
                        service->name);
                return err_hint(err, "Name one, or set channel: latest in the manifest.");
        }
        if (known || service->channel == CHANNEL_LATEST)
                return true;
        err_fail(err, ERR_REFUSED,
                "what is installed is no version number, so no channel can be followed");
        return err_hint(err, "Name the version to update to.");
}

/* Never backwards: what is installed may be newer than all that the channel has, or a pre-release. */
static bool stays(const Release *newest, const Release *installed, bool known) {
        bool ordered = false;
        if (!installed || !installed->reference || !known)
                return false;
        return !newest || version_text_compare(newest->version, installed->version, &ordered) <= 0;
}

static bool resolve_newest(const Repo *repo, const Release *installed, Release *ret, Err *err) {
        scoped(offers_done) Offers offers = {0};
        scoped(version_done) Version from = {0};
        bool known = installed && installed->version && version_parse(installed->version, &from);
        if (!check_channel(repo->context->service, known, err) || !list_tags(repo, &offers, err))
                return false;
        const Release *newest = find_newest(repo->context, &offers, known ? &from : NULL);
        if (stays(newest, installed, known)) {
                release_copy(ret, installed);
                return true;
        }
        if (!newest)
                return no_such_version(repo->context, "newest", &offers, err);
        return check_moved(repo->context, newest, err) && (release_copy(ret, newest), true);
}

static bool resolve_branch(const Repo *repo, const char *wanted, Release *ret, Err *err) {
        const char *branch = repo->context->service->git.branch;
        scoped(release_done) Release head = {0};
        if (!branch_head(repo, &head, err))
                return false;
        if (!wanted || str_equal(wanted, branch) || str_starts(head.reference, wanted)) {
                *ret = head;
                head = (Release){0};
                return true;
        }
        size_t n = strspn(wanted, "0123456789abcdef");
        scoped(free_str) char *object = str_format("%s^{commit}", wanted);
        const char *args[] = {"rev-parse", "--verify", "--quiet", "--end-of-options", object, NULL};
        RepoCall call = {.args = args, .what = "git rev-parse", .also_fine = 1};
        scoped(child_result_done) ChildResult result = {0};
        if (n >= 7 && n <= 64 && wanted[n] == '\0' && repo_call(repo, &call, &result, NULL) &&
                result.exit_status == 0) {
                *ret = (Release){str_copy(branch), str_copy_n(result.out, 12),
                        str_copy_n(result.out, strcspn(result.out, "\n"))};
                return true;
        }
        err_fail(err, ERR_REFUSED, "the service follows the branch '%s', which has no version '%s'",
                branch, wanted);
        err_reason(err, "no-such-version");
        return err_hint(err, "Its newest commit is %s.", head.version);
}

static bool text_ok(const char *wanted, Err *err) {
        if (!wanted || version_text_ok(wanted))
                return true;
        scoped(free_str) char *shown = str_printable(wanted, false);
        err_fail(err, ERR_USAGE, "'%.60s' cannot be a version or a tag", shown);
        return err_hint(err, "A version looks like 1.2.0 or v1.2.0.");
}

bool tags_resolve(const SourceContext *context, const char *wanted, const Release *installed,
        Release *ret, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(release_done) Release found = {0};
        scoped(err_clear) Err away = {0};
        if (!text_ok(wanted, err) || !repo_open(context, &repo, err))
                return false;
        bool ok = context->service->git.branch ? resolve_branch(&repo, wanted, &found, &away)
                  : wanted                     ? resolve_wanted(&repo, wanted, &found, &away)
                                               : resolve_newest(&repo, installed, &found, &away);
        bool unreachable = !ok && (away.code == ERR_REMOTE || away.code == ERR_TIMEOUT);
        if (unreachable && wanted && !context->service->git.branch)
                ok = resolve_known(&repo, wanted, &found);
        if (!ok) {
                err_move(err, &away);
                return false;
        }
        *ret = found;
        found = (Release){0};
        return true;
}

bool tags_remember(const SourceContext *context, const Release *release, Err *err) {
        scoped(js_freep) json_t *known = known_load(context, err);
        if (!known)
                return false;
        if (context->service->git.branch) {
                known_add_head(known, release->reference);
        } else {
                known_add(known, release->tag, release->reference);
                known_choose(known, release->tag, release->reference);
        }
        return known_save(context, known, err);
}
