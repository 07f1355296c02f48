/* What the files of startup share; nobody else includes it. */
#ifndef BELAY_MANIFEST_STARTUP_PARTS_H
#define BELAY_MANIFEST_STARTUP_PARTS_H

#include "manifest/startup.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

/* One way to find out: true when it filled `ret`. */
typedef bool StartupFinder(const char *directory, Startup *ret);

StartupFinder startup_node_scripts, startup_node_program; /* startup_node.c */
StartupFinder startup_python;                             /* startup_python.c */
StartupFinder startup_procfile, startup_dockerfile;       /* startup_files.c */
StartupFinder startup_makefile, startup_executable;       /* startup_files.c */

/* A regular file's text, at most 256 KiB; NULL: absent, larger, not to be read, or a link that leads out
 * of the project. Owned. */
char *startup_text(const char *directory, const char *name);
bool startup_has(const char *directory, const char *name); /* a regular file, links followed */
/* The name of the first of `names` (NULL-terminated) that is there; borrowed from `names`. */
const char *startup_first(const char *directory, const char *const *names);
/* Where Belay, whose PATH is small, would find it. */
bool startup_is_installed(const char *program);
/* The port that the Dockerfile exposes first; 0: none. */
unsigned startup_exposed(const char *directory);
/* Looks for the port in the text of the entry file, when none is known. */
void startup_entry_port(const char *directory, Startup *start);
void startup_environment_add(Startup *start, const char *name, const char *value);

#endif
