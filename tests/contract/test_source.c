/*
 * The contract of a source (source/source.h) on real git repositories: which versions there are, and
 * what is hostile or broken. Rows G-.. are those of the catalogue of bad input.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/version.h"
#include "lib/source_world.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"

/* ---- versions ---- */

static void installed_by_tag(void **state) {
        World *w = *state;
        installed_is(w, "v1.0.0", "1.0.0");
        GIT(w->work, "checkout", "-q", "v1.1.0");
        installed_is(w, "v1.1.0", "1.1.0");
        GIT(w->work, "pack-refs", "--all");
        installed_is(w, "v1.1.0", "1.1.0");
        GIT(w->work, "checkout", "-q", "1.2.0");
        installed_is(w, "1.2.0", "1.2.0"); /* and not "nightly", which is the same commit */
        GIT(w->work, "checkout", "-q", "main");
        installed_is(w, "v2.0.0-rc.1", "2.0.0-rc.1");
}

static void installed_by_description(void **state) {
        World *w = *state;
        put(w->work, "app.txt", "mine\n");
        commit_all(w->work, "mine");
        scoped(free_str) char *head = git(w->work, "rev-parse", "--short=12", "HEAD", NULL);
        scoped(free_str) char *tag = str_format("v1.0.0-1-g%s", head);
        scoped(free_str) char *version = str_format("1.0.0+1.g%s", head);
        installed_is(w, tag, version);
        bool ordered = false;
        assert_true(version_text_compare("1.1.0", version, &ordered) > 0 && ordered);
        GIT(w->work, "tag", "-d", "v1.0.0");
        free(w->service.git.tags);
        w->service.git.tags = str_copy("none-*");
        installed_is(w, head, head);
}

static void lists_versions_newest_first(void **state) {
        World *w = *state;
        scoped(offers_done) Offers offers = {0};
        scoped(err_clear) Err err = {0};
        must(w->source->list(&w->at, &offers, &err), &err);
        static const char *const tags[] = {"v2.0.0-rc.1", "1.2.0", "v1.1.0", "v1.0.0"};
        assert_int_equal(offers.n, COUNT_OF(tags));
        for (size_t i = 0; i < offers.n; i++) {
                scoped(free_str) char *object = str_format("%s^{commit}", tags[i]);
                scoped(free_str) char *commit = git(w->origin, "rev-parse", object, NULL);
                assert_string_equal(offers.releases[i].tag, tags[i]);
                assert_string_equal(offers.releases[i].reference, commit);
                assert_false(offers.moved[i]);
        }
        assert_int_equal(strv_count(offers.ignored), 1);
        assert_string_equal(offers.ignored[0], "nightly");
}

static void glob_narrows(void **state) {
        World *w = *state;
        scoped(offers_done) Offers offers = {0};
        free(w->service.git.tags);
        w->service.git.tags = str_copy("v1.*");
        assert_true(w->source->list(&w->at, &offers, NULL));
        assert_int_equal(offers.n, 2);
        assert_int_equal(strv_count(offers.ignored), 0);
        no_resolve(w, "1.2.0", ERR_REFUSED, "v1.1.0");
}

static void resolves(World *w, const char *wanted, const char *tag) {
        scoped(release_done) Release release = resolve(w, wanted);
        assert_string_equal(release.tag, tag);
        assert_string_equal(release.version, version_bare(tag));
}

static void resolves_with_and_without_v(void **state) {
        World *w = *state;
        resolves(w, "1.1.0", "v1.1.0");
        resolves(w, "v1.1.0", "v1.1.0");
        resolves(w, "v1.2.0", "1.2.0");
        resolves(w, "v2.0.0-rc.1", "v2.0.0-rc.1");
        resolves(w, NULL, "1.2.0");
}

static void channels(void **state) {
        World *w = *state;
        GIT(w->origin, "tag", "v2.0.0", "v1.1.0^{commit}");
        GIT(w->origin, "tag", "v1.0.5", "v1.1.0^{commit}");
        resolves(w, NULL, "v2.0.0");
        w->service.channel = CHANNEL_MINOR;
        resolves(w, NULL, "1.2.0");
        w->service.channel = CHANNEL_PATCH;
        resolves(w, NULL, "v1.0.5");
        w->service.channel = CHANNEL_EXACT;
        no_resolve(w, NULL, ERR_USAGE, "named");
        w->service.channel = CHANNEL_LATEST;
        GIT(w->work, "checkout", "-q", "main");
        GIT(w->origin, "tag", "-d", "v2.0.0");
        resolves(w, NULL,
                "v2.0.0-rc.1"); /* installed, and newer than all releases: never backwards */
}

