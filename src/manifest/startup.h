/*
 * How the program of a directory is started, by a look at its files: for `belay init`. Nothing is run and nothing
 * is asked; only small text files are read, unreadable ones are passed over with a note.
 *
 *     scoped(startup_done) Startup start = {0};
 *     if (!startup_find("/srv/shop", &start))
 *             ... nothing in there says it; start.notes says what was looked at
 *
 * The first of these that says it is taken, the others are named in `notes`: Procfile (web), package.json
 * (scripts), Python (manage.py, app.py and the like, pyproject.toml, a package with __main__.py), Dockerfile,
 * Makefile (run, start, serve), package.json (bin, main), one executable file.
 */
#ifndef BELAY_MANIFEST_STARTUP_H
#define BELAY_MANIFEST_STARTUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "model/service.h"

typedef struct Startup {
        Strv command; /* as a manifest writes it: "${port}" for the port, "$${" for "${"; NULL: not found */
        Pair *environment; /* settings that stood in front of the command */
        size_t n_environment;
        unsigned port;  /* that the files name; 0: none */
        char *why;      /* "Procfile, process type 'web'" */
        char *port_why; /* "the usual port of Flask" */
        char *entry;    /* the file that is the program, relative to the directory, or NULL */
        bool by_mode;   /* nothing but its mode says that it is started: a weak sign */
        Strv notes;     /* whole sentences for whoever reads the manifest */
} Startup;

bool startup_find(const char *directory, Startup *ret);
void startup_done(Startup *start);

/*
 * One line as a shell would read it, into words, without a shell. Assignments in front become `environment`; $PORT,
 * ${PORT} and ${PORT:-8000} become "${port}" (and give `port`). What only a shell can do (pipes, lists, other
 * variables, patterns) becomes sh -c LINE. False: the line has no command.
 */
bool startup_line(const char *line, Startup *ret);

/* Whether the last but one word of a command, its last word's front ("--port=8000", "0.0.0.0:8000") or the word itself
 * is this port: then it becomes "${port}". True when one did. */
bool startup_name_port(Strv command, unsigned port);

/* A regular file's text, at most 256 KiB; owned. False: absent, larger, or not to be read. */
bool startup_read(const char *path, char **ret);

/* The first port that a program's text names: PORT || 3000, port=8000, listen(8080); 0: none. */
unsigned startup_port_in(const char *text);

#endif
