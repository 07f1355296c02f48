/*
 * Where versions come from. One source so far, git, in two layouts: a checkout whose tracked files are
 * moved from commit to commit in place; or a directory for each release, and a link to the one that runs.
 *
 * The order of calls in an update, and what each may cost:
 *
 *     const Source *source = source_of(service);
 *     SourceContext context = {.service = service, .state = state, .mark = "44", .allowed = env_files};
 *     source->installed(&context, &from, err)            // reads files; a git process only when it must
 *     source->resolve(&context, "1.2.0", &from, &to, err)       // network
 *     source->preflight(&context, &to, &findings, err)          // no network
 *     source->fetch(&context, &to, err)         // network; then lays the changed files out beside, synced
 *     source->build(&context, &to, &how, err)   // install and build, beside; when source->builds(&context)
 *     ------------------------------------------ ARM, quiesce: from here on nothing needs network or room
 *     source->place_facts(&context, &to, facts, err)            // the step's prepare: only looks
 *     source->place(&context, facts, err)       // renames; each file is old or new at any moment
 *     source->unplace(&context, facts, err)     // back to exactly the HEAD, index and files from before
 *     source->observe(&context, facts, &truth, &why, err)
 *     source->cleanup(&context, keep, n, err)   // after COMMIT, after all is undone, and after an abort
 *
 * place and unplace may be killed at any moment and called again; each finishes what the earlier call
 * began. They leave untracked files alone, and those of `allowed` (configuration that Belay edits).
 * The caller holds the locks of service and directory during preflight to cleanup, and has ended what
 * a dead runner left behind: then an index.lock that Belay wrote (it says so inside) has no owner and
 * is taken over. One that Belay did not write is never removed.
 *
 * A rollback to an older version is the same: fetch with a Release whose commit is here already needs
 * no network.
 *
 * Errors: ERR_USAGE text that can be no version; ERR_REFUSED no such version, moved tag, files in the
 * way, not a checkout; ERR_REMOTE the remote does not answer or does not let us in; ERR_DRIFT
 * somebody else changed HEAD or the files; ERR_TOOL git failed otherwise; ERR_TIMEOUT, ERR_CANCELLED.
 * Passwords in addresses appear in no message.
 */
#ifndef BELAY_SOURCE_SOURCE_H
#define BELAY_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"
#include "journal/state.h"
#include "model/expand.h"
#include "model/release.h"
#include "model/service.h"
#include "platform/process.h"

typedef struct SourceContext {
        const Service *service;
        const State *
                state; /* services/<name>/tags.json: commits of tags that Belay knows; NULL: knows none */
        const char *
                mark; /* the run, for BELAY_RUN and for what is laid out beside; NULL outside runs */
        const Cancel *cancel; /* or NULL */
        /* resolve without a version: not this one (too young, say); may be NULL. */
        bool (*not_offered)(void *context, const Release *release);
        void *not_offered_context;
        char *const *
                allowed; /* absolute paths of configuration that Belay edits: never placed; or NULL */
} SourceContext;

/* What install and build are told, and where goes what they write. Borrowed for the call. */
typedef struct SourceBuild {
        Expansion values;       /* of the version to build */
        char *const *secrets;   /* taken out of all that is kept or shown; or NULL */
        const char *output_dir; /* install.txt and build.txt come into it; NULL: not kept */
} SourceBuild;

/* What the remote offers. */
typedef struct Offers {
        Release *releases; /* versions, the newest first; for a branch its head alone */
        bool *moved;       /* for each: its tag had another commit when Belay first saw it */
        size_t n;
        Strv ignored; /* tags under the glob that are no versions */
} Offers;
void offers_done(Offers *offers);

typedef enum FindingLevel { FINDING_NOTE, FINDING_WARNING, FINDING_REFUSAL } FindingLevel;

typedef struct SourceFinding {
        FindingLevel level;
        const char *code;     /* "local-changes", "in-the-way", "refspec", ...; static, for JSON */
        char *message, *hint; /* owned; hint may be NULL */
        bool fixable;         /* source->fix mends it: `--fix` */
} SourceFinding;

typedef struct SourceFindings {
        SourceFinding *items;
        size_t n;
        bool target_seen; /* the target's files were compared, too; false before its objects are here */
} SourceFindings;
void source_findings_done(SourceFindings *findings);
/* The first refusal as an error (ERR_REFUSED) that lists them all; true when there is none. */
bool source_findings_ok(const SourceFindings *findings, Err *err);

/* The same order as the engine's StepTruth. */
typedef enum SourceTruth {
        SOURCE_NOT_APPLIED,
        SOURCE_PARTLY,
        SOURCE_APPLIED,
        SOURCE_UNKNOWN,
        SOURCE_DRIFT,
} SourceTruth;

