/* scripts: each file run by its interpreter, or by itself, in the service's directory. */
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "migrate/migrate_parts.h"
#include "model/environment.h"
#include "model/redact.h"

enum { ERROR_LINES = 5, ERROR_BYTES = 1000 };

typedef struct Started {
        const MigrateContext *context;
        const Migration *migration;
} Started;

static void started(void *context, const ProcessId *process) {
        const Started *what = context;
        if (what->context->started)
                what->context->started(
                        what->context->started_context, what->migration->id, process);
}

/* The path is never taken for an option, and one without an interpreter is found here, not in PATH. */
static Strv words_of(const MigrateContext *context, const Migration *migration) {
        Strv words = strv_copy(migration->spec->run_with);
        if (!words)
                strv_push(&words, path_join(context->service->directory, migration->path));
        else if (migration->path[0] == '-')
                strv_addf(&words, "./%s", migration->path);
        else
                strv_add(&words, migration->path);
        return words;
}

static Strv environment_of(const MigrateContext *context) {
        Strv environment = environment_clean(context->as_user ? context->uid : geteuid());
        environment_add(&environment, context->env);
        environment_add(&environment, context->extra);
        environment_set(&environment, "BELAY_SERVICE", context->service->name);
        return environment;
}

static bool keep(const MigrateContext *context, const Migration *migration,
        const ChildResult *result, MigrateResult *ret, Err *err) {
        scoped(str_done) Str text = {0};
        if (result->out)
                str_add(&text, result->out);
        if (result->out_cut)
                str_add(&text, "\n[more was written than is kept]\n");
        if (result->err && result->err[0])
                str_addf(&text, "%s%s", text.len > 0 ? "\n--- standard error ---\n" : "",
                        result->err);
        return migrate_keep_output(
                context, migration, text.text ? text.text : "", &ret->output_path, err);
}

static bool failed(const MigrateContext *context, const Migration *migration,
        const ChildResult *result, Err *err) {
        scoped(free_str) char *lines = child_last_lines(result, ERROR_LINES);
        scoped(free_str) char *whole = redact(lines, context->secrets);
        /* Cut only when it is clean: the front of a secret may not stay without its end. */
        size_t n = strlen(whole), over = n > ERROR_BYTES ? n - ERROR_BYTES : 0;
        while (((unsigned char)whole[over] & 0xc0) == 0x80)
                over++;
        const char *safe = whole + over;
        if (result->exit_status > 128)
                err_fail(err, ERR_TOOL, "'%s' was ended by signal %d: %s", migration->path,
                        result->exit_status - 128, safe);
        else
                err_fail(err, ERR_TOOL, "'%s' exited with %d: %s", migration->path,
                        result->exit_status, safe);
        return context->output_dir
                       ? err_hint(err, "All it wrote: belay logs --run %u", context->run)
                       : false;
}

bool migrate_run_script(
        const MigrateContext *context, const Migration *migration, MigrateResult *ret, Err *err) {
        scoped(strv_freep) Strv words = words_of(context, migration),
                                environment = environment_of(context);
        scoped(free_str) char *what = str_format("migration '%s'", migration->title);
        Started told = {context, migration};
        Child child = {.argv = words,
                .directory = context->service->directory,
                .environment = environment,
                .uid = context->uid,
                .gid = context->gid,
                .as_user = context->as_user,
                .timeout_ms = migration->spec->timeout_ms > 0 ? migration->spec->timeout_ms
                                                              : MIGRATE_TIMEOUT_MS,
                .what = what,
                .mark = context->mark,
                .cancel = context->cancel,
                .started = started,
                .context = &told};
        scoped(child_result_done) ChildResult result = {0};
        scoped(migrate_result_done) MigrateResult kept = {0};
        bool ran = child_run(&child, &result, err);
        /* What it wrote is kept in every case; that this fails too must not hide why it failed. */
        bool written = keep(
                context, migration, &result, &kept, ran && result.exit_status == 0 ? err : NULL);
        if (!ran)
                return false;
        if (result.exit_status != 0)
                return failed(context, migration, &result, err);
        if (!written)
                return false;
        ret->output_path = TAKE(kept.output_path);
        ret->summary = str_copy("exit 0");
        return true;
}
