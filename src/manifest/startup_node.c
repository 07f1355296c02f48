/* package.json: how a project for Node.js is started. docs.npmjs.com, "package.json" and "npm-run-script". */
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/own.h"
#include "manifest/startup_parts.h"
#include "platform/file.h"

static json_t *package_read(const char *directory, Startup *ret) {
        scoped(free_str) char *text = startup_text(directory, "package.json");
        json_t *package = text ? js_parse(text, strlen(text), "package.json", NULL) : NULL;
        static const char unread[] = "package.json is no JSON that can be read.";
        if (text && !package && !strv_contains(ret->notes, unread))
                strv_add(&ret->notes, unread);
        return package;
}

static bool has_script(const json_t *scripts, const char *when, const char *name) {
        scoped(free_str) char *key = str_format("%s%s", when, name);
        return js_str(scripts, key) != NULL;
}

static void use_npm(Startup *ret, const char *script) {
        strv_free(ret->command);
        ret->command = NULL;
        strv_add(&ret->command, "npm");
        if (strcmp(script, "start") != 0)
                strv_add(&ret->command, "run");
        strv_add(&ret->command, script);
}

/* Programs that only start another one: reloaders, and those that set variables. False: they start none. */
static bool peel(Startup *ret) {
        Strv words = ret->command;
        if (words[1] && strcmp(words[0], "cross-env") == 0) {
                scoped(free_str) char *rest = strv_join(words + 1, " ");
                strv_free(TAKE(ret->command));
                return startup_line(rest, ret);
        } else if (words[1] && words[1][0] != '-' && strcmp(words[0], "nodemon") == 0 &&
                   (str_ends(words[1], "js"))) {
                str_replace_owned(&words[0], str_copy("node"));
        }
        return true;
}

/* npm finds programs of packages in node_modules/.bin; started without npm they are named by that. */
static bool resolve_program(const char *directory, Strv command) {
        if (strchr(command[0], '/') || strcmp(command[0], "node") == 0)
                return true;
        scoped(free_str) char *local = str_format("node_modules/.bin/%s", command[0]);
        if (!startup_has(directory, local))
                return startup_is_installed(command[0]);
        str_replace_owned(&command[0], str_copy(local));
        return true;
}

/* A path of the command that is not here: the script is for another place, the project's own development as a
 * rule. Borrowed; NULL: none. */
static const char *missing_path(const char *directory, char *const *command) {
        static const char *const endings[] = {
                "", ".js", ".mjs", ".cjs", ".ts", "/index.js", "/index.ts"};
        /* A line for a shell is one word, and may make what it then starts. */
        bool shell = strcmp(command[0], "sh") == 0;
        for (char *const *word = command + 1; *word && !shell; word++) {
                bool path = strchr(*word, '/') && (*word)[0] != '-' && (*word)[0] != '/' &&
                            !strstr(*word, "://") && !strchr(*word, '$') && !strchr(*word, '=');
                bool there = false;
                for (size_t i = 0; path && !there && i < COUNT_OF(endings); i++) {
                        scoped(free_str) char *inner = str_format("%s%s", *word, endings[i]);
                        scoped(free_str) char *full = path_join(directory, inner);
                        there = file_exists(full);
                }
                if (path && !there)
                        return *word;
        }
        return NULL;
}

/* A script that calls a package manager which Belay would not find. Borrowed; NULL: none. */
static const char *missing_manager(const char *directory, const char *line) {
        static const char *const managers[] = {"yarn", "pnpm", "bun"};
        scoped(free_str) char *copy = str_copy(line);
        char *rest = NULL;
        for (char *word = strtok_r(copy, " \t&|;()", &rest); word;
                word = strtok_r(NULL, " \t&|;()", &rest))
                for (size_t i = 0; i < COUNT_OF(managers); i++) {
                        scoped(free_str) char *local = str_format("node_modules/.bin/%s", word);
                        if (strcmp(word, managers[i]) == 0 && !startup_is_installed(word) &&
                                !startup_has(directory, local))
                                return managers[i];
                }
        return NULL;
}

