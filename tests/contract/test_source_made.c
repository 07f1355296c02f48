/* The contract of a source that makes something of a version: artifacts in place, and a directory for each
 * release; built, placed, taken back, tidied up. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "lib/source_world.h"
#include "platform/file.h"

static char *link_of(const World *w, const char *name) {
        scoped(free_str) char *path = in_work(w, name);
        return link_read(path);
}

static char *link_to(const char *name, const Release *release) {
        return str_format("%s.%.12s", name, release->reference);
}

static bool leads_to(const World *w, const char *name, const char *target) {
        scoped(free_str) char *link = link_of(w, name);
        return str_equal(link, target);
}

static bool is_there(const World *w, const char *name) {
        scoped(free_str) char *path = in_work(w, name);
        return file_exists(path);
}

static void keep_two(World *w, const Release *one, const Release *other) {
        scoped(err_clear) Err err = {0};
        const char *commits[] = {one->reference, other->reference};
        must(w->source->cleanup(&w->at, commits, 2, &err), &err);
}

static void go_to(World *w, const Release *to) {
        fetch(w, to);
        scoped(js_freep) json_t *facts = facts_of(w, to);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
}

/* ---- artifacts in place ---- */

static void artifacts_are_placed_and_taken_back(void **state) {
        World *w = *state;
        scoped(free_str) char *before = snapshot(w);
        scoped(release_done) Release from = resolve(w, "1.0.0");
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        assert_true(holds(w->work, "dist/mine", "mine\n") && !is_there(w, "sub/tool"));
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        scoped(free_str) char *dist = link_to("dist", &to), *tool = link_to("tool", &to),
                              *kept = str_format("dist.%.12s/mine", from.reference);
        assert_true(leads_to(w, "dist", dist) && leads_to(w, "sub/tool", tool));
        assert_true(holds(w->work, "dist/out", "1.1.0\n") && holds(w->work, "sub/tool", "1.1.0\n"));
        assert_true(holds(w->work, kept, "mine\n"));
        scoped(free_str) char *status = git(w->work, "status", "--porcelain", NULL);
        assert_string_equal(status, "");
        unplace(w, facts);
        unplace(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
        cleanup(w, NULL);
        cleanup(w, NULL);
        nothing_left(w);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
}

/* What a tool wrote down as its place leads to the artifact, from wherever it is followed. */
static void paths_written_while_building_stay_true(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        go_to(w, &to);
        cleanup(w, &to);
        scoped(free_str) char *where = get(w->work, "dist/where");
        scoped(free_str) char *noted = path_join(str_trim(where), "dist/out");
        scoped(free_str) char *real = file_real(noted);
        scoped(free_str) char *expected = str_format("%s/dist.%.12s/out", w->work, to.reference);
        assert_string_equal(real, expected);
}

/* The running and the previous version keep theirs; going back makes nothing anew. */
static void two_sets_are_kept(void **state) {
        World *w = *state;
        scoped(release_done) Release one = resolve(w, "1.0.0");
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(release_done) Release three = resolve(w, "1.2.0");
        go_to(w, &two);
        keep_two(w, &one, &two);
        scoped(free_str) char *first = link_to("dist", &one), *second = link_to("dist", &two);
        assert_true(is_there(w, first) && is_there(w, second));
        go_to(w, &three);
        keep_two(w, &two, &three);
        assert_false(is_there(w, first));
        assert_true(is_there(w, second));
        put(w->work, "dist/sign", "not made again");
        scoped(free_str) char *sign = str_format("%s/sign", second);
        put(w->work, sign, "not made again");
        go_to(w, &two);
        keep_two(w, &two, &three);
        assert_true(holds(w->work, "dist/sign", "not made again"));
        installed_is(w, "v1.1.0", "1.1.0");
}

/* A set of which something is gone is made again; what is left of it may be in use and stays. */
static void a_lost_artifact_is_made_again(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(release_done) Release three = resolve(w, "1.2.0");
        go_to(w, &two);
        go_to(w, &three);
        keep_two(w, &two, &three);
        scoped(free_str) char *kept = link_to("dist", &two);
        scoped(free_str) char *path = in_work(w, kept);
        assert_true(tree_remove(path, NULL));
        go_to(w, &two);
        assert_true(holds(w->work, "dist/out", "1.1.0\n") && holds(w->work, "sub/tool", "1.1.0\n"));
}

static void somebody_elses_artifact_is_drift(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(js_freep) json_t *facts = facts_of(w, &to);
        place(w, facts);
        scoped(free_str) char *tool = in_work(w, "sub/tool");
        assert_int_equal(unlink(tool), 0);
        put(w->work, "sub/tool", "another\n");
        assert_int_equal(truth(w, facts), SOURCE_DRIFT);
        scoped(err_clear) Err err = {0};
        assert_false(w->source->unplace(&w->at, facts, &err));
        assert_int_equal(err.code, ERR_DRIFT);
        assert_true(holds(w->work, "sub/tool", "another\n"));
}

static void words_set(Strv *words, const char *program) {
        strv_free(*words);
        *words = NULL;
        strv_add(words, "sh");
        strv_add(words, "-c");
        strv_add(words, program);
}

static void a_failed_build_changes_nothing(void **state) {
        static const struct {
                const char *program, *says;
        } cases[] = {
                {"mkdir dist; echo password=hunter22 >&2; echo 'it is broken' >&2; exit 3",
                        "exited with 3"},
                {"mkdir dist sub", "have not made the artifact 'sub/tool'"},
                {"exec no-such-program-here", "exited with 127"},
        };
        World *w = *state;
        scoped(free_str) char *before = snapshot(w);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(release_done) Release to = resolve(w, "1.1.0");
                scoped(err_clear) Err err = {0};
                const SourceBuild how = {.values = {.version = "1.1.0"}};
                words_set(&w->service.git.install, cases[i].program);
                must(w->source->fetch(&w->at, &to, &err), &err);
                assert_false(w->source->build(&w->at, &to, &how, &err));
                assert_int_equal(err.code, ERR_TOOL);
                if (!strstr(err.message, cases[i].says))
                        fail_msg("'%s' does not say '%s'", err.message, cases[i].says);
                assert_null(strstr(err.message, "hunter22"));
                cleanup(w, NULL);
                nothing_left(w);
                scoped(free_str) char *after = snapshot(w);
                same_picture(before, after);
        }
}

