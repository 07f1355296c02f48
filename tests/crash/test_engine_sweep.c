/*
 * Dies at every point of a small run (small_story.h), and again at every point of its recovery, and
 * looks whether what is left is one version with its data (CP-02 to CP-41 as far as they are the
 * engine's). Each process is a real one that is killed with SIGKILL.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "engine/engine.h"
#include "lib/small_story.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"

#ifdef BELAY_FAULT_POINTS

enum { DIED = -1, NOT_WHOLE = 100, RECOVERIES_MAX = 12, POINTS_MAX = 1000 };

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
        {.name = "fails in start, restored",
                .trouble_at = "start",
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
        {.name = "a step asks, accepted",
                .trouble_at = "config",
                .trouble = TROUBLE_ASKS,
                .answer = WISH_ACCEPT,
                .end = RUN_SUCCEEDED,
                .exit_status = 8},
        {.name = "a step asks, undone",
                .trouble_at = "config",
                .trouble = TROUBLE_ASKS,
                .answer = WISH_UNDO,
                .end = RUN_ROLLED_BACK,
                .exit_status = 8},
        {.name = "Ctrl-C before ARM",
                .trouble_at = "stage",
                .trouble = TROUBLE_CTRL_C,
                .end = RUN_ABORTED,
                .exit_status = 130},
        {.name = "Ctrl-C after ARM",
                .trouble_at = "place",
                .trouble = TROUBLE_CTRL_C,
                .end = RUN_ROLLED_BACK,
                .exit_status = 130},
        {.name = "Ctrl-C in monitor",
                .trouble_at = "verify",
                .trouble = TROUBLE_CTRL_C,
                .end = RUN_SUCCEEDED,
                .exit_status = 0},
        {.name = "cancelled in monitor",
                .trouble_at = "verify",
                .trouble = TROUBLE_CANCEL,
                .end = RUN_ROLLED_BACK,
                .exit_status = 3},
        {.name = "an undo fails once",
                .trouble_at = "start",
                .trouble = TROUBLE_FAILS,
                .undo_fails_once = "migrate",
                .end = RUN_ROLLED_BACK,
                .exit_status = 3},
        {.name = "start dies each time",
                .trouble_at = "start",
                .trouble = TROUBLE_DIES,
                .end = RUN_ROLLED_BACK,
                .exit_status = DIED},
        {.name = "interrupted, then cancelled",
                .recovery = WISH_UNDO,
                .end = RUN_SUCCEEDED,
                .exit_status = 0},
        {.name = "finish fails",
                .trouble_at = "tidy",
                .trouble = TROUBLE_FAILS,
                .end = RUN_SUCCEEDED,
                .exit_status = 9},
};

static char base[] = "/dev/shm/belay-sweep-XXXXXX";
static char *dir, *journal_path, *trace_path, *events_path;
static unsigned long deaths, pairs;
static bool with_events, is_worker;

/* -- processes ---------------------------------------------------------------------------- */

typedef bool (*Act)(SmallWorld *world, RunWish wish, int *ret_exit);

/* No pauses: a test that waits is a test that is not run. */
static const EnginePauses no_pauses = {{0}, {0}};

static Engine engine_of(SmallWorld *world, Journal *journal, RunState *run, Events *events) {
        if (with_events)
                events_open(events_path, events, NULL);
        return (Engine){
                .story = &small_story,
                .world = world,
                .journal = journal,
                .run = run,
                .events = events,
                .cancel = &world->cancel,
                .pauses = &no_pauses,
        };
}

static bool begin(SmallWorld *world, RunWish wish, int *ret_exit) {
        (void)wish;
        Journal *journal = NULL;
        RecordList list = {0};
        RunState run = {0};
        if (!journal_create(journal_path, &journal, NULL) ||
                !journal_append(journal, RECORD_PLAN, small_plan(world->scenario), NULL) ||
                !journal_read(journal_path, &list, NULL) || !run_state_of(&list, &run, NULL))
                return false;
        Events events = {.fd = -1};
        RunOutcome outcome = {0};
        Engine engine = engine_of(world, journal, &run, &events);
        if (!engine_run(&engine, &outcome, NULL))
                return false;
        *ret_exit = outcome.exit_status;
        return true;
}

