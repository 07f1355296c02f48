/*
 * The contract of a source (source/source.h), tried on real git repositories. Rows G-.. are those of the
 * catalogue of bad input.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/version.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "source/source.h"

enum { SWEEP_MS = 10000, TEXT_MAX = 16 * 1024 * 1024, POINTS_MAX = 400, ARGS_MAX = 24 };

/* ---- a remote, a checkout of it, and a state directory ---- */

typedef struct World {
        char *dir, *origin, *work;
        State state;
        Service service;
        SourceContext at;
        const Source *source;
} World;

static char *run_program(
        const char *directory, const char *const *argv, const char *input, int *ret_status) {
        int out[2], in[2];
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                dup2(out[1], STDOUT_FILENO);
                dup2(out[1], STDERR_FILENO);
                dup2(in[0], STDIN_FILENO);
                if (chdir(directory) != 0)
                        _exit(126);
                execvp(argv[0], (char *const *)(uintptr_t)argv);
                _exit(127);
        }
        close(out[1]);
        close(in[0]);
        if (input)
                assert_int_equal(write(in[1], input, strlen(input)), (ssize_t)strlen(input));
        close(in[1]);
        Str s = {0};
        char buffer[4096];
        ssize_t n;
        while ((n = read(out[0], buffer, sizeof(buffer))) > 0)
                str_add_n(&s, buffer, (size_t)n);
        close(out[0]);
        assert_int_equal(waitpid(pid, ret_status, 0), pid);
        return str_take(&s);
}

static char *git_words(const char *directory, const char *input, int *ret_status, va_list words) {
        const char *argv[ARGS_MAX] = {"git", "-c", "user.name=Tester", "-c",
                "user.email=tester@example.com", "-c", "init.defaultBranch=main", "-c",
                "advice.detachedHead=false"};
        size_t n = 9;
        const char *word;
        while ((word = va_arg(words, const char *)) != NULL) {
                assert_true(n < ARGS_MAX - 1);
                argv[n++] = word;
        }
        return run_program(directory, argv, input, ret_status);
}

/* What git prints, without the last newline; it must succeed. Owned. */
static __attribute__((sentinel)) char *git(const char *directory, ...) {
        int status = 0;
        va_list words;
        va_start(words, directory);
        char *text = git_words(directory, NULL, &status, words);
        va_end(words);
        if (status != 0)
                fail_msg("git failed in %s: %s", directory, text);
        size_t n = strlen(text);
        if (n && text[n - 1] == '\n')
                text[n - 1] = '\0';
        return text;
}

#define GIT(...) free(git(__VA_ARGS__, NULL))

static char *in_work(const World *w, const char *name) { return path_join(w->work, name); }

static void put(const char *dir, const char *name, const char *text) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *above = path_dirname(path);
        assert_true(dir_make(above, NULL));
        assert_int_equal(chmod(above, 0755), 0);
        assert_true(file_write_durable(path, text, strlen(text), 0644, NULL));
}

static char *get(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        char *text = NULL;
        file_read_if(path, TEXT_MAX, &text, NULL, NULL);
        return text;
}

static bool holds(const char *dir, const char *name, const char *text) {
        scoped(free_str) char *is = get(dir, name);
        return str_equal(is, text);
}

static void commit_all(const char *dir, const char *message) {
        GIT(dir, "add", "-A");
        GIT(dir, "commit", "-q", "--allow-empty", "-m", message);
}

/* v1.0.0 (lightweight), v1.1.0 (annotated): every kind of change; 1.2.0 tracks .env; and what is newer. */
static void origin_make(const char *dir) {
        assert_true(dir_make(dir, NULL));
        GIT(dir, "init", "-q");
        put(dir, "app.txt", "one\n");
        put(dir, "same.txt", "same\n");
        put(dir, "gone/deep/old.txt", "old\n");
        put(dir, "tree/leaf.txt", "leaf\n");
        put(dir, "flat", "flat\n");
        put(dir, "run.sh", "#!/bin/sh\necho one\n");
        put(dir, "odd \"name\" \xc3\xa4\t.txt", "odd one\n");
        scoped(free_str) char *link = path_join(dir, "link");
        assert_int_equal(symlink("app.txt", link), 0);
        commit_all(dir, "one");
        GIT(dir, "tag", "v1.0.0");
        put(dir, "app.txt", "two\n");
        GIT(dir, "rm", "-q", "-r", "gone", "tree", "flat");
        put(dir, "tree", "a file now\n");
        put(dir, "flat/leaf.txt", "a directory now\n");
        put(dir, "new/deep/er.txt", "new\n");
        put(dir, "run.sh", "#!/bin/sh\necho two\n");
        put(dir, "odd \"name\" \xc3\xa4\t.txt", "odd two\n");
        assert_int_equal(unlink(link), 0);
        assert_int_equal(symlink("same.txt", link), 0);
        GIT(dir, "add", "-A");
        GIT(dir, "update-index", "--chmod=+x", "run.sh");
        GIT(dir, "commit", "-q", "-m", "two");
        GIT(dir, "checkout", "-q", "--force", "HEAD");
        GIT(dir, "tag", "-a", "-m", "second", "v1.1.0");
        put(dir, ".env", "FROM=upstream\n");
        commit_all(dir, "three");
        GIT(dir, "tag", "1.2.0");
        GIT(dir, "tag", "nightly");
        put(dir, "app.txt", "four\n");
        commit_all(dir, "four");
        GIT(dir, "tag", "v2.0.0-rc.1");
}

