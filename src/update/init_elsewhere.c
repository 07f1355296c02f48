/* Paths that the command line and the settings name, outside of the service's directory: no look there finds them. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "manifest/manifest.h"
#include "manifest/value.h"
#include "model/envfile.h"
#include "platform/file.h"
#include "update/init.h"

enum { PLACES_MAX = 10 };

/* "--data=/srv/x", "sqlite:////srv/x.db?mode=rw", "/srv/x": the path, owned; NULL: none is named. */
static char *path_in(const char *text) {
        const char *equals = text[0] == '-' ? strchr(text, '=') : NULL;
        const char *at = equals ? equals + 1 : text;
        static const char *const schemes[] = {"sqlite3:", "sqlite:", "file:"};
        for (size_t i = 0; i < COUNT_OF(schemes); i++)
                if (str_starts(at, schemes[i]))
                        at += strlen(schemes[i]);
        while (str_starts(at, "//"))
                at++;
        return at[0] == '/' ? str_copy_n(at, strcspn(at, "?")) : NULL;
}

/* Programs, the machine's own settings, what nobody keeps: no data of one service. */
static bool is_of_the_machine(const char *path) {
        static const char *const places[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/dev",
                "/proc", "/sys", "/run", "/boot", "/var/log", "/var/run"};
        for (size_t i = 0; i < COUNT_OF(places); i++)
                if (path_holds(places[i], path))
                        return true;
        return strcmp(path, "/") == 0;
}

static bool is_known(const Init *init, const char *path) {
        for (size_t i = 0; i < init->draft.n_contents; i++)
                if (strcmp(init->draft.contents[i].path, path) == 0)
                        return true;
        return false;
}

static void take(Init *init, const char *text, Strv *others) {
        scoped(free_str) char *named = path_in(text);
        scoped(free_str) char *path = named ? realpath(named, NULL) : NULL;
        if (!path || path_holds(init->place, path) || path_holds(path, init->place) ||
                is_of_the_machine(path) || !draft_text_ok(path) || is_known(init, path))
                return;
        if (manifest_is_sqlite(path) && !content_problem(path)) {
                DraftContent content = {CONTENT_SQLITE, TAKE(path),
                        str_copy("An SQLite database that its command or its settings name.")};
                PUSH(init->draft.contents, init->draft.n_contents, content);
        } else if (strv_count(*others) < PLACES_MAX && !strv_contains(*others, path)) {
                strv_add(others, path);
        }
}

void init_take_elsewhere(Init *init) {
        const Draft *draft = &init->draft;
        scoped(free_str) char *path = path_join(init->place, ".env");
        scoped(free_str) char *text = NULL;
        scoped(strv_freep) Strv settings = NULL;
        scoped(strv_freep) Strv others = NULL;
        for (char *const *word = draft->command; word && *word; word++)
                take(init, *word, &others);
        for (size_t i = 0; i < draft->n_environment; i++)
                take(init, draft->environment[i].value, &others);
        if (draft->env_file && startup_read(path, &text))
                (void)envfile_values(text, &settings, NULL);
        for (char *const *setting = settings; setting && *setting; setting++)
                if (strchr(*setting, '='))
                        take(init, strchr(*setting, '=') + 1, &others);
        scoped(free_str) char *names = strv_join(others, ", ");
        if (others)
                strv_addf(&init->draft.notes,
                        "Its command or its settings name what lies elsewhere and is NOT in the "
                        "backup: %s. What of it is data that the service writes belongs under "
                        "backup.contents.",
                        names);
}
