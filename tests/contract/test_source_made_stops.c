/* The contract of a source that makes something of a version, stopped at every point: nothing is in between. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "lib/source_world.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/process.h"

enum { SWEEP_MS = 10000, POINTS_MAX = 400 };

typedef enum Act { ACT_BUILD, ACT_PLACE, ACT_UNPLACE, ACT_CLEANUP } Act;

static bool act(World *w, Act which, const Release *to, const json_t *facts, Err *err) {
        const SourceBuild how = {.values = {.version = to->version, .commit = to->reference}};
        switch (which) {
        case ACT_BUILD:
                return w->source->build(&w->at, to, &how, err);
        case ACT_PLACE:
                return w->source->place(&w->at, facts, err);
        case ACT_UNPLACE:
                return w->source->unplace(&w->at, facts, err);
        case ACT_CLEANUP:
                return w->source->cleanup(&w->at, NULL, 0, err);
        }
        return false;
}

static bool act_with_fault(
        World *w, Act which, const Release *to, const json_t *facts, const char *rule) {
        pid_t pid = fork();
        if (pid == 0) {
                (void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on with its tests in here */
                fault_set(rule);
                _exit(act(w, which, to, facts, NULL) ? 0 : 3);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
                fail_msg("%s: ended by signal %d", rule, WTERMSIG(status));
        assert_true(process_sweep("BELAY_RUN", w->at.mark, 0, clock_now_ms() + SWEEP_MS, NULL));
        return status != 0;
}

static void all_as_before(World *w, const char *rule, const char *before) {
        cleanup(w, NULL);
        nothing_left(w);
        scoped(free_str) char *after = snapshot(w);
        if (!str_equal(before, after))
                print_message("after %s:\n%s\n", rule, after);
        same_picture(before, after);
}

static void whole_way(World *w, const Release *to, json_t *facts, bool forward, const char *rule) {
        if (truth(w, facts) == SOURCE_DRIFT)
                fail_msg("%s: drift", rule);
        if (forward) {
                place(w, facts);
                assert_int_equal(truth(w, facts), SOURCE_APPLIED);
                scoped(free_str) char *status = git(w->work, "status", "--porcelain", NULL);
                assert_string_equal(status, "");
                scoped(release_done) Release is = {0};
                assert_true(w->source->installed(&w->at, &is, NULL));
                assert_string_equal(is.reference, to->reference);
        }
        unplace(w, facts);
        assert_int_equal(truth(w, facts), SOURCE_NOT_APPLIED);
}

/* One point: it stops there; then it is finished, or taken back, and nothing is lost. */
static bool try_point(World *w, Act which, const char *rule, bool forward, const char *before) {
        scoped(err_clear) Err err = {0};
        scoped(release_done) Release to = resolve(w, "1.1.0");
        scoped(js_freep) json_t *facts = NULL;
        must(w->source->fetch(&w->at, &to, &err), &err);
        if (which != ACT_BUILD) {
                build(w, &to);
                facts = facts_of(w, &to);
        }
        if (which == ACT_UNPLACE)
                place(w, facts);
        bool stopped = act_with_fault(w, which, &to, facts, rule);
        if (which == ACT_BUILD && forward) {
                build(w, &to);
                facts = facts_of(w, &to);
        }
        if (facts && which != ACT_CLEANUP)
                whole_way(w, &to, facts, forward && which != ACT_UNPLACE, rule);
        all_as_before(w, rule, before);
        return stopped;
}

static unsigned stride_of(Act which, size_t fault) {
        const char *all = getenv("BELAY_LONG");
        if (all && *all)
                return 1;
        return (which == ACT_BUILD || which == ACT_CLEANUP ? 4U : 3U) * (fault == 0 ? 1U : 4U);
}

static void sweep(World *w, Act which, const char *name) {
        static const char *const faults[] = {"*:die:", "*:after:", "*:error:"};
        scoped(free_str) char *before = snapshot(w);
        for (size_t fault = 0; fault < COUNT_OF(faults); fault++) {
                unsigned points = 0, misses = 0, n = 1, tried = 0, stride = stride_of(which, fault);
                /* What only saves time may fail: at the beginning of tidying up that is a good deal. */
                unsigned misses_max = (which == ACT_CLEANUP ? 20 : 2) / stride + 2;
                for (; n < POINTS_MAX && misses < misses_max; n += stride) {
                        scoped(free_str) char *rule = str_format("%s%u", faults[fault], n);
                        bool stopped = try_point(w, which, rule, tried++ % 2 == 0, before);
                        misses = stopped ? 0 : misses + 1;
                        points += stopped;
                }
                print_message("%s, %s stopped at %u points\n", name, faults[fault], points);
                assert_true(n < POINTS_MAX && points > 0);
        }
}

static void survives_stops_in_build(void **state) { sweep(*state, ACT_BUILD, "build"); }
static void survives_stops_in_place(void **state) { sweep(*state, ACT_PLACE, "place"); }
static void survives_stops_in_unplace(void **state) { sweep(*state, ACT_UNPLACE, "unplace"); }
static void survives_stops_in_cleanup(void **state) { sweep(*state, ACT_CLEANUP, "cleanup"); }

#define MADE(name)                                                                                 \
        cmocka_unit_test_setup_teardown(name, artifacts_world_setup, source_world_teardown)
#define RELEASES(name)                                                                             \
        cmocka_unit_test_setup_teardown(name, releases_world_setup, source_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                MADE(survives_stops_in_build),
                MADE(survives_stops_in_place),
                MADE(survives_stops_in_unplace),
                MADE(survives_stops_in_cleanup),
                RELEASES(survives_stops_in_build),
                RELEASES(survives_stops_in_place),
                RELEASES(survives_stops_in_unplace),
                RELEASES(survives_stops_in_cleanup),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
