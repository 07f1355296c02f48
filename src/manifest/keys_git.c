/* source.git: the checkout, its layout, and what a version needs made before it can run. */
#include <string.h>

#include "manifest/schema.h"
#include "manifest/value.h"

static const Choice layouts[] = {
        {"in-place", LAYOUT_IN_PLACE, NULL},
        {"releases", LAYOUT_RELEASES, NULL},
        {NULL, 0, NULL},
};

/* Paths below a version's own files, kept without "./" and a slash at the end. */
static bool inner_paths_read(Reader *r, const Key *key, const Node *node, void *field) {
        Strv *paths = field;
        if (!type_words.read(r, key, node, field))
                return false;
        bool good = true;
        for (size_t i = 0; *paths && (*paths)[i]; i++) {
                size_t where = path_enter_index(r, i);
                const char *problem = inner_path_problem((*paths)[i]);
                if (problem)
                        good = finding_add(r->findings, &(Finding){.at = node->items[i]->at},
                                "\"%s\" %s", r->path.text, problem);
                path_leave(r, where);
                scoped(free_str) char *settled = path_settle("/", (*paths)[i]);
                str_replace_owned(&(*paths)[i], str_copy(settled + 1));
        }
        return good;
}
static const KeyType type_inner_paths = {
        "list", "expected a list of paths such as [node_modules, dist]", true, inner_paths_read};

static const Key git_keys[] = {
        {.name = "directory",
                .type = &type_text,
                .flags = KEY_ABSOLUTE,
                .offset = offsetof(GitSpec, directory),
                .problem = path_problem},
        {.name = "remote",
                .type = &type_text,
                .offset = offsetof(GitSpec, remote),
                .problem = reference_problem,
                .otherwise = "origin"},
        {.name = "tags",
                .type = &type_text,
                .offset = offsetof(GitSpec, tags),
                .problem = tag_glob_problem,
                .otherwise = "*"},
        {.name = "branch",
                .type = &type_text,
                .flags = KEY_NULL_OK,
                .offset = offsetof(GitSpec, branch),
                .problem = reference_problem},
        {.name = "layout",
                .type = &type_word,
                .choices = layouts,
                .offset = offsetof(GitSpec, layout),
                .otherwise = "in-place"},
        {.name = "install",
                .type = &type_words,
                .flags = KEY_EXPANDS,
                .least = 1,
                .offset = offsetof(GitSpec, install),
                .problem = program_problem},
        {.name = "build",
                .type = &type_words,
                .flags = KEY_EXPANDS,
                .least = 1,
                .offset = offsetof(GitSpec, build),
                .problem = program_problem},
        {.name = "timeout",
                .type = &type_duration,
                .offset = offsetof(GitSpec, command_timeout_ms),
                .least = 1,
                .most = 86400000,
                .otherwise = "30m"},
        {.name = "artifacts",
                .type = &type_inner_paths,
                .least = 1,
                .offset = offsetof(GitSpec, artifacts)},
        {.name = "shared",
                .type = &type_inner_paths,
                .least = 1,
                .offset = offsetof(GitSpec, shared)},
};
const KeyTable git_table = KEY_TABLE("a git source", git_keys);

static bool overlap(const char *a, const char *b) { return path_holds(a, b) || path_holds(b, a); }

static bool apart_check(
        Reader *r, const Node *node, char *const *paths, char *const *others, const char *what) {
        bool good = true;
        for (size_t i = 0; node && paths && paths[i]; i++)
                for (size_t j = 0; others && others[j] && (paths != others || j < i); j++)
                        if (overlap(paths[i], others[j]))
                                good = finding_add(r->findings,
                                        &(Finding){.at = node->items[i]->at},
                                        "'%s' and '%s', which %s, are one in the other", paths[i],
                                        others[j], what);
        return good;
}

/* A release runs in its own directory, wherever `current` leads. */
static bool directory_check(Reader *r, const Node *node) {
        const Service *service = r->service;
        scoped(free_str) char *current = path_join(service->git.directory, "current");
        if (service->git.layout != LAYOUT_RELEASES ||
                strcmp(service->process.directory, service->git.directory) == 0)
                return true;
        return finding_add(r->findings,
                &(Finding){.at = node->at,
                        .hint = "Leave runtime.process.directory out; the command may name a "
                                "program below it."},
                "with layout 'releases' the process runs in '%s', and "
                "\"runtime.process.directory\" "
                "is '%s'",
                current, service->process.directory);
}

bool git_check(Reader *r, const Node *node) {
        const GitSpec *git = &r->service->git;
        const Node *shared = node_get(node, "shared"), *artifacts = node_get(node, "artifacts");
        bool good = directory_check(r, node);
        if (shared && git->layout != LAYOUT_RELEASES)
                good = finding_add(r->findings,
                        &(Finding){.at = shared->at,
                                .hint = "In place, files that git does not track stay where they "
                                        "are; or set layout: releases."},
                        "\"source.git.shared\" goes with layout 'releases' alone");
        if (artifacts && !git->install && !git->build)
                good = finding_add(r->findings,
                        &(Finding){.at = artifacts->at,
                                .hint = "Name the command that makes them under install or build."},
                        "nothing makes the artifacts: \"source.git\" has neither \"install\" nor "
                        "\"build\"");
        good = apart_check(r, artifacts, git->artifacts, git->artifacts, "is an artifact, too") &&
               good;
        good = apart_check(r, shared, git->shared, git->shared, "is shared, too") && good;
        return apart_check(r, shared, git->shared, git->artifacts, "is an artifact") && good;
}
