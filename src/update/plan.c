#include "update/plan.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/path.h"
#include "update/release_needs.h"

void plan_drop_lines(Plan *plan) {
        for (size_t i = 0; i < plan->n_lines; i++) {
                free(plan->lines[i].instance);
                free(plan->lines[i].text);
                free(plan->lines[i].undo);
        }
        free(plan->lines);
        plan->lines = NULL;
        plan->n_lines = 0;
}

void plan_done(Plan *plan) {
        free(plan->nothing);
        free(plan->title);
        release_done(&plan->from);
        release_done(&plan->to);
        plan_drop_lines(plan);
        strv_free(plan->notes);
        reasons_done(&plan->reasons);
        free(plan->store);
        json_decref(plan->data);
        *plan = (Plan){0};
}

/* What happens to the service while a step runs follows from where the step stands. */
static const char *service_during(const Plan *plan, size_t n, const Step *step) {
        if (step == NULL || step->flags & STEP_INTERRUPTS)
                return "STOPS";
        if (step->phase == PHASE_START && str_equal(step->name, "start"))
                return "STARTS";
        bool stopped = false, started = false;
        for (size_t i = 0; i < n; i++) {
                stopped = stopped || plan->lines[i].step->flags & STEP_INTERRUPTS;
                started = started || str_equal(plan->lines[i].step->name, "start");
        }
        return stopped && !started ? "stopped" : "runs";
}

void plan_add(Plan *plan, const Step *step, char *instance, char *text, const char *undo) {
        const PlanLine line = {
                .step = step,
                .instance = instance,
                .text = text,
                .service = service_during(plan, plan->n_lines, step),
                .undo = str_copy(undo ? undo : "–"),
                .usually_ms = -1,
        };
        PUSH(plan->lines, plan->n_lines, line);
}

void plan_insert(Plan *plan, size_t at, const Step *step, char *text) {
        plan_add(plan, step, NULL, text, NULL);
        PlanLine line = plan->lines[plan->n_lines - 1];
        line.service = service_during(plan, at, step);
        memmove(plan->lines + at + 1, plan->lines + at,
                (plan->n_lines - 1 - at) * sizeof(*plan->lines));
        plan->lines[at] = line;
}

void plan_note(Plan *plan, const char *format, ...) {
        va_list args;
        va_start(args, format);
        strv_push(&plan->notes, str_vformat(format, args));
        va_end(args);
}

bool plan_ok(const Plan *plan, Err *err) { return reasons_ok(&plan->reasons, plan->title, err); }

static json_t *steps_to_json(const Plan *plan) {
        json_t *steps = json_array();
        for (size_t i = 0; i < plan->n_lines; i++) {
                const PlanLine *line = &plan->lines[i];
                json_t *step = json_object();
                js_set_str(step, "name", line->step->name);
                js_set_str(step, "instance", line->instance);
                js_set_str(step, "phase", phase_name(line->step->phase));
                js_set_str(step, "text", line->text);
                js_set_str(step, "service", line->service);
                js_set_str(step, "undo", line->undo);
                if (line->usually_ms >= 0)
                        js_set_int(step, "usually_ms", line->usually_ms);
                json_array_append_new(steps, step);
        }
        return steps;
}

