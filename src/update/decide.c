/*
 * Which way back (spec: rollback.data). Before verify has passed nobody was told that the new version
 * serves: the data goes back whenever it differs. Afterwards users may have been told that something is
 * saved, and that is never taken away without a person, or without `always`.
 */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "model/redact.h"
#include "update/backups.h"
#include "update/release_needs.h"
#include "update/steps.h"

static const StepRecord *step_of(const RunState *run, const char *name) {
        return run_state_step(run, name, NULL);
}

static bool was_done(const RunState *run, const char *name) {
        const StepRecord *step = step_of(run, name);
        return step && step->forward == STEP_DONE;
}

/* A migration that began: whether or not it says that it is done, the data is not what it was. */
static bool migration_began(const RunState *run, bool only_open) {
        for (size_t i = 0; i < run->n_steps; i++) {
                const StepRecord *step = &run->steps[i];
                bool migrates =
                        str_equal(step->name, "migrate") || str_equal(step->name, "migrate-after");
                if (migrates && step->forward != STEP_NOT_BEGUN &&
                        (!only_open || step->forward != STEP_DONE))
                        return true;
        }
        return false;
}

static bool revert(json_t *decision, const char *why) {
        js_set_str(decision, "data", "revert");
        js_set_str(decision, "why", why);
        return true;
}

static bool restore(json_t *decision, const char *why) {
        js_set_str(decision, "data", "restore");
        js_set_str(decision, "why", why);
        return true;
}

/* Nothing was written since verify passed: what the new version did so far nobody relies on. */
static bool written_since_verify(const World *world, bool *ret, Err *err) {
        const char *then = js_str(world_observed(world, "verify"), "fingerprint");
        scoped(free_str) char *now = NULL;
        if (!backup_fingerprint(world->service, &now, err))
                return false;
        *ret = !then || !str_equal(then, now);
        return true;
}

enum { LOSS_LINE_BYTES = 300 };

static void describe_loss(const BackupLoss *loss, json_t *decision) {
        json_t *lines = json_array();
        for (size_t i = 0; loss->lines && loss->lines[i]; i++) {
                /* Names of files and tables are anybody's, and a record of the journal is limited. */
                scoped(free_str) char *cut =
                        str_copy_n(loss->lines[i], strnlen(loss->lines[i], LOSS_LINE_BYTES));
                scoped(free_str) char *line = str_printable(cut, false);
                json_array_append_new(lines, json_string(line));
        }
        js_set(decision, "would_lose", lines);
        js_set_int(decision, "rows_more", loss->rows_more);
        js_set_int(decision, "rows_fewer", loss->rows_fewer);
        js_set_int(decision, "files_changed", (int64_t)(loss->files_changed + loss->files_added));
}

/* A rollback put older data in place: going back takes that out again, with what was written into it. */
static bool decide_after_swap(const World *world, json_t *decision, bool *ret_wait, Err *err) {
        if (!written_since_verify(world, ret_wait, err))
                return false;
        if (!*ret_wait)
                return revert(decision, "nothing was written since the data was put in place");
        js_set_str(decision, "why",
                "data was written since the rollback put its data in place, and going back takes "
                "that away");
        return true;
}

static bool decide_in_watch(const World *world, json_t *decision, bool *ret_wait, Err *err) {
        scoped(backup_loss_done) BackupLoss loss = {0};
        bool written = false;
        if (was_done(world->run_state, "swap-data"))
                return decide_after_swap(world, decision, ret_wait, err);
        if (!backup_loss(
                    world_store(world), world->service->name, backups_run_id(world), &loss, err))
                return false;
        if (!loss.changed)
                return revert(decision, "the data is as it was at the last backup pass");
        bool readable = !loss.schema_changed || release_needs_old_reads_new(world->run_state->plan);
        if (readable && !loss.fewer_rows && !loss.missing_files) {
                js_set_bool(decision, "changed", true);
                return revert(decision,
                        loss.schema_changed
                                ? "the old version is said to run on the new schema, and no table "
                                  "has fewer rows"
                                : "the data has the old layout, and no table has fewer rows");
        }
        if (!written_since_verify(world, &written, err))
                return false;
        describe_loss(&loss, decision);
        if (!written)
                return restore(decision,
                        "the data was changed, and nothing was written since verify passed");
        *ret_wait = true;
        js_set_str(decision, "why",
                "data was written under the new version since verify passed, and the old version "
                "may not do with it");
        return true;
}

