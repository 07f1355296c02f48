/* The verb table: what belay can do. */
#include "cli/verbs.h"

#include "base/own.h"

#define OPTS(...) ((const Opt[]){__VA_ARGS__, OPT_COUNT})

static const Opt update_options[] = {
        OPT_PLAN,
        OPT_NO_BACKUP,
        OPT_NO_MIGRATIONS,
        OPT_ACCEPT_BREAKING,
        OPT_ACCEPT_UNHEALTHY,
        OPT_ALLOW_DOWNGRADE,
        OPT_EVEN_IF_BAD,
        OPT_REINSTALL,
        OPT_FORCE,
        OPT_NO_WAIT,
        OPT_DETACH,
        OPT_WAIT_LOCK,
        OPT_DRY_RUN,
        OPT_FIX,
        OPT_EXIT_CODE,
        OPT_COUNT,
};

static const Opt plan_options[] = {
        OPT_EXPLAIN,
        OPT_EXIT_CODE,
        OPT_NO_BACKUP,
        OPT_NO_MIGRATIONS,
        OPT_ACCEPT_BREAKING,
        OPT_ACCEPT_UNHEALTHY,
        OPT_ALLOW_DOWNGRADE,
        OPT_EVEN_IF_BAD,
        OPT_REINSTALL,
        OPT_FORCE,
        OPT_FIX,
        OPT_COUNT,
};

static const Opt rollback_options[] = {
        OPT_REVERT,
        OPT_RESTORE,
        OPT_TO,
        OPT_RUN,
        OPT_NO_WAIT,
        OPT_DETACH,
        OPT_WAIT_LOCK,
        OPT_DRY_RUN,
        OPT_COUNT,
};

static const Opt restore_options[] = {
        OPT_ONLY,
        OPT_TO,
        OPT_DRY_RUN,
        OPT_STORE,
        OPT_ALLOW_DOWNGRADE,
        OPT_DETACH,
        OPT_COUNT,
};

#define S "SERVICE"

const Verb verbs[] = {
        {"init", "[DIR]", "look at what runs here, write belay.yaml", 0, 1, NULL, verb_init, false},
        {"validate", "[FILE]", "is a manifest valid?", 0, 1, NULL, verb_validate, false},
        {"add", "[FILE]", "make the service of a manifest known by its name", 0, 1, NULL, verb_add,
                false},
        {"remove", S, "forget a service; nothing of it is touched", 1, 1, NULL, verb_remove, false},
        {"list", "", "the services that are known", 0, 0, NULL, verb_list, false},
        {"start", "[SERVICE]", "start the installed version", 0, 1, NULL, verb_start, false},
        {"stop", "[SERVICE]", "stop it", 0, 1, NULL, verb_stop, false},
        {"restart", "[SERVICE]", "stop and start it", 0, 1, NULL, verb_restart, false},
        {"status", "[SERVICE]", "what runs, how it is, the last run, the last backup", 0, 1, NULL,
                verb_status, false},
        {"verify", "[SERVICE]", "run its checks now", 0, 1, NULL, verb_verify, false},
        {"check", "[SERVICE]", "is there a newer version?", 0, 1, OPTS(OPT_ALL, OPT_EXIT_CODE),
                verb_check, false},
        {"notes", "[SERVICE [VERSION]]", "the notes of a release, or of all that are newer", 0, 2,
                OPTS(OPT_ALL), verb_notes, false},
        {"plan", "[SERVICE [VERSION]]", "what an update would do; changes nothing", 0, 2,
                plan_options, verb_plan, false},
        {"update", "[SERVICE [VERSION]]", "do it", 0, 2, update_options, verb_update, false},
        {"rollback", "[SERVICE]", "back to the version before, with its data where needed", 0, 1,
                rollback_options, verb_rollback, false},
        {"resume", "[RUN]", "finish an interrupted run, or follow one that goes on", 0, 1,
                OPTS(OPT_ALL, OPT_DETACH), verb_resume, false},
        {"cancel", "[RUN]", "undo an open run", 0, 1, OPTS(OPT_DETACH), verb_cancel, false},
        {"accept", "[RUN]", "keep the new version of a run that watches or waits", 0, 1,
                OPTS(OPT_DETACH), verb_accept, false},
        {"runs", "[SERVICE]", "what was done", 0, 1, OPTS(OPT_ALL), verb_runs, false},
        {"show", "RUN", "the journal of a run", 1, 1, NULL, verb_show, false},
        {"report", "[RUN|SERVICE]", "the report of a run; with --since: statistics", 0, 1,
                OPTS(OPT_FORMAT, OPT_SINCE), verb_report, false},
        {"note", "RUN TEXT", "add a note to a run's report", 2, 1000, NULL, verb_note, false},
        {"logs", "[SERVICE]", "the service's log; with --run a run's output", 0, 1,
                OPTS(OPT_FOLLOW, OPT_LINES, OPT_RUN), verb_logs, false},
        {"backup create", "[SERVICE]", "back it up now, proven", 0, 1, OPTS(OPT_STORE),
                verb_backup_create, false},
        {"backup list", "[SERVICE]", "its backups, newest first", 0, 1, OPTS(OPT_STORE),
                verb_backup_list, false},
        {"backup show", "SERVICE [BACKUP]", "what is in a backup", 1, 2, OPTS(OPT_STORE),
                verb_backup_show, false},
        {"backup verify", "SERVICE [BACKUP]", "read a backup again and prove it", 1, 2,
                OPTS(OPT_LEVEL, OPT_STORE), verb_backup_verify, false},
        {"backup restore", "SERVICE [BACKUP]",
                "put the data of a backup in place, or beside with --to", 1, 2, restore_options,
                verb_backup_restore, false},
        {"backup prune", "[SERVICE]", "remove backups that the manifest does not keep", 0, 1,
                OPTS(OPT_DRY_RUN, OPT_STORE), verb_backup_prune, false},
        {"migrate status", "[SERVICE]", "its migrations and which were done", 0, 1, NULL,
                verb_migrate_status, false},
        {"migrate run", "[SERVICE]", "run what is pending, after a backup", 0, 1, NULL,
                verb_migrate_run, false},
        {"lock", "[SERVICE]", "let nobody update it: -m REASON", 0, 1, OPTS(OPT_MESSAGE, OPT_UNTIL),
                verb_lock, false},
        {"unlock", "[SERVICE]", "lift that", 0, 1, NULL, verb_unlock, false},
        {"version", "", "the version of belay", 0, 0, NULL, verb_version, false},
        {"help", "[COMMAND]", "this", 0, 2, NULL, verb_help, false},
        {"runner", "", "executes one run", 0, 0, NULL, verb_runner, true},
        {"keeper", "", "keeps one service", 0, 0, OPTS(OPT_SERVICE), verb_keeper, true},
};

const size_t n_verbs = COUNT_OF(verbs);
