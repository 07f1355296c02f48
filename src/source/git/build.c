#include "source/git/build.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/units.h"
#include "model/environment.h"
#include "model/redact.h"
#include "platform/file.h"

enum { LAST_LINES = 8, LAST_BYTES = 1500 };

bool build_wanted(const SourceContext *context) {
        const GitSpec *git = &context->service->git;
        return git->install || git->build;
}

static bool words_of(char *const *words, const SourceBuild *how, Strv *ret, Err *err) {
        scoped(strv_freep) Strv argv = NULL;
        for (; *words; words++) {
                char *word = expand(*words, &how->values, err);
                if (!word)
                        return false;
                strv_push(&argv, word);
        }
        *ret = TAKE(argv);
        return true;
}

/*
 * Nothing of the service's settings: install and build find what they would find when a person ran them in a
 * fresh checkout. Compose would name projects and images by the directory, which is another one for each version.
 */
static Strv environment_of(const Repo *repo, const Release *to, const SourceBuild *how) {
        const char *service = repo->context->service->name;
        Strv environment = environment_clean(repo->as_user ? repo->uid : geteuid());
        environment_set(&environment, "COMPOSE_PROJECT_NAME", service);
        environment_set(&environment, "BELAY_SERVICE", service);
        environment_set(&environment, "BELAY_VERSION", to->version ? to->version : "");
        environment_set(&environment, "BELAY_COMMIT", to->reference);
        environment_set(&environment, "BELAY_PREVIOUS_VERSION",
                how->values.previous_version ? how->values.previous_version : "");
        return environment;
}

static bool keep_output(
        const SourceBuild *how, const char *name, const ChildResult *result, Err *err) {
        if (!how->output_dir)
                return true;
        scoped(str_done) Str text = {0};
        str_add(&text, result->out ? result->out : "");
        if (result->out_cut)
                str_add(&text, "\n[more was written than is kept]\n");
        if (result->err && result->err[0])
                str_addf(&text, "%s%s", text.len ? "\n--- standard error ---\n" : "", result->err);
        scoped(free_str) char *file = str_format("%s.txt", name);
        scoped(free_str) char *path = path_join(how->output_dir, file);
        scoped(free_str) char *safe = redact(text.text ? text.text : "", how->secrets);
        return file_write_durable(path, safe, strlen(safe), 0600, err) ||
               err_context(err, "keeping the output of '%s'", name);
}

/* The last lines of what it said, without secrets, and not cut within one. */
static char *last_words(const SourceBuild *how, const ChildResult *result) {
        scoped(free_str) char *lines = child_last_lines(result, LAST_LINES);
        scoped(free_str) char *safe = redact(lines, how->secrets);
        size_t n = strlen(safe), over = n > LAST_BYTES ? n - LAST_BYTES : 0;
        while (((unsigned char)safe[over] & 0xc0) == 0x80)
                over++;
        return str_copy(safe + over);
}

static bool say_failed(
        const SourceBuild *how, const char *what, const ChildResult *result, Err *err) {
        scoped(free_str) char *said = last_words(how, result);
        const char *colon = said[0] ? ": " : "";
        if (result->exit_status > 128)
                return err_fail(err, ERR_TOOL, "%s was ended by signal %d%s%s", what,
                        result->exit_status - 128, colon, said);
        return err_fail(
                err, ERR_TOOL, "%s exited with %d%s%s", what, result->exit_status, colon, said);
}

/* Started by nobody's shell: what a login shell adds to PATH is not there. */
static bool say_not_started(char *const *environment, const char *name, Err *err) {
        const char *path = environment_get(environment, "PATH");
        if (!err || err->code != ERR_TOOL)
                return false;
        err_context(err, "%s", name);
        return err_hint(err,
                "Programs are looked for in %s; name another one by its whole path, or as ./PATH "
                "from the top of the checkout. Nothing was changed.",
                path ? path : "PATH");
}

typedef struct Building {
        const Repo *repo;
        const Release *to;
        const SourceBuild *how;
        const char *tree;
} Building;

static bool run_one(const Building *building, char *const *words, const char *name, Err *err) {
        const Repo *repo = building->repo;
        const SourceBuild *how = building->how;
        if (!words)
                return true;
        scoped(strv_freep) Strv argv = NULL;
        scoped(strv_freep) Strv environment = environment_of(repo, building->to, how);
        if (!words_of(words, how, &argv, err))
                return err_context(err, "source.git.%s", name);
        scoped(free_str) char *line = strv_join(argv, " ");
        scoped(free_str) char *command = redact(line, how->secrets);
        scoped(free_str) char *what = str_format("%s: '%.120s'", name, command);
        Child child = {
                .argv = argv,
                .directory = building->tree,
                .environment = environment,
                .uid = repo->uid,
                .gid = repo->gid,
                .as_user = repo->as_user,
                .timeout_ms = repo->context->service->git.command_timeout_ms,
                .what = what,
                .mark = repo->context->mark,
                .cancel = repo->context->cancel,
        };
        scoped(child_result_done) ChildResult result = {0};
        bool ran = child_run(&child, &result, err);
        bool kept = keep_output(how, name, &result, ran && result.exit_status == 0 ? err : NULL);
        if (!ran)
                return say_not_started(environment, name, err);
        return result.exit_status == 0 ? kept : say_failed(how, what, &result, err);
}

static bool look_for_artifacts(const Repo *repo, const char *tree, Err *err) {
        char *const *artifacts = repo->context->service->git.artifacts;
        for (; artifacts && *artifacts; artifacts++) {
                scoped(free_str) char *path = path_join(tree, *artifacts);
                if (file_exists(path))
                        continue;
                err_fail(err, ERR_TOOL, "install and build have not made the artifact '%s'",
                        *artifacts);
                return err_hint(err, "Nothing was changed. Paths under source.git.artifacts start "
                                     "at the top of the checkout.");
        }
        return true;
}

bool build_run(
        const Repo *repo, const Release *to, const SourceBuild *how, const char *tree, Err *err) {
        const GitSpec *git = &repo->context->service->git;
        const Building building = {repo, to, how, tree};
        return run_one(&building, git->install, "install", err) &&
               run_one(&building, git->build, "build", err) && look_for_artifacts(repo, tree, err);
}