/* A person wants it undone, knowing that what is there now is kept as salvage: it is not asked again, but data
 * that the old version can read stays where it is. */
static bool decide_for_person(const World *world, json_t *decision) {
        scoped(backup_loss_done) BackupLoss loss = {0};
        bool known = backup_loss(
                world_store(world), world->service->name, backups_run_id(world), &loss, NULL);
        bool readable = !loss.schema_changed || release_needs_old_reads_new(world->run_state->plan);
        if (known && readable && !loss.fewer_rows && !loss.missing_files)
                return revert(decision,
                        "a person decided to go back; the old version reads the data, and nothing "
                        "of it is missing");
        return restore(decision, "a person decided to go back");
}

static bool decide_before_verify(const World *world, const RunState *run, json_t *decision) {
        if (migration_began(run, true))
                return restore(decision, "a migration had begun");
        js_set_str(decision, "data", "if_changed");
        js_set_str(decision, "why",
                migration_began(run, false) ? "a migration had run"
                                            : "it had not been verified yet");
        (void)world;
        return true;
}

enum { LOG_LINES = 20, LOG_BYTES = 64 * 1024 };

/* What the new version said last, for the report: after the undo its log goes on with the old one's lines. Its last lines since it was started: what earlier versions said is not its fault. */
static char *said_since_start(const World *world, const Looking *looking) {
        const json_t *start = world_facts(world, "start");
        LogPlace place = {0};
        /* It was not come to: what is in the log, others said. */
        if (!start)
                return str_copy("");
        log_place_from_json(js_get(start, "log_place"), &place);
        scoped(str_done) Str text = {0};
        char bytes[4096];
        size_t n = 0;
        while (looking->log.read(looking->log.context, &place, bytes, sizeof(bytes), &n, NULL) &&
                n > 0) {
                str_add_n(&text, bytes, n);
                /* Only the end counts, and a service may say a lot. */
                if (text.len > LOG_BYTES) {
                        memmove(text.text, text.text + text.len - LOG_BYTES / 2, LOG_BYTES / 2 + 1);
                        text.len = LOG_BYTES / 2;
                }
        }
        return str_last_lines(text.text ? text.text : "", LOG_LINES);
}

static void keep_log(const World *world, json_t *decision) {
        scoped(looking_done) Looking looking = {0};
        if (!looking_open(world, &world->to, &looking, NULL))
                return;
        scoped(free_str) char *tail = said_since_start(world, &looking);
        scoped(free_str) char *clean = redact(tail, looking.secrets);
        /* A record of the journal is limited; the whole log is where it was. */
        if (strlen(clean) > 8000)
                clean[8000] = '\0';
        scoped(free_str) char *text = str_printable(clean, true);
        js_set_str(decision, "log", text);
}

bool decide_rollback(void *world, const RunState *run, const RollbackReason *reason,
        json_t *decision, bool *ret_wait, Err *err) {
        const World *w = world;
        static const char *const causes[] = {"failed", "cancelled", "interrupted"};
        js_set_str(decision, "cause", causes[reason->cause]);
        js_set_str(decision, "step", reason->step);
        if (reason->cause == CAUSE_FAILED)
                keep_log(w, decision);
        if (reason->cause == CAUSE_FAILED && !w->service->rollback_automatic &&
                was_done(run, "place") && !run->waiting) {
                *ret_wait = true;
                js_set_str(decision, "why", "rollback.automatic is false");
                return true;
        }
        /* Without a complete backup nothing after it can have been done, or none was wanted. */
        if (!was_done(run, "second-pass"))
                return revert(decision, "the data was not touched");
        switch (w->service->rollback_data) {
        case ROLLBACK_NEVER:
                return revert(decision, "rollback.data is never");
        case ROLLBACK_ALWAYS:
                return restore(decision, "rollback.data is always");
        case ROLLBACK_ASK:
                if (!was_done(run, "verify"))
                        break;
                *ret_wait = !run->waiting;
                js_set_str(decision, "why", "rollback.data is ask");
                if (!*ret_wait)
                        js_set_str(decision, "data", "if_changed");
                return true;
        case ROLLBACK_AUTO:
                break;
        }
        if (!was_done(run, "verify"))
                return decide_before_verify(w, run, decision);
        if (reason->cause == CAUSE_CANCELLED && run->waiting)
                return decide_for_person(w, decision);
        return decide_in_watch(w, decision, ret_wait, err);
}
