/* The looks: each asks one thing of the machine and adds what it saw. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "client/sqlite.h"
#include "model/envfile.h"
#include "platform/file.h"
#include "update/diagnose.h"
#include "update/log_tail.h"
#include "update/runs.h"

enum { LOG_LINES = 60, DISK_LOW_BYTES = 16 << 20, INODES_LOW = 64 };

typedef struct Facts {
        World *world;
        const Err *looked; /* why the checkout could not be looked at, or empty */
        RuntimeStatus status;
        RuntimeDescription described;
        ChecksOutcome checks;
        bool healthy; /* runs, and its checks pass */
        DiagnosisList *found;
} Facts;

static const char *name_of(const Facts *facts) { return facts->world->service->name; }

/* -- the process -- */

static void look_at_port(const Facts *facts) {
        const RuntimeDescription *d = &facts->described;
        if (!d->port_taken_by)
                return;
        diagnosis_add(facts->found, "port-taken", true, NULL,
                str_format("port %u is held by %s", d->port, d->port_taken_by),
                str_format("Stop that program, or give %s another port in its manifest.",
                        name_of(facts)));
}

static bool listens_on(const RuntimeStatus *status, unsigned port) {
        for (size_t i = 0; i < status->n_ports; i++)
                if (status->ports[i] == port)
                        return true;
        return false;
}

static void look_at_wrong_port(const Facts *facts) {
        const unsigned port = facts->described.port;
        const RuntimeStatus *status = &facts->status;
        if (!status->running || port == 0 || facts->healthy || status->n_ports == 0 ||
                listens_on(status, port))
                return;
        diagnosis_add(facts->found, "wrong-port", true, NULL,
                str_format(
                        "it listens on port %u, and is asked on port %u", status->ports[0], port),
                str_format("Make its settings and runtime.process.port in the manifest of %s the "
                           "same.",
                        name_of(facts)));
}

static void look_at_end(const Facts *facts) {
        const RuntimeStatus *s = &facts->status;
        const char *name = name_of(facts);
        if (s->running && s->oom_kills == 0)
                return;
        if (s->oom_kills > 0)
                diagnosis_add(facts->found, "out-of-memory", true, NULL,
                        str_format("the kernel has killed %u of its processes for lack of memory",
                                s->oom_kills),
                        str_format("Give %s a higher limit, or find out what takes it.", name));
        if (s->running)
                return;
        scoped(free_str) char *how =
                !s->last_exit_known   ? str_copy("it does not run")
                : s->last_exit >= 128 ? str_format("it was ended by signal %d", s->last_exit - 128)
                                      : str_format("it exited with status %d", s->last_exit);
        if (!s->wanted_running)
                diagnosis_add(facts->found, "stopped", true, NULL,
                        str_copy("it is stopped, and nobody asked for it to run"),
                        str_format("`belay start %s` starts it.", name));
        else
                diagnosis_add(facts->found, "not-running", true, s->last_error, TAKE(how),
                        str_format("`belay logs %s` shows its last words; `belay start %s` starts "
                                   "it again.",
                                name, name));
}

static void look_at_keeper(const Facts *facts) {
        if (!facts->status.running || facts->status.keeper_present)
                return;
        diagnosis_add(facts->found, "keeper-missing", true, NULL,
                str_copy("nobody watches it: its keeper is gone"),
                str_format("`belay start %s` gives it one; the service is not restarted.",
                        name_of(facts)));
}

/* -- disks -- */

static void look_at_disk(const Facts *facts, const char *path, const char *what) {
        struct statvfs fs;
        if (!path || statvfs(path, &fs) < 0 || fs.f_blocks == 0)
                return;
        const uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
        const bool no_names = fs.f_files > 0 && fs.f_favail < INODES_LOW;
        if (left >= DISK_LOW_BYTES && !no_names)
                return;
        scoped(free_str) char *room = bytes_text(left);
        diagnosis_add(facts->found, "disk-full", true, NULL,
                no_names && left >= DISK_LOW_BYTES
                        ? str_format(
                                  "the file system of %s, '%s', can hold no more files", what, path)
                        : str_format("the disk of %s, '%s', has only %s left", what, path, room),
                str_format("Make room; `belay backup prune %s` removes backups that are not to be "
                           "kept.",
                        name_of(facts)));
}

static void look_at_disks(const Facts *facts) {
        const World *world = facts->world;
        look_at_disk(facts, world->service->directory, "the service");
        look_at_disk(facts, world->state->root, "Belay's state");
        look_at_disk(facts, world_store(world), "the backups");
        for (size_t i = 0; i < world->service->backup.n_contents; i++) {
                scoped(free_str) char *dir = path_dirname(world->service->backup.contents[i].path);
                look_at_disk(facts, dir, "the data");
        }
}

