/* Busy: the service says "not now". It is asked again and again for a while, and never interrupted. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/units.h"
#include "model/environment.h"
#include "model/redact.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/lock.h"
#include "update/around.h"

enum { LOCK_FILE_BYTES = 4096, LOOK_AT_CANCEL_MS = 200 };

/* ---- by a command ---- */

static bool judge(const ChildResult *result, const Looking *looking, const char *program,
        char **ret_why, Err *err) {
        scoped(free_str) char *lines = child_last_lines(result, 1);
        scoped(free_str) char *said = redact(lines, looking->secrets);
        if (result->exit_status == 0)
                return true;
        if (result->exit_status == BUSY_EXIT_STATUS) {
                *ret_why = said[0] ? str_format("'%s' says: %.200s", program, said)
                                   : str_format("'%s' exits with 75", program);
                return true;
        }
        err_fail(err, ERR_TOOL,
                "'%s', which says whether the service is busy, exited with %d%s%.200s", program,
                result->exit_status, said[0] ? ": " : "", said);
        return err_hint(err, "It is to exit with 0 (not busy) or 75 (busy): see `busy` in the "
                             "manifest.");
}

static bool ask_command(const World *world, const Looking *looking, char **ret_why, Err *err) {
        const BusySpec *busy = &world->service->busy;
        scoped(strv_freep) Strv words = NULL;
        scoped(strv_freep) Strv environment =
                environment_clean(looking->as_user ? looking->user.uid : geteuid());
        environment_add(&environment, looking->env);
        environment_set(&environment, "BELAY_SERVICE", world->service->name);
        if (!looking_words(busy->command, &looking->check.values, &words, err))
                return false;
        Child child = looking_child(world, looking, words, environment);
        child.timeout_ms = busy->within_ms;
        child.what = "the question whether the service is busy";
        scoped(child_result_done) ChildResult result = {0};
        return child_run(&child, &result, err) &&
               judge(&result, looking, busy->command[0], ret_why, err);
}

/* ---- by a file ---- */

/* Held by a living process: a lock on it (flock, fcntl), or its pid inside. A file that nobody holds was left
 * behind, and says nothing. */
static bool ask_file(const char *path, char **ret_why, Err *err) {
        scoped(free_str) char *text = NULL;
        uint64_t pid = 0;
        ProcessId process = {0};
        if (!file_exists(path))
                return true;
        scoped(free_str) char *holder = lock_file_holder(path);
        if (holder) {
                *ret_why = str_format("'%s' is held by %s", path, holder);
                return true;
        }
        if (!file_read_if(path, LOCK_FILE_BYTES, &text, NULL, err))
                return err_context(err, "asking whether the service is busy");
        if (!text)
                return true;
        char *word = str_trim(text);
        word[strcspn(word, " \t\r\n")] = '\0';
        if (str_to_uint(word, INT32_MAX, &pid) && pid > 0 && process_identify((pid_t)pid, &process))
                *ret_why = str_format("'%s' names process %d, which lives", path, (int)pid);
        return true;
}

bool busy_ask(const World *world, const Looking *looking, char **ret_why, Err *err) {
        const BusySpec *busy = &world->service->busy;
        *ret_why = NULL;
        if (busy->command)
                return ask_command(world, looking, ret_why, err);
        return !busy->lock_file || ask_file(busy->lock_file, ret_why, err);
}

/* ---- the step ---- */

static bool pause_for(const World *world, int64_t ms, Err *err) {
        int64_t until = clock_now_ms() + ms;
        while (clock_now_ms() < until) {
                if (world->cancel && world->cancel->requested)
                        return err_fail(err, ERR_CANCELLED, "cancelled while it was busy");
                int64_t left = until - clock_now_ms();
                clock_sleep_ms(left < LOOK_AT_CANCEL_MS ? left : LOOK_AT_CANCEL_MS);
        }
        return true;
}

/* With `passed` below 0 as a line of its own. */
static void tell(const StepContext *context, const char *why, int64_t passed, int64_t most) {
        json_t *fields = json_object();
        js_set_str(fields, "step", context->step);
        js_set_str(fields, "text", why);
        if (passed >= 0) {
                js_set_int(fields, "done", passed);
                js_set_int(fields, "total", most);
        }
        events_add(context->events, passed < 0 ? "note" : "progress", fields);
}

static bool busy_apply(StepContext *context, Err *err) {
        const World *world = context->world;
        const BusySpec *busy = &world->service->busy;
        scoped(looking_done) Looking looking = {0};
        int64_t began = clock_now_ms();
        if (!looking_open(world, &world->from, &looking, err))
                return false;
        for (unsigned asked = 1;; asked++) {
                scoped(free_str) char *why = NULL;
                if (!busy_ask(world, &looking, &why, err))
                        return false;
                int64_t passed = clock_now_ms() - began;
                js_set_int(context->observed, "asked", asked);
                if (!why)
                        return true;
                if (asked == 1)
                        tell(context, why, -1, 0);
                tell(context, why, passed, busy->for_ms);
                if (passed + busy->every_ms > busy->for_ms) {
                        scoped(free_str) char *how_long = duration_text(busy->for_ms);
                        err_fail(err, ERR_BUSY, "%s has been busy for %s: %s", world->service->name,
                                how_long, why);
                        return err_hint(err, "Nothing was changed. Try again later.");
                }
                if (!pause_for(world, busy->every_ms, err))
                        return false;
        }
}

/* The last thing before ARM: from here on it is stopped. */
const Step step_busy = {
        .name = "busy",
        .title = "Wait until the service is not busy",
        .phase = PHASE_REHEARSE,
        .flags = STEP_READ_ONLY,
        .apply = busy_apply,
};
