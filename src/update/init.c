#include "update/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"
#include "manifest/value.h"
#include "platform/file.h"

enum { PLACES_MAX = 500, PLACES_DEEP = 2 };

static const char NAME[] = "belay.yaml";

#define SMALLEST                                                                                   \
        "The smallest manifest is:\n\n"                                                            \
        "  version: 1\n  service: NAME\n"                                                          \
        "  runtime: { process: { command: [./server, --port, \"${port}\"], port: 8000 } }\n"       \
        "  source: { git: {} }\n"

void init_done(Init *init) {
        free(init->root);
        free(init->path);
        free(init->text);
        free(init->place);
        draft_done(&init->draft);
        source_look_done(&init->look);
        release_done(&init->installed);
        strv_free(init->tracked);
        running_list_done(&init->list);
        *init = (Init){0};
}

/* -- paths ------------------------------------------------------------------------------------ */

char *init_relative(const Init *init, const char *path) {
        size_t n = strlen(init->root);
        if (strcmp(path, init->root) == 0)
                return str_copy(".");
        if (str_starts(path, init->root) && path[n] == '/')
                return str_copy(path + n + 1);
        scoped(str_done) Str up = {0};
        scoped(free_str) char *above = path_dirname(init->root);
        for (str_add(&up, ".."); strcmp(above, path) != 0 && strcmp(above, "/") != 0;) {
                str_replace_owned(&above, path_dirname(above));
                str_add(&up, "/..");
        }
        return strcmp(above, path) == 0 ? str_take(&up) : str_copy(path);
}

/* A checkout in place: whatever layout it may get later, it looks the same. */
static const Source *git(void) {
        static const Service any;
        return source_of(&any);
}

/* -- which directory -------------------------------------------------------------------------- */

