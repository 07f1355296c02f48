/* The drivers that ask a server: a feed, and the release lists of GitHub and Gitea. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "source/feed/driver.h"

static const char GITHUB_API[] = "https://api.github.com";

static const char *feed_where(const Service *service) { return service->releases.feed; }

static bool feed_load(FeedAsk *ask, ReleaseData *ret, Err *err) {
        const char *url = ask->context->service->releases.feed;
        scoped(feed_answer_done) FeedAnswer answer = {0};
        if (!feed_ask(ask, url, "application/json", true, &answer, err))
                return false;
        if (ask->unchanged)
                return true;
        str_replace_owned(&ask->new_mark, TAKE(answer.etag));
        scoped(free_str) char *shown = feed_shown(url);
        return release_data_add_feed(ret, answer.body, answer.bytes, shown, err);
}

const FeedDriver feed_driver = {.name = "feed", .where = feed_where, .load = feed_load};

static const char *github_where(const Service *service) { return service->releases.github; }

static bool github_load(FeedAsk *ask, ReleaseData *ret, Err *err) {
        const ReleasesSpec *spec = &ask->context->service->releases;
        const char *api = spec->api ? spec->api : GITHUB_API;
        size_t bytes = strlen(api);
        while (bytes && api[bytes - 1] == '/')
                bytes--;
        scoped(free_str) char *url =
                str_format("%.*s/repos/%s/releases?per_page=100", (int)bytes, api, spec->github);
        return feed_ask_pages(ask, url, "application/vnd.github+json", ret, err);
}

const FeedDriver github_driver = {.name = "github", .where = github_where, .load = github_load};

static const char *gitea_where(const Service *service) { return service->releases.gitea; }

/* The repository's page, "https://host/some/where/owner/name", to its place in the API. */
static char *gitea_url(const char *page) {
        scoped(free_str) char *whole = str_copy(page);
        size_t n = strlen(whole);
        while (n && whole[n - 1] == '/')
                whole[--n] = '\0';
        if (str_ends(whole, ".git"))
                whole[n - 4] = '\0';
        char *name = strrchr(whole, '/');
        if (!name)
                return NULL;
        *name++ = '\0';
        char *owner = strrchr(whole, '/');
        if (!owner)
                return NULL;
        *owner++ = '\0';
        return str_format("%s/api/v1/repos/%s/%s/releases?limit=50", whole, owner, name);
}

static bool gitea_load(FeedAsk *ask, ReleaseData *ret, Err *err) {
        const char *page = ask->context->service->releases.gitea;
        scoped(free_str) char *url = gitea_url(page);
        if (!url)
                return err_fail(err, ERR_MANIFEST, "'%s' names no repository", page);
        return feed_ask_pages(ask, url, "application/json", ret, err);
}

const FeedDriver gitea_driver = {.name = "gitea", .where = gitea_where, .load = gitea_load};
