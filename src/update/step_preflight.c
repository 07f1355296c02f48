/* Preflight, in the run: between the plan that a person saw and now the world may have changed. */
#include "base/own.h"
#include "update/preflight.h"
#include "update/steps.h"

static bool preflight_apply(StepContext *context, Err *err) {
        World *world = context->world;
        scoped(preflight_done) Preflight preflight = {0};
        scoped(free_str) char *title = str_format("%s %s to %s", world->service->name,
                world->from.version ? world->from.version : "?", world->to.version);
        if (!preflight_look(world, true, &preflight, err) || !preflight_ok(&preflight, title, err))
                return false;
        js_set_int(context->observed, "points", preflight.points);
        json_t *passed = json_array(), *warnings = json_array();
        for (size_t i = 0; preflight.passed && preflight.passed[i]; i++)
                json_array_append_new(passed, json_string(preflight.passed[i]));
        for (size_t i = 0; preflight.warnings && preflight.warnings[i]; i++)
                json_array_append_new(warnings, json_string(preflight.warnings[i]));
        js_set(context->observed, "passed", passed);
        js_set(context->observed, "warnings", warnings);
        return true;
}

const Step step_preflight = {
        .name = "preflight",
        .title = "Preflight",
        .phase = PHASE_PREFLIGHT,
        .flags = STEP_READ_ONLY,
        .apply = preflight_apply,
};
