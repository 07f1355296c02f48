/* What a process that runs already tells of itself. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "manifest/manifest.h"
#include "manifest/value.h"
#include "model/envfile.h"
#include "model/environment.h"
#include "platform/file.h"
#include "update/init.h"

enum { VALUE_MAX = 200, SETTINGS_MAX = 40, NAME_ROOM = 16384 };

/* -- command ---------------------------------------------------------------------------------- */

static bool is_file(const char *path) {
        struct stat st;
        return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Where the process found its program, by its own PATH; owned, NULL: nowhere. */
static char *found_in_path(const Running *running, const char *name) {
        const char *path = environment_get(running->environment, "PATH");
        scoped(strv_freep) Strv places = path ? strv_split(path, ':') : NULL;
        for (size_t i = 0; places && places[i]; i++) {
                scoped(free_str) char *file = path_join(places[i], name);
                if (places[i][0] == '/' && is_file(file))
                        return TAKE(file);
        }
        return NULL;
}

/* Belay starts programs with a small PATH of its own. */
static bool is_usual_place(const char *file) {
        static const char *const places[] = {
                "/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"};
        scoped(free_str) char *place = path_dirname(file);
        for (size_t i = 0; i < COUNT_OF(places); i++)
                if (strcmp(place, places[i]) == 0)
                        return true;
        return false;
}

/* "/srv/app/.venv/bin/python" as ".venv/bin/python": the directory may move, the command stays true. */
static char *inside(const Init *init, const char *word) {
        size_t n = strlen(init->place);
        bool below = str_starts(word, init->place) && word[n] == '/' && word[n + 1];
        return str_copy(below ? word + n + 1 : word);
}

/*
 * The program as a manifest can name it. An interpreter of the project's own environment is a link to that of the
 * machine, and is known by its place; a shim in the PATH leads elsewhere, and the program itself is named.
 * Owned; NULL: what the kernel shows is a title that the program gave itself.
 */
static char *program_of(const Init *init, const Running *running) {
        const char *name = running->argv[0];
        scoped(free_str) char *file = strchr(name, '/') ? path_join(running->directory, name)
                                                        : found_in_path(running, name);
        if (!file || !is_file(file))
                return NULL;
        if (strchr(name, '/'))
                return inside(init, name);
        scoped(free_str) char *real = realpath(file, NULL);
        bool shim =
                running->program && is_file(running->program) && !str_equal(real, running->program);
        if (is_usual_place(file) && !shim)
                return str_copy(name);
        return inside(init, shim ? running->program : file);
}

/* A literal "${" must not be taken for a value of Belay's. */
static char *literal(const char *text) {
        Str out = {0};
        for (; *text; text++)
                str_add(&out, str_starts(text, "${") ? "$$" : (char[]){*text, '\0'});
        return str_take(&out);
}

static bool command_of(const Init *init, const Running *running, Strv *ret) {
        scoped(strv_freep) Strv command = NULL;
        scoped(free_str) char *program = program_of(init, running);
        if (!program || !draft_text_ok(program))
                return false;
        strv_push(&command, literal(program));
        for (char *const *word = running->argv + 1; *word; word++) {
                scoped(free_str) char *at = inside(init, *word);
                if (!draft_text_ok(at))
                        return false;
                strv_push(&command, literal(at));
        }
        *ret = TAKE(command);
        return true;
}

static Strv without_port(char *const *command, unsigned port) {
        Strv plain = NULL;
        for (; *command; command++) {
                char *at = strstr(*command, "${port}");
                if (at)
                        strv_addf(&plain, "%.*s%u%s", (int)(at - *command), *command, port,
                                at + strlen("${port}"));
                else
                        strv_add(&plain, *command);
        }
        return plain;
}

static bool is_it(const Init *init, char *const *command) {
        scoped(strv_freep) Strv plain = without_port(command, init->draft.port);
        return running_is(init->running, plain);
}

static void take_command(Init *init, const Startup *start) {
        Draft *draft = &init->draft;
        scoped(strv_freep) Strv command = NULL;
        int pid = (int)init->running->id.pid;
        bool known = command_of(init, init->running, &command);
        if (draft->command && is_it(init, draft->command)) {
                if (known && !strchr(draft->command[0], '/'))
                        str_replace_owned(&draft->command[0], str_copy(command[0]));
                str_replace_owned(&draft->command_why,
                        str_format("%s. It runs so now (pid %d).", start->why, pid));
                init->manifest_command = true;
                return;
        }
        if (!known) {
                strv_addf(&draft->notes,
                        "Process %d serves from here, but its command line does not say how it was "
                        "started. It cannot be taken over: stop it before `belay start`.%s",
                        pid,
                        draft->command ? " The command in here is what the files say: compare it "
                                         "with how you start it, the arguments count, too."
                                       : "");
                return;
        }
        strv_free(draft->command);
        draft->command = TAKE(command);
        (void)startup_name_port(draft->command, draft->port);
        init->manifest_command = is_it(init, draft->command);
        str_replace_owned(&draft->command_why,
                start->why && !start->by_mode
                        ? str_format(
                                  "As it runs now (pid %d). %s says it otherwise.", pid, start->why)
                        : str_format("As it runs now (pid %d).", pid));
}

/* -- settings --------------------------------------------------------------------------------- */

/* What a login, a shell or Belay puts into every environment. */
static bool is_usual_name(const char *name) {
        static const char *const names[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD",
                "OLDPWD", "SHLVL", "_", "TERM", "LANG", "LANGUAGE", "TZ", "MAIL", "EDITOR", "PORT",
                "DISPLAY", "COLORTERM", "HOSTNAME", "TMPDIR", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT",
                "PS1", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "NOTIFY_SOCKET",
                "INIT_CWD", "NODE", "COLOR", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
                "CLOUDSDK_CONFIG"};
        static const char *const fronts[] = {"LC_", "XDG_", "SSH_", "SUDO_", "LS_COLORS", "LESS",
                "DBUS_", "npm_", "BELAY_", "TMUX", "STY", "NVM_", "PYENV_", "_PYENV", "CONDA_",
                "RBENV_", "VOLTA_", "ASDF_", "WERKZEUG_", "PM2_", "PYTEST", "GPG_"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        for (size_t i = 0; i < COUNT_OF(fronts); i++)
                if (str_starts(name, fronts[i]))
                        return true;
        return false;
}

/* Set for this process: neither usual, nor the same where `belay init` was typed, nor in the env file. */
static bool is_its_own(
        const Init *init, const char *name, const char *value, char *const *env_file) {
        const char *here = getenv(name);
        const char *filed = environment_get(env_file, name);
        (void)init;
        return !is_usual_name(name) && !(here && strcmp(here, value) == 0) &&
               !(filed && strcmp(filed, value) == 0);
}

/* The port stands in one place of a manifest. Owned. */
static char *value_of(const Draft *draft, const char *name, const char *value) {
        scoped(free_str) char *port = str_format("%u", draft->port);
        bool is_port = draft->port && str_ends(name, "PORT") && strcmp(value, port) == 0;
        return is_port ? str_copy("${port}") : literal(value);
}

static void take_setting(Init *init, const char *name, const char *value, Strv *secrets) {
        Draft *draft = &init->draft;
        if (name_is_secret(name) || value_has_password(value) || strlen(value) > VALUE_MAX ||
                !draft_text_ok(value) || draft->n_environment == SETTINGS_MAX) {
                strv_add(secrets, name);
                return;
        }
        draft->private = true;
        /* What is in force now is worth more than what a file says. */
        for (size_t i = 0; i < draft->n_environment; i++) {
                if (strcmp(draft->environment[i].name, name) != 0)
                        continue;
                str_replace_owned(&draft->environment[i].value, value_of(draft, name, value));
                return;
        }
        Pair pair = {str_copy(name), value_of(draft, name, value)};
        PUSH(draft->environment, draft->n_environment, pair);
}

static void take_settings(Init *init, char *const *env_file) {
        scoped(strv_freep) Strv secrets = NULL;
        char *const *all = init->running->environment;
        for (; all && *all; all++) {
                const char *equals = strchr(*all, '=');
                scoped(free_str) char *name =
                        equals ? str_copy_n(*all, (size_t)(equals - *all)) : NULL;
                if (name && !env_name_problem(name) && is_its_own(init, name, equals + 1, env_file))
                        take_setting(init, name, equals + 1, &secrets);
        }
        if (init->draft.n_environment && !init->draft.environment_why)
                init->draft.environment_why =
                        str_copy("Set for the process that runs now, and not in an env file.");
        scoped(free_str) char *names = strv_join(secrets, ", ");
        if (secrets)
                strv_addf(&init->draft.notes,
                        "The process that runs now has settings that look secret or are long, and "
                        "they are not copied into a manifest: %s. Put those that it needs into "
                        ".env.",
                        names);
}

/* -- port, user, databases -------------------------------------------------------------------- */

static void take_port(Init *init) {
        Draft *draft = &init->draft;
        const Running *running = init->running;
        if (draft->port && running_listens(&init->list, running, draft->port)) {
                str_replace_owned(
                        &draft->port_why, str_format("%s%sThe process that runs now listens there.",
                                                  draft->port_why ? draft->port_why : "",
                                                  draft->port_why ? " " : ""));
                return;
        }
        for (size_t i = 0; i < init->list.n; i++) {
                const Running *at = &init->list.items[i];
                if (at->n_ports == 0 || !running_listens(&init->list, running, at->ports[0]))
                        continue;
                draft->port = at->ports[0];
                str_replace_owned(&draft->port_why,
                        str_format("The process that runs now (pid %d) listens there.",
                                (int)running->id.pid));
                if (at->n_ports > 1)
                        strv_addf(&draft->notes, "It listens on %zu ports; %u is the first.",
                                at->n_ports, at->ports[0]);
                return;
        }
}

static void take_user(Init *init) {
        struct stat st;
        struct passwd entry, *found = NULL;
        char room[NAME_ROOM];
        if (stat(init->place, &st) < 0 || st.st_uid == init->running->uid ||
                getpwuid_r(init->running->uid, &entry, room, sizeof(room), &found) != 0 || !found)
                return;
        init->draft.user = str_copy(found->pw_name);
        init->draft.user_why =
                str_copy("It runs as this user now; its directory belongs to another.");
}

static void take_databases(Init *init) {
        for (size_t i = 0; i < init->list.n; i++) {
                char *const *files = init->list.items[i].files;
                if (!running_belongs(&init->list, &init->list.items[i], init->running))
                        continue;
                for (; files && *files; files++) {
                        if (path_holds(init->place, *files) || content_problem(*files) ||
                                !draft_text_ok(*files) || !manifest_is_sqlite(*files))
                                continue;
                        DraftContent content = {CONTENT_SQLITE, str_copy(*files),
                                str_copy("An SQLite database that the process has open now.")};
                        PUSH(init->draft.contents, init->draft.n_contents, content);
                }
        }
}

void init_take_process(Init *init, const Startup *start) {
        scoped(strv_freep) Strv env_file = NULL;
        scoped(free_str) char *path = path_join(init->place, ".env");
        scoped(free_str) char *text = NULL;
        if (init->draft.env_file && startup_read(path, &text))
                (void)envfile_values(text, &env_file, NULL);
        take_port(init);
        take_command(init, start);
        take_settings(init, env_file);
        take_user(init);
        take_databases(init);
        if (init->running->holder)
                strv_addf(&init->draft.notes,
                        "%s holds the process that runs now (pid %d) and would start it again: end "
                        "it "
                        "there for good before `belay start`.",
                        init->running->holder, (int)init->running->id.pid);
}
