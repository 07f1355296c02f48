#include "update/preflight.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "base/version.h"
#include "config/config.h"
#include "model/environment.h"
#include "update/backups.h"
#include "update/known.h"
#include "update/settings.h"

static void refuse(Preflight *preflight, char *owned_reason, char *owned_hint) {
        strv_push(&preflight->refusals, owned_reason);
        strv_push(&preflight->hints, owned_hint ? owned_hint : str_copy(""));
}

/* -- the target: bad, older, breaking -- */

static bool look_at_target(World *world, Preflight *preflight, Err *err) {
        const char *name = world->service->name, *from = world->from.version,
                   *to = world->to.version;
        const Options *options = &world->options;
        scoped(free_str) char *why = NULL;
        preflight->points += 3;
        if (!bad_find(world->state, name, world->to.reference, &why, err))
                return false;
        if (why && !options->even_if_bad)
                refuse(preflight,
                        str_format(
                                "%s (%.7s) is remembered as bad: %s", to, world->to.reference, why),
                        str_format("`belay update %s %s --even-if-bad` tries it again.", name, to));
        bool ordered = false;
        int order = from ? version_text_compare(to, from, &ordered) : 0;
        if (ordered && order < 0 && !options->allow_downgrade)
                refuse(preflight, str_format("%s is older than %s, which is installed", to, from),
                        str_format("The data may be too new for it. `belay rollback %s` goes back "
                                   "with the data; "
                                   "--allow-downgrade goes there with the data as it is.",
                                name));
        if (from && order > 0 && version_is_breaking(from, to) && !options->accept_breaking)
                refuse(preflight,
                        str_format("%s to %s may break what uses it (a %s step)", from, to,
                                version_step(from, to)),
                        str_copy("Read its notes, then add --accept-breaking."));
        return true;
}

/* -- the service: does it run, and well? -- */

static char *first_reason(const ChecksOutcome *health) {
        return str_copy(health->reason ? health->reason : "its checks do not pass");
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
        if (why && world->options.accept_unhealthy)
                strv_push(&preflight->warnings,
                        str_format("%s is not healthy now: %s", world->service->name, why));
        else if (why)
                refuse(preflight,
                        str_format("%s is not healthy now: %s", world->service->name, why),
                        str_format("`belay start %s` or `belay logs %s` first; --accept-unhealthy "
                                   "updates it all the same.",
                                world->service->name, world->service->name));
        if (preflight->status.restarts)
                strv_push(&preflight->warnings,
                        str_format("its keeper has restarted it %u times since it was started",
                                preflight->status.restarts));
        if (preflight->status.running && !preflight->status.keeper_present)
                strv_push(&preflight->warnings,
                        str_format("its keeper is gone; the run brings a new one"));
        return true;
}

static bool look_at_runtime(World *world, Preflight *preflight, Err *err) {
        preflight->points += 2;
        if (!looking_open(world, &world->to, &preflight->looking, err)) {
                if (err->code != ERR_REFUSED)
                        return false;
                refuse(preflight, str_copy(err->message), str_copy(err->hint));
                err_clear(err);
                return true;
        }
        scoped(runtime_description_done) RuntimeDescription is = {0};
        const RuntimeContext whole = world_runtime_whole(world);
        if (!world->runtime->describe(&whole, &is, err))
                return false;
        for (size_t i = 0; is.warnings && is.warnings[i]; i++)
                strv_add(&preflight->warnings, is.warnings[i]);
        if (is.port_taken_by)
                refuse(preflight, str_format("port %u is held by %s", is.port, is.port_taken_by),
                        str_copy("Stop that program, or give the service another port."));
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
                        refuse(preflight, str_copy(finding->message), str_copy(finding->hint));
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
        for (size_t i = 0; plan->refusals && plan->refusals[i]; i++)
                refuse(preflight, str_copy(plan->refusals[i]), NULL);
        for (size_t i = 0; plan->warnings && plan->warnings[i]; i++)
                strv_add(&preflight->warnings, plan->warnings[i]);
        if (plan->store_needs <= plan->store_free)
                return true;
        scoped(free_str) char *needs = bytes_text(plan->store_needs);
        scoped(free_str) char *has = bytes_text(plan->store_free);
        refuse(preflight,
                str_format(
                        "the backup needs %s in '%s', which has %s free", needs, plan->store, has),
                str_format("`belay backup prune %s` removes old ones; or name another store.",
                        world->service->name));
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
                        refuse(preflight,
                                str_format("the check '%s' needs '%s', which is in no env file",
                                        world->service->checks[i].title, value->text),
                                str_copy("A rollback after a power cut has no other environment: "
                                         "put it into the env "
                                         "file, or use file:PATH."));
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
        if (config_explain(&settings.change, &text, err))
                return true;
        if (err->code != ERR_REFUSED && err->code != ERR_USAGE)
                return false;
        refuse(preflight, str_copy(err->message), str_copy(err->hint));
        err_clear(err);
        return true;
}

