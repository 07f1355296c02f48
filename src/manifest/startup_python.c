/* How a project in Python is started. */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "manifest/startup_parts.h"

static const char *const interpreters[] = {
        ".venv/bin/python3", "venv/bin/python3", "env/bin/python3", ".venv/bin/python", NULL};

static const char *interpreter(const char *directory) {
        const char *own = startup_first(directory, interpreters);
        return own ? own : "python3";
}

/* A program of the project's environment, else of the machine; NULL: neither. Owned. */
static char *installed_program(const char *directory, const char *name) {
        static const char *const places[] = {".venv/bin", "venv/bin", "env/bin"};
        for (size_t i = 0; i < COUNT_OF(places); i++) {
                scoped(free_str) char *path = path_join(places[i], name);
                if (startup_has(directory, path))
                        return TAKE(path);
        }
        return startup_has("/usr/bin", name) ? str_copy(name) : NULL;
}

static void command_set(Startup *ret, const char *first, const char *const *more) {
        strv_add(&ret->command, first);
        for (; more && *more; more++)
                strv_add(&ret->command, *more);
}

static void port_usual(Startup *ret, unsigned port, const char *of) {
        if (ret->port)
                return;
        ret->port = port;
        ret->port_why = str_format("the usual port of %s", of);
}

/* -- Django ----------------------------------------------------------------------------------- */

/* "shop.wsgi" of shop/wsgi.py; owned. */
static char *wsgi_module(const char *directory) {
        scoped(close_dir) DIR *dir = opendir(directory);
        char *best = NULL;
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                scoped(free_str) char *file = str_format("%s/wsgi.py", entry->d_name);
                if (entry->d_name[0] == '.' || !startup_has(directory, file))
                        continue;
                if (!best || strcmp(entry->d_name, best) < 0)
                        str_replace_owned(&best, str_copy(entry->d_name));
        }
        char *module = best ? str_format("%s.wsgi", best) : NULL;
        free(best);
        return module;
}

static bool django(const char *directory, Startup *ret) {
        scoped(free_str) char *text = startup_text(directory, "manage.py");
        if (!text || !strstr(text, "django"))
                return false;
        scoped(free_str) char *module = wsgi_module(directory);
        scoped(free_str) char *gunicorn = installed_program(directory, "gunicorn");
        if (module && gunicorn) {
                command_set(ret, gunicorn,
                        (const char *[]){"--bind", "127.0.0.1:${port}", module, NULL});
                ret->why = str_copy("manage.py: a Django project, and gunicorn is installed");
        } else {
                command_set(ret, interpreter(directory),
                        (const char *[]){
                                "manage.py", "runserver", "--noreload", "127.0.0.1:${port}", NULL});
                ret->why = str_copy("manage.py: a Django project (its own server; gunicorn would "
                                    "be better)");
        }
        port_usual(ret, 8000, "Django");
        strv_add(&ret->notes, "Django's migrations (manage.py migrate) are not in here: Belay runs "
                              "files of SQL and scripts. A script that calls it can be named under "
                              "'migrations'.");
        return true;
}

/* -- app.py and its like ---------------------------------------------------------------------- */

/* "app" of "app = Flask(__name__)"; owned, NULL when the class is not called there. */
static char *variable_of(const char *text, const char *class) {
        for (const char *at = text; (at = strstr(at, class)); at++) {
                const char *line = at;
                while (line > text && line[-1] != '\n')
                        line--;
                size_t n = 0;
                while (isalnum((unsigned char)line[n]) || line[n] == '_')
                        n++;
                const char *rest = line + n + strspn(line + n, " \t");
                if (n && *rest == '=')
                        return str_copy_n(line, n);
        }
        return NULL;
}

static char *module_of(const char *file) {
        char *module = str_copy_n(file, strlen(file) - strlen(".py"));
        for (char *c = module; *c; c++)
                if (*c == '/')
                        *c = '.';
        return module;
}

static bool runs_itself(const char *text) {
        static const char *const words[] = {
                ".run(", "serve_forever", "__main__", "run_app(", "serve(", "run_simple("};
        for (size_t i = 0; i < COUNT_OF(words); i++)
                if (strstr(text, words[i]))
                        return true;
        return false;
}

typedef struct Framework {
        const char *class, *name;
        unsigned port;
        const char *module; /* what serves it: python -m MODULE */
        const char *const *arguments;
} Framework;

static const Framework frameworks[] = {
        {"Flask(", "Flask", 5000, "flask",
                (const char *const[]){"--app", "@", "run", "--port", "${port}", NULL}},
        {"FastAPI(", "FastAPI", 8000, "uvicorn",
                (const char *const[]){"@", "--port", "${port}", NULL}},
        {"Starlette(", "Starlette", 8000, "uvicorn",
                (const char *const[]){"@", "--port", "${port}", NULL}},
};

static bool framework_take(
        const char *directory, const char *file, const char *text, Startup *ret) {
        scoped(free_str) char *module = module_of(file);
        for (size_t i = 0; i < COUNT_OF(frameworks); i++) {
                const Framework *framework = &frameworks[i];
                scoped(free_str) char *variable = variable_of(text, framework->class);
                if (!variable)
                        continue;
                scoped(free_str) char *target = str_format("%s:%s", module, variable);
                command_set(ret, interpreter(directory),
                        (const char *[]){"-m", framework->module, NULL});
                for (const char *const *word = framework->arguments; *word; word++)
                        strv_add(&ret->command, strcmp(*word, "@") == 0 ? target : *word);
                ret->why = str_format("%s: a program with %s", file, framework->name);
                port_usual(ret, framework->port, framework->name);
                return true;
        }
        return false;
}

