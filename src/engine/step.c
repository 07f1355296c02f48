/* One step: intent, act, result. The order of the lines in step_begin is what this project is about. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "engine/drive.h"
#include "platform/clock.h"

enum { RECORD_REST_BYTES = 8 * 1024 }; /* what else is in the record beside facts or observations */

static const Step *of(const Drive *drive, size_t i) { return drive->steps[i]; }

static StepRecord *record_of(const Drive *drive, size_t i) { return &drive->run->steps[i]; }

StepContext step_context(const Drive *drive, size_t i) {
        const StepRecord *record = record_of(drive, i);
        return (StepContext){
                .world = drive->engine->world,
                .instance = record->instance,
                .facts = record->facts,
                .decision = drive->run->rollback ? js_get(drive->run->rollback, "decision") : NULL,
                .run = drive->run,
                .attempt = record->attempts,
                .recovering = drive->recovering,
                .events = drive->engine->events,
                .step = record->name,
                .cancel = drive->engine->cancel,
        };
}

void step_event(
        const Drive *drive, size_t i, const char *state, const char *text, int64_t took_ms) {
        const StepRecord *record = record_of(drive, i);
        json_t *event = json_object();
        js_set_str(event, "step", record->name);
        js_set_str(event, "instance", record->instance);
        js_set_str(event, "phase", phase_name(of(drive, i)->phase));
        js_set_str(event, "title", of(drive, i)->title);
        js_set_bool(event, "undo", record->undo != STEP_NOT_BEGUN);
        js_set_str(event, "state", state);
        js_set_str(event, "text", text);
        if (took_ms >= 0)
                js_set_int(event, "took_ms", took_ms);
        events_add(drive->engine->events, "step", event);
}

/* Whether the journal can hold it, and read it back: found out before anything is done. */
static bool fits(const json_t *object) {
        scoped(free_str) char *line = js_line(object);
        size_t bytes = strlen(line);
        if (bytes > LIMIT_JOURNAL_RECORD - RECORD_REST_BYTES)
                return false;
        scoped(js_freep) json_t *again = js_parse(line, bytes, "facts", NULL);
        return again != NULL;
}

static json_t *payload_of(const Drive *drive, size_t i, bool undo) {
        json_t *payload = drive_step_payload(drive, i);
        js_set_bool(payload, "undo", undo);
        return payload;
}

static bool write_intent(Drive *drive, size_t i, bool undo, json_t *facts, Err *err) {
        const StepRecord *record = record_of(drive, i);
        json_t *payload = payload_of(drive, i, undo);
        js_set_int(payload, "attempt", (undo ? record->undo_attempts : record->attempts) + 1);
        if (facts)
                js_set(payload, "facts", json_incref(facts));
        return drive_write(drive, RECORD_INTENT, payload, err);
}

static bool write_done(
        Drive *drive, size_t i, bool undo, json_t *observed, int64_t took_ms, Err *err) {
        json_t *payload = payload_of(drive, i, undo);
        js_set(payload, "observed",
                fits(observed) ? json_incref(observed) : json_pack("{s:b}", "left_out", 1));
        js_set_int(payload, "took_ms", took_ms);
        return drive_write(drive, RECORD_DONE, payload, err);
}

static bool write_failed(
        Drive *drive, size_t i, bool undo, const Err *why, int64_t took_ms, Err *err) {
        json_t *payload = payload_of(drive, i, undo);
        if (!undo && record_of(drive, i)->forward == STEP_NOT_BEGUN)
                js_set_bool(payload, "began", false);
        js_set(payload, "error", error_to_json(why));
        js_set_int(payload, "took_ms", took_ms);
        if (!drive_write(drive, RECORD_FAILED, payload, err))
                return false;
        step_event(drive, i, "failed", why->message, took_ms);
        if (!undo && !drive->run->armed && drive->why.code == ERR_NONE)
                error_from_json(record_of(drive, i)->error, &drive->why);
        bool warning = of(drive, i)->flags & STEP_BEFORE_UNDO || undo || drive->run->committed;
        return !warning || drive_note(drive, i, why->message, err);
}

bool step_fail(Drive *drive, size_t i, const Err *why, Err *err) {
        return write_failed(drive, i, false, why, 0, err);
}

bool step_done_by(Drive *drive, size_t i, const char *by, Err *err) {
        scoped(js_freep) json_t *observed = json_object();
        js_set_bool(observed, by, true);
        if (!write_done(drive, i, false, observed, 0, err))
                return false;
        step_event(drive, i, "done", NULL, 0);
        return true;
}

