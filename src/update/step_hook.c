/* Hooks: programs of the service's that run before and after the phases. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "model/environment.h"
#include "model/redact.h"
#include "platform/file.h"
#include "update/around.h"

enum { ERROR_LINES = 5, ERROR_BYTES = 1000 };

/* ---- which hook a step is ---- */

static char *const *command_of(const Service *service, const char *step, Phase *ret_phase) {
        for (size_t phase = 0; phase < PHASE_COUNT; phase++)
                for (size_t after = 0; after < 2; after++)
                        if (str_equal(hook_steps[phase][after].name, step)) {
                                *ret_phase = (Phase)phase;
                                return service->hooks.commands[phase][after];
                        }
        return NULL;
}

/* ---- what it is told ---- */

static json_t *told(const World *world, const char *hook, Phase phase) {
        json_t *object = json_object();
        js_set_str(object, "hook", hook);
        js_set_str(object, "phase", phase_name(phase));
        js_set_str(object, "kind", js_str(world->run_state->plan, "kind"));
        js_set_str(object, "service", world->service->name);
        js_set_int(object, "run_id", world->run);
        js_set_str(object, "version", world->to.version);
        js_set_str(object, "tag", world->to.tag);
        js_set_str(object, "reference", world->to.reference);
        js_set_str(object, "previous_version", world->from.version);
        js_set_str(object, "previous_reference", world->from.reference);
        js_set_str(object, "state", world->state->root);
        return object;
}

