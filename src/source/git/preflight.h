/* What would be in the way of an update of this checkout; and mending what can be mended. */
#ifndef BELAY_SOURCE_GIT_PREFLIGHT_H
#define BELAY_SOURCE_GIT_PREFLIGHT_H

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

#endif