/* -- migrations -- */

static bool read_target(
        void *context, const char *path, char **ret_bytes, size_t *ret_n, Err *err) {
        const World *world = context;
        return world->source->tree_file(&world->source_at, &world->to, path, ret_bytes, ret_n, err);
}

static bool look_at_migrations(World *world, Preflight *preflight, Err *err) {
        preflight->points += 2;
        if (!world->service->n_migrations)
                return true;
        scoped(strv_freep) Strv paths = NULL;
        if (!world->source->tree(&world->source_at, &world->to, &paths, err))
                return false;
        const MigrateContext context = looking_migrate(world, &preflight->looking);
        const MigrateTree target = {.paths = paths, .read = read_target, .context = world};
        if (!migrate_list(&context, &target, &preflight->migrations, err))
                return false;
        for (size_t i = 0; preflight->migrations.warnings && preflight->migrations.warnings[i]; i++)
                strv_add(&preflight->warnings, preflight->migrations.warnings[i]);
        if (!world->options.no_migrations && !migrate_refuse_changed(&preflight->migrations, err)) {
                refuse(preflight, str_copy(err->message), str_copy(err->hint));
                err_clear(err);
        }
        size_t pending = 0;
        for (size_t i = 0; i < preflight->migrations.n; i++)
                pending += migration_pending(&preflight->migrations.items[i]);
        if (pending && world->options.no_backup && !world->options.no_migrations)
                refuse(preflight,
                        str_format("%zu migrations are pending, and without a backup they cannot "
                                   "be undone",
                                pending),
                        str_copy("Leave --no-backup out, or add --no-migrations."));
        return true;
}

bool preflight_look(World *world, bool ask_checks, Preflight *ret, Err *err) {
        return look_at_target(world, ret, err) && look_at_runtime(world, ret, err) &&
               look_at_health(world, ask_checks, ret, err) && look_at_source(world, ret, err) &&
               look_at_configuration(world, ret, err) && look_at_backup(world, ret, err) &&
               look_at_migrations(world, ret, err) && (look_at_secrets(world, ret), true);
}

bool preflight_ok(const Preflight *preflight, const char *title, Err *err) {
        if (!preflight->refusals)
                return true;
        scoped(str_done) Str more = {0};
        for (size_t i = 1; preflight->refusals[i]; i++) {
                str_addf(&more, "%s%s", i == 1 ? "Also: " : "      ", preflight->refusals[i]);
                str_addf(&more, preflight->hints[i][0] ? ". %s\n" : "\n", preflight->hints[i]);
        }
        err_fail(err, ERR_REFUSED, "%s: %s", title, preflight->refusals[0]);
        const char *hint = preflight->hints[0];
        if (hint[0] || more.len)
                err_hint(err, "%s%s%s", hint, hint[0] && more.len ? "\n" : "",
                        more.text ? more.text : "");
        return false;
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
        strv_free(preflight->refusals);
        strv_free(preflight->hints);
        strv_free(preflight->warnings);
        strv_free(preflight->passed);
        migration_list_done(&preflight->migrations);
        looking_done(&preflight->looking);
        runtime_status_done(&preflight->status);
        checks_outcome_done(&preflight->health);
        *preflight = (Preflight){0};
}
