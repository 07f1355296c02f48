/* releases: where notes, breaking changes, required stops and support status come from. */
#include <string.h>

#include "manifest/schema.h"
#include "manifest/value.h"

static const char *repository_problem(const char *name) {
        static const char bytes[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        size_t owner = strspn(name, bytes);
        const char *slash = name + owner, *rest = *slash ? slash + 1 : slash;
        bool good = owner > 0 && *slash == '/' && *rest && rest[strspn(rest, bytes)] == '\0';
        if (!good || name[0] == '.' || rest[0] == '.' || strlen(name) > 200)
                return "is not of the form owner/name";
        return NULL;
}

static const char *repository_url_problem(const char *url) {
        const char *problem = url_problem(url);
        if (problem)
                return problem;
        if (strpbrk(url, "?#"))
                return "has a '?' or '#' in it; the address of the repository's page is expected";
        const char *path = strchr(strstr(url, "://") + 3, '/');
        const char *name = path ? strchr(path + 1, '/') : NULL;
        return name && name > path + 1 && name[1] ? NULL
                                                  : "names no repository: owner/name is missing";
}

static const char *files_problem(const char *path) {
        const char *problem = glob_problem(path);
        return problem                ? problem
               : strpbrk(path, "*?[") ? "is a pattern; a file or a directory is expected"
               : str_equal(path, ".") || str_starts(path, "./") ? "begins with '.'; leave that out"
                                                                : NULL;
}

static bool token_read(Reader *r, const Key *key, const Node *node, void *field) {
        Value *token = field;
        if (!secret_read(r, key, "token", node, token))
                return false;
        value_explain(r, node, token->from == VALUE_TEXT ? "(a secret)" : NULL);
        return true;
}
static const KeyType type_token = {"secret", "expected file:PATH or env:NAME", false, token_read};

static const Key releases_keys[] = {
        {.name = "feed",
                .type = &type_text,
                .flags = KEY_ONE_OF,
                .problem = url_problem,
                .offset = offsetof(ReleasesSpec, feed)},
        {.name = "github",
                .type = &type_text,
                .flags = KEY_ONE_OF,
                .problem = repository_problem,
                .offset = offsetof(ReleasesSpec, github)},
        {.name = "gitea",
                .type = &type_text,
                .flags = KEY_ONE_OF,
                .problem = repository_url_problem,
                .offset = offsetof(ReleasesSpec, gitea)},
        {.name = "files",
                .type = &type_text,
                .flags = KEY_ONE_OF,
                .problem = files_problem,
                .offset = offsetof(ReleasesSpec, files)},
        {.name = "api",
                .type = &type_text,
                .problem = url_problem,
                .offset = offsetof(ReleasesSpec, api)},
        {.name = "token", .type = &type_token, .offset = offsetof(ReleasesSpec, token)},
};
const KeyTable releases_table = KEY_TABLE("what is known of releases", releases_keys);
