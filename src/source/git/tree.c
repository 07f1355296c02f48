#include "source/git/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "platform/file.h"

/* The service's directory as seen from the top of the checkout: "", "app/", or NULL when it is outside. */
static char *prefix_of(const Repo *repo) {
        const Service *service = repo->context->service;
        scoped(free_str) char *directory =
                file_real(service->directory ? service->directory : repo->root);
        size_t n = strlen(repo->root);
        if (!directory || strncmp(directory, repo->root, n) != 0)
                return NULL;
        if (directory[n] == '\0')
                return str_copy("");
        return directory[n] == '/' ? str_format("%s/", directory + n + 1) : NULL;
}

static bool open_release(
        const SourceContext *context, const Release *release, Repo *repo, char **prefix, Err *err) {
        if (!repo_is_object_name(release->reference))
                return err_fail(err, ERR_BUG, "the version '%s' has no commit",
                        release->tag ? release->tag : "?");
        if (!repo_open(context, repo, err))
                return false;
        *prefix = prefix_of(repo);
        return true;
}

bool tree_paths(const SourceContext *context, const Release *release, Strv *ret_paths, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(free_str) char *prefix = NULL;
        scoped(child_result_done) ChildResult result = {0};
        scoped(strv_freep) Strv paths = NULL;
        if (!open_release(context, release, &repo, &prefix, err))
                return false;
        const char *args[] = {
                "ls-tree", "-r", "--name-only", "--full-tree", release->reference, NULL};
        RepoCall call = {.args = args, .what = "listing the files of a version"};
        if (prefix && !repo_call(&repo, &call, &result, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(result.out ? result.out : "", '\n');
        for (char **line = lines; line && *line; line++) {
                scoped(free_str) char *path = repo_path_unquote(*line);
                if (path && prefix && str_starts(path, prefix))
                        strv_add(&paths, path + strlen(prefix));
        }
        *ret_paths = TAKE(paths);
        return true;
}

static bool blob_size(const Repo *repo, const char *object, uint64_t *ret, Err *err) {
        const char *args[] = {"cat-file", "-s", object, NULL};
        RepoCall call = {.args = args, .what = "looking at a file of a version"};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        return str_to_uint(str_trim(result.out), UINT64_MAX, ret) ||
               err_fail(err, ERR_TOOL, "git names no size of '%s'", object);
}

/* As it would be placed: line ends and filters as the checkout has them. */
bool tree_read(const SourceContext *context, const Release *release, const char *path, char **ret,
        size_t *ret_bytes, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(free_str) char *prefix = NULL;
        scoped(child_result_done) ChildResult result = {0};
        uint64_t size = 0;
        if (!open_release(context, release, &repo, &prefix, err))
                return false;
        if (!prefix)
                return err_fail(
                        err, ERR_REFUSED, "'%s' is not in the checkout '%s'", path, repo.work);
        scoped(free_str) char *object = str_format("%s:%s%s", release->reference, prefix, path);
        const char *args[] = {"cat-file", "--filters", object, NULL};
        RepoCall call = {.args = args, .what = "reading a file of a version"};
        if (!blob_size(&repo, object, &size, err) || !repo_call(&repo, &call, &result, err))
                return err_context(err, "reading '%s' of %s", path, release->tag);
        size_t n = result.out ? strlen(result.out) : 0;
        if (n < size)
                return err_fail(err, ERR_REFUSED, "'%s' of %s is no text: it holds NUL bytes", path,
                        release->tag);
        *ret = result.out ? TAKE(result.out) : str_copy("");
        *ret_bytes = n;
        return true;
}

bool tree_dated(const SourceContext *context, const Release *release, int64_t *ret_ms, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(free_str) char *prefix = NULL;
        scoped(child_result_done) ChildResult result = {0};
        uint64_t seconds = 0;
        if (!open_release(context, release, &repo, &prefix, err))
                return false;
        scoped(free_str) char *commit = str_format("%s^{commit}", release->reference);
        const char *args[] = {"show", "--no-patch", "--no-show-signature", "--format=%ct",
                "--end-of-options", commit, NULL};
        RepoCall call = {.args = args, .what = "asking when a version was made"};
        if (!repo_call(&repo, &call, &result, err))
                return false;
        if (!str_to_uint(str_trim(result.out), UINT32_MAX, &seconds))
                return err_fail(err, ERR_TOOL, "git names no date of '%s'", release->tag);
        *ret_ms = (int64_t)seconds * 1000;
        return true;
}
