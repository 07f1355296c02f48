#include "update/rehearsal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/overlay.h"
#include "update/backups.h"
#include "update/request.h"

enum {
        MARGIN_BYTES = 16 * 1024 * 1024,
        MARGIN_MS = 60 * 1000,
        PROBE_MS = 10 * 1000,
        EVIDENCE_LINES = 5
};

void rehearsal_plan_done(RehearsalPlan *plan) {
        free(plan->why_not);
        *plan = (RehearsalPlan){0};
}

void rehearsal_result_done(RehearsalResult *result) {
        json_decref(result->said);
        *result = (RehearsalResult){0};
}

/* -- can it be done? ------------------------------------------------------------------------- */

static char *needs_others(const World *world, const Preflight *preflight) {
        const ProcessSpec *process = &world->service->process;
        scoped(strv_freep) Strv settings = strv_copy(preflight->looking.env);
        for (size_t i = 0; i < process->n_environment; i++)
                strv_addf(&settings, "%s=%s", process->environment[i].name,
                        process->environment[i].value);
        return rehearsal_needs_others(settings);
}

/* Of files whose group this user is not in as its first, the kernel makes no copy in a namespace of the user's. */
static char *has_other_owners(const World *world) {
        struct stat is;
        bool there = false;
        const char *directory = world->service->git.directory;
        if (geteuid() == 0 || !file_stat(directory, &is, &there, NULL) || !there ||
                (is.st_uid == geteuid() && is.st_gid == getegid()))
                return NULL;
        return str_format(
                "'%s' has another owner or group than this user, and Belay is not root", directory);
}

/* Its first update renames a directory that is there, which in a copy made by an ordinary user cannot be. */
static char *moves_directory(const World *world) {
        const GitSpec *git = &world->service->git;
        for (char *const *a = git->artifacts; geteuid() != 0 && a && *a; a++) {
                scoped(free_str) char *path = path_join(git->directory, *a);
                struct stat is;
                if (lstat(path, &is) == 0 && S_ISDIR(is.st_mode))
                        return str_format("'%s' is renamed by the first update, and Belay is not "
                                          "root",
                                path);
        }
        return NULL;
}

/* The helper without a program to run says that it was called wrongly: it has been executed, then. */
static bool probe(const World *world, char **ret_why, Err *err) {
        scoped(free_str) char *helper = process_helper_path();
        char *argv[] = {helper, NULL};
        const SealPlace place = {
                .kind = SEAL_BIND, .at = world->state->root, .from = world->state->root};
        const Seal seal = {.places = &place, .n = 1};
        const Child child = {.argv = argv,
                .what = "a rehearsal",
                .timeout_ms = PROBE_MS,
                .seal = &seal,
                .mark = world->mark,
                .cancel = world->cancel};
        scoped(child_result_done) ChildResult result = {0};
        scoped(err_clear) Err why = {0};
        if (child_run(&child, &result, &why))
                return true;
        if (why.code == ERR_CANCELLED) {
                err_move(err, &why);
                return false;
        }
        *ret_why = str_copy(why.message);
        return true;
}

static bool has_room(const World *world, RehearsalPlan *plan, Err *err) {
        uint64_t there = 0, needed = plan->bytes_needed;
        if (!disk_free(world->state->root, &there, err))
                return false;
        /* The backup of this run may lie on the same disk. */
        if (path_holds(world->state->root, world_store(world)))
                needed += world->backup_plan.store_needs;
        if (needed <= there)
                return true;
        scoped(free_str) char *needs = bytes_text(needed);
        scoped(free_str) char *has = bytes_text(there);
        plan->why_not = str_format("the copy and the backup need %s in '%s', which has %s free",
                needs, world->state->root, has);
        return true;
}

static void count_checks(const Service *service, RehearsalPlan *plan) {
        for (size_t i = 0; i < service->n_checks; i++)
                if (rehearsal_can_ask(&service->checks[i]))
                        plan->asked++;
                else
                        plan->left_out++;
}

static bool find_reason(World *world, const Preflight *preflight, RehearsalPlan *plan, Err *err) {
        scoped(rehearsal_places_done) RehearsalPlaces places = {0};
        if (world->options.no_backup) {
                plan->why_not = str_copy("without a backup there is nothing to make a copy of");
                return true;
        }
        if (!rehearsal_find_places(world, &places, &plan->why_not, err))
                return false;
        if (!plan->why_not)
                plan->why_not = needs_others(world, preflight);
        if (!plan->why_not)
                plan->why_not = has_other_owners(world);
        if (!plan->why_not)
                plan->why_not = moves_directory(world);
        if (!plan->why_not)
                (void)overlay_can_write(world->state->root, &plan->why_not);
        if (!plan->why_not && !has_room(world, plan, err))
                return false;
        return plan->why_not || probe(world, &plan->why_not, err);
}

bool rehearsal_look(World *world, const Preflight *preflight, RehearsalPlan *ret, Err *err) {
        *ret = (RehearsalPlan){.bytes_needed = world->backup_plan.bytes + MARGIN_BYTES};
        count_checks(world->service, ret);
        if (!find_reason(world, preflight, ret, err))
                return false;
        ret->can = ret->why_not == NULL;
        return true;
}

/* -- doing it -------------------------------------------------------------------------------- */