/* -- databases -- */

static void add_database(const Facts *facts, const char *path, const Err *why) {
        const bool damaged = why->code == ERR_CORRUPT, in_use = why->code == ERR_IN_USE;
        const char *code = damaged  ? "database-damaged"
                           : in_use ? "database-locked"
                                    : "database-refused";
        diagnosis_add(facts->found, code, true, why->message,
                damaged  ? str_format("the database '%s' is damaged", path)
                : in_use ? str_format("another program holds the database '%s' locked", path)
                         : str_format("the database '%s' cannot be opened", path),
                damaged ? str_format("`belay backup restore %s` puts the newest backup in its "
                                     "place and keeps what is there.",
                                  name_of(facts))
                        : str_format(
                                  "`fuser '%s'` names who has it open; `ls -l` its owner.", path));
}

static void look_at_database(const Facts *facts, const char *path) {
        scoped(err_clear) Err err = {0};
        scoped(database_close) sqlite3 *db = NULL;
        struct stat st;
        bool there = false;
        if (!file_stat(path, &st, &there, NULL) || !there)
                return;
        if (!database_open(path, DATABASE_READ_WRITE, &db, &err) || !database_check(db, &err)) {
                add_database(facts, path, &err);
                return;
        }
        if (facts->described.uid != 0 && st.st_uid != facts->described.uid &&
                (st.st_mode & S_IWOTH) == 0 &&
                !(st.st_gid == facts->described.gid && st.st_mode & S_IWGRP))
                diagnosis_add(facts->found, "database-readonly", true, NULL,
                        str_format("%s, the service's user, may not write to '%s'",
                                facts->described.user, path),
                        str_format(
                                "Make it the owner: chown %s '%s'", facts->described.user, path));
}

static void look_at_databases(const Facts *facts) {
        const BackupSpec *backup = &facts->world->service->backup;
        for (size_t i = 0; i < backup->n_contents; i++)
                if (backup->contents[i].kind == CONTENT_SQLITE)
                        look_at_database(facts, backup->contents[i].path);
}

/* -- the checkout -- */

static void look_at_source(const Facts *facts) {
        const World *world = facts->world;
        if (facts->looked && facts->looked->message) {
                diagnosis_add(facts->found, "checkout", true, NULL,
                        str_copy(facts->looked->message),
                        str_copy(facts->looked->hint ? facts->looked->hint
                                                     : "Look at the checkout with git status."));
                return;
        }
        SourceFindings findings = {0};
        if (world->source->preflight(&world->source_at, NULL, &findings, NULL))
                for (size_t i = 0; i < findings.n; i++) {
                        const SourceFinding *one = &findings.items[i];
                        if (one->level != FINDING_NOTE)
                                diagnosis_add(facts->found, one->code, true, NULL,
                                        str_copy(one->message),
                                        str_copy(one->hint ? one->hint : "See `git status`."));
                }
        source_findings_done(&findings);
}

/* -- settings: a secret that is not what it was when the last backup was taken -- */

static bool secret_differs(const char *name, const EnvFile *now, const EnvFile *then) {
        const EnvEntry *a = envfile_find(now, name), *b = envfile_find(then, name);
        return b && (!a || !str_equal(a->value, b->value));
}

static void add_changed_secrets(const Facts *facts, const EnvFile *now, const EnvFile *then) {
        Strv names = NULL;
        const ConfigSpec *spec = &facts->world->service->configuration;
        for (size_t i = 0; i < then->n; i++) {
                const char *name = then->entries[i].name;
                if (setting_is_secret(spec, name) && !strv_contains(names, name) &&
                        secret_differs(name, now, then))
                        strv_add(&names, name);
        }
        if (names) {
                scoped(free_str) char *list = strv_join(names, ", ");
                diagnosis_add(facts->found, "secret-changed", true, NULL,
                        str_format("%s in '%s' is not what it was at the last backup: users may be "
                                   "logged out, and what was encrypted with it cannot be read",
                                list, spec->env_file),
                        str_format("If that was not meant: `belay backup show %s` says where the "
                                   "old file is kept.",
                                name_of(facts)));
        }
        strv_free(names);
}

static void wipe_text(char **text) {
        if (*text)
                explicit_bzero(*text, strlen(*text));
        free(*text);
}