/* A person has to do or confirm something: the step stays open until then. */
static bool wait_for_person(Drive *drive, size_t i, const Err *why, Err *err) {
        json_t *payload = drive_step_payload(drive, i);
        js_set_str(payload, "for", "step");
        js_set_str(payload, "why", why->message);
        js_set_str(payload, "hint", why->hint);
        return drive_write(drive, RECORD_WAIT, payload, err);
}

static bool may_wait(const Drive *drive) {
        return drive->run->armed && !drive->run->committed && !drive->run->rolling_back;
}

static void leave_cancel_behind(const Drive *drive, bool undo) {
        bool onward = !undo && !drive->abort && !drive->run->rolling_back && !drive->run->committed;
        if (!onward && drive->engine->story->beyond_cancel)
                drive->engine->story->beyond_cancel(drive->engine->world);
}

static bool prepare(const Drive *drive, size_t i, json_t *facts, Err *err) {
        StepContext context = step_context(drive, i);
        context.facts = facts;
        context.attempt = 1;
        if (of(drive, i)->prepare && !of(drive, i)->prepare(&context, err))
                return false;
        if (!fits(facts))
                return err_fail(err, ERR_BUG,
                        "the facts of step '%s' are too large or cannot be journaled",
                        record_of(drive, i)->name);
        return true;
}

/* Facts are gathered once, before the first intent: after half an act they would describe that half. */
static bool gather(const Drive *drive, size_t i, json_t **ret_facts, Err *err) {
        const StepRecord *record = record_of(drive, i);
        if (record->forward == STEP_OPEN && record->facts) {
                *ret_facts = json_incref(record->facts);
                return true;
        }
        scoped(js_freep) json_t *facts = json_object();
        if (!prepare(drive, i, facts, err))
                return false;
        *ret_facts = TAKE(facts);
        return true;
}

static bool apply(Drive *drive, size_t i, json_t *observed, Err *why) {
        StepContext context = step_context(drive, i);
        context.observed = observed;
        if (of(drive, i)->apply(&context, why))
                return true;
        if (why->code == ERR_NONE)
                err_fail(why, ERR_BUG, "step '%s' failed without saying why",
                        record_of(drive, i)->name);
        return false;
}

bool step_begin(Drive *drive, size_t i, Err *err) {
        scoped(js_freep) json_t *facts = NULL;
        scoped(js_freep) json_t *observed = json_object();
        scoped(err_clear) Err why = {0};
        int64_t began = clock_now_ms();
        leave_cancel_behind(drive, false);
        step_event(drive, i, "begin", NULL, -1);
        if (!gather(drive, i, &facts, &why))
                return write_failed(drive, i, false, &why, clock_now_ms() - began, err);
        if (!write_intent(drive, i, false, facts, err))
                return false;
        bool applied = apply(drive, i, observed, &why);
        int64_t took_ms = clock_now_ms() - began;
        if (!applied && why.code == ERR_INCONCLUSIVE && may_wait(drive))
                return wait_for_person(drive, i, &why, err);
        if (!applied)
                return write_failed(drive, i, false, &why, took_ms, err);
        if (!write_done(drive, i, false, observed, took_ms, err))
                return false;
        step_event(drive, i, "done", NULL, took_ms);
        return true;
}

static bool take_back(Drive *drive, size_t i, json_t *observed, Err *why) {
        StepContext context = step_context(drive, i);
        context.observed = observed;
        context.attempt = record_of(drive, i)->undo_attempts;
        context.forward_done = record_of(drive, i)->forward == STEP_DONE;
        context.cancel = NULL;
        if (of(drive, i)->undo(&context, why))
                return true;
        if (why->code == ERR_NONE)
                err_fail(why, ERR_BUG, "undoing step '%s' failed without saying why",
                        record_of(drive, i)->name);
        return false;
}

bool step_undo(Drive *drive, size_t i, Err *err) {
        scoped(js_freep) json_t *observed = json_object();
        scoped(err_clear) Err why = {0};
        int64_t began = clock_now_ms();
        leave_cancel_behind(drive, true);
        if (!write_intent(drive, i, true, NULL, err))
                return false;
        step_event(drive, i, "begin", NULL, -1);
        bool undone = take_back(drive, i, observed, &why);
        int64_t took_ms = clock_now_ms() - began;
        if (undone && !write_done(drive, i, true, observed, took_ms, err))
                return false;
        if (undone) {
                step_event(drive, i, "done", NULL, took_ms);
                return true;
        }
        if (!write_failed(drive, i, true, &why, took_ms, err))
                return false;
        const StepRecord *record = record_of(drive, i);
        unsigned attempts = record->undo_attempts - record->undo_forgiven;
        if (attempts < ENGINE_ATTEMPTS_MAX && why.code != ERR_DRIFT)
                clock_sleep_ms(drive->pauses->undo_ms[attempts - 1]);
        return true;
}