static void missing_version_names_the_nearest(void **state) {
        World *w = *state;
        no_resolve(w, "1.2.1", ERR_REFUSED, "1.2.0");
        no_resolve(w, "nightly", ERR_REFUSED, "no version number");
        no_resolve(w, "zzz", ERR_REFUSED, "nearest");
}

/* G01, G02 */
static void text_that_can_be_no_tag(void **state) {
        World *w = *state;
        static const char *const texts[] = {"-rf", "-h", "--upload-pack=touch /tmp/x", "-u",
                "--output=", "", "a b", "a;b$(x)` ", "a..b", "a@{1}", "a.lock", "a\n", "a\r", "a~1",
                "a^", "a:b", "a?", "a*", "[a", "a\\b", ".a", "a/", "/a", "a\x7f"};
        for (size_t i = 0; i < COUNT_OF(texts); i++)
                no_resolve(w, texts[i], ERR_USAGE, "cannot be a version");
        scoped(free_str) char *big = mem_new(1, 301);
        memset(big, 'a', 300);
        no_resolve(w, big, ERR_USAGE, "cannot be a version");
}

/* G09 */
static void moved_tag_is_refused_until_forgotten(void **state) {
        World *w = *state;
        resolves(w, "1.1.0", "v1.1.0");
        GIT(w->origin, "tag", "-f", "v1.1.0", "main");
        no_resolve(w, "1.1.0", ERR_REFUSED, "another commit");
        scoped(offers_done) Offers offers = {0};
        assert_true(w->source->list(&w->at, &offers, NULL));
        assert_true(offers.moved[2]);
        assert_true(source_forget_tag(&w->state, "notes", "1.1.0", NULL));
        resolves(w, "1.1.0", "v1.1.0");
}

static void tag_moved_between_resolve_and_fetch(void **state) {
        World *w = *state;
        GIT(w->origin, "tag", "v3.0.0", "main");
        scoped(release_done) Release to = resolve(w, "3.0.0");
        put(w->origin, "app.txt", "five\n");
        commit_all(w->origin, "five");
        GIT(w->origin, "tag", "-f", "v3.0.0");
        GIT(w->work, "update-ref", "-d", "refs/remotes/origin/main");
        GIT(w->work, "update-ref", "-d", "refs/tags/v2.0.0-rc.1");
        str_replace_owned(&to.reference, git(w->origin, "rev-parse", "v1.1.0^{commit}", NULL));
        to.reference[0] = to.reference[0] == 'a' ? 'b' : 'a';
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "a moment ago"));
}

/* G09 */
static void tag_of_a_blob_is_refused(void **state) {
        World *w = *state;
        scoped(free_str) char *blob = git(w->origin, "rev-parse", "main:app.txt", NULL);
        GIT(w->origin, "tag", "v5.0.0", blob);
        scoped(release_done) Release to = resolve(w, "5.0.0");
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "no commit"));
}

static void ten_thousand_tags_and_one(void **state) {
        World *w = *state;
        scoped(free_str) char *commit = git(w->origin, "rev-parse", "main", NULL);
        Str s = {0};
        for (unsigned i = 0; i < LIMIT_TAGS; i++)
                str_addf(&s, "create refs/tags/n%u %s\n", i, commit);
        scoped(free_str) char *input = str_take(&s);
        scoped(free_str) char *file = path_join(w->dir, "input");
        assert_true(file_write_durable(file, input, strlen(input), 0600, NULL));
        scoped(free_str) char *redirect = str_format("exec git update-ref --stdin < '%s'", file);
        const char *const argv[] = {"sh", "-c", redirect, NULL};
        int status = 0;
        free(run_program(w->origin, argv, NULL, &status));
        assert_int_equal(status, 0);
        no_resolve(w, "1.1.0", ERR_REFUSED, "source.git.tags");
        free(w->service.git.tags);
        w->service.git.tags = str_copy("[v1]*");
        resolves(w, "1.1.0", "v1.1.0");
}

