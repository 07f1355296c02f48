#include "update/world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "config/config.h"
#include "manifest/manifest.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/release_needs.h"
#include "update/runs.h"

/* Titles are for people: a port is a number to them. */
static void name_port(Service *service) {
        static const char variable[] = "${port}";
        for (size_t i = 0; i < service->n_checks; i++) {
                char **title = &service->checks[i].title;
                char *at = *title ? strstr(*title, variable) : NULL;
                if (!at || !service->process.port)
                        continue;
                *at = '\0';
                str_replace_owned(title,
                        str_format("%s%u%s", *title, service->process.port, at + strlen(variable)));
        }
}

bool world_open(const State *state, Service *service, World *ret, Err *err) {
        (void)err;
        if (!service->backup.local_stores) {
                char *store = path_join(state->root, "backups");
                service_explain(service, "backup.stores[0].local", store, "default");
                strv_push(&service->backup.local_stores, store);
        }
        name_port(service);
        *ret = (World){
                .state = state,
                .service = service,
                .cancel = ret->cancel,
                .wishes = ret->wishes,
                .runtime = runtime_for(service),
                .runtime_at = {.service = service, .state = state, .brief = true},
                .source = source_of(service),
                .source_at = {.service = service, .state = state},
        };
        ret->source_at.cancel = ret->cancel;
        /* Configuration that Belay edits is never placed by the source. */
        if (config_wanted(&service->configuration))
                strv_add(&ret->allowed, service->configuration.env_file);
        ret->source_at.allowed = ret->allowed;
        return true;
}

RuntimeContext world_runtime_whole(const World *world) {
        RuntimeContext at = world->runtime_at;
        at.brief = false;
        return at;
}

bool world_of_run(
        const State *state, unsigned run, const RunState *run_state, World *ret, Err *err) {
        scoped(free_str) char *undo = state_run_file(state, run, "undo");
        scoped(free_str) char *copy = path_join(undo, "belay.yaml");
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        const char *path = js_str(run_state->plan, "manifest");
        if (!path)
                return err_fail(err, ERR_CORRUPT, "the plan of run #%u names no manifest", run);
        if (!file_read(copy, LIMIT_MANIFEST_BYTES, &text, &bytes, err))
                return err_context(err, "reading the manifest of run #%u", run);
        char sum[65];
        sha256_hex(text, bytes, sum);
        if (!str_equal(sum, js_str(run_state->plan, "manifest_sha256")))
                return err_fail(err, ERR_CORRUPT, "'%s' is not what run #%u saved", copy, run);
        Service *service = NULL;
        if (!manifest_parse(path, text, bytes, &service, err))
                return false;
        if (!world_open(state, service, ret, err))
                return false;
        /* What was detected then is what was backed up; it is not looked for again. */
        service_contents_from_json(service, js_get(run_state->plan, "contents"));
        release_from_json(js_get(run_state->plan, "from"), &ret->from);
        release_from_json(js_get(run_state->plan, "to"), &ret->to);
        ret->options = options_from_json(js_get(run_state->plan, "options"));
        release_needs_from_record(ret, js_get(run_state->plan, "release"));
        ret->run_state = run_state;
        world_set_run(ret, run);
        return true;
}

void world_set_run(World *world, unsigned run) {
        world->run = run;
        snprintf(world->run_text, sizeof(world->run_text), "%u", run);
        str_replace_owned(&world->mark, run_mark(world->state, run));
        str_replace_owned(&world->undo_dir, state_run_file(world->state, run, "undo"));
        world->source_at.mark = world->mark;
}

void world_done(World *world) {
        prober_stop(&world->prober);
        backup_freep(&world->backup);
        backup_plan_done(&world->backup_plan);
        strv_free(world->extra_texts);
        json_decref(world->extra_migrations);
        json_decref(world->preflight);
        release_done(&world->from);
        release_done(&world->to);
        releases_done(&world->releases);
        release_done(&world->waiting);
        strv_free(world->young);
        for (size_t i = 0; i < world->n_way; i++)
                release_done(&world->way[i]);
        free(world->way);
        strv_free(world->way_why);
        json_decref(world->needs);
        free(world->mark);
        free(world->undo_dir);
        strv_free(world->allowed);
        service_freep(&world->service);
        *world = (World){0};
}

char *world_undo_file(const World *world, const char *name) {
        return path_join(world->undo_dir, name);
}

char *world_output_dir(const World *world) {
        return state_run_file(world->state, world->run, "output");
}

const char *world_store(const World *world) { return world->service->backup.local_stores[0]; }

json_t *world_facts(const World *world, const char *step) {
        const StepRecord *record =
                world->run_state ? run_state_step(world->run_state, step, NULL) : NULL;
        return record ? record->facts : NULL;
}

json_t *world_observed(const World *world, const char *step) {
        const StepRecord *record =
                world->run_state ? run_state_step(world->run_state, step, NULL) : NULL;
        return record ? record->observed : NULL;
}

static void backup_progress(void *context, const char *what, uint64_t done, uint64_t total) {
        const World *world = context;
        if (!world->events)
                return;
        json_t *fields = json_object();
        js_set_str(fields, "text", what);
        js_set_int(fields, "done", (int64_t)done);
        js_set_int(fields, "total", (int64_t)total);
        events_add(world->events, "progress", fields);
}

BackupRequest world_backup_request(const World *world, const char *id) {
        BackupRequest request = {
                .service = world->service,
                .store = world_store(world),
                .version = world->from.version ? world->from.version : "unknown",
                .reference = world->from.reference,
                .reason = "update",
                .run = world->run,
                .watch = {.progress = backup_progress, .cancel = world->cancel},
        };
        /* The watch outlives this call only as long as the world does. */
        memcpy(&request.watch.context, &world, sizeof(world));
        snprintf(request.id, sizeof(request.id), "%s", id ? id : "");
        return request;
}
