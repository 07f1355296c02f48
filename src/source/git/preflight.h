/* What would be in the way of an update of this checkout; and mending what can be mended. */
#ifndef BELAY_SOURCE_GIT_PREFLIGHT_H
#define BELAY_SOURCE_GIT_PREFLIGHT_H

#include "source/git/change_list.h"
#include "source/git/repo.h"

/* The slots of the driver; see source.h. */
bool preflight_git(const SourceContext *context, const Release *to, SourceFindings *ret, Err *err);
bool preflight_fix(const SourceContext *context, Strv *ret_done, Err *err);

/* ---- settings of the repository, as git config --list prints them ---- */
typedef struct RepoSettings {
        Strv lines;
} RepoSettings;
bool repo_settings_read(const Repo *repo, RepoSettings *ret, Err *err);
void repo_settings_done(RepoSettings *settings);
const char *repo_settings_get(
        const RepoSettings *settings, const char *key); /* the last value, or NULL */

/* ---- what the remote's fetch lines are worth ---- */
typedef enum RefspecFault {
        REFSPEC_FINE,
        REFSPEC_NONE,
        REFSPEC_NARROW,
        REFSPEC_INVALID
} RefspecFault;
RefspecFault refspec_fault(const RepoSettings *settings, const char *remote);

/* ---- findings ---- */
/* Takes message; `hint` is copied. */
void preflight_add(SourceFindings *findings, FindingLevel level, const char *code, char *message,
        const char *hint);
/* A refusal that lists paths; none when there are none. */
void preflight_add_paths(
        SourceFindings *findings, const char *code, const char *what, Strv paths, const char *hint);

/* ---- preflight_made.c ---- */
/* Of a layout with releases: what lies where its own names are to be, and the shared paths. */
bool preflight_layout(const Repo *repo, SourceFindings *findings, Err *err);
/* Artifacts and shared paths that one of the two versions tracks; submodules, in a release. */
bool preflight_made(
        const Repo *repo, const char *from, const char *to, SourceFindings *findings, Err *err);
/* Files are placed by renaming, which does not lead from one file system to another. */
bool preflight_disks(const Repo *repo, const ChangeList *list, SourceFindings *findings, Err *err);

#endif