static void look_at_secrets(const Facts *facts) {
        const World *world = facts->world;
        const char *path = world->service->configuration.env_file;
        scoped(backup_info_done) BackupInfo newest = {0};
        scoped(wipe_text) char *now_text = NULL, *then_text = NULL;
        scoped(envfile_done) EnvFile now = {0}, then = {0};
        size_t bytes = 0;
        if (path && backup_find(world_store(world), world->service->name, NULL, &newest, NULL) &&
                file_read_if(path, LIMIT_ENV_FILE, &now_text, &bytes, NULL) && now_text &&
                backup_config_text(newest.dir, ".env", &then_text, NULL) && then_text &&
                envfile_parse(now_text, &now, NULL) && envfile_parse(then_text, &then, NULL))
                add_changed_secrets(facts, &now, &then);
}

/* -- what is under way -- */

static void look_at_run(const Facts *facts) {
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (!run_newest(facts->world->state, name_of(facts), &newest, &found, NULL) || !found)
                return;
        if (newest.damaged)
                diagnosis_add(facts->found, "run-damaged", true, newest.why,
                        str_format("the journal of run #%u cannot be trusted", newest.number),
                        str_format("`belay show %u` shows what can be read of it.", newest.number));
        else if (newest.state.waiting)
                diagnosis_add(facts->found, "run-waits", true, js_str(newest.state.wait, "why"),
                        str_format("run #%u waits for a person", newest.number),
                        str_format("`belay accept %u` keeps the new version, `belay cancel %u` "
                                   "rolls it back.",
                                newest.number, newest.number));
        else if (newest.state.end == RUN_OPEN && !run_owner_alive(&newest))
                diagnosis_add(facts->found, "run-open", true, NULL,
                        str_format("run #%u was interrupted", newest.number),
                        str_format("`belay resume %u` finishes it, `belay cancel %u` rolls it "
                                   "back.",
                                newest.number, newest.number));
        else if (newest.state.end == RUN_NEEDS_PERSON)
                diagnosis_add(facts->found, "needs-person", true, NULL,
                        str_format("run #%u needs a person", newest.number),
                        str_format("`belay report %u` says what is where.", newest.number));
}

/* -- words, only when something is wrong: what a log said once is no news of a service that is well -- */

static void read_words(const Facts *facts) {
        const ChecksOutcome *checks = &facts->checks;
        if (facts->healthy)
                return;
        if (facts->status.wanted_running || facts->status.last_exit_known) {
                scoped(free_str) char *log = log_tail(facts->status.log_path, LOG_LINES);
                diagnosis_read(facts->found, name_of(facts), log, "its log says");
        }
        for (size_t i = 0; i < checks->n_results; i++)
                if (checks->results[i].verdict != VERDICT_PASS)
                        diagnosis_read(facts->found, name_of(facts), checks->results[i].reason,
                                "a check says");
        const char *error = facts->status.last_error;
        diagnosis_read(facts->found, name_of(facts), error, "its keeper says");
}

/* Whatever fails without a known sign is said as it is. */
static void add_failing_checks(const Facts *facts) {
        if (facts->healthy || !facts->status.running || !facts->checks.reason ||
                facts->found->n > 0)
                return;
        diagnosis_add(facts->found, "check-fails", true, facts->checks.reason,
                str_copy("a check fails, and nothing known explains it"),
                str_format("Look at `belay logs %s`.", name_of(facts)));
}

static void ask_health(Facts *facts) {
        scoped(err_clear) Err away = {0};
        if (facts->status.running)
                facts->healthy = world_ask_checks(facts->world,
                        &(Ask){.release = &facts->world->from, .now = true}, &facts->checks, &away);
}

bool diagnose_service(World *world, const Err *looked, DiagnosisList *ret, Err *err) {
        static void (*const looks[])(const Facts *) = {
                look_at_run,
                look_at_port,
                look_at_wrong_port,
                look_at_end,
                look_at_keeper,
                look_at_disks,
                look_at_databases,
                look_at_source,
                look_at_secrets,
                read_words,
                add_failing_checks,
        };
        const RuntimeContext whole = world_runtime_whole(world);
        Facts facts = {.world = world, .looked = looked, .found = ret};
        if (!world->runtime->inspect(&whole, &facts.status, err))
                return false;
        scoped(err_clear) Err cannot = {0};
        if (world->runtime->describe(&whole, &facts.described, &cannot))
                ask_health(&facts);
        else
                diagnosis_add(ret, "runtime", true, NULL, str_copy(cannot.message),
                        str_copy(cannot.hint ? cannot.hint : "Mend that in its manifest."));
        for (size_t i = 0; i < COUNT_OF(looks); i++)
                looks[i](&facts);
        runtime_status_done(&facts.status);
        runtime_description_done(&facts.described);
        checks_outcome_done(&facts.checks);
        return true;
}
