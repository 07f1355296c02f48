/* The plans of update, rollback and restore: which steps a service needs, and what to say of each. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "base/version.h"
#include "manifest/manifest.h"
#include "update/around.h"
#include "update/backups.h"
#include "update/choose.h"
#include "update/known.h"
#include "update/path.h"
#include "update/plan.h"
#include "update/preflight.h"
#include "update/runs.h"
#include "update/settings.h"
#include "update/steps.h"
#include "update/stories.h"

/* -- what is installed, and where its data is -- */

bool world_look(World *world, Err *err) {
        if (!world->source->installed(&world->source_at, &world->from, err))
                return false;
        if (world->service->backup.contents_given)
                return true;
        scoped(strv_freep) Strv tracked = NULL;
        if (!world->source->tree(&world->source_at, &world->from, &tracked, err))
                return false;
        return manifest_detect_contents(world->service, (const char *const *)tracked, err);
}

/* -- lines -- */

static char *contents_text(const World *world) {
        scoped(str_done) Str text = {0};
        for (size_t i = 0; i < world->backup_plan.n_items; i++) {
                const PlanItem *item = &world->backup_plan.items[i];
                scoped(free_str) char *size = bytes_text(item->bytes);
                str_addf(&text, "%s%s %s", i ? ", " : "", item->slug, size);
        }
        return text.len ? str_take(&text) : str_copy("configuration only");
}

static void add_fetch_lines(Plan *plan, const World *world) {
        const GitSpec *git = &world->service->git;
        plan_add(plan, &step_fetch, NULL, str_format("fetch %.7s", world->to.reference),
                "remove it");
        if (!world->source->builds(&world->source_at))
                return;
        scoped(free_str) char *install = git->install ? strv_join(git->install, " ") : NULL;
        scoped(free_str) char *build = git->build ? strv_join(git->build, " ") : NULL;
        char *text = install || build
                             ? str_format("%s%s%s%s%s", install ? "install: " : "",
                                       install ? install : "", install && build ? "; " : "",
                                       build ? "build: " : "", build ? build : "")
                             : str_copy("write the release beside");
        plan_add(plan, &step_build, NULL, text, "remove it");
}

static void add_backup_lines(Plan *plan, const World *world) {
        scoped(free_str) char *contents = contents_text(world);
        plan_add(plan, &step_backup, NULL, str_format("back up %s", contents), "remove backup");
        plan_add(plan, &step_prove, NULL, str_copy("prove the backup"), NULL);
}

static void add_stop_lines(Plan *plan, const World *world, bool with_backup) {
        scoped(free_str) char *limit = duration_text(world->service->stop_timeout_ms);
        if (with_backup)
                plan_add(plan, &step_reserve, NULL, str_copy("reserve room for going back"),
                        "release it");
        plan_add(plan, &step_stop, NULL,
                str_format("stop %s (%s limit)", world->service->name, limit), "start it");
        if (with_backup)
                plan_add(plan, &step_second_pass, NULL, str_copy("second backup pass"),
                        "restore, if anything differs");
}

static bool add_place_lines(Plan *plan, World *world, Err *err) {
        const char *from = plan->from.version ? plan->from.version : "what was there";
        if (config_wanted(&world->service->configuration)) {
                scoped(settings_done) Settings settings = {0};
                scoped(free_str) char *text = NULL;
                if (!settings_expand(world, &world->to, &settings, err) ||
                        !config_explain(&settings.change, &text, err))
                        return false;
                plan_add(plan, &step_config, NULL,
                        str_format("%s: %s", path_basename(world->service->configuration.env_file),
                                text),
                        "old values back");
        }
        scoped(free_str) char *undo =
                str_format("%.7s back", plan->from.reference ? plan->from.reference : from);
        plan_add(plan, &step_place, NULL,
                str_format("place %.7s in %s", world->to.reference, world->service->git.directory),
                undo);
        return true;
}

static void add_migrations(
        Plan *plan, const World *world, const MigrationList *list, bool after_start) {
        if (world->options.no_migrations)
                return;
        for (size_t i = 0; i < list->n; i++) {
                const Migration *migration = &list->items[i];
                if (migration->spec->after_start != after_start || !migration_pending(migration))
                        continue;
                plan_add(plan, after_start ? &step_migrate_after : &step_migrate,
                        str_copy(migration->id), str_format("migrate: %s", migration->title),
                        "restore the data");
        }
}

