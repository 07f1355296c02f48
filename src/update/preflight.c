#include "update/preflight.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "base/version.h"
#include "config/config.h"
#include "model/environment.h"
#include "platform/file.h"
#include "update/around.h"
#include "update/backups.h"
#include "update/choose.h"
#include "update/known.h"
#include "update/release_needs.h"
#include "update/runs.h"
#include "update/settings.h"
#include "update/times.h"

/* What a lower room says no to, under a code of its own unless it named one. False: another failure. */
static bool take_refusal(Preflight *preflight, ReasonCode code, Err *err) {
        if (err->code != ERR_REFUSED && err->code != ERR_USAGE)
                return false;
        if (err->reason)
                code = reason_find(err->reason);
        reason_add(&preflight->reasons, code, 0, err->hint, "%s", err->message);
        err_clear(err);
        return true;
}

/* -- the target: bad, older, breaking -- */

static void look_at_breaking(
        const World *world, const char *from, const char *to, ReasonList *reasons) {
        const ReleaseData *data = &world->releases.data;
        const char *which = NULL;
        if (!release_data_breaking(data, from, to, &which))
                return;
        const ReleaseInfo *info = release_data_find(data, which);
        scoped(free_str) char *hint =
                str_format("Read its notes%s%s%s, then add --accept-breaking.",
                        data->n ? " (`belay notes " : "", data->n ? world->service->name : "",
                        data->n ? "`)" : "");
        if (info && info->breaking == SAID_YES)
                reason_add(reasons, REASON_BREAKING, 0, hint,
                        "%s to %s may break what uses it: the notes of %s say so", from, to, which);
        else
                reason_add(reasons, REASON_BREAKING, 0, hint,
                        "%s to %s may break what uses it (a %s step)", from, to,
                        version_step(from, to));
}

static void look_at_age(const World *world, const Release *release, ReasonList *reasons) {
        int64_t lifts_at = choose_lifts_at(world, release);
        if (!lifts_at)
                return;
        scoped(free_str) char *age = choose_age_text(world, release);
        reason_add(reasons, REASON_COOLDOWN, lifts_at,
                "Security releases do not wait; the manifest's `cooldown` says how long others do.",
                "%s is too young: %s", release->version, age);
}

/* From one version on the way to the next. */
static bool look_at_leg(const World *world, const Release *before, const Release *next,
        ReasonList *reasons, Err *err) {
        const char *name = world->service->name, *from = before->version, *to = next->version;
        scoped(free_str) char *why = NULL, *hint = NULL;
        if (!bad_find(world->state, name, next->reference, &why, err))
                return false;
        hint = str_format("`belay update %s %s --even-if-bad` tries it again.", name, to);
        if (why)
                reason_add(reasons, REASON_BAD_VERSION, 0, hint,
                        "%s (%.7s) is remembered as bad: %s", to, next->reference, why);
        bool ordered = false;
        int order = from ? version_text_compare(to, from, &ordered) : 0;
        str_replace_owned(&hint,
                str_format("The data may be too new for it. `belay rollback %s` goes back with the "
                           "data; --allow-downgrade goes there with the data as it is.",
                        name));
        if (ordered && order < 0)
                reason_add(reasons, REASON_DOWNGRADE, 0, hint,
                        "%s is older than %s, which is installed", to, from);
        if (from && order > 0)
                look_at_breaking(world, from, to, reasons);
        if (!ordered || order > 0)
                look_at_age(world, next, reasons);
        return true;
}

/* What the last leg would be refused for is known before the first begins. */
static bool look_at_target(const World *world, ReasonList *reasons, Err *err) {
        const Release *before = &world->to;
        if (!look_at_leg(world, &world->from, &world->to, reasons, err))
                return false;
        for (size_t i = 1; i < world->n_way; before = &world->way[i++])
                if (!look_at_leg(world, before, &world->way[i], reasons, err))
                        return false;
        return true;
}

static bool look_at_person_lock(const World *world, ReasonList *reasons, Err *err) {
        const char *name = world->service->name;
        scoped(person_lock_done) PersonLock lock = {0};
        bool held = false;
        if (!person_lock_get(world->state, name, &lock, &held, err))
                return false;
        if (!held)
                return true;
        scoped(free_str) char *since = time_text(lock.since_ms);
        scoped(free_str) char *hint = str_format("`belay unlock %s` lifts it.", name);
        reason_add(reasons, REASON_LOCKED, lock.until_ms, hint, "%s is locked by %s since %s: %s",
                name, lock.user ? lock.user : "a person", since, lock.reason);
        return true;
}

bool preflight_obstacles(const World *world, ReasonList *reasons, Err *err) {
        return run_obstacle(world->state, world->service->name, world->run, reasons, err) &&
               look_at_person_lock(world, reasons, err);
}