/* ---- remotes ---- */

static void remote_is_away(void **state) {
        World *w = *state;
        scoped(free_str) char *hidden = path_join(w->dir, "hidden");
        assert_int_equal(rename(w->origin, hidden), 0);
        no_resolve(w, "1.1.0", ERR_REMOTE, "no repository");
        GIT(w->work, "remote", "set-url", "origin", "https://me:canary-secret@host.invalid/x.git");
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release release = {0};
        assert_false(w->source->resolve(&w->at, "1.1.0", NULL, &release, &err));
        assert_int_equal(err.code, ERR_REMOTE);
        assert_null(strstr(err.message, "canary-secret"));
        assert_non_null(err.hint);
}

static void going_back_needs_no_remote(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        cleanup(w, &to);
        assert_true(tree_remove(w->origin, NULL));
        resolves(w, "1.1.0", "v1.1.0");
        resolves(w, "1.0.0", "v1.0.0");
        fetch(w, &to);
}

/* G03: none of these may start a program or talk to anybody. */
static void hostile_addresses(void **state) {
        World *w = *state;
        scoped(free_str) char *marker = path_join(w->dir, "marker");
        scoped(free_str) char *ext = str_format("ext::sh -c touch%% %s", marker);
        scoped(free_str) char *upper = str_format("EXT::sh -c touch%% %s", marker);
        scoped(free_str) char *proxy = str_format("ssh://-oProxyCommand=touch${IFS}%s/x", marker);
        const char *const urls[] = {
                ext, upper, "git://localhost/x", "fd::3", proxy, "-oProxyCommand=x"};
        for (size_t i = 0; i < COUNT_OF(urls); i++) {
                GIT(w->work, "config", "remote.origin.url", urls[i]);
                scoped(err_clear) Err err = {0};
                scoped(release_done) Release release = {0};
                if (w->source->resolve(&w->at, "1.1.0", NULL, &release, &err))
                        fail_msg("'%s' was asked", urls[i]);
                assert_false(file_exists(marker));
                scoped(source_findings_done) SourceFindings findings = {0};
                assert_true(w->source->preflight(&w->at, NULL, &findings, NULL));
                if (strstr(urls[i], "ssh://"))
                        continue;
                scoped(err_clear) Err no = {0};
                if (source_findings_ok(&findings, &no) || !strstr(no.message, "address"))
                        fail_msg("preflight found nothing wrong with '%s'", urls[i]);
        }
}

static void file_address(void **state) {
        World *w = *state;
        scoped(free_str) char *url = str_format("file://%s", w->origin);
        GIT(w->work, "remote", "set-url", "origin", url);
        GIT(w->origin, "tag", "v3.0.0", "main");
        scoped(release_done) Release to = resolve(w, "3.0.0");
        fetch(w, &to);
}

/* ---- programs that lie in a repository ---- */

/* G06 */
static void hooks_and_helpers_do_not_run(void **state) {
        World *w = *state;
        static const char *const hooks[] = {"post-checkout", "reference-transaction", "post-merge",
                "pre-commit", "post-index-change", "fsmonitor-watchman", "pre-auto-gc", "update",
                "post-rewrite"};
        scoped(free_str) char *marker = path_join(w->dir, "marker");
        scoped(free_str) char *script = str_format("#!/bin/sh\ntouch '%s'\n", marker);
        scoped(free_str) char *elsewhere = path_join(w->dir, "hooks");
        for (size_t i = 0; i < COUNT_OF(hooks); i++) {
                scoped(free_str) char *name = str_format(".git/hooks/%s", hooks[i]);
                put(w->work, name, script);
                put(elsewhere, hooks[i], script);
                scoped(free_str) char *path = in_work(w, name);
                scoped(free_str) char *other = path_join(elsewhere, hooks[i]);
                assert_int_equal(chmod(path, 0755), 0);
                assert_int_equal(chmod(other, 0755), 0);
        }
        GIT(w->work, "config", "core.hooksPath", elsewhere);
        scoped(free_str) char *monitor = path_join(elsewhere, "fsmonitor-watchman");
        GIT(w->work, "config", "core.fsmonitor", monitor);
        unlink(marker);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        assert_false(finds(w, &to, "local-changes", FINDING_REFUSAL));
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        unplace(w, facts);
        cleanup(w, NULL);
        assert_false(file_exists(marker));
}

