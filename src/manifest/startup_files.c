/* Procfile, Dockerfile, Makefile, and a single program: how they say that something is started. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/js.h"
#include "base/own.h"
#include "manifest/startup_parts.h"

/* -- Procfile: "<type>: <line for a shell>" --------------------------------------------------- */

typedef struct ProcType {
        char *name, *line;
} ProcType;

static bool proc_parse(char *text, ProcType *ret) {
        text = str_trim(text);
        char *colon = strchr(text, ':');
        if (text[0] == '#' || !colon)
                return false;
        *colon = '\0';
        for (const char *c = text; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr("_-", *c))
                        return false;
        *ret = (ProcType){text, str_trim(colon + 1)};
        return text[0] && ret->line[0];
}

/* The type that answers requests: by the name that hosts of Procfiles agree on, else by the usual ones. */
static size_t proc_choose(const ProcType *types, size_t n) {
        static const char *const wanted[] = {"web", "server", "api", "app"};
        for (size_t w = 0; w < COUNT_OF(wanted); w++)
                for (size_t i = 0; i < n; i++)
                        if (strcmp(types[i].name, wanted[w]) == 0)
                                return i;
        return 0;
}

static void proc_note_others(const ProcType *types, size_t n, size_t chosen, Startup *ret) {
        scoped(str_done) Str others = {0};
        for (size_t i = 0; i < n; i++)
                if (i != chosen)
                        str_addf(&others, "%s%s", others.len ? ", " : "", types[i].name);
        if (others.len)
                strv_addf(&ret->notes,
                        "Procfile has other process types, which are not kept or updated by this "
                        "manifest: %s. A manifest keeps one process.",
                        others.text);
}

bool startup_procfile(const char *directory, Startup *ret) {
        scoped(free_str) char *text = startup_text(directory, "Procfile");
        scoped(strv_freep) Strv lines = text ? strv_split(text, '\n') : NULL;
        scoped(free_mem) ProcType *types = NULL;
        size_t n = 0;
        for (size_t i = 0; lines && lines[i]; i++) {
                ProcType type;
                if (proc_parse(lines[i], &type))
                        PUSH(types, n, type);
        }
        if (n == 0)
                return false;
        size_t chosen = proc_choose(types, n);
        if (!startup_line(types[chosen].line, ret))
                return false;
        ret->why = str_format("Procfile, process type '%s'", types[chosen].name);
        if (ret->port)
                ret->port_why = str_copy("Procfile names it");
        proc_note_others(types, n, chosen, ret);
        return true;
}

/* -- Dockerfile: docs.docker.com, "Dockerfile reference"; the exec form is a JSON list -------- */

static void words_add(const char *argument, Strv *command) {
        scoped(js_freep) json_t *list =
                argument[0] == '[' ? js_parse(argument, strlen(argument), "Dockerfile", NULL)
                                   : NULL;
        size_t i;
        json_t *word;
        json_array_foreach(list, i, word) {
                const char *at = json_string_value(word);
                scoped(str_done) Str text = {0};
                for (; at && *at; at++)
                        str_add(&text, str_starts(at, "${") ? "$$" : (char[]){*at, '\0'});
                strv_push(command, str_take(&text));
        }
}

/* The program is built for the container's own file system: only what is here, too, can be started here. */
static bool starts_here(const char *directory, const char *program) {
        static const char *const known[] = {"node", "npm", "npx", "yarn", "python", "python3",
                "gunicorn", "uvicorn", "sh", "ruby"};
        for (size_t i = 0; i < COUNT_OF(known); i++)
                if (str_equal(program, known[i]))
                        return true;
        return str_starts(program, "./") && startup_has(directory, program);
}

typedef struct Image {
        Strv entry, command;
        uint64_t port; /* the first that it exposes */
} Image;

static void image_done(Image *image) {
        strv_free(image->entry);
        strv_free(image->command);
}

static void image_line(char *line, Image *image) {
        char *argument = str_trim(line + strcspn(line, " "));
        Strv *to = str_starts(line, "ENTRYPOINT ") ? &image->entry : &image->command;
        if (str_starts(line, "EXPOSE ") && image->port == 0) {
                argument[strspn(argument, "0123456789")] = '\0';
                (void)str_to_uint(argument, UINT16_MAX, &image->port);
        }
        if (!str_starts(line, "ENTRYPOINT ") && !str_starts(line, "CMD "))
                return;
        strv_free(TAKE(*to));
        words_add(argument, to);
}

static void image_read(const char *directory, Image *image) {
        scoped(free_str) char *text = startup_text(directory, "Dockerfile");
        scoped(strv_freep) Strv lines = text ? strv_split(text, '\n') : NULL;
        for (size_t i = 0; lines && lines[i]; i++)
                image_line(str_trim(lines[i]), image);
}

unsigned startup_exposed(const char *directory) {
        scoped(image_done) Image image = {0};
        image_read(directory, &image);
        return (unsigned)image.port;
}