static void close_events(Events *events) { events_close(events); }

static bool recover(SmallWorld *world, RunWish wish, int *ret_exit) {
        scoped(journal_freep) Journal *journal = NULL;
        scoped(record_list_done) RecordList list = {0};
        scoped(run_state_done) RunState run = {0};
        if (!journal_open(journal_path, &journal, &list, NULL) || !run_state_of(&list, &run, NULL))
                return false;
        scoped(close_events) Events events = {.fd = -1};
        scoped(run_outcome_done) RunOutcome outcome = {0};
        Engine engine = engine_of(world, journal, &run, &events);
        if (!engine_recover(&engine, wish, &outcome, NULL))
                return false;
        *ret_exit = outcome.exit_status;
        return true;
}

/* The exit status of a process that does it under this rule, or DIED. */
static int in_child(const Scenario *scenario, Act act, RunWish wish, const char *rule) {
        fflush(NULL);
        pid_t child = fork();
        if (child < 0)
                fail_msg("no process can be started");
        if (child == 0) {
                SmallWorld world = {.dir = dir, .scenario = scenario};
                int exit_status = NOT_WHOLE;
                fault_set(rule);
                if (!act(&world, wish, &exit_status))
                        exit_status = NOT_WHOLE;
                _exit(exit_status);
        }
        int status = 0;
        if (waitpid(child, &status, 0) != child)
                fail_msg("the process cannot be waited for");
        return WIFSIGNALED(status) ? DIED : WEXITSTATUS(status);
}

/* -- the directory, as bytes: to begin again from the same death -------------------------- */

static const char *const kept[] = {
        "journal",
        "version",
        "code",
        "env",
        "unit",
        "data",
        "running",
        "staged",
        "bad",
        "report",
        "violation",
        "failed-once",
        "undo/version",
        "undo/code",
        "undo/env",
        "undo/unit",
        "undo/data",
        ".version.belay-tmp",
        ".code.belay-tmp",
        ".env.belay-tmp",
        ".unit.belay-tmp",
        ".data.belay-tmp",
        ".running.belay-tmp",
        ".staged.belay-tmp",
        ".bad.belay-tmp",
        ".report.belay-tmp",
        "undo/.version.belay-tmp",
        "undo/.code.belay-tmp",
        "undo/.env.belay-tmp",
        "undo/.unit.belay-tmp",
        "undo/.data.belay-tmp",
};

typedef struct Snapshot {
        char *text[COUNT_OF(kept)]; /* NULL: absent */
        size_t bytes[COUNT_OF(kept)];
} Snapshot;

static void snapshot_done(Snapshot *s) {
        for (size_t i = 0; i < COUNT_OF(kept); i++)
                free(s->text[i]);
}

static void snapshot_take(Snapshot *ret) {
        *ret = (Snapshot){0};
        for (size_t i = 0; i < COUNT_OF(kept); i++) {
                scoped(free_str) char *path = path_join(dir, kept[i]);
                scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
                struct stat st;
                if (fd < 0 || fstat(fd, &st) < 0)
                        continue;
                ret->bytes[i] = (size_t)st.st_size;
                ret->text[i] = mem_new(ret->bytes[i] + 1, 1);
                assert_int_equal(read(fd, ret->text[i], ret->bytes[i]), st.st_size);
        }
}

static void snapshot_put_back(const Snapshot *s) {
        for (size_t i = 0; i < COUNT_OF(kept); i++) {
                scoped(free_str) char *path = path_join(dir, kept[i]);
                if (!s->text[i]) {
                        (void)unlink(path);
                        continue;
                }
                scoped(close_fd) int fd =
                        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                assert_int_equal(write(fd, s->text[i], s->bytes[i]), s->bytes[i]);
        }
}