bool preflight_known(const World *world, ReasonList *reasons, Err *err) {
        if (!look_at_target(world, reasons, err))
                return false;
        if (world->options.no_schedule)
                return true;
        times_obstacle(world, reasons);
        return staging_obstacle(world, reasons, err);
}

/* -- the service: does it run, and well? -- */

static char *first_reason(const ChecksOutcome *health) {
        return str_copy(health->reason ? health->reason : "its checks do not pass");
}

void reason_add_unhealthy(ReasonList *reasons, const char *service, const char *why) {
        scoped(free_str) char *hint = str_format(
                "`belay start %s` or `belay logs %s` first; --accept-unhealthy updates it all the "
                "same.",
                service, service);
        reason_add(reasons, REASON_UNHEALTHY, 0, hint, "%s is not healthy now: %s", service, why);
}

static bool look_at_health(World *world, bool ask_checks, Preflight *preflight, Err *err) {
        preflight->points += 3;
        if (!world->runtime->inspect(&world->runtime_at, &preflight->status, err))
                return false;
        scoped(err_clear) Err bad = {0};
        scoped(free_str) char *why = NULL;
        if (!preflight->status.running)
                why = str_copy("it does not run");
        else if (!ask_checks)
                return true;
        else if (!world_ask_checks(world, &(Ask){.release = &world->from, .now = true},
                         &preflight->health, &bad))
                why = first_reason(&preflight->health);
        for (size_t i = 0; i < preflight->health.n_results; i++)
                if (preflight->health.results[i].verdict == VERDICT_PASS)
                        strv_add(&preflight->passed, preflight->health.results[i].title);
        preflight->healthy = why == NULL;
        if (bad.code == ERR_CANCELLED) {
                err_move(err, &bad);
                return false;
        }
        if (why)
                reason_add_unhealthy(&preflight->reasons, world->service->name, why);
        if (preflight->status.restarts)
                strv_push(&preflight->warnings,
                        str_format("its keeper has restarted it %u times since it was started",
                                preflight->status.restarts));
        if (preflight->status.running && !preflight->status.keeper_present)
                strv_push(&preflight->warnings,
                        str_format("its keeper is gone; the run brings a new one"));
        return true;
}

/* The run itself waits until it is not, right before it would stop it. */
static bool look_at_busy(World *world, Preflight *preflight, Err *err) {
        const BusySpec *busy = &world->service->busy;
        scoped(free_str) char *why = NULL;
        preflight->points++;
        if (!preflight->looking
                        .log_path) /* it could not be looked at: there is a reason for that */
                return true;
        if (!busy_ask(world, &preflight->looking, &why, err))
                return false;
        scoped(free_str) char *every = duration_text(busy->every_ms);
        scoped(free_str) char *how_long = duration_text(busy->for_ms);
        scoped(free_str) char *hint = str_format(
                "The update asks again every %s for %s, and ends with exit 75 if it still is.",
                every, how_long);
        if (why)
                reason_add(&preflight->reasons, REASON_BUSY, 0, hint, "%s is busy: %s",
                        world->service->name, why);
        return true;
}

static bool look_at_runtime(World *world, Preflight *preflight, Err *err) {
        preflight->points += 2;
        if (!looking_open(world, &world->to, &preflight->looking, err))
                return take_refusal(preflight, REASON_RUNTIME, err);
        scoped(runtime_description_done) RuntimeDescription is = {0};
        const RuntimeContext whole = world_runtime_whole(world);
        if (!world->runtime->describe(&whole, &is, err))
                return false;
        for (size_t i = 0; is.warnings && is.warnings[i]; i++)
                strv_add(&preflight->warnings, is.warnings[i]);
        if (is.port_taken_by)
                reason_add(&preflight->reasons, REASON_PORT_TAKEN, 0,
                        "Stop that program, or give the service another port.",
                        "port %u is held by %s", is.port, is.port_taken_by);
        return true;
}

/* -- the source: what would be overwritten -- */

static bool look_at_source(World *world, Preflight *preflight, Err *err) {
        SourceFindings findings = {0};
        preflight->points += 3;
        if (!world->source->preflight(&world->source_at, &world->to, &findings, err))
                return false;
        for (size_t i = 0; i < findings.n; i++) {
                const SourceFinding *finding = &findings.items[i];
                if (finding->level == FINDING_REFUSAL)
                        reason_add(&preflight->reasons, reason_find(finding->code), 0,
                                finding->hint, "%s", finding->message);
                else
                        strv_add(&preflight->warnings, finding->message);
        }
        source_findings_done(&findings);
        return true;
}