/* Each text and number of it as BELAY_NAME. */
static Strv environment_of(const Looking *looking, json_t *about) {
        Strv environment = environment_clean(looking->as_user ? looking->user.uid : geteuid());
        environment_add(&environment, looking->env);
        for (void *at = json_object_iter(about); at; at = json_object_iter_next(about, at)) {
                scoped(str_done) Str name = {0};
                const json_t *value = json_object_iter_value(at);
                str_add(&name, "BELAY_");
                for (const char *c = json_object_iter_key(at); *c; c++)
                        str_add_char(&name, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
                scoped(free_str) char *text =
                        json_is_string(value)
                                ? str_copy(json_string_value(value))
                                : str_format("%lld", (long long)json_integer_value(value));
                environment_set(&environment, name.text, text);
        }
        return environment;
}

/* ---- what it said ---- */

static bool keep_output(const World *world, const Looking *looking, const char *hook,
        const ChildResult *result, char **ret_name, Err *err) {
        scoped(str_done) Str text = {0};
        scoped(free_str) char *dir = world_output_dir(world);
        scoped(free_str) char *name = str_format("%s.txt", hook);
        scoped(free_str) char *path = path_join(dir, name);
        str_add(&text, result->out ? result->out : "");
        if (result->out_cut)
                str_add(&text, "\n[more was written than is kept]\n");
        if (result->err && result->err[0])
                str_addf(&text, "%s%s", text.len ? "\n--- standard error ---\n" : "", result->err);
        scoped(free_str) char *safe = redact(text.text ? text.text : "", looking->secrets);
        if (!file_write_durable(path, safe, strlen(safe), 0600, err))
                return err_context(err, "keeping the output of hook '%s'", hook);
        *ret_name = TAKE(name);
        return true;
}

static char *last_words(const ChildResult *result, const Looking *looking) {
        scoped(free_str) char *lines = child_last_lines(result, ERROR_LINES);
        scoped(free_str) char *clean = redact(lines, looking->secrets);
        size_t n = strlen(clean), over = n > ERROR_BYTES ? n - ERROR_BYTES : 0;
        while (((unsigned char)clean[over] & 0xc0) == 0x80)
                over++;
        return str_format("%s%s", clean[over] ? ": " : "", clean + over);
}

static bool judge(
        const StepContext *context, const ChildResult *result, const Looking *looking, Err *err) {
        const World *world = context->world;
        int status = result->exit_status;
        if (status == 0)
                return true;
        scoped(free_str) char *said = last_words(result, looking);
        if (status == BUSY_EXIT_STATUS && !context->run->armed) {
                err_fail(
                        err, ERR_BUSY, "the hook %s says not now (exit 75)%s", context->step, said);
                return err_hint(err, "Nothing was changed. Try again later.");
        }
        if (status > 128)
                err_fail(err, ERR_TOOL, "the hook %s was ended by signal %d%s", context->step,
                        status - 128, said);
        else
                err_fail(
                        err, ERR_TOOL, "the hook %s exited with %d%s", context->step, status, said);
        return err_hint(
                err, "All it wrote: belay logs %s --run %u", world->service->name, world->run);
}

/* ---- the step ---- */

static bool run_hook(StepContext *context, const Looking *looking, Err *err) {
        const World *world = context->world;
        Phase phase = PHASE_PREFLIGHT;
        char *const *command = command_of(world->service, context->step, &phase);
        scoped(js_freep) json_t *about = told(world, context->step, phase);
        scoped(free_str) char *input = js_line(about);
        scoped(strv_freep) Strv words = NULL, environment = environment_of(looking, about);
        scoped(free_str) char *what = str_format("the hook %s", context->step);
        if (!command)
                return err_fail(
                        err, ERR_BUG, "the manifest of the run has no hook '%s'", context->step);
        Expansion values = looking->check.values;
        values.previous_version = world->from.version;
        if (!looking_words(command, &values, &words, err))
                return false;
        Child child = looking_child(world, looking, words, environment);
        child.input = input;
        child.timeout_ms = world->service->hooks.timeout_ms;
        child.what = what;
        scoped(child_result_done) ChildResult result = {0};
        scoped(free_str) char *output = NULL;
        bool ran = child_run(&child, &result, err);
        /* What it wrote is kept in every case; that this fails must not hide why it failed. */
        bool kept = keep_output(world, looking, context->step, &result, &output,
                ran && result.exit_status == 0 ? err : NULL);
        if (!ran || !judge(context, &result, looking, err) || !kept)
                return false;
        js_set_str(context->observed, "output", output);
        return true;
}

static bool hook_apply(StepContext *context, Err *err) {
        scoped(looking_done) Looking looking = {0};
        const World *world = context->world;
        return looking_open(world, &world->to, &looking, err) && run_hook(context, &looking, err);
}

/* While it goes back a hook has no say: the old version must come back whatever it does. */
static bool hook_apply_back(StepContext *context, Err *err) {
        scoped(err_clear) Err why = {0};
        (void)err;
        if (!hook_apply(context, &why)) {
                js_set_str(context->observed, "warning", why.message);
                json_t *event = json_object();
                js_set_str(event, "step", context->step);
                js_set_str(event, "text", why.message);
                events_add(context->events, "note", event);
        }
        return true;
}

/* Not undone: what a hook did outside is its own; the hooks of rollback are there for that. Where Belay died
 * while one ran, it is run again. */
#define HOOK(step_name, of_phase)                                                                  \
        {                                                                                          \
                .name = (step_name), .title = "Hook " step_name, .phase = (of_phase),              \
                .flags = STEP_READ_ONLY | STEP_REDO_SAFE, .apply = hook_apply,                     \
        }
#define HOOKS(name_of, of_phase)                                                                   \
        [of_phase] = {HOOK("before-" name_of, of_phase), HOOK("after-" name_of, of_phase)}

const Step hook_steps[PHASE_COUNT][2] = {
        HOOKS("preflight", PHASE_PREFLIGHT),
        HOOKS("fetch", PHASE_FETCH),
        HOOKS("backup", PHASE_BACKUP),
        HOOKS("rehearse", PHASE_REHEARSE),
        /* Before ARM, so that it can still say "not now". */
        [PHASE_QUIESCE] = {HOOK("before-quiesce", PHASE_REHEARSE),
                HOOK("after-quiesce", PHASE_QUIESCE)},
        HOOKS("place", PHASE_PLACE),
        HOOKS("migrate", PHASE_MIGRATE),
        HOOKS("start", PHASE_START),
        HOOKS("verify", PHASE_VERIFY),
        HOOKS("monitor", PHASE_MONITOR),
        HOOKS("finish", PHASE_FINISH),
        [PHASE_ROLLBACK] = {{.name = "before-rollback",
                                    .title = "Hook before-rollback",
                                    .phase = PHASE_ROLLBACK,
                                    .flags = STEP_BEFORE_UNDO | STEP_REDO_SAFE,
                                    .apply = hook_apply_back},
                {.name = "after-rollback",
                        .title = "Hook after-rollback",
                        .phase = PHASE_ROLLBACK,
                        .flags = STEP_AFTER_UNDO | STEP_REDO_SAFE,
                        .apply = hook_apply_back}},
};