static void start_afresh(void) {
        assert_true(tree_remove(dir, NULL));
        assert_int_equal(mkdir(dir, 0700), 0);
        small_world_make(dir);
}

/* -- what must hold ----------------------------------------------------------------------- */

typedef struct Trial {
        const Scenario *scenario;
        char how[120];
} Trial;

static char *journal_text(void);
static void complain(const Trial *trial, const char *what);

#define COMPLAIN(trial, ...)                                                                       \
        do {                                                                                       \
                scoped(free_str) char *text_ = str_format(__VA_ARGS__);                            \
                complain((trial), text_);                                                          \
        } while (0)

static char *journal_text(void) {
        char *text = NULL;
        size_t bytes = 0;
        return file_read_if(journal_path, 1 << 20, &text, &bytes, NULL) && text
                       ? text
                       : str_copy("(no journal)");
}

/* A worker has no test to fail: its exit status says it. */
static void complain(const Trial *trial, const char *what) {
        scoped(free_str) char *journal = journal_text();
        fprintf(stderr, "%s\n%s, %s: %s\n", journal, trial->scenario->name, trial->how, what);
        if (is_worker)
                _exit(1);
        fail();
}

/* What lies there, read as any other process would. False: the run had not begun, the world is as it was. */
static bool look(const Trial *trial, RunState *ret) {
        scoped(err_clear) Err err = {0};
        scoped(record_list_done) RecordList list = {0};
        if (!file_exists(journal_path))
                return false;
        if (!journal_read(journal_path, &list, &err) || !run_state_of(&list, ret, &err))
                COMPLAIN(trial, "the journal cannot be read: %s", err.message);
        return ret->plan != NULL;
}

/* False: there is no run yet. */
static bool check_truth(const Trial *trial) {
        scoped(run_state_done) RunState run = {0};
        if (!look(trial, &run))
                return false;
        const char *lie = small_world_lies(dir, trial->scenario, &run);
        if (lie)
                COMPLAIN(trial, "the journal does not tell the truth: %s", lie);
        return true;
}

/* A cancel is in the memory of the process that dies; whoever recovers may not know of it. */
static bool is_possible_end(const Scenario *scenario, RunEnd end) {
        bool forgotten = scenario->trouble == TROUBLE_CTRL_C || scenario->trouble == TROUBLE_CANCEL;
        if (end == RUN_SUCCEEDED)
                return scenario->end == RUN_SUCCEEDED || forgotten;
        return end == RUN_ABORTED || end == RUN_ROLLED_BACK;
}

/* The recovery that nothing disturbs needs no process of its own, where no step kills the one it is in. */
static int recover_undisturbed(const Scenario *scenario, RunWish wish) {
        if (scenario->trouble == TROUBLE_DIES)
                return in_child(scenario, recover, wish, NULL);
        SmallWorld world = {.dir = dir, .scenario = scenario};
        int exit_status = NOT_WHOLE;
        fault_set(NULL);
        return recover(&world, wish, &exit_status) ? exit_status : NOT_WHOLE;
}

/* Recovers until the run has ended; a waiting run is answered as the scenario says. */
static void recover_to_the_end(const Trial *trial) {
        RunWish wish = trial->scenario->recovery;
        for (int i = 0; i < RECOVERIES_MAX; i++) {
                int exit_status = recover_undisturbed(trial->scenario, wish);
                if (exit_status == NOT_WHOLE)
                        COMPLAIN(trial, "the recovery gave up");
                if (exit_status == 8)
                        wish = trial->scenario->answer;
                else if (exit_status != DIED)
                        return;
        }
        COMPLAIN(trial, "%d recoveries did not end it", RECOVERIES_MAX);
}

