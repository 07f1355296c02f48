/* The table of decisions: what a run does next, from what its journal says. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "engine/next.h"

static bool nothing(StepContext *context, Err *err) {
        (void)context;
        (void)err;
        return true;
}

/* One step of each sort, in the order of a plan. */
static const Step look = {.name = "look",
        .phase = PHASE_PREFLIGHT,
        .flags = STEP_READ_ONLY,
        .apply = nothing,
        .undo = nothing};
static const Step stage = {
        .name = "stage", .phase = PHASE_BACKUP, .apply = nothing, .undo = nothing};
static const Step stop = {
        .name = "stop", .phase = PHASE_QUIESCE, .apply = nothing, .undo = nothing};
static const Step put = {.name = "put", .phase = PHASE_PLACE, .apply = nothing, .undo = nothing};
static const Step no_undo = {.name = "no-undo", .phase = PHASE_START, .apply = nothing};
static const Step watch = {
        .name = "watch", .phase = PHASE_MONITOR, .flags = STEP_READ_ONLY, .apply = nothing};
static const Step tidy = {.name = "tidy", .phase = PHASE_FINISH, .apply = nothing};
static const Step bad = {
        .name = "bad", .phase = PHASE_ROLLBACK, .flags = STEP_BEFORE_UNDO, .apply = nothing};
static const Step old = {
        .name = "old", .phase = PHASE_ROLLBACK, .flags = STEP_AFTER_UNDO, .apply = nothing};
static const Step report = {.name = "report",
        .phase = PHASE_FINISH,
        .flags = STEP_AFTER_UNDO | STEP_IN_BOTH,
        .apply = nothing};
static const Step *const steps[] = {
        &look, &stage, &stop, &put, &no_undo, &watch, &tidy, &bad, &old, &report};
enum { LOOK, STAGE, STOP, PUT, NO_UNDO, WATCH, TIDY, BAD, OLD, REPORT, STEPS };

/* Each step in two letters: forward . begun-not, O open, D done, F failed, P failed in prepare; undo in
 * small letters: - not begun, o open, d done, f failed, x failed by drift. A digit after them: attempts
 * of the last direction named (default 1). Marks: A armed, C committed, R rolling back, W waiting. */
typedef struct Row {
        const char *steps, *marks;
        bool abort;
        ActionKind kind;
        int step; /* or the RunEnd */
} Row;