static char *base_of(const World *world) {
        return state_run_file(world->state, world->run, "rehearsal");
}

bool rehearsal_remove(const World *world, Err *err) {
        scoped(free_str) char *base = base_of(world);
        return tree_remove(base, err);
}

static json_t *request_of(const World *world) {
        const Service *service = world->service;
        json_t *request = request_of_world(world);
        js_set_int(request, "run", world->run);
        js_set(request, "text", json_stringn(service->manifest_text, service->manifest_bytes));
        js_set(request, "options", options_to_json(&world->options));
        return request;
}

bool rehearsal_migrate_limit_ms(World *world, int64_t *ret, Err *err) {
        scoped(looking_done) Looking looking = {0};
        scoped(migration_list_done) MigrationList list = {0};
        *ret = 0;
        if (!world->service->n_migrations || world->options.no_migrations)
                return true;
        if (!looking_open(world, &world->to, &looking, err) ||
                !preflight_migrations(world, &looking, &list, err))
                return false;
        *ret = migration_list_limit_ms(&list);
        return true;
}

/* All that its parts may take, one after the other. */
static bool run_inside(World *world, const RehearsalCopy *copy, ChildResult *ret, Err *err) {
        const Service *service = world->service;
        int64_t migrate_ms = 0;
        if (!rehearsal_migrate_limit_ms(world, &migrate_ms, err))
                return false;
        scoped(js_freep) json_t *request = request_of(world);
        const RehearsalCall call = {.verb = "rehearsal",
                .what = "the rehearsal",
                .request = request,
                .timeout_ms = service->start_timeout_ms + service->stop_timeout_ms + migrate_ms +
                              MARGIN_MS};
        return rehearsal_play(world, copy, &call, ret, err);
}

/* All that it wrote is kept with the run, for whoever wants more than the last lines: `belay logs --run`. */
static void keep_output(const World *world, const json_t *said, const ChildResult *result) {
        scoped(free_str) char *dir = world_output_dir(world);
        scoped(free_str) char *path = path_join(dir, "rehearse.txt");
        const char *log = js_str(said, "log"), *output = js_str(said, "output");
        scoped(free_str) char *text =
                str_format("%s%s%s", output ? output : "", log ? log : "", result->err);
        (void)file_write_durable(path, text, strlen(text), 0600, NULL);
}

/* What is in no layer cannot be written to in the copy, and can outside of it. */
static bool wrote_beyond(const json_t *said) {
        const char *log = js_str(said, "log"), *message = js_str(said, "message");
        return !js_bool(said, "ok", false) && ((message && strstr(message, "ead-only file")) ||
                                                      (log && strstr(log, "ead-only file")));
}

/* What it said last, and what to make of it. */
static bool add_evidence(const World *world, const json_t *said, Err *err) {
        const char *log = js_str(said, "log"), *hint = js_str(said, "hint");
        scoped(free_str) char *lines = str_last_lines(log ? log : "", EVIDENCE_LINES);
        scoped(str_done) Str text = {0};
        if (hint)
                str_addf(&text, "%s\n", hint);
        if (wrote_beyond(said))
                str_add(&text,
                        "It writes to a place that is neither in the service's directory nor "
                        "around its data: only these are in the copy.\n");
        if (str_trim(lines)[0])
                str_addf(&text, "The log of the copy ends with:\n%s\n", str_trim(lines));
        str_addf(&text, "More: belay logs --run %u. --no-rehearsal goes without.", world->run);
        return err_hint(err, "%s", text.text);
}

static bool judge(const World *world, const ChildResult *result, json_t *said, Err *err) {
        if (!said) {
                scoped(free_str) char *lines = child_last_lines(result, 3);
                return err_fail(err, ERR_TOOL, "the rehearsal ended without a word (exit %d): %s",
                        result->exit_status, lines);
        }
        const char *part = js_str(said, "part"), *message = js_str(said, "message");
        if (js_bool(said, "ok", false))
                return true;
        err_fail(err, ERR_ANSWER_NO, "on the copy, %s failed: %s", part ? part : "it",
                message ? message : "no reason was given");
        return add_evidence(world, said, err);
}

static void read_times(const json_t *said, RehearsalResult *ret) {
        ret->migrate_ms = js_int(said, "migrate_ms", -1);
        ret->start_ms = js_int(said, "start_ms", -1);
        ret->verify_ms = js_int(said, "verify_ms", -1);
}

bool rehearsal_run(World *world, const char *backup, RehearsalResult *ret, Err *err) {
        scoped(rehearsal_copy_done) RehearsalCopy copy = {0};
        scoped(child_result_done) ChildResult result = {0};
        scoped(free_str) char *base = base_of(world);
        *ret = (RehearsalResult){.migrate_ms = -1, .start_ms = -1, .verify_ms = -1};
        int64_t began = clock_now_ms();
        if (!tree_remove(base, err) || !rehearsal_copy(world, base, backup, &copy, err))
                return false;
        ret->restore_ms = clock_now_ms() - began;
        if (!run_inside(world, &copy, &result, err))
                return false;
        ret->made = true;
        ret->said = js_parse(result.out, strlen(result.out), "the rehearsal's answer", NULL);
        keep_output(world, ret->said, &result);
        ret->beyond = ret->said && wrote_beyond(ret->said);
        read_times(ret->said, ret);
        return judge(world, &result, ret->said, err);
}
