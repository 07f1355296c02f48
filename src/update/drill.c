#include "update/drill.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/manifest.h"
#include "platform/file.h"
#include "update/backups.h"
#include "update/known.h"
#include "update/preflight.h"
#include "update/rehearsal.h"
#include "update/request.h"
#include "update/steps.h"

enum { MARGIN_MS = 120 * 1000 };

static void attempt_done(DrillAttempt *attempt) {
        free(attempt->step);
        free(attempt->instance);
        free(attempt->killed_at);
        free(attempt->end);
        free(attempt->version);
        free(attempt->why);
        *attempt = (DrillAttempt){0};
}

void drill_result_done(DrillResult *result) {
        for (size_t i = 0; i < result->n; i++)
                attempt_done(&result->attempts[i]);
        free(result->attempts);
        release_done(&result->from);
        release_done(&result->to);
        *result = (DrillResult){0};
}

json_t *drill_to_json(const DrillResult *result) {
        json_t *object = json_object(), *attempts = json_array();
        js_set(object, "from", release_to_json(&result->from));
        js_set(object, "to", release_to_json(&result->to));
        js_set_int(object, "whole", (int64_t)result->whole);
        js_set_int(object, "total", (int64_t)result->n);
        for (size_t i = 0; i < result->n; i++) {
                const DrillAttempt *attempt = &result->attempts[i];
                json_t *one = json_object();
                js_set_str(one, "step", attempt->step);
                js_set_str(one, "instance", attempt->instance);
                js_set_str(one, "killed_at", attempt->killed_at);
                js_set_str(one, "end", attempt->end);
                js_set_str(one, "version", attempt->version);
                js_set_bool(one, "whole", attempt->whole);
                js_set_str(one, "why", attempt->why);
                js_set_int(one, "recovery_ms", attempt->recovery_ms);
                json_array_append_new(attempts, one);
        }
        js_set(object, "attempts", attempts);
        return object;
}

/* -- what all attempts share ------------------------------------------------------------------ */

typedef struct Drill {
        World *world;
        char *base;         /* of the copies, below the state directory */
        char *manifest;     /* the copy's, beside them */
        char *backup;       /* id; taken for this and removed again */
        int64_t migrate_ms; /* that all migrations may take */
} Drill;

static void drill_done(Drill *drill) {
        free(drill->base);
        free(drill->manifest);
        free(drill->backup);
}

/* The newest of the channel; where that is installed, the same once more. */
static bool aim(World *world, const char *wanted, Err *err) {
        scoped(err_clear) Err none = {0};
        bool found = world->source->resolve(
                &world->source_at, wanted, &world->from, &world->to, wanted ? err : &none);
        if (!found && wanted)
                return false;
        if (!found)
                release_copy(&world->to, &world->from);
        world->options.reinstall = str_equal(world->to.reference, world->from.reference);
        return world->options.reinstall || world->source->fetch(&world->source_at, &world->to, err);
}

static bool refuse_builds(const World *world, Err *err) {
        if (!world->source->builds(&world->source_at))
                return true;
        err_fail(err, ERR_REFUSED,
                "there is no drill of %s: its releases are built, and a copy has no network for "
                "that",
                world->service->name);
        return err_hint(err, "`belay rehearse` tries an update of it on a copy.");
}

static bool look(World *world, Err *err) {
        scoped(preflight_done) Preflight preflight = {0};
        scoped(rehearsal_plan_done) RehearsalPlan can = {0};
        if (!looking_open(world, &world->to, &preflight.looking, err) ||
                !backups_plan(world, err) || !rehearsal_look(world, &preflight, &can, err))
                return false;
        return can.can || err_fail(err, ERR_REFUSED, "no copy of %s can be made: %s",
                                  world->service->name, can.why_not);
}

static bool write_manifest(Drill *drill, Err *err) {
        const Service *service = drill->world->service;
        scoped(free_str) char *text = NULL;
        return manifest_of_copy(service->manifest_path, service->manifest_text,
                       service->manifest_bytes, &text, err) &&
               dir_make(drill->base, err) &&
               file_write_durable(drill->manifest, text, strlen(text), 0600, err);
}

static bool take_backup(Drill *drill, Err *err) {
        scoped(published_done) Published backup = {0};
        if (!backups_take(drill->world, &drill->world->from, "drill", &backup, err))
                return false;
        drill->backup = str_copy(backup.id);
        return true;
}

static bool clear_away(const Drill *drill, Err *err) {
        const World *world = drill->world;
        /* The commit that was brought here is nobody's any more. */
        (void)clean_source(world, false, NULL);
        bool removed = !drill->backup ||
                       backup_discard(world_store(world), world->service->name, drill->backup, err);
        return tree_remove(drill->base, removed ? err : NULL) && removed;
}

/* -- one attempt ------------------------------------------------------------------------------ */

static json_t *request_of(const World *world, const json_t *step) {
        json_t *request = request_of_world(world);
        js_set_bool(request, "reinstall", world->options.reinstall);
        js_set_str(request, "step", js_str(step, "step"));
        js_set_str(request, "instance", js_str(step, "instance"));
        return request;
}