static void add_start_line(Plan *plan) {
        scoped(free_str) char *undo =
                str_format("start %s", plan->from.version ? plan->from.version : "the old one");
        plan_add(plan, &step_start, NULL, str_format("start %s", plan->to.version), undo);
}

static void add_verify_lines(Plan *plan, const World *world, bool with_backup) {
        size_t n = world->service->n_checks;
        plan_add(plan, &step_verify, NULL,
                n ? str_format("verify: %zu check%s", n, n == 1 ? "" : "s")
                  : str_copy("verify: it runs, without restart"),
                NULL);
        if (with_backup)
                plan_add(plan, &step_merge, NULL, str_copy("complete and prove the backup"), NULL);
}

static void add_watch_line(Plan *plan, const World *world) {
        scoped(free_str) char *how_long = duration_text(world->service->monitor.for_ms);
        scoped(free_str) char *undo = str_format("start %s, or a person decides",
                plan->from.version ? plan->from.version : "the old one");
        plan_add(plan, &step_monitor, NULL, str_format("watch for %s", how_long), undo);
}

static void add_finish_lines(Plan *plan, const World *world, bool with_backup, bool back_up_again) {
        plan_add(plan, &step_record, NULL, str_format("record %s as installed", plan->to.version),
                "– (done: COMMIT before this step)");
        if (with_backup)
                plan_add(plan, &step_publish, NULL, str_copy("keep the backup of the old version"),
                        NULL);
        plan_add(plan, &step_tidy, NULL, str_copy("remove what only the run needed"), NULL);
        if (back_up_again)
                plan_add(plan, &step_backup_after, NULL,
                        str_format("back up again at %s", plan->to.version), NULL);
        if (with_backup) {
                const BackupSpec *backup = &world->service->backup;
                plan_add(plan, &step_prune, NULL,
                        str_format("keep the last %u backups and %u days of them",
                                backup->keep_last, backup->keep_days),
                        NULL);
        }
}

static void add_back_lines(Plan *plan, bool with_backup, bool can_be_bad) {
        if (can_be_bad)
                plan_add(plan, &step_remember_bad, NULL,
                        str_copy("remember it as bad, if it is to blame"), NULL);
        plan_add(plan, &step_verify_old, NULL, str_copy("verify the old version"), NULL);
        if (with_backup)
                plan_add(plan, &step_publish_old, NULL, str_copy("keep the backup"), NULL);
        plan_add(plan, &step_tidy_old, NULL, str_copy("remove what only the run needed"), NULL);
}

/* -- notes -- */

static void add_notes(Plan *plan, World *world, const Preflight *preflight, bool with_backup) {
        for (size_t i = 0; preflight->warnings && preflight->warnings[i]; i++)
                strv_add(&plan->notes, preflight->warnings[i]);
        for (size_t i = 0; world->service->warnings && world->service->warnings[i]; i++)
                strv_add(&plan->notes, world->service->warnings[i]);
        if (world->options.no_migrations && preflight->migrations.n)
                plan_note(plan, "migrations are left out (--no-migrations)");
        if (with_backup && world->service->backup.n_contents == 0)
                plan_note(plan, "no data was found to back up: declare it under backup.contents if "
                                "there is any");
        plan->bytes_needed = world->backup_plan.store_needs;
        plan->bytes_free = world->backup_plan.store_free;
        plan->store = with_backup ? str_copy(world_store(world)) : NULL;
}

static bool keep_preflight(World *world, const Preflight *preflight) {
        json_decref(world->preflight);
        world->preflight = preflight_to_json(preflight);
        return true;
}

/* -- update -- */

/* The checkout is at the target, but the last run could not say what runs: a person has to look, and then
 * --reinstall makes it whole. */
