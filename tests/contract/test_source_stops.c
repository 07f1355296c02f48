/* The contract of a source: stopped at every point of every act, nothing is in between. */
#include <fcntl.h>
#include <signal.h>
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

enum { SWEEP_MS = 10000, POINTS_MAX = 400 };

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
                (void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on with its tests in here */
                fault_set(rule);
                _exit(act(w, which, to, facts, NULL) ? 0 : 3);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
                fail_msg("%s: ended by signal %d", rule, WTERMSIG(status));
        /* As recovery does first of all: what the dead one started is ended. */
        assert_true(process_sweep("BELAY_RUN", w->at.mark, 0, clock_now_ms() + SWEEP_MS, NULL));
        return status != 0;
}

static const char *const faults[] = {"*:die:%u", "*:after:%u", "*:error:%u:ENOSPC"};

/* Every point is one to die before; of the other faults `make test-long` tries all, else each fourth. */
static unsigned stride_of(size_t fault) {
        const char *all = getenv("BELAY_LONG");
        return fault == 0 || (all && *all) ? 1 : 4;
}

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
        /* Some points in a row may be harmless: what only saves time may fail. */
        enum { MISSES_MAX = 32 };
        unsigned points = 0, misses = 0;
        for (unsigned n = 1; n < POINTS_MAX && misses < MISSES_MAX; n += stride_of(fault)) {
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
                misses = stopped ? 0 : misses + stride_of(fault);
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
        assert_true(points < POINTS_MAX - MISSES_MAX);
        return points;
}

static void sweep_act(World *w, Act which, const char *name, unsigned least) {
        scoped(free_str) char *before = snapshot(w);
        for (size_t fault = 0; fault < COUNT_OF(faults); fault++) {
                unsigned points = sweep(w, which, fault, before);
                print_message("%s, %s: stopped at %u points\n", name, faults[fault], points);
                assert_true(points * stride_of(fault) >= least);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, source_world_setup, source_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(survives_stops_in_fetch),
                TEST(survives_stops_in_place),
                TEST(survives_stops_in_unplace),
                TEST(survives_stops_in_cleanup),
                TEST(survives_a_killed_git),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