static void find_entry(const char *directory, Startup *ret) {
        char *word = str_equal(ret->command[0], "node") ? ret->command[1] : NULL;
        if (word && word[0] != '-' && startup_has(directory, word))
                str_replace_owned(&ret->entry, str_copy(word));
        else if (word && !str_ends(word, ".js")) {
                scoped(free_str) char *with = str_format("%s.js", word);
                if (startup_has(directory, with))
                        str_replace_owned(&ret->entry, TAKE(with));
        }
}

static bool script_take(
        const char *directory, const json_t *scripts, const char *name, Startup *ret) {
        const char *line = js_str(scripts, name);
        if (!line || !startup_line(line, ret))
                return false;
        ret->why = str_format("package.json, script '%s'", name);
        if (!peel(ret))
                return false;
        const char *missing = missing_path(directory, ret->command);
        if (!missing)
                missing = missing_manager(directory, line);
        if (missing) {
                strv_addf(&ret->notes, "Not taken: %s, because there is no %.80s here.", ret->why,
                        missing);
                return false;
        }
        if (has_script(scripts, "pre", name) || has_script(scripts, "post", name) ||
                strcmp(ret->command[0], "sh") == 0 || !resolve_program(directory, ret->command))
                use_npm(ret, name);
        find_entry(directory, ret);
        return true;
}

bool startup_node_scripts(const char *directory, Startup *ret) {
        static const char *const names[] = {"start:prod", "start:production", "start", "serve"};
        scoped(js_freep) json_t *package = package_read(directory, ret);
        for (size_t i = 0; package && i < COUNT_OF(names); i++) {
                scoped(startup_done) Startup script = {0};
                bool good = script_take(directory, js_get(package, "scripts"), names[i], &script);
                for (size_t n = 0; !good && script.notes && script.notes[n]; n++)
                        strv_add(&ret->notes, script.notes[n]);
                if (!good)
                        continue;
                startup_done(ret);
                *ret = script;
                script = (Startup){0};
                return true;
        }
        if (!package || !startup_has(directory, "server.js"))
                return false;
        /* npm's own default for "start". */
        strv_add(&ret->command, "node");
        strv_add(&ret->command, "server.js");
        ret->entry = str_copy("server.js");
        ret->why = str_copy("package.json, and the server.js that npm starts by default");
        return true;
}

/* "bin" is a text, or an object with one program for each name. */
static const char *bin_of(const json_t *package, Startup *ret) {
        const json_t *bin = js_get(package, "bin");
        const char *own = js_str(package, "name"), *name;
        json_t *value;
        if (json_is_string(bin) || json_object_size(bin) == 0)
                return json_string_value(bin);
        if (own && js_str(bin, own))
                return js_str(bin, own);
        json_object_foreach((json_t *)(uintptr_t)bin, name, value) {
                if (json_object_size(bin) > 1)
                        strv_addf(&ret->notes,
                                "package.json has %zu programs; '%.60s' is the first.",
                                json_object_size(bin), name);
                return json_string_value(value);
        }
        return NULL;
}

static bool listens(const char *directory, const char *name) {
        scoped(free_str) char *text = startup_text(directory, name);
        return text && (strstr(text, ".listen(") || strstr(text, "createServer("));
}

bool startup_node_program(const char *directory, Startup *ret) {
        scoped(js_freep) json_t *package = package_read(directory, ret);
        const char *bin = bin_of(package, ret), *main = js_str(package, "main");
        if (main && !startup_has(directory, main))
                main = NULL;
        const char *file = main && listens(directory, main) ? main : bin;
        if (!file || !startup_has(directory, file))
                return false;
        strv_add(&ret->command, "node");
        strv_add(&ret->command, file);
        ret->entry = str_copy(file);
        ret->why = str_format("package.json, '%s'", file == main ? "main" : "bin");
        if (file == bin && !listens(directory, file))
                strv_addf(&ret->notes,
                        "%s is a program for a command line, and may serve only with arguments "
                        "that no file names. Where it does, start it by hand as you do and run "
                        "`belay init` then.",
                        file);
        return true;
}