static bool refuse_if_unsure(const World *world, Err *err) {
        const char *name = world->service->name;
        scoped(run_done) Run newest = {0};
        bool found = false;
        if (world->options.reinstall || !str_equal(world->from.reference, world->to.reference))
                return true;
        if (!run_newest(world->state, name, &newest, &found, err))
                return false;
        if (!found || newest.damaged || newest.state.end != RUN_NEEDS_PERSON)
                return true;
        err_fail(err, ERR_PERSON, "the checkout is at %s, but run #%u needs a person",
                world->to.version, newest.number);
        err_reason(err, reason_code(REASON_NEEDS_PERSON));
        return err_hint(err,
                "Look at `belay report %u` and `belay status %s`; `belay update %s %s --reinstall` "
                "then makes it whole.",
                newest.number, name, name, world->to.version);
}

/* -- what is in the way -- */

/* Between two versions nothing true can be said of the next: the open run is the only reason then. */
static bool look_for_obstacles(const World *world, Plan *plan, bool *ret_stop, Err *err) {
        plan->title = str_copy(world->service->name);
        if (!preflight_obstacles(world, &plan->reasons, err))
                return false;
        *ret_stop = plan->reasons.n && plan->reasons.items[0].code != REASON_LOCKED;
        return true;
}

static void set_title(Plan *plan, const World *world, const char *kind) {
        str_replace_owned(&plan->title,
                str_format("%s %s → %s%s", world->service->name,
                        world->from.version ? world->from.version : "?", world->to.version, kind));
}

/* What came up while looking is a reason like others. That the network is away, too, is not what a person
 * has to know first when there is one. */
static bool end_blocked(Plan *plan, Preflight *preflight, Err *err) {
        bool known = plan->reasons.n + preflight->reasons.n > 0;
        bool same = err->code == ERR_USAGE && preflight->reasons.n > 0; /* of settings: is one */
        bool away = err->code == ERR_REMOTE || err->code == ERR_TIMEOUT;
        reasons_move(&plan->reasons, &preflight->reasons);
        if (!same && !(known && away) && !reasons_take_err(&plan->reasons, err))
                return err_context(err, "%s", plan->title);
        err_clear(err);
        plan_drop_lines(plan);
        return true;
}

static bool nothing_to_do(Plan *plan, const World *world) {
        const char *name = world->service->name;
        if (!str_equal(world->from.reference, world->to.reference) || world->options.reinstall)
                return false;
        plan->nothing = str_format(
                "%s is at %s (%.7s) already", name, world->to.version, world->to.reference);
        if (world->waiting.version) {
                scoped(free_str) char *when = time_text(world->waiting_until_ms);
                str_replace_owned(
                        &plan->nothing, str_format("%s; %s waits until %s (cooldown)",
                                                plan->nothing, world->waiting.version, when));
        }
        return true;
}

/* All that happens while the old version serves untouched. */
static bool lay_out_live(World *world, Plan *plan, Preflight *preflight, Err *err) {
        plan_add(plan, &step_preflight, NULL, str_format("preflight: %u points", preflight->points),
                NULL);
        add_fetch_lines(plan, world);
        if (!world->options.no_backup)
                add_backup_lines(plan, world);
        return plan_add_rehearsal(world, plan, preflight, err);
}

static bool lay_out_rehearsal(World *world, Plan *plan, Preflight *preflight, Err *err) {
        if (!lay_out_live(world, plan, preflight, err))
                return false;
        plan_add(plan, &step_leave, NULL, str_copy("remove the copy and its backup"), NULL);
        add_notes(plan, world, preflight, true);
        return true;
}

static bool lay_out_update(World *world, Plan *plan, Preflight *preflight, Err *err) {
        bool with_backup = !world->options.no_backup;
        if (!lay_out_live(world, plan, preflight, err))
                return false;
        add_stop_lines(plan, world, with_backup);
        if (!add_place_lines(plan, world, err))
                return false;
        add_migrations(plan, world, &preflight->migrations, false);
        add_start_line(plan);
        add_migrations(plan, world, &preflight->migrations, true);
        add_verify_lines(plan, world, with_backup);
        add_watch_line(plan, world);
        add_finish_lines(plan, world, with_backup, with_backup);
        add_back_lines(plan, with_backup, true);
        add_notes(plan, world, preflight, with_backup);
        return true;
}

