#include "manifest/registry.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "model/service.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { ENTRIES_MAX = 10000 };

static const char ENDING[] = ".yaml";

static const char *absolute_env(const char *name) {
        const char *value = getenv(name);
        return value && value[0] == '/' ? value : NULL;
}

char *registry_directory(Err *err) {
        const char *own = getenv("BELAY_CONFIG");
        if (own && own[0]) {
                if (own[0] == '/')
                        return path_join(own, "services.d");
                err_fail(err, ERR_USAGE, "BELAY_CONFIG is '%s', which is no absolute path", own);
                return NULL;
        }
        if (geteuid() == 0)
                return str_copy("/etc/belay/services.d");
        if (absolute_env("XDG_CONFIG_HOME"))
                return path_join(absolute_env("XDG_CONFIG_HOME"), "belay/services.d");
        if (absolute_env("HOME"))
                return path_join(absolute_env("HOME"), ".config/belay/services.d");
        err_fail(err, ERR_USAGE, "nothing says where the known services are written down");
        err_hint(err, "Set HOME, XDG_CONFIG_HOME or BELAY_CONFIG to an absolute path.");
        return NULL;
}

static bool name_check(const char *name, Err *err) {
        if (service_name_ok(name))
                return true;
        scoped(free_str) char *shown = str_printable(name, false);
        err_fail(err, ERR_USAGE, "'%.80s' cannot be the name of a service", shown);
        return err_hint(err, "A name has lower-case letters, digits and hyphens, at most 63.");
}

static char *entry_path(const char *name, Err *err) {
        scoped(free_str) char *directory = registry_directory(err);
        return directory ? str_format("%s/%s%s", directory, name, ENDING) : NULL;
}

/* *ret NULL: there is no such entry. A manifest that lies here itself is its own path. */
static bool entry_read(const char *path, char **ret, bool *ret_link, Err *err) {
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        *ret_link = n >= 0;
        *ret = NULL;
        if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
                return true;
        if (n < 0 && errno != EINVAL)
                return err_fail_errno(err, ERR_IO, errno, "reading '%s'", path);
        if (n < 0) {
                *ret = str_copy(path);
                return true;
        }
        target[n] = '\0';
        scoped(free_str) char *directory = path_dirname(path);
        *ret = path_join(directory, target);
        return true;
}

/* A link is as durable as a file here: made beside under another name, then renamed. */
static bool link_make(const char *path, const char *target, Err *err) {
        scoped(free_str) char *directory = path_dirname(path);
        scoped(free_str) char *temp =
                str_format("%s/.%s.belay-tmp", directory, path_basename(path));
        if (!dir_make(directory, err) || !file_unlink(temp, err))
                return false;
        if (fault_before("symlink", temp) || symlink(target, temp) < 0)
                return err_fail_errno(err, ERR_IO, errno, "making the link '%s'", temp);
        fault_after();
        return file_rename(temp, path, err);
}

bool registry_add(const char *name, const char *path, bool *ret_changed, Err *err) {
        if (!name_check(name, err))
                return false;
        scoped(free_str) char *real = realpath(path, NULL);
        if (!real && errno == ENOENT)
                return err_fail(err, ERR_UNKNOWN, "there is no manifest '%s'", path);
        if (!real)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        scoped(free_str) char *entry = entry_path(name, err);
        scoped(free_str) char *known = NULL;
        bool is_link = false;
        if (!entry || !entry_read(entry, &known, &is_link, err))
                return false;
        if (known && !str_equal(known, real)) {
                err_fail(err, ERR_REFUSED, "the service '%s' is known already, by '%s'", name,
                        known);
                return err_hint(err,
                        "If that one is gone for good: belay remove %s. Else give this one another "
                        "name.",
                        name);
        }
        if (!known && !link_make(entry, real, err))
                return err_context(err, "registering '%s'", name);
        if (ret_changed)
                *ret_changed = known == NULL;
        return true;
}

