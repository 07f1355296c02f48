#include "manifest/startup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "manifest/startup_parts.h"
#include "platform/file.h"

/* Below PORT_OF_ALL root alone may listen: such a port is for a container of its own. */
enum { TEXT_MAX = 256 * 1024, PORT_OF_ALL = 1024 };

/* In the order of how much each is a promise of the project about how it is started. */
static const struct {
        const char *name;
        StartupFinder *find;
} finders[] = {
        {"Procfile", startup_procfile},
        {"the scripts of package.json", startup_node_scripts},
        {"the Python program", startup_python},
        {"Dockerfile", startup_dockerfile},
        {"Makefile", startup_makefile},
        {"the program that package.json names", startup_node_program},
        {"an executable file", startup_executable},
};

void startup_done(Startup *start) {
        for (size_t i = 0; i < start->n_environment; i++) {
                free(start->environment[i].name);
                free(start->environment[i].value);
        }
        free(start->environment);
        strv_free(start->command);
        strv_free(start->notes);
        free(start->why);
        free(start->port_why);
        free(start->entry);
        *start = (Startup){0};
}

bool startup_has(const char *directory, const char *name) {
        scoped(free_str) char *path = path_join(directory, name);
        struct stat st;
        return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The checkout that the directory is in; without one the directory itself. Owned; NULL: it is gone. */
static char *project_of(const char *directory) {
        scoped(free_str) char *real = file_real(directory);
        scoped(free_str) char *at = real ? str_copy(real) : NULL;
        while (at && strcmp(at, "/") != 0) {
                scoped(free_str) char *git = path_join(at, ".git");
                if (file_exists(git))
                        return TAKE(at);
                str_replace_owned(&at, path_dirname(at));
        }
        return TAKE(real);
}

/* What a link of the project leads to elsewhere may be nobody's to read but root's, and is not the project. */
static bool is_of_project(const char *directory, const char *path) {
        scoped(free_str) char *project = project_of(directory);
        scoped(free_str) char *real = file_real(path);
        size_t n = project ? strlen(project) : 0;
        return project && real && strncmp(real, project, n) == 0 && real[n] == '/';
}

bool startup_read(const char *path, char **ret) {
        static const char byte_order_mark[] = "\xef\xbb\xbf";
        scoped(free_str) char *text = NULL;
        struct stat st;
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
                !file_read_if(path, TEXT_MAX, &text, NULL, NULL) || !text)
                return false;
        *ret = str_copy(text + (str_starts(text, byte_order_mark) ? strlen(byte_order_mark) : 0));
        return true;
}

char *startup_text(const char *directory, const char *name) {
        scoped(free_str) char *path = path_join(directory, name);
        char *text = NULL;
        return is_of_project(directory, path) && startup_read(path, &text) ? text : NULL;
}

const char *startup_first(const char *directory, const char *const *names) {
        for (; *names; names++)
                if (startup_has(directory, *names))
                        return *names;
        return NULL;
}

bool startup_is_installed(const char *program) {
        static const char *const places[] = {"/usr/local/bin", "/usr/bin", "/bin"};
        for (size_t i = 0; i < COUNT_OF(places); i++)
                if (startup_has(places[i], program))
                        return true;
        return false;
}

void startup_environment_add(Startup *start, const char *name, const char *value) {
        Pair pair = {str_copy(name), str_copy(value)};
        PUSH(start->environment, start->n_environment, pair);
}

void startup_entry_port(const char *directory, Startup *start) {
        scoped(free_str) char *text = start->entry ? startup_text(directory, start->entry) : NULL;
        unsigned port = text && !start->port ? startup_port_in(text) : 0;
        if (!port)
                return;
        start->port = port;
        str_replace_owned(&start->port_why, str_format("%s names it", start->entry));
}

/* What cannot be written into a manifest is no command: bytes that are not UTF-8, a byte order mark. */
static bool can_be_written(const Startup *start) {
        for (char *const *word = start->command; word && *word; word++) {
                scoped(free_str) char *printable = str_printable(*word, true);
                if (strcmp(printable, *word) != 0 || strstr(*word, BYTE_ORDER_MARK))
                        return false;
        }
        const char *program = start->command ? start->command[0] : NULL;
        return program && program[0] && program[0] != '-';
}

static void note_other(Startup *start, const char *name, const Startup *other) {
        scoped(free_str) char *words = strv_join(other->command, " ");
        scoped(free_str) char *shown = str_printable(words, false);
        scoped(free_str) char *own = strv_join(start->command, " ");
        if (strcmp(own, words) != 0)
                strv_addf(&start->notes, "Not taken: %s (%s): %.100s", name, other->why, shown);
}

/* "python3 -u srv.py", "node server.js": the file behind the interpreter is the program. */
static void entry_of_command(const char *directory, Startup *start) {
        static const char *const interpreters[] = {"python", "node", "ruby", "perl", "php", "deno"};
        const char *program = path_basename(start->command[0]);
        bool interprets = false;
        for (size_t i = 0; i < COUNT_OF(interpreters); i++)
                interprets = interprets || str_starts(program, interpreters[i]);
        char *const *word = start->command + 1;
        for (; interprets && *word && (*word)[0] == '-' && strcmp(*word, "-m") != 0;)
                word++;
        if (interprets && !start->entry && *word && startup_has(directory, *word))
                start->entry = str_copy(*word);
}

static void exposed_port(const char *directory, Startup *start) {
        unsigned port = start->port ? 0 : startup_exposed(directory);
        if (port < PORT_OF_ALL)
                return;
        start->port = port;
        str_replace_owned(&start->port_why, str_copy("Dockerfile exposes it"));
}

bool startup_find(const char *directory, Startup *ret) {
        for (size_t i = 0; i < COUNT_OF(finders); i++) {
                scoped(startup_done) Startup found = {0};
                bool good = finders[i].find(directory, &found) && can_be_written(&found);
                if (good && ret->command) {
                        note_other(ret, finders[i].name, &found);
                        continue;
                }
                for (size_t n = 0; found.notes && found.notes[n] && !ret->command; n++)
                        strv_add(&ret->notes, found.notes[n]);
                if (!good)
                        continue;
                Strv notes = TAKE(ret->notes);
                strv_free(found.notes);
                *ret = found;
                ret->notes = notes;
                entry_of_command(directory, ret);
                if (ret->entry && str_starts(ret->entry, "./"))
                        str_replace_owned(&ret->entry, str_copy(ret->entry + 2));
                found = (Startup){0};
                startup_entry_port(directory, ret);
                exposed_port(directory, ret);
        }
        return ret->command != NULL;
}