static RunEnd end_of(const Trial *trial) {
        scoped(run_state_done) RunState run = {0};
        if (!look(trial, &run))
                COMPLAIN(trial, "the run is gone");
        return run.end;
}

/* Two deaths in an undo that fails once besides: three times is the limit, and then a person comes. */
static bool has_spent_an_undo(const Trial *trial) {
        scoped(run_state_done) RunState run = {0};
        bool spent = false;
        if (!trial->scenario->undo_fails_once || !look(trial, &run))
                return false;
        for (size_t i = 0; i < run.n_steps; i++)
                spent = spent || (run.steps[i].undo != STEP_DONE &&
                                         run.steps[i].undo_attempts == ENGINE_ATTEMPTS_MAX);
        return spent;
}

static bool left_over_by_scenario(const Scenario *scenario, const char *wrong) {
        return scenario->exit_status == 9 && strstr(wrong, "'staged'");
}

static void check_end(const Trial *trial) {
        RunEnd end = end_of(trial);
        if (end == RUN_NEEDS_PERSON && has_spent_an_undo(trial))
                return;
        if (!is_possible_end(trial->scenario, end))
                COMPLAIN(trial, "it ended as %s", run_end_name(end));
        const char *wrong = small_world_wrong(dir, trial->scenario, end);
        if (wrong && !left_over_by_scenario(trial->scenario, wrong))
                COMPLAIN(trial, "after '%s': %s", run_end_name(end), wrong);
}

/* A second recovery does nothing: not one point is passed, not one byte is changed. */
static void check_second_recovery(const Trial *trial) {
        Snapshot before, after;
        bool followed = with_events;
        with_events = false;
        snapshot_take(&before);
        if (in_child(trial->scenario, recover, trial->scenario->recovery, "*:die:1") == DIED)
                COMPLAIN(trial, "a second recovery changed something");
        snapshot_take(&after);
        with_events = followed;
        for (size_t i = 0; i < COUNT_OF(kept); i++)
                if (before.bytes[i] != after.bytes[i] || !before.text[i] != !after.text[i])
                        COMPLAIN(trial, "a second recovery changed '%s'", kept[i]);
        snapshot_done(&before);
        snapshot_done(&after);
}

static bool has_begun(const Trial *trial) {
        scoped(run_state_done) RunState run = {0};
        return look(trial, &run);
}

static void finish_and_check(const Trial *trial) {
        if (!check_truth(trial)) {
                SmallWorld untouched = {.dir = dir};
                scoped(free_str) char *running = small_world_get(untouched.dir, "running");
                scoped(free_str) char *staged = small_world_get(untouched.dir, "staged");
                if (strcmp(running, "1") != 0 || strcmp(staged, "") != 0)
                        COMPLAIN(trial, "something was changed before there was a plan");
                return;
        }
        recover_to_the_end(trial);
        check_end(trial);
}

/* -- points ------------------------------------------------------------------------------- */

typedef struct Points {
        unsigned n;
        bool is_write[POINTS_MAX + 1]; /* from 1 */
} Points;

/* Runs it once to the end and notes what it passed. */
static int trace(const Scenario *scenario, Act act, RunWish wish, Points *ret) {
        *ret = (Points){0};
        (void)unlink(trace_path);
        setenv("BELAY_FAULT_TRACE", trace_path, 1);
        int exit_status = in_child(scenario, act, wish, NULL);
        unsetenv("BELAY_FAULT_TRACE");
        FILE *file = fopen(trace_path, "re");
        char line[1000];
        while (file && ret->n < POINTS_MAX && fgets(line, sizeof(line), file)) {
                unsigned number = ++ret->n;
                scoped(free_str) char *write = str_format("command %u write ", number);
                ret->is_write[number] = strncmp(line, write, strlen(write)) == 0;
        }
        if (file)
                fclose(file);
        assert_true(ret->n < POINTS_MAX);
        return exit_status;
}

