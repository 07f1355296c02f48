/*
 * Steps that do as a test says, on a real journal: what they are told is in `script`, what the engine did
 * with them in script.log. A test is TEST(name) of test_name, in a group with make_dir and remove_dir.
 */
#ifndef BELAY_TESTS_ENGINE_SCRIPT_H
#define BELAY_TESTS_ENGINE_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "engine/engine.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { STEPS_MAX = 10 };

enum { A, B, C, M, V, W, F, X, Y, Z };

typedef struct Script {
        ErrCode prepare[STEPS_MAX], apply[STEPS_MAX], undo[STEPS_MAX];
        unsigned undo_fails_times[STEPS_MAX]; /* 0: always, when `undo` is set */
        StepTruth truth[STEPS_MAX];
        int cancel_in[STEPS_MAX]; /* Cancel.requested is set while it applies */
        bool decision_waits, decide_fails, leftovers_stay, huge_facts, huge_result, drift_says;
        bool again; /* a person lets a run that needs one go on */
        Str log; /* "+a" applied, "-a" undone, "?a" observed, "A" armed, "a" disarmed, "d" decided */
        unsigned undone[STEPS_MAX], beyond_cancel;
        RollbackCause cause;
        char *cause_step;
        Cancel cancel;
} Script;

typedef struct Ran {
        bool whole, dead;
        RunEnd end;
        int exit_status;
        Err failure, err;
        char *failed_step;
        Strv unfinished;
        RecordList records;
} Ran;

#define PLAN                                                                                       \
        "PLAN "                                                                                    \
        "{'format':1,'service':'s','kind':'test','steps':[{'name':'a'},{'name':'b'},{'name':'c'}," \
        "{'name':'m'},{'name':'v'},{'name':'w'},{'name':'f'},{'name':'x'},{'name':'y'},{'name':'"  \
        "z'}]}"
#define OWNER              "OWNER {'epoch':1}"
#define INTENT(step)       "INTENT {'step':'" step "','undo':false,'attempt':1,'facts':{'of':'" step "'}}"
#define DONE(step)         "DONE {'step':'" step "','undo':false,'observed':{}}"
#define DID(step)          INTENT(step), DONE(step)
#define VERIFIED           PLAN, OWNER, DID("a"), "ARM {}", DID("b"), DID("c"), DID("m"), DID("v")
#define RECOVER(wish, ...) go((const char *const[]){__VA_ARGS__, NULL}, &(const RunWish){wish})
#define WAITS_FOR_STEP                                                                             \
        PLAN, OWNER, DID("a"), "ARM {}", DID("b"), INTENT("c"),                                    \
                "WAIT {'for':'step','step':'c','why':'look'}"
#define WAITS_FOR_DECISION                                                                         \
        VERIFIED, INTENT("w"),                                                                     \
                "FAILED {'step':'w','undo':false,'error':{'code':'answer_no','message':'rows are " \
                "gone'}}",                                                                         \
                "WAIT "                                                                            \
                "{'for':'decision','step':'w','cause':'failed','error':{'code':'answer_no','"      \
                "message':'rows are gone'}}"

extern Script script;
extern char *journal_path, *events_path;
extern const EnginePauses no_pauses;
extern const Story story;

bool prepare(StepContext *context, Err *err);
bool apply(StepContext *context, Err *err);
bool undo(StepContext *context, Err *err);
int fresh(void **state);
Journal *write_journal(const char *const *texts);
void ran_done(Ran *ran);
Ran go(const char *const *texts, const RunWish *recover);
Ran run_new(void);
void expect(const Ran *ran, RunEnd end, int exit_status, const char *log);
const Record *last_of(const Ran *ran, RecordType type);
int make_dir(void **state);
int remove_dir(void **state);

extern const Step *const steps[];

#define TEST(name) cmocka_unit_test_setup(test_##name, fresh)

#endif