/* In memory where that can be: the sweeps sync some thousand times. Hooks would not run on noexec. */
static char *new_directory(void) {
        char pattern[] = "/dev/shm/belay-source-XXXXXX", otherwise[] = "/tmp/belay-source-XXXXXX";
        struct statvfs fs;
        bool fit = statvfs("/dev/shm", &fs) == 0 && !(fs.f_flag & ST_NOEXEC) &&
                   access("/dev/shm", W_OK) == 0;
        return str_copy(mkdtemp(fit ? pattern : otherwise));
}

static int setup(void **state) {
        World *w = NEW(World);
        w->dir = new_directory();
        assert_int_equal(chmod(w->dir, 0755), 0);
        w->origin = path_join(w->dir, "origin");
        w->work = path_join(w->dir, "work");
        w->state.root = path_join(w->dir, "state");
        assert_true(dir_make(w->state.root, NULL));
        origin_make(w->origin);
        GIT(w->dir, "clone", "-q", w->origin, w->work);
        GIT(w->work, "checkout", "-q", "v1.0.0");
        w->service.name = str_copy("notes");
        w->service.directory = str_copy(w->work);
        w->service.channel = CHANNEL_LATEST;
        w->service.git = (GitSpec){.directory = str_copy(w->work),
                .remote = str_copy("origin"),
                .tags = str_copy("*")};
        w->at = (SourceContext){.service = &w->service, .state = &w->state, .mark = "7"};
        w->source = source_of(&w->service);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;
        fault_set("");
        assert_true(tree_remove(w->dir, NULL));
        service_done(&w->service);
        free(w->state.root);
        free(w->dir);
        free(w->origin);
        free(w->work);
        free(w);
        return 0;
}

static void must(bool ok, const Err *err) {
        if (!ok)
                fail_msg("%s: %s (%s)", err_name(err->code), err->message,
                        err->hint ? err->hint : "no hint");
}

static Release resolve(World *w, const char *wanted) {
        scoped(err_clear) Err err = {0};
        Release release = {0};
        scoped(release_done) Release installed = {0};
        must(w->source->installed(&w->at, &installed, &err), &err);
        must(w->source->resolve(&w->at, wanted, &installed, &release, &err), &err);
        return release;
}

static void no_resolve(World *w, const char *wanted, ErrCode code, const char *says) {
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release release = {0};
        assert_false(w->source->resolve(&w->at, wanted, NULL, &release, &err));
        if (err.code != code)
                fail_msg("'%s': %s: %s", wanted, err_name(err.code), err.message);
        scoped(free_str) char *all = str_format("%s. %s", err.message, err.hint ? err.hint : "");
        if (!strstr(all, says))
                fail_msg("'%s' says '%s', and not '%s'", wanted, all, says);
        assert_null(release.tag);
}

static void installed_is(World *w, const char *tag, const char *version) {
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release release = {0};
        must(w->source->installed(&w->at, &release, &err), &err);
        assert_string_equal(release.tag, tag);
        assert_string_equal(release.version, version);
        scoped(free_str) char *head = git(w->work, "rev-parse", "HEAD", NULL);
        assert_string_equal(release.reference, head);
}

static void fetch(World *w, const Release *to) {
        scoped(err_clear) Err err = {0};
        must(w->source->fetch(&w->at, to, &err), &err);
}

static json_t *facts_of(World *w, const Release *to) {
        scoped(err_clear) Err err = {0};
        json_t *facts = json_object();
        must(w->source->place_facts(&w->at, to, facts, &err), &err);
        return facts;
}

static void place(World *w, const json_t *facts) {
        scoped(err_clear) Err err = {0};
        must(w->source->place(&w->at, facts, &err), &err);
}