/* What a directory is a checkout of: for `belay init` and for taking over what runs there. */
typedef struct SourceLook {
        char *top;           /* the checkout that the directory is in; absolute */
        Strv remotes;        /* their names */
        char *branch;        /* NULL: a commit is checked out, no branch */
        bool empty;          /* it has no commit yet */
        size_t versions;     /* tags that are versions */
        char *other_tag;     /* one that is none, or NULL */
        int64_t moved_at_ms; /* unix ms: when it came to what it holds; 0: not known */
} SourceLook;
void source_look_done(SourceLook *look);

typedef struct Source {
        const char *name;
        /* No network, changes nothing. ERR_UNKNOWN: the directory is in no checkout. */
        bool (*look)(const char *directory, SourceLook *ret, Err *err);
        /* What the checkout holds: tag, version and commit. A commit without a version's tag gives a
         * description as tag ("v1.0.0-3-gabc1234") and "1.0.0+3.gabc1234" as version; where a branch is
         * followed, the branch as tag and the first 12 digits of the commit as version. */
        bool (*installed)(const SourceContext *context, Release *ret, Err *err);
        /* Asks the remote. Remembers commits of tags seen for the first time. */
        bool (*list)(const SourceContext *context, Offers *ret, Err *err);
        /* `wanted` with or without leading v; NULL: the newest of the channel, never a pre-release, never
         * older than `installed` (which may be NULL). Refuses a tag that moved. */
        bool (*resolve)(const SourceContext *context, const char *wanted, const Release *installed,
                Release *ret, Err *err);
        /* Looks for everything that would be in the way. `to` may be NULL. True also with refusals found:
         * they are in *ret (zero-initialised by the caller, appended to). False: could not look. */
        bool (*preflight)(
                const SourceContext *context, const Release *to, SourceFindings *ret, Err *err);
        /* Mends what preflight found fixable; *ret_done says in words what was done. */
        bool (*fix)(const SourceContext *context, Strv *ret_done, Err *err);
        /* Only in a copy that is sealed off: from now on it is its own remote, which offers `to`, whose commit is
         * here. */
        bool (*alone)(const SourceContext *context, const Release *to, Err *err);
        /* Brings the commit of `to`, checks it, pins the one that is installed, and lays out the files that
         * differ, old and new, below .git/belay/. Touches nothing of the user's. May be called again. */
        bool (*fetch)(const SourceContext *context, const Release *to, Err *err);
        /* Whether anything must be made of a version before it can be placed. */
        bool (*builds)(const SourceContext *context);
        /* After fetch, while the old version serves: runs install and build in a directory beside that has the
         * files of `to`, as the owner of the checkout. What was made for that commit before is used again. Whatever
         * an earlier call left half made is made anew. ERR_TOOL, ERR_TIMEOUT with what the program said last. */
        bool (*build)(
                const SourceContext *context, const Release *to, const SourceBuild *how, Err *err);
        /* Where the version that is in place runs; owned, absolute, without links. */
        bool (*runs_in)(const SourceContext *context, char **ret, Err *err);
        /* Fills `facts` (an empty object): small, and everything that place, unplace, observe need. Looks
         * at HEAD and the files again: ERR_DRIFT when they are no longer what fetch saw. */
        bool (*place_facts)(
                const SourceContext *context, const Release *to, json_t *facts, Err *err);
        bool (*place)(const SourceContext *context, const json_t *facts, Err *err);
        bool (*unplace)(const SourceContext *context, const json_t *facts, Err *err);
        /* *ret_why (may be NULL) says for PARTLY and DRIFT what differs; owned, or NULL. */
        bool (*observe)(const SourceContext *context, const json_t *facts, SourceTruth *ret,
                char **ret_why, Err *err);
        /* Removes what was laid out or built beside, a leftover lock of Belay's own, and Belay's references, built
         * artifacts and releases but those of the commits in `keep` (n of them) and of HEAD. */
        bool (*cleanup)(const SourceContext *context, const char *const *keep, size_t n, Err *err);
        /* When a release was made as far as its own commit tells, unix ms; false also when that is not here. */
        bool (*dated)(
                const SourceContext *context, const Release *release, int64_t *ret_ms, Err *err);
        /* The files of a release's tree whose objects are here (after fetch, or the installed one): paths relative to
         * service->directory, those below it only. What migrations there are is known from these before place. */
        bool (*tree)(
                const SourceContext *context, const Release *release, Strv *ret_paths, Err *err);
        /* The bytes of one of them, owned, NUL-terminated; at most LIMIT_CHILD_OUTPUT. */
        bool (*tree_file)(const SourceContext *context, const Release *release, const char *path,
                char **ret, size_t *ret_bytes, Err *err);
} Source;

/* The driver of this service; never NULL (the manifest knows no others). */
const Source *source_of(const Service *service);

/* Forgets the commit that Belay knows for a tag (given with or without v), so that a moved one is accepted (a person said so). */
bool source_forget_tag(const State *state, const char *service, const char *tag, Err *err);

#endif
