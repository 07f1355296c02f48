/*
 * The power goes at every point of a small run (small_story.h) and of its recovery: from each point images of
 * what the disk may hold are made (lib/power.h), a recovery is run on each, and what must hold afterwards is
 * looked at: the journal can be read and tells the truth, so that no decision is lost after its act, and the
 * end is one version with its data. The same with syncs that do nothing must be found wrong, or this finds
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "engine/engine.h"
#include "lib/power.h"
#include "lib/small_story.h"
#include "platform/fault.h"
#include "platform/file.h"

#ifdef BELAY_FAULT_POINTS

POWER_SEES_SYNCS

enum { IMAGES = 200, RECOVERIES_MAX = 12, NOT_WHOLE = 100 };

static const Scenario scenarios[] = {
        {.name = "succeeds", .end = RUN_SUCCEEDED, .exit_status = 0},
        {.name = "fails before ARM",
                .trouble_at = "stage",
                .trouble = TROUBLE_FAILS,
                .end = RUN_ABORTED,
                .exit_status = 1},
        {.name = "fails in place",
                .trouble_at = "place",
                .trouble = TROUBLE_FAILS,
                .end = RUN_ROLLED_BACK,
                .exit_status = 3},
        {.name = "fails in migrate",
                .trouble_at = "migrate",
                .trouble = TROUBLE_FAILS,
                .end = RUN_ROLLED_BACK,
                .exit_status = 3},
        {.name = "fails in monitor, reverted",
                .no_migration = true,
                .trouble_at = "monitor",
                .trouble = TROUBLE_FAILS,
                .end = RUN_ROLLED_BACK,
                .exit_status = 3},
        {.name = "waits, accepted",
                .trouble_at = "monitor",
                .trouble = TROUBLE_FAILS,
                .decision_waits = true,
                .answer = WISH_ACCEPT,
                .end = RUN_SUCCEEDED,
                .exit_status = 8},
        {.name = "waits, undone",
                .trouble_at = "monitor",
                .trouble = TROUBLE_FAILS,
                .decision_waits = true,
                .answer = WISH_UNDO,
                .end = RUN_ROLLED_BACK,
                .exit_status = 8},
};

static char base[] = "/dev/shm/belay-power-XXXXXX";
static char *dir, *journal_path;
static uint64_t seed;
static const EnginePauses no_pauses = {{0}, {0}};

static void afresh(void) {
        assert_true(tree_remove(dir, NULL));
        assert_int_equal(mkdir(dir, 0700), 0);
        small_world_make(dir);
}

static Engine engine_of(SmallWorld *world, Journal *journal, RunState *run) {
        return (Engine){.story = &small_story,
                .world = world,
                .journal = journal,
                .run = run,
                .cancel = &world->cancel,
                .pauses = &no_pauses};
}

/* Exit status, or NOT_WHOLE. */
static int begin(const Scenario *scenario) {
        SmallWorld world = {.dir = dir, .scenario = scenario};
        scoped(journal_freep) Journal *journal = NULL;
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        scoped(run_outcome_done) RunOutcome outcome = {0};
        if (!journal_create(journal_path, &journal, NULL) ||
                !journal_append(journal, RECORD_PLAN, small_plan(scenario), NULL) ||
                !journal_read(journal_path, &list, NULL) || !run_state_of(&list, &run, NULL))
                return NOT_WHOLE;
        Engine engine = engine_of(&world, journal, &run);
        return engine_run(&engine, &outcome, NULL) ? outcome.exit_status : NOT_WHOLE;
}

static int recover(const Scenario *scenario, RunWish wish) {
        SmallWorld world = {.dir = dir, .scenario = scenario};
        scoped(journal_freep) Journal *journal = NULL;
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        scoped(run_outcome_done) RunOutcome outcome = {0};
        if (!journal_open(journal_path, &journal, &list, NULL) || !run_state_of(&list, &run, NULL))
                return NOT_WHOLE;
        Engine engine = engine_of(&world, journal, &run);
        return engine_recover(&engine, wish, &outcome, NULL) ? outcome.exit_status : NOT_WHOLE;
}

/* -- what must hold of an image -------------------------------------------------------------- */

static char *wrong_of_unbegun(void) {
        scoped(free_str) char *running = small_world_get(dir, "running");
        scoped(free_str) char *staged = small_world_get(dir, "staged");
        if (strcmp(running, "1") == 0 && strcmp(staged, "") == 0)
                return NULL;
        return str_copy("something was changed, and there is no plan");
}

static char *finish(const Scenario *scenario) {
        RunWish wish = WISH_FINISH;
        for (int i = 0; i < RECOVERIES_MAX; i++) {
                int exit_status = recover(scenario, wish);
                if (exit_status == NOT_WHOLE)
                        return str_copy("the recovery gave up");
                if (exit_status != 8)
                        return NULL;
                wish = scenario->answer;
        }
        return str_copy("recoveries do not end it");
}

static char *wrong_of_end(const Scenario *scenario, const RunState *run) {
        scoped(err_clear) Err err = {0};
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState end = {0};
        if (!journal_read(journal_path, &list, &err) || !run_state_of(&list, &end, &err))
                return str_format("the journal cannot be read afterwards: %s", err.message);
        if (end.end != RUN_ABORTED && end.end != RUN_ROLLED_BACK &&
                (end.end != RUN_SUCCEEDED || scenario->end != RUN_SUCCEEDED))
                return str_format("it ended as %s", run_end_name(end.end));
        if ((run->committed && end.end != RUN_SUCCEEDED) ||
                (run->rolling_back && end.end != RUN_ROLLED_BACK))
                return str_format("what was decided was not done: %s", run_end_name(end.end));
        return str_copy(small_world_wrong(dir, scenario, end.end));
}

