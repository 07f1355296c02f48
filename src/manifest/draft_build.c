/* What of a version is made and not in git: the packages it needs, the program it compiles. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/draft.h"
#include "manifest/startup_parts.h"
#include "platform/file.h"

static void words(Strv *to, const char *const *list) {
        for (; *list; list++)
                strv_add(to, *list);
}

static bool is_tracked(char *const *tracked, const char *path) {
        scoped(free_str) char *below = str_format("%s/", path);
        for (; tracked && *tracked; tracked++)
                if (strcmp(*tracked, path) == 0 || str_starts(*tracked, below))
                        return true;
        return false;
}

/* -- Node.js ---------------------------------------------------------------------------------- */

typedef struct Packer {
        const char *lock, *program;
        const char *const *install;
} Packer;

static const Packer packers[] = {
        {"package-lock.json", "npm", (const char *const[]){"npm", "ci", NULL}},
        {"npm-shrinkwrap.json", "npm", (const char *const[]){"npm", "ci", NULL}},
        {"yarn.lock", "yarn", (const char *const[]){"yarn", "install", "--frozen-lockfile", NULL}},
        {"pnpm-lock.yaml", "pnpm",
                (const char *const[]){"pnpm", "install", "--frozen-lockfile", NULL}},
        {"package.json", "npm",
                (const char *const[]){"npm", "install", "--no-audit", "--no-fund", NULL}},
};

/* What git does not have is not there where a new version is made: a lock that an `npm install` left is none. */
static bool comes_with_git(const char *directory, char *const *tracked, const char *name) {
        return startup_has(directory, name) && (!tracked || is_tracked(tracked, name));
}

static const Packer *packer_of(const char *directory, char *const *tracked) {
        for (size_t i = 0; i < COUNT_OF(packers); i++)
                if (comes_with_git(directory, tracked, packers[i].lock))
                        return &packers[i];
        return NULL;
}

/* The first name of what the command runs, when git does not have it: "dist" of dist/main.js; NULL. Owned. */
static char *made_entry(const Startup *start, char *const *tracked) {
        if (!start->entry || is_tracked(tracked, start->entry))
                return NULL;
        size_t n = strcspn(start->entry, "/");
        return start->entry[n] ? str_copy_n(start->entry, n) : NULL;
}

/* Who installed what is there without the packages for development does not want them. */
static bool omits_development(const char *directory, const json_t *package) {
        const char *name;
        json_t *version;
        scoped(free_str) char *modules = path_join(directory, "node_modules");
        if (!file_exists(modules))
                return false;
        json_object_foreach(js_get(package, "devDependencies"), name, version) {
                scoped(free_str) char *path = path_join(modules, name);
                if (!file_exists(path))
                        return true;
        }
        return false;
}

/* A script of the project's own that npm runs after each install, and that needs what is for development: where git
 * has what it makes, nothing of it is needed. The scripts of packages are run all the same. */
static void omit_development(
        Draft *draft, const Startup *start, const json_t *package, char *const *tracked) {
        const json_t *scripts = js_get(package, "scripts");
        bool prepares = js_str(scripts, "prepare") || js_str(scripts, "prepublish");
        strv_add(&draft->install, "--omit=dev");
        if (!prepares || !start->entry || !is_tracked(tracked, start->entry))
                return;
        strv_add(&draft->install, "--ignore-scripts");
        words(&draft->build, (const char *const[]){"npm", "rebuild", NULL});
}

static void look_node(
        Draft *draft, const char *directory, const Startup *start, char *const *tracked) {
        scoped(free_str) char *text = startup_text(directory, "package.json");
        scoped(js_freep) json_t *package =
                text ? js_parse(text, strlen(text), "package.json", NULL) : NULL;
        const Packer *packer = package ? packer_of(directory, tracked) : NULL;
        bool needs = json_object_size(js_get(package, "dependencies")) > 0;
        if (!packer || !needs || is_tracked(tracked, "node_modules"))
                return;
        if (!startup_is_installed(packer->program)) {
                strv_addf(&draft->notes,
                        "%s says which packages it needs, but '%s' is in none of the usual places: "
                        "installing them is left to you (source.git.install).",
                        packer->lock, packer->program);
                return;
        }
        words(&draft->install, packer->install);
        strv_add(&draft->artifacts, "node_modules");
        scoped(free_str) char *made = made_entry(start, tracked);
        if (!made && str_equal(packer->program, "npm") && omits_development(directory, package))
                omit_development(draft, start, package, tracked);
        if (made && js_str(js_get(package, "scripts"), "build")) {
                words(&draft->build, (const char *const[]){packer->program, "run", "build", NULL});
                strv_add(&draft->artifacts, made);
        }
        draft->build_why = str_format("%s says which packages it needs. Those of a new version are "
                                      "installed beside, while the old one serves.",
                packer->lock);
}

/* -- Python ----------------------------------------------------------------------------------- */

static void look_python(Draft *draft, const char *directory, char *const *tracked) {
        static const char *const names[] = {".venv", "venv", "env"};
        bool list = comes_with_git(directory, tracked, "requirements.txt");
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                scoped(free_str) char *pip = str_format("%s/bin/pip", names[i]);
                if (!startup_has(directory, pip) || is_tracked(tracked, names[i]) ||
                        (!list && !comes_with_git(directory, tracked, "pyproject.toml")))
                        continue;
                words(&draft->install,
                        (const char *const[]){"python3", "-m", "venv", names[i], NULL});
                words(&draft->build,
                        list ? (const char *const[]){pip, "install", "-r", "requirements.txt", NULL}
                             : (const char *const[]){pip, "install", ".", NULL});
                strv_add(&draft->artifacts, names[i]);
                draft->build_why = str_format("It has an environment of its own, %s. That of a new "
                                              "version is made beside, "
                                              "while the old one serves.",
                        names[i]);
                return;
        }
}

/* -- compiled --------------------------------------------------------------------------------- */

static void look_compiled(Draft *draft, const char *directory, char *const *tracked) {
        const char *program = draft->command ? draft->command[0] : "";
        program += str_starts(program, "./") ? 2 : 0;
        if (draft->artifacts || !program[0] || program[0] == '/' ||
                !startup_has(directory, program) || is_tracked(tracked, program))
                return;
        scoped(free_str) char *makefile = comes_with_git(directory, tracked, "Makefile")
                                                  ? startup_text(directory, "Makefile")
                                                  : NULL;
        if (makefile && strstr(makefile, program) && startup_is_installed("make"))
                words(&draft->build, (const char *const[]){"make", program, NULL});
        else if (startup_has(directory, "go.mod") && startup_is_installed("go"))
                words(&draft->build,
                        (const char *const[]){"go", "build", "-o", program, ".", NULL});
        else
                strv_addf(&draft->notes,
                        "'%s' is not in git, and how it is made was not found: a new version would "
                        "be "
                        "started by the same program. Name what makes it under source.git.build, "
                        "and "
                        "it under artifacts.",
                        program);
        if (!draft->build)
                return;
        strv_add(&draft->artifacts, program);
        draft->build_why =
                str_copy("The program is not in git: that of a new version is made beside, "
                         "while the old one serves.");
}

void draft_look_build(
        Draft *draft, const char *directory, const Startup *start, char *const *tracked) {
        look_node(draft, directory, start, tracked);
        if (!draft->artifacts)
                look_python(draft, directory, tracked);
        look_compiled(draft, directory, tracked);
}
