/* Fetch and place: what is new is brought here while the old version serves, and put where it will run
 * while nothing runs. */
#include <stdlib.h>

#include "base/own.h"
#include "config/config.h"
#include "model/expand.h"
#include "platform/file.h"
#include "update/settings.h"
#include "update/steps.h"

/* -- fetch -- */

static bool fetch_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        js_set_str(context->observed, "commit", world->to.reference);
        return world->source->fetch(&world->source_at, &world->to, err);
}

static bool fetch_undo(StepContext *context, Err *err) {
        const World *world = context->world;
        (void)context;
        return clean_source(world, false, err);
}

const Step step_fetch = {
        .name = "fetch",
        .title = "Fetch",
        .phase = PHASE_FETCH,
        .flags = STEP_REDO_SAFE,
        .apply = fetch_apply,
        .undo = fetch_undo,
};

/* -- build: dependencies and programs, made beside as the owner of the files -- */

static bool build_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(free_str) char *output = world_output_dir(world);
        scoped(looking_done) Looking looking = {0};
        if (!looking_open(world, &world->to, &looking, err))
                return false;
        const SourceBuild how = {
                .values = looking.check.values,
                .secrets = looking.secrets,
                .output_dir = output,
        };
        if (world->source->build(&world->source_at, &world->to, &how, err))
                return true;
        if (!err->hint && (err->code == ERR_TOOL || err->code == ERR_TIMEOUT))
                err_hint(err, "Nothing was changed. All it wrote: belay logs %s --run %u",
                        world->service->name, world->run);
        return false;
}

const Step step_build = {
        .name = "build",
        .title = "Install and build",
        .phase = PHASE_FETCH,
        .flags = STEP_REDO_SAFE,
        .apply = build_apply,
        .undo = fetch_undo,
};

/* -- config: the env file -- */

static bool config_step_prepare(StepContext *context, Err *err) {
        const World *world = context->world;
        scoped(free_str) char *undo = world_undo_file(world, "env");
        scoped(settings_done) Settings settings = {0};
        if (!settings_expand(world, &world->to, &settings, err))
                return false;
        settings.change.undo_path = undo;
        return config_prepare(&settings.change, context->facts, err);
}

static bool config_step_apply(StepContext *context, Err *err) {
        return config_apply(context->facts, err);
}

static bool config_step_undo(StepContext *context, Err *err) {
        bool by_key = false;
        if (!config_undo(context->facts, &by_key, err))
                return false;
        js_set_bool(context->observed, "by_key", by_key);
        return true;
}

/* The truths of config/ and source/ have the engine's names and order. */
static StepTruth truth_of(int truth) { return (StepTruth)truth; }

static bool config_step_observe(StepContext *context, StepTruth *ret, Err *err) {
        ConfigTruth truth = CONFIG_UNKNOWN;
        if (!config_observe(context->facts, &truth, err))
                return false;
        *ret = truth_of((int)truth);
        return true;
}

const Step step_config = {
        .name = "config",
        .title = "Set configuration",
        .phase = PHASE_PLACE,
        .flags = STEP_REDO_SAFE,
        .prepare = config_step_prepare,
        .apply = config_step_apply,
        .undo = config_step_undo,
        .observe = config_step_observe,
};

/* -- place: the tracked files of the checkout -- */

static bool place_prepare(StepContext *context, Err *err) {
        const World *world = context->world;
        return world->source->place_facts(&world->source_at, &world->to, context->facts, err);
}

static bool place_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        return world->source->place(&world->source_at, context->facts, err);
}

static bool place_undo(StepContext *context, Err *err) {
        const World *world = context->world;
        /* On a full disk this needs room, too. The new version is stopped by now: only the restore follows. */
        (void)backup_unreserve(world->service, world->run_text, NULL);
        return world->source->unplace(&world->source_at, context->facts, err);
}

static bool place_observe(StepContext *context, StepTruth *ret, Err *err) {
        const World *world = context->world;
        SourceTruth truth = SOURCE_UNKNOWN;
        scoped(free_str) char *why = NULL;
        if (!world->source->observe(&world->source_at, context->facts, &truth, &why, err))
                return false;
        if (why)
                err_fail(err, ERR_DRIFT, "%s", why); /* what recovery says when it stops for it */
        *ret = truth_of((int)truth);
        return true;
}

const Step step_place = {
        .name = "place",
        .title = "Place the new files",
        .phase = PHASE_PLACE,
        .flags = STEP_REDO_SAFE,
        .prepare = place_prepare,
        .apply = place_apply,
        .undo = place_undo,
        .observe = place_observe,
};