/* NULL when all is as it must be; owned. */
static char *wrong_of_image(const Scenario *scenario) {
        scoped(err_clear) Err err = {0};
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        if (!file_exists(journal_path))
                return wrong_of_unbegun();
        if (!journal_read(journal_path, &list, &err) || !run_state_of(&list, &run, &err))
                return str_format("the journal cannot be read: %s", err.message);
        if (!run.plan)
                return wrong_of_unbegun();
        const char *lie = small_world_lies(dir, scenario, &run);
        if (lie)
                return str_format("the journal does not tell the truth: %s", lie);
        char *unfinished = finish(scenario);
        return unfinished ? unfinished : wrong_of_end(scenario, &run);
}

/* -- recordings ------------------------------------------------------------------------------ */

typedef struct Found {
        unsigned long images, points, wrong;
} Found;

static void journal_show(void) {
        scoped(free_str) char *text = NULL;
        size_t n = 0;
        if (file_read_if(journal_path, 1 << 20, &text, &n, NULL) && text)
                fprintf(stderr, "%s\n", text);
}

/* Of each point of what was recorded; with syncs that do nothing it stops at the first that is wrong. */
static void try_images(
        Power *power, const Scenario *scenario, const char *what, bool syncs_count, Found *found) {
        for (size_t point = 0; point < power_points(power); point++) {
                found->points++;
                for (unsigned i = 0; i < IMAGES; i++) {
                        if (!power_image(power, point, &seed, i, syncs_count))
                                continue;
                        found->images++;
                        scoped(free_str) char *wrong = wrong_of_image(scenario);
                        if (!wrong)
                                continue;
                        found->wrong++;
                        if (!syncs_count)
                                return;
                        journal_show();
                        fail_msg("%s, %s, point %zu, image %u: %s", scenario->name, what, point, i,
                                wrong);
                }
        }
}

static Power *record_run(const Scenario *scenario) {
        afresh();
        Power *power = power_record(dir);
        int exit_status = begin(scenario);
        if (exit_status == 8)
                exit_status = recover(scenario, scenario->answer);
        else
                assert_int_equal(exit_status, scenario->exit_status);
        power_stop(power);
        assert_true(power_points(power) > 20);
        return power;
}

/* A run that is killed at the n-th point; its recovery is what is recorded. NULL: it did not get there. */
static Power *record_recovery(const Scenario *scenario, unsigned at) {
        afresh();
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                scoped(free_str) char *rule = str_format("*:die:%u", at);
                fault_set(rule);
                _exit(begin(scenario));
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status) || !file_exists(journal_path))
                return NULL;
        Power *power = power_record(dir);
        (void)recover(scenario, WISH_FINISH);
        power_stop(power);
        return power;
}

static void in_every_run(void **state) {
        (void)state;
        Found found = {0};
        for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
                Power *power = record_run(&scenarios[i]);
                try_images(power, &scenarios[i], "run", POWER_SYNCS_COUNT, &found);
                power_free(power);
        }
        print_message("figure: power lost at %lu points of runs: %lu different images of %d each\n",
                found.points, found.images, IMAGES);
        assert_true(found.points > 500 && found.images > found.points);
}

static void in_every_recovery(void **state) {
        (void)state;
        bool is_long = getenv("BELAY_LONG") && *getenv("BELAY_LONG");
        unsigned stride = is_long ? 1 : 9;
        Found found = {0};
        for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
                for (unsigned at = 4 + (unsigned)(power_random(&seed) % stride); at < 1000;
                        at += stride) {
                        Power *power = record_recovery(&scenarios[i], at);
                        if (!power) {
                                if (at > 12)
                                        break;
                                continue;
                        }
                        try_images(power, &scenarios[i], "recovery", POWER_SYNCS_COUNT, &found);
                        power_free(power);
                }
        }
        print_message("figure: power lost at %lu points of recoveries: %lu different images\n",
                found.points, found.images);
        assert_true(found.images > 500);
}

static void without_syncs_it_is_found(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
                Found found = {0};
                Power *power = record_run(&scenarios[i]);
                try_images(power, &scenarios[i], "control", POWER_SYNCS_DO_NOTHING, &found);
                power_free(power);
                if (!found.wrong)
                        fail_msg("%s: %lu images of syncs that do nothing, and none is wrong",
                                scenarios[i].name, found.images);
        }
}

static int make_dir(void **state) {
        (void)state;
        const char *given = getenv("BELAY_SEED");
        seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
        print_message("BELAY_SEED=%llu\n", (unsigned long long)seed);
        if (!mkdtemp(base))
                return -1;
        dir = path_join(base, "world");
        journal_path = path_join(dir, "journal");
        return 0;
}

static int remove_dir(void **state) {
        (void)state;
        free(dir);
        free(journal_path);
        return tree_remove(base, NULL) ? 0 : -1;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_every_run),
                cmocka_unit_test(in_every_recovery),
                cmocka_unit_test(without_syncs_it_is_found),
        };
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

#else

int main(void) { return 0; }

#endif
