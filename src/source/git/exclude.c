#include "source/git/exclude.h"

#include <string.h>

#include "base/own.h"
#include "platform/file.h"

enum { EXCLUDE_MAX = 1024 * 1024 };

static const char begin[] = "# belay: made or kept beside the tracked files\n";
static const char end[] = "# belay: end\n";

/* A path as a pattern that matches it and nothing else. */
static void add_pattern(Str *s, const char *path, const char *behind) {
        str_add_char(s, '/');
        for (; *path; path++) {
                if (strchr("\\*?[ ", *path))
                        str_add_char(s, '\\');
                str_add_char(s, *path);
        }
        str_addf(s, "%s\n", behind);
}

static char *block_make(const GitSpec *git) {
        Str s = {0};
        bool releases = git->layout == LAYOUT_RELEASES;
        str_add(&s, begin);
        str_add(&s, releases ? "/releases/\n/current\n/shared/\n" : "/.belay/\n");
        for (size_t i = 0; git->artifacts && git->artifacts[i]; i++) {
                add_pattern(&s, git->artifacts[i], "");
                if (!releases)
                        add_pattern(&s, git->artifacts[i], ".????????????");
        }
        for (size_t i = 0; git->shared && git->shared[i]; i++)
                add_pattern(&s, git->shared[i], "");
        str_add(&s, end);
        return str_take(&s);
}

/* The text without Belay's lines. */
static char *without_block(const char *text) {
        const char *from = strstr(text, begin);
        const char *to = from ? strstr(from, end) : NULL;
        if (!to)
                return str_copy(text);
        return str_format("%.*s%s", (int)(from - text), text, to + strlen(end));
}

static bool rewrite(const char *path, const char *block, Err *err) {
        scoped(free_str) char *text = NULL;
        struct stat st = {0};
        bool there = false;
        if (!file_stat(path, &st, &there, err) ||
                !file_read_if(path, EXCLUDE_MAX, &text, NULL, err))
                return false;
        if (!text && !*block)
                return true;
        scoped(free_str) char *others = without_block(text ? text : "");
        size_t n = strlen(others);
        scoped(free_str) char *new = str_format(
                "%s%s%s", others, *block && n && others[n - 1] != '\n' ? "\n" : "", block);
        if (str_equal(new, text))
                return true;
        scoped(free_str) char *above = path_dirname(path);
        return dir_make(above, err) &&
               file_write_durable(path, new, strlen(new), there ? st.st_mode & 0777 : 0644, err);
}

static bool set(const Repo *repo, const char *block, Err *err) {
        scoped(free_str) char *path = path_join(repo->common, "info/exclude");
        repo_become(repo);
        bool ok = rewrite(path, block, err);
        repo_resign(repo);
        return ok || err_context(err, "telling git what is not to be tracked");
}

bool exclude_add(const Repo *repo, Err *err) {
        scoped(free_str) char *block = block_make(&repo->context->service->git);
        return set(repo, block, err);
}

bool exclude_drop(const Repo *repo, Err *err) { return set(repo, "", err); }
