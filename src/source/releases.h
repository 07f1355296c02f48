/*
 * Release data: what the manifest's `releases` says where to look. Four drivers, "feed", "github", "gitea" and
 * "files"; the last reads the tree of a version (through Source), the others ask over HTTP.
 *
 *     ReleasesContext context = {.service = service, .state = state, .env = env, .when = RELEASES_RECENT};
 *     scoped(releases_done) Releases releases = {0};
 *     if (!releases_load(&context, &releases, err))   // could not be asked, and nothing is kept
 *             return false;
 *     if (releases.trouble) ...                       // could not be asked: this is what was kept
 *
 * What was learnt is kept in services/<name>/releases.json, with the time and the server's mark (ETag); an answer
 * "not modified" confirms it. A server that limits how often it is asked is left alone until it said.
 *
 * http and https only. A redirect is followed within one scheme, host and port; a token goes nowhere else, and
 * is part of no message. At most LIMIT_RELEASES_BODY bytes of an answer and of all pages together, 20 pages, 20 s.
 *
 * Errors: ERR_REMOTE, ERR_TIMEOUT, ERR_CANCELLED; ERR_CORRUPT what answers is no release data; ERR_UNKNOWN no such
 * token; ERR_TOOL no libcurl.
 */
#ifndef BELAY_SOURCE_RELEASES_H
#define BELAY_SOURCE_RELEASES_H

#include "model/release_data.h"
#include "source/source.h"

typedef enum ReleasesWhen {
        RELEASES_ASK,    /* now */
        RELEASES_RECENT, /* what was learnt within the last minute will do */
        RELEASES_KEPT,   /* nobody is asked */
} ReleasesWhen;

typedef struct ReleasesContext {
        const Service *service;
        const State *state;
        char *const *env; /* of the env file, for `token: env:NAME`; may be NULL */
        const Cancel *cancel;
        ReleasesWhen when;
        /* For `files`: whose tree; its objects are here. NULL: what was kept. */
        const Source *source;
        const SourceContext *source_at;
        const Release *tree;
} ReleasesContext;

typedef struct Releases {
        ReleaseData
                data; /* empty when the manifest names no release data, or nothing is kept (RELEASES_KEPT) */
        int64_t asked_ms; /* when this was so, unix ms; 0: never */
        char *trouble;    /* why it could not be asked now, or NULL */
} Releases;

bool releases_load(const ReleasesContext *context, Releases *ret, Err *err);
void releases_done(Releases *releases);
/* Whether the manifest names any; and for people where: "https://…", "acme/shop on github", "docs/releases/". */
bool releases_wanted(const Service *service);
char *releases_where(const Service *service);

#endif
