/* Preflight, in the run: between the plan that a person saw and the locks the world may have changed. */
#include "base/own.h"
#include "update/preflight.h"
#include "update/steps.h"

static bool preflight_apply(StepContext *context, Err *err) {
        World *world = context->world;
        /* The runner made its plan under the same locks, an instant ago: nothing can have changed. */
        if (world->preflight) {
                json_object_update(context->observed, world->preflight);
                return true;
        }
        scoped(preflight_done) Preflight preflight = {0};
        scoped(free_str) char *title = str_format("%s %s to %s", world->service->name,
                world->from.version ? world->from.version : "?", world->to.version);
        if (!preflight_look(world, true, &preflight, err) ||
                !reasons_ok(&preflight.reasons, title, err))
                return false;
        scoped(js_freep) json_t *seen = preflight_to_json(&preflight);
        json_object_update(context->observed, seen);
        return true;
}

const Step step_preflight = {
        .name = "preflight",
        .title = "Preflight",
        .phase = PHASE_PREFLIGHT,
        .flags = STEP_READ_ONLY,
        .apply = preflight_apply,
};