/* Every record is on disk before anything else happens: a write to the journal is followed by its sync. */
static void check_records_are_synced(const Scenario *scenario) {
        FILE *file = fopen(trace_path, "re");
        char line[1000];
        bool open = false;
        while (file && fgets(line, sizeof(line), file)) {
                bool of_journal = strstr(line, journal_path) != NULL;
                if (open && !(of_journal && strstr(line, " sync ")))
                        fail_msg("%s: a record was not synced before: %s", scenario->name, line);
                open = of_journal && strstr(line, " write ");
        }
        if (file)
                fclose(file);
        assert_false(open);
}

static const char *const ways[] = {"die", "torn", "after"};

/* "after" differs from "die" at the next point only when there is none. */
static bool is_worth_it(const Points *points, unsigned at, size_t way) {
        if (way == 1)
                return points->is_write[at];
        return way == 0 || at == points->n;
}

static char *rule_of(size_t way, unsigned at) { return str_format("*:%s:%u", ways[way], at); }

/* -- sweeps ------------------------------------------------------------------------------- */

static void check_undisturbed(const Scenario *scenario, Points *ret) {
        Trial trial = {.scenario = scenario, .how = "undisturbed"};
        start_afresh();
        int exit_status = trace(scenario, begin, WISH_FINISH, ret);
        if (exit_status != scenario->exit_status)
                COMPLAIN(&trial, "exit status %d, not %d", exit_status, scenario->exit_status);
        check_records_are_synced(scenario);
        if (exit_status == 8 || exit_status == DIED)
                recover_to_the_end(&trial);
        check_end(&trial);
        if (end_of(&trial) != scenario->end)
                COMPLAIN(&trial, "it ended as %s", run_end_name(end_of(&trial)));
        check_second_recovery(&trial);
}

static void sweep_singles(const Scenario *scenario) {
        Points points;
        check_undisturbed(scenario, &points);
        for (unsigned at = 1; at <= points.n; at++) {
                for (size_t way = 0; way < COUNT_OF(ways); way++) {
                        if (!is_worth_it(&points, at, way))
                                continue;
                        scoped(free_str) char *rule = rule_of(way, at);
                        Trial trial = {.scenario = scenario};
                        snprintf(trial.how, sizeof(trial.how), "%s", rule);
                        start_afresh();
                        if (in_child(scenario, begin, WISH_FINISH, rule) != DIED)
                                COMPLAIN(&trial, "it did not die");
                        finish_and_check(&trial);
                        if (has_begun(&trial))
                                check_second_recovery(&trial);
                        deaths++;
                }
        }
}

/* All of them take a few minutes. With BELAY_SAMPLE=1 every 13th, counted through, so that the second deaths
 * move on against the first ones. */
static bool is_in_sample(void) {
        enum { STRIDE = 13 };
        static unsigned long seen;
        const char *sample = getenv("BELAY_SAMPLE");
        return seen++ % STRIDE == 0 || !sample || !*sample;
}

/* The second death, at each point of what goes on from here. */
static void sweep_going_on(const Scenario *scenario, RunWish wish, const char *first) {
        Trial trial = {.scenario = scenario};
        Points points;
        Snapshot dead;
        snapshot_take(&dead);
        int exit_status = trace(scenario, recover, wish, &points);
        if (exit_status == 8 && scenario->answer != wish)
                sweep_going_on(scenario, scenario->answer, first);
        for (unsigned at = 1; at <= points.n; at++) {
                for (size_t way = 0; way < COUNT_OF(ways); way++) {
                        if (!is_worth_it(&points, at, way) || !is_in_sample())
                                continue;
                        scoped(free_str) char *rule = rule_of(way, at);
                        snprintf(trial.how, sizeof(trial.how), "%s, then %s", first, rule);
                        snapshot_put_back(&dead);
                        (void)in_child(scenario, recover, wish, rule);
                        finish_and_check(&trial);
                        pairs++;
                }
        }
        snapshot_done(&dead);
}

