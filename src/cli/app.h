/*
 * What every verb is given: the global flags, the state directory, how to print. No verb has state
 * of its own beyond its call.
 */
#ifndef BELAY_CLI_APP_H
#define BELAY_CLI_APP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/js.h"
#include "journal/state.h"
#include "model/reason.h"
#include "model/service.h"

/* Options of all verbs; each verb names those it takes (verbs.c). */
typedef enum Opt {
        OPT_YES,
        OPT_PLAN,
        OPT_NO_BACKUP,
        OPT_NO_MIGRATIONS,
        OPT_NO_REHEARSAL,
        OPT_ACCEPT_BREAKING,
        OPT_ACCEPT_UNHEALTHY,
        OPT_ALLOW_DOWNGRADE,
        OPT_EVEN_IF_BAD,
        OPT_REINSTALL,
        OPT_FORCE,
        OPT_NO_WAIT,
        OPT_DETACH,
        OPT_WAIT_LOCK,
        OPT_ANY_TIME,
        OPT_AT,
        OPT_IN_WINDOW,
        OPT_DRY_RUN,
        OPT_FIX,
        OPT_EXPLAIN,
        OPT_EXIT_CODE,
        OPT_ALL,
        OPT_REVERT,
        OPT_RESTORE,
        OPT_TO,
        OPT_RUN,
        OPT_FORMAT,
        OPT_FOLLOW,
        OPT_LEVEL,
        OPT_ONLY,
        OPT_STORE,
        OPT_MESSAGE,
        OPT_UNTIL,
        OPT_SERVICE,
        OPT_LINES,
        OPT_SINCE,
        OPT_TRY_AGAIN,
        OPT_SHUTDOWN,
        OPT_SCHEMA,
        OPT_COUNT
} Opt;

typedef struct App {
        /* global flags */
        const char *file;      /* -f FILE, or NULL */
        const char *state_dir; /* --state DIR, or NULL */
        bool json, yes, quiet, no_color;
        unsigned verbose;
        /* of the verb: value or "" when given, NULL when not */
        const char *opt[OPT_COUNT];
        char **args; /* operands, NULL-terminated */
        int n_args;
        bool terminal; /* standard output is one (and not --json, not --quiet) */
        bool can_ask;  /* standard input and error are terminals, too */
        bool color;
        State state; /* opened by app_state() */
} App;

typedef struct Verb {
        const char *name;     /* "backup create" has a space: a verb with a sub-verb */
        const char *operands; /* "SERVICE [VERSION]" */
        const char *help;     /* one line */
        int min_args, max_args;
        const Opt *options;   /* ends with OPT_COUNT; NULL: none */
        int (*run)(App *app); /* returns the exit status */
        bool hidden;
} Verb;

extern const Verb verbs[];
extern const size_t n_verbs;

int app_main(int argc, char **argv);
void app_done(App *app);
/* Opens the state directory once; a failure is printed, false returned. */
bool app_state(App *app, Err *err);
/* Prints an error (as text, or as JSON on standard output with --json) and returns its exit status. */
int app_fail(App *app, Err *err);
/* The same, with the reasons why not (an error that says no has at least itself as one). */
int app_refuse(App *app, Err *err, const ReasonList *reasons);
/* {"code", "message", "hint", "exit"}; new reference. */
json_t *app_error_json(const Err *err);
/* Wrong usage: prints and returns 2. */
int app_usage(App *app, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Asks a question on the terminal; true for yes. With --yes: true. Without a terminal: ERR_USAGE (2). */
bool app_ask(App *app, const char *question, bool *ret_yes, Err *err);
/* With --json prints the object (takes it) on standard output; else frees it. */
void app_print_json(App *app, json_t *owned);
/* Flushes standard output; a failed write (full disk, closed pipe) makes the exit status 1. */
int app_finish_output(int status);

/* -- which service is meant (find.c) -- */
/* By operand `name` (may be NULL), -f, the registry, or the belay.yaml here or above. */
bool find_manifest(App *app, const char *name, char **ret_path, Err *err);
bool find_service(App *app, const char *name, Service **ret, Err *err);
/* Its name only, also when the manifest is gone but runs or state of it exist. */
bool find_name(App *app, const char *name, char **ret_name, Err *err);
/* The text of a run number: "44" or "#44". */
bool parse_run(const char *text, unsigned *ret, Err *err);

#endif