/* Made by tools, or not what a service is. */
static bool is_passed_over(const char *name) {
        static const char *const names[] = {"node_modules", "venv", "env", "vendor", "dist",
                "build", "target", "test", "tests", "__tests__", "docs", "doc", "examples",
                "example", "samples", "fixtures", "__pycache__", "migrations", "data", "static",
                "public", "contrib", "debian", "packaging", "scripts", "editions", "plugins"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return name[0] == '.';
}

static void dir_close(DIR **dir) {
        if (*dir)
                (void)closedir(*dir);
}

static int by_text(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Directories below, by name, links not followed; at most PLACES_MAX. */
static void places_below(const char *directory, unsigned depth, Strv *ret) {
        scoped(dir_close) DIR *dir = opendir(directory);
        scoped(strv_freep) Strv inner = NULL;
        for (struct dirent *entry;
                dir && (entry = readdir(dir)) && strv_count(inner) < PLACES_MAX;) {
                struct stat st;
                if (is_passed_over(entry->d_name) || !draft_text_ok(entry->d_name) ||
                        fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                        !S_ISDIR(st.st_mode))
                        continue;
                strv_push(&inner, path_join(directory, entry->d_name));
        }
        if (inner)
                qsort(inner, strv_count(inner), sizeof(*inner), by_text);
        for (size_t i = 0; inner && inner[i] && strv_count(*ret) < PLACES_MAX; i++) {
                strv_add(ret, inner[i]);
                if (depth > 1)
                        places_below(inner[i], depth - 1, ret);
        }
}

static bool no_checkout(const Init *init, char *const *several, Err *err) {
        if (several && several[1]) {
                scoped(free_str) char *all = strv_join(several, ", ");
                err_fail(err, ERR_REFUSED, "'%s' holds several checkouts: %.400s", init->root, all);
                return err_hint(err, "Name the one that is the service: belay init %s", several[0]);
        }
        err_fail(err, ERR_REFUSED, "'%s' is in no git checkout", init->root);
        return err_hint(err, "This version of Belay updates services from the tags of a git "
                             "repository. Clone the "
                             "project's repository, start the service from the clone, and run "
                             "`belay init` there.");
}

/* The checkout that the directory is in, else the only one right below it. */
static bool find_checkout(Init *init, Err *err) {
        scoped(err_clear) Err failure = {0};
        if (git()->look(init->root, &init->look, &failure))
                return true;
        if (failure.code != ERR_UNKNOWN) {
                err_move(err, &failure);
                return false;
        }
        scoped(strv_freep) Strv places = NULL;
        scoped(strv_freep) Strv found = NULL;
        places_below(init->root, 1, &places);
        for (size_t i = 0; places && places[i]; i++) {
                scoped(free_str) char *dot = path_join(places[i], ".git");
                if (file_exists(dot))
                        strv_add(&found, places[i]);
        }
        if (strv_count(found) != 1)
                return no_checkout(init, found, err);
        str_replace_owned(&init->place, str_copy(found[0]));
        return git()->look(found[0], &init->look, err);
}

/* A process that was started from another place is another start than a manifest of this one makes. */
static bool note_elsewhere(Init *init, Err *err) {
        scoped(running_list_done) RunningList list = {0};
        if (!running_find_elsewhere(init->place, &list, err))
                return false;
        const Running *process = running_serving(&list);
        scoped(free_str) char *words = process ? strv_join(process->argv, " ") : NULL;
        scoped(free_str) char *shown = words ? str_printable(words, false) : NULL;
        if (process)
                strv_addf(&init->draft.notes,
                        "Process %d serves and is of this directory (%.60s), but was started in "
                        "'%s'. It was not asked and cannot be taken over: end it before `belay "
                        "start`, or start it in '%s' and run `belay init` again.",
                        (int)process->id.pid, shown, process->directory, init->place);
        return true;
}

/* What serves says where the service is, better than any file. */
static bool place_of_running(Init *init, Err *err) {
        if (!running_find(init->place, &init->list, err))
                return false;
        init->running = running_serving(&init->list);
        if (!init->running)
                return note_elsewhere(init, err);
        if (strcmp(init->running->directory, init->place) == 0)
                return true;
        str_replace_owned(&init->place, str_copy(init->running->directory));
        init->draft.directory_why = str_format(
                "The process that runs now (pid %d) works there.", (int)init->running->id.pid);
        return true;
}

static int rank_of(const char *place) {
        static const char *const names[] = {"server", "backend", "api", "web", "app", "service"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(path_basename(place), names[i]) == 0)
                        return (int)(COUNT_OF(names) - i);
        return 0;
}

/* What is inside of a Python package is started from above it. */
static bool is_in_package(const char *place) {
        scoped(free_str) char *above = path_dirname(place);
        scoped(free_str) char *own = path_join(place, "__init__.py");
        scoped(free_str) char *its = path_join(above, "__init__.py");
        return file_exists(own) || file_exists(its);
}

/* A repository of several parts: the part that can be started and is named like what serves. Somewhere below lies
 * a script that may be executed: that alone makes no service. */
static void place_in_parts(Init *init, Startup *start) {
        scoped(strv_freep) Strv places = NULL;
        scoped(strv_freep) Strv others = NULL;
        scoped(free_str) char *best = NULL;
        places_below(init->place, PLACES_DEEP, &places);
        for (size_t i = 0; places && places[i]; i++) {
                scoped(startup_done) Startup found = {0};
                if (is_in_package(places[i]) || !startup_find(places[i], &found) ||
                        (found.by_mode && rank_of(places[i]) == 0))
                        continue;
                if (best && rank_of(places[i]) <= rank_of(best)) {
                        strv_push(&others, init_relative(init, places[i]));
                        continue;
                }
                if (best)
                        strv_push(&others, init_relative(init, best));
                str_replace_owned(&best, str_copy(places[i]));
                startup_done(start);
                *start = found;
                found = (Startup){0};
        }
        if (!best)
                return;
        str_replace_owned(&init->place, TAKE(best));
        scoped(free_str) char *names = strv_join(others, ", ");
        init->draft.directory_why =
                others ? str_format(
                                 "One of several parts that can be started; the others: %.300s. A "
                                 "manifest keeps one: `belay init DIR` writes it for another.",
                                 names)
                       : str_copy("The only part of this repository that can be started.");
}

/* -- the parts -------------------------------------------------------------------------------- */

static bool no_command(const Init *init, const Startup *start, Err *err) {
        scoped(free_str) char *seen = start->notes ? strv_join(start->notes, " ") : NULL;
        scoped(free_str) char *compose = path_join(init->place, "docker-compose.yml");
        err_fail(err, ERR_REFUSED,
                "nothing in '%s' says how the service is started, and none runs from there%s%s",
                init->place, seen ? ". " : "", seen ? seen : "");
        if (file_exists(compose))
                return err_hint(err,
                        "It has a docker-compose.yml; this version of Belay keeps bare processes "
                        "only. "
                        "Else start it by hand once and run `belay init` again. " SMALLEST);
        scoped(free_str) char *makefile = path_join(init->place, "Makefile");
        return err_hint(err,
                "%sStart it by hand once and run `belay init` again, or write '%s'. " SMALLEST,
                file_exists(makefile) ? "If `make` makes the program, do that first. " : "",
                init->path);
}

static void take_startup(Init *init, Startup *start) {
        Draft *draft = &init->draft;
        for (size_t i = 0; start->notes && start->notes[i]; i++)
                strv_add(&draft->notes, start->notes[i]);
        draft->command = strv_copy(start->command);
        draft->command_why = start->why ? str_format("%s.", start->why) : NULL;
        draft->environment = TAKE(start->environment);
        draft->n_environment = start->n_environment;
        start->n_environment = 0;
        if (draft->n_environment)
                draft->environment_why = str_format("%s sets them.", start->why);
        if (!draft->port && start->port) {
                draft->port = start->port;
                draft->port_why = str_format("%s.", start->port_why ? start->port_why : start->why);
        }
        (void)startup_name_port(draft->command, draft->port);
}

/* A command that names ${port} needs one. */
static bool names_port(const Draft *draft) {
        for (char *const *word = draft->command; word && *word; word++)
                if (strstr(*word, "${port}"))
                        return true;
        return false;
}

static void port_settle(Draft *draft) {
        if (draft->port || !names_port(draft))
                return;
        draft->port = 8000;
        draft->port_why =
                str_copy("The command wants a port, and nothing names one: any free one.");
}

/* Before there is a manifest: as one would name the checkout. */
static void read_version(Init *init) {
        const Service service = {.directory = init->place, .git = {.directory = init->look.top}};
        const SourceContext context = {.service = &service};
        scoped(err_clear) Err err = {0};
        if (!git()->installed(&context, &init->installed, &err) ||
                !git()->tree(&context, &init->installed, &init->tracked, &err))
                strv_addf(&init->draft.notes, "What is installed could not be told: %s.",
                        err.message);
}

static char *source_why(const Init *init, const char *remote) {
        const SourceLook *look = &init->look;
        size_t n = strv_count(look->remotes);
        if (init->draft.branch && look->other_tag)
                return str_format("Its tags are no versions ('%.60s'), so the branch is followed.",
                        look->other_tag);
        if (init->draft.branch)
                return str_copy("It has no tags, so the branch is followed. With tags like v1.2.0, "
                                "remove this line.");
        if (look->versions == 0 && look->other_tag)
                return str_format(
                        "Its tags are no versions ('%.60s', not v1.2.0), and no branch is "
                        "checked out that could be followed: no update is found as it is.",
                        look->other_tag);
        if (look->versions == 0)
                return str_copy("It has no tags that are versions (v1.2.0) yet.");
        if (n > 1)
                return str_format("%zu of its tags are versions. Of %zu remotes it is '%s'.",
                        look->versions, n, remote);
        return str_format("%zu of its tags %s; %s is installed.", look->versions,
                look->versions == 1 ? "is a version" : "are versions",
                init->installed.tag ? init->installed.tag : "none of them");
}

static void take_source(Init *init) {
        Draft *draft = &init->draft;
        const SourceLook *look = &init->look;
        bool origin = look->remotes == NULL || strv_contains(look->remotes, "origin");
        draft->checkout = init_relative(init, look->top);
        draft->remote = origin ? NULL : str_copy(look->remotes[0]);
        if (!look->remotes)
                strv_add(&draft->notes, "The checkout has no remote: `belay update` finds new "
                                        "versions once there is "
                                        "one (git remote add origin ADDRESS).");
        if (look->versions == 0 && look->branch)
                draft->branch = str_copy(look->branch);
        draft->source_why = source_why(init, origin ? "origin" : look->remotes[0]);
}

static void take_name(Init *init) {
        Draft *draft = &init->draft;
        draft->service = draft_project_name(init->place, &draft->service_why);
        if (!draft->service) {
                draft->service = draft_service_name(path_basename(init->place));
                draft->service_why = str_copy("The name of the directory.");
        }
        if (!draft->service) {
                draft->service = str_copy("service");
                str_replace_owned(&draft->service_why,
                        str_copy("The directory's name has no letter that one could take."));
        }
        scoped(free_str) char *other = NULL;
        if (!registry_find(draft->service, &other, NULL) || strcmp(other, init->path) == 0)
                return;
        for (unsigned i = 2; i < 100; i++) {
                scoped(free_str) char *name = str_format("%.59s-%u", draft->service, i);
                scoped(free_str) char *taken = NULL;
                if (registry_find(name, &taken, NULL))
                        continue;
                str_replace_owned(&draft->service_why,
                        str_format("'%s' is the service of %s already.", draft->service, other));
                str_replace_owned(&draft->service, TAKE(name));
                return;
        }
}

/* -- data ------------------------------------------------------------------------------------- */

static bool parse(Init *init, Service **ret, Err *err) {
        str_replace_owned(&init->text, draft_write(&init->draft));
        return manifest_parse(init->path, init->text, strlen(init->text), ret, err) ||
               err_context(err, "checking the manifest that would be written");
}

static bool look_at_data(Init *init, Err *err) {
        scoped(service_freep) Service *service = NULL;
        if (!parse(init, &service, err))
                return false;
        init_take_data(init, service);
        return true;
}

/* Install and build run at the top of a version's files. */
static void look_at_build(Init *init, const Startup *start) {
        if (strcmp(init->place, init->look.top) == 0)
                draft_look_build(&init->draft, init->place, start, init->tracked);
}

/* -- the story -------------------------------------------------------------------------------- */

static bool open_root(const char *directory, Init *init, Err *err) {
        struct stat st;
        init->root = realpath(directory, NULL);
        if (!init->root || stat(init->root, &st) < 0 || !S_ISDIR(st.st_mode))
                return err_fail(err, ERR_UNKNOWN, "there is no directory '%s'", directory);
        if (!file_name_check(init->root, ERR_REFUSED, err))
                return false;
        init->place = str_copy(init->root);
        init->path = path_join(init->root, NAME);
        if (!file_exists(init->path))
                return true;
        err_fail(err, ERR_REFUSED, "there is a manifest already: '%s'", init->path);
        return err_hint(err, "It is left as it is. `belay validate` says whether it is good; to "
                             "have another one "
                             "written, move it away first.");
}

static bool find_command(Init *init, Startup *start, Err *err) {
        if (!startup_find(init->place, start) && !init->running)
                place_in_parts(init, start);
        char *base = init_relative(init, init->place);
        if (strcmp(base, ".") != 0 || strcmp(init->look.top, init->root) != 0)
                init->draft.directory = str_copy(base);
        draft_look_env(&init->draft, init->place, base);
        free(base);
        take_startup(init, start);
        if (init->running)
                init_take_process(init, start);
        init_take_elsewhere(init);
        port_settle(&init->draft);
        return init->draft.command || no_command(init, start, err);
}

bool init_look(const char *directory, Init *ret, Err *err) {
        scoped(init_done) Init init = {0};
        scoped(startup_done) Startup start = {0};
        scoped(service_freep) Service *service = NULL;
        if (!open_root(directory, &init, err) || !find_checkout(&init, err) ||
                !place_of_running(&init, err) || !find_command(&init, &start, err))
                return false;
        take_name(&init);
        read_version(&init);
        take_source(&init);
        look_at_build(&init, &start);
        if (!look_at_data(&init, err))
                return false;
        init_ask_health(&init, &start);
        if (!parse(&init, &service, err))
                return false;
        *ret = init;
        init = (Init){0};
        return true;
}

bool init_write(Init *init, Err *err) {
        mode_t mode = init->draft.private ? 0600 : 0644;
        return file_create_durable(init->path, init->text, strlen(init->text), mode, err);
}
