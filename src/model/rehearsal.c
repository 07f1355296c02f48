#include "model/rehearsal.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"

void rehearsal_places_done(RehearsalPlaces *places) {
        strv_free(places->paths);
        *places = (RehearsalPlaces){0};
}

/* -- where it writes ------------------------------------------------------------------------- */

static bool held(char *const *places, const char *path) {
        for (; places && *places; places++)
                if (path_holds(*places, path))
                        return true;
        return false;
}

static bool add_place(Strv *places, const char *path, const char *state, char **ret_why) {
        if (held(*places, path))
                return true;
        if (str_equal(path, "/")) {
                *ret_why = str_copy("something of it lies at the top of the file system");
                return false;
        }
        if (path_holds(path, state)) {
                *ret_why = str_format("the state directory '%s' lies in '%s', of which it would "
                                      "have to be a copy",
                        state, path);
                return false;
        }
        strv_add(places, path);
        return true;
}

/* A file, or a directory that is replaced as a whole, is written by the directory that it is in. */
static bool add_parent(Strv *places, const char *path, const char *state, char **ret_why) {
        scoped(free_str) char *parent = path ? path_dirname(path) : NULL;
        return !path || held(*places, path) || add_place(places, parent, state, ret_why);
}

/* A database that is in no backup is in no copy either. */
static bool is_backed_up(const Service *service, const char *database) {
        for (size_t i = 0; i < service->backup.n_contents; i++)
                if (path_holds(service->backup.contents[i].path, database))
                        return true;
        return false;
}

static bool add_databases(const Service *service, Strv *places, const char *state, char **ret_why) {
        for (size_t i = 0; i < service->n_migrations; i++) {
                const char *database = service->migrations[i].database;
                if (!database)
                        continue;
                if (!is_backed_up(service, database)) {
                        *ret_why = str_format(
                                "a migration works on '%s', which is not in the backup", database);
                        return false;
                }
                if (!add_parent(places, database, state, ret_why))
                        return false;
        }
        return true;
}

static int shorter_first(const void *a, const void *b) {
        size_t x = strlen(*(char *const *)a), y = strlen(*(char *const *)b);
        return (x > y) - (x < y);
}

static void add_wanted(Strv *places, char *const *also, const char *state) {
        for (; also && *also; also++)
                if (!path_holds(*also, state) && !held(*places, *also))
                        strv_add(places, *also);
}

static bool add_contents(const Service *service, Strv *places, const char *state, char **ret_why) {
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const char *path = service->backup.contents[i].path;
                if (service->git.directory && path_holds(path, service->git.directory)) {
                        *ret_why = str_format("its data '%s' holds the checkout itself", path);
                        return false;
                }
                if (!add_parent(places, path, state, ret_why))
                        return false;
        }
        return true;
}

bool rehearsal_places(const Service *service, const char *state, char *const *also,
        RehearsalPlaces *ret, char **ret_why) {
        const char *own[] = {
                service->git.directory, service->directory, service->process.directory};
        scoped(strv_freep) Strv places = NULL;
        for (size_t i = 0; i < COUNT_OF(own); i++)
                if (own[i] && !add_place(&places, own[i], state, ret_why))
                        return false;
        if (!add_contents(service, &places, state, ret_why) ||
                !add_databases(service, &places, state, ret_why) ||
                !add_parent(&places, service->configuration.env_file, state, ret_why))
                return false;
        add_wanted(&places, also, state);
        if (places)
                qsort(places, strv_count(places), sizeof(char *), shorter_first);
        ret->paths = TAKE(places);
        return true;
}

bool rehearsal_place_of(
        const RehearsalPlaces *places, const char *path, size_t *ret_index, const char **ret_in) {
        bool found = false;
        /* The longest comes last, and lies over the others. */
        for (size_t i = 0; places->paths && places->paths[i]; i++) {
                if (!path_holds(places->paths[i], path))
                        continue;
                const char *in = path + strlen(places->paths[i]);
                *ret_index = i;
                *ret_in = in + strspn(in, "/");
                found = true;
        }
        return found;
}

/* -- what it would have to leave alone ------------------------------------------------------- */

/* These need nobody: files, and addresses that a program only tells others. */
static bool is_harmless(const char *scheme, size_t n) {
        static const char *const harmless[] = {
                "http", "https", "file", "sqlite", "sqlite3", "ws", "wss", "unix", "data"};
        for (size_t i = 0; i < COUNT_OF(harmless); i++)
                if (strlen(harmless[i]) == n && strncasecmp(scheme, harmless[i], n) == 0)
                        return true;
        return false;
}

char *rehearsal_needs_others(char *const *settings) {
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        for (; settings && *settings; settings++) {
                const char *value = strchr(*settings, '=');
                if (!value)
                        continue;
                size_t n = strspn(++value, letters);
                const char *end = value + n;
                /* "postgresql+psycopg2://": the driver behind the plus is the program's own matter. */
                if (*end == '+')
                        end += 1 + strspn(end + 1, letters);
                if (n == 0 || strncmp(end, "://", 3) != 0 || is_harmless(value, n))
                        continue;
                return str_format(
                        "its setting %.*s leads to a %.*s server, of which there is no copy",
                        (int)strcspn(*settings, "="), *settings, (int)n, value);
        }
        return NULL;
}

/* -- what can be asked of it ------------------------------------------------------------------ */

bool rehearsal_is_loopback(const char *url) {
        static const char *const names[] = {"localhost", "[::1]", "::1"};
        if (!url)
                return false;
        const char *scheme = strstr(url, "://");
        const char *host = scheme ? scheme + 3 : url;
        size_t whole = strcspn(host, "/?#");
        /* What stands before an @ is a user, and no host. */
        if (memchr(host, '@', whole))
                return false;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                size_t n = strlen(names[i]);
                if (n <= whole && strncasecmp(host, names[i], n) == 0 &&
                        (n == whole || host[n] == ':'))
                        return true;
        }
        /* Behind the colon may stand a number or ${port}. */
        size_t digits = strspn(host, "0123456789.");
        return str_starts(host, "127.") && (digits == whole || host[digits] == ':');
}

bool rehearsal_can_ask(const CheckSpec *check) {
        switch (check->kind) {
        case CHECK_HTTP:
                return rehearsal_is_loopback(check->url);
        case CHECK_TCP:
                return rehearsal_is_loopback(check->host);
        case CHECK_COMMAND:
        case CHECK_LOG:
                return true;
        case CHECK_KIND_COUNT:
        default:
                return false;
        }
}