/* G05, G10 */
static void submodules_are_left_alone(void **state) {
        World *w = *state;
        scoped(free_str) char *commit = git(w->origin, "rev-parse", "main", NULL);
        scoped(free_str) char *entry = str_format("160000,%s,module", commit);
        put(w->origin, ".gitmodules",
                "[submodule \"x\"]\n\tpath = module\n\turl = --upload-pack=touch\n");
        GIT(w->origin, "add", "-A");
        GIT(w->origin, "update-index", "--add", "--cacheinfo", entry);
        GIT(w->origin, "commit", "-q", "-m", "module");
        GIT(w->origin, "tag", "v3.0.0");
        scoped(release_done) Release to = resolve(w, "3.0.0");
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "submodule"));
        assert_true(finds(w, &to, "submodule-moves", FINDING_REFUSAL));
}

/* G07: a link in the tree is placed as a link, wherever it points. */
static void links_are_placed_as_links(void **state) {
        World *w = *state;
        scoped(free_str) char *shadow = path_join(w->origin, "shadow");
        assert_int_equal(symlink("/etc/shadow", shadow), 0);
        commit_all(w->origin, "link");
        GIT(w->origin, "tag", "v3.0.0");
        scoped(release_done) Release to = resolve(w, "3.0.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        scoped(free_str) char *path = in_work(w, "shadow");
        char target[64] = "";
        assert_int_equal(readlink(path, target, sizeof(target)), 11);
        assert_string_equal(target, "/etc/shadow");
}

/* G07: a tree that holds .git is refused by git itself, and nothing is placed. */
static void dot_git_in_a_tree_is_refused(void **state) {
        World *w = *state;
        scoped(free_str) char *blob = git(w->origin, "rev-parse", "main:app.txt", NULL);
        scoped(free_str) char *inner_line = str_format("100644 blob %s\tconfig\n", blob);
        const char *const mktree[] = {"git", "mktree", NULL};
        int status = 0;
        scoped(free_str) char *inner = run_program(w->origin, mktree, inner_line, &status);
        inner[strcspn(inner, "\n")] = '\0';
        scoped(free_str) char *outer_line = str_format("040000 tree %s\t.git\n", inner);
        scoped(free_str) char *outer = run_program(w->origin, mktree, outer_line, &status);
        outer[strcspn(outer, "\n")] = '\0';
        if (strlen(outer) != 40)
                skip(); /* this git does not even make such a tree */
        scoped(free_str) char *commit = git(w->origin, "commit-tree", "-m", "evil", outer, NULL);
        GIT(w->origin, "tag", "v3.0.0", commit);
        scoped(free_str) char *before = get(w->work, ".git/config");
        scoped(release_done) Release to = resolve(w, "3.0.0");
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_true(holds(w->work, ".git/config", before));
}

/* ---- the refspec fault ---- */

static const struct {
        const char *refspec; /* NULL: none at all */
        FindingLevel level;
} refspecs[] = {
        {NULL, FINDING_WARNING},
        {"+refs/heads/main:refs/remotes/origin/main", FINDING_WARNING},
        {"+refs/tags/v1.0.0:refs/tags/v1.0.0", FINDING_WARNING},
        {"refs/heads/*:refs/remotes/origin", FINDING_REFUSAL},
        {"+refs/heads/*:refs/remotes/origin/*:x", FINDING_REFUSAL},
};

static void refspec_fault_is_found_and_mended(void **state) {
        World *w = *state;
        for (size_t i = 0; i < COUNT_OF(refspecs); i++) {
                int status = 0;
                const char *const unset[] = {
                        "git", "config", "--unset-all", "remote.origin.fetch", NULL};
                free(run_program(w->work, unset, NULL, &status));
                if (refspecs[i].refspec)
                        GIT(w->work, "config", "remote.origin.fetch", refspecs[i].refspec);
                if (!finds(w, NULL, "refspec", refspecs[i].level))
                        fail_msg("'%s' is not found",
                                refspecs[i].refspec ? refspecs[i].refspec : "nothing");
                scoped(strv_freep) Strv done = NULL;
                scoped(err_clear) Err err = {0};
                must(w->source->fix(&w->at, &done, &err), &err);
                assert_int_equal(strv_count(done), 1);
                assert_false(finds(w, NULL, "refspec", refspecs[i].level));
                GIT(w->work, "fetch", "-q", "origin");
                scoped(strv_freep) Strv again = NULL;
                assert_true(w->source->fix(&w->at, &again, NULL));
                assert_int_equal(strv_count(again), 0);
        }
}

static void update_works_with_a_refspec_fault(void **state) {
        World *w = *state;
        GIT(w->work, "config", "--unset-all", "remote.origin.fetch");
        GIT(w->origin, "tag", "v3.0.0", "main");
        scoped(release_done) Release to = resolve(w, "3.0.0");
        fetch(w, &to);
}

/* ---- another user's repository ---- */

enum { OTHER_UID = 12345 };

static void give_away(const char *path) {
        const char *const argv[] = {"chown", "-R", "12345:12345", path, NULL};
        int status = 0;
        free(run_program("/", argv, NULL, &status));
        assert_int_equal(status, 0);
}

/* G12: root works as the owner of the checkout, whose settings then can do no more than he can. */
static void root_works_as_the_owner(void **state) {
        World *w = *state;
        if (geteuid() != 0)
                skip();
        give_away(w->work);
        give_away(w->origin);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        const char *const argv[] = {"find", w->work, "-not", "-user", "12345", NULL};
        int status = 0;
        scoped(free_str) char *foreign = run_program("/", argv, NULL, &status);
        assert_string_equal(foreign, "");
        unplace(w, facts);
        cleanup(w, NULL);
        scoped(free_str) char *again = run_program("/", argv, NULL, &status);
        assert_string_equal(again, "");
        nothing_left(w);
}

/* G12 */
static void settings_of_somebody_else_are_refused(void **state) {
        World *w = *state;
        static const char *const parts[] = {".git/config", ".git"};
        if (geteuid() != 0)
                skip();
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
                scoped(free_str) char *path = in_work(w, parts[i]);
                scoped(err_clear) Err err = {0};
                scoped(release_done) Release release = {0};
                give_away(path);
                assert_false(w->source->installed(&w->at, &release, &err));
                assert_int_equal(err.code, ERR_REFUSED);
                assert_non_null(strstr(err.message, "belongs to user 12345"));
                assert_true(finds(w, NULL, "checkout", FINDING_REFUSAL));
                assert_int_equal(chown(path, 0, 0), 0);
        }
}