static bool fix_source(World *world, const char *wanted, Plan *plan, Err *err) {
        scoped(strv_freep) Strv done = NULL;
        /* A person says that a tag which moved, or was bad, is right all the same. */
        if (world->options.even_if_bad && wanted &&
                !source_forget_tag(world->state, world->service->name, wanted, err))
                return false;
        if (!world->options.fix)
                return true;
        if (!world->source->fix(&world->source_at, &done, err))
                return false;
        for (size_t i = 0; done && done[i]; i++)
                strv_add(&plan->notes, done[i]);
        return true;
}

static bool aim(World *world, const char *wanted, Plan *plan, Err *err) {
        const Service *service = world->service;
        if (world->options.in_window && !service->n_windows && !service->n_freezes) {
                err_fail(err, ERR_USAGE, "the manifest has no windows to wait for");
                return err_hint(err, "Add `windows` to it, or say --at TIME.");
        }
        if (!world_look(world, err) || !fix_source(world, wanted, plan, err) ||
                !choose_target(world, wanted, RELEASES_RECENT, err) ||
                !refuse_if_unsure(world, err) || !path_choose(world, err))
                return false;
        release_copy(&plan->from, &world->from);
        release_copy(&plan->to, &world->to);
        scoped(free_str) char *on_the_way =
                world->n_way > 1 ? str_format(" (on the way to %s)", path_target(world)->version)
                                 : str_copy("");
        scoped(free_str) char *kind = str_format(
                "%s%s", on_the_way, plan->story == &rehearse_story ? " (rehearsal)" : "");
        set_title(plan, world, kind);
        return true;
}

typedef bool (*LayOut)(World *world, Plan *plan, Preflight *preflight, Err *err);

static bool plan_forward(World *world, const char *wanted, LayOut lay_out, Plan *plan, Err *err) {
        scoped(preflight_done) Preflight preflight = {0};
        scoped(err_clear) Err why = {0};
        bool stop = false;
        if (!look_for_obstacles(world, plan, &stop, err) || stop)
                return stop;
        if (!aim(world, wanted, plan, &why))
                return end_blocked(plan, &preflight, &why) || (err_move(err, &why), false);
        if (nothing_to_do(plan, world))
                return true;
        if (!world->source->fetch(&world->source_at, &world->to, &why) ||
                !preflight_look(world, true, &preflight, &why) ||
                !keep_preflight(world, &preflight) || !lay_out(world, plan, &preflight, &why) ||
                (plan->story == &update_story && !plan_add_around(plan, world, &why)))
                return end_blocked(plan, &preflight, &why) || (err_move(err, &why), false);
        reasons_move(&plan->reasons, &preflight.reasons);
        plan_seal(plan, world);
        return true;
}

bool plan_update(World *world, const char *wanted, Plan *ret, Err *err) {
        *ret = (Plan){.story = &update_story};
        return plan_forward(world, wanted, lay_out_update, ret, err);
}

bool plan_rehearse(World *world, const char *wanted, Plan *ret, Err *err) {
        *ret = (Plan){.story = &rehearse_story};
        world->options.no_schedule = true;
        return plan_forward(world, wanted, lay_out_rehearsal, ret, err);
}

/* -- rollback -- */

/* The version before, or the one that was named; and the backup that belongs to it. */
static bool find_way_back(World *world, const char *wanted, char **ret_backup, Err *err) {
        const char *name = world->service->name;
        scoped(installed_done) Installed installed = {0};
        if (!installed_load(world->state, name, &installed, err))
                return false;
        const Release *previous = &installed.previous;
        if (!wanted && !previous->reference) {
                err_fail(err, ERR_REFUSED, "%s has no version that Belay could go back to", name);
                err_reason(err, reason_code(REASON_NO_VERSION_BEFORE));
                return err_hint(err,
                        "`belay update %s VERSION --allow-downgrade` goes to an older one.", name);
        }
        if (previous->reference && (!wanted || version_same(wanted, previous->version))) {
                release_copy(&world->to, previous);
                *ret_backup = str_copy(installed.previous_backup);
                return true;
        }
        if (!world->source->resolve(&world->source_at, wanted, &world->from, &world->to, err))
                return false;
        scoped(backup_info_done) BackupInfo info = {0};
        if (backup_find(world_store(world), name, world->to.version, &info, NULL))
                *ret_backup = str_copy(info.id);
        return true;
}

