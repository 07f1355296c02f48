/*
 * A manifest that `belay init` is about to write: each value with the reason for it. Plain data, filled in by
 * update/, written as YAML here with the reasons as comments.
 *
 *     scoped(draft_done) Draft draft = {0};
 *     ...
 *     scoped(free_str) char *text = draft_write(&draft);
 *     manifest_parse(path, text, strlen(text), &service, err)     // it is held to the same rules
 *
 * Paths are relative to the manifest, as they shall stand in it. Strings are owned; a NULL leaves its key out.
 */
#ifndef BELAY_MANIFEST_DRAFT_H
#define BELAY_MANIFEST_DRAFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/js.h"
#include "base/str.h"
#include "manifest/startup.h"
#include "model/service.h"

typedef struct DraftContent {
        ContentKind kind;
        char *path, *why;
} DraftContent;

typedef struct DraftMigration {
        MigrationKind kind;
        char *files, *why;
        char *run_with; /* scripts: the interpreter, or NULL */
        char *database; /* sql; from the service's directory */
} DraftMigration;

typedef struct Draft {
        char *service, *service_why;
        Strv command;
        char *command_why;
        char *directory, *directory_why; /* where it runs; NULL: the manifest's own */
        unsigned port;
        char *port_why;
        char *user, *user_why;
        Pair *environment;
        size_t n_environment;
        char *environment_why;
        char *checkout, *remote, *branch, *source_why;
        Strv install, build, artifacts;
        char *build_why;
        char *env_file, *env_file_why;
        DraftContent *contents;
        size_t n_contents;
        bool contents_open; /* not all could be looked at: the key is left out when nothing was found */
        DraftMigration *migrations;
        size_t n_migrations;
        char *check_url; /* of an HTTP check, or NULL */
        unsigned check_status;
        char *check_json, *check_value; /* ".version" and "${version}" */
        char *check_tcp;                /* "127.0.0.1:${port}" of a TCP check */
        char *check_why;
        Strv notes;   /* whole sentences that stand at its head */
        bool private; /* it holds values that not everybody should read */
} Draft;

void draft_done(Draft *draft);
char *draft_write(const Draft *draft);     /* owned */
json_t *draft_reasons(const Draft *draft); /* [{"key","value","why"}]; new reference */
/* Lower-case letters, digits and hyphens out of any text; NULL when nothing of it can stay. Owned. */
char *draft_service_name(const char *text);
/* Text that YAML and a manifest can hold: UTF-8 without control characters and byte order marks. */
bool draft_text_ok(const char *text);
/* One value as YAML, quoted where it has to be; owned. */
char *draft_scalar(const char *text);

/* -- what the files say (draft_files.c) -- */
/* The env file of a directory: its port and the names of its secrets. */
void draft_look_env(Draft *draft, const char *directory, const char *base);
/* Migrations in the files that git tracks (relative to the service's directory). `database`: the one SQLite
 * file as the manifest names it from there, or NULL. */
void draft_look_migrations(
        Draft *draft, const char *directory, char *const *tracked, const char *database);
/* What must be installed or built of each version (draft_build.c). */
void draft_look_build(
        Draft *draft, const char *directory, const Startup *start, char *const *tracked);
/* What a package.json or pyproject.toml calls the project; owned, or NULL. */
char *draft_project_name(const char *directory, char **ret_why);

#endif
