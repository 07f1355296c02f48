#include "manifest/draft.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/startup_parts.h"

enum { COMMENT_WIDTH = 96, NAME_MAX_BYTES = 63 };

static void pairs_free(Pair *pairs, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(pairs[i].name);
                free(pairs[i].value);
        }
        free(pairs);
}

void draft_done(Draft *draft) {
        char *const texts[] = {draft->service, draft->service_why, draft->command_why,
                draft->directory, draft->directory_why, draft->port_why, draft->user,
                draft->user_why, draft->environment_why, draft->checkout, draft->remote,
                draft->branch, draft->source_why, draft->env_file, draft->env_file_why,
                draft->check_url, draft->check_json, draft->check_value, draft->check_tcp,
                draft->check_why};
        for (size_t i = 0; i < COUNT_OF(texts); i++)
                free(texts[i]);
        for (size_t i = 0; i < draft->n_contents; i++) {
                free(draft->contents[i].path);
                free(draft->contents[i].why);
        }
        for (size_t i = 0; i < draft->n_migrations; i++) {
                free(draft->migrations[i].files);
                free(draft->migrations[i].why);
                free(draft->migrations[i].run_with);
                free(draft->migrations[i].database);
        }
        free(draft->contents);
        free(draft->migrations);
        pairs_free(draft->environment, draft->n_environment);
        strv_free(draft->command);
        strv_free(draft->install);
        strv_free(draft->build);
        strv_free(draft->artifacts);
        free(draft->build_why);
        strv_free(draft->notes);
        *draft = (Draft){0};
}

/* -- values ----------------------------------------------------------------------------------- */

bool draft_text_ok(const char *text) {
        return str_is_printable(text) && !strstr(text, BYTE_ORDER_MARK);
}

char *draft_service_name(const char *text) {
        Str name = {0};
        for (const char *c = text; *c && name.len < NAME_MAX_BYTES; c++) {
                if (isalnum((unsigned char)*c))
                        str_add_char(&name, (char)tolower((unsigned char)*c));
                else if (name.len && name.text[name.len - 1] != '-')
                        str_add_char(&name, '-');
        }
        while (name.len && name.text[name.len - 1] == '-')
                name.text[--name.len] = '\0';
        if (name.len == 0) {
                str_done(&name);
                return NULL;
        }
        return str_take(&name);
}

/* YAML 1.1 and 1.2 read these as something else than text. */
static bool is_special(const char *text) {
        static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y",
                "n", "~", ".inf", ".nan", "-", "--", "---"};
        for (size_t i = 0; i < COUNT_OF(words); i++)
                if (strcasecmp(text, words[i]) == 0)
                        return true;
        /* Whatever begins like a number: there are more kinds of them than one would think. */
        return isdigit((unsigned char)text[0]) ||
               (strchr("+-.", text[0]) && isdigit((unsigned char)text[1]));
}

static bool is_plain(const char *text) {
        if (!text[0] || is_special(text) || strchr("-:=?,@%&*!|>'\"`#{}[]", text[0]))
                return false;
        for (const char *c = text; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr("_./@+=-:%~", *c))
                        return false;
        return text[strlen(text) - 1] != ':' && !strstr(text, ": ");
}

char *draft_scalar(const char *text) {
        if (is_plain(text))
                return str_copy(text);
        Str out = {0};
        str_add_char(&out, '"');
        for (const char *c = text; *c; c++) {
                if (*c == '"' || *c == '\\')
                        str_add_char(&out, '\\');
                if (*c == '\n')
                        str_add(&out, "\\n");
                else
                        str_add_char(&out, *c);
        }
        str_add_char(&out, '"');
        return str_take(&out);
}

/* -- writing ---------------------------------------------------------------------------------- */

/* Broken at spaces; every line a comment of its own. */
static void comment(Str *out, unsigned indent, const char *text) {
        scoped(free_str) char *plain = str_printable(text, false);
        for (const char *at = plain; *at;) {
                size_t left = strlen(at), room = COMMENT_WIDTH - indent, n = left;
                if (left > room) {
                        n = room;
                        while (n > room / 2 && at[n] != ' ')
                                n--;
                        n = at[n] == ' ' ? n : strcspn(at, " ");
                }
                str_addf(out, "%*s# %.*s\n", (int)indent, "", (int)n, at);
                at += n;
                at += strspn(at, " ");
        }
}

static void because(Str *out, unsigned indent, const char *why) {
        if (why)
                comment(out, indent, why);
}