static bool refuse_no_backup(const World *world, Err *err) {
        err_fail(err, ERR_REFUSED, "there is no backup of %s %s to restore", world->service->name,
                world->to.version);
        err_reason(err, reason_code(REASON_NO_BACKUP));
        return err_hint(err,
                "`belay backup list %s` shows what there is; --revert leaves the data as it is.",
                world->service->name);
}

static bool wants_restore(const World *world, const BackupLoss *loss) {
        if (!loss->changed)
                return false;
        if (world->options.restore || world->service->rollback_data == ROLLBACK_ALWAYS)
                return true;
        return loss->schema_changed || loss->fewer_rows || loss->missing_files;
}

/* As `rollback.data` says, from the backup that belongs to the version gone back to. */
static bool choose_data(
        World *world, const char *backup, bool *ret_restore, Strv *notes, Err *err) {
        scoped(backup_loss_done) BackupLoss loss = {0};
        *ret_restore = false;
        if (!backup && world->options.restore)
                return refuse_no_backup(world, err);
        if (!backup) {
                strv_addf(notes, "there is no backup of %s: the data stays as it is",
                        world->to.version);
                return true;
        }
        if (world->options.revert ||
                (world->service->rollback_data == ROLLBACK_NEVER && !world->options.restore))
                return true;
        if (!backup_loss(world_store(world), world->service->name, backup, &loss, err))
                return false;
        *ret_restore = wants_restore(world, &loss);
        if (!*ret_restore || !loss.lines)
                return true;
        strv_add(notes, "what was written since the backup is not in it, and is kept as salvage:");
        for (size_t i = 0; loss.lines[i]; i++)
                strv_add(notes, loss.lines[i]);
        return true;
}

static void set_data(Plan *plan, const char *backup, const char *only) {
        plan->data = json_object();
        js_set_str(plan->data, "backup", backup);
        js_set_str(plan->data, "only", only);
}

static bool lay_out_rollback(
        World *world, Plan *plan, Preflight *preflight, const char *backup, Err *err) {
        bool with_backup = !world->options.no_backup;
        plan_add(plan, &step_preflight, NULL, str_format("preflight: %u points", preflight->points),
                NULL);
        add_fetch_lines(plan, world);
        if (with_backup)
                add_backup_lines(plan, world);
        if (backup) {
                set_data(plan, backup, NULL);
                plan_add(plan, &step_prepare_data, NULL,
                        str_format("write the data of %s beside", world->to.version), "remove it");
        }
        add_stop_lines(plan, world, with_backup);
        if (!add_place_lines(plan, world, err))
                return false;
        if (backup)
                plan_add(plan, &step_swap_data, NULL,
                        str_format("put the data of %s in place", world->to.version),
                        "the data of now back");
        add_start_line(plan);
        add_verify_lines(plan, world, with_backup);
        add_watch_line(plan, world);
        add_finish_lines(plan, world, with_backup, false);
        add_back_lines(plan, with_backup, false);
        add_notes(plan, world, preflight, with_backup);
        return true;
}

bool plan_rollback(World *world, const char *wanted, Plan *ret, Err *err) {
        scoped(preflight_done) Preflight preflight = {0};
        scoped(free_str) char *backup = NULL;
        bool restore = false;
        scoped(err_clear) Err why = {0};
        bool stop = false;
        Plan *plan = ret;
        *plan = (Plan){.story = &rollback_story};
        if (!look_for_obstacles(world, plan, &stop, err) || stop)
                return stop;
        if (!world_look(world, &why) || !find_way_back(world, wanted, &backup, &why))
                return end_blocked(plan, &preflight, &why) || (err_move(err, &why), false);
        release_copy(&plan->from, &world->from);
        release_copy(&plan->to, &world->to);
        set_title(plan, world, " (rollback)");
        if (nothing_to_do(plan, world))
                return true;
        world->service->cooldown_ms = 0;
        /* A person asks for it: that it is older, was bad or runs badly now is why. */
        world->options.allow_downgrade = world->options.even_if_bad =
                world->options.accept_breaking = true;
        world->options.accept_unhealthy = world->options.no_migrations = true;
        world->options.no_schedule = true;
        if (!choose_data(world, backup, &restore, &plan->notes, &why) ||
                !world->source->fetch(&world->source_at, &world->to, &why) ||
                !preflight_look(world, true, &preflight, &why) ||
                !keep_preflight(world, &preflight) ||
                !lay_out_rollback(world, plan, &preflight, restore ? backup : NULL, &why) ||
                !plan_add_around(plan, world, &why))
                return end_blocked(plan, &preflight, &why) || (err_move(err, &why), false);
        reasons_move(&plan->reasons, &preflight.reasons);
        plan_seal(plan, world);
        return true;
}

