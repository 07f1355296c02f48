/* Rehearse: the whole change on a copy of the service, before the service is touched. */
#include <stdlib.h>

#include "base/own.h"
#include "update/backups.h"
#include "update/rehearsal.h"
#include "update/steps.h"

static void observe(StepContext *context, const RehearsalResult *result) {
        js_set_int(context->observed, "restore_ms", result->restore_ms);
        js_set_int(context->observed, "migrate_ms", result->migrate_ms);
        js_set_int(context->observed, "start_ms", result->start_ms);
        js_set_int(context->observed, "verify_ms", result->verify_ms);
        js_set(context->observed, "migrations", json_incref(js_get(result->said, "migrations")));
        js_set(context->observed, "checks", json_incref(js_get(result->said, "checks")));
}

/* That this machine cannot do it, has no room for it now, or made a copy that holds less than the version writes to,
 * says nothing about the version. */
static bool may_be_left_out(const World *world, const RehearsalResult *result, const Err *why) {
        const char *kind = js_str(world->run_state->plan, "kind");
        bool unable = !result->made && (why->code == ERR_REFUSED || why->code == ERR_NO_SPACE);
        return world->service->rehearse == REHEARSE_AUTO && str_equal(kind, "update") &&
               (unable || result->beyond);
}

static void leave_out(StepContext *context, const RehearsalResult *result, const Err *why) {
        scoped(free_str) char *text = str_format("not rehearsed: %s%s", why->message,
                result->beyond ? ": it writes to a place that is neither in the service's "
                                 "directory nor around its data, and so not in the copy"
                               : "");
        json_t *event = json_object();
        js_set_str(event, "step", context->step);
        js_set_str(event, "text", text);
        events_add(context->events, "note", event);
        js_set_str(context->observed, "left_out", why->message);
        js_set_str(context->observed, "warning", text);
}

static bool rehearse_apply(StepContext *context, Err *err) {
        World *world = context->world;
        scoped(rehearsal_result_done) RehearsalResult result = {0};
        scoped(err_clear) Err why = {0};
        bool good = rehearsal_run(world, backups_run_id(world), &result, &why);
        if (good)
                observe(context, &result);
        else if (may_be_left_out(world, &result, &why)) {
                leave_out(context, &result, &why);
                good = true;
        } else {
                err_move(err, &why);
        }
        /* What is left of it stops nothing: the run's undo, and its tidying, try again. */
        return rehearsal_remove(world, good ? err : NULL) && good;
}

static bool rehearse_undo(StepContext *context, Err *err) {
        return rehearsal_remove(context->world, err);
}

const Step step_rehearse = {
        .name = "rehearse",
        .title = "Rehearse on a copy",
        .phase = PHASE_REHEARSE,
        .flags = STEP_REDO_SAFE,
        .apply = rehearse_apply,
        .undo = rehearse_undo,
};

/* -- leave: what only `belay rehearse` has taken goes again ------------------------------------ */

static bool leave_apply(StepContext *context, Err *err) {
        World *world = context->world;
        (void)context;
        backup_freep(&world->backup);
        world->backup = NULL;
        return rehearsal_remove(world, err) &&
               backup_discard(
                       world_store(world), world->service->name, backups_run_id(world), err) &&
               clean_source(world, false, err);
}

const Step step_leave = {
        .name = "leave",
        .title = "Remove the copy and its backup",
        .phase = PHASE_REHEARSE,
        .flags = STEP_REDO_SAFE,
        .apply = leave_apply,
};
