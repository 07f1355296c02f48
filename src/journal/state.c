#include "journal/state.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { RUN_MAX = 999999999, NEW_RUN_TRIES = 1000 };

/* -- where -------------------------------------------------------------------------------- */

/* XDG Base Directory Specification 0.8: a relative $XDG_STATE_HOME is to be ignored. */
static char *default_root(Err *err) {
        if (geteuid() == 0)
                return str_copy("/var/lib/belay");
        const char *xdg = getenv("XDG_STATE_HOME");
        if (xdg && xdg[0] == '/')
                return path_join(xdg, "belay");
        const char *home = getenv("HOME");
        const struct passwd *user = home && home[0] == '/' ? NULL : getpwuid(geteuid());
        if (user)
                home = user->pw_dir;
        if (home && home[0] == '/')
                return path_join(home, ".local/state/belay");
        err_fail(err, ERR_IO, "no home directory is known for user %u", geteuid());
        err_hint(err, "Set HOME, or name the state directory with --state.");
        return NULL;
}

bool state_open(const char *given, State *ret, Err *err) {
        if (given && !given[0]) {
                err_fail(err, ERR_USAGE, "the state directory's name is empty");
                return err_hint(err, "--state wants a directory.");
        }
        const char *environment = getenv("BELAY_STATE");
        if (!given && environment && environment[0])
                given = environment;
        scoped(free_str) char *root = given ? str_copy(given) : default_root(err);
        if (!root || !file_name_check(root, ERR_USAGE, err))
                return false;
        if (!dir_make(root, err)) {
                err_hint(err, "Belay keeps its journals there; --state or BELAY_STATE names "
                              "another place.");
                return err_context(err, "opening the state directory '%s'", root);
        }
        scoped(free_str) char *real = file_real(root);
        if (!real)
                return err_fail(err, ERR_IO, "the state directory '%s' cannot be resolved", root);
        if (!file_name_check(real, ERR_USAGE, err))
                return false;
        *ret = (State){.root = TAKE(real)};
        return true;
}

bool state_find(const char *given, State *ret) {
        const char *environment = getenv("BELAY_STATE");
        if (!given && environment && environment[0])
                given = environment;
        scoped(free_str) char *root = given ? str_copy(given) : default_root(NULL);
        char *real = root && file_exists(root) ? file_real(root) : NULL;
        if (!real)
                return false;
        *ret = (State){.root = real};
        return true;
}

void state_done(State *state) {
        free(state->root);
        *state = (State){0};
}

char *state_run_dir(const State *state, unsigned run) {
        return str_format("%s/runs/%u", state->root, run);
}

char *state_run_file(const State *state, unsigned run, const char *name) {
        return str_format("%s/runs/%u/%s", state->root, run, name);
}

char *state_service_dir(const State *state, const char *service) {
        return str_format("%s/services/%s", state->root, service);
}

char *state_service_file(const State *state, const char *service, const char *name) {
        return str_format("%s/services/%s/%s", state->root, service, name);
}

char *state_lock_file(const State *state, const char *service) {
        return str_format("%s/locks/%s.lock", state->root, service);
}

/* -- what outlives runs ------------------------------------------------------------------- */

json_t *state_load(const State *state, const char *service, const char *name, Err *err) {
        scoped(free_str) char *path = state_service_file(state, service, name);
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!file_read_if(path, LIMIT_STATE_FILE, &text, &bytes, err))
                return NULL;
        if (!text)
                return json_object();
        scoped(js_freep) json_t *object = js_parse(text, bytes, path, err);
        if (object && !json_is_object(object))
                err_fail(err, ERR_CORRUPT, "'%s' holds no JSON object", path);
        if (json_is_object(object))
                return TAKE(object);
        err_hint(err, "It was not written so by Belay: put a copy back, or move it away to start "
                      "without it.");
        return NULL;
}

bool state_save(
        const State *state, const char *service, const char *name, const json_t *object, Err *err) {
        scoped(free_str) char *dir = state_service_dir(state, service);
        scoped(free_str) char *path = state_service_file(state, service, name);
        scoped(free_str) char *json = js_pretty(object);
        scoped(free_str) char *text = str_format("%s\n", json);
        if (strlen(text) > LIMIT_STATE_FILE)
                return err_fail(
                        err, ERR_BUG, "'%s' would have more than %d bytes", path, LIMIT_STATE_FILE);
        return dir_make(dir, err) && file_write_durable(path, text, strlen(text), 0600, err);
}

/* -- runs --------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
        unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
        return (x > y) - (x < y);
}

static bool number_of_name(const char *name, unsigned *ret) {
        uint64_t number = 0;
        if (name[0] == '0' || !str_to_uint(name, RUN_MAX, &number))
                return false;
        *ret = (unsigned)number;
        return true;
}

bool state_runs(const State *state, unsigned **ret, size_t *ret_n, Err *err) {
        scoped(free_str) char *path = path_join(state->root, "runs");
        scoped(close_dir) DIR *dir = opendir(path);
        scoped(free_mem) unsigned *runs = NULL;
        size_t n = 0;
        if (!dir && errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", path);
        while (dir) {
                errno = 0;
                const struct dirent *entry = readdir(dir);
                unsigned number = 0;
                if (!entry && errno)
                        return err_fail_errno(err, ERR_IO, errno, "listing '%s'", path);
                if (!entry)
                        break;
                if (number_of_name(entry->d_name, &number))
                        PUSH(runs, n, number);
        }
        if (n > 1)
                qsort(runs, n, sizeof(*runs), by_number);
        *ret = TAKE(runs);
        *ret_n = n;
        return true;
}

/* mkdir decides who has the number; dir_make would be content with another's directory. */
static bool take_number(const State *state, unsigned first, unsigned *ret, Err *err) {
        for (unsigned number = first; number < first + NEW_RUN_TRIES && number <= RUN_MAX;
                number++) {
                scoped(free_str) char *dir = state_run_dir(state, number);
                if (fault_before("mkdir", dir))
                        return err_fail_errno(err, ERR_IO, errno, "making '%s'", dir);
                if (mkdir(dir, 0700) == 0) {
                        fault_after();
                        *ret = number;
                        return true;
                }
                if (errno != EEXIST)
                        return err_fail_errno(err, ERR_IO, errno, "making '%s'", dir);
        }
        return err_fail(err, ERR_IO, "no free number for a run in '%s/runs'", state->root);
}

bool state_new_run(const State *state, unsigned *ret_run, Err *err) {
        scoped(free_str) char *runs_dir = path_join(state->root, "runs");
        scoped(free_mem) unsigned *runs = NULL;
        size_t n = 0;
        unsigned number = 0;
        if (!dir_make(runs_dir, err) || !state_runs(state, &runs, &n, err))
                return false;
        if (!take_number(state, n ? runs[n - 1] + 1 : 1, &number, err))
                return false;
        scoped(free_str) char *undo = state_run_file(state, number, "undo");
        scoped(free_str) char *output = state_run_file(state, number, "output");
        if (!dir_make(undo, err) || !dir_make(output, err) || !dir_sync(runs_dir, err))
                return false;
        *ret_run = number;
        return true;
}