static void a_build_has_a_time_limit(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        scoped(err_clear) Err err = {0};
        const SourceBuild how = {.values = {.version = "1.1.0"}};
        words_set(&w->service.git.install, "sleep 60");
        w->service.git.command_timeout_ms = 50;
        must(w->source->fetch(&w->at, &to, &err), &err);
        assert_false(w->source->build(&w->at, &to, &how, &err));
        assert_int_equal(err.code, ERR_TIMEOUT);
}

/* ---- what may not be so ---- */

static void what_git_tracks_is_no_artifact(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        assert_false(finds(w, &to, "tracked", FINDING_REFUSAL));
        strv_add(&w->service.git.artifacts, "new");
        assert_true(finds(w, &to, "tracked", FINDING_REFUSAL));
}

static void artifacts_behind_links_are_refused(void **state) {
        World *w = *state;
        scoped(release_done) Release to = resolve(w, "1.1.0");
        fetch(w, &to);
        scoped(free_str) char *sub = in_work(w, "sub");
        scoped(free_str) char *elsewhere = path_join(w->dir, "elsewhere");
        assert_true(tree_remove(sub, NULL) && dir_make(elsewhere, NULL));
        assert_int_equal(symlink(elsewhere, sub), 0);
        assert_true(finds(w, &to, "artifact-link", FINDING_REFUSAL));
}

/* ---- releases ---- */

