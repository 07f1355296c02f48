/*
 * One checkout: where its parts are, who owns it, what HEAD and the references say. Read from the
 * files of the repository (gitrepository-layout(5)), which costs no process; git itself is asked
 * through repo_call.
 *
 * When Belay is root and the checkout belongs to somebody else, git runs as that user, and so does
 * what Belay itself does to the files, between repo_become and repo_resign.
 */
#ifndef BELAY_SOURCE_GIT_REPO_H
#define BELAY_SOURCE_GIT_REPO_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "source/source.h"

/* Deadlines of the calls of git. */
enum { GIT_LIST_MS = 60 * 1000, GIT_FETCH_MS = 10 * 60 * 1000, GIT_LOCAL_MS = 2 * 60 * 1000 };

typedef struct Repo {
        const SourceContext *context;
        char *root; /* source.git.directory; absolute */
        char *work; /* the checkout: the same, but the release that is in place where there are releases */
        char *dir;    /* its .git, or that of a worktree or submodule */
        char *common; /* where references and objects are: the same but for a worktree */
        uid_t uid;
        gid_t gid;
        bool as_user; /* Belay is root and the checkout is not root's */
} Repo;

/* ERR_REFUSED for what is no checkout, or somebody else's. */
bool repo_open(const SourceContext *context, Repo *ret, Err *err);
void repo_done(Repo *repo);

typedef struct RepoHead {
        char *branch; /* "refs/heads/main", or NULL when detached */
        char *commit; /* NULL on a branch without any commit */
} RepoHead;
bool repo_head(const Repo *repo, RepoHead *ret, Err *err);
void repo_head_done(RepoHead *head);
/* *ret is the object's name, or NULL when there is no such reference. */
bool repo_ref(const Repo *repo, const char *name, char **ret, Err *err);

typedef struct RepoRef {
        char *name; /* "refs/tags/v1.0.0" */
        char *object;
        char *commit; /* what it peels to, or NULL when only git could say */
} RepoRef;
typedef struct RepoRefs {
        RepoRef *items;
        size_t n;
} RepoRefs;
/* References below refs/tags/ and refs/belay/, loose ones before packed ones. */
bool repo_tags(const Repo *repo, RepoRefs *ret, Err *err);
void repo_refs_done(RepoRefs *refs);

/* Thread-wide: files are touched with the rights of the checkout's owner. */
void repo_become(const Repo *repo);
void repo_resign(const Repo *repo);

typedef struct RepoCall {
        const char *const *args; /* after "git" and the options that are always given */
        const char *what;        /* "git fetch from 'origin'" */
        const char *input;       /* or NULL */
        const char *work;        /* another working tree, or NULL */
        const char *index;       /* another index, or NULL */
        int64_t timeout_ms;      /* 0: GIT_LOCAL_MS */
        int also_fine;           /* an exit status that is no failure, besides 0 */
} RepoCall;
/* ret may be NULL. False: ERR_REMOTE, ERR_REFUSED, ERR_NO_SPACE, ERR_TOOL by what git said. */
bool repo_call(const Repo *repo, const RepoCall *call, ChildResult *ret, Err *err);

/* Text without passwords in addresses: "https://***@host/". Owned. */
char *repo_redact(const char *text);
bool repo_is_object_name(const char *text); /* 40 or 64 hex digits, lower case */
/* Paths as git prints them without -z: quoted as in C where needed. */
char *repo_path_unquote(const char *text); /* NULL: not well formed */

#endif
