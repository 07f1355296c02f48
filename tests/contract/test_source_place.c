/* The contract of a source: fetching, placing, taking back, and what may not be overwritten. */
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
        GIT(w->work, "fsck", "--no-dangling");
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
static void own_commits_on_the_branch_are_refused(void **state) {
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
        assert_non_null(strstr(err.message, "has commits here that its remote has not"));
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

/* What git was told not to look at is a person's all the same. */
static void hidden_local_changes_are_refused(void **state) {
        World *w = *state;
        static const char *const flags[] = {"--assume-unchanged", "--skip-worktree"};
        put(w->work, "app.txt", "mine\n");
        for (size_t i = 0; i < COUNT_OF(flags); i++) {
                GIT(w->work, "update-index", flags[i], "app.txt");
                scoped(release_done) Release to = resolve(w, "1.1.0");
                scoped(err_clear) Err err = {0};
                assert_false(w->source->fetch(&w->at, &to, &err));
                assert_int_equal(err.code, ERR_REFUSED);
                assert_non_null(strstr(err.message, "app.txt"));
                assert_true(finds(w, &to, "local-changes", FINDING_REFUSAL));
                assert_true(holds(w->work, "app.txt", "mine\n"));
                GIT(w->work, "update-index", "--no-assume-unchanged", "--no-skip-worktree",
                        "app.txt");
        }
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

/* git would remove it; here it may be somebody's, and a file cannot be renamed over it. */
static void an_empty_directory_is_in_the_way(void **state) {
        World *w = *state;
        scoped(free_str) char *empty = in_work(w, "new/deep/er.txt");
        assert_true(dir_make(empty, NULL));
        scoped(release_done) Release to = resolve(w, "1.1.0");
        scoped(err_clear) Err err = {0};
        assert_false(w->source->fetch(&w->at, &to, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "'new/deep/er.txt'"));
        assert_true(finds(w, &to, "in-the-way", FINDING_REFUSAL));
        assert_int_equal(rmdir(empty), 0);
        assert_false(finds(w, &to, "in-the-way", FINDING_REFUSAL));
}

/* A directory of this machine on another file system than `path`; owned. */
static char *on_another_disk(const char *path) {
        static const char *const places[] = {"/dev/shm", "/tmp", "/var/tmp", "/run"};
        struct stat here = {0}, there = {0};
        assert_int_equal(stat(path, &here), 0);
        for (size_t i = 0; i < COUNT_OF(places); i++) {
                scoped(free_str) char *pattern = str_format("%s/belay-disk-XXXXXX", places[i]);
                if (stat(places[i], &there) == 0 && there.st_dev != here.st_dev &&
                        mkdtemp(pattern) != NULL)
                        return TAKE(pattern);
        }
        return NULL;
}

/* Files are placed by renaming them from below .git. */
static void another_file_system_is_refused(void **state) {
        World *w = *state;
        scoped(free_str) char *other = on_another_disk(w->work);
        if (!other)
                fail_msg("this machine has only one file system that can be written");
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        assert_false(finds(w, &to, "file-systems", FINDING_REFUSAL));
        scoped(free_str) char *moved = path_join(other, "git"), *git_dir = in_work(w, ".git");
        const char *const copy[] = {"cp", "-a", git_dir, moved, NULL};
        int status = 1;
        free(run_program(w->work, copy, NULL, &status));
        assert_true(tree_remove(git_dir, NULL));
        scoped(free_str) char *leads = str_format("gitdir: %s\n", moved);
        put(w->work, ".git", leads);
        bool found = status == 0 && finds(w, &to, "file-systems", FINDING_REFUSAL);
        assert_true(tree_remove(other, NULL));
        assert_true(found);
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

/* Between fetch and place a user puts a file where a directory is to become a file. */
static void directory_filled_meanwhile_is_kept(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        put(w->work, "tree/mine.txt", "mine");
        scoped(free_str) char *before = snapshot(w);
        scoped(err_clear) Err err = {0};
        assert_false(w->source->place(&w->at, facts, &err));
        assert_non_null(strstr(err.message, "'tree'"));
        assert_true(holds(w->work, "tree/mine.txt", "mine"));
        assert_int_equal(truth(w, facts), SOURCE_PARTLY);
        unplace(w, facts);
        cleanup(w, NULL);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
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
        assert_true(fd >= 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, source_world_setup, source_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(update_and_back),
                TEST(success_leaves_nothing),
                TEST(users_references_stay),
                TEST(head_on_a_branch_comes_back),
                TEST(branch_is_followed),
                TEST(own_commits_on_the_branch_are_refused),
                TEST(reinstall_changes_nothing),
                TEST(rights_are_kept),
                TEST(clean_checkout_has_no_finding),
                TEST(local_changes_are_refused),
                TEST(hidden_local_changes_are_refused),
                TEST(deleted_tracked_file_is_a_local_change),
                TEST(untracked_env_is_not_overwritten),
                TEST(configuration_is_let_be),
                TEST(untracked_files_in_the_way),
                TEST(an_empty_directory_is_in_the_way),
                TEST(another_file_system_is_refused),
                TEST(nothing_is_written_behind_a_link),
                TEST(directory_filled_meanwhile_is_kept),
                TEST(unfinished_business_is_refused),
                TEST(shapes_of_repositories),
                TEST(foreign_index_lock_is_never_removed),
                TEST(changes_meanwhile_are_drift),
                TEST(tree_is_readable_before_it_is_placed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