static void key(Str *out, unsigned indent, const char *name, const char *value) {
        scoped(free_str) char *scalar = draft_scalar(value);
        str_addf(out, "%*s%s: %s\n", (int)indent, "", name, scalar);
}

static void list(Str *out, unsigned indent, const char *name, char *const *words) {
        str_addf(out, "%*s%s: [", (int)indent, "", name);
        for (size_t i = 0; words && words[i]; i++) {
                scoped(free_str) char *scalar = draft_scalar(words[i]);
                str_addf(out, "%s%s", i ? ", " : "", scalar);
        }
        str_add(out, "]\n");
}

static void write_environment(const Draft *draft, Str *out) {
        if (draft->n_environment == 0)
                return;
        because(out, 4, draft->environment_why);
        str_add(out, "    environment:\n");
        for (size_t i = 0; i < draft->n_environment; i++) {
                /* Quoted always: a setting is text, whatever it looks like. */
                scoped(free_str) char *bare = draft_scalar(draft->environment[i].value);
                bool quoted = bare[0] == '"';
                str_addf(out, "      %s: %s%s%s\n", draft->environment[i].name, quoted ? "" : "\"",
                        bare, quoted ? "" : "\"");
        }
}

static void write_runtime(const Draft *draft, Str *out) {
        str_add(out, "\nruntime:\n  process:\n");
        because(out, 4, draft->command_why);
        list(out, 4, "command", draft->command);
        if (draft->directory) {
                because(out, 4, draft->directory_why);
                key(out, 4, "directory", draft->directory);
        }
        if (draft->port) {
                because(out, 4, draft->port_why);
                str_addf(out, "    port: %u\n", draft->port);
        }
        if (draft->user) {
                because(out, 4, draft->user_why);
                key(out, 4, "user", draft->user);
        }
        write_environment(draft, out);
}

static void write_source(const Draft *draft, Str *out) {
        str_add(out, "\nsource:\n");
        because(out, 2, draft->source_why);
        /* Where nothing else is said, the checkout is the directory of the runtime. */
        bool here = !draft->directory && (!draft->checkout || strcmp(draft->checkout, ".") == 0);
        if (here && !draft->remote && !draft->branch && !draft->artifacts) {
                str_add(out, "  git: {}\n");
                return;
        }
        str_add(out, "  git:\n");
        if (!here)
                key(out, 4, "directory", draft->checkout ? draft->checkout : ".");
        if (draft->remote)
                key(out, 4, "remote", draft->remote);
        if (draft->branch)
                key(out, 4, "branch", draft->branch);
}

static void write_build(const Draft *draft, Str *out) {
        if (!draft->artifacts)
                return;
        because(out, 4, draft->build_why);
        if (draft->install)
                list(out, 4, "install", draft->install);
        if (draft->build)
                list(out, 4, "build", draft->build);
        list(out, 4, "artifacts", draft->artifacts);
}

static void write_configuration(const Draft *draft, Str *out) {
        if (!draft->env_file)
                return;
        str_add(out, "\nconfiguration:\n");
        because(out, 2, draft->env_file_why);
        key(out, 2, "env_file", draft->env_file);
}

static void write_backup(const Draft *draft, Str *out) {
        str_add(out, "\n# What an update backs up first, and a rollback brings back.\n");
        if (draft->n_contents == 0 && draft->contents_open)
                comment(out, 0,
                        "Nothing was found, but not all could be looked at (see above): each plan "
                        "looks again.");
        if (draft->n_contents == 0 && draft->contents_open)
                return;
        if (draft->n_contents == 0) {
                comment(out, 0,
                        "No SQLite database and no directory of data was found here. Each plan "
                        "looks "
                        "again. If its data is elsewhere, name it:");
                str_add(out, "# backup: { contents: [{ path: /var/lib/NAME }] }\n");
                return;
        }
        str_add(out, "backup:\n  contents:\n");
        for (size_t i = 0; i < draft->n_contents; i++) {
                const DraftContent *content = &draft->contents[i];
                because(out, 4, content->why);
                scoped(free_str) char *path = draft_scalar(content->path);
                str_addf(out, "    - %s: %s\n", content->kind == CONTENT_SQLITE ? "sqlite" : "path",
                        path);
        }
}