static const Row rows[] = {
        /* forward */
        {".- .- .- .- .- .- .- .- .- .-", "", false, ACT_STEP, LOOK},
        {"D- .- .- .- .- .- .- .- .- .-", "", false, ACT_STEP, STAGE},
        {"D- D- .- .- .- .- .- .- .- .-", "", false, ACT_ARM, STOP},
        {"D- D- .- .- .- .- .- .- .- .-", "A", false, ACT_STEP, STOP},
        {"D- D- D- D- .- .- .- .- .- .-", "A", false, ACT_STEP, NO_UNDO},
        {"D- D- D- D- D- D- .- .- .- .-", "A", false, ACT_COMMIT, TIDY},
        {"D- D- D- D- D- D- .- .- .- .-", "AC", false, ACT_STEP, TIDY},
        {"D- D- D- D- D- D- D- .- .- .-", "AC", false, ACT_STEP, REPORT},
        {"D- D- D- D- D- D- D- .- .- D-", "AC", false, ACT_END, RUN_SUCCEEDED},
        /* after COMMIT only what finishes, and a failure stands */
        {"D- D- D- F- .- .- .- .- .- .-", "AC", false, ACT_STEP, TIDY},
        {"D- D- D- O- .- .- .- .- .- .-", "AC", false, ACT_STEP, TIDY},
        {"D- D- D- D- D- D- F- .- .- .-", "AC", false, ACT_STEP, REPORT},
        {"D- D- D- D- D- D- F- .- .- F-", "AC", false, ACT_END, RUN_SUCCEEDED},
        {"D- D- D- D- D- D- O- .- .- .-", "AC", false, ACT_ASK, TIDY},
        {"D- D- D- D- D- D- .- .- .- .-", "AC", true, ACT_STEP, TIDY},
        /* a failure before ARM: undone, reported, ended */
        {"F- .- .- .- .- .- .- .- .- .-", "", false, ACT_STEP, REPORT},
        {"D- F- .- .- .- .- .- .- .- .-", "", false, ACT_UNDO, STAGE},
        {"D- P- .- .- .- .- .- .- .- .-", "", false, ACT_STEP, REPORT},
        {"D- Fo .- .- .- .- .- .- .- .-", "", false, ACT_UNDO, STAGE},
        {"D- Ff .- .- .- .- .- .- .- .-", "", false, ACT_UNDO, STAGE},
        {"D- Ff3 .- .- .- .- .- .- .- .-", "", false, ACT_STEP, REPORT},
        {"D- Fd .- .- .- .- .- .- .- .-", "", false, ACT_STEP, REPORT},
        {"D- Fd .- .- .- .- .- .- .- O-", "", false, ACT_STEP, REPORT},
        {"D- Fd .- .- .- .- .- .- .- D-", "", false, ACT_END, RUN_ABORTED},
        {"D- Fd .- .- .- .- .- .- .- F-", "", false, ACT_END, RUN_ABORTED},
        {"D- Ff3 .- .- .- .- .- .- .- D-", "", false, ACT_END, RUN_ABORTED},
        /* told to end before ARM */
        {".- .- .- .- .- .- .- .- .- .-", "", true, ACT_STEP, REPORT},
        {"D- D- .- .- .- .- .- .- .- .-", "", true, ACT_UNDO, STAGE},
        {"D- O- .- .- .- .- .- .- .- .-", "", true, ACT_UNDO, STAGE},
        {"D- Od .- .- .- .- .- .- .- D-", "", true, ACT_END, RUN_ABORTED},
        /* between ARM and COMMIT */
        {"D- D- O- .- .- .- .- .- .- .-", "A", false, ACT_ASK, STOP},
        {"D- D- D- D- D- O- .- .- .- .-", "A", false, ACT_ASK, WATCH},
        {"D- D- D- F- .- .- .- .- .- .-", "A", false, ACT_DECIDE, PUT},
        {"D- D- D- P- .- .- .- .- .- .-", "A", false, ACT_DECIDE, PUT},
        {"D- D- D- F- .- .- .- .- .- .-", "AW", false, ACT_WAIT, 0},
        {"D- D- D- O- .- .- .- .- .- .-", "AW", true, ACT_WAIT, 0},
        {"D- D- D- D- .- .- .- .- .- .-", "A", true, ACT_STEP, NO_UNDO},
        /* back: bad first, then undos in reverse, then the old one, then the report */
        {"D- D- D- F- .- .- .- .- .- .-", "AR", false, ACT_STEP, BAD},
        {"D- D- D- F- .- .- .- O- .- .-", "AR", false, ACT_STEP, BAD},
        {"D- D- D- F- .- .- .- O3- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- F- .- .- .- F- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- F- .- .- .- D- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- O- .- .- .- D- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- P- .- .- .- D- .- .-", "AR", false, ACT_UNDO, STOP},
        {"D- D- D- D- F- .- .- D- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- Fo .- .- .- D- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- Ff2 .- .- .- D- .- .-", "AR", false, ACT_UNDO, PUT},
        {"D- D- D- Fd .- .- .- D- .- .-", "AR", false, ACT_UNDO, STOP},
        {"D- D- Dd Fd .- .- .- D- .- .-", "AR", false, ACT_UNDO, STAGE},
        {"D- Dd Dd Fd .- .- .- D- .- .-", "AR", false, ACT_STEP, OLD},
        {"D- Dd Dd Fd .- .- .- D- O- .-", "AR", false, ACT_STEP, OLD},
        {"D- Dd Dd Fd .- .- .- D- D- .-", "AR", false, ACT_STEP, REPORT},
        {"D- Dd Dd Fd .- .- .- D- D- D-", "AR", false, ACT_END, RUN_ROLLED_BACK},
        {"D- Dd Dd Fd .- .- .- F- D- D-", "AR", false, ACT_END, RUN_ROLLED_BACK},
        {"D- Dd Dd Fd .- .- .- D- D- F-", "AR", false, ACT_END, RUN_ROLLED_BACK},
        {"D- Dd Dd Fd .- .- .- D- D- O3-", "AR", false, ACT_END, RUN_ROLLED_BACK},
        /* stuck on the way back: the rest is not touched, the report is made, a person comes */
        {"D- D- D- Ff3 .- .- .- D- .- .-", "AR", false, ACT_STEP, REPORT},
        {"D- D- D- Ff3 .- .- .- D- .- D-", "AR", false, ACT_END, RUN_NEEDS_PERSON},
        {"D- D- D- Fo3 .- .- .- D- .- D-", "AR", false, ACT_END, RUN_NEEDS_PERSON},
        {"D- D- D- Fx .- .- .- D- .- .-", "AR", false, ACT_STEP, REPORT},
        {"D- D- D- Fx .- .- .- D- .- F-", "AR", false, ACT_END, RUN_NEEDS_PERSON},
        {"D- Dd Dd Fd .- .- .- D- F- .-", "AR", false, ACT_STEP, REPORT},
        {"D- Dd Dd Fd .- .- .- D- F- D-", "AR", false, ACT_END, RUN_NEEDS_PERSON},
        {"D- Dd Dd Fd .- .- .- D- O3- D-", "AR", false, ACT_END, RUN_NEEDS_PERSON},
};