/* -- the undo: can everything be taken back? -- */

static bool look_at_backup(World *world, Preflight *preflight, Err *err) {
        preflight->points += 4;
        if (world->options.no_backup) {
                strv_push(&preflight->warnings,
                        str_copy("no backup is taken: undo is then revert only"));
                return true;
        }
        if (!backups_plan(world, err))
                return false;
        const BackupPlan *plan = &world->backup_plan;
        char *const *stores = world->service->backup.local_stores;
        for (size_t i = 1; stores[i]; i++) {
                scoped(err_clear) Err why = {0};
                if (!backup_store_ready(stores[i], world->service->name, &why))
                        reason_add(
                                &preflight->reasons, REASON_BACKUP, 0, why.hint, "%s", why.message);
        }
        for (size_t i = 0; plan->refusals && plan->refusals[i]; i++)
                reason_add(&preflight->reasons, REASON_BACKUP, 0, NULL, "%s", plan->refusals[i]);
        for (size_t i = 0; plan->warnings && plan->warnings[i]; i++)
                strv_add(&preflight->warnings, plan->warnings[i]);
        if (plan->store_needs <= plan->store_free)
                return true;
        scoped(free_str) char *needs = bytes_text(plan->store_needs);
        scoped(free_str) char *has = bytes_text(plan->store_free);
        scoped(free_str) char *hint =
                str_format("`belay backup prune %s` removes old ones; or name another store.",
                        world->service->name);
        reason_add(&preflight->reasons, REASON_NO_ROOM, 0, hint,
                "the backup needs %s in '%s', which has %s free", needs, plan->store, has);
        return true;
}

/* What an undo needs must not depend on the caller's environment (spec/manifest.md). */
static void look_at_secrets(World *world, Preflight *preflight) {
        preflight->points++;
        for (size_t i = 0; i < world->service->n_checks; i++)
                for (size_t k = 0; k < world->service->checks[i].n_headers; k++) {
                        const Value *value = &world->service->checks[i].headers[k].value;
                        if (value->from != VALUE_ENV ||
                                environment_get(preflight->looking.env, value->text))
                                continue;
                        reason_add(&preflight->reasons, REASON_SECRET_NEEDED, 0,
                                "A rollback after a power cut has no other environment: put it "
                                "into the env file, or use file:PATH.",
                                "the check '%s' needs '%s', which is in no env file",
                                world->service->checks[i].title, value->text);
                }
}

static bool look_at_configuration(World *world, Preflight *preflight, Err *err) {
        scoped(settings_done) Settings settings = {0};
        scoped(free_str) char *text = NULL;
        preflight->points++;
        if (!config_wanted(&world->service->configuration))
                return true;
        if (!settings_expand(world, &world->to, &settings, err))
                return false;
        return config_explain(&settings.change, &text, err) ||
               take_refusal(preflight, REASON_CONFIGURATION, err);
}

/* -- migrations -- */

static bool read_target(
        void *context, const char *path, char **ret_bytes, size_t *ret_n, Err *err) {
        const World *world = context;
        return world->source->tree_file(&world->source_at, &world->to, path, ret_bytes, ret_n, err);
}

bool preflight_migrations(World *world, const Looking *looking, MigrationList *ret, Err *err) {
        scoped(strv_freep) Strv paths = NULL;
        if (!world->source->tree(&world->source_at, &world->to, &paths, err))
                return false;
        const MigrateContext context = looking_migrate(world, looking);
        const MigrateTree target = {.paths = paths, .read = read_target, .context = world};
        return migrate_list(&context, &target, ret, err);
}

/* Each is a step of the plan, which is one record of the journal. */
static void look_at_pending(World *world, Preflight *preflight) {
        enum { STEP_BYTES = 115, PLAN_BYTES = LIMIT_JOURNAL_RECORD - 12 * 1024 };
        size_t pending = 0, compatible = 0, bytes = 0;
        for (size_t i = 0; i < preflight->migrations.n; i++) {
                const Migration *one = &preflight->migrations.items[i];
                if (!migration_pending(one))
                        continue;
                pending++;
                compatible += one->spec->compatible;
                bytes += strlen(one->id) + strlen(one->title) + STEP_BYTES;
        }
        if (pending && compatible == pending && !world->options.no_migrations)
                release_needs_add_compatible(world, &preflight->warnings);
        if (pending && world->options.no_backup)
                reason_add(&preflight->reasons, REASON_NOT_UNDOABLE, 0,
                        "Leave --no-backup out, or add --no-migrations.",
                        "%zu migrations are pending, and without a backup they cannot be undone",
                        pending);
        if (bytes > PLAN_BYTES && !world->options.no_migrations)
                reason_add(&preflight->reasons, REASON_MIGRATIONS, 0,
                        "Go to a version in between first, or add --no-migrations and run them "
                        "with `belay migrate run`.",
                        "%zu migrations are pending, more than one run can journal", pending);
}