static void write_migration(const DraftMigration *migration, Str *out) {
        scoped(free_str) char *files = draft_scalar(migration->files);
        because(out, 2, migration->why);
        if (migration->kind == MIGRATION_SQL) {
                scoped(free_str) char *database = draft_scalar(migration->database);
                str_addf(out, "  - sql:\n      files: %s\n      database: %s\n", files, database);
                return;
        }
        str_addf(out, "  - scripts:\n      files: %s\n", files);
        if (migration->run_with) {
                scoped(free_str) char *with = draft_scalar(migration->run_with);
                str_addf(out, "      run_with: [%s]\n", with);
        }
        str_add(out, "      run: once\n");
}

static void write_migrations(const Draft *draft, Str *out) {
        if (draft->n_migrations == 0)
                return;
        str_add(out, "\nmigrations:\n");
        for (size_t i = 0; i < draft->n_migrations; i++)
                write_migration(&draft->migrations[i], out);
}

static void write_checks(const Draft *draft, Str *out) {
        str_add(out, "\n# Whether an update succeeded: these are asked after it.\n");
        if (!draft->check_url && !draft->check_tcp) {
                because(out, 0, draft->check_why);
                str_add(out, "# checks: [{ http: { url: \"http://127.0.0.1:8000/health\" } }]\n");
                return;
        }
        str_add(out, "checks:\n");
        because(out, 2, draft->check_why);
        if (draft->check_tcp) {
                scoped(free_str) char *address = draft_scalar(draft->check_tcp);
                str_addf(out, "  - tcp: %s\n", address);
                return;
        }
        str_add(out, "  - http:\n");
        key(out, 6, "url", draft->check_url);
        if (draft->check_status && draft->check_status != 200)
                str_addf(out, "      status: %u\n", draft->check_status);
        if (draft->check_json)
                str_addf(
                        out, "      json: { %s: \"%s\" }\n", draft->check_json, draft->check_value);
}

char *draft_write(const Draft *draft) {
        Str out = {0};
        str_add(&out,
                "# Written by `belay init`: what it found here, and why it thinks so. Change what "
                "you know better,\n# then: belay validate\n");
        for (size_t i = 0; draft->notes && draft->notes[i]; i++) {
                str_add(&out, "#\n");
                comment(&out, 0, draft->notes[i]);
        }
        str_add(&out, "version: 1\n");
        because(&out, 0, draft->service_why);
        key(&out, 0, "service", draft->service);
        write_runtime(draft, &out);
        write_source(draft, &out);
        write_build(draft, &out);
        write_configuration(draft, &out);
        write_backup(draft, &out);
        write_migrations(draft, &out);
        write_checks(draft, &out);
        return str_take(&out);
}

/* -- for programs ----------------------------------------------------------------------------- */

static void reason(json_t *array, const char *name, const char *value, const char *why) {
        if (!value)
                return;
        json_t *object = json_object();
        js_set_str(object, "key", name);
        js_set_str(object, "value", value);
        js_set_str(object, "why", why);
        json_array_append_new(array, object);
}

json_t *draft_reasons(const Draft *draft) {
        json_t *array = json_array();
        scoped(free_str) char *command = strv_join(draft->command, " ");
        scoped(free_str) char *port = draft->port ? str_format("%u", draft->port) : NULL;
        reason(array, "service", draft->service, draft->service_why);
        reason(array, "runtime.process.command", command, draft->command_why);
        reason(array, "runtime.process.directory", draft->directory, draft->directory_why);
        reason(array, "runtime.process.port", port, draft->port_why);
        reason(array, "runtime.process.user", draft->user, draft->user_why);
        for (size_t i = 0; i < draft->n_environment; i++)
                reason(array, "runtime.process.environment", draft->environment[i].name,
                        draft->environment_why);
        reason(array, "source.git.directory", draft->checkout, draft->source_why);
        reason(array, "source.git.branch", draft->branch, draft->source_why);
        scoped(free_str) char *install = draft->install ? strv_join(draft->install, " ") : NULL;
        scoped(free_str) char *build = draft->build ? strv_join(draft->build, " ") : NULL;
        reason(array, "source.git.install", install, draft->build_why);
        reason(array, "source.git.build", build, draft->build_why);
        reason(array, "configuration.env_file", draft->env_file, draft->env_file_why);
        for (size_t i = 0; i < draft->n_contents; i++)
                reason(array, "backup.contents", draft->contents[i].path, draft->contents[i].why);
        for (size_t i = 0; i < draft->n_migrations; i++)
                reason(array, "migrations", draft->migrations[i].files, draft->migrations[i].why);
        reason(array, "checks", draft->check_url ? draft->check_url : draft->check_tcp,
                draft->check_why);
        return array;
}