bool startup_dockerfile(const char *directory, Startup *ret) {
        scoped(image_done) Image image = {0};
        image_read(directory, &image);
        for (size_t i = 0; image.entry && image.entry[i]; i++)
                strv_add(&ret->command, image.entry[i]);
        for (size_t i = 0; image.command && image.command[i]; i++)
                strv_add(&ret->command, image.command[i]);
        if (!ret->command || !starts_here(directory, ret->command[0]))
                return false;
        if (strcmp(ret->command[0], "python") == 0)
                str_replace_owned(&ret->command[0], str_copy("python3"));
        ret->why = str_copy("Dockerfile, what a container of it would start");
        ret->port = (unsigned)image.port;
        ret->port_why = image.port ? str_copy("Dockerfile exposes it") : NULL;
        return true;
}

/* -- Makefile --------------------------------------------------------------------------------- */

static bool has_target(const char *text, const char *target) {
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        for (size_t i = 0; lines && lines[i]; i++) {
                if (!str_starts(lines[i], target))
                        continue;
                const char *after = lines[i] + strlen(target);
                after += strspn(after, " ");
                if (after[0] == ':' && after[1] != '=')
                        return true;
        }
        return false;
}

bool startup_makefile(const char *directory, Startup *ret) {
        static const char *const files[] = {"GNUmakefile", "makefile", "Makefile", NULL};
        static const char *const targets[] = {"run", "start", "serve"};
        const char *file = startup_first(directory, files);
        scoped(free_str) char *text = file ? startup_text(directory, file) : NULL;
        for (size_t i = 0; text && i < COUNT_OF(targets); i++) {
                if (!has_target(text, targets[i]))
                        continue;
                strv_add(&ret->command, "make");
                strv_add(&ret->command, "--no-print-directory");
                strv_add(&ret->command, targets[i]);
                ret->entry = str_copy(file);
                ret->why = str_format("%s, target '%s'", file, targets[i]);
                return true;
        }
        return false;
}

/* -- one executable file ---------------------------------------------------------------------- */

enum { PROGRAMS_MAX = 64, NAMES_MAX = 5000 };

static bool is_program(int dir, const char *name) {
        scoped(close_fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        char first[4];
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR) ||
                pread(fd, first, sizeof(first), 0) != (ssize_t)sizeof(first))
                return false;
        return memcmp(first, "\177ELF", 4) == 0 || memcmp(first, "#!", 2) == 0;
}

/* What builds, tests and installs is not what serves. */
static bool is_helper(const char *name) {
        static const char *const parts[] = {"configure", "gradlew", "mvnw", "install", "test",
                "build", "setup", "make-", "autogen", "bootstrap", "release", "deploy", "lint",
                "clean", "update", "migrate", "backup", "benchmark", "docker"};
        for (size_t i = 0; i < COUNT_OF(parts); i++)
                if (strstr(name, parts[i]))
                        return true;
        /* "${…}" would be put in, and a name that is no text cannot be written down. */
        return name[0] == '.' || str_ends(name, ".so") || strstr(name, ".so.") ||
               strstr(name, "${") || !str_is_printable(name);
}

static void programs_in(const char *directory, const char *below, Strv *ret) {
        scoped(free_str) char *path = path_join(directory, below);
        scoped(close_dir) DIR *dir = opendir(path);
        unsigned seen = 0;
        for (struct dirent *entry; dir && (entry = readdir(dir)) && seen++ < NAMES_MAX;)
                if (!is_helper(entry->d_name) && strv_count(*ret) < PROGRAMS_MAX &&
                        is_program(dirfd(dir), entry->d_name))
                        strv_addf(ret, "./%s%s%s", strcmp(below, ".") ? below : "",
                                strcmp(below, ".") ? "/" : "", entry->d_name);
}

/* Named like the project, or like what serves. */
static bool is_likely(const char *directory, const char *program) {
        static const char *const names[] = {"server", "serve", "run", "start", "run.sh", "start.sh",
                "server.sh", "main", "app"};
        const char *name = path_basename(program);
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return strcmp(name, path_basename(directory)) == 0;
}

static int by_text(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

bool startup_executable(const char *directory, Startup *ret) {
        scoped(strv_freep) Strv programs = NULL;
        programs_in(directory, ".", &programs);
        programs_in(directory, "bin", &programs);
        size_t n = strv_count(programs), chosen = 0, likely = 0;
        if (n > 1)
                qsort(programs, n, sizeof(*programs), by_text);
        for (size_t i = n; i-- > 0;)
                if (is_likely(directory, programs[i])) {
                        chosen = i;
                        likely++;
                }
        if (n == 0 || (n > 1 && likely == 0)) {
                if (n)
                        strv_addf(&ret->notes,
                                "There are %zu executable files, and none is named like what "
                                "serves: %s and others.",
                                n, programs[0]);
                return false;
        }
        strv_add(&ret->command, programs[chosen]);
        ret->why = n == 1 ? str_copy("The only executable file here")
                          : str_format("One of %zu executable files, by its name", n);
        ret->by_mode = true;
        return true;
}
