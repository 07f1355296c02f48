#include "lib/source_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/version.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { TEXT_MAX = 16 * 1024 * 1024, ARGS_MAX = 24 };

char *run_program(
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

char *git(const char *directory, ...) {
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

char *in_work(const World *w, const char *name) { return path_join(w->work, name); }

void put(const char *dir, const char *name, const char *text) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *above = path_dirname(path);
        assert_true(dir_make(above, NULL));
        assert_int_equal(chmod(above, 0755), 0);
        assert_true(file_write_durable(path, text, strlen(text), 0644, NULL));
}

char *get(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        char *text = NULL;
        file_read_if(path, TEXT_MAX, &text, NULL, NULL);
        return text;
}

bool holds(const char *dir, const char *name, const char *text) {
        scoped(free_str) char *is = get(dir, name);
        return str_equal(is, text);
}

void commit_all(const char *dir, const char *message) {
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

int source_world_setup(void **state) {
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
        /* Nobody else's: what a test sweeps is not to be another program's, which runs beside it. */
        w->at = (SourceContext){
                .service = &w->service, .state = &w->state, .mark = strrchr(w->dir, '/') + 1};
        w->source = source_of(&w->service);
        *state = w;
        return 0;
}

int source_world_teardown(void **state) {
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

void must(bool ok, const Err *err) {
        if (!ok)
                fail_msg("%s: %s (%s)", err_name(err->code), err->message,
                        err->hint ? err->hint : "no hint");
}

Release resolve(World *w, const char *wanted) {
        scoped(err_clear) Err err = {0};
        Release release = {0};
        scoped(release_done) Release installed = {0};
        must(w->source->installed(&w->at, &installed, &err), &err);
        must(w->source->resolve(&w->at, wanted, &installed, &release, &err), &err);
        return release;
}

void no_resolve(World *w, const char *wanted, ErrCode code, const char *says) {
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

void installed_is(World *w, const char *tag, const char *version) {
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release release = {0};
        must(w->source->installed(&w->at, &release, &err), &err);
        assert_string_equal(release.tag, tag);
        assert_string_equal(release.version, version);
        scoped(free_str) char *head = git(w->work, "rev-parse", "HEAD", NULL);
        assert_string_equal(release.reference, head);
}

void fetch(World *w, const Release *to) {
        scoped(err_clear) Err err = {0};
        must(w->source->fetch(&w->at, to, &err), &err);
        build(w, to);
}

void build(World *w, const Release *to) {
        scoped(err_clear) Err err = {0};
        const SourceBuild how = {.values = {.version = to->version, .commit = to->reference}};
        if (w->source->builds(&w->at))
                must(w->source->build(&w->at, to, &how, &err), &err);
}

static Strv words(const char *const *texts) {
        Strv v = NULL;
        for (; *texts; texts++)
                strv_add(&v, *texts);
        return v;
}

int artifacts_world_setup(void **state) {
        static const char *const install[] = {"sh", "-c",
                "mkdir -p dist sub && echo ${version} > dist/out && pwd > dist/where && "
                "echo ${version} > sub/tool",
                NULL};
        static const char *const artifacts[] = {"dist", "sub/tool", NULL};
        source_world_setup(state);
        World *w = *state;
        w->service.git.install = words(install);
        w->service.git.artifacts = words(artifacts);
        put(w->work, "dist/mine", "mine\n");
        return 0;
}

int releases_world_setup(void **state) {
        static const char *const make[] = {"sh", "-c", "echo ${version} > built", NULL};
        static const char *const artifacts[] = {"built", NULL};
        static const char *const shared[] = {"data", NULL};
        source_world_setup(state);
        World *w = *state;
        w->service.git.layout = LAYOUT_RELEASES;
        w->service.git.build = words(make);
        w->service.git.artifacts = words(artifacts);
        w->service.git.shared = words(shared);
        w->source = source_of(&w->service);
        put(w->work, "shared/data/mine.db", "mine\n");
        return 0;
}

json_t *facts_of(World *w, const Release *to) {
        scoped(err_clear) Err err = {0};
        json_t *facts = json_object();
        must(w->source->place_facts(&w->at, to, facts, &err), &err);
        return facts;
}

void place(World *w, const json_t *facts) {
        scoped(err_clear) Err err = {0};
        must(w->source->place(&w->at, facts, &err), &err);
}

void unplace(World *w, const json_t *facts) {
        scoped(err_clear) Err err = {0};
        must(w->source->unplace(&w->at, facts, &err), &err);
}

SourceTruth truth(World *w, const json_t *facts) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *why = NULL;
        SourceTruth is = SOURCE_UNKNOWN;
        must(w->source->observe(&w->at, facts, &is, &why, &err), &err);
        return is;
}

void cleanup(World *w, const Release *keep) {
        scoped(err_clear) Err err = {0};
        const char *commits[] = {keep ? keep->reference : NULL};
        must(w->source->cleanup(&w->at, commits, keep ? 1 : 0, &err), &err);
}

char *refs_of_user(World *w) {
        scoped(free_str) char *all =
                git(w->work, "for-each-ref", "--format=%(refname) %(objectname)", NULL);
        scoped(strv_freep) Strv lines = strv_split(all, '\n');
        Str s = {0};
        for (size_t i = 0; i < strv_count(lines); i++)
                if (!str_starts(lines[i], "refs/belay/"))
                        str_addf(&s, "%s\n", lines[i]);
        return str_take(&s);
}

char *snapshot(World *w) {
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
void same_picture(const char *before, const char *after) {
        scoped(strv_freep) Strv was = strv_split(before, '\n');
        scoped(strv_freep) Strv is = strv_split(after, '\n');
        for (size_t i = 0; i < strv_count(was) && i < strv_count(is); i++)
                if (!str_equal(was[i], is[i]))
                        fail_msg("'%s' has become '%s'", was[i], is[i]);
        assert_string_equal(before, after);
}

void nothing_left(World *w) {
        scoped(free_str) char *list =
                str_format("../state/services/notes/place-%s.txt", w->at.mark);
        const char *const names[] = {".git/index.lock", ".git/HEAD.lock", ".git/belay", list};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *path = in_work(w, names[i]);
                if (file_exists(path))
                        fail_msg("'%s' is left over", path);
        }
}

bool finds(World *w, const Release *to, const char *code, FindingLevel level) {
        scoped(source_findings_done) SourceFindings findings = {0};
        scoped(err_clear) Err err = {0};
        must(w->source->preflight(&w->at, to, &findings, &err), &err);
        for (size_t i = 0; i < findings.n; i++)
                if (str_equal(findings.items[i].code, code) && findings.items[i].level == level)
                        return true;
        return false;
}