void plan_seal(Plan *plan, const World *world) {
        scoped(js_freep) json_t *all = json_object();
        js_set_str(all, "service", world->service->name);
        js_set_str(all, "kind", plan->story->kind);
        js_set_str(all, "from", plan->from.reference);
        js_set_str(all, "to", plan->to.reference);
        /* How long to wait, for a lock or a time, changes nothing of what is done. */
        Options options = world->options;
        options.wait_lock_ms = options.at_ms = 0;
        options.in_window = false;
        js_set(all, "options", options_to_json(&options));
        /* Sizes change all the time; which steps there are does not. */
        json_t *steps = json_array();
        for (size_t i = 0; i < plan->n_lines; i++) {
                if (str_equal(plan->lines[i].step->name, "wait"))
                        continue;
                json_array_append_new(steps, json_string(plan->lines[i].step->name));
                if (plan->lines[i].instance)
                        json_array_append_new(steps, json_string(plan->lines[i].instance));
        }
        js_set(all, "steps", steps);
        js_set(all, "path", path_to_json(world));
        if (plan->data)
                js_set(all, "data", json_incref(plan->data));
        scoped(free_str) char *text = js_line(all);
        scoped(free_str) char *whole = str_format("%s\n%.*s", text,
                (int)world->service->manifest_bytes, world->service->manifest_text);
        char sum[65];
        sha256_hex(whole, strlen(whole), sum);
        snprintf(plan->id, sizeof(plan->id), "%.8s", sum);
}

json_t *plan_to_record(const Plan *plan, const World *world) {
        const Service *service = world->service;
        char sum[65];
        sha256_hex(service->manifest_text, service->manifest_bytes, sum);
        json_t *record = json_object();
        js_set_int(record, "format", JOURNAL_FORMAT);
        js_set_str(record, "service", service->name);
        js_set_str(record, "kind", plan->story->kind);
        js_set_str(record, "title", plan->title);
        js_set(record, "from", release_to_json(&plan->from));
        js_set(record, "to", release_to_json(&plan->to));
        js_set(record, "options", options_to_json(&world->options));
        js_set_str(record, "manifest", service->manifest_path);
        js_set_str(record, "manifest_sha256", sum);
        js_set(record, "contents", service_contents_to_json(service));
        if (plan->data)
                js_set(record, "data", json_incref(plan->data));
        /* Only an update goes on: of the way a rehearsal tries the first part. */
        json_t *path = str_equal(plan->story->kind, "update") ? path_to_record(world) : NULL;
        if (path)
                js_set(record, "path", path);
        if (world->needs)
                js_set(record, "release", release_needs_to_record(world));
        js_set_str(record, "plan", plan->id);
        js_set(record, "steps", steps_to_json(plan));
        return record;
}

static json_t *downtime_json(const Downtime *downtime) {
        json_t *object = json_object();
        js_set_int(object, "runs", (int64_t)downtime->runs);
        if (downtime->runs) {
                js_set_int(object, "ms", downtime->ms);
                js_set_int(object, "shortest_ms", downtime->shortest_ms);
                js_set_int(object, "longest_ms", downtime->longest_ms);
        }
        if (downtime->rehearsed)
                js_set_int(object, "rehearsed_ms", downtime->rehearsed_ms);
        return object;
}

json_t *plan_to_json(const Plan *plan) {
        json_t *object = json_object();
        js_set_str(object, "title", plan->title);
        if (plan->nothing) {
                js_set_str(object, "nothing_to_do", plan->nothing);
                return object;
        }
        js_set_bool(object, "blocked", reasons_exit_status(&plan->reasons) != 0);
        js_set(object, "reasons", reasons_to_json(&plan->reasons));
        js_set_str(object, "plan", plan->n_lines ? plan->id : NULL);
        js_set_str(object, "kind", plan->story->kind);
        js_set(object, "from", release_to_json(&plan->from));
        js_set(object, "to", release_to_json(&plan->to));
        js_set(object, "steps", steps_to_json(plan));
        json_t *notes = json_array();
        for (size_t i = 0; plan->notes && plan->notes[i]; i++)
                json_array_append_new(notes, json_string(plan->notes[i]));
        js_set(object, "notes", notes);
        if (plan->downtime.runs || plan->downtime.rehearsed)
                js_set(object, "expected_downtime", downtime_json(&plan->downtime));
        js_set_str(object, "store", plan->store);
        js_set_int(object, "bytes_needed", (int64_t)plan->bytes_needed);
        js_set_int(object, "bytes_free", (int64_t)plan->bytes_free);
        return object;
}