/* A database that a version brings with it comes with its files; with releases it lies in one that is not made yet. */
static bool comes_with_files(const World *world, const char *database) {
        const Service *service = world->service;
        scoped(free_str) char *shared = path_join(service->directory, "shared");
        scoped(strv_freep) Strv paths = NULL;
        if (!path_holds(service->directory, database))
                return false;
        if (service->git.layout == LAYOUT_RELEASES)
                return !path_holds(shared, database);
        const char *inner = database + strlen(service->directory);
        return !world->source->tree(&world->source_at, &world->to, &paths, NULL) ||
               strv_contains(paths, inner + strspn(inner, "/"));
}

/* What is missing is to be found here and not while the service is stopped, where the version would be blamed.
 * What a script or a person comes before, they may make. */
static void look_at_databases(const World *world, Preflight *preflight) {
        for (size_t i = 0; !world->options.no_migrations && i < preflight->migrations.n; i++) {
                const Migration *one = &preflight->migrations.items[i];
                const char *database = one->spec->database;
                if (!migration_pending(one) || one->spec->after_start)
                        continue;
                if (one->spec->kind != MIGRATION_SQL)
                        return;
                if (!database || file_exists(database) || comes_with_files(world, database))
                        continue;
                reason_add(&preflight->reasons, REASON_MIGRATIONS, 0,
                        "Belay makes no database: a wrong path would go unnoticed. Start the "
                        "service once, or make an empty file.",
                        "the database '%s' of the migration '%s' does not exist", database,
                        one->title);
                return;
        }
}

static bool look_at_migrations(World *world, Preflight *preflight, Err *err) {
        preflight->points += 2;
        if (!world->service->n_migrations)
                return true;
        if (!preflight_migrations(world, &preflight->looking, &preflight->migrations, err))
                return take_refusal(preflight, REASON_MIGRATIONS, err);
        for (size_t i = 0; preflight->migrations.warnings && preflight->migrations.warnings[i]; i++)
                strv_add(&preflight->warnings, preflight->migrations.warnings[i]);
        if (!migrate_refuse_changed(&preflight->migrations, err) &&
                !take_refusal(preflight, REASON_MIGRATION_CHANGED, err))
                return false;
        look_at_pending(world, preflight);
        look_at_databases(world, preflight);
        return true;
}

static bool option_given(const void *context, const char *option) {
        return options_given(context, option);
}

static bool look_at_known(World *world, Preflight *preflight, Err *err) {
        preflight->points += 5;
        return preflight_known(world, &preflight->reasons, err);
}

/* First of all: it adds to the service, and what is opened afterwards borrows from that. */
static void look_at_needs(World *world, Preflight *preflight) {
        scoped(looking_done) Looking looking = {0};
        scoped(err_clear) Err unread = {0};
        if (!world->releases.data.n)
                return;
        preflight->points += 2;
        (void)looking_open(world, &world->from, &looking, &unread);
        release_needs_look(world, looking.env, &preflight->reasons, &preflight->warnings);
}

bool preflight_look(World *world, bool ask_checks, Preflight *ret, Err *err) {
        look_at_needs(world, ret);
        if (!look_at_known(world, ret, err) || !look_at_runtime(world, ret, err) ||
                !look_at_busy(world, ret, err) || !look_at_health(world, ask_checks, ret, err) ||
                !look_at_source(world, ret, err) || !look_at_configuration(world, ret, err) ||
                !look_at_backup(world, ret, err) || !look_at_migrations(world, ret, err))
                return false;
        look_at_secrets(world, ret);
        reasons_waive(&ret->reasons, option_given, &world->options, &ret->warnings);
        return true;
}

static json_t *texts(char *const *v) {
        json_t *array = json_array();
        for (; v && *v; v++)
                json_array_append_new(array, json_string(*v));
        return array;
}

json_t *preflight_to_json(const Preflight *preflight) {
        json_t *object = json_object();
        js_set_int(object, "points", preflight->points);
        js_set(object, "passed", texts(preflight->passed));
        js_set(object, "warnings", texts(preflight->warnings));
        return object;
}

void preflight_done(Preflight *preflight) {
        reasons_done(&preflight->reasons);
        strv_free(preflight->warnings);
        strv_free(preflight->passed);
        migration_list_done(&preflight->migrations);
        looking_done(&preflight->looking);
        runtime_status_done(&preflight->status);
        checks_outcome_done(&preflight->health);
        *preflight = (Preflight){0};
}