static void unplace(World *w, const json_t *facts) {
        scoped(err_clear) Err err = {0};
        must(w->source->unplace(&w->at, facts, &err), &err);
}

static SourceTruth truth(World *w, const json_t *facts) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *why = NULL;
        SourceTruth is = SOURCE_UNKNOWN;
        must(w->source->observe(&w->at, facts, &is, &why, &err), &err);
        return is;
}

static void cleanup(World *w, const Release *keep) {
        scoped(err_clear) Err err = {0};
        const char *commits[] = {keep ? keep->reference : NULL};
        must(w->source->cleanup(&w->at, commits, keep ? 1 : 0, &err), &err);
}

static char *refs_of_user(World *w) {
        scoped(free_str) char *all =
                git(w->work, "for-each-ref", "--format=%(refname) %(objectname)", NULL);
        scoped(strv_freep) Strv lines = strv_split(all, '\n');
        Str s = {0};
        for (size_t i = 0; i < strv_count(lines); i++)
                if (!str_starts(lines[i], "refs/belay/"))
                        str_addf(&s, "%s\n", lines[i]);
        return str_take(&s);
}

/* Everything that a user could notice: HEAD, references but Belay's, files, what git says of them. */
static char *snapshot(World *w) {
        scoped(free_str) char *head = get(w->work, ".git/HEAD");
        scoped(free_str) char *refs = refs_of_user(w);
        scoped(free_str) char *status = git(w->work, "status", "--porcelain", "--ignored", NULL);
        scoped(free_str) char *staged = git(w->work, "ls-files", "--stage", NULL);
        const char *const list[] = {
                "find", ".", "-path", "./.git", "-prune", "-o", "-printf", "%p %y %m %l\n", NULL};
        const char *const sums[] = {"find", ".", "-path", "./.git", "-prune", "-o", "-type", "f",
                "-exec", "sha256sum", "{}", "+", NULL};
        int code = 0;
        scoped(free_str) char *files = run_program(w->work, list, NULL, &code);
        assert_int_equal(code, 0);
        scoped(free_str) char *hashes = run_program(w->work, sums, NULL, &code);
        assert_int_equal(code, 0);
        scoped(strv_freep) Strv lines = strv_split(files, '\n');
        scoped(strv_freep) Strv more = strv_split(hashes, '\n');
        for (size_t i = 0; i < strv_count(more); i++)
                strv_add(&lines, more[i]);
        size_t n = strv_count(lines);
        for (size_t i = 1; i < n; i++)
                for (size_t j = i; j > 0 && strcmp(lines[j - 1], lines[j]) > 0; j--) {
                        char *swap = lines[j];
                        lines[j] = lines[j - 1];
                        lines[j - 1] = swap;
                }
        scoped(free_str) char *tree = strv_join(lines, "\n");
        return str_format("%s\n%s\n%s\n%s\n%s", head, refs, status, staged, tree);
}

/* Says in which line two snapshots differ; they are too long to be read. */
static void same_picture(const char *before, const char *after) {
        scoped(strv_freep) Strv was = strv_split(before, '\n');
        scoped(strv_freep) Strv is = strv_split(after, '\n');
        for (size_t i = 0; i < strv_count(was) && i < strv_count(is); i++)
                if (!str_equal(was[i], is[i]))
                        fail_msg("'%s' has become '%s'", was[i], is[i]);
        assert_string_equal(before, after);
}

static void nothing_left(World *w) {
        static const char *const names[] = {".git/index.lock", ".git/HEAD.lock", ".git/belay",
                "../state/services/notes/place-7.txt"};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *path = in_work(w, names[i]);
                if (file_exists(path))
                        fail_msg("'%s' is left over", path);
        }
}

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
        assert_true(source_forget_tag(&w->state, "notes", "v1.1.0", NULL));
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

/* ---- fetch, place, take back ---- */