/* Its own option is better than what stands in the file: the port can then be changed in one place. */
static void port_option(const char *text, Startup *ret) {
        if (!strstr(text, "\"--port\"") && !strstr(text, "'--port'"))
                return;
        strv_add(&ret->command, "--port");
        strv_add(&ret->command, "${port}");
}

static bool file_take(const char *directory, const char *file, Startup *ret) {
        scoped(free_str) char *text = startup_text(directory, file);
        if (!text)
                return false;
        if (!runs_itself(text))
                return framework_take(directory, file, text, ret);
        command_set(ret, interpreter(directory), (const char *[]){file, NULL});
        ret->why = str_format("%s starts itself", file);
        ret->entry = str_copy(file);
        startup_entry_port(directory, ret);
        for (size_t i = 0; i < COUNT_OF(frameworks); i++)
                if (strstr(text, frameworks[i].class))
                        port_usual(ret, frameworks[i].port, frameworks[i].name);
        if (ret->port)
                port_option(text, ret);
        return true;
}

/* -- pyproject.toml --------------------------------------------------------------------------- */

/* Each 'name = "value"' below a section, name and value in turn; TOML 1.0, as far as tools write such sections. */
static Strv toml_pairs(const char *text, const char *section) {
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        Strv pairs = NULL;
        bool inside = false;
        for (size_t i = 0; lines && lines[i]; i++) {
                char *line = str_trim(lines[i]);
                if (line[0] == '[') {
                        inside = strcmp(line, section) == 0;
                        continue;
                }
                char *equals = strchr(line, '='), *open = equals ? strchr(equals, '"') : NULL;
                char *close = open ? strchr(open + 1, '"') : NULL;
                if (!inside || !close || line[0] == '#')
                        continue;
                *close = *equals = '\0';
                strv_add(&pairs, str_trim(line));
                strv_add(&pairs, open + 1);
        }
        return pairs;
}

/* "pkg/server/__main__.py", or "pkg/server.py" that starts itself, of "pkg.server"; owned, NULL: neither. */
static char *module_file(const char *directory, const char *module) {
        scoped(free_str) char *path = str_copy(module);
        for (char *c = path; *c; c++)
                if (*c == '.')
                        *c = '/';
        scoped(free_str) char *main = str_format("%s/__main__.py", path);
        if (startup_has(directory, main))
                return TAKE(main);
        scoped(free_str) char *file = str_format("%s.py", path);
        scoped(free_str) char *text = startup_text(directory, file);
        return text && strstr(text, "__main__") ? TAKE(file) : NULL;
}

/* "pkg.server:main" as python3 -m pkg.server, else by the package itself, else the program that was installed. */
static bool script_take(const char *directory, const char *name, const char *target, Startup *ret) {
        scoped(free_str) char *module = str_copy_n(target, strcspn(target, ":"));
        if (str_ends(module, ".__main__"))
                module[strlen(module) - strlen(".__main__")] = '\0';
        char *entry = module_file(directory, module);
        if (!entry) {
                module[strcspn(module, ".")] = '\0';
                entry = module_file(directory, module);
        }
        scoped(free_str) char *program = entry ? NULL : installed_program(directory, name);
        if (entry)
                command_set(ret, interpreter(directory), (const char *[]){"-m", module, NULL});
        else if (program)
                command_set(ret, program, NULL);
        ret->entry = entry;
        ret->why = ret->command ? str_format("pyproject.toml, script '%s'", name) : NULL;
        return ret->command != NULL;
}

static bool serves_by_name(const char *name) {
        return str_ends(name, "server") || str_ends(name, "serve") || str_ends(name, "web") ||
               str_ends(name, "httpd");
}

/* Of several scripts the one named like what serves; else the first that can be started. */
static bool project_script(const char *directory, Startup *ret) {
        static const char *const sections[] = {"[project.scripts]", "[tool.poetry.scripts]"};
        scoped(free_str) char *text = startup_text(directory, "pyproject.toml");
        for (size_t i = 0; text && i < 2 * COUNT_OF(sections); i++) {
                scoped(strv_freep) Strv pairs = toml_pairs(text, sections[i % 2]);
                for (size_t at = 0; pairs && pairs[at]; at += 2)
                        if ((i >= COUNT_OF(sections) || serves_by_name(pairs[at])) &&
                                script_take(directory, pairs[at], pairs[at + 1], ret))
                                return true;
        }
        return false;
}

/* A package of the directory that can be run: the first by name. */
static bool package_take(const char *directory, Startup *ret) {
        scoped(close_dir) DIR *dir = opendir(directory);
        scoped(free_str) char *best = NULL;
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                scoped(free_str) char *file = str_format("%s/__main__.py", entry->d_name);
                if (entry->d_name[0] == '.' || strstr(entry->d_name, "test") ||
                        !startup_has(directory, file))
                        continue;
                if (!best || strcmp(entry->d_name, best) < 0)
                        str_replace_owned(&best, str_copy(entry->d_name));
        }
        if (!best)
                return false;
        command_set(ret, interpreter(directory), (const char *[]){"-m", best, NULL});
        ret->entry = str_format("%s/__main__.py", best);
        ret->why = str_format("%s/__main__.py: a package that can be run", best);
        return true;
}

bool startup_python(const char *directory, Startup *ret) {
        static const char *const files[] = {"app.py", "main.py", "server.py", "run.py", "wsgi.py",
                "application.py", "src/app.py", "src/main.py", "app/main.py", "app/__init__.py"};
        if (django(directory, ret))
                return true;
        for (size_t i = 0; i < COUNT_OF(files); i++)
                if (file_take(directory, files[i], ret))
                        return true;
        return project_script(directory, ret) || package_take(directory, ret);
}