/* -- restore -- */

static bool refuse_other_version(const World *world, const BackupInfo *info, Err *err) {
        const char *name = world->service->name;
        if (world->options.allow_downgrade || !info->version || !world->from.version ||
                version_same(info->version, world->from.version))
                return true;
        err_fail(err, ERR_REFUSED, "backup %s is of %s %s, and %s is installed", info->name, name,
                info->version, world->from.version);
        err_reason(err, reason_code(REASON_OTHER_VERSION));
        return err_hint(err,
                "`belay rollback %s --to %s` goes back with the data; --allow-downgrade restores "
                "it under "
                "%s all the same.",
                name, info->version, world->from.version);
}

static void lay_out_restore(
        World *world, Plan *plan, const BackupInfo *info, const char *only, bool running) {
        set_data(plan, info->salvage ? info->name : info->id, only);
        add_backup_lines(plan, world);
        plan_add(plan, &step_prepare_data, NULL,
                str_format("write %s of %s beside", only ? only : "the data", info->name),
                "remove it");
        add_stop_lines(plan, world, true);
        plan_add(plan, &step_swap_data, NULL,
                str_copy("put it in place, keep what was there as salvage"),
                "the data of now back");
        if (running) {
                add_start_line(plan);
                add_verify_lines(plan, world, true);
        }
        plan_add(plan, &step_publish, NULL, str_copy("keep the backup of what was there"), NULL);
        plan_add(plan, &step_tidy, NULL, str_copy("remove what only the run needed"), NULL);
        add_back_lines(plan, true, false);
}

/* What the backup has not is found before there is a run. */
static bool refuse_unknown_content(
        const World *world, const BackupInfo *info, const char *only, Err *err) {
        const char *id = info->salvage ? info->name : info->id;
        const RestoreRequest request = backups_restore_request(world, id, only, NULL);
        return restore_has(&request, info->salvage, err);
}

bool plan_restore(World *world, const char *backup, const char *only, Plan *ret, Err *err) {
        scoped(backup_info_done) BackupInfo info = {0};
        scoped(runtime_status_done) RuntimeStatus now = {0};
        scoped(preflight_done) Preflight nothing = {0};
        scoped(err_clear) Err why = {0};
        bool stop = false;
        Plan *plan = ret;
        *plan = (Plan){.story = &restore_story};
        if (!look_for_obstacles(world, plan, &stop, err) || stop)
                return stop;
        if (!world_look(world, &why) ||
                !backup_find(world_store(world), world->service->name, backup, &info, &why) ||
                !refuse_other_version(world, &info, &why) ||
                !refuse_unknown_content(world, &info, only, &why) ||
                !world->runtime->inspect(&world->runtime_at, &now, &why) ||
                !backups_plan(world, &why))
                return end_blocked(plan, &nothing, &why) || (err_move(err, &why), false);
        release_copy(&world->to, &world->from);
        release_copy(&plan->from, &world->from);
        release_copy(&plan->to, &world->from);
        str_replace_owned(
                &plan->title, str_format("%s %s, data of %s", world->service->name,
                                      world->from.version ? world->from.version : "?", info.name));
        lay_out_restore(world, plan, &info, only, now.running);
        add_notes(plan, world, &nothing, true);
        if (!plan_add_around(plan, world, err))
                return false;
        plan_seal(plan, world);
        return true;
}