static StepState state_of(char c) {
        switch (tolower((unsigned char)c)) {
        case 'o':
                return STEP_OPEN;
        case 'd':
                return STEP_DONE;
        case 'f':
        case 'p':
        case 'x':
                return STEP_FAILED;
        default:
                return STEP_NOT_BEGUN;
        }
}

static unsigned digit(const char **at) {
        return **at >= '0' && **at <= '9' ? (unsigned)(*(*at)++ - '0') : 1;
}

static void read_step(const char *text, StepRecord *ret) {
        char forward = *text++;
        unsigned attempts = digit(&text);
        char undo = *text++;
        *ret = (StepRecord){.forward = state_of(forward), .undo = state_of(undo)};
        ret->attempts = forward == '.' || forward == 'P' ? 0 : attempts;
        ret->undo_attempts = undo == '-' ? 0 : digit(&text);
        ret->error = json_pack("{s:s}", "code", undo == 'x' ? "drift" : "io");
        assert_int_equal(*text, '\0');
}

static Action next_of(const Row *row, unsigned begun) {
        StepRecord records[STEPS];
        scoped(strv_freep) Strv texts = strv_split(row->steps, ' ');
        assert_int_equal(strv_count(texts), STEPS);
        for (int i = 0; i < STEPS; i++)
                read_step(texts[i], &records[i]);
        const RunState run = {
                .steps = records,
                .n_steps = STEPS,
                .armed = strchr(row->marks, 'A') != NULL,
                .committed = strchr(row->marks, 'C') != NULL,
                .rolling_back = strchr(row->marks, 'R') != NULL,
                .waiting = strchr(row->marks, 'W') != NULL,
                .begun = begun,
        };
        Action action = engine_next(&run, steps, row->abort);
        for (int i = 0; i < STEPS; i++)
                json_decref(records[i].error);
        return action;
}

static void test_table(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                Action action = next_of(&rows[i], 0);
                int step = action.kind == ACT_END ? (int)action.end : (int)action.step;
                if (action.kind != rows[i].kind || step != rows[i].step)
                        fail_msg("'%s' %s: action %d of %d, not %d of %d", rows[i].steps,
                                rows[i].marks, action.kind, step, rows[i].kind, rows[i].step);
                assert_int_equal(action.why != NULL,
                        action.kind == ACT_END && action.end == RUN_NEEDS_PERSON);
        }
}

static void test_begun_again_and_again(void **state) {
        (void)state;
        const unsigned most = 2 * STEPS + ENGINE_EXTRA_BEGUN_MAX;
        const Row forward = {"D- D- .- .- .- .- .- .- .- .-", "A", false, ACT_STEP, STOP};
        const Row committed = {"D- D- D- D- D- D- .- .- .- .-", "AC", false, ACT_STEP, TIDY};
        assert_int_equal(next_of(&forward, most).kind, ACT_STEP);
        assert_int_equal(next_of(&forward, most + 1).kind, ACT_END);
        assert_int_equal(next_of(&forward, most + 1).end, RUN_NEEDS_PERSON);
        assert_int_equal(next_of(&committed, most + 1).kind, ACT_STEP);
}

static void test_an_ended_run_does_nothing(void **state) {
        (void)state;
        const RunState run = {.end = RUN_ROLLED_BACK};
        assert_int_equal(engine_next(&run, NULL, true).kind, ACT_NOTHING);
}

static void test_a_plan_of_looking_alone_is_never_armed(void **state) {
        (void)state;
        static const Step *const one[] = {&look};
        StepRecord record = {.forward = STEP_DONE, .attempts = 1};
        RunState run = {.steps = &record, .n_steps = 1};
        assert_int_equal(engine_next(&run, one, false).kind, ACT_COMMIT);
        run.committed = true;
        assert_int_equal(engine_next(&run, one, false).end, RUN_SUCCEEDED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_begun_again_and_again),
                cmocka_unit_test(test_an_ended_run_does_nothing),
                cmocka_unit_test(test_a_plan_of_looking_alone_is_never_armed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