static void sweep_recovery(const Scenario *scenario, const char *first) {
        const Trial trial = {.scenario = scenario};
        if (has_begun(&trial))
                sweep_going_on(scenario, scenario->recovery, first);
}

static void sweep_pairs(const Scenario *scenario) {
        Points points;
        check_undisturbed(scenario, &points);
        for (unsigned at = 1; at <= points.n; at++) {
                for (size_t way = 0; way < COUNT_OF(ways); way++) {
                        if (!is_worth_it(&points, at, way))
                                continue;
                        scoped(free_str) char *rule = rule_of(way, at);
                        start_afresh();
                        (void)in_child(scenario, begin, WISH_FINISH, rule);
                        sweep_recovery(scenario, rule);
                }
        }
        start_afresh();
        if (in_child(scenario, begin, WISH_FINISH, NULL) == 8)
                sweep_going_on(scenario, scenario->answer, "undisturbed");
}

static void test_singles(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        with_events = true;
        for (size_t i = 0; i < COUNT_OF(scenarios); i++)
                sweep_singles(&scenarios[i]);
        with_events = false;
        print_message("figure: engine sweep: %lu deaths in %zu scenarios, %lld ms\n", deaths,
                COUNT_OF(scenarios), (long long)(clock_now_ms() - began));
}

static void set_places(const char *name) {
        free(dir);
        free(journal_path);
        free(trace_path);
        free(events_path);
        dir = str_format("%s/%s", base, name);
        journal_path = path_join(dir, "journal");
        trace_path = str_format("%s/%s.trace", base, name);
        events_path = str_format("%s/%s.events", base, name);
}

/* What the workers share. */
typedef struct Shared {
        atomic_ulong next, pairs;
} Shared;

_Noreturn static void work(Shared *shared, unsigned number) {
        scoped(free_str) char *name = str_format("worker-%u", number);
        is_worker = true;
        set_places(name);
        for (;;) {
                unsigned long i = atomic_fetch_add(&shared->next, 1);
                if (i >= COUNT_OF(scenarios))
                        _exit(0);
                int64_t began = clock_now_ms();
                pairs = 0;
                sweep_pairs(&scenarios[i]);
                atomic_fetch_add(&shared->pairs, pairs);
                print_message("figure: engine sweep: \"%s\": %lu pairs, %lld ms\n",
                        scenarios[i].name, pairs, (long long)(clock_now_ms() - began));
                fflush(stdout);
        }
}

static void test_pairs(void **state) {
        (void)state;
        int64_t began = clock_now_ms();
        Shared *shared = mmap(
                NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(shared != MAP_FAILED);
        unsigned workers = (unsigned)sysconf(_SC_NPROCESSORS_ONLN), failed = 0;
        fflush(NULL);
        for (unsigned i = 0; i < workers; i++) {
                pid_t worker = fork();
                assert_true(worker >= 0);
                if (worker == 0)
                        work(shared, i);
        }
        for (unsigned i = 0; i < workers; i++) {
                int status = 0;
                assert_true(wait(&status) > 0);
                failed += status != 0;
        }
        assert_int_equal(failed, 0);
        print_message("figure: engine sweep: %lu pairs of deaths, %lld ms\n",
                atomic_load(&shared->pairs), (long long)(clock_now_ms() - began));
        munmap(shared, sizeof(*shared));
}

static int make_base(void **state) {
        (void)state;
        if (!mkdtemp(base))
                return -1;
        set_places("world");
        return 0;
}

static int remove_base(void **state) {
        (void)state;
        return tree_remove(base, NULL) ? 0 : -1;
}

/* With a name: only that test. */
int main(int argc, char **argv) {
        if (argc > 1)
                cmocka_set_test_filter(argv[1]);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_singles),
                cmocka_unit_test(test_pairs),
        };
        return cmocka_run_group_tests(tests, make_base, remove_base);
}

#else

int main(void) { return 0; }

#endif
