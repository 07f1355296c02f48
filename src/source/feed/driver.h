/* What the drivers of release data share: the contract, how to ask. Seen by source/feed/ alone. */
#ifndef BELAY_SOURCE_FEED_DRIVER_H
#define BELAY_SOURCE_FEED_DRIVER_H

#include "client/http.h"
#include "source/releases.h"

enum { FEED_PATIENCE_S = 24 * 3600 }; /* for longer no server is left alone, whatever it says */

/* One load under way. */
typedef struct FeedAsk {
        const ReleasesContext *context;
        Http *http;  /* NULL until something is asked */
        char *token; /* secret; NULL: none */
        const char *
                mark; /* what the source said of itself last time (ETag, commit); NULL: nothing is kept */
        size_t bytes;  /* of all answers so far */
        int64_t until; /* clock_now_ms */
        /* what came of it */
        bool unchanged;        /* what is kept is still so */
        char *new_mark;        /* owned, or NULL */
        int64_t not_before_ms; /* the server does not want to be asked before; 0: it said nothing */
} FeedAsk;

typedef struct FeedDriver {
        const char *name; /* also the manifest's key */
        /* Where, as the manifest says; borrowed, NULL: this driver is not meant. */
        const char *(*where)(const Service *service);
        /* Fills `ret`, or sets ask->unchanged. */
        bool (*load)(FeedAsk *ask, ReleaseData *ret, Err *err);
} FeedDriver;

extern const FeedDriver feed_driver, github_driver, gitea_driver, files_driver;

typedef struct FeedAnswer {
        char *body;
        size_t bytes;
        char *etag;
        char *next; /* the next page of the same server, or NULL */
} FeedAnswer;
void feed_answer_done(FeedAnswer *answer);
/* Asks a URL; redirects within its server are followed. With ask->mark (when `first`) an answer "not modified"
 * sets ask->unchanged. `accept` is the kind of answer that is wanted. */
bool feed_ask(
        FeedAsk *ask, const char *url, const char *accept, bool first, FeedAnswer *ret, Err *err);
/* All pages of a list of releases, from `url` on. */
bool feed_ask_pages(FeedAsk *ask, const char *url, const char *accept, ReleaseData *ret, Err *err);

/* An address as messages show it: without what stands behind '?' or '#', which may be a secret; owned. */
char *feed_shown(const char *url);

/* -- texts, for tests -- */
/* The target of rel="next" in a Link header; owned, or NULL. */
char *feed_next_link(const char *header);
/* Same scheme, host and port. */
bool feed_same_server(const char *a, const char *b);
/* Where a Location leads from `url`: absolute, or a path; owned, NULL when it is neither. */
char *feed_location(const char *url, const char *location);

#endif