static void an_ordinary_user_is_refused_for_others(void **state) {
        World *w = *state;
        if (geteuid() != 0)
                skip();
        pid_t pid = fork();
        if (pid == 0) {
                scoped(err_clear) Err err = {0};
                scoped(release_done) Release release = {0};
                if (setgid(OTHER_UID) != 0 || setuid(OTHER_UID) != 0)
                        _exit(9);
                bool ok = w->source->installed(&w->at, &release, &err);
                _exit(!ok && err.code == ERR_REFUSED ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, source_world_setup, source_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(installed_by_tag),
                TEST(installed_by_description),
                TEST(lists_versions_newest_first),
                TEST(glob_narrows),
                TEST(resolves_with_and_without_v),
                TEST(channels),
                TEST(missing_version_names_the_nearest),
                TEST(text_that_can_be_no_tag),
                TEST(moved_tag_is_refused_until_forgotten),
                TEST(tag_moved_between_resolve_and_fetch),
                TEST(tag_of_a_blob_is_refused),
                TEST(ten_thousand_tags_and_one),
                TEST(remote_is_away),
                TEST(going_back_needs_no_remote),
                TEST(hostile_addresses),
                TEST(file_address),
                TEST(hooks_and_helpers_do_not_run),
                TEST(submodules_are_left_alone),
                TEST(links_are_placed_as_links),
                TEST(dot_git_in_a_tree_is_refused),
                TEST(refspec_fault_is_found_and_mended),
                TEST(update_works_with_a_refspec_fault),
                TEST(root_works_as_the_owner),
                TEST(settings_of_somebody_else_are_refused),
                TEST(an_ordinary_user_is_refused_for_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