/* The old version is started, then the update, and both are once more when it is recovered. */
static int64_t limit_of(const Drill *drill) {
        const Service *service = drill->world->service;
        return 4 * (service->start_timeout_ms + service->stop_timeout_ms) + 2 * drill->migrate_ms +
               MARGIN_MS;
}

static bool run_inside(
        const Drill *drill, RehearsalCopy *copy, const json_t *step, json_t **ret, Err *err) {
        const World *world = drill->world;
        const SealPlace manifest = {
                .kind = SEAL_BIND, .at = world->service->manifest_path, .from = drill->manifest};
        PUSH(copy->seal, copy->n_seal, manifest);
        scoped(js_freep) json_t *request = request_of(world, step);
        const RehearsalCall call = {.verb = "drill-inside",
                .what = "the drill",
                .request = request,
                .timeout_ms = limit_of(drill)};
        scoped(child_result_done) ChildResult result = {0};
        if (!rehearsal_play(world, copy, &call, &result, err))
                return false;
        *ret = js_parse(result.out, strlen(result.out), "the drill's answer", NULL);
        if (*ret)
                return true;
        scoped(free_str) char *lines = child_last_lines(&result, 3);
        return err_fail(err, ERR_TOOL, "the drill ended without a word (exit %d): %s",
                result.exit_status, lines);
}

/* From a new copy each time: what came of the last one is of no moment to the next. */
static bool play(const Drill *drill, const json_t *step, json_t **ret, Err *err) {
        scoped(rehearsal_copy_done) RehearsalCopy copy = {0};
        scoped(free_str) char *at = path_join(drill->base, "copy");
        return tree_remove(at, err) &&
               rehearsal_copy(drill->world, at, drill->backup, &copy, err) &&
               run_inside(drill, &copy, step, ret, err);
}

static DrillAttempt attempt_of(const json_t *said) {
        return (DrillAttempt){
                .step = str_copy(js_str(said, "step")),
                .instance = str_copy(js_str(said, "instance")),
                .killed_at = str_copy(js_str(said, "killed_at")),
                .end = str_copy(js_str(said, "end")),
                .version = str_copy(js_str(said, "version")),
                .whole = js_bool(said, "whole", false),
                .why = str_copy(js_str(said, "why")),
                .recovery_ms = js_int(said, "recovery_ms", -1),
        };
}

/* -- all of them ------------------------------------------------------------------------------ */

static bool undisturbed(const Drill *drill, json_t **ret_steps, Err *err) {
        scoped(js_freep) json_t *said = NULL;
        if (!play(drill, NULL, &said, err))
                return false;
        const char *why = js_str(said, "why");
        if (!js_bool(said, "whole", false)) {
                err_fail(err, ERR_ANSWER_NO,
                        "already an update that nobody disturbs does not succeed on a copy: %s",
                        why ? why : js_str(said, "end"));
                return err_hint(err, "`belay rehearse %s` says more.", drill->world->service->name);
        }
        *ret_steps = json_incref(js_get(said, "steps"));
        return true;
}

typedef struct Listener {
        void (*tell)(void *context, const DrillAttempt *attempt);
        void *context;
} Listener;

static bool play_all(const Drill *drill, const Listener *listener, DrillResult *ret, Err *err) {
        scoped(js_freep) json_t *steps = NULL;
        size_t i;
        json_t *step;
        if (!undisturbed(drill, &steps, err))
                return false;
        json_array_foreach(steps, i, step) {
                scoped(js_freep) json_t *said = NULL;
                if (!play(drill, step, &said, err))
                        return err_context(err, "killing at '%s'", js_str(step, "step"));
                DrillAttempt attempt = attempt_of(said);
                ret->whole += attempt.whole;
                PUSH(ret->attempts, ret->n, attempt);
                listener->tell(listener->context, &ret->attempts[ret->n - 1]);
        }
        return true;
}

bool drill_run(World *world, const char *wanted,
        void (*tell)(void *context, const DrillAttempt *attempt), void *context, DrillResult *ret,
        Err *err) {
        scoped(drill_done) Drill drill = {.world = world};
        scoped(free_str) char *name = str_format("drill-%s", world->service->name);
        drill.base = path_join(world->state->root, name);
        drill.manifest = path_join(drill.base, "belay.yaml");
        world_set_run(world, 0);
        /* Nothing is laid out beside: only the objects are wanted. */
        world->source_at.mark = NULL;
        if (!aim(world, wanted, err) || !refuse_builds(world, err) || !look(world, err) ||
                !rehearsal_migrate_limit_ms(world, &drill.migrate_ms, err))
                return err_context(err, "%s", world->service->name);
        release_copy(&ret->from, &world->from);
        release_copy(&ret->to, &world->to);
        /* What a drill left that was killed itself. */
        bool done = tree_remove(drill.base, err) && write_manifest(&drill, err) &&
                    take_backup(&drill, err) &&
                    play_all(&drill, &(Listener){tell, context}, ret, err);
        return clear_away(&drill, done ? err : NULL) && done;
}
