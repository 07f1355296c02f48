/* What a plan will take, from runs that are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "update/predict.h"
#include "update/steps.h"
#include "update/stories.h"

static Service service = {.monitor = {.for_ms = 120000}};
static World world = {.service = &service};

static Summary run_of(const char *kind, RunEnd end, int64_t gap_ms) {
        return (Summary){.kind = str_copy(kind), .end = end, .gap_ms = gap_ms, .restore_ms = -1};
}

static void add_time(
        Summary *run, const char *name, const char *instance, int64_t ms, int64_t bytes) {
        StepTime step = {str_copy(name), str_copy(instance), ms, bytes};
        PUSH(run->steps, run->n_steps, step);
}

static Plan plan_of_update(void) {
        Plan plan = {.story = &update_story};
        plan_add(&plan, &step_backup, NULL, str_copy("back up"), NULL);
        plan_add(&plan, &step_prove, NULL, str_copy("prove"), NULL);
        plan_add(&plan, &step_stop, NULL, str_copy("stop"), NULL);
        plan_add(&plan, &step_migrate, str_copy("02.sql"), str_copy("migrate"), NULL);
        plan_add(&plan, &step_monitor, NULL, str_copy("watch"), NULL);
        return plan;
}

static void test_nothing_without_history(void **unused) {
        (void)unused;
        scoped(plan_done) Plan plan = plan_of_update();
        plan_predict_from(&plan, &world, NULL, 0);
        for (size_t i = 0; i < plan.n_lines; i++)
                assert_int_equal(plan.lines[i].usually_ms, -1);
        assert_null(downtime_text(&plan));
}

static void test_the_median_of_the_last_five(void **unused) {
        (void)unused;
        scoped(plan_done) Plan plan = plan_of_update();
        static const int64_t stops[] = {10, 50, 20, 40, 30, 9000, 9000, 9000};
        Summary runs[COUNT_OF(stops) + 3];
        size_t n = 0;
        /* Of another kind, open, or unreadable: none of them says anything. */
        runs[n++] = run_of("rollback", RUN_SUCCEEDED, 70000);
        runs[n++] = run_of("update", RUN_OPEN, 70000);
        runs[n] = run_of("update", RUN_SUCCEEDED, 70000);
        runs[n++].damaged = true;
        for (size_t i = 0; i < 3; i++)
                add_time(&runs[i], "stop", NULL, 70000, -1);
        for (size_t i = 0; i < COUNT_OF(stops); i++) {
                runs[n] = run_of("update", i == 1 ? RUN_ROLLED_BACK : RUN_SUCCEEDED,
                        1000 * (int64_t)(i + 1));
                add_time(&runs[n], "stop", NULL, stops[i], -1);
                add_time(&runs[n], "migrate", i % 2 ? "01.sql" : NULL, 5, -1);
                add_time(&runs[n++], "monitor", NULL, 1, -1);
        }
        plan_predict_from(&plan, &world, runs, n);
        assert_int_equal(plan.lines[2].usually_ms, 30);
        /* Another migration is not this one. */
        assert_int_equal(plan.lines[3].usually_ms, -1);
        assert_int_equal(plan.lines[4].usually_ms, 120000);
        /* Of the last three that succeeded: 1, 3 and 4 s. */
        assert_int_equal(plan.downtime.runs, 3);
        assert_int_equal(plan.downtime.ms, 3000);
        scoped(free_str) char *text = downtime_text(&plan);
        assert_string_equal(text, "3.0 s (last three updates: 1.0 s to 4.0 s)");
        for (size_t i = 0; i < n; i++)
                summary_done(&runs[i]);
}

static void test_backups_scale_with_their_bytes(void **unused) {
        (void)unused;
        static const struct {
                int64_t then;
                uint64_t now;
                int64_t want;
        } rows[] = {
                {10000000, 30000000, 12000},
                {10000000, 5000000, 2000},
                {1000, 30000000, 4000}, /* too small to say anything of bytes */
                {10000000, 0, 4000},
                {-1, 30000000, 4000},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                scoped(plan_done) Plan plan = plan_of_update();
                scoped(summary_done) Summary run = run_of("update", RUN_SUCCEEDED, -1);
                add_time(&run, "backup", NULL, 4000, rows[i].then);
                add_time(&run, "prove", NULL, 400, -1);
                add_time(&run, "stop", NULL, 70, -1);
                world.backup_plan.bytes = rows[i].now;
                plan_predict_from(&plan, &world, &run, 1);
                assert_int_equal(plan.lines[0].usually_ms, rows[i].want);
                assert_int_equal(plan.lines[1].usually_ms, rows[i].want / 10);
                assert_int_equal(plan.lines[2].usually_ms, 70);
                assert_int_equal(plan.downtime.runs, 0);
        }
        world.backup_plan.bytes = 0;
}

/* The change that is planned, not another one; and what was done counts for more than what was tried. */
static void test_what_was_rehearsed(void **unused) {
        (void)unused;
        for (int same = 0; same < 2; same++) {
                scoped(plan_done) Plan plan = plan_of_update();
                plan_add(&plan, &step_start, NULL, str_copy("start"), NULL);
                plan_add(&plan, &step_verify, NULL, str_copy("verify"), NULL);
                plan.from.version = str_copy("1.0.0");
                plan.to.version = str_copy("1.1.0");
                Summary runs[] = {run_of("rehearse", RUN_SUCCEEDED, -1),
                        run_of("update", RUN_SUCCEEDED, 500)};
                runs[0].was_rehearsed = true;
                runs[0].rehearsed = (Rehearsed){700, 200, -1};
                runs[0].from = str_copy("1.0.0");
                runs[0].to = str_copy(same ? "1.1.0" : "1.2.0");
                add_time(&runs[1], "start", NULL, 90, -1);
                plan_predict_from(&plan, &world, runs, 2);
                assert_int_equal(plan.lines[3].usually_ms, same ? 700 : -1);
                assert_int_equal(plan.lines[5].usually_ms, 90);
                assert_int_equal(plan.lines[6].usually_ms, -1);
                assert_int_equal(plan.downtime.rehearsed_ms, same ? 900 : 0);
                assert_int_equal(plan.downtime.rehearsed, same);
                scoped(free_str) char *both = downtime_text(&plan);
                assert_string_equal(both, same ? "0.5 s (as in the last update; rehearsed: 0.9 s)"
                                               : "0.5 s (as in the last update)");
                plan_predict_from(&plan, &world, runs, 1);
                scoped(free_str) char *alone = downtime_text(&plan);
                if (same)
                        assert_string_equal(alone, "0.9 s (as rehearsed)");
                else
                        assert_null(alone);
                summary_done(&runs[0]);
                summary_done(&runs[1]);
        }
}

static void test_words(void **unused) {
        (void)unused;
        static const struct {
                int64_t ms;
                const char *text;
        } rows[] = {{-1, "–"}, {0, "< 1 s"}, {999, "< 1 s"}, {1000, "1 s"}, {6600, "7 s"},
                {59400, "59 s"}, {120000, "2 min"}};
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                scoped(free_str) char *text = usual_text(rows[i].ms);
                assert_string_equal(text, rows[i].text);
        }
        const Plan once = {.story = &rollback_story, .downtime = {.runs = 1, .ms = 200}};
        scoped(free_str) char *text = downtime_text(&once);
        assert_string_equal(text, "0.2 s (as in the last rollback)");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_without_history),
                cmocka_unit_test(test_the_median_of_the_last_five),
                cmocka_unit_test(test_backups_scale_with_their_bytes),
                cmocka_unit_test(test_what_was_rehearsed),
                cmocka_unit_test(test_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