static bool unknown(const char *name, Err *err) {
        scoped(registry_done) Registry registry = {0};
        scoped(strv_freep) Strv names = NULL;
        if (!registry_list(&registry, err))
                return false;
        for (size_t i = 0; i < registry.n; i++)
                strv_add(&names, registry.entries[i].name);
        const char *nearest = str_nearest(name, (const char *const *)names);
        err_fail(err, ERR_UNKNOWN, "there is no service '%s'", name);
        if (nearest)
                return err_hint(err, "Did you mean '%s'? `belay list` shows all.", nearest);
        return err_hint(
                err, "`belay list` shows the known services; `belay add FILE` makes one known.");
}

bool registry_remove(const char *name, Err *err) {
        if (!name_check(name, err))
                return false;
        scoped(free_str) char *entry = entry_path(name, err);
        scoped(free_str) char *known = NULL;
        bool is_link = false;
        if (!entry || !entry_read(entry, &known, &is_link, err))
                return false;
        if (!known)
                return unknown(name, err);
        if (!is_link) {
                err_fail(err, ERR_REFUSED, "'%s' is the manifest itself, not a link to it", entry);
                return err_hint(err, "Belay deletes no manifest: move it to where it belongs.");
        }
        return file_unlink(entry, err) || err_context(err, "removing '%s'", name);
}

bool registry_find(const char *name, char **ret_path, Err *err) {
        if (!name_check(name, err))
                return false;
        scoped(free_str) char *entry = entry_path(name, err);
        bool is_link = false;
        char *known = NULL;
        if (!entry || !entry_read(entry, &known, &is_link, err))
                return false;
        if (!known)
                return unknown(name, err);
        *ret_path = known;
        return true;
}

static int by_name(const void *a, const void *b) {
        return strcmp(((const RegistryEntry *)a)->name, ((const RegistryEntry *)b)->name);
}

static bool entry_add(const char *directory, const char *file, Registry *ret, Err *err) {
        size_t n = strlen(file);
        if (!str_ends(file, ENDING))
                return true;
        scoped(free_str) char *name = str_copy_n(file, n - strlen(ENDING));
        scoped(free_str) char *path = path_join(directory, file);
        scoped(free_str) char *target = NULL;
        bool is_link = false;
        if (!service_name_ok(name))
                return true;
        if (!entry_read(path, &target, &is_link, err))
                return false;
        if (!target)
                return true;
        struct stat st;
        bool missing = stat(target, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
        RegistryEntry entry = {.name = TAKE(name), .path = TAKE(target), .missing = missing};
        PUSH(ret->entries, ret->n, entry);
        return true;
}

static bool entries_read(const char *directory, Registry *ret, Err *err) {
        scoped(close_dir) DIR *dir = opendir(directory);
        if (!dir && errno == ENOENT)
                return true;
        if (!dir)
                return err_fail_errno(err, ERR_IO, errno, "reading '%s'", directory);
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(dir);
                if (!entry && errno)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", directory);
                if (!entry)
                        return true;
                if (ret->n == ENTRIES_MAX)
                        return err_fail(err, ERR_IO, "'%s' has more than %d entries", directory,
                                ENTRIES_MAX);
                if (!entry_add(directory, entry->d_name, ret, err))
                        return false;
        }
}

bool registry_list(Registry *ret, Err *err) {
        scoped(free_str) char *directory = registry_directory(err);
        scoped(registry_done) Registry found = {0};
        if (!directory || !entries_read(directory, &found, err))
                return false;
        if (found.n)
                qsort(found.entries, found.n, sizeof(*found.entries), by_name);
        *ret = found;
        found = (Registry){0};
        return true;
}

void registry_done(Registry *registry) {
        for (size_t i = 0; i < registry->n; i++) {
                free(registry->entries[i].name);
                free(registry->entries[i].path);
        }
        free(registry->entries);
        *registry = (Registry){0};
}
