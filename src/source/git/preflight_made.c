/* What install, build, artifacts, releases and shared paths need to be so before anything is made. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "platform/file.h"
#include "source/git/preflight.h"

/* ---- file systems ---- */

static bool device_of(const char *path, dev_t *ret, bool *ret_there, Err *err) {
        struct stat st = {0};
        if (!file_stat(path, &st, ret_there, err))
                return false;
        *ret = st.st_dev;
        return true;
}

/* The nearest directory above a path of the checkout that is there: a mount point on the way counts. */
static bool device_above(const Repo *repo, const char *path, dev_t *ret, Err *err) {
        scoped(free_str) char *above = path_dirname(path);
        for (;;) {
                scoped(free_str) char *full = path_join(repo->work, above);
                bool there = false;
                if (!device_of(full, ret, &there, err))
                        return false;
                if (there || str_equal(above, "."))
                        return true;
                str_replace_owned(&above, path_dirname(above));
        }
}

static void refuse_disk(const char *what, const Repo *repo, SourceFindings *findings) {
        preflight_add(findings, FINDING_REFUSAL, "file-systems",
                str_format("'%s' is on another file system than '%s'", what, repo->dir),
                "Belay puts files in place by renaming them, which works within one file system: "
                "move the repository and its files to the same one.");
}

bool preflight_disks(const Repo *repo, const ChangeList *list, SourceFindings *findings, Err *err) {
        dev_t own = 0, there_dev = 0;
        bool there = false;
        if (!device_of(repo->dir, &own, &there, err) ||
                !device_of(repo->work, &there_dev, &there, err))
                return false;
        if (own != there_dev) {
                refuse_disk(repo->work, repo, findings);
                return true;
        }
        for (size_t i = 0; i < list->n; i++) {
                if (!device_above(repo, list->items[i].path, &there_dev, err))
                        return false;
                if (own == there_dev)
                        continue;
                refuse_disk(list->items[i].quoted, repo, findings);
                return true;
        }
        return true;
}

/* ---- artifacts and shared paths ---- */

static Strv own_paths(const GitSpec *git) {
        Strv paths = NULL;
        for (size_t i = 0; git->artifacts && git->artifacts[i]; i++)
                strv_add(&paths, git->artifacts[i]);
        for (size_t i = 0; git->shared && git->shared[i]; i++)
                strv_add(&paths, git->shared[i]);
        if (git->layout == LAYOUT_IN_PLACE && (git->install || git->build))
                strv_add(&paths, ".belay");
        return paths;
}

/* Those of the paths, or what lies below them, that a commit has. */
static bool add_tracked(const Repo *repo, const char *commit, Strv *found, Err *err) {
        scoped(strv_freep) Strv paths = own_paths(&repo->context->service->git);
        for (size_t i = 0; paths && paths[i]; i++) {
                const char *args[] = {
                        "ls-tree", "--full-tree", "--name-only", commit, "--", paths[i], NULL};
                RepoCall call = {.args = args, .what = "looking at the files of a version"};
                scoped(child_result_done) ChildResult result = {0};
                if (!repo_call(repo, &call, &result, err))
                        return false;
                if (result.out && *str_trim(result.out) && !strv_contains(*found, paths[i]))
                        strv_add(found, paths[i]);
        }
        return true;
}

static bool look_at_tracked(
        const Repo *repo, const char *from, const char *to, SourceFindings *findings, Err *err) {
        bool in_place = repo->context->service->git.layout == LAYOUT_IN_PLACE;
        scoped(strv_freep) Strv found = NULL;
        if (!add_tracked(repo, to, &found, err) ||
                (in_place && !add_tracked(repo, from, &found, err)))
                return false;
        preflight_add_paths(findings, "tracked",
                "git tracks what the manifest names as made or shared (source.git)", found,
                "Remove it from the repository, or from 'artifacts' and 'shared'.");
        return true;
}

