#include <string.h>

#include "base/own.h"
#include "source/git/preflight.h"

void repo_settings_done(RepoSettings *settings) {
        strv_free(settings->lines);
        *settings = (RepoSettings){0};
}

bool repo_settings_read(const Repo *repo, RepoSettings *ret, Err *err) {
        const char *args[] = {"config", "--list", NULL};
        RepoCall call = {.args = args, .what = "reading the settings of the checkout"};
        scoped(child_result_done) ChildResult result = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        ret->lines = strv_split(result.out ? result.out : "", '\n');
        return true;
}

static const char *value_of(const char *line, const char *key) {
        size_t n = strlen(key);
        return strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

const char *repo_settings_get(const RepoSettings *settings, const char *key) {
        const char *found = NULL;
        for (size_t i = 0; i < strv_count(settings->lines); i++) {
                const char *value = value_of(settings->lines[i], key);
                found = value ? value : found;
        }
        return found;
}

static bool stars_fit(const char *a, const char *b) {
        const char *in_a = strchr(a, '*'), *in_b = strchr(b, '*');
        return !in_a == !in_b && (!in_a || !strchr(in_a + 1, '*')) &&
               (!in_b || !strchr(in_b + 1, '*'));
}

/* git-fetch(1): [+]<src>:<dst>, a star on both sides or on none. */
static bool refspec_valid(const char *spec) {
        scoped(free_str) char *src = str_copy(spec + (*spec == '+' || *spec == '^'));
        char *colon = strchr(src, ':');
        if (*src == '\0' || strpbrk(src, " \t~?[\\"))
                return false;
        if (!colon)
                return !strchr(src, '*') || *spec == '^';
        *colon = '\0';
        return !strchr(colon + 1, ':') && stars_fit(src, colon + 1);
}

static bool refspec_covers_heads(const char *spec) {
        spec += *spec == '+';
        return str_starts(spec, "refs/heads/*:") || str_starts(spec, "refs/*:");
}

RefspecFault refspec_fault(const RepoSettings *settings, const char *remote) {
        scoped(free_str) char *key = str_format("remote.%s.fetch", remote);
        RefspecFault fault = REFSPEC_NONE;
        for (size_t i = 0; i < strv_count(settings->lines); i++) {
                const char *spec = value_of(settings->lines[i], key);
                if (!spec)
                        continue;
                if (!refspec_valid(spec))
                        return REFSPEC_INVALID;
                if (fault != REFSPEC_FINE)
                        fault = refspec_covers_heads(spec) ? REFSPEC_FINE : REFSPEC_NARROW;
        }
        return fault;
}