static void releases_are_made_and_switched(void **state) {
        World *w = *state;
        scoped(free_str) char *before = snapshot(w);
        scoped(release_done) Release one = resolve(w, "1.0.0");
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(release_done) Release three = resolve(w, "1.2.0");
        scoped(free_str) char *runs = NULL, *later = NULL;
        assert_true(w->source->runs_in(&w->at, &runs, NULL));
        assert_string_equal(runs, w->work);
        fetch(w, &two);
        assert_false(is_there(w, "current"));
        scoped(js_freep) json_t *facts = facts_of(w, &two);
        place(w, facts);
        place(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_APPLIED);
        assert_true(leads_to(w, "current", "releases/1.1.0"));
        assert_true(holds(w->work, "current/app.txt", "two\n") &&
                    holds(w->work, "current/built", "1.1.0\n") &&
                    holds(w->work, "current/data/mine.db", "mine\n"));
        assert_true(holds(w->work, "app.txt", "one\n"));
        scoped(release_done) Release is = {0};
        assert_true(w->source->installed(&w->at, &is, NULL));
        assert_string_equal(is.version, "1.1.0");
        scoped(free_str) char *expected = in_work(w, "releases/1.1.0");
        assert_true(w->source->runs_in(&w->at, &later, NULL));
        assert_string_equal(later, expected);
        scoped(free_str) char *status = git(later, "status", "--porcelain", NULL);
        assert_string_equal(status, "");
        unplace(w, facts);
        unplace(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
        cleanup(w, NULL);
        nothing_left(w);
        scoped(free_str) char *after = snapshot(w);
        same_picture(before, after);
        go_to(w, &two);
        keep_two(w, &one, &two);
        go_to(w, &three);
        keep_two(w, &two, &three);
        assert_true(is_there(w, "releases/1.1.0") && is_there(w, "releases/1.2.0"));
        put(w->work, "releases/1.1.0/sign", "not made again");
        go_to(w, &two);
        keep_two(w, &two, &three);
        assert_true(holds(w->work, "current/sign", "not made again"));
        scoped(release_done) Release four = resolve(w, "2.0.0-rc.1");
        go_to(w, &four);
        keep_two(w, &two, &four);
        assert_false(is_there(w, "releases/1.2.0"));
}

/* Whoever calls a slot does not ask whether there is one. */
static void both_layouts_can_do_everything(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        void *slots[sizeof(Source) / sizeof(void *)];
        int64_t at_ms = 0;
        memcpy(slots, w->source, sizeof(Source));
        for (size_t i = 0; i < COUNT_OF(slots); i++)
                assert_non_null(slots[i]);
        fetch(w, &two);
        assert_true(w->source->dated(&w->at, &two, &at_ms, NULL));
        assert_true(at_ms > 0);
}

/* The same version, another commit: the directory of the one that runs is not touched. */
static void a_moved_tag_gets_another_directory(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(release_done) Release three = resolve(w, "1.2.0");
        go_to(w, &two);
        scoped(release_done) Release moved = {0};
        moved = (Release){str_copy(two.tag), str_copy(two.version), str_copy(three.reference)};
        fetch(w, &moved);
        scoped(js_freep) json_t *facts = facts_of(w, &moved);
        place(w, facts);
        scoped(free_str) char *expected = str_format("releases/1.1.0-%.12s", three.reference);
        assert_true(leads_to(w, "current", expected));
        assert_true(holds(w->work, "releases/1.1.0/built", "1.1.0\n"));
}

/* A worktree below releases/ that somebody made by hand, with files that are nowhere else, is not Belay's. */
static void worktrees_of_others_stay(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(release_done) Release three = resolve(w, "1.2.0");
        fetch(w, &two);
        GIT(w->work, "worktree", "add", "--quiet", "--detach", "releases/1.2.0", "v1.0.0");
        put(w->work, "releases/1.2.0/only.here", "mine\n");
        go_to(w, &three);
        scoped(free_str) char *expected = str_format("releases/1.2.0-%.12s", three.reference);
        assert_true(leads_to(w, "current", expected));
        keep_two(w, &three, &three);
        assert_true(holds(w->work, "releases/1.2.0/only.here", "mine\n"));
        assert_false(is_there(w, "releases/1.1.0") || is_there(w, ".git/belay-making"));
}

/* What Belay was making when it died goes, and is made anew. */
static void a_half_made_release_is_made_anew(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(err_clear) Err err = {0};
        must(w->source->fetch(&w->at, &two, &err), &err);
        Strv make = TAKE(w->service.git.build);
        strv_add(&w->service.git.build, "false");
        const SourceBuild how = {.values = {.version = two.version}};
        assert_false(w->source->build(&w->at, &two, &how, &err));
        assert_true(is_there(w, "releases/1.1.0/app.txt") && is_there(w, ".git/belay-making"));
        put(w->work, "releases/1.1.0/half", "made\n");
        strv_freep(&w->service.git.build);
        w->service.git.build = make;
        go_to(w, &two);
        assert_true(leads_to(w, "current", "releases/1.1.0"));
        assert_false(is_there(w, "current/half") || is_there(w, ".git/belay-making"));
}

/* A release that is gone back to has what is shared since, too; what it holds of its own is not replaced. */
static void what_is_shared_later_is_in_earlier_releases(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        scoped(release_done) Release three = resolve(w, "1.2.0");
        go_to(w, &two);
        go_to(w, &three);
        keep_two(w, &two, &three);
        put(w->work, "shared/up/loads", "all of them\n");
        strv_add(&w->service.git.shared, "up/loads");
        put(w->work, "releases/1.1.0/up/loads", "only here\n");
        scoped(err_clear) Err err = {0};
        const SourceBuild how = {.values = {.version = two.version}};
        must(w->source->fetch(&w->at, &two, &err), &err);
        assert_false(w->source->build(&w->at, &two, &how, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "has a 'up/loads' of its own"));
        assert_true(holds(w->work, "releases/1.1.0/up/loads", "only here\n"));
        scoped(free_str) char *own = in_work(w, "releases/1.1.0/up");
        assert_true(tree_remove(own, NULL));
        go_to(w, &two);
        assert_true(leads_to(w, "current/up/loads", "../../../shared/up/loads"));
        assert_true(holds(w->work, "current/up/loads", "all of them\n"));
}

/* A version that brings a link on the way to what is shared does not make Belay write somewhere else. */
static void shared_paths_behind_links_are_refused(void **state) {
        World *w = *state;
        scoped(free_str) char *elsewhere = path_join(w->dir, "elsewhere");
        scoped(free_str) char *way = in_work(w, "way");
        scoped(free_str) char *there = path_join(elsewhere, "data");
        assert_true(dir_make(elsewhere, NULL));
        assert_int_equal(symlink(elsewhere, way), 0);
        GIT(w->work, "add", "way");
        GIT(w->work, "commit", "--quiet", "-m", "A link");
        scoped(free_str) char *head = git(w->work, "rev-parse", "HEAD", NULL);
        GIT(w->work, "reset", "--quiet", "--hard", "v1.0.0");
        put(w->work, "shared/way/data", "mine\n");
        strv_add(&w->service.git.shared, "way/data");
        scoped(release_done)
                Release to = {str_copy("v3.0.0"), str_copy("3.0.0"), str_copy(str_trim(head))};
        scoped(err_clear) Err err = {0};
        const SourceBuild how = {.values = {.version = to.version}};
        must(w->source->fetch(&w->at, &to, &err), &err);
        assert_false(w->source->build(&w->at, &to, &how, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "leads through a link"));
        assert_false(file_exists(there));
}

static void a_link_that_leads_elsewhere_is_drift(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        fetch(w, &two);
        scoped(js_freep) json_t *facts = facts_of(w, &two);
        scoped(free_str) char *current = in_work(w, "current");
        assert_int_equal(symlink("somewhere", current), 0);
        assert_int_equal(truth(w, facts), SOURCE_DRIFT);
        scoped(err_clear) Err err = {0};
        assert_false(w->source->place(&w->at, facts, &err));
        assert_int_equal(err.code, ERR_DRIFT);
        assert_true(leads_to(w, "current", "somewhere"));
}

static void a_moved_directory_says_how_it_is_mended(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        go_to(w, &two);
        scoped(free_str) char *moved = path_join(w->dir, "moved");
        assert_int_equal(rename(w->work, moved), 0);
        str_replace_owned(&w->service.git.directory, str_copy(moved));
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release is = {0};
        assert_false(w->source->installed(&w->at, &is, &err));
        assert_non_null(strstr(err.hint, "git worktree repair"));
        GIT(moved, "worktree", "repair", "releases/1.1.0");
        assert_true(w->source->installed(&w->at, &is, NULL));
        assert_string_equal(is.version, "1.1.0");
}

static void releases_need_their_place(void **state) {
        World *w = *state;
        scoped(release_done) Release two = resolve(w, "1.1.0");
        fetch(w, &two);
        assert_false(finds(w, &two, "shared-missing", FINDING_REFUSAL));
        strv_add(&w->service.git.shared, ".env.production");
        assert_true(finds(w, &two, "shared-missing", FINDING_REFUSAL));
        strv_add(&w->service.git.shared, "new");
        assert_true(finds(w, &two, "tracked", FINDING_REFUSAL));
        put(w->work, "current", "a file\n");
        assert_true(finds(w, &two, "checkout", FINDING_REFUSAL));
}

#define MADE(name)                                                                                 \
        cmocka_unit_test_setup_teardown(name, artifacts_world_setup, source_world_teardown)
#define RELEASES(name)                                                                             \
        cmocka_unit_test_setup_teardown(name, releases_world_setup, source_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                MADE(both_layouts_can_do_everything),
                RELEASES(both_layouts_can_do_everything),
                MADE(artifacts_are_placed_and_taken_back),
                MADE(paths_written_while_building_stay_true),
                MADE(two_sets_are_kept),
                MADE(a_lost_artifact_is_made_again),
                MADE(somebody_elses_artifact_is_drift),
                MADE(a_failed_build_changes_nothing),
                MADE(a_build_has_a_time_limit),
                MADE(what_git_tracks_is_no_artifact),
                MADE(artifacts_behind_links_are_refused),
                RELEASES(releases_are_made_and_switched),
                RELEASES(a_moved_tag_gets_another_directory),
                RELEASES(worktrees_of_others_stay),
                RELEASES(a_half_made_release_is_made_anew),
                RELEASES(what_is_shared_later_is_in_earlier_releases),
                RELEASES(shared_paths_behind_links_are_refused),
                RELEASES(a_link_that_leads_elsewhere_is_drift),
                RELEASES(a_moved_directory_says_how_it_is_mended),
                RELEASES(releases_need_their_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
