#include "model/release_path.h"

#include <stdlib.h>

#include "base/own.h"
#include "base/version.h"
#include "model/version_range.h"

typedef struct Search {
        const ReleaseData *data;
        const char *from, *to;   /* of the whole way */
        const ReleaseInfo **way; /* all that is known between, oldest first */
        size_t n;
        MayGoTo *may;
        void *context;
        unsigned looks; /* how many ranges were looked at */
        bool given_up;  /* the way would be too long, or there are too many to look at */
} Search;

enum { LOOKS_MAX = 100000 };

void release_path_done(ReleasePath *path) {
        strv_free(path->hops);
        strv_free(path->why);
        *path = (ReleasePath){0};
}

static bool lower(const char *a, const char *b) {
        bool ordered = false;
        return version_text_compare(a, b, &ordered) < 0 && ordered;
}

static const char *range_of(const Search *search, const char *version) {
        const ReleaseInfo *info = release_data_find(search->data, version);
        return info ? info->requires_from : NULL;
}

static bool fits(Search *search, const char *range, const char *from) {
        search->looks++;
        return !range || version_range_holds(range, from);
}

static bool may_be_between(const Search *search, const ReleaseInfo *info) {
        scoped(version_done) Version version = {0};
        return version_parse(info->version, &version) && !version.pre && !info->prerelease &&
               (!search->may || search->may(search->context, info->version));
}

typedef struct Hop {
        const char *to, *range; /* range: what it may be come to from; NULL: from anywhere */
} Hop;

/* Each step goes to a lower version, so that it ends; what was tried and is no good is not tried again. `behind` are
 * the steps that follow this one. */
static bool reach(Search *search, const char *from, const Hop *hop, bool *tried, size_t behind,
        ReleasePath *path) {
        const char *to = hop->to, *range = hop->range;
        if (strv_count(path->hops) + behind >= RELEASE_PATH_MAX || search->looks >= LOOKS_MAX) {
                search->given_up = true;
                return false;
        }
        if (fits(search, range, from)) {
                strv_add(&path->hops, to);
                strv_add(&path->why, "");
                return true;
        }
        for (size_t i = search->n; i-- > 0;) {
                const ReleaseInfo *between = search->way[i];
                if (tried[i] || !lower(from, between->version) || !lower(between->version, to) ||
                        !fits(search, range, between->version) || !may_be_between(search, between))
                        continue;
                const Hop before = {between->version, between->requires_from};
                tried[i] = true;
                if (!reach(search, from, &before, tried, behind + 1, path))
                        continue;
                size_t last = strv_count(path->why) - 1;
                str_replace_owned(
                        &path->why[last], str_format("%s must be updated from %s", to, range));
                strv_add(&path->hops, to);
                strv_add(&path->why, "");
                return true;
        }
        return false;
}

static bool too_long(const Search *search, Err *err) {
        err_fail(err, ERR_REFUSED, "the way from %s to %s has more than %d updates", search->from,
                search->to, RELEASE_PATH_MAX);
        err_reason(err, "no-way");
        return err_hint(err, "Go to a version in between first.");
}

static bool no_way(const Search *search, const char *from, const char *to, Err *err) {
        if (search->given_up)
                return too_long(search, err);
        err_fail(err, ERR_REFUSED,
                "%s must be updated from %s, and no release on the way from %s is that", to,
                range_of(search, to), from);
        err_reason(err, "no-way");
        return err_hint(err,
                "A version in between may be missing from the source, or have proved bad; "
                "the notes of %s say how to come to it.",
                to);
}

static bool stop_is_missing(const char *stop, Err *err) {
        err_fail(err, ERR_REFUSED,
                "%s is a required stop on the way, and cannot be gone to: the source does not "
                "offer "
                "it, or it proved bad",
                stop);
        err_reason(err, "no-way");
        return err_hint(
                err, "Ask who publishes the releases; --even-if-bad tries a bad one again.");
}

static bool add_leg(Search *search, const char *from, const char *to, const char *why,
        ReleasePath *path, Err *err) {
        scoped(free_mem) bool *tried = NEW_ARRAY(bool, search->n + 1);
        const Hop last_hop = {to, range_of(search, to)};
        if (!reach(search, from, &last_hop, tried, 0, path))
                return no_way(search, from, to, err);
        size_t last = strv_count(path->why) - 1;
        str_replace_owned(&path->why[last], str_copy(why));
        return true;
}

static bool find_way(
        Search *search, const char *from, const char *to, ReleasePath *path, Err *err) {
        const char *at = from;
        for (size_t i = 0; i < search->n; i++) {
                const ReleaseInfo *stop = search->way[i];
                if (!stop->stop || version_same(stop->version, to))
                        continue;
                if (!may_be_between(search, stop))
                        return stop_is_missing(stop->version, err);
                if (!add_leg(search, at, stop->version, "a required stop", path, err))
                        return false;
                at = stop->version;
        }
        return add_leg(search, at, to, "", path, err);
}

bool release_path_find(const ReleaseWay *way, ReleasePath *ret, Err *err) {
        scoped(release_path_done) ReleasePath path = {0};
        const char *from = way->from ? version_bare(way->from) : NULL, *to = version_bare(way->to);
        if (!from || !lower(from, to)) {
                strv_add(&path.hops, to);
                strv_add(&path.why, "");
        } else {
                size_t n = 0;
                scoped(free_mem) const ReleaseInfo **between =
                        release_data_between(way->data, from, to, &n);
                Search search = {.data = way->data,
                        .from = from,
                        .to = to,
                        .way = between,
                        .n = n,
                        .may = way->may,
                        .context = way->context};
                if (!find_way(&search, from, to, &path, err))
                        return false;
        }
        *ret = path;
        path = (ReleasePath){0};
        return true;
}