static void update_and_back(void **state) {
        World *w = *state;
        put(w->work, "data/mine.db", "data");
        put(w->work, ".env", "MINE=1\n");
        scoped(free_str) char *before = snapshot(w);
        scoped(free_str) char *refs = refs_of_user(w);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(free_str) char *fetched = snapshot(w);
        assert_string_equal(before, fetched);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
        place(w, facts);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        installed_is(w, "v1.1.0", "1.1.0");
        scoped(free_str) char *status = git(w->work, "status", "--porcelain", NULL);
        assert_string_equal(status, "?? .env\n?? data/");
        assert_true(holds(w->work, "app.txt", "two\n") &&
                    holds(w->work, "flat/leaf.txt", "a directory now\n"));
        assert_true(holds(w->work, "tree", "a file now\n") && holds(w->work, ".env", "MINE=1\n"));
        scoped(free_str) char *gone = in_work(w, "gone");
        assert_false(file_exists(gone));
        scoped(free_str) char *script = in_work(w, "run.sh");
        assert_int_equal(access(script, X_OK), 0);
        unplace(w, facts);
        unplace(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
        cleanup(w, NULL);
        cleanup(w, NULL);
        nothing_left(w);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
        scoped(free_str) char *refs_after = refs_of_user(w);
        assert_string_equal(refs, refs_after);
}

static void success_leaves_nothing(void **state) {
        World *w = *state;
        scoped(release_done) Release from = resolve(w, "1.0.0");
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        cleanup(w, &from);
        nothing_left(w);
        scoped(free_str) char *refs =
                git(w->work, "for-each-ref", "--format=%(refname)", "refs/belay", NULL);
        assert_string_equal(refs, "refs/belay/@previous\nrefs/belay/v1.1.0");
        scoped(free_str) char *dirty = git(w->work, "diff-files", "--name-only", NULL);
        assert_string_equal(dirty, "");
        scoped(free_str) char *fsck = git(w->work, "fsck", "--no-dangling", NULL);
}

/* The fetch must not bring or move anything but Belay's own reference. */
static void users_references_stay(void **state) {
        World *w = *state;
        GIT(w->work, "tag", "-f", "v1.1.0", "v1.0.0");
        GIT(w->work, "tag", "mine");
        GIT(w->work, "config", "remote.origin.tagOpt", "--tags");
        GIT(w->work, "config", "fetch.pruneTags", "true");
        GIT(w->work, "config", "fetch.prune", "true");
        GIT(w->work, "config", "--add", "remote.origin.fetch", "+refs/tags/*:refs/tags/*");
        put(w->origin, "app.txt", "five\n");
        commit_all(w->origin, "five");
        GIT(w->origin, "tag", "v3.0.0");
        scoped(free_str) char *before = refs_of_user(w);
        scoped(release_done) Release to = resolve(w, "3.0.0");
        fetch(w, &to);
        scoped(release_done) Release other = resolve(w, "1.1.0");
        fetch(w, &other);
        scoped(free_str) char *after = refs_of_user(w);
        assert_string_equal(before, after);
        scoped(free_str) char *head = in_work(w, ".git/FETCH_HEAD");
        assert_false(file_exists(head));
        cleanup(w, NULL);
        scoped(free_str) char *last = refs_of_user(w);
        assert_string_equal(before, last);
}

static void head_on_a_branch_comes_back(void **state) {
        World *w = *state;
        GIT(w->work, "checkout", "-q", "-b", "local", "v1.0.0");
        scoped(free_str) char *before = snapshot(w);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        scoped(free_str) char *head = get(w->work, ".git/HEAD");
        assert_true(str_starts(head, to.reference));
        unplace(w, facts);
        cleanup(w, NULL);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
}

static void branch_is_followed(void **state) {
        World *w = *state;
        GIT(w->work, "checkout", "-q", "main");
        w->service.git.branch = str_copy("main");
        put(w->origin, "app.txt", "five\n");
        commit_all(w->origin, "five");
        scoped(free_str) char *before = snapshot(w);
        scoped(release_done) Release from = {0};
        assert_true(w->source->installed(&w->at, &from, NULL));
        scoped(release_done) Release to = resolve(w, NULL);
        assert_string_equal(to.tag, "main");
        assert_memory_equal(to.reference, to.version, 12);
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        assert_true(holds(w->work, ".git/HEAD", "ref: refs/heads/main\n") &&
                    holds(w->work, "app.txt", "five\n"));
        installed_is(w, "main", to.version);
        unplace(w, facts);
        cleanup(w, NULL);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
        scoped(release_done) Release old = resolve(w, from.version);
        assert_string_equal(old.reference, from.reference);
        no_resolve(w, "1.1.0", ERR_REFUSED, "follows the branch");
}

/* G09 */
static void force_pushed_branch_is_refused(void **state) {
        World *w = *state;
        GIT(w->work, "checkout", "-q", "main");
        put(w->work, "mine.txt", "mine\n");
        commit_all(w->work, "mine");
        w->service.git.branch = str_copy("main");
        put(w->origin, "app.txt", "five\n");
        commit_all(w->origin, "five");
        scoped(release_done) Release to = resolve(w, NULL);
        fetch(w, &to);
        scoped(source_findings_done) SourceFindings findings = {0};
        scoped(err_clear) Err err = {0};
        assert_true(w->source->preflight(&w->at, &to, &findings, NULL));
        assert_false(source_findings_ok(&findings, &err));
        assert_non_null(strstr(err.message, "different ways"));
}

static void reinstall_changes_nothing(void **state) {
        World *w = *state;
        scoped(free_str) char *before = snapshot(w);
        scoped(release_done) Release to = resolve(w, "1.0.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        unplace(w, facts);
        cleanup(w, NULL);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
}

static void rights_are_kept(void **state) {
        World *w = *state;
        scoped(free_str) char *app = in_work(w, "app.txt");
        scoped(free_str) char *top = in_work(w, ".");
        scoped(free_str) char *er = in_work(w, "new/deep/er.txt");
        scoped(free_str) char *deep = in_work(w, "new/deep");
        assert_int_equal(chmod(app, 0640), 0);
        assert_int_equal(chmod(top, 0750), 0);
        mode_t mask = umask(077);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        umask(mask);
        struct stat st;
        assert_int_equal(stat(app, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        assert_int_equal(stat(er, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        assert_int_equal(stat(deep, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0750);
        unplace(w, facts);
        assert_int_equal(stat(app, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
}

/* ---- what is in the way ---- */

static bool finds(World *w, const Release *to, const char *code, FindingLevel level) {
        scoped(source_findings_done) SourceFindings findings = {0};
        scoped(err_clear) Err err = {0};
        must(w->source->preflight(&w->at, to, &findings, &err), &err);
        for (size_t i = 0; i < findings.n; i++)
                if (str_equal(findings.items[i].code, code) && findings.items[i].level == level)
                        return true;
        return false;
}

static void clean_checkout_has_no_finding(void **state) {
        World *w = *state;
        scoped(source_findings_done) SourceFindings findings = {0};
        scoped(release_done) Release to = resolve(w, "1.1.0");
        assert_true(w->source->preflight(&w->at, &to, &findings, NULL));
        if (findings.n)
                fail_msg("%s", findings.items[0].message);
        assert_true(findings.target_seen);
        assert_true(source_findings_ok(&findings, NULL));
}

static void local_changes_are_refused(void **state) {
        World *w = *state;
        put(w->work, "app.txt", "mine\n");
        scoped(release_done) Release to = resolve(w, "1.1.0");
        assert_true(finds(w, &to, "local-changes", FINDING_REFUSAL));
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "app.txt"));
        assert_true(holds(w->work, "app.txt", "mine\n"));
}

static void deleted_tracked_file_is_a_local_change(void **state) {
        World *w = *state;
        scoped(free_str) char *path = in_work(w, "app.txt");
        assert_int_equal(unlink(path), 0);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        assert_true(finds(w, &to, "local-changes", FINDING_REFUSAL));
}

static void untracked_env_is_not_overwritten(void **state) {
        World *w = *state;
        put(w->work, ".env", "MINE=1\n");
        put(w->work, ".git/info/exclude", ".env\n");
        scoped(release_done) Release to = resolve(w, "1.2.0");
        assert_true(finds(w, &to, "in-the-way", FINDING_REFUSAL));
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, ".env"));
        assert_true(holds(w->work, ".env", "MINE=1\n"));
        cleanup(w, NULL);
        nothing_left(w);
}

static void configuration_is_let_be(void **state) {
        World *w = *state;
        put(w->work, ".env", "MINE=1\n");
        scoped(free_str) char *env = in_work(w, ".env");
        char *const allowed[] = {env, NULL};
        w->at.allowed = allowed;
        scoped(release_done) Release to = resolve(w, "1.2.0");
        assert_false(finds(w, &to, "in-the-way", FINDING_REFUSAL));
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        assert_true(holds(w->work, ".env", "MINE=1\n"));
        put(w->work, ".env", "MINE=2\n");
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        assert_false(finds(w, &to, "local-changes", FINDING_REFUSAL));
        unplace(w, facts);
        assert_true(holds(w->work, ".env", "MINE=2\n"));
}

static const struct {
        const char *file, *said;
} obstacles[] = {
        {"new/deep/er.txt", "new/deep/er.txt"},
        {"new", "new"},
        {"new/deep", "new/deep"},
        {"flat.d/../new/deep/er.txt/inside", "new/deep/er.txt"},
        {"tree/mine.txt", "tree"},
};

static void untracked_files_in_the_way(void **state) {
        World *w = *state;
        for (size_t i = 0; i < COUNT_OF(obstacles); i++) {
                put(w->work, obstacles[i].file, "mine");
                scoped(release_done) Release to = resolve(w, "1.1.0");
                scoped(err_clear) Err err = {0};
                if (w->source->fetch(&w->at, &to, &err))
                        fail_msg("'%s' is not in the way", obstacles[i].file);
                scoped(free_str) char *quoted = str_format("'%s'", obstacles[i].said);
                if (err.code != ERR_REFUSED || !strstr(err.message, quoted))
                        fail_msg("'%s': %s", obstacles[i].file, err.message);
                scoped(free_str) char *new = in_work(w, "new");
                scoped(free_str) char *mine = in_work(w, "tree/mine.txt");
                assert_true(tree_remove(new, NULL));
                unlink(mine);
        }
}

/* A directory that the user replaced by a link to somewhere else: nothing is written behind it. */
static void nothing_is_written_behind_a_link(void **state) {
        World *w = *state;
        scoped(free_str) char *outside = path_join(w->dir, "outside");
        scoped(free_str) char *link = in_work(w, "new");
        assert_true(dir_make(outside, NULL));
        assert_int_equal(symlink(outside, link), 0);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        unlink(link);
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        assert_int_equal(symlink(outside, link), 0);
        assert_false(w->source->place(&w->at, facts, &err));
        scoped(free_str) char *behind = path_join(outside, "deep");
        assert_false(file_exists(behind));
        unlink(link);
        unplace(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
}

static void unfinished_business_is_refused(void **state) {
        World *w = *state;
        put(w->work, ".git/MERGE_HEAD", "x\n");
        assert_true(finds(w, NULL, "unfinished", FINDING_REFUSAL));
        scoped(free_str) char *merge = in_work(w, ".git/MERGE_HEAD");
        unlink(merge);
        GIT(w->work, "config", "core.sparseCheckout", "true");
        assert_true(finds(w, NULL, "sparse", FINDING_REFUSAL));
        GIT(w->work, "config", "--unset", "core.sparseCheckout");
        GIT(w->work, "remote", "rename", "origin", "upstream");
        assert_true(finds(w, NULL, "remote", FINDING_REFUSAL));
}

static void shapes_of_repositories(void **state) {
        World *w = *state;
        scoped(free_str) char *bare = path_join(w->dir, "bare");
        scoped(free_str) char *tree = path_join(w->dir, "tree");
        scoped(free_str) char *shallow = path_join(w->dir, "shallow");
        scoped(free_str) char *url = str_format("file://%s", w->origin);
        GIT(w->dir, "clone", "-q", "--bare", w->origin, bare);
        GIT(w->work, "worktree", "add", "-q", tree, "v1.0.0");
        GIT(w->dir, "clone", "-q", "--depth", "1", "--branch", "v1.0.0", url, shallow);
        str_replace_owned(&w->service.git.directory, str_copy(bare));
        assert_true(finds(w, NULL, "checkout", FINDING_REFUSAL));
        scoped(free_str) char *nothing = in_work(w, "gone/deep");
        str_replace_owned(&w->service.git.directory, str_copy(nothing));
        assert_true(finds(w, NULL, "checkout", FINDING_REFUSAL));
        str_replace_owned(&w->service.git.directory, str_copy(shallow));
        str_replace_owned(&w->work, str_copy(shallow));
        assert_true(finds(w, NULL, "shallow", FINDING_NOTE));
        assert_true(finds(w, NULL, "refspec", FINDING_WARNING));
        installed_is(w, "v1.0.0", "1.0.0");
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        installed_is(w, "v1.1.0", "1.1.0");
        str_replace_owned(&w->service.git.directory, str_copy(tree));
        str_replace_owned(&w->work, str_copy(tree));
        cleanup(w, NULL);
        assert_true(finds(w, NULL, "worktree", FINDING_NOTE));
        installed_is(w, "v1.0.0", "1.0.0");
        fetch(w, &to);
        scoped(js_freep) json_t *there = facts_of(w, &to);
        place(w, there);
        installed_is(w, "v1.1.0", "1.1.0");
        scoped(free_str) char *status = git(tree, "status", "--porcelain", NULL);
        assert_string_equal(status, "");
}

static void foreign_index_lock_is_never_removed(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        put(w->work, ".git/index.lock", "");
        assert_true(finds(w, &to, "index-lock", FINDING_REFUSAL));
        scoped(err_clear) Err err = {0};
        assert_false(w->source->place(&w->at, facts, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "no program has it open"));
        scoped(free_str) char *lock = in_work(w, ".git/index.lock");
        scoped(close_fd) int fd = open(lock, O_RDONLY | O_CLOEXEC);
        scoped(err_clear) Err held = {0};
        assert_false(w->source->place(&w->at, facts, &held));
        scoped(free_str) char *me = str_format("(pid %d)", getpid());
        assert_non_null(strstr(held.message, me));
        cleanup(w, NULL);
        assert_true(file_exists(lock));
        assert_true(holds(w->work, "app.txt", "one\n"));
}

static void changes_meanwhile_are_drift(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        put(w->work, "app.txt", "mine\n");
        scoped(err_clear) Err err = {0};
        assert_false(w->source->place(&w->at, facts, &err));
        assert_int_equal(err.code, ERR_DRIFT);
        assert_non_null(strstr(err.message, "app.txt"));
        assert_int_equal(truth(w, facts), SOURCE_DRIFT);
        assert_true(holds(w->work, "tree/leaf.txt", "leaf\n"));
        put(w->work, "app.txt", "one\n");
        place(w, facts);
        put(w->work, "app.txt", "mine\n");
        scoped(err_clear) Err back = {0};
        assert_false(w->source->unplace(&w->at, facts, &back));
        assert_int_equal(back.code, ERR_DRIFT);
        assert_true(holds(w->work, "app.txt", "mine\n") && holds(w->work, "tree", "a file now\n"));
        put(w->work, "app.txt", "two\n");
        GIT(w->work, "update-ref", "--no-deref", "HEAD", "refs/remotes/origin/main");
        assert_int_equal(truth(w, facts), SOURCE_DRIFT);
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
        if (geteuid() != 0)
                skip();
        scoped(free_str) char *dot = in_work(w, ".git");
        give_away(dot);
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release release = {0};
        assert_false(w->source->installed(&w->at, &release, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "belongs to user 12345"));
        assert_true(finds(w, NULL, "checkout", FINDING_REFUSAL));
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

/* ---- deaths ---- */

typedef enum Act { ACT_FETCH, ACT_PLACE, ACT_UNPLACE, ACT_CLEANUP } Act;

static bool act(World *w, Act which, const Release *to, const json_t *facts, Err *err) {
        switch (which) {
        case ACT_FETCH:
                return w->source->fetch(&w->at, to, err);
        case ACT_PLACE:
                return w->source->place(&w->at, facts, err);
        case ACT_UNPLACE:
                return w->source->unplace(&w->at, facts, err);
        case ACT_CLEANUP:
                return w->source->cleanup(&w->at, NULL, 0, err);
        }
        return false;
}

/* True when it died, or failed, at that point. */
static bool act_with_fault(
        World *w, Act which, const Release *to, const json_t *facts, const char *rule) {
        pid_t pid = fork();
        if (pid == 0) {
                fault_set(rule);
                _exit(act(w, which, to, facts, NULL) ? 0 : 3);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        /* As recovery does first of all: what the dead one started is ended. */
        assert_true(process_sweep("BELAY_RUN", w->at.mark, 0, clock_now_ms() + SWEEP_MS, NULL));
        return status != 0;
}

static const char *const faults[] = {"*:die:%u", "*:after:%u", "*:error:%u:ENOSPC"};

static char *rule_of(size_t i, unsigned n) {
        scoped(strv_freep) Strv parts = strv_split(faults[i], '%');
        return str_format("%s%u%s", parts[0], n, parts[1] + 1);
}

static void whole_way_back(World *w, const json_t *facts, const char *before) {
        unplace(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
        cleanup(w, NULL);
        nothing_left(w);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
}

/* Each point of one act: it stops there; then it is finished, or taken back, and nothing is lost. */
static unsigned sweep(World *w, Act which, size_t fault, const char *before) {
        unsigned points = 0, misses = 0;
        for (unsigned n = 1; n < POINTS_MAX && misses < 3; n++) {
                scoped(release_done) Release to = resolve(w, "1.1.0");
                scoped(free_str) char *rule = rule_of(fault, n);
                scoped(js_freep) json_t *facts = NULL;
                if (which != ACT_FETCH) {
                        fetch(w, &to);
                        facts = facts_of(w, &to);
                }
                if (which == ACT_UNPLACE)
                        place(w, facts);
                bool stopped = act_with_fault(w, which, &to, facts, rule);
                misses = stopped ? 0 : misses + 1;
                points += stopped;
                if (which == ACT_CLEANUP) {
                        cleanup(w, NULL);
                        nothing_left(w);
                        scoped(free_str) char *after = snapshot(w);
                        same_picture(before, after);
                        continue;
                }
                if (which == ACT_FETCH) {
                        fetch(w, &to);
                        facts = facts_of(w, &to);
                }
                if (truth(w, facts) == SOURCE_DRIFT)
                        fail_msg("%s: drift", rule);
                if (which == ACT_FETCH || (which == ACT_PLACE && n % 2 == 0)) {
                        scoped(js_freep) json_t *again = facts_of(w, &to);
                        assert_true(json_equal(facts, again));
                        place(w, facts);
                        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
                        scoped(free_str) char *status = git(w->work, "status", "--porcelain", NULL);
                        assert_string_equal(status, "");
                }
                whole_way_back(w, facts, before);
        }
        assert_true(points < POINTS_MAX - 3);
        return points;
}

static void sweep_act(World *w, Act which, const char *name, unsigned least) {
        scoped(free_str) char *before = snapshot(w);
        for (size_t fault = 0; fault < COUNT_OF(faults); fault++) {
                unsigned points = sweep(w, which, fault, before);
                print_message("%s, %s: stopped at %u points\n", name, faults[fault], points);
                assert_true(points >= least);
        }
}

static void survives_stops_in_fetch(void **state) { sweep_act(*state, ACT_FETCH, "fetch", 10); }
static void survives_stops_in_place(void **state) { sweep_act(*state, ACT_PLACE, "place", 10); }
static void survives_stops_in_unplace(void **state) {
        sweep_act(*state, ACT_UNPLACE, "unplace", 10);
}
static void survives_stops_in_cleanup(void **state) {
        sweep_act(*state, ACT_CLEANUP, "cleanup", 5);
}

/* A git of ours was killed between taking HEAD's lock and writing HEAD. */
static void survives_a_killed_git(void **state) {
        World *w = *state;
        GIT(w->work, "checkout", "-q", "-b", "local", "v1.0.0");
        scoped(free_str) char *before = snapshot(w);
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        put(w->work, ".git/index.lock", "belay 7\n");
        put(w->work, ".git/HEAD.lock", "half");
        put(w->work, ".git/refs/heads/local.lock", "half");
        assert_int_equal(truth(w, facts), SOURCE_PARTLY);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        whole_way_back(w, facts, before);
        put(w->work, ".git/refs/belay/v1.1.0.lock", "half");
        fetch(w, &to);
        cleanup(w, NULL);
}

/* ---- a version's tree ---- */

static void tree_is_readable_before_it_is_placed(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        scoped(strv_freep) Strv paths = NULL;
        scoped(free_str) char *text = NULL;
        scoped(err_clear) Err err = {0};
        size_t n = 0;
        fetch(w, &to);
        must(w->source->tree(&w->at, &to, &paths, &err), &err);
        assert_true(strv_contains(paths, "flat/leaf.txt") &&
                    strv_contains(paths, "odd \"name\" \xc3\xa4\t.txt"));
        must(w->source->tree_file(&w->at, &to, "flat/leaf.txt", &text, &n, &err), &err);
        assert_string_equal(text, "a directory now\n");
        assert_int_equal(n, strlen(text));
        scoped(strv_freep) Strv below = NULL;
        str_replace_owned(&w->service.directory, in_work(w, "gone"));
        scoped(release_done) Release from = resolve(w, "1.0.0");
        must(w->source->tree(&w->at, &from, &below, &err), &err);
        assert_int_equal(strv_count(below), 1);
        assert_string_equal(below[0], "deep/old.txt");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
                TEST(update_and_back),
                TEST(success_leaves_nothing),
                TEST(users_references_stay),
                TEST(head_on_a_branch_comes_back),
                TEST(branch_is_followed),
                TEST(force_pushed_branch_is_refused),
                TEST(reinstall_changes_nothing),
                TEST(rights_are_kept),
                TEST(clean_checkout_has_no_finding),
                TEST(local_changes_are_refused),
                TEST(deleted_tracked_file_is_a_local_change),
                TEST(untracked_env_is_not_overwritten),
                TEST(configuration_is_let_be),
                TEST(untracked_files_in_the_way),
                TEST(nothing_is_written_behind_a_link),
                TEST(unfinished_business_is_refused),
                TEST(shapes_of_repositories),
                TEST(foreign_index_lock_is_never_removed),
                TEST(changes_meanwhile_are_drift),
                TEST(hooks_and_helpers_do_not_run),
                TEST(submodules_are_left_alone),
                TEST(links_are_placed_as_links),
                TEST(dot_git_in_a_tree_is_refused),
                TEST(refspec_fault_is_found_and_mended),
                TEST(update_works_with_a_refspec_fault),
                TEST(root_works_as_the_owner),
                TEST(settings_of_somebody_else_are_refused),
                TEST(an_ordinary_user_is_refused_for_others),
                TEST(survives_stops_in_fetch),
                TEST(survives_stops_in_place),
                TEST(survives_stops_in_unplace),
                TEST(survives_stops_in_cleanup),
                TEST(survives_a_killed_git),
                TEST(tree_is_readable_before_it_is_placed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