/* Each is renamed, and led to by a link beside: the way to it may hold no link and no mount point. */
static bool look_at_places(const Repo *repo, SourceFindings *findings, Err *err) {
        char *const *artifacts = repo->context->service->git.artifacts;
        dev_t own = 0;
        bool there = false;
        if (!device_of(repo->work, &own, &there, err))
                return false;
        for (; artifacts && *artifacts; artifacts++) {
                scoped(free_str) char *path = path_join(repo->work, *artifacts);
                scoped(free_str) char *above = path_dirname(path);
                scoped(free_str) char *real = file_real(above);
                dev_t is = own;
                if (real && !str_equal(real, above))
                        preflight_add(findings, FINDING_REFUSAL, "artifact-link",
                                str_format("the way to the artifact '%s' leads through a link",
                                        *artifacts),
                                "Name it under source.git.artifacts as it lies in the checkout.");
                if (!device_of(path, &is, &there, err))
                        return false;
                if (there && is != own)
                        preflight_add(findings, FINDING_REFUSAL, "file-systems",
                                str_format("the artifact '%s' is a mount point", path),
                                "Belay exchanges it for another directory, which a mount point "
                                "cannot be: unmount it.");
        }
        return true;
}

/* A worktree has the directories of submodules, and nothing in them. */
static bool look_for_modules(
        const Repo *repo, const char *commit, SourceFindings *findings, Err *err) {
        const char *args[] = {"ls-tree", "--full-tree", commit, "--", ".gitmodules", NULL};
        RepoCall call = {.args = args, .what = "looking for submodules"};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        if (!result.out || !*str_trim(result.out))
                return true;
        bool releases = repo->context->service->git.layout == LAYOUT_RELEASES;
        preflight_add(findings, releases ? FINDING_REFUSAL : FINDING_WARNING, "submodules-empty",
                str_copy(releases ? "the new version has submodules, which a release would not have"
                                  : "install and build run without the files of submodules"),
                releases ? "Use layout: in-place for it." : NULL);
        return true;
}

bool preflight_made(
        const Repo *repo, const char *from, const char *to, SourceFindings *findings, Err *err) {
        const GitSpec *git = &repo->context->service->git;
        bool releases = git->layout == LAYOUT_RELEASES;
        if (!releases && !git->install && !git->build)
                return true;
        return look_at_tracked(repo, from, to, findings, err) &&
               look_for_modules(repo, to, findings, err) &&
               (releases || look_at_places(repo, findings, err));
}

/* ---- releases ---- */

static void refuse_missing(const Repo *repo, const char *shared, SourceFindings *findings) {
        scoped(free_str) char *plain = path_join(repo->root, shared);
        scoped(free_str) char *inner = str_format("shared/%s", shared);
        scoped(free_str) char *above = path_dirname(inner);
        char *message = str_format("'%s/%s' is not there", repo->root, inner);
        scoped(free_str) char *hint =
                file_exists(plain)
                        ? str_format(
                                  "Stop the service, then, in '%s': mkdir -p %s && mv %s %s. Let "
                                  "the manifest's own paths (backup, env_file) name the new "
                                  "place, too.",
                                  repo->root, above, shared, inner)
                        : str_format(
                                  "Make it first: a directory, or a file, as the service needs.");
        preflight_add(findings, FINDING_REFUSAL, "shared-missing", message, hint);
}

bool preflight_layout(const Repo *repo, SourceFindings *findings, Err *err) {
        const GitSpec *git = &repo->context->service->git;
        if (git->layout != LAYOUT_RELEASES)
                return true;
        scoped(free_str) char *home = path_join(repo->root, "releases");
        struct stat st = {0};
        bool there = false;
        if (!file_stat(home, &st, &there, err))
                return false;
        if (there && !S_ISDIR(st.st_mode))
                preflight_add(findings, FINDING_REFUSAL, "layout",
                        str_format("'%s' is no directory", home),
                        "Belay keeps the releases there: move what is there away.");
        for (size_t i = 0; git->shared && git->shared[i]; i++) {
                scoped(free_str) char *inner = str_format("shared/%s", git->shared[i]);
                scoped(free_str) char *path = path_join(repo->root, inner);
                if (!file_exists(path))
                        refuse_missing(repo, git->shared[i], findings);
        }
        return true;
}
