/* What a directory is a checkout of, before any manifest says so. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/version.h"
#include "platform/file.h"
#include "source/git/look.h"
#include "source/git/repo.h"
#include "source/git/tags.h"

enum { REFLOG_MAX = 16 * 1024 * 1024 };

/* The nearest directory above (or it itself) with a .git; NULL: none. Owned. */
static char *find_top(const char *directory) {
        scoped(free_str) char *at = file_real(directory);
        while (at) {
                scoped(free_str) char *git = path_join(at, ".git");
                if (file_exists(git))
                        return TAKE(at);
                if (strcmp(at, "/") == 0)
                        return NULL;
                str_replace_owned(&at, path_dirname(at));
        }
        return NULL;
}

static bool read_remotes(const Repo *repo, SourceLook *ret, Err *err) {
        const char *args[] = {"remote", NULL};
        RepoCall call = {.args = args, .what = "git remote"};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(result.out ? result.out : "", '\n');
        for (size_t i = 0; lines && lines[i]; i++)
                if (lines[i][0] && tags_remote_name_ok(lines[i]))
                        strv_add(&ret->remotes, lines[i]);
        return true;
}

static bool read_tags(const Repo *repo, SourceLook *ret, Err *err) {
        scoped(repo_refs_done) RepoRefs refs = {0};
        if (!repo_tags(repo, &refs, err))
                return false;
        for (size_t i = 0; i < refs.n; i++) {
                Version version = {0};
                if (!str_starts(refs.items[i].name, "refs/tags/"))
                        continue;
                if (version_parse(refs.items[i].name + strlen("refs/tags/"), &version))
                        ret->versions++;
                else
                        str_replace_owned(&ret->other_tag,
                                str_copy(refs.items[i].name + strlen("refs/tags/")));
                version_done(&version);
        }
        return true;
}

/* "<old> <new> Name <mail> 1700000000 +0000", a tab, "checkout: ..."; gitformat, "reflog". 0: unknown. */
static int64_t moved_at(const Repo *repo) {
        scoped(free_str) char *path = path_join(repo->dir, "logs/HEAD");
        scoped(free_str) char *text = NULL;
        int64_t at_ms = 0;
        if (!file_read_if(path, REFLOG_MAX, &text, NULL, NULL) || !text)
                return 0;
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        for (size_t i = 0; lines && lines[i]; i++) {
                char *space = strchr(lines[i], ' '), *mail = strchr(lines[i], '>');
                if (!space || !mail ||
                        strncmp(lines[i], space + 1, (size_t)(space - lines[i])) == 0)
                        continue;
                scoped(free_str) char *digits =
                        str_copy_n(mail + 2, mail[1] == ' ' ? strspn(mail + 2, "0123456789") : 0);
                uint64_t seconds = 0;
                if (str_to_uint(digits, UINT32_MAX, &seconds))
                        at_ms = (int64_t)seconds * 1000;
        }
        return at_ms;
}

void source_look_done(SourceLook *look) {
        free(look->top);
        free(look->branch);
        free(look->other_tag);
        strv_free(look->remotes);
        *look = (SourceLook){0};
}

bool look_git(const char *directory, SourceLook *ret, Err *err) {
        scoped(source_look_done) SourceLook look = {.top = find_top(directory)};
        scoped(repo_done) Repo repo = {0};
        scoped(repo_head_done) RepoHead head = {0};
        if (!look.top)
                return err_fail(err, ERR_UNKNOWN, "'%s' is in no git checkout", directory);
        const Service service = {.git = {.directory = look.top}};
        const SourceContext context = {.service = &service};
        if (!repo_open(&context, &repo, err) || !repo_head(&repo, &head, err) ||
                !read_remotes(&repo, &look, err) || !read_tags(&repo, &look, err))
                return false;
        if (head.branch && str_starts(head.branch, "refs/heads/"))
                look.branch = str_copy(head.branch + strlen("refs/heads/"));
        look.empty = head.commit == NULL;
        look.moved_at_ms = moved_at(&repo);
        *ret = look;
        look = (SourceLook){0};
        return true;
}
